use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn new() -> Rooms {
    Rooms::new(Seed::new([3; 32]))
}

fn insert<const N: usize>(rooms: &mut Rooms, ids: [&str; N]) -> [Slot; N] {
    ids.map(|id| rooms.insert(&SocketId::from(id)))
}

fn resolve(rooms: &mut Rooms, names: &[&str], except: &[&str]) -> Vec<Slot> {
    let mut out = Vec::new();
    rooms.resolve(&Target { rooms: names, except }, &mut out);
    out
}

fn names(rooms: &Rooms, slot: Slot) -> Vec<&str> {
    rooms.rooms(slot).collect()
}

fn is_unused(rooms: &Rooms) -> bool {
    let Index { ids, sockets, names, rooms: list, free_sockets, free_rooms, .. } = &rooms.index;
    ids.capacity() + names.capacity() == 0
        && sockets.capacity() + list.capacity() + free_sockets.capacity() + free_rooms.capacity() == 0
        && rooms.places.generations.capacity() + rooms.met.0.capacity() == 0
}

#[test]
fn one_socket_in_two_target_rooms_receives_one_copy() {
    let mut rooms = new();
    let [a, b] = insert(&mut rooms, ["a", "b"]);
    for room in ["x", "y"] {
        assert!(rooms.join(a, room));
    }
    assert!(rooms.join(b, "y"));
    assert_eq!(resolve(&mut rooms, &["x", "y", "x"], &[]), [a, b]);
    assert_eq!(resolve(&mut rooms, &["x", "y", "a"], &[]), [a, b]);
}

#[test]
fn emit_to_the_room_of_a_sockets_own_id_reaches_it() {
    let mut rooms = new();
    let [a, b] = insert(&mut rooms, ["a", "b"]);
    assert_eq!(resolve(&mut rooms, &["a"], &[]), [a]);
    assert_eq!(resolve(&mut rooms, &["b", "a"], &[]), [b, a]);
    assert_eq!(resolve(&mut rooms, &[], &["a"]), [b]);
    assert_eq!(resolve(&mut rooms, &["a"], &["b"]), [a]);
    assert_eq!(resolve(&mut rooms, &["a"], &["a"]), []);
    assert!(rooms.contains(a, "a"));
    assert!(!rooms.contains(a, "b"));
    assert_eq!(rooms.find("b"), Some(b));
}

#[test]
fn a_name_that_is_a_room_and_an_id_means_both() {
    let mut rooms = new();
    let [a, b, c] = insert(&mut rooms, ["a", "b", "c"]);
    assert!(rooms.join(b, "a"));
    assert_eq!(resolve(&mut rooms, &["a"], &[]), [a, b]);
    assert_eq!(resolve(&mut rooms, &[], &["a"]), [c]);
}

#[test]
fn rooms_joined_in_rejected_middleware_do_not_leak() {
    let mut rooms = new();
    let [a, other] = insert(&mut rooms, ["a", "other"]);
    assert!(rooms.join(other, "room"));
    for i in 0..100 {
        assert!(rooms.join(a, &format!("room {i}")));
    }
    assert!(rooms.remove(a));
    assert_eq!((rooms.len(), rooms.room_count(), rooms.memberships()), (1, 1, 1));
    assert!(rooms.remove(other));
    assert!(is_unused(&rooms), "the last one takes everything along");
    assert!(!rooms.join(a, "late"), "a socket that is gone joins nothing");
    assert_eq!(rooms.room_count(), 0);
}

#[test]
fn the_own_room_is_neither_joined_nor_left() {
    let mut rooms = new();
    let [a] = insert(&mut rooms, ["a"]);
    assert!(!rooms.join(a, "a"));
    assert!(!rooms.leave(a, "a"));
    assert_eq!(names(&rooms, a), ["a"]);
    assert_eq!(rooms.room_count(), 0);
}

