//! Who is in which room, and who a broadcast reaches: the membership of one namespace.
//!
//! [`Rooms`] knows names and numbers only: no packet, no connection. A connected socket is [inserted](Rooms::insert) and
//! becomes a [`Slot`]; a driver keeps a `Vec` of its own handles beside it, found by [`Slot::index`]. Every socket is in
//! the room that its id names, from its insertion to its removal; that room takes no memory.
//!
//! A broadcast is a [`Target`], [resolved](Rooms::resolve) to the slots that it reaches:
//!
//! ```
//! use socketio_protocol::rooms::{Rooms, Target};
//! use socketio_protocol::{Seed, SocketId};
//!
//! let mut rooms = Rooms::new(Seed::new([0; 32]));
//! let (ann, bob) = (rooms.insert(&SocketId::from("ann")), rooms.insert(&SocketId::from("bob")));
//! assert!(rooms.join(ann, "news"));
//! assert!(rooms.join(bob, "news"));
//!
//! let mut recipients = Vec::new();
//! rooms.resolve(&Target { rooms: &["news"], except: &["ann"] }, &mut recipients);
//! assert_eq!(recipients, [bob]);
//! ```
//!
//! Joining and leaving take constant time (logarithmic for a socket in very many rooms), a resolution takes time
//! proportional to the named rooms. A membership costs 12 bytes plus the spare room of two growing vectors. Rooms come
//! into being with their first member and are freed with their last; the last socket frees everything. Which sockets join
//! what is the application's decision, so nothing here is limited.
//!
//! The order of recipients depends on the sequence of calls alone: not on the seed, which only makes the hash tables safe
//! from peers who choose their rooms' names.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::{fmt, iter, mem};

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use crate::{Random, Seed, SocketId};

/// A connected socket in [`Rooms`]: never valid again after the socket was removed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    index: u32,
    generation: u32,
}

impl Slot {
    /// A small number that no other connected socket has, and that is used again after the socket was removed.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// Whom a broadcast reaches: everybody in one of `rooms`, or in the namespace if there are none, but nobody who is in one
/// of `except`. Either may name rooms and ids of sockets; a name that is both means both, a name that is neither nobody.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Target<'a, S = &'a str> {
    /// The rooms that are reached; everybody if empty.
    pub rooms: &'a [S],
    /// The rooms that are left out.
    pub except: &'a [S],
}

impl Target<'_> {
    /// Everybody in the namespace.
    pub const EVERYBODY: Self = Self { rooms: &[], except: &[] };
}

/// The sockets of one namespace and the rooms that they are in.
#[derive(Clone, Debug)]
pub struct Rooms {
    index: Index,
    marks: Marks,
}

impl Rooms {
    /// Nobody in no rooms. `seed` keys the hash tables.
    pub fn new(seed: Seed) -> Self {
        Self { index: Index::new(NameHasher::new(seed)), marks: Marks::default() }
    }

    /// Adds a connected socket, which is in the room of its own `id` only.
    ///
    /// Ids are meant to be unique; of several sockets with one id, the id names the last.
    pub fn insert(&mut self, id: &SocketId) -> Slot {
        let index = self.index.add_socket(id);
        self.marks.occupy(index)
    }

    /// Removes a socket from all its rooms and the namespace. False if it was gone already.
    pub fn remove(&mut self, slot: Slot) -> bool {
        if !self.marks.is_live(slot) {
            return false;
        }
        self.marks.vacate(slot);
        self.index.remove_socket(slot.index);
        if self.is_empty() {
            self.index = Index::new(self.index.hasher.clone());
            self.marks.list = Vec::new();
        }
        true
    }

    /// Puts a socket into a room. False, and nothing happens, if it was in it, or is gone.
    pub fn join(&mut self, slot: Slot, room: &str) -> bool {
        self.id(slot).is_some_and(|id| id.as_str() != room) && self.index.join(slot.index, room)
    }

    /// Takes a socket out of a room. False, and nothing happens, if it was not in it, or is gone; the room of its own id
    /// cannot be left.
    pub fn leave(&mut self, slot: Slot, room: &str) -> bool {
        self.marks.is_live(slot) && self.index.leave(slot.index, room)
    }

    /// The rooms that a socket is in: its own id, then the others in the order of joining. Empty if it is gone.
    pub fn rooms(&self, slot: Slot) -> impl Iterator<Item = &str> {
        let socket = self.index.sockets.get(slot.index()).filter(|_| self.marks.is_live(slot));
        let own = socket.and_then(|socket| socket.id.as_deref());
        let joined = socket.into_iter().flat_map(|socket| socket.joined.rooms());
        own.into_iter().chain(joined.filter_map(|room| Some(&*self.index.rooms.get(room as usize)?.name)))
    }

