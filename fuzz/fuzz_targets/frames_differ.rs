//! The target `frames_differ`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(frames_differ);
