//! A client for measurements; `benches/load` runs it.

mod platform;

fn main() -> std::io::Result<()> {
    socketio_programs::bench_client::<platform::OnTokio>()
}