#[test]
fn rooms_are_told_in_the_order_of_joining() {
    for count in [3_usize, Joined::FEW, Joined::FEW + 1, 100] {
        let mut rooms = new();
        let [a, b] = insert(&mut rooms, ["a", "b"]);
        let all: Vec<String> = (0..count).rev().map(|i| i.to_string()).collect();
        for room in &all {
            rooms.join(b, room);
            assert!(rooms.join(a, room));
            assert!(!rooms.join(a, room));
        }
        assert!(rooms.leave(a, &all[1]));
        assert!(!rooms.leave(a, &all[1]));
        assert!(rooms.join(a, &all[1]));
        let mut expected = vec!["a".to_string()];
        expected.extend(all.iter().cloned());
        let moved = expected.remove(2);
        expected.push(moved);
        assert_eq!(names(&rooms, a), expected);
        assert!(names(&rooms, a).iter().all(|room| rooms.contains(a, room)));
    }
}

#[test]
fn stale_slots_do_nothing_even_when_the_slot_is_used_again() {
    let mut rooms = new();
    let [a, _keeper] = insert(&mut rooms, ["a", "keeper"]);
    rooms.join(a, "x");
    assert!(rooms.remove(a));
    assert!(!rooms.remove(a));
    let [b] = insert(&mut rooms, ["b"]);
    assert_eq!(a.index(), b.index(), "places are used again");
    assert!(!rooms.join(a, "x") && !rooms.leave(a, "x") && !rooms.contains(a, "b") && !rooms.remove(a));
    assert_eq!(names(&rooms, a), [""; 0]);
    assert_eq!(rooms.id(a), None);
    assert_eq!(rooms.find("a"), None);
    assert_eq!(names(&rooms, b), ["b"]);
}

#[test]
fn slots_of_before_the_last_socket_left_stay_stale() {
    let mut rooms = new();
    let [a] = insert(&mut rooms, ["a"]);
    rooms.remove(a);
    let [b] = insert(&mut rooms, ["b"]);
    assert_ne!(a, b);
    assert!(!rooms.remove(a));
}

#[test]
fn empty_rooms_are_freed_and_large_ones_shrink() {
    let mut rooms = new();
    let slots: Vec<_> = (0..100).map(|i| rooms.insert(&SocketId::from(&*i.to_string()))).collect();
    for slot in &slots {
        rooms.join(*slot, "x");
    }
    let (mut moves, mut before) = (0, rooms.index.rooms[0].members.capacity());
    for slot in &slots[1..] {
        assert!(rooms.leave(*slot, "x"));
        let members = &rooms.index.rooms[0].members;
        assert!(members.capacity() < 4 * (members.len() + 1));
        moves += usize::from(mem::replace(&mut before, members.capacity()) != members.capacity());
    }
    assert!(moves < 10, "leaving takes constant time");
    assert!(rooms.leave(slots[0], "x"));
    assert_eq!((rooms.len(), rooms.room_count(), rooms.memberships()), (100, 0, 0));
    assert_eq!(rooms.index.rooms.capacity(), 0);
}

#[test]
fn a_resolution_leaves_no_marks() {
    let mut rooms = new();
    let [a, b] = insert(&mut rooms, ["a", "b"]);
    rooms.join(b, "x");
    for _ in 0..3 {
        assert_eq!(resolve(&mut rooms, &[], &["x"]), [a]);
        assert_eq!(resolve(&mut rooms, &["x", "b", "a"], &[]), [b, a]);
        assert_eq!(resolve(&mut rooms, &["x", "b", "a"], &["b", "x"]), [a]);
        assert!(rooms.met.0.iter().all(|word| *word == 0));
    }
}

#[test]
fn of_two_sockets_with_one_id_the_last_is_named() {
    let mut rooms = new();
    let [a, b] = insert(&mut rooms, ["same", "same"]);
    assert_eq!(rooms.find("same"), Some(b));
    assert!(rooms.remove(a));
    assert_eq!(rooms.find("same"), Some(b));
    assert!(rooms.remove(b));
    assert_eq!(rooms.find("same"), None);
}

#[test]
fn targets_are_made_from_what_drivers_hold() {
    let mut rooms = new();
    let [a, b] = insert(&mut rooms, ["a", "b"]);
    let mut out = Vec::new();
    rooms.resolve(&Target::EVERYBODY, &mut out);
    let (owned, none): (Vec<Box<str>>, Vec<Box<str>>) = (vec!["b".into()], Vec::new());
    rooms.resolve(&Target { rooms: &owned, except: &none }, &mut out);
    rooms.resolve(&Target { rooms: &[], except: &[SocketId::from("b")] }, &mut out);
    assert_eq!(out, [a, b, b, a], "recipients are appended");
}

