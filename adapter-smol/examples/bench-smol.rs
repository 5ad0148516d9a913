//! `server` and `client` for measurements; `benches/load` runs them.

mod platform;

fn main() -> std::io::Result<()> {
    socketio_programs::bench::<platform::OnSmol>()
}
