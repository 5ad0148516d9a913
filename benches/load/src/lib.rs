//! A lean Socket.IO load generator.
