//! A command-line client for any Socket.IO server.
//!
//! `cargo run --release -p socketio-tokio --example probe -- --url http://127.0.0.1:3000 --emit add 1 2 --ack`; `--help`
//! has all options and the exit codes.

mod options;
mod probe;
mod values;

use std::process::ExitCode;

use socketio_tokio::Tokio;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    probe::run(Tokio, async { _ = tokio::signal::ctrl_c().await }).await
}
