//! Servers and clients for test suites, and the soak: the first argument says which.

mod platform;

use std::alloc::System;
use std::process::ExitCode;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    socketio_programs::interop::<platform::OnTokio>()
}
