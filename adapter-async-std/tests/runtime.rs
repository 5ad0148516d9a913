//! What holds on every runtime, on this one.

#[path = "../examples/platform/mod.rs"]
mod platform;

socketio_programs::checks!(platform::OnAsyncStd, unix);
