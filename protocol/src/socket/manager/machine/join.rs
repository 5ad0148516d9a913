use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use super::link::Link;
use super::receive::cost;
use super::{Manager, NEVER, News, Phase, Slot, find};
use crate::Instant;
use crate::engine::Packet;
use crate::socket::key::is_same;
use crate::socket::manager::{AckError, Auth, ConnectFailure, Credentials};
use crate::socket::packet::encode_join;
use crate::socket::{DisconnectReason, SocketKey};

/// How long a CONNECT waits behind a DISCONNECT: the official server acts on this one tick later, and closes the connection
/// if the CONNECT is there by then.
const GAP: Duration = Duration::from_millis(100);

/// A CONNECT of this connection that was not answered. It outlives the socket's wish to be connected, and the socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Unanswered {
    namespace: Box<str>,
    packet: Packet,
    /// The socket, and the turn of it, that the answer counts for.
    pub(super) socket: SocketKey,
    turn: u32,
}

/// How sockets get into their namespaces, and out of them.
impl Manager {
    /// Asks a namespace to let a socket in, if it wants that now.
    pub(super) fn begin(&mut self, socket: SocketKey) {
        let (now, deadline) = (self.now, self.connect_deadline());
        let waits = |slot: &&mut Slot| slot.phase == Phase::Wanted && slot.held.is_none_or(|until| until <= now);
        let Some(slot) = find(&mut self.slots, socket).filter(waits) else { return };
        let leaves = |news: &News| matches!(news, News::Leave(namespace) if is_same(namespace, &slot.namespace));
        let left = self.left.iter().find(|(namespace, until)| *until > now && is_same(namespace, &slot.namespace));
        let until = if self.news.iter().any(leaves) { Some(now + GAP) } else { left.map(|(_, until)| *until) };
        if until.is_some() {
            slot.held = until;
            return;
        }
        (slot.held, slot.opens) = (None, false);
        slot.turn = slot.turn.wrapping_add(1);
        let is_answered = self.unanswered.iter().all(|asked| !is_same(&asked.namespace, &slot.namespace));
        match slot.options.auth.clone() {
            Auth::Given(auth) => self.send_connect(socket, &auth),
            Auth::Asked if is_answered => {
                slot.phase = Phase::Asked;
                let news = News::Authenticate(socket, slot.turn);
                self.news.push(news);
            }
            // They are asked for when they can be sent.
            Auth::Asked => slot.phase = Phase::Connecting(deadline),
        }
    }

    /// Sends CONNECT, unless one of this namespace is still unanswered: servers close the connection for a second one. The
    /// answer to the first counts if the two are the same; else it is waited for.
    pub(super) fn send_connect(&mut self, socket: SocketKey, auth: &Credentials) {
        let deadline = self.connect_deadline();
        let Some(slot) = find(&mut self.slots, socket) else { return };
        slot.phase = Phase::Connecting(deadline);
        let turn = slot.turn;
        let auth = auth.with_recovery(slot.pid.as_deref(), slot.offset.as_deref());
        let packet = encode_join(&slot.namespace, auth.as_deref());
        match self.unanswered.iter_mut().find(|asked| is_same(&asked.namespace, &slot.namespace)) {
            Some(asked) if asked.packet == packet => (asked.socket, asked.turn) = (socket, turn),
            Some(_) => {}
            None => {
                let namespace = slot.namespace.clone();
                self.unanswered.push(Unanswered { namespace, packet: packet.clone(), socket, turn });
                self.news.push(News::Transmit(packet));
            }
        }
    }

    /// A DISCONNECT leaves now: notes how long no CONNECT may follow it.
    pub(super) fn note_leave(&mut self, namespace: &str) {
        if self.link != Link::Open {
            return;
        }
        self.left.retain(|(left, _)| !is_same(left, namespace));
        self.left.push((namespace.into(), self.now + GAP));
    }

    /// When the answer to a CONNECT is late.
    fn connect_deadline(&self) -> Instant {
        self.config.connect_timeout.map_or(NEVER, |timeout| self.now + timeout)
    }

    /// A namespace has answered its CONNECT.
    pub(super) fn take_unanswered(&mut self, namespace: &str) -> Option<Unanswered> {
        let index = self.unanswered.iter().position(|asked| is_same(&asked.namespace, namespace))?;
        let asked = self.unanswered.swap_remove(index);
        self.left.retain(|(left, _)| !is_same(left, namespace));
        if self.unanswered.is_empty() {
            self.unanswered = Vec::new();
        }
        Some(asked)
    }

