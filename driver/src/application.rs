use core::task::Context;
use std::sync::Arc;

use socketio_protocol::Instant;
use socketio_protocol::engine::{CloseReason, Message, Packet};

use crate::handler::Slots;
use crate::handshake::Handshake;
use crate::mailbox::Mailbox;
use crate::outbox;

/// What stands above Engine.IO: told of every new session, it gives each a [`Connection`].
///
/// [`Server`](crate::Server) is the one that speaks Socket.IO; implement it yourself for a plain Engine.IO server.
pub trait Application: Send + Sync + 'static {
    /// What it keeps for one session.
    type Connection: Connection;

    /// A session was opened. `mailbox` reaches its task from anywhere.
    fn open(
        &self,
        handshake: Arc<Handshake>,
        mailbox: &Mailbox<<Self::Connection as Connection>::Mail>,
        now: Instant,
    ) -> Self::Connection;
}

/// An application's side of one session. All calls come from the session's task, one at a time.
pub trait Connection: Send + Unpin + 'static {
    /// What reaches it through the [`Mailbox`].
    type Mail: Send + 'static;

    /// A message arrived.
    fn handle_message(&mut self, turn: &mut Turn<'_, '_>, message: Message<'_>);

    /// Something arrived through the mailbox.
    fn handle_mail(&mut self, turn: &mut Turn<'_, '_>, mail: Self::Mail);

    /// The session is over; what is sent from now on is dropped.
    fn handle_close(&mut self, turn: &mut Turn<'_, '_>, reason: CloseReason);

    /// Called at every wake-up, after messages and mail: for futures and deadlines of its own.
    fn poll(&mut self, turn: &mut Turn<'_, '_>) {
        let _ = turn;
    }

    /// Called now and then, at heartbeats: what is kept for a busy time may be given back.
    fn rest(&mut self) {}

    /// Whether it has something to finish although the session is over.
    fn is_busy(&self) -> bool {
        false
    }
}

/// One call of a [`Connection`]: the time, and what it wants done.
#[derive(Debug)]
pub struct Turn<'t, 'cx> {
    now: Instant,
    /// Wakes the session's task.
    pub context: &'t mut Context<'cx>,
    pub(crate) wishes: &'t mut Wishes,
}

/// What the calls of one wake-up asked for.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) close: Option<CloseReason>,
    pub(crate) pause: bool,
    pub(crate) deadline: Option<Instant>,
    pub(crate) slots: Slots,
}

impl Wishes {
    /// Forgets everything but the buffers.
    pub(crate) fn reset(&mut self) {
        (self.close, self.pause, self.deadline) = (None, false, None);
    }
}

impl<'t, 'cx> Turn<'t, 'cx> {
    pub(crate) fn new(now: Instant, context: &'t mut Context<'cx>, wishes: &'t mut Wishes) -> Self {
        Self { now, context, wishes }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Sends a packet.
    pub fn send(&mut self, packet: Packet) {
        outbox::send(packet);
    }

    /// Ends the session.
    pub fn close(&mut self, reason: CloseReason) {
        self.wishes.close.get_or_insert(reason);
    }

    /// Has [`Connection::poll`] called at `deadline`, or earlier. To be said at every [`Connection::poll`].
    pub fn wake_at(&mut self, deadline: Instant) {
        let earliest = self.wishes.deadline.map_or(deadline, |known| known.min(deadline));
        self.wishes.deadline = Some(earliest);
    }

    /// Stops reading until the next [`Connection::poll`] that does not ask for it.
    pub fn pause(&mut self) {
        self.wishes.pause = true;
    }
}
