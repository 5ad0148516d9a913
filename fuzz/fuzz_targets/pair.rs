//! The target `pair`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(pair);
