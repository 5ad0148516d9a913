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
//! Joining and leaving take constant time, a resolution takes time proportional to the named rooms. A membership costs 16
//! bytes plus the spare room of two growing vectors. Rooms come into being with their first member and are freed with
//! their last; the last socket frees everything. Which sockets join what is the application's decision, so nothing here is
//! limited.
//!
//! The order of recipients depends on the sequence of calls alone: not on the seed, which only makes the hash tables safe
//! from peers who choose their rooms' names.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::{fmt, iter, mem};

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use crate::{Random, Seed, SocketId};

mod joined;

use joined::{Joined, Key, Membership};

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
    places: Places,
    met: Met,
}

impl Rooms {
    /// Nobody in no rooms. `seed` keys the hash tables.
    pub fn new(seed: Seed) -> Self {
        let mut random = Random::new(seed);
        let hasher = NameHasher::new(&mut random);
        let key = Key::new(&mut random);
        Self { index: Index::new(hasher, key), places: Places::default(), met: Met::default() }
    }

    /// Adds a connected socket, which is in the room of its own `id` only.
    ///
    /// Ids are meant to be unique; of several sockets with one id, the id names the last.
    pub fn insert(&mut self, id: &SocketId) -> Slot {
        let index = self.index.add_socket(id);
        self.met.reserve(index);
        self.places.occupy(index)
    }

    /// Removes a socket from all its rooms and the namespace. False if it was gone already.
    pub fn remove(&mut self, slot: Slot) -> bool {
        if !self.places.is_live(slot) {
            return false;
        }
        self.places.vacate(slot);
        self.index.remove_socket(slot.index);
        if self.is_empty() {
            self.index = Index::new(self.index.hasher.clone(), self.index.key);
            self.places.generations = Vec::new();
            self.met = Met::default();
        }
        true
    }

    /// Puts a socket into a room. False, and nothing happens, if it was in it, or is gone.
    pub fn join(&mut self, slot: Slot, room: &str) -> bool {
        self.id(slot).is_some_and(|id| id.as_str() != room) && self.index.join(slot, room)
    }

    /// Takes a socket out of a room. False, and nothing happens, if it was not in it, or is gone; the room of its own id
    /// cannot be left.
    pub fn leave(&mut self, slot: Slot, room: &str) -> bool {
        self.places.is_live(slot) && self.index.leave(slot.index, room)
    }

    /// The rooms that a socket is in: its own id, then the others in the order of joining. Empty if it is gone.
    pub fn rooms(&self, slot: Slot) -> impl Iterator<Item = &str> {
        let socket = self.index.sockets.get(slot.index()).filter(|_| self.places.is_live(slot));
        let own = socket.and_then(|socket| socket.id.as_deref());
        let joined = socket.into_iter().flat_map(|socket| socket.joined.iter());
        own.into_iter().chain(joined.filter_map(|joined| Some(&*self.index.rooms.get(joined.room as usize)?.name)))
    }

    /// Whether a socket is in a room; false if it is gone.
    pub fn contains(&self, slot: Slot, room: &str) -> bool {
        self.id(slot).is_some_and(|id| id.as_str() == room || self.index.is_member(slot.index, room))
    }

    /// The socket with this id.
    pub fn find(&self, id: &str) -> Option<Slot> {
        let index = self.index.find_id(self.index.hasher.hash(id), id)?;
        self.places.slot(index)
    }

    /// The id of a socket, `None` if it is gone.
    pub fn id(&self, slot: Slot) -> Option<&SocketId> {
        self.index.sockets.get(slot.index()).filter(|_| self.places.is_live(slot))?.id.as_ref()
    }

