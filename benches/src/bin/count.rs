//! Runs, times and counts the operations of this project's codecs; see `socketio_benches::main`.

fn main() {
    socketio_benches::main(socketio_benches::operations());
}
