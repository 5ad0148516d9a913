//! A chat for browser tabs, on a runtime of one's own.
//!
//! `cargo run --release -p socketio-driver --example chat-own`, then open <http://127.0.0.1:3000> twice. `interop/programs/src/chat.rs`
//! has it.

mod platform;

fn main() -> std::io::Result<()> {
    socketio_programs::chat::run::<platform::OnOwn>()
}
