//! A membership takes few bytes, a resolution none, and the last socket leaves nothing: counted, alone in its process.

use std::alloc::System;

use socketio_protocol::rooms::{Rooms, Slot, Target};
use socketio_protocol::{Random, Seed, SocketId};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SOCKETS: usize = 10_000;
const MAX_BYTES: f64 = 40.0;

fn held(region: &Region<'_, System>) -> usize {
    // What a reallocation adds or frees is counted as allocated or freed, too.
    let change = region.change();
    change.bytes_allocated - change.bytes_deallocated
}

/// `SOCKETS` sockets, each of which joins `each` rooms of 1 000 members or fewer. Gives the bytes of a membership, too.
fn join(each: usize) -> (Rooms, Vec<Slot>, Vec<String>, f64) {
    let mut random = Random::new(Seed::new([1; 32]));
    let mut rooms = Rooms::new(Seed::new([2; 32]));
    let names: Vec<_> = (0..(SOCKETS * each / 1_000).max(each)).map(|room| format!("room-{room}")).collect();
    let slots: Vec<_> = (0..SOCKETS).map(|_| rooms.insert(&SocketId::generate(&mut random))).collect();
    let region = Region::new(ALLOCATOR);
    for (number, slot) in slots.iter().enumerate() {
        for i in 0..each {
            assert!(rooms.join(*slot, &names[(number + i * 37) % names.len()]));
        }
    }
    let bytes = held(&region) as f64 / (SOCKETS * each) as f64;
    (rooms, slots, names, bytes)
}

fn main() {
    // The first line takes the buffer of the standard output.
    println!("bytes of heap per membership:");
    for each in [1, 2, 3, 10, 100, 129, 200] {
        let empty = Region::new(ALLOCATOR);
        let (mut rooms, slots, names, bytes) = join(each);
        println!("{bytes:.1} of a socket in {each} rooms");
        assert!(bytes <= MAX_BYTES, "{bytes} bytes per membership of sockets in {each} rooms");

        let mut recipients = Vec::with_capacity(SOCKETS);
        let region = Region::new(ALLOCATOR);
        for name in &names {
            recipients.clear();
            rooms.resolve(&Target { rooms: &[name, &names[0]], except: &[&names[names.len() / 2]] }, &mut recipients);
        }
        assert_eq!(region.change().allocations + region.change().reallocations, 0, "a resolution takes no memory");

        for slot in &slots {
            assert!(rooms.remove(*slot));
        }
        drop((slots, names, recipients));
        assert_eq!(held(&empty), 0, "nothing is left when all are gone");
    }
}