    /// Appends whom `target` reaches to `recipients`, each once.
    ///
    /// `&mut self` is for the marks that tell who was met already: nothing is changed by it.
    pub fn resolve<S: AsRef<str>>(&mut self, target: &Target<'_, S>, recipients: &mut Vec<Slot>) {
        let Self { index, places, met } = self;
        let reach = |name: &S| index.reached(name.as_ref());
        for (own, members) in target.except.iter().map(reach) {
            own.into_iter().chain(members.iter().map(|member| member.index)).for_each(|socket| _ = met.first(socket));
        }
        match target.rooms {
            [] => recipients.extend(places.all().filter(|slot| !met.contains(slot.index))),
            // No name reaches a socket twice: nobody joins the room of its own id.
            [name] => {
                let (own, members) = reach(name);
                let own = own.and_then(|own| places.slot(own));
                if target.except.is_empty() {
                    recipients.extend(own);
                    recipients.extend_from_slice(members);
                } else {
                    recipients.extend(own.filter(|slot| !met.contains(slot.index)));
                    recipients.extend(members.iter().filter(|slot| !met.contains(slot.index)));
                }
            }
            names => {
                let before = recipients.len();
                for (own, members) in names.iter().map(reach) {
                    let own = own.and_then(|own| places.slot(own));
                    recipients.extend(own.filter(|slot| met.first(slot.index)));
                    recipients.extend(members.iter().filter(|slot| met.first(slot.index)));
                }
                recipients.iter().skip(before).for_each(|slot| met.forget(slot.index));
            }
        }
        for (own, members) in target.except.iter().map(reach) {
            own.into_iter().chain(members.iter().map(|member| member.index)).for_each(|socket| met.forget(socket));
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
    key: Key,
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
    /// With their generations, so that a resolution reads nothing else.
    members: Vec<Slot>,
}

impl Index {
    fn new(hasher: NameHasher, key: Key) -> Self {
        Self {
            hasher,
            key,
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
        for Membership { room, position } in socket.joined.iter() {
            self.remove_member(room, position);
        }
        self.free_sockets.push(index);
    }

    fn join(&mut self, slot: Slot, name: &str) -> bool {
        let room = self.find_or_add_room(name);
        // Both exist: the caller has checked the socket, and the room was just found.
        let (Some(Socket { joined, .. }), Some(Room { members, .. })) =
            (self.sockets.get_mut(slot.index()), self.rooms.get_mut(room as usize))
        else {
            return false;
        };
        if joined.position(room).is_some() {
            return false;
        }
        joined.insert(Membership { room, position: number(members.len()) }, self.key);
        members.push(slot);
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
        let Some(last) = members.pop() else { return };
        self.memberships -= 1;
        if let Some(gap) = members.get_mut(position as usize) {
            *gap = last;
            if let Some(moved) = self.sockets.get_mut(last.index()) {
                moved.joined.set_position(room, position);
            }
        }
        shrink(members);
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

    /// The sockets that a name stands for: the one whose id it is, and the members of the room.
    fn reached(&self, name: &str) -> (Option<u32>, &[Slot]) {
        let hash = self.hasher.hash(name);
        let room = self.find_room(hash, name).and_then(|room| self.rooms.get(room as usize));
        (self.find_id(hash, name), room.map_or(&[], |room| &room.members))
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

/// Gives memory back of which little is used. What is left is enough for as many again, so that neither the next one that
/// comes nor the next that goes moves them all.
fn shrink<T>(values: &mut Vec<T>) {
    if values.len() < values.capacity() / 4 {
        values.shrink_to(values.len() * 2);
    }
}

/// Positions are stored in 32 bits: memory ends long before 2^32 sockets, rooms or members of a room do.
fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// Which sockets are connected, by their index: the generation, 0 while nobody uses the place.
#[derive(Clone, Debug, Default)]
struct Places {
    generations: Vec<u32>,
    /// The generation given out last.
    latest: u32,
}

impl Places {
    /// Gives the place to a new socket. Generations repeat after 2^32 sockets, in which time nobody keeps a stale slot.
    fn occupy(&mut self, index: u32) -> Slot {
        self.latest = self.latest.checked_add(1).unwrap_or(1);
        match self.generations.get_mut(index as usize) {
            Some(generation) => *generation = self.latest,
            None => self.generations.push(self.latest),
        }
        Slot { index, generation: self.latest }
    }

    fn vacate(&mut self, slot: Slot) {
        if let Some(generation) = self.generations.get_mut(slot.index()) {
            *generation = 0;
        }
    }

    fn is_live(&self, slot: Slot) -> bool {
        self.generations.get(slot.index()).is_some_and(|generation| *generation == slot.generation)
    }

    fn slot(&self, index: u32) -> Option<Slot> {
        let generation = *self.generations.get(index as usize)?;
        Some(Slot { index, generation })
    }

    /// Every connected socket, in the order of the places.
    fn all(&self) -> impl Iterator<Item = Slot> {
        let slots =
            iter::zip(0.., &self.generations).map(|(index, generation)| Slot { index, generation: *generation });
        slots.filter(|slot| slot.generation != 0)
    }
}

/// The sockets that a resolution has met: one bit each, so that those of a million sockets stay in the cache. None is set
/// between two resolutions.
#[derive(Clone, Debug, Default)]
struct Met(Vec<u64>);

impl Met {
    fn reserve(&mut self, socket: u32) {
        let words = (socket / u64::BITS) as usize + 1;
        if self.0.len() < words {
            self.0.resize(words, 0);
        }
    }

    fn bit(socket: u32) -> u64 {
        1 << (socket % u64::BITS)
    }

    fn contains(&self, socket: u32) -> bool {
        self.0.get((socket / u64::BITS) as usize).is_some_and(|word| word & Self::bit(socket) != 0)
    }

    /// Notes that a socket was met, and tells whether it is the first time.
    fn first(&mut self, socket: u32) -> bool {
        let Some(word) = self.0.get_mut((socket / u64::BITS) as usize) else { return false };
        let before = mem::replace(word, *word | Self::bit(socket));
        before & Self::bit(socket) == 0
    }

    fn forget(&mut self, socket: u32) {
        if let Some(word) = self.0.get_mut((socket / u64::BITS) as usize) {
            *word &= !Self::bit(socket);
        }
    }
}

/// Hashes names under a key that peers cannot know, so that they cannot choose names that collide.
#[derive(Clone)]
struct NameHasher(SipHasher13);

impl NameHasher {
    fn new(random: &mut Random) -> Self {
        Self(SipHasher13::new_with_key(&random.bytes()))
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
