//! The target `rooms`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(rooms);
