use alloc::boxed::Box;
use alloc::vec::Vec;
use core::{fmt, iter, mem};

use hashbrown::HashTable;

use crate::Random;

/// A room that a socket is in, and its position among the members.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) room: u32,
    pub(super) position: u32,
}

impl Membership {
    /// Stands where there is none. Memory ends long before so many rooms.
    const NONE: Self = Self { room: u32::MAX, position: 0 };

    fn is_some(&self) -> bool {
        self.room != Self::NONE.room
    }
}

/// The rooms that a socket has joined, in the order of joining.
///
/// Most sockets are in one or two, which need no memory of their own; up to [`Joined::FEW`], a search through a vector
/// is fastest and smallest.
#[derive(Clone, Debug)]
pub(super) enum Joined {
    Two([Membership; 2]),
    Few(Vec<Membership>),
    Many(Box<Many>),
}

/// Memberships with gaps, and where each room stands among them.
#[derive(Clone, Debug)]
pub(super) struct Many {
    memberships: Vec<Membership>,
    gaps: usize,
    index: HashTable<u32>,
    key: Key,
}

impl Default for Joined {
    fn default() -> Self {
        Self::Two([Membership::NONE; 2])
    }
}

impl Joined {
    pub(super) const FEW: usize = 128;

    /// Those who are in it, and gaps.
    fn slice(&self) -> &[Membership] {
        match self {
            Self::Two(two) => two,
            Self::Few(few) => few,
            Self::Many(many) => &many.memberships,
        }
    }

