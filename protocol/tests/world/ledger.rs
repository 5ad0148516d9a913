//! What was promised, and whether it is kept. Nothing here knows how: no packets, transports or rooms.
//!
//! Two sockets of one id talk to each other. What one side says is on its way until the other hears it, in this order;
//! answers that nobody awaits any more may be skipped, and nothing else. So nothing comes twice or out of order, and after a
//! cut what was heard is a beginning of what was said. When one side hears that the other has left, it must have heard all
//! before that. A connection that suffered no fault ends only if somebody wants it.
//!
//! A breach is a panic, whose message begins with the name of the invariant and a colon.

use std::collections::{BTreeMap, VecDeque};

use socketio_protocol::Instant;
use socketio_protocol::engine::CloseReason;
use socketio_protocol::socket::DisconnectReason;
use socketio_protocol::socket::manager::AckError;

use super::census::Census;
use super::message::Body;
use super::network::{CLIENT, SERVER, SIDES};

mod client;
mod server;

/// The number of a client, and of one of its namespaces.
pub(crate) type Place = (usize, usize);

/// Two sockets of one id.
pub(crate) struct Talk {
    pub(crate) place: Place,
    /// Which of the client's connections it is on.
    link: u64,
    ends: [End; 2],
    /// Who has ended it, or closed the connection.
    ended_by: [bool; 2],
    /// What is on its way from each side.
    flows: [VecDeque<Item>; 2],
    /// By the server: messages and deadlines by the ids of their acks.
    awaited: BTreeMap<u64, (u64, Instant)>,
    /// The last event with retries that was heard.
    sure: u64,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum End {
    Before,
    Open,
    Over,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Item {
    Message(u64),
    /// The answer to the event with this id.
    Answer(u64),
}

/// A client's socket.
#[derive(Default)]
pub(crate) struct Socket {
    /// Told to be connected.
    pub(crate) talk: Option<usize>,
    /// Messages that wait for that, with the ids of their acks.
    kept: VecDeque<(u64, Option<u64>)>,
    awaited: BTreeMap<u64, (u64, Instant)>,
    /// Messages with retries, and the ids of their acks.
    sure: VecDeque<(u64, u64)>,
}

struct Message {
    attachments: usize,
    /// How often it may be heard: with retries.
    tries: Option<u32>,
    heard: u32,
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) census: Census,
    pub(crate) sockets: Vec<Vec<Socket>>,
    pub(crate) talks: Vec<Talk>,
    messages: Vec<Message>,
    /// Of each client, the last connection that suffered a fault, and so maybe all before it.
    harmed: Vec<u64>,
    /// Few bytes may wait for a client: the server may give any client up.
    pub(crate) tight: bool,
}

/// For both sides.
impl Ledger {
    pub(crate) fn add_client(&mut self, namespaces: usize) {
        self.sockets.push((0..namespaces).map(|_| Socket::default()).collect());
        self.harmed.push(0);
    }

    pub(crate) fn message(&mut self, attachments: usize, tries: Option<u32>) -> u64 {
        self.messages.push(Message { attachments, tries, heard: 0 });
        self.census.attachments += attachments as u64;
        self.messages.len() as u64 - 1
    }

    /// A fault may show on the connections of a client up to this one.
    pub(crate) fn harm(&mut self, client: usize, link: u64) {
        self.harmed[client] = self.harmed[client].max(link);
    }

    /// A side wants a talk to end.
    pub(crate) fn end(&mut self, talk: usize, side: usize) {
        let talk = &mut self.talks[talk];
        talk.ended_by[side] |= talk.ends[side] == End::Open;
    }

    pub(crate) fn is_open(&self, talk: usize, side: usize) -> bool {
        self.talks[talk].ends[side] == End::Open
    }

    /// Whether all is heard that was said where both sides are connected.
    pub(crate) fn is_settled(&self) -> bool {
        let heard = |talk| SIDES.iter().all(|side| self.heard_all(talk, *side, Instant::EPOCH));
        (0..self.talks.len()).all(|talk| self.talks[talk].ends != [End::Open; 2] || heard(talk))
    }

