//! The target `typed`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(typed);
