//! A simulated world: a server and its clients on a network that delays, reorders, tears and loses, by the virtual clock.
//!
//! A world follows from its seed. The seed gives a [trace], a list of decisions; a trace gives a [world], in which
//! everything is checked against a [ledger] of what was promised. If something is not as it should be, the trace is made as
//! short as it can be and printed.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "threads and the environment are the caller's")]

mod census;
mod chance;
mod client;
mod clock;
mod ledger;
mod members;
mod message;
mod network;
mod server;
mod shrink;
mod trace;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs, thread};

use census::Census;
use shrink::attempt;

/// How many worlds there are, unless `WORLD_SEEDS` says otherwise.
const SEEDS: u64 = 20_000;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// `WORLD_FIRST_SEED` and `WORLD_SEEDS` say which.
#[test]
fn what_is_promised_is_kept_in_every_world() {
    let (first, count) = (number("WORLD_FIRST_SEED").unwrap_or(0), number("WORLD_SEEDS").unwrap_or(SEEDS));
    let (next, failed) = (AtomicU64::new(first), AtomicU64::new(u64::MAX));
    let total = Mutex::new(Census::default());
    let work = || {
        let mut census = Census::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count || failed.load(Ordering::Relaxed) < seed {
                break;
            }
            match attempt(&trace::generate(seed)) {
                Ok(outcome) => census.add(&outcome.census),
                Err(_) => _ = failed.fetch_min(seed, Ordering::Relaxed),
            }
        }
        total.lock().unwrap().add(&census);
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    let failed = failed.into_inner();
    if failed < u64::MAX {
        let report = shrink::report(&trace::generate(failed));
        panic!("WORLD_FIRST_SEED={failed} WORLD_SEEDS=1 is a world in which a promise is broken. {report}");
    }
    let census = total.into_inner().unwrap();
    println!("{census}");
    if count >= SEEDS {
        for (name, number) in census.all() {
            assert!(number >= count / 100, "only {number} {name} in {count} worlds");
        }
    }
}

#[test]
fn a_world_follows_from_its_seed() {
    for seed in 0..50 {
        let trace = trace::generate(seed);
        assert_eq!(trace::read(&trace::write(&trace)).unwrap(), trace);
        assert_eq!(world::run(&trace).digest, world::run(&trace).digest, "seed {seed}");
    }
}

/// `WORLD_TRACE` names a file with a trace.
#[test]
fn a_trace_is_run_again() {
    let text = match env::var("WORLD_TRACE") {
        Ok(file) => fs::read_to_string(file).unwrap(),
        Err(_) => trace::write(&trace::generate(1)),
    };
    world::run(&trace::read(&text).unwrap());
}