    /// Whether an answer to this CONNECT is one for the socket as it is now.
    pub(super) fn concerns(&self, asked: &Unanswered) -> bool {
        let waits = |slot: &&Slot| slot.turn == asked.turn && matches!(slot.phase, Phase::Connecting(_) | Phase::Late);
        self.slot(asked.socket).filter(waits).is_some()
    }

    /// A socket has waited for the answer to an earlier CONNECT: now its own can be sent.
    pub(super) fn take_turn(&mut self, socket: SocketKey) {
        self.part(socket, Phase::Wanted);
        self.begin(socket);
    }

    /// Everything that came early is told: sends what is buffered, and tells the socket that it is connected.
    pub(super) fn flush(&mut self, socket: SocketKey) {
        let flushing = |slot: &&mut Slot| slot.phase == Phase::Flushing;
        let Some(slot) = find(&mut self.slots, socket).filter(flushing) else { return };
        slot.phase = Phase::Connected;
        let recovered = slot.recovered;
        while let Some(packet) = slot.unbuffer() {
            self.news.push(News::Transmit(packet));
        }
        self.retry(socket);
        self.news.push(News::Connect { socket, recovered });
    }

    /// Sends the first event of a socket's queue, unless it is on its way.
    pub(super) fn retry(&mut self, socket: SocketKey) {
        let now = self.now;
        if let Some(packet) = self.slot_mut(socket).and_then(|slot| slot.retry(now)) {
            self.news.push(News::Transmit(packet));
        }
    }

    /// The try that is on its way has failed.
    pub(super) fn fail_try(&mut self, socket: SocketKey, error: AckError) {
        if let Some(id) = self.slot_mut(socket).and_then(Slot::fail_try) {
            self.news.push(News::AckFailed(socket, id, error));
        }
    }

    /// A socket is no longer active: it was refused, or disconnected. With the last one the connection is closed.
    pub(super) fn leave(&mut self, socket: SocketKey, why: Result<ConnectFailure, DisconnectReason>) {
        let Some(phase) = self.part(socket, Phase::Inactive) else { return };
        if !self.slots.iter().any(|slot| slot.phase.is_active()) {
            self.shut();
        }
        match why {
            Ok(refusal) => self.news.push(News::ConnectError(socket, refusal)),
            Err(reason) => self.tell_parted(socket, phase, reason),
        }
        self.break_off_if_useless();
    }

    /// Takes a socket from the connection. Gives the phase that it was in.
    pub(super) fn part(&mut self, socket: SocketKey, to: Phase) -> Option<Phase> {
        let slot = self.slot_mut(socket)?;
        let phase = slot.phase;
        let early = mem::take(&mut slot.early);
        slot.leave(to);
        self.early -= early.iter().map(|early| cost(early)).sum::<usize>();
        if phase == Phase::Flushing {
            // A flush may stay: when its turn comes, there is nothing to flush.
            self.news.retain(|news| match news {
                News::Replay(early) => early.subject.is_none_or(|subject| subject.socket() != socket),
                _ => true,
            });
        }
        let partial = self.partial.as_deref_mut().filter(|partial| partial.is_waiting());
        if let Some(partial) = partial.filter(|partial| partial.subject.is_some_and(|for_| for_.socket() == socket)) {
            partial.discard();
        }
        Some(phase)
    }

    /// Says what it means to a socket to be taken from the connection in this phase.
    pub(super) fn tell_parted(&mut self, socket: SocketKey, phase: Phase, reason: DisconnectReason) {
        match phase {
            Phase::Connected => {
                self.news.push(News::Disconnect(socket, reason));
                let acks = self.slot_mut(socket).map(|slot| slot.acks.drain());
                for id in acks.into_iter().flatten() {
                    self.news.push(News::AckFailed(socket, id, AckError::Disconnected));
                }
                self.fail_try(socket, AckError::Disconnected);
            }
            _ if reason == DisconnectReason::IoClientDisconnect => {}
            // It was told already.
            Phase::Late if reason != DisconnectReason::IoServerDisconnect => {}
            _ => self.news.push(News::ConnectError(socket, ConnectFailure::Closed(reason))),
        }
    }

    /// Drops what a socket has buffered.
    pub(super) fn discard(&mut self, socket: SocketKey) {
        for id in self.slot_mut(socket).map(Slot::clear).unwrap_or_default() {
            self.news.push(News::AckFailed(socket, id, AckError::Disconnected));
        }
    }
}
