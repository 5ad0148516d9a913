//! Rooms beside a naive model of them: lists. The order of recipients depends on the calls alone, not on the seed.

use std::collections::BTreeMap;

use socketio_protocol::rooms::{Rooms, Slot, Target};
use socketio_protocol::{Seed, SocketId};

use crate::machines::Ops;

/// Operations of an application.
pub fn rooms(data: &[u8]) {
    let mut ops = Ops::new(data);
    let mut world = World::default();
    while !ops.is_empty() {
        world.step(&mut ops);
    }
    world.finish();
}

struct World {
    rooms: Rooms,
    /// The same under another seed.
    other: Rooms,
    /// Of all sockets that ever were; the rooms that they joined, in order. `None` once they are gone.
    sockets: Vec<(Slot, Option<Member>)>,
    /// Whom an id names: the last of those that have it.
    named: BTreeMap<String, Slot>,
}

#[derive(Clone)]
struct Member {
    id: String,
    joined: Vec<String>,
}

impl Default for World {
    fn default() -> Self {
        let [rooms, other] = [1, 2].map(|seed| Rooms::new(Seed::new([seed; 32])));
        Self { rooms, other, sockets: Vec::new(), named: BTreeMap::new() }
    }
}

impl World {
    fn step(&mut self, ops: &mut Ops<'_>) {
        match ops.below(8) {
            0 => self.insert(name(ops)),
            1 => {
                let socket = self.any(ops);
                self.remove(socket);
            }
            2 | 3 => {
                let (socket, room) = (self.any(ops), name(ops));
                self.join(socket, &room);
            }
            4 => {
                let (socket, room) = (self.any(ops), name(ops));
                self.leave(socket, &room);
            }
            5 => self.move_between_many(ops),
            6 => self.rooms = self.rooms.clone(),
            _ => {
                let [rooms, except] = [(); 2].map(|()| (0..ops.below(4)).map(|_| name(ops)).collect::<Vec<_>>());
                self.resolve(&rooms, &except);
            }
        }
    }

    /// Joins or leaves so many rooms that they are kept in another way.
    fn move_between_many(&mut self, ops: &mut Ops<'_>) {
        let (socket, joins, from, count) = (self.any(ops), ops.flag(), ops.below(200), ops.below(200));
        for room in from..from + count {
            let room = room.to_string();
            if joins { self.join(socket, &room) } else { self.leave(socket, &room) }
        }
    }

    /// The number of a socket, or of one that is gone.
    fn any(&mut self, ops: &mut Ops<'_>) -> usize {
        if self.sockets.is_empty() {
            self.insert("a".into());
        }
        let back = ops.below(16).min(self.sockets.len() - 1);
        self.sockets.len() - 1 - back
    }

    fn insert(&mut self, id: String) {
        let slot = self.rooms.insert(&SocketId::from(&*id));
        assert_eq!(self.other.insert(&SocketId::from(&*id)), slot);
        assert!(self.sockets.iter().all(|(other, _)| *other != slot), "a slot is used again");
        self.named.insert(id.clone(), slot);
        self.sockets.push((slot, Some(Member { id, joined: Vec::new() })));
        self.check();
    }

    fn remove(&mut self, socket: usize) {
        let (slot, member) = &mut self.sockets[socket];
        let (slot, member) = (*slot, member.take());
        assert_eq!([self.rooms.remove(slot), self.other.remove(slot)], [member.is_some(); 2]);
        if let Some(member) = member
            && self.named.get(&member.id) == Some(&slot)
        {
            self.named.remove(&member.id);
        }
        self.check();
    }

    fn join(&mut self, socket: usize, room: &str) {
        let (slot, member) = &mut self.sockets[socket];
        let member = member.as_mut().filter(|member| !member.is_in(room));
        assert_eq!([self.rooms.join(*slot, room), self.other.join(*slot, room)], [member.is_some(); 2]);
        if let Some(member) = member {
            member.joined.push(room.into());
        }
        assert_eq!(self.rooms.contains(*slot, room), self.sockets[socket].1.is_some());
    }

    fn leave(&mut self, socket: usize, room: &str) {
        let (slot, member) = &mut self.sockets[socket];
        let member = member.as_mut().filter(|member| member.joined.iter().any(|joined| joined == room));
        assert_eq!([self.rooms.leave(*slot, room), self.other.leave(*slot, room)], [member.is_some(); 2]);
        if let Some(member) = member {
            member.joined.retain(|joined| joined != room);
        }
        let own = self.sockets[socket].1.as_ref().is_some_and(|member| member.id == room);
        assert_eq!(self.rooms.contains(self.sockets[socket].0, room), own);
    }

    fn resolve(&mut self, rooms: &[String], except: &[String]) {
        let (mut recipients, mut others) = (Vec::new(), Vec::new());
        self.rooms.resolve(&Target { rooms, except }, &mut recipients);
        self.other.resolve(&Target { rooms, except }, &mut others);
        assert_eq!(recipients, others, "the seed makes a difference");

        let reached = |names: &[String], slot: &Slot, member: &Member| {
            names.iter().any(|name| self.named.get(name) == Some(slot) || member.joined.contains(name))
        };
        let all = self.sockets.iter().filter_map(|(slot, member)| Some((slot, member.as_ref()?)));
        let mut expected: Vec<_> = all
            .filter(|(slot, member)| rooms.is_empty() || reached(rooms, slot, member))
            .filter(|(slot, member)| !reached(except, slot, member))
            .map(|(slot, _)| *slot)
            .collect();
        expected.sort_by_key(|slot| slot.index());
        recipients.sort_by_key(|slot| slot.index());
        assert_eq!(recipients, expected);
    }

    /// What the rooms say of everybody.
    fn check(&self) {
        let members: Vec<_> = self.sockets.iter().filter_map(|(_, member)| member.as_ref()).collect();
        let mut names: Vec<_> = members.iter().flat_map(|member| &member.joined).collect();
        assert_eq!((self.rooms.len(), self.rooms.is_empty()), (members.len(), members.is_empty()));
        assert_eq!(self.rooms.memberships(), names.len());
        names.sort();
        names.dedup();
        assert_eq!(self.rooms.room_count(), names.len());
        for (slot, member) in &self.sockets {
            let own = member.iter().map(|member| &member.id);
            let expected: Vec<_> = own.chain(member.iter().flat_map(|member| &member.joined)).collect();
            assert_eq!(self.rooms.rooms(*slot).collect::<Vec<_>>(), expected);
            assert_eq!(self.rooms.id(*slot).map(SocketId::as_str), member.as_ref().map(|member| &*member.id));
        }
        for id in ["a", "b", "c", "0"] {
            assert_eq!(self.rooms.find(id), self.named.get(id).copied());
        }
    }

    fn finish(&mut self) {
        self.check();
        (0..self.sockets.len()).for_each(|socket| self.remove(socket));
    }
}

impl Member {
    fn is_in(&self, room: &str) -> bool {
        self.id == room || self.joined.iter().any(|joined| joined == room)
    }
}

/// An id, a room, or both.
fn name(ops: &mut Ops<'_>) -> String {
    (*ops.pick(&["a", "b", "c", "0", "1", "2", "3", "150", "", "\u{e9}"])).into()
}
