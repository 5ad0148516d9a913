//! Engine.IO 4 and Socket.IO 5 as pure state machines: every decision of a server and of a client, and nothing else.
//!
//! This crate performs no I/O, reads no clock, draws no randomness of its own, spawns and locks nothing, and runs on any
//! executor or none. It is `no_std` with `alloc`. Who wants a server rather than the parts of one takes the crate
//! `socketio-tokio`; this is for authors of drivers, runtimes, simulations and other servers.
//!
//! # Layers
//!
//! ```text
//! bytes ──websocket──▶ frames ─┐
//!                              ├──engine──▶ messages ──socket──▶ events ──▶ application
//! HTTP polling exchanges ──────┘                                   │
//!                                                                rooms ──▶ recipients of a broadcast
//! ```
//!
//! The way out is the same picture read backwards. Each layer is usable alone: with a WebSocket stack of your own start at
//! [`engine`], with an Engine.IO connection start at [`socket`]. [`server`] is one session with the sockets on it; the
//! example `blocking` is a whole server over it, in 120 lines with nothing but threads. [`client`] is the other end: sockets
//! that a [`socket::manager`] brings back whenever their connection, an [`engine::client`], is lost.
//!
//! # Driving a session
//!
//! 1. **Ask about a request.** [`engine::admit`] decides from its head: an answer, a new session, or a known one.
//! 2. **Make the machine** of a new session with the configuration and the time: a [`server::Connection`], or the two that
//!    it is made of, an [`engine::Session`] and [`socket::Sockets`].
//! 3. **Tell what happens**: an HTTP request with its body, a stream that was opened or has ended, a packet to send. These
//!    calls change the machine and do nothing else.
//! 4. **Call `next`** with the time and an [`Input`], the bytes that were read. A message or an event that it returns
//!    borrows the machine and the bytes, so that it is handled before anything else can happen. Call it again until it asks
//!    for I/O: then all the input is taken, what makes no whole message yet is kept inside, and the buffer is free again.
//! 5. **Wait** for what it asks for, all at once: write the pending bytes, read, sleep until the deadline. Go to 4 with
//!    whatever came first. What was written is told to the machine; what was offered and not written is offered again.
//! 6. **Closed** comes once, with the reason. Goodbyes may still have to be written; `Finished` says that the machine can
//!    be dropped.
//!
//! An order of calls that would be a mistake does not compile, or does no harm.
//!
//! # Time and randomness
//!
//! Both are arguments. An [`Instant`] is a duration since an epoch of the caller's choice. Time that runs backwards counts
//! as time that stands still; late, early and repeated calls are harmless, since the clock decides whether a deadline has
//! passed, not the call. A [`Seed`] is mandatory wherever something is drawn: take it from the operating system. The same
//! seed, inputs and times give the same bytes on every platform.
//!
//! # Errors and panics
//!
//! What a peer does wrong is no `Err`: the machine queues the goodbye (the HTTP answer, CONNECT_ERROR, the close frame) and
//! then closes with a [reason](engine::CloseReason). `Result`s are for the caller's own mistakes and for decoding into the
//! caller's types. A payload that does not fit those is an error of that event; the connection lives.
//!
//! No input makes the crate panic, and none makes it allocate more than the limits allow. There is no unsafe code.
//!
//! # Limits
//!
//! Everything that a peer can make grow is bounded, in total and before memory is taken.
//!
//! | limit | default | on breach |
//! |---|---|---|
//! | body of a polling request, [`max_payload`](engine::Config::max_payload) | 1 000 000 bytes | 413, the session lives |
//! | one WebSocket message, `max_payload` too | 1 000 000 bytes | 1009, closed |
//! | fragments of one WebSocket message, [`MAX_FRAGMENTS`](websocket::Decoder::MAX_FRAGMENTS) | 1 024 | 1008, closed |
//! | [`ping_interval`](engine::Config::ping_interval), [`ping_timeout`](engine::Config::ping_timeout) | 25 s, 20 s | closed, `ping timeout` |
//! | [`upgrade_timeout`](engine::Config::upgrade_timeout) | 10 s | the probing stream is closed, the session lives |
//! | [`close_timeout`](engine::Config::close_timeout), to take what is queued and the goodbye | 30 s | dropped |
//! | time to close a stream after the goodbye | 5 s | dropped |
//! | bytes queued to one client, [`max_queued`](engine::Config::max_queued) | 8 MiB, or one packet | closed, `transport error` |
//! | time to the first accepted CONNECT, [`connect_timeout`](socket::Config::connect_timeout) | 45 s | closed |
//! | namespaces of one connection, [`max_namespaces`](socket::Config::max_namespaces) | 64 | CONNECT_ERROR |
//! | a namespace's name, [`MAX_NAMESPACE`](socket::Header::MAX_NAMESPACE) | 512 bytes | closed, `parse error` |
//! | an ack id, [`MAX_ID_DIGITS`](socket::Header::MAX_ID_DIGITS) | 19 digits | closed, `parse error` |
//! | attachments of a packet, [`max_attachments`](socket::Config::max_attachments) | 10 | closed, `parse error` |
//! | a packet with its attachments, [`max_packet`](socket::Config::max_packet) | 11 000 000 bytes | closed, `parse error` |
//! | copies of attachments that several placeholders stand for, `max_packet` too | 11 000 000 bytes | closed, `parse error` |
//! | time that attachments may take, [`attachment_timeout`](socket::Config::attachment_timeout) | 45 s | closed, `parse error` |
//! | acks that a socket awaits, [`max_acks`](socket::Config::max_acks) | 10 000, each with a deadline | the caller gets an error |
//! | nesting of JSON | 128 | an error of the event |
//!
//! And of a client, beside the same limits of packets, attachments and acks in a [`Config`](socket::manager::Config) of its own:
//!
//! | limit | default | on breach |
//! |---|---|---|
//! | time to open the session, [`connect_timeout`](engine::client::Config::connect_timeout) | 20 s | `timeout` |
//! | the server's first answer, [`max_handshake`](engine::client::Config::max_handshake) | 64 KiB | the attempt has failed |
//! | a session id in it | 256 bytes | the attempt has failed |
//! | an answer to a poll, [`max_payload`](engine::client::Config::max_payload) | 100 MiB | closed, `transport error` |
//! | one WebSocket message, `max_payload` too | 100 MiB | 1009, closed |
//! | silence of the server | its ping interval and timeout | closed, `ping timeout` |
//! | [`upgrade_timeout`](engine::client::Config::upgrade_timeout) | 10 s | the probing stream is closed, the session lives |
//! | [`close_timeout`](engine::client::Config::close_timeout), to deliver what is queued and the goodbye | 30 s | dropped |
//! | time to close a stream after the goodbye | 5 s | dropped |
//! | pongs that wait, of each layer | 1 | the latest counts |
//! | time to open the connection, [`timeout`](socket::manager::Config::timeout) | 20 s | opened again after a delay |
//! | time to the answer to a CONNECT, [`connect_timeout`](socket::manager::Config::connect_timeout) | 20 s | an error of the socket; opened again if no other socket is connected |
//! | events of a socket that wait, [`max_buffered`](socket::manager::Config::max_buffered), [`max_buffered_packets`](socket::manager::Config::max_buffered_packets) | 8 MiB, 10 000 | the caller gets an error |
//! | events before the answer to CONNECT, [`max_early`](socket::manager::Config::max_early) | 1 MiB | closed, `parse error` |
//! | an id or an offset that the server gives | 256 bytes | closed, `parse error`; ignored |
//!
//! # Decisions
//!
//! Where the specification, the official suites and the official server disagree, [`decisions`] has a table of what is
//! done here, and why. [`engine::client`] has one of its own.
#![no_std]
#![deny(clippy::indexing_slicing)]
#![cfg_attr(not(test), deny(clippy::string_slice))]

extern crate alloc;

pub mod client;
#[cfg(doc)]
#[doc = include_str!("decisions.md")]
pub mod decisions {}
pub mod engine;
#[cfg(test)]
mod explore;
mod id;
mod input;
mod random;
pub mod rooms;
pub mod server;
pub mod socket;
mod time;
pub mod websocket;

pub use id::{SessionId, SocketId};
pub use input::Input;
pub use random::{Random, Seed};
pub use time::Instant;
