//! Rooms, beside a naive model of them.

use std::collections::{BTreeMap, BTreeSet};

use socketio_protocol::rooms::{Rooms, Slot, Target};
use socketio_protocol::{Seed, SocketId};

use super::trace::ROOMS;

/// The sockets of one namespace, by their ids, which are the numbers of their talks.
pub(crate) struct Members {
    rooms: Rooms,
    slots: BTreeMap<usize, Slot>,
    /// In which of [`ROOMS`] they are.
    model: BTreeMap<usize, BTreeSet<usize>>,
}

impl Members {
    pub(crate) fn new() -> Self {
        Self { rooms: Rooms::new(Seed::new([4; 32])), slots: BTreeMap::new(), model: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, talk: usize, id: &SocketId) {
        self.slots.insert(talk, self.rooms.insert(id));
        self.model.insert(talk, BTreeSet::new());
        self.check(talk);
    }

    pub(crate) fn remove(&mut self, talk: usize) {
        let slot = self.slots.remove(&talk).expect("rooms: a socket that nobody let in");
        assert!(self.rooms.remove(slot), "rooms: {talk} was not there");
        self.model.remove(&talk);
        assert_eq!((self.rooms.id(slot), self.rooms.rooms(slot).count()), (None, 0), "rooms: {talk} is still there");
        self.check_counts();
    }

    pub(crate) fn join(&mut self, talk: usize, room: usize) {
        let is_new = self.model.get_mut(&talk).is_some_and(|joined| joined.insert(room));
        assert_eq!(self.rooms.join(self.slots[&talk], ROOMS[room]), is_new, "rooms: {talk} joins {room}");
        self.check(talk);
    }

    pub(crate) fn leave(&mut self, talk: usize, room: usize) {
        let was_there = self.model.get_mut(&talk).is_some_and(|joined| joined.remove(&room));
        assert_eq!(self.rooms.leave(self.slots[&talk], ROOMS[room]), was_there, "rooms: {talk} leaves {room}");
        self.check(talk);
    }

    /// Whom a broadcast reaches.
    pub(crate) fn resolve(&mut self, room: Option<usize>, except: Option<usize>) -> Vec<usize> {
        let [rooms, except_rooms] = [room, except].map(|room| room.map(|room| ROOMS[room]));
        let target = Target { rooms: rooms.as_slice(), except: except_rooms.as_slice() };
        let mut slots = Vec::new();
        self.rooms.resolve(&target, &mut slots);
        let id =
            |slot: &Slot| self.rooms.id(*slot).and_then(|id| id.parse().ok()).expect("rooms: somebody who is gone");
        let mut reached: Vec<usize> = slots.iter().map(id).collect();
        reached.sort_unstable();
        let is_reached = |joined: &BTreeSet<usize>| {
            room.is_none_or(|room| joined.contains(&room)) && !except.is_some_and(|except| joined.contains(&except))
        };
        let model = self.model.iter().filter(|(_, joined)| is_reached(joined)).map(|(talk, _)| *talk);
        assert_eq!(reached, model.collect::<Vec<_>>(), "rooms: {room:?} without {except:?}");
        reached
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.rooms.memberships() == 0 && self.rooms.room_count() == 0
    }

    fn check(&self, talk: usize) {
        let mut joined: Vec<&str> = self.rooms.rooms(self.slots[&talk]).skip(1).collect();
        joined.sort_unstable();
        let mut model: Vec<&str> = self.model[&talk].iter().map(|room| ROOMS[*room]).collect();
        model.sort_unstable();
        assert_eq!(joined, model, "rooms: of {talk}");
        self.check_counts();
    }

    fn check_counts(&self) {
        let memberships: usize = self.model.values().map(BTreeSet::len).sum();
        let rooms = self.model.values().flatten().collect::<BTreeSet<_>>().len();
        let counts = (self.rooms.len(), self.rooms.memberships(), self.rooms.room_count());
        assert_eq!(counts, (self.model.len(), memberships, rooms), "rooms: counted");
    }
}
