//! A short soak on each adapter. `soak.sh` runs long ones, with more clients.

#![cfg(unix)]

use std::thread;

use socketio_interop::soak;

const SECONDS: u32 = 20;
const CLIENTS: u32 = 300;
/// More happens to each client than in a long soak, since there are fewer.
const PACE_MS: u32 = 1000;

#[test]
fn nothing_is_lost_and_nothing_leaks() {
    thread::scope(|scope| {
        for adapter in ["tokio", "smol", "async-std"] {
            scope.spawn(move || soak(adapter, SECONDS, CLIENTS, PACE_MS));
        }
    });
}
