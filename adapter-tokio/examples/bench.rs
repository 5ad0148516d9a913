//! A server for measurements.

mod platform;

fn main() -> std::io::Result<()> {
    socketio_programs::bench::<platform::OnTokio>()
}
