//! The target `engine_client`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(engine_client);