#[test]
fn keys_are_not_shown() {
    let mut rooms = new();
    let socket = rooms.insert(&SocketId::from("a"));
    assert!((0..=Joined::FEW).all(|room| rooms.join(socket, &room.to_string())));
    let shown = format!("{rooms:?}");
    assert!(shown.contains("hasher: NameHasher(..)"));
    assert_eq!(shown.matches("key: ").count(), 2, "of all rooms, and of those of the socket");
    assert_eq!(shown.matches("key: Key(..)").count(), 2);
}

#[test]
fn a_socket_in_no_room_is_small() {
    assert!(size_of::<Socket>() + size_of::<u32>() <= 48);
    assert_eq!(size_of::<Slot>(), 8);
}

#[test]
fn a_million_memberships() {
    const ROOMS: usize = 1000;
    const ROOMS_OF_EACH: usize = 10;
    let mut rooms = new();
    let name: Vec<String> = (0..ROOMS).map(|i| format!("room {i}")).collect();
    let slots: Vec<_> = (0..100_000).map(|i| rooms.insert(&SocketId::from(&*i.to_string()))).collect();
    let of = |socket: usize| (0..ROOMS_OF_EACH).map(move |i| (socket + i * 37) % ROOMS);
    for (i, slot) in slots.iter().enumerate() {
        assert!(of(i).all(|room| rooms.join(*slot, &name[room])));
    }
    assert_eq!((rooms.memberships(), rooms.room_count()), (1_000_000, ROOMS));
    assert_eq!(rooms.met.0.len(), slots.len().div_ceil(64), "one bit for each");
    assert_eq!(resolve(&mut rooms, &["room 7"], &[]).len(), 1000);
    assert_eq!(resolve(&mut rooms, &["room 0", "room 37"], &[]).len(), 1100);
    for (i, slot) in slots.iter().enumerate() {
        if i % 2 == 0 {
            assert!(of(i).all(|room| rooms.leave(*slot, &name[room])));
        } else {
            assert!(rooms.remove(*slot));
        }
    }
    assert_eq!((rooms.len(), rooms.memberships(), rooms.room_count()), (50_000, 0, 0));
}

#[test]
fn one_socket_in_very_many_rooms() {
    let mut rooms = new();
    let [a, b] = insert(&mut rooms, ["a", "b"]);
    let name: Vec<String> = (0..20_000).map(|i| i.to_string()).collect();
    assert!(name.iter().all(|name| rooms.join(a, name) && rooms.join(b, name)));
    assert!(name.iter().all(|name| rooms.leave(a, name)));
    assert_eq!(rooms.memberships(), name.len());
    assert_eq!(resolve(&mut rooms, &["19999"], &[]), [b]);
    assert!(name.iter().all(|name| rooms.leave(b, name)));
    assert_eq!((rooms.memberships(), rooms.room_count()), (0, 0));
}

#[derive(Clone, Debug)]
enum Op {
    Insert,
    Remove(usize),
    Join(usize, u8),
    Leave(usize, u8),
    Resolve(Vec<u8>, Vec<u8>),
}

fn op() -> impl Strategy<Value = Op> {
    let names = || proptest::collection::vec(any::<u8>(), 0..4);
    prop_oneof![
        2 => Just(Op::Insert),
        1 => any::<usize>().prop_map(Op::Remove),
        8 => (any::<usize>(), any::<u8>()).prop_map(|(s, r)| Op::Join(s, r)),
        4 => (any::<usize>(), any::<u8>()).prop_map(|(s, r)| Op::Leave(s, r)),
        2 => (names(), names()).prop_map(|(r, e)| Op::Resolve(r, e)),
    ]
}

/// Some names are those of sockets.
fn name(number: u8) -> String {
    if number < 10 { format!("socket {number}") } else { format!("room {}", number % 45) }
}

