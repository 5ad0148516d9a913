//! What the clients said and heard, and whether that is what Socket.IO promises.
//!
//! Every client numbers what it says, for each room by itself. The server puts the id of the speaker's socket in front, by
//! which a listener knows from which connection a message came. Promised is:
//!
//! - Messages of one connection are heard in their order and without a gap, by everybody who is in the room all the time:
//!   from the acknowledgement of its `join` on, and until it asks to leave or is disconnected.
//! - Nothing is heard twice, and nothing that a connection said is missing unless that connection broke: `disconnect` sends
//!   what was said before, and what is said while there is no connection is kept for the next one.
//! - With retries nothing is ever missing; what was unanswered when a connection broke may be heard twice.
//! - How the rest of a connection is ordered towards the next one is up to the network: the server may read it late.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use socketio_driver::DisconnectReason;

/// Rooms of each client.
pub(super) const ROOMS: usize = 2;
/// Members of a room, about.
const MEMBERS: u32 = 20;
/// Connections of a client that are remembered.
const REMEMBERED: usize = 16;
/// Every how manieth client sends with retries.
const SURE: u32 = 8;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What everybody may know of everybody.
pub(super) struct Ledger(Vec<Mutex<Record>>);

/// What a client has said.
#[derive(Default)]
pub(super) struct Record {
    /// How many [`Client`](socketio_driver::Client)s it had before this one.
    pub(super) life: u32,
    /// The number of its next message, for each of its rooms.
    pub(super) said: [u64; ROOMS],
    /// Connections that have broken, and how many before this life.
    broken: u64,
    broken_before: u64,
    /// Its last connections, and whether they have broken.
    connections: VecDeque<(u64, bool)>,
}

/// A message, as its sender names it: which of its rooms, sender, life, number.
pub(super) type Said = (usize, u32, u32, u64);

impl Ledger {
    pub(super) fn new(clients: u32) -> Self {
        Self((0..clients).map(|_| Mutex::default()).collect())
    }

    pub(super) fn of(&self, client: u32) -> MutexGuard<'_, Record> {
        lock(&self.0[client as usize])
    }

    fn clients(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    fn groups(&self) -> u32 {
        (self.clients() / MEMBERS).max(1)
    }

    /// The group that a client is in, in one of the ways to make groups.
    fn group(&self, client: u32, room: usize) -> u32 {
        if room == 0 { (client / MEMBERS).min(self.groups() - 1) } else { client % self.groups() }
    }

    /// The name of a room of a client.
    pub(super) fn room(&self, client: u32, room: usize) -> String {
        format!("group-{room}-{}", self.group(client, room))
    }

    /// How many rooms there are when everybody is where it belongs.
    pub(super) fn rooms(&self) -> usize {
        self.groups() as usize * ROOMS
    }

    /// Those who are in a room of a client.
    pub(super) fn members(&self, client: u32, room: usize) -> impl Iterator<Item = u32> {
        let group = self.group(client, room);
        (0..self.clients()).filter(move |&other| self.group(other, room) == group)
    }
}

/// Whether a client sends with retries.
pub(super) fn is_sure(client: u32) -> bool {
    client % SURE == SURE - 1
}

impl Record {
    /// A new client of the same number.
    pub(super) fn begin(&mut self) {
        (self.life, self.said, self.broken_before) = (self.life + 1, [0; ROOMS], self.broken);
    }

    fn place(&self, connection: u64) -> Option<usize> {
        self.connections.iter().position(|(known, _)| *known == connection)
    }

    /// Whether some connection has broken that was there from `connection` on, and before that of `now`.
    fn has_broken_since(&self, connection: u64, now: u64) -> bool {
        let Some(from) = self.place(connection) else { return true };
        let to = self.place(now).unwrap_or(self.connections.len());
        self.connections.range(from..to.max(from)).any(|(_, broken)| *broken)
    }

    /// Whether a connection of this life has broken. Of an earlier one it is not known any more.
    fn has_broken_in(&self, life: u32) -> bool {
        life != self.life || self.broken > self.broken_before
    }

    /// Whether `connection` had ended before `later` was made.
    fn is_rest(&self, connection: u64, later: u64) -> bool {
        match (self.place(connection), self.place(later)) {
            (Some(at), Some(later)) => at < later,
            // Long ago.
            (None, Some(_)) => true,
            _ => false,
        }
    }
}

