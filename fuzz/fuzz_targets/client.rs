//! The target `client`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(client);
