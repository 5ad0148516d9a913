//! What a process has after its server is gone: alone in its process, since descriptors are counted.

#[path = "../examples/platform/mod.rs"]
mod platform;

#[test]
fn a_server_that_ended_leaves_nothing() {
    socketio_programs::checks::nothing_left::<platform::OnSmol>();
}