/// Whether a client is in one of its rooms.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Membership {
    #[default]
    Out,
    /// It has asked to join or to leave, and does not know whether it has.
    Between,
    In,
}

/// The last that was heard of somebody.
struct Heard {
    life: u32,
    number: u64,
    connection: u64,
    /// In an earlier stay in the room: what was said between is not missing.
    earlier: bool,
}

/// What somebody had said when this client had joined: all later messages are for it, too.
struct Start {
    life: u32,
    number: u64,
    broken: u64,
}

/// What a client knows of one of its rooms.
#[derive(Default)]
struct Room {
    membership: Membership,
    heard: HashMap<u32, Heard>,
    starts: HashMap<u32, Start>,
    /// What is to come yet, by sender and number: others have come by a later connection.
    owed: HashSet<(u32, u64)>,
}

/// What one [`Client`](socketio_driver::Client) goes through.
pub(super) struct Journal {
    client: u32,
    rooms: [Room; ROOMS],
    /// How often it was connected and disconnected: odd while it is connected.
    pub(super) turns: u64,
    /// Somebody is about to break the connection.
    pub(super) expects_break: bool,
    pub(super) echoes: Echoes,
}

/// Numbers that the server sends back.
#[derive(Default)]
pub(super) struct Echoes {
    pub(super) next: u64,
    last: Option<u64>,
    /// What the first of a connection can be at most: from there on they were kept.
    bound: Option<u64>,
}

pub(super) type Verdict = Result<(), String>;

impl Journal {
    pub(super) fn new(client: u32) -> Self {
        let echoes = Echoes { bound: Some(0), ..Echoes::default() };
        Self { client, rooms: Default::default(), turns: 0, expects_break: false, echoes }
    }

    pub(super) fn is_connected(&self) -> bool {
        Self::is_connected_in(self.turns)
    }

    pub(super) fn is_connected_in(turn: u64) -> bool {
        turn % 2 == 1
    }

    pub(super) fn membership(&self, room: usize) -> Membership {
        self.rooms[room].membership
    }

    pub(super) fn connected(&mut self, ledger: &Ledger, id: Option<&str>) -> Verdict {
        let was_connected = self.is_connected();
        self.turns += 1;
        if was_connected {
            return Err("told twice that it is connected".into());
        }
        let Some(id) = id else { return Err("connected without an id".into()) };
        let connections = &mut ledger.of(self.client).connections;
        if connections.len() == REMEMBERED {
            connections.pop_front();
        }
        connections.push_back((digest(id), false));
        Ok(())
    }

    pub(super) fn disconnected(&mut self, ledger: &Ledger, reason: DisconnectReason) -> Verdict {
        let was_connected = self.is_connected();
        self.turns += 1;
        for room in &mut self.rooms {
            // Requests under way may be carried out on the next connection.
            if room.membership == Membership::In {
                room.membership = Membership::Out;
            }
            room.end_stay();
        }
        self.echoes.bound = Some(self.echoes.next);
        if !was_connected {
            return Err(format!("told that it is disconnected, and was not connected: {reason}"));
        }
        if reason == DisconnectReason::IoClientDisconnect {
            return Ok(());
        }
        let mut record = ledger.of(self.client);
        record.broken += 1;
        if let Some((_, broken)) = record.connections.back_mut() {
            *broken = true;
        }
        if self.expects_break { Ok(()) } else { Err(format!("disconnected for no reason: {reason}")) }
    }

    /// It asks to join or to leave.
    pub(super) fn asks(&mut self, room: usize) {
        self.rooms[room].membership = Membership::Between;
    }

    /// It has joined: it hears everything that is said from now on.
    pub(super) fn joined(&mut self, ledger: &Ledger, room: usize) {
        let client = self.client;
        let room_of = &mut self.rooms[room];
        room_of.membership = Membership::In;
        for member in ledger.members(client, room) {
            if room_of.heard.get(&member).is_none_or(|heard| heard.earlier) {
                let record = ledger.of(member);
                let start = Start { life: record.life, number: record.said[room], broken: record.broken };
                room_of.starts.insert(member, start);
            }
        }
    }

    /// It has left.
    pub(super) fn left(&mut self, room: usize) {
        self.rooms[room].membership = Membership::Out;
        self.rooms[room].end_stay();
    }

