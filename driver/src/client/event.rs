use core::fmt;

use socketio_protocol::engine::CloseReason;
use socketio_protocol::socket::manager::{self, OpenError};
use socketio_protocol::socket::{ConnectError, DecodeError, DisconnectReason, RawArgs};

use super::Client;
use crate::extract::{Ack, FromPayload};
use crate::lane::Held;

/// What [`Client::next`](crate::Client::next) gives.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The socket is connected: `connect`.
    Connect {
        /// Whether the server knew it again, and what it missed follows.
        recovered: bool,
    },
    /// It is not connected: `connect_error`.
    ConnectError(ConnectFailure),
    /// It is connected no more: `disconnect`.
    Disconnect(DisconnectReason),
    /// An event of the server.
    Event(ReceivedEvent),
    /// Something about the connection.
    Manager(ManagerEvent),
}

/// An event that waited for [`Client::next`](crate::Client::next).
#[derive(Debug)]
pub struct ReceivedEvent {
    name: Box<str>,
    args: RawArgs,
    ack: Ack,
}

impl ReceivedEvent {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its arguments, by the rules of handlers: a tuple is the argument list, `()` is none,
    /// [`Args`](crate::Args) all, anything else the first argument.
    ///
    /// # Errors
    ///
    /// They have another shape.
    pub fn args<T: FromPayload>(&self) -> Result<T, DecodeError> {
        T::from_payload(self.args.payload())
    }

    /// Its arguments as they came.
    pub fn raw(&self) -> &RawArgs {
        &self.args
    }

    /// Whether the server asked for an answer.
    pub fn wants_ack(&self) -> bool {
        self.ack.is_wanted()
    }

    /// The right to answer, if the server asked.
    pub fn into_ack(self) -> Ack {
        self.ack
    }
}

/// What waits for [`Client::next`](crate::Client::next). It holds no handle, or the client would keep itself alive.
pub(super) enum Queued {
    Event(Held<Client>),
    Other(ClientEvent),
}

impl Queued {
    /// What it counts while it waits.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Event(event) => event.size(),
            Self::Other(ClientEvent::ConnectError(ConnectFailure::Refused(error))) => {
                size_of::<Self>() + error.message().len() + error.data().map_or(0, str::len)
            }
            Self::Other(_) => size_of::<Self>(),
        }
    }

    pub(super) fn into_event(self, client: &Client) -> ClientEvent {
        match self {
            Self::Event(Held { event, args, ack }) => {
                ClientEvent::Event(ReceivedEvent { name: event, args, ack: Ack::of(client, ack) })
            }
            Self::Other(event) => event,
        }
    }
}

/// Something about the connection that all sockets of a client share; the events of the official client's `Manager`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManagerEvent {
    /// It is open: `open`.
    Open,
    /// It could not be opened, or is about to be lost: `error`.
    Error(OpenError),
    /// It is lost, or was closed: `close`.
    Close(CloseReason),
    /// The server has asked whether this side is there: `ping`.
    Ping,
    /// The WebSocket took over from polling: the engine's `upgrade`.
    Upgrade,
    /// It is to be opened again, for the how manieth time: `reconnect_attempt`.
    ReconnectAttempt(u32),
    /// That attempt failed: `reconnect_error`.
    ReconnectError(OpenError),
    /// All attempts were made: `reconnect_failed`.
    ReconnectFailed,
    /// It is open again, at the how manieth attempt: `reconnect`.
    Reconnect(u32),
}

/// Why a client's socket is not connected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The URL or an option cannot be used: nothing was tried.
    Invalid(String),
    /// The connection could not be opened.
    Open(OpenError),
    /// The connection, or the namespace, was closed before it answered.
    Closed(DisconnectReason),
    /// The namespace refuses: message and data are the server's.
    Refused(ConnectError),
    /// The namespace has not answered in time.
    NoAnswer,
    /// The server answers as those of version 2 do.
    Version,
    /// The deadline of [`Connect::timeout`](crate::Connect::timeout) came first; with what the last attempt failed of.
    Deadline(Option<OpenError>),
}

impl From<manager::ConnectFailure> for ConnectFailure {
    fn from(failure: manager::ConnectFailure) -> Self {
        match failure {
            manager::ConnectFailure::Open(error) => Self::Open(error),
            manager::ConnectFailure::Closed(reason) => Self::Closed(reason),
            manager::ConnectFailure::Refused(error) => Self::Refused(error),
            manager::ConnectFailure::Version => Self::Version,
            // `Timeout`; the machine may learn to say more than this driver knows.
            _ => Self::NoAnswer,
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => f.write_str(why),
            Self::Open(error) => error.fmt(f),
            Self::Closed(reason) => reason.fmt(f),
            Self::Refused(error) => error.fmt(f),
            Self::NoAnswer => f.write_str("the namespace has not answered in time"),
            Self::Version => manager::ConnectFailure::Version.fmt(f),
            Self::Deadline(Some(error)) => write!(f, "not connected in time: {error}"),
            Self::Deadline(None) => f.write_str("not connected in time"),
        }
    }
}

impl std::error::Error for ConnectFailure {}
