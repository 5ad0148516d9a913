//! The target `frames`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(frames);