    /// It hears a message.
    pub(super) fn hears(&mut self, ledger: &Ledger, connection: &str, (room, sender, life, number): Said) -> Verdict {
        let record = ledger.of(sender);
        let connection = digest(connection);
        let Some(place) = self.rooms.get_mut(room) else { return Err("heard in a room that there is not".into()) };
        let what = || format!("{number} of client {sender}.{life} in its room {room}");
        if place.membership == Membership::Out {
            return Err(format!("heard {} without being there", what()));
        }
        let last = place.heard.get(&sender);
        if last.is_some_and(|last| last.connection != connection && record.is_rest(connection, last.connection)) {
            place.owed.remove(&(sender, number));
            return Ok(());
        }
        if last.is_some_and(|last| life < last.life) {
            return Err(format!("heard {} after a later client", what()));
        }
        let last = last.filter(|last| last.life == life);
        let is_other = last.is_some_and(|last| last.connection != connection);
        // What is missing: the first that is heard in a stay may be of a later connection, too.
        let may_come_yet = is_other || last.is_none_or(|last| last.earlier);
        if let Some(last) = last
            && number < last.number + u64::from(!(is_other && is_sure(sender)))
        {
            return Err(format!("heard {} after {}", what(), last.number));
        }
        let (expected, may_lack) = match (last, place.starts.get(&sender)) {
            (Some(last), _) if !last.earlier => {
                (last.number + 1, is_other && record.has_broken_since(last.connection, connection))
            }
            (_, Some(start)) if start.life == life => (start.number, record.broken > start.broken),
            // It was on its way already when this client learnt that it had joined.
            (_, Some(start)) if start.life > life => (number, true),
            // Of a client that has begun in the time since.
            (_, Some(_)) => (0, record.has_broken_in(life)),
            (None, None) if place.heard.get(&sender).is_some_and(|heard| !heard.earlier) => {
                (0, record.has_broken_in(life))
            }
            // It is not known when this client joined.
            _ => (number, true),
        };
        if place.starts.get(&sender).is_some_and(|start| start.life <= life) {
            place.starts.remove(&sender);
        }
        place.heard.insert(sender, Heard { life, number, connection, earlier: false });
        if number > expected && may_come_yet && !is_sure(sender) && !may_lack {
            place.owed.extend((expected..number).map(|owed| (sender, owed)));
        } else if number > expected && (is_sure(sender) || !may_lack) {
            return Err(format!("heard {}, and {expected} is missing", what()));
        }
        Ok(())
    }

    /// Everybody has said something, and nobody says anything more: the last words of all have been heard.
    pub(super) fn check(&self, ledger: &Ledger) -> Verdict {
        for (room, place) in self.rooms.iter().enumerate() {
            if let Some((sender, number)) = place.owed.iter().next() {
                return Err(format!("{number} of client {sender} in its room {room} has never come"));
            }
            for member in ledger.members(self.client, room) {
                let (life, said) = {
                    let record = ledger.of(member);
                    (record.life, record.said[room])
                };
                let heard = place.heard.get(&member).filter(|heard| heard.life == life && !heard.earlier);
                let next = heard.map(|heard| heard.number + 1);
                if next != Some(said) {
                    return Err(format!(
                        "client {member}.{life} has said {said} messages in room {room}, heard is what is before {next:?}"
                    ));
                }
            }
        }
        self.echoes.check()
    }
}

impl Room {
    fn end_stay(&mut self) {
        self.heard.values_mut().for_each(|heard| heard.earlier = true);
        self.starts.clear();
        self.owed.clear();
    }
}

impl Echoes {
    pub(super) fn comes(&mut self, number: u64) -> Verdict {
        let last = self.last.replace(number);
        if last.is_some_and(|last| number <= last) {
            return Err(format!("echo {number} after {last:?}"));
        }
        match self.bound.take() {
            Some(bound) if number > bound => Err(format!("echo {number}, and {bound} was kept")),
            None if last != Some(number.wrapping_sub(1)) => Err(format!("echo {number} after {last:?}")),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Verdict {
        if self.next == 0 || (self.bound.is_none() && self.last == Some(self.next - 1)) {
            return Ok(());
        }
        Err(format!("{} echoes are awaited, and the last that came is {:?}", self.next, self.last))
    }
}

/// Ids in little room.
fn digest(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