    fn slice_mut(&mut self) -> &mut [Membership] {
        match self {
            Self::Two(two) => two,
            Self::Few(few) => few,
            Self::Many(many) => &mut many.memberships,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Membership> {
        self.slice().iter().copied().filter(Membership::is_some)
    }

    fn find(&self, room: u32) -> Option<usize> {
        match self {
            Self::Many(many) => many.find(room),
            _ => find(self.slice(), room),
        }
    }

    pub(super) fn position(&self, room: u32) -> Option<u32> {
        self.find(room).and_then(|at| self.slice().get(at)).map(|joined| joined.position)
    }

    pub(super) fn set_position(&mut self, room: u32, position: u32) {
        if let Some(joined) = self.find(room).and_then(|at| self.slice_mut().get_mut(at)) {
            joined.position = position;
        }
    }

    /// Adds a room that is not in it yet. `key` makes a hash table safe from chosen rooms.
    pub(super) fn insert(&mut self, joined: Membership, key: Key) {
        match self {
            Self::Two(two) => match two.iter_mut().find(|place| !place.is_some()) {
                Some(place) => *place = joined,
                None => *self = Self::Few(two.iter().copied().chain([joined]).collect()),
            },
            Self::Few(few) if few.len() < Self::FEW => few.push(joined),
            Self::Few(few) => {
                let mut many = Many { memberships: mem::take(few), gaps: 0, index: HashTable::new(), key };
                many.build_index();
                many.insert(joined);
                *self = Self::Many(Box::new(many));
            }
            Self::Many(many) => many.insert(joined),
        }
    }

    /// Removes a room and says which position the socket had in it.
    pub(super) fn remove(&mut self, room: u32) -> Option<u32> {
        let at = self.find(room)?;
        let position = self.slice().get(at)?.position;
        match self {
            Self::Two(two) => {
                if at == 0 {
                    two.swap(0, 1);
                }
                two[1] = Membership::NONE;
            }
            Self::Few(few) => {
                few.remove(at);
                match **few {
                    [first, second] => *self = Self::Two([first, second]),
                    _ => super::shrink(few),
                }
            }
            Self::Many(many) => {
                if let Some(rest) = many.remove(room, at) {
                    *self = Self::Few(rest);
                }
            }
        }
        Some(position)
    }
}

impl Many {
    fn find(&self, room: u32) -> Option<usize> {
        let is_it = |at: &u32| self.memberships.get(*at as usize).is_some_and(|joined| joined.room == room);
        self.index.find(self.key.hash(room), is_it).map(|at| *at as usize)
    }

    fn insert(&mut self, joined: Membership) {
        self.memberships.push(joined);
        self.enter(self.memberships.len() - 1, joined.room);
    }

    fn enter(&mut self, at: usize, room: u32) {
        let Self { memberships, index, key, .. } = self;
        let hash_at = |at: &u32| memberships.get(*at as usize).map_or(0, |joined| key.hash(joined.room));
        index.insert_unique(key.hash(room), super::number(at), hash_at);
    }

    /// Leaves a gap, so that the others stay where they are until half of all are gaps. Gives what is left when that is
    /// few.
    fn remove(&mut self, room: u32, at: usize) -> Option<Vec<Membership>> {
        if let Ok(entry) = self.index.find_entry(self.key.hash(room), |known| *known as usize == at) {
            entry.remove();
        }
        if let Some(joined) = self.memberships.get_mut(at) {
            *joined = Membership::NONE;
            self.gaps += 1;
        }
        if self.gaps * 2 <= self.memberships.len() {
            return None;
        }
        self.gaps = 0;
        self.memberships.retain(Membership::is_some);
        self.memberships.shrink_to(self.memberships.len() * 2);
        if self.memberships.len() <= Joined::FEW {
            return Some(mem::take(&mut self.memberships));
        }
        self.build_index();
        None
    }

    fn build_index(&mut self) {
        self.index = HashTable::with_capacity(self.memberships.len() + 1);
        for at in 0..self.memberships.len() {
            if let Some(joined) = self.memberships.get(at) {
                self.enter(at, joined.room);
            }
        }
    }
}

/// Where a room is. Eight are compared at once: a loop without an early end becomes vector instructions, and where among
/// the eight it is no processor can foretell.
fn find(memberships: &[Membership], room: u32) -> Option<usize> {
    const AT_ONCE: usize = 8;
    let (chunks, rest) = memberships.as_chunks::<AT_ONCE>();
    let is_it = |joined: &Membership| joined.room == room;
    for (i, chunk) in chunks.iter().enumerate() {
        if chunk.iter().fold(false, |found, joined| found | is_it(joined)) {
            let before = iter::zip(0.., chunk).fold(0, |at, (i, joined)| if is_it(joined) { i } else { at });
            return Some(i * AT_ONCE + before);
        }
    }
    rest.iter().position(is_it).map(|at| chunks.len() * AT_ONCE + at)
}

/// Hashes numbers of rooms, so that peers cannot choose rooms that collide.
#[derive(Copy, Clone)]
pub(super) struct Key(u64);

impl Key {
    pub(super) fn new(random: &mut Random) -> Self {
        Self(u64::from_le_bytes(random.bytes()))
    }

    /// Spreads a number over 64 bits: its product with an odd number, folded.
    fn hash(self, room: u32) -> u64 {
        let product = u128::from(self.0 ^ u64::from(room)) * 0x9e37_79b9_7f4a_7c15;
        (product as u64) ^ (product >> 64) as u64
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: Key = Key(7);

    /// Rooms of a socket that joins and leaves in turns, so that it is in few and in many.
    fn rooms() -> impl Strategy<Value = Vec<(bool, u32)>> {
        let turn = (0..=10_u32, 1..400_usize).prop_flat_map(|(joins, length)| {
            proptest::collection::vec((0..10_u32, 0..300_u32).prop_map(move |(op, room)| (op < joins, room)), length)
        });
        proptest::collection::vec(turn, 1..8).prop_map(|turns| turns.concat())
    }

    proptest! {
        #[test]
        fn agrees_with_a_list(ops in rooms()) {
            let (mut joined, mut list) = (Joined::default(), Vec::<Membership>::new());
            for (step, (join, room)) in iter::zip(0.., ops) {
                let at = list.iter().position(|known| known.room == room);
                prop_assert_eq!(joined.position(room), at.map(|at| list[at].position));
                match at {
                    None if join => {
                        list.push(Membership { room, position: step });
                        joined.insert(Membership { room, position: step }, KEY);
                    }
                    Some(at) if join => {
                        list[at].position = step;
                        joined.set_position(room, step);
                    }
                    None => prop_assert_eq!(joined.remove(room), None),
                    Some(at) => prop_assert_eq!(joined.remove(room), Some(list.remove(at).position)),
                }
                prop_assert!(joined.slice().len() <= 2 * list.len().max(1), "at most every second is a gap");
                prop_assert!(capacity(&joined) <= 4 * list.len() + 8, "most of the memory is used");
            }
            prop_assert_eq!(joined.iter().collect::<Vec<_>>(), list);
        }
    }

    fn capacity(joined: &Joined) -> usize {
        match joined {
            Joined::Two(two) => two.len(),
            Joined::Few(few) => few.capacity(),
            Joined::Many(many) => many.memberships.capacity(),
        }
    }

    #[test]
    fn leaving_rooms_seldom_moves_the_others() {
        let mut joined = Joined::default();
        let rooms = 0..Joined::FEW as u32;
        rooms.clone().for_each(|room| joined.insert(Membership { room, position: 0 }, KEY));
        let mut capacities = Vec::new();
        for (room, left) in iter::zip(rooms.clone(), rooms.rev()) {
            joined.remove(room);
            assert!(capacity(&joined) < 4 * (left as usize + 1), "{left} have a lot of room");
            capacities.push(capacity(&joined));
        }
        capacities.dedup();
        assert!(capacities.len() < 10, "{capacities:?}");
    }

    #[test]
    fn hashes_differ_where_a_table_looks_whatever_is_common_to_the_rooms() {
        const ROOMS: usize = 4096;
        let mut random = crate::Random::new(crate::Seed::new([5; 32]));
        for shift in (0..=20).step_by(4) {
            let key = Key::new(&mut random);
            let (mut places, mut tags) = ([0; ROOMS], [0; 128]);
            for room in 0..ROOMS as u32 {
                let hash = key.hash(room << shift);
                places[hash as usize % ROOMS] = 1;
                tags[(hash >> 57) as usize] = 1;
            }
            // Chance alone would fill 63 %.
            assert!(places.iter().sum::<usize>() > ROOMS * 3 / 10, "{shift}");
            assert_eq!(tags, [1; 128], "{shift}");
        }
    }

    #[test]
    fn few_and_many_rooms_are_kept_each_in_their_way() {
        let mut joined = Joined::default();
        let all = 0..2 * Joined::FEW as u32;
        for room in all.clone() {
            assert_eq!(matches!(joined, Joined::Two(_)), room <= 2);
            assert_eq!(matches!(joined, Joined::Many(_)), room > Joined::FEW as u32);
            joined.insert(Membership { room, position: 0 }, KEY);
        }
        for room in all {
            assert_eq!(joined.remove(room), Some(0));
        }
        assert!(matches!(joined, Joined::Two([Membership::NONE, Membership::NONE])), "no memory is kept");
    }
}
