//! A plain Engine.IO server on `/engine.io/` that echoes every message: what the official Engine.IO suite runs against.

mod platform;

fn main() -> std::io::Result<()> {
    socketio_programs::engine_conformance::<platform::OnOwn>()
}
