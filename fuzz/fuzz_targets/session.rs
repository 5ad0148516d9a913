//! The target `session`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(session);
