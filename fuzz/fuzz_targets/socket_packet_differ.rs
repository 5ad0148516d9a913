//! The target `socket_packet_differ`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(socket_packet_differ);