    /// Whether a socket is in a room; false if it is gone.
    pub fn contains(&self, slot: Slot, room: &str) -> bool {
        self.id(slot).is_some_and(|id| id.as_str() == room || self.index.is_member(slot.index, room))
    }

    /// The socket with this id.
    pub fn find(&self, id: &str) -> Option<Slot> {
        let index = self.index.find_id(self.index.hasher.hash(id), id)?;
        self.marks.slot(index)
    }

    /// The id of a socket, `None` if it is gone.
    pub fn id(&self, slot: Slot) -> Option<&SocketId> {
        self.index.sockets.get(slot.index()).filter(|_| self.marks.is_live(slot))?.id.as_ref()
    }

    /// Appends whom `target` reaches to `recipients`, each once.
    ///
    /// `&mut self` is for the marks that tell who was met already: nothing else changes.
    pub fn resolve<S: AsRef<str>>(&mut self, target: &Target<'_, S>, recipients: &mut Vec<Slot>) {
        let (index, marks) = (&self.index, &mut self.marks);
        marks.next_epoch();
        for socket in target.except.iter().flat_map(|name| index.reached(name.as_ref())) {
            let _ = marks.meet(socket);
        }
        if target.rooms.is_empty() {
            recipients.extend(marks.unmet());
            return;
        }
        for name in target.rooms {
            recipients.extend(index.reached(name.as_ref()).filter_map(|socket| marks.meet(socket)));
        }
    }

    /// How many sockets there are.
    pub fn len(&self) -> usize {
        self.index.sockets.len() - self.index.free_sockets.len()
    }

    /// Whether there is no socket.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many rooms there are, not counting those of the sockets' own ids.
    pub fn room_count(&self) -> usize {
        self.index.rooms.len() - self.index.free_rooms.len()
    }

    /// How many memberships there are in all rooms, not counting those of the sockets' own ids.
    pub fn memberships(&self) -> usize {
        self.index.memberships
    }
}

/// Names to numbers and back. Sockets and rooms are known by their position in a vector, which is used again.
#[derive(Clone, Debug)]
struct Index {
    hasher: NameHasher,
    ids: HashTable<u32>,
    sockets: Vec<Socket>,
    free_sockets: Vec<u32>,
    names: HashTable<u32>,
    rooms: Vec<Room>,
    free_rooms: Vec<u32>,
    memberships: usize,
}

#[derive(Clone, Debug, Default)]
struct Socket {
    /// `None` while nobody uses the place.
    id: Option<SocketId>,
    joined: Joined,
}

#[derive(Clone, Debug, Default)]
struct Room {
    name: Box<str>,
    members: Vec<u32>,
}

impl Index {
    fn new(hasher: NameHasher) -> Self {
        Self {
            hasher,
            ids: HashTable::new(),
            sockets: Vec::new(),
            free_sockets: Vec::new(),
            names: HashTable::new(),
            rooms: Vec::new(),
            free_rooms: Vec::new(),
            memberships: 0,
        }
    }

    fn add_socket(&mut self, id: &SocketId) -> u32 {
        let socket = Socket { id: Some(id.clone()), joined: Joined::default() };
        let index = place(&mut self.sockets, &mut self.free_sockets, socket);
        let hash = self.hasher.hash(id);
        let Self { ids, sockets, hasher, .. } = self;
        let id_of = |index: &u32| sockets.get(*index as usize).and_then(|socket| socket.id.as_deref()).unwrap_or("");
        match ids.find_mut(hash, |index| id_of(index) == id.as_str()) {
            Some(named) => *named = index,
            None => {
                ids.insert_unique(hash, index, |index| hasher.hash(id_of(index)));
            }
        }
        index
    }

    fn remove_socket(&mut self, index: u32) {
        let Some(socket) = self.sockets.get_mut(index as usize).map(mem::take) else { return };
        if let Some(id) = &socket.id
            && let Ok(entry) = self.ids.find_entry(self.hasher.hash(id), |named| *named == index)
        {
            entry.remove();
        }
        for (room, position) in socket.joined.into_memberships() {
            self.remove_member(room, position);
        }
        self.free_sockets.push(index);
    }

    fn join(&mut self, socket: u32, name: &str) -> bool {
        let room = self.find_or_add_room(name);
        // Both exist: the caller has checked the socket, and the room was just found.
        let (Some(Socket { joined, .. }), Some(Room { members, .. })) =
            (self.sockets.get_mut(socket as usize), self.rooms.get_mut(room as usize))
        else {
            return false;
        };
        if joined.position(room).is_some() {
            return false;
        }
        joined.insert(room, number(members.len()));
        members.push(socket);
        self.memberships += 1;
        true
    }

