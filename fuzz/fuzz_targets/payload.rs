//! The target `payload`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(payload);
