//! A command-line client for any Socket.IO server.
//!
//! `cargo run --release -p socketio-async-std --example probe-async-std -- --url http://127.0.0.1:3000 --emit add 1 2 --ack`; `--help` has all
//! options and the exit codes.

mod platform;

fn main() -> std::process::ExitCode {
    socketio_programs::probe::<platform::OnAsyncStd>()
}