    fn leave(&mut self, socket: u32, name: &str) -> bool {
        let Some(room) = self.find_room(self.hasher.hash(name), name) else { return false };
        let Some(position) = self.sockets.get_mut(socket as usize).and_then(|socket| socket.joined.remove(room)) else {
            return false;
        };
        self.remove_member(room, position);
        true
    }

    fn is_member(&self, socket: u32, name: &str) -> bool {
        let room = self.find_room(self.hasher.hash(name), name);
        let socket = self.sockets.get(socket as usize);
        room.zip(socket).is_some_and(|(room, socket)| socket.joined.position(room).is_some())
    }

    /// Fills the gap at `position` with the last member, who is told its new position. Frees the room with its last.
    fn remove_member(&mut self, room: u32, position: u32) {
        let Some(Room { name, members }) = self.rooms.get_mut(room as usize) else { return };
        if position as usize >= members.len() {
            return;
        }
        members.swap_remove(position as usize);
        self.memberships -= 1;
        if let Some(moved) = members.get(position as usize).and_then(|moved| self.sockets.get_mut(*moved as usize)) {
            moved.joined.set_position(room, position);
        }
        if members.len() < members.capacity() / 4 {
            members.shrink_to(members.len() * 2);
        }
        if members.is_empty() {
            if let Ok(entry) = self.names.find_entry(self.hasher.hash(name), |named| *named == room) {
                entry.remove();
            }
            self.free_room(room);
        }
    }

    fn find_or_add_room(&mut self, name: &str) -> u32 {
        let hash = self.hasher.hash(name);
        if let Some(room) = self.find_room(hash, name) {
            return room;
        }
        let room = Room { name: name.into(), members: Vec::new() };
        let index = place(&mut self.rooms, &mut self.free_rooms, room);
        let Self { names, rooms, hasher, .. } = self;
        names.insert_unique(hash, index, |index| hasher.hash(rooms.get(*index as usize).map_or("", |room| &room.name)));
        index
    }

    fn free_room(&mut self, room: u32) {
        if let Some(room) = self.rooms.get_mut(room as usize) {
            *room = Room::default();
        }
        self.free_rooms.push(room);
        if self.free_rooms.len() == self.rooms.len() {
            self.rooms = Vec::new();
            self.free_rooms = Vec::new();
            self.names = HashTable::new();
        }
    }

    fn find_room(&self, hash: u64, name: &str) -> Option<u32> {
        self.names.find(hash, |room| self.rooms.get(*room as usize).is_some_and(|room| *room.name == *name)).copied()
    }

    fn find_id(&self, hash: u64, id: &str) -> Option<u32> {
        let is_named = |socket: &Socket| socket.id.as_deref() == Some(id);
        self.ids.find(hash, |socket| self.sockets.get(*socket as usize).is_some_and(is_named)).copied()
    }

    /// The sockets that a name stands for: the one whose id it is, then the members of the room.
    fn reached(&self, name: &str) -> impl Iterator<Item = u32> {
        let hash = self.hasher.hash(name);
        let room = self.find_room(hash, name).and_then(|room| self.rooms.get(room as usize));
        let members = room.map_or(&[][..], |room| &room.members);
        self.find_id(hash, name).into_iter().chain(members.iter().copied())
    }
}

/// Puts `value` into a free place, or a new one.
fn place<T>(values: &mut Vec<T>, free: &mut Vec<u32>, value: T) -> u32 {
    if let Some(index) = free.pop()
        && let Some(place) = values.get_mut(index as usize)
    {
        *place = value;
        return index;
    }
    values.push(value);
    number(values.len() - 1)
}

/// Positions are stored in 32 bits: memory ends long before 2^32 sockets, rooms or members of a room do.
fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// The rooms that a socket has joined, and its position in each. Most sockets are in few rooms, where a search through
/// a short vector is fastest and smallest.
#[derive(Clone, Debug)]
enum Joined {
    /// `(room, position)` in the order of joining; at most [`Joined::FEW`].
    Few(Vec<(u32, u32)>),
    Many(Box<Many>),
}

#[derive(Clone, Debug, Default)]
struct Many {
    /// By room: the position, and the key in `in_order`.
    memberships: BTreeMap<u32, (u32, u64)>,
    in_order: BTreeMap<u64, u32>,
    next: u64,
}

impl Default for Joined {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Joined {
    const FEW: usize = 32;

    fn position(&self, room: u32) -> Option<u32> {
        match self {
            Self::Few(few) => few.iter().find(|entry| entry.0 == room).map(|entry| entry.1),
            Self::Many(many) => many.memberships.get(&room).map(|entry| entry.0),
        }
    }

    fn set_position(&mut self, room: u32, position: u32) {
        let stored = match self {
            Self::Few(few) => few.iter_mut().find(|entry| entry.0 == room).map(|entry| &mut entry.1),
            Self::Many(many) => many.memberships.get_mut(&room).map(|entry| &mut entry.0),
        };
        if let Some(stored) = stored {
            *stored = position;
        }
    }

