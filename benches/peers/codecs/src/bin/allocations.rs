//! As the program of the same name in `socketio-benches`.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    socketio_benches::print_allocations(peers_codecs::operations(), ALLOCATOR);
}
