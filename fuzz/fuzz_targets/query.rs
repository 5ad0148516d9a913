//! The target `query`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(query);
