//! As the program of the same name in `socketio-benches`.

fn main() {
    socketio_benches::main(peers_codecs::operations());
}
