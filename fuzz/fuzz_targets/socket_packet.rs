//! The target `socket_packet`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(socket_packet);