    /// Adds a room that is not in it yet.
    fn insert(&mut self, room: u32, position: u32) {
        match self {
            Self::Few(few) if few.len() < Self::FEW => few.push((room, position)),
            Self::Few(few) => {
                let mut many = Many::default();
                for (room, position) in few.drain(..).chain([(room, position)]) {
                    many.insert(room, position);
                }
                *self = Self::Many(Box::new(many));
            }
            Self::Many(many) => many.insert(room, position),
        }
    }

    /// Removes a room and says which position the socket had in it.
    fn remove(&mut self, room: u32) -> Option<u32> {
        match self {
            Self::Few(few) => {
                let at = few.iter().position(|entry| entry.0 == room)?;
                Some(few.remove(at).1)
            }
            Self::Many(many) => {
                let (position, order) = many.memberships.remove(&room)?;
                many.in_order.remove(&order);
                Some(position)
            }
        }
    }

    /// The rooms in the order of joining.
    fn rooms(&self) -> impl Iterator<Item = u32> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few.iter().map(|entry| entry.0)), None),
            Self::Many(many) => (None, Some(many.in_order.values().copied())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    /// `(room, position)` in no particular, but a deterministic order.
    fn into_memberships(self) -> impl Iterator<Item = (u32, u32)> {
        let (few, many) = match self {
            Self::Few(few) => (few, BTreeMap::new()),
            Self::Many(many) => (Vec::new(), many.memberships),
        };
        few.into_iter().chain(many.into_iter().map(|(room, (position, _))| (room, position)))
    }
}

impl Many {
    fn insert(&mut self, room: u32, position: u32) {
        self.memberships.insert(room, (position, self.next));
        self.in_order.insert(self.next, room);
        self.next += 1;
    }
}

/// What a resolution reads and writes of each socket, apart from all else so that it stays in the cache.
#[derive(Clone, Debug, Default)]
struct Marks {
    list: Vec<Mark>,
    /// The number of the current resolution.
    epoch: u32,
    /// The generation given out last.
    generation: u32,
}

#[derive(Copy, Clone, Debug, Default)]
struct Mark {
    /// 0 while nobody uses the slot.
    generation: u32,
    /// The last resolution that met the socket.
    epoch: u32,
}

impl Marks {
    /// Gives the place to a new socket. Generations repeat after 2^32 sockets, in which time nobody keeps a stale slot.
    fn occupy(&mut self, index: u32) -> Slot {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        let mark = Mark { generation: self.generation, epoch: 0 };
        match self.list.get_mut(index as usize) {
            Some(place) => *place = mark,
            None => self.list.push(mark),
        }
        Slot { index, generation: self.generation }
    }

    fn vacate(&mut self, slot: Slot) {
        if let Some(mark) = self.list.get_mut(slot.index()) {
            *mark = Mark::default();
        }
    }

    fn is_live(&self, slot: Slot) -> bool {
        self.list.get(slot.index()).is_some_and(|mark| mark.generation == slot.generation)
    }

    fn slot(&self, index: u32) -> Option<Slot> {
        let generation = self.list.get(index as usize)?.generation;
        Some(Slot { index, generation })
    }

    /// Starts a resolution: nobody was met.
    fn next_epoch(&mut self) {
        self.epoch = self.epoch.checked_add(1).unwrap_or_else(|| {
            self.list.iter_mut().for_each(|mark| mark.epoch = 0);
            1
        });
    }

    /// Notes that a socket was met, and gives its slot the first time.
    fn meet(&mut self, index: u32) -> Option<Slot> {
        let mark = self.list.get_mut(index as usize)?;
        let first = mark.epoch != self.epoch;
        mark.epoch = self.epoch;
        first.then_some(Slot { index, generation: mark.generation })
    }

    /// Every socket that was not met, in the order of the slots.
    fn unmet(&self) -> impl Iterator<Item = Slot> {
        let unmet = |mark: &Mark| mark.generation != 0 && mark.epoch != self.epoch;
        iter::zip(0.., &self.list)
            .filter(move |(_, mark)| unmet(mark))
            .map(|(index, mark)| Slot { index, generation: mark.generation })
    }
}

/// Hashes names under a key that peers cannot know, so that they cannot choose names that collide.
#[derive(Clone)]
struct NameHasher(SipHasher13);

impl NameHasher {
    fn new(seed: Seed) -> Self {
        Self(SipHasher13::new_with_key(&Random::new(seed).bytes()))
    }

    fn hash(&self, name: &str) -> u64 {
        self.0.hash(name.as_bytes())
    }
}

impl fmt::Debug for NameHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameHasher(..)")
    }
}

#[cfg(test)]
mod tests;
