//! A Socket.IO client that does what it is told, and says what happens to it: what the interop tests compare with the
//! official client.

mod platform;

fn main() -> std::io::Result<()> {
    socketio_programs::client_conformance::<platform::OnOwn>()
}
