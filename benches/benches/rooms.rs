//! Joining, leaving and resolving at 1 000, 100 000 and 1 000 000 memberships.
//!
//! `cold` walks through all memberships in a random order, so that nothing of the next one is in a cache near by; `hot`
//! repeats the same 64.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use socketio_protocol::rooms::{Rooms, Slot, Target};
use socketio_protocol::{Random, Seed, SocketId};

/// Memberships that leave before they join again, so that nothing of theirs is still in a near cache.
const BATCH: usize = 65_536;
const HOT: usize = 64;
const MEMBERS: usize = 1000;

fn seed() -> Seed {
    Seed::new([7; 32])
}

/// Sockets in rooms that they joined in a random order.
struct World {
    rooms: Rooms,
    names: Vec<String>,
    /// Memberships, in a random order.
    pairs: Vec<(Slot, usize)>,
}

impl World {
    /// So many memberships of sockets that are in `each` rooms, of 1 000 members where there are enough sockets.
    fn new(memberships: usize, each: usize) -> Self {
        let count = (memberships / MEMBERS).max(each);
        Self::with_rooms(memberships / each, each, count)
    }

    fn with_rooms(sockets: usize, each: usize, count: usize) -> Self {
        let mut random = Random::new(seed());
        let mut rooms = Rooms::new(seed());
        let names: Vec<_> = (0..count).map(|room| format!("room-{room:08}")).collect();
        let slots: Vec<_> = (0..sockets).map(|_| rooms.insert(&SocketId::generate(&mut random))).collect();
        // Neighbours share some rooms, not all: a union has overlaps.
        let mut pairs: Vec<_> =
            slots.iter().zip(0..).flat_map(|(slot, s)| (0..each).map(move |i| (*slot, (s + i * 37) % count))).collect();
        shuffle(&mut pairs, &mut random);
        for (slot, room) in &pairs {
            assert!(rooms.join(*slot, &names[*room]), "the stride gives distinct rooms");
        }
        shuffle(&mut pairs, &mut random);
        Self { rooms, names, pairs }
    }

    /// The time of `iterations` leaves or joins; each round undoes what it did.
    fn churn(&mut self, iterations: u64, batch: usize, cold: bool) -> (Duration, Duration) {
        let Self { rooms, names, pairs } = self;
        let (mut left, mut joined, mut at, mut done) = (Duration::ZERO, Duration::ZERO, 0, 0);
        let batch = batch.min(pairs.len());
        while done < iterations {
            at = if cold && at + 2 * batch <= pairs.len() { at + batch } else { 0 };
            let some = &pairs[at..at + batch.min(usize::try_from(iterations - done).expect("it is small"))];
            let start = Instant::now();
            for (slot, room) in some {
                assert!(black_box(rooms.leave(*slot, &names[*room])));
            }
            let between = Instant::now();
            for (slot, room) in some {
                assert!(black_box(rooms.join(*slot, &names[*room])));
            }
            joined += between.elapsed();
            left += between - start;
            done += some.len() as u64;
        }
        (left, joined)
    }
}

fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for i in (1..items.len()).rev() {
        items.swap(i, usize::try_from(u64::from_le_bytes(random.bytes()) % (i as u64 + 1)).expect("it is an index"));
    }
}

fn bench_churn(c: &mut Criterion, id: &str, world: &mut World) {
    for (temperature, batch, cold) in [("cold", BATCH, true), ("hot", HOT, false)] {
        let mut group = c.benchmark_group(format!("rooms/{temperature}"));
        group.bench_function(BenchmarkId::new("leave", id), |b| b.iter_custom(|n| world.churn(n, batch, cold).0));
        group.bench_function(BenchmarkId::new("join", id), |b| b.iter_custom(|n| world.churn(n, batch, cold).1));
    }
}

/// A round goes through all rooms, so that their members are cold.
fn bench_resolve(c: &mut Criterion, id: &str, world: &mut World) {
    let World { rooms, names, pairs } = world;
    let own = rooms.id(pairs[0].0).expect("it is connected").to_string();
    let mut group = c.benchmark_group("rooms/resolve");
    let other = names.len() / 3;
    let cases: [(&str, usize, Vec<&str>); 5] = [
        ("1", 1, vec![]),
        ("1 except a socket", 1, vec![&own]),
        ("1 except a room", 1, vec![&names[other]]),
        ("union of 2", 2, vec![]),
        ("union of 8", 8, vec![]),
    ];
    for (case, count, except) in cases {
        let (mut room, mut out) = (0, Vec::new());
        let recipients = MEMBERS * count;
        group.throughput(Throughput::Elements(recipients as u64));
        group.bench_function(BenchmarkId::new(case, id), |b| {
            b.iter_batched(
                || {
                    room = (room + 389) % names.len();
                    (0..count).map(|i| &*names[(room + i * 37) % names.len()]).collect::<Vec<_>>()
                },
                |names| {
                    out.clear();
                    rooms.resolve(&Target { rooms: &names, except: &except }, &mut out);
                    out.len()
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn bench(c: &mut Criterion) {
    for memberships in [1_000, 100_000, 1_000_000] {
        for each in [1, 10, 100] {
            let mut world = World::new(memberships, each);
            let id = format!("{memberships} in {each}");
            bench_churn(c, &id, &mut world);
            if memberships == 1_000_000 {
                bench_resolve(c, &id, &mut world);
            }
        }
    }
    let mut world = World::with_rooms(10_000, 100, 10_000);
    let one = world.rooms.insert(&SocketId::from("one"));
    world.pairs = (0..world.names.len()).map(|room| (one, room)).collect();
    shuffle(&mut world.pairs, &mut Random::new(seed()));
    for (slot, room) in &world.pairs {
        world.rooms.join(*slot, &world.names[*room]);
    }
    bench_churn(c, "one in 10000", &mut world);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = bench
}
criterion_main!(benches);