/// The naive model: sockets by number, rooms by name; every socket is in the room of its id.
#[derive(Default)]
struct Model {
    ids: BTreeMap<usize, String>,
    rooms: BTreeMap<String, BTreeSet<usize>>,
    order: BTreeMap<usize, Vec<String>>,
}

impl Model {
    fn join(&mut self, socket: usize, room: &str) -> bool {
        let fresh = self.ids.contains_key(&socket) && self.rooms.entry(room.into()).or_default().insert(socket);
        if fresh {
            self.order.entry(socket).or_default().push(room.into());
        }
        fresh
    }

    fn leave(&mut self, socket: usize, room: &str) -> bool {
        let was = self.ids.get(&socket).is_some_and(|id| id != room)
            && self.rooms.get_mut(room).is_some_and(|members| members.remove(&socket));
        if was {
            self.order.get_mut(&socket).unwrap().retain(|name| name != room);
        }
        was
    }

    fn remove(&mut self, socket: usize) -> bool {
        self.rooms.values_mut().for_each(|members| _ = members.remove(&socket));
        self.order.remove(&socket);
        self.ids.remove(&socket).is_some()
    }

    fn resolve(&self, rooms: &[String], except: &[String]) -> BTreeSet<usize> {
        let union = |names: &[String]| -> BTreeSet<usize> {
            names.iter().filter_map(|name| self.rooms.get(name)).flatten().copied().collect()
        };
        let all = if rooms.is_empty() { self.ids.keys().copied().collect() } else { union(rooms) };
        &all - &union(except)
    }
}

proptest! {
    #[test]
    fn agrees_with_a_naive_model(ops in proptest::collection::vec(op(), 1..300)) {
        let mut rooms = new();
        let mut model = Model::default();
        let mut slots = Vec::new();
        for op in ops {
            match op {
                Op::Insert => {
                    let id = format!("socket {}", slots.len());
                    slots.push(rooms.insert(&SocketId::from(&*id)));
                    model.ids.insert(slots.len() - 1, id.clone());
                    prop_assert!(model.join(slots.len() - 1, &id));
                }
                Op::Remove(s) if !slots.is_empty() => {
                    let s = s % slots.len();
                    prop_assert_eq!(rooms.remove(slots[s]), model.remove(s));
                }
                Op::Join(s, r) if !slots.is_empty() => {
                    let s = s % slots.len();
                    prop_assert_eq!(rooms.join(slots[s], &name(r)), model.join(s, &name(r)));
                }
                Op::Leave(s, r) if !slots.is_empty() => {
                    let s = s % slots.len();
                    prop_assert_eq!(rooms.leave(slots[s], &name(r)), model.leave(s, &name(r)));
                }
                Op::Resolve(r, e) => {
                    let names = |numbers: &[u8]| numbers.iter().map(|n| name(*n)).collect::<Vec<_>>();
                    let (r, e) = (names(&r), names(&e));
                    let mut out = Vec::new();
                    rooms.resolve(&Target { rooms: &r, except: &e }, &mut out);
                    let expected = model.resolve(&r, &e);
                    let reached: BTreeSet<usize> =
                        out.iter().map(|slot| slots.iter().position(|other| other == slot).unwrap()).collect();
                    prop_assert_eq!(out.len(), reached.len());
                    prop_assert_eq!(reached, expected);
                }
                _ => {}
            }
        }
        let own = model.ids.len();
        let members: usize = model.rooms.values().map(BTreeSet::len).sum();
        prop_assert_eq!((rooms.len(), rooms.memberships()), (own, members - own));
        // The room of an id counts if somebody else is in it, too.
        let joined = |(room, members): &(&String, &BTreeSet<usize>)| members.iter().any(|s| model.ids[s] != **room);
        prop_assert_eq!(rooms.room_count(), model.rooms.iter().filter(joined).count());
        for (s, slot) in slots.iter().enumerate() {
            let expected = model.order.get(&s).cloned().unwrap_or_default();
            prop_assert_eq!(names(&rooms, *slot), expected);
        }
        for slot in slots {
            rooms.remove(slot);
        }
        prop_assert!(is_unused(&rooms));
    }
}
