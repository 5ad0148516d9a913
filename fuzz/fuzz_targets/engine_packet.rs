//! The target `engine_packet`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(engine_packet);