    /// Whether nobody is connected, and nothing awaited.
    pub(crate) fn is_over(&self) -> bool {
        let is_over = |socket: &Socket| socket.talk.is_none() && socket.awaited.is_empty() && socket.sure.is_empty();
        self.sockets.iter().flatten().all(is_over) && self.talks.iter().all(|talk| talk.ends[SERVER] == End::Over)
    }

    fn check_message(&mut self, body: &Body) -> Option<u32> {
        let message = self.messages.get_mut(body.number as usize).expect("unknown: a message that nobody said");
        assert_eq!(message.attachments, body.attachments, "damaged: the attachments of message {}", body.number);
        message.heard += 1;
        let tries = message.tries;
        assert!(tries.is_none_or(|tries| message.heard <= tries), "twice: message {} beyond its tries", body.number);
        tries
    }

    /// A side hears an item: it is the next one on its way, but for answers that it awaits no more.
    fn hear(&mut self, id: usize, from: usize, item: Item, now: Instant) {
        let talk = &mut self.talks[id];
        assert_eq!(talk.ends[1 - from], End::Open, "outside: {item:?} in {id} for a socket that is not connected");
        assert!(talk.flows[from].contains(&item), "twice: {item:?} in {id}, or nobody said it");
        while let Some(next) = self.talks[id].flows[from].pop_front() {
            if next == item {
                return;
            }
            assert!(!self.awaits(id, 1 - from, next, now), "lost: {next:?} in {id} before {item:?}");
            self.census.answers_dropped += 1;
        }
    }

    /// Whether a side waits for an item that is on its way, or was.
    fn awaits(&self, id: usize, side: usize, item: Item, now: Instant) -> bool {
        let Item::Answer(ack) = item else { return true };
        let talk = &self.talks[id];
        let awaited = match side {
            CLIENT => &self.sockets[talk.place.0][talk.place.1].awaited,
            _ => &talk.awaited,
        };
        awaited.get(&ack).is_some_and(|(_, deadline)| *deadline > now)
    }

    fn heard_all(&self, id: usize, from: usize, now: Instant) -> bool {
        self.talks[id].flows[from].iter().all(|item| !self.awaits(id, 1 - from, *item, now))
    }

    /// A side hears of the end of a talk.
    fn judge(&mut self, id: usize, side: usize, reason: DisconnectReason, now: Instant) {
        let talk = &mut self.talks[id];
        assert_eq!(talk.ends[side], End::Open, "ended: {id} is not connected");
        let (own, other) = (talk.ended_by[side], talk.ended_by[1 - side]);
        let was_heard_of = talk.ends[CLIENT] != End::Before;
        let excused = talk.link <= self.harmed[talk.place.0] || !was_heard_of || self.tight;
        let heard_all = self.heard_all(id, 1 - side, now);
        let rest = &self.talks[id].flows[1 - side];
        match reason {
            DisconnectReason::IoClientDisconnect | DisconnectReason::ServerNamespaceDisconnect => {
                assert!(own, "ended: {id} as if side {side} had wanted it");
            }
            DisconnectReason::IoServerDisconnect | DisconnectReason::ClientNamespaceDisconnect => {
                // A client that does not want it any more when it is let in, leaves at once.
                assert!(other || !was_heard_of, "ended: {id} as if side {} had wanted it", 1 - side);
                assert!(heard_all, "lost: {rest:?} in {id} before the goodbye");
            }
            DisconnectReason::Connection(reason) if !excused && !own => {
                assert!(other, "ended: {id} for no reason: {reason}");
                assert_eq!(side, CLIENT, "lost: the client's goodbye in {id}: {reason}");
                // A POST that meets a session that is over lets nobody wait for the poll with the rest.
                assert!(heard_all || reason == CloseReason::TransportError, "lost: {rest:?} in {id} before the close");
            }
            _ => {}
        }
        self.talks[id].ends[side] = End::Over;
    }
}
