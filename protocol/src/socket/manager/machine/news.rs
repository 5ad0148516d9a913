use alloc::boxed::Box;

use crate::engine::{CloseReason, Packet};
use crate::socket::manager::slot::Subject;
use crate::socket::manager::{AckError, AuthRequest, ConnectFailure, Event, Next, OpenError};
use crate::socket::partial::Partial;
use crate::socket::{DisconnectReason, SocketKey, encode_disconnect};

/// What is to be told, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum News {
    Transmit(Packet),
    /// A DISCONNECT for this namespace.
    Leave(Box<str>),
    /// An event that came before its socket was connected.
    Replay(Box<Partial<Subject>>),
    /// All events that came before are told: what is buffered can be sent.
    Flush(SocketKey),
    Authenticate(SocketKey, u32),
    Connect {
        socket: SocketKey,
        recovered: bool,
    },
    ConnectError(SocketKey, ConnectFailure),
    Disconnect(SocketKey, DisconnectReason),
    AckFailed(SocketKey, u64, AckError),
    Opened,
    Error(OpenError),
    Closed(CloseReason),
    ReconnectAttempt(u32),
    ReconnectError(OpenError),
    ReconnectFailed,
    Reconnect(u32),
}

impl News {
    pub(super) fn into_next(self) -> Next<'static> {
        Next::Event(match self {
            Self::Transmit(packet) => return Next::Transmit(packet),
            Self::Leave(namespace) => return Next::Transmit(encode_disconnect(&namespace)),
            Self::Authenticate(socket, turn) => Event::Authenticate(AuthRequest { socket, turn }),
            Self::Connect { socket, recovered } => Event::Connect { socket, recovered },
            Self::ConnectError(socket, error) => Event::ConnectError { socket, error },
            Self::Disconnect(socket, reason) => Event::Disconnect { socket, reason },
            Self::AckFailed(socket, id, error) => Event::AckFailed { socket, id, error },
            Self::Opened => Event::Opened,
            Self::Error(error) => Event::Error(error),
            Self::Closed(reason) => Event::Closed(reason),
            Self::ReconnectAttempt(attempt) => Event::ReconnectAttempt(attempt),
            Self::ReconnectError(error) => Event::ReconnectError(error),
            Self::ReconnectFailed => Event::ReconnectFailed,
            Self::Reconnect(attempt) => Event::Reconnect(attempt),
            // They never get here: `told` handles them.
            Self::Replay(_) | Self::Flush(_) => return Next::Wait(None),
        })
    }
}
