use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use super::HandshakeError;
use crate::websocket::CloseCode;

/// What lies behind the end of a session, or behind a failed attempt to open one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// A request was answered with this status and not with 200.
    Status(u16),
    /// The code of the close frame that ended the WebSocket stream, the server's or ours.
    Code(CloseCode),
    /// In words: the caller's, of why a request or the stream has failed, or the machine's.
    Other(Cow<'static, str>),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Code(code) => write!(f, "close code {}", code.0),
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl From<&'static str> for Cause {
    fn from(words: &'static str) -> Self {
        Self::Other(Cow::Borrowed(words))
    }
}

impl From<String> for Cause {
    fn from(words: String) -> Self {
        Self::Other(Cow::Owned(words))
    }
}

/// Why a session could not be opened: what the last transport that was tried has failed of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenError {
    /// `timeout`: it took longer than [`Config::connect_timeout`](super::Config::connect_timeout).
    Timeout,
    /// `websocket error`: the stream could not be opened, or has ended before the handshake.
    WebSocket(Option<Cause>),
    /// `polling error`: the first request has failed.
    Polling(Option<Cause>),
    /// `handshake error`: the server has answered something else, or nonsense.
    Handshake(HandshakeError),
    /// `no transport`: [`Config::transports`](super::Config::transports) is empty.
    NoTransport,
}

impl OpenError {
    /// The kind of the error in short, without its cause.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::WebSocket(_) => "websocket error",
            Self::Polling(_) => "polling error",
            Self::Handshake(_) => "handshake error",
            Self::NoTransport => "no transport",
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self {
            Self::WebSocket(Some(cause)) | Self::Polling(Some(cause)) => write!(f, ": {cause}"),
            Self::Handshake(error) => write!(f, ": {error}"),
            _ => Ok(()),
        }
    }
}

impl core::error::Error for OpenError {}
