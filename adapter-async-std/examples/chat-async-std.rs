//! A chat for browser tabs, on async-std.
//!
//! `cargo run --release -p socketio-async-std --example chat-async-std`, then open <http://127.0.0.1:3000> twice. `interop/programs/src/chat.rs`
//! has it.

mod platform;

fn main() -> std::io::Result<()> {
    socketio_programs::chat::run::<platform::OnAsyncStd>()
}
