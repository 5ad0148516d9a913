use alloc::sync::Arc;
use core::fmt;

use crate::Instant;
use crate::engine::{CloseReason, Packet};
use crate::socket::{ConnectError, DisconnectReason, Header, Payload, SocketKey};

/// What a [`Manager`](super::Manager) wants next.
#[derive(Debug)]
#[must_use]
pub enum Next<'a> {
    /// Something happened.
    Event(Event<'a>),
    /// Open a connection. Its end is told by [`Manager::handle_opened`](super::Manager::handle_opened) or
    /// [`Manager::handle_open_failed`](super::Manager::handle_open_failed).
    Open {
        /// When the attempt is given up, by [`Next::Close`].
        deadline: Option<Instant>,
    },
    /// A packet for the connection.
    Transmit(Packet),
    /// Close the connection, once what was transmitted is sent, or give up opening it, and tell no more of it.
    Close(CloseReason),
    /// Nothing is left to do until a message, news of the connection, or this time, comes.
    Wait(Option<Instant>),
}

/// Something happened to a socket or to the connection; official documentation, "Client API".
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A socket's credentials are wanted: answer by [`Manager::authenticate`](super::Manager::authenticate).
    Authenticate(AuthRequest),
    /// A socket is connected: `connect`. What was buffered has been sent.
    Connect {
        /// Which.
        socket: SocketKey,
        /// Whether the server knows the socket again, and has kept what it missed.
        recovered: bool,
    },
    /// A socket is not connected: `connect_error`.
    ConnectError {
        /// Which.
        socket: SocketKey,
        /// Why.
        error: ConnectFailure,
    },
    /// A socket is no longer connected: `disconnect`.
    Disconnect {
        /// Which.
        socket: SocketKey,
        /// Why.
        reason: DisconnectReason,
    },
    /// An event.
    Message {
        /// To whom.
        socket: SocketKey,
        /// Name and arguments.
        payload: Payload<'a>,
        /// The right to answer, if the server asked for an answer.
        ack: Option<AckRequest>,
    },
    /// The server answered.
    Ack {
        /// To whom.
        socket: SocketKey,
        /// The id that the event had.
        id: u64,
        /// The answer.
        payload: Payload<'a>,
    },
    /// The server will not answer.
    AckFailed {
        /// Who waited.
        socket: SocketKey,
        /// The id that the event had.
        id: u64,
        /// Why.
        error: AckError,
    },
    /// The connection is open: the manager's `open`.
    Opened,
    /// The server's ping came: the manager's `ping`. Told by [`Client`](crate::client::Client), which has the connection; a
    /// [`Manager`](super::Manager) alone hears of no ping.
    Ping,
    /// The connection could not be opened, or is about to be lost: the manager's `error`.
    Error(OpenError),
    /// The connection is lost, or was closed: the manager's `close`. It may not have been open yet, or not any more, if the
    /// application no longer wants it.
    Closed(CloseReason),
    /// The connection is to be opened again, for the how manieth time since a socket was connected: `reconnect_attempt`.
    ReconnectAttempt(u32),
    /// That attempt failed: `reconnect_error`. When the next one comes is decided by now.
    ReconnectError(OpenError),
    /// [`Config::reconnection_attempts`](super::Config::reconnection_attempts) were made: `reconnect_failed`. Nothing more
    /// happens until [`Manager::connect`](super::Manager::connect).
    ReconnectFailed,
    /// The connection is open again, at the how manieth attempt: `reconnect`.
    Reconnect(u32),
}

/// A socket that wants its credentials, and is not connected before: hand it to
/// [`Manager::authenticate`](super::Manager::authenticate).
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct AuthRequest {
    pub(super) socket: SocketKey,
    pub(super) turn: u32,
}

impl AuthRequest {
    /// Whose credentials.
    pub fn socket(&self) -> SocketKey {
        self.socket
    }
}

/// The right to answer an event, once, while its socket stays connected: hand it to
/// [`Manager::answer`](super::Manager::answer).
#[derive(Debug, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(Clone))]
pub struct AckRequest {
    pub(super) socket: SocketKey,
    pub(super) turn: u32,
    pub(super) id: u64,
}

impl AckRequest {
    /// Whose event.
    pub fn socket(&self) -> SocketKey {
        self.socket
    }

    /// The id to encode the answer with.
    pub fn id(&self) -> u64 {
        self.id
    }
}

/// The answer that an event awaits.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ExpectedAck {
    /// The id that the event was encoded with, from [`Manager::ack_id`](super::Manager::ack_id).
    pub id: u64,
    /// When it is late; `None`, never.
    pub deadline: Option<Instant>,
}

/// Why the connection is not open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenError {
    /// `timeout`: [`Config::timeout`](super::Config::timeout) has passed.
    Timeout,
    /// The words of the transport, such as `websocket error`.
    Transport(Arc<str>),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "timeout",
            Self::Transport(words) => words,
        })
    }
}

impl core::error::Error for OpenError {}

/// Why a socket is not connected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The connection could not be opened; it is tried again.
    Open(OpenError),
    /// The connection, or the namespace, was closed before it answered or could be asked.
    Closed(DisconnectReason),
    /// The namespace refuses. It is not asked again until [`Manager::connect`](super::Manager::connect).
    Refused(ConnectError),
    /// The namespace has not answered for [`Config::connect_timeout`](super::Config::connect_timeout).
    Timeout,
    /// The server answers as those of version 2 do. It is asked again on the next connection.
    Version,
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Closed(reason) => reason.fmt(f),
            Self::Refused(error) => error.fmt(f),
            Self::Timeout => f.write_str("timeout"),
            Self::Version => f.write_str(
                "It seems you are trying to reach a Socket.IO server in v2.x with a v3.x client, but they are not \
                 compatible (more information here: https://socket.io/docs/v3/migrating-from-2-x-to-3-0/)",
            ),
        }
    }
}

impl core::error::Error for ConnectFailure {}

/// Why no answer comes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AckError {
    /// It was not there in time.
    Timeout,
    /// The socket is no longer connected, or the event was given up.
    Disconnected,
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "operation has timed out",
            Self::Disconnected => "socket has been disconnected",
        })
    }
}

impl core::error::Error for AckError {}

/// Why an event was not taken.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmitError {
    /// There is no such socket.
    Gone,
    /// [`Config::max_buffered`](super::Config::max_buffered) or
    /// [`Config::max_buffered_packets`](super::Config::max_buffered_packets) wait already.
    Full,
    /// [`Config::max_acks`](super::Config::max_acks) answers are awaited already.
    TooManyAcks,
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "there is no such socket",
            Self::Full => "too many events wait for a connection",
            Self::TooManyAcks => "too many acks are awaited",
        })
    }
}

impl core::error::Error for EmitError {}

/// The name of a namespace starts with a slash, and has no comma, no control character (one parts the packets of a poll),
/// and at most 512 bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct InvalidNamespace;

impl InvalidNamespace {
    /// Looks at a name.
    ///
    /// # Errors
    ///
    /// It cannot be one.
    pub fn check(name: &str) -> Result<(), Self> {
        let has_no = |forbidden: char| forbidden != ',' && !forbidden.is_control();
        let valid = name.starts_with('/') && name.len() <= Header::MAX_NAMESPACE && name.chars().all(has_no);
        if valid { Ok(()) } else { Err(Self) }
    }
}

impl fmt::Display for InvalidNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no name of a namespace")
    }
}

impl core::error::Error for InvalidNamespace {}
