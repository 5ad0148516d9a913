//! The target `manager`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(manager);
