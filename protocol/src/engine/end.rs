use core::fmt;
use core::time::Duration;

/// Why a session ended, in the words of the official packages.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// `transport close`: the peer closed it.
    TransportClose,
    /// `transport error`: the connection broke, or the peer broke the transport's rules.
    TransportError,
    /// `ping timeout`: no pong came in time, to a client no ping.
    PingTimeout,
    /// `parse error`: a packet could not be read.
    ParseError,
    /// `forced close`: this side closed it.
    ForcedClose,
    /// `server shutting down`; a server's alone.
    ServerShuttingDown,
}

impl CloseReason {
    /// The official wording.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ServerShuttingDown => "server shutting down",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a packet was not queued.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The session is over, or is closing.
    Closed,
    /// [`Config::max_queued`](super::Config::max_queued) bytes wait already: the session was closed, reason
    /// [`CloseReason::TransportError`]. A server's alone.
    Overflow,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the session is closed",
            Self::Overflow => "too many bytes wait to be sent",
        })
    }
}

impl core::error::Error for SendError {}

/// The longest that a stream is kept for the peer to read the goodbye and to close its side.
pub(super) const LINGER: Duration = Duration::from_secs(5);
