//! The target `connection`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(connection);
