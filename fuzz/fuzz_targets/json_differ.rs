//! The target `json_differ`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(json_differ);
