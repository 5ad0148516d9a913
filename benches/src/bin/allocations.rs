//! Counts what the operations of this project's codecs allocate. A program of its own, since counting takes time.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    socketio_benches::print_allocations(socketio_benches::operations(), ALLOCATOR);
}
