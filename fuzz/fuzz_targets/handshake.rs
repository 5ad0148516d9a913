//! The target `handshake`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(handshake);
