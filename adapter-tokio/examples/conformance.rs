//! A Socket.IO server that answers in every way a test can ask for: what the official Socket.IO suite and the interop tests
//! run against.

mod platform;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> std::io::Result<()> {
    socketio_programs::conformance::<platform::OnTokio>()
}
