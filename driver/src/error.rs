use core::fmt;
use std::error::Error;

use socketio_protocol::socket::EncodeError;

/// Why a handler failed: anything that is an error converts into it.
pub struct HandlerError(Box<dyn Error + Send + Sync>);

impl HandlerError {
    /// The error.
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why an event was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmitError {
    /// The socket is not connected: not yet, or no longer. (A client keeps its events; its runtime has ended.)
    NotConnected,
    /// Too many bytes wait to be sent already. A server closes the connection of such a client.
    QueueFull,
    /// The event cannot be encoded.
    Encode(EncodeError),
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("the socket is not connected"),
            Self::QueueFull => f.write_str("too many bytes wait to be sent"),
            Self::Encode(error) => error.fmt(f),
        }
    }
}

impl Error for EmitError {}

impl From<EncodeError> for EmitError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

/// Why no answer came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckError {
    /// The peer did not answer in time.
    Timeout,
    /// The socket was disconnected meanwhile.
    Disconnected,
    /// Too many answers of this socket are awaited already.
    TooMany,
    /// The event was not sent.
    Emit(EmitError),
    /// The answer has another shape; serde's words.
    Decode(String),
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("operation has timed out"),
            Self::Disconnected => f.write_str("socket has been disconnected"),
            Self::TooMany => f.write_str("too many answers are awaited"),
            Self::Emit(error) => error.fmt(f),
            Self::Decode(why) => f.write_str(why),
        }
    }
}

impl Error for AckError {}

impl From<EmitError> for AckError {
    fn from(error: EmitError) -> Self {
        Self::Emit(error)
    }
}
