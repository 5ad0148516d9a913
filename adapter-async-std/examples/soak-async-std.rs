//! Many clients that connect, chat, drop and come back at random, against the example `conformance`: nothing is lost, and
//! nothing leaks. `interop/soak.sh` runs it.

mod platform;

use std::alloc::System;
use std::process::ExitCode;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    socketio_programs::soak::<platform::OnAsyncStd>()
}
