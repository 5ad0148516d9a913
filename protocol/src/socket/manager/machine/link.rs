use alloc::vec::Vec;

use super::{Manager, News, Phase, Slot};
use crate::Instant;
use crate::engine::CloseReason;
use crate::socket::DisconnectReason;
use crate::socket::key::SocketKey;
use crate::socket::manager::backoff::delay;
use crate::socket::manager::{ConnectFailure, OpenError};

/// The connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Link {
    /// There is none, and none is wanted.
    Closed,
    /// It is opened, again if `retry`, after this time.
    Delayed {
        until: Instant,
    },
    /// [`Next::Open`](super::Next::Open) is to be told.
    Wanted {
        retry: bool,
    },
    Opening {
        retry: bool,
        deadline: Option<Instant>,
    },
    Open,
}

/// The connection, and opening it again.
impl Manager {
    /// The connection that was asked for by [`Next::Open`](crate::socket::manager::Next::Open) is open.
    pub fn handle_opened(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let Link::Opening { retry, .. } = self.link else { return };
        self.link = Link::Open;
        self.news.push(News::Opened);
        for socket in self.keys() {
            self.begin(socket);
        }
        if retry {
            self.news.push(News::Reconnect(self.attempts));
        }
    }

    /// The connection that was asked for by [`Next::Open`](crate::socket::manager::Next::Open) could not be opened.
    pub fn handle_open_failed(&mut self, now: Instant, error: OpenError) {
        self.now = self.now.max(now);
        let Link::Opening { retry, .. } = self.link else { return };
        self.news.push(News::Error(error.clone()));
        for (index, slot) in (0..).zip(&mut self.slots).filter(|(_, slot)| slot.phase.is_active()) {
            slot.opens = false;
            self.news.push(News::ConnectError(slot.key(index), ConnectFailure::Open(error.clone())));
        }
        self.reconnect();
        if retry {
            self.news.push(News::ReconnectError(error));
        }
    }

    /// Something is wrong with the open connection. It is not over, before [`Manager::handle_closed`] says so.
    pub fn handle_error(&mut self, error: OpenError) {
        if self.link == Link::Open {
            self.news.push(News::Error(error));
        }
    }

    /// The connection is over: its sockets are disconnected for this reason, and it is opened again after a delay. What was
    /// to be transmitted is dropped.
    ///
    /// After [`Next::Close`](crate::socket::manager::Next::Close) there is nothing left to do here, and the call does no
    /// harm.
    pub fn handle_closed(&mut self, now: Instant, reason: CloseReason) {
        self.now = self.now.max(now);
        if self.closing.take().is_some() || self.link == Link::Open {
            self.news.retain(|news| !matches!(news, News::Transmit(_) | News::Leave(_)));
        }
        self.lose(reason);
    }

    pub(super) fn expire_link(&mut self) {
        match self.link {
            Link::Delayed { .. } => {
                self.link = Link::Wanted { retry: true };
                self.news.push(News::ReconnectAttempt(self.attempts));
            }
            Link::Opening { .. } => {
                self.closing = Some(CloseReason::ForcedClose);
                self.handle_open_failed(self.now, OpenError::Timeout);
            }
            _ => {}
        }
    }

    /// A socket wants to be connected now.
    pub(super) fn start(&mut self, socket: SocketKey) {
        match self.link {
            Link::Closed => self.link = Link::Wanted { retry: false },
            Link::Open => self.begin(socket),
            _ => {}
        }
    }

    /// Closes a connection on which sockets have waited for an answer in vain, if no other needs it: a second CONNECT
    /// would end it, but on the next connection they may be answered.
    pub(super) fn break_off_if_useless(&mut self) {
        let promising = |slot: &Slot| slot.phase.is_promising();
        if self.slots.iter().any(|slot| slot.phase == Phase::Late) && !self.slots.iter().any(promising) {
            self.break_off(CloseReason::ForcedClose);
        }
    }

    /// Closes the connection from this side, for good.
    pub(super) fn shut(&mut self) {
        if matches!(self.link, Link::Opening { .. } | Link::Open) {
            self.closing = Some(CloseReason::ForcedClose);
        }
        if self.link != Link::Closed {
            self.news.push(News::Closed(CloseReason::ForcedClose));
        }
        self.link = Link::Closed;
        self.attempts = 0;
        self.forget_connection();
    }

    /// Closes the connection from this side; the next attempt follows.
    pub(super) fn break_off(&mut self, reason: CloseReason) {
        if self.link == Link::Open {
            self.closing = Some(reason);
            self.lose(reason);
        }
    }

    /// The open connection is over.
    fn lose(&mut self, reason: CloseReason) {
        if self.link != Link::Open {
            return;
        }
        self.forget_connection();
        for socket in self.keys() {
            if self.is_active(socket)
                && let Some(phase) = self.part(socket, Phase::Wanted)
            {
                self.tell_parted(socket, phase, DisconnectReason::Connection(reason));
            }
        }
        self.news.push(News::Closed(reason));
        self.reconnect();
    }

    /// Nothing more comes of what was asked for or had begun to arrive.
    fn forget_connection(&mut self) {
        self.partial = None;
        (self.unanswered, self.left) = (Vec::new(), Vec::new());
    }

    /// Prepares the next attempt to open the connection, if there is to be one.
    fn reconnect(&mut self) {
        self.link = Link::Closed;
        if !self.config.reconnection {
            return;
        }
        if self.config.reconnection_attempts.is_some_and(|max| self.attempts >= max) {
            self.attempts = 0;
            self.news.push(News::ReconnectFailed);
            return;
        }
        let until = self.now + delay(&self.config, self.attempts, &mut self.random);
        self.link = Link::Delayed { until };
        self.attempts = self.attempts.saturating_add(1);
    }
}
