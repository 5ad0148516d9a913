//! The target `sockets`.
#![cfg_attr(fuzzing, no_main)]
socketio_fuzz::target!(sockets);
