//! Drives `socketio-protocol` on any async runtime.
//!
//! Everything that a Socket.IO server or client is lives here once, for every runtime: sessions as tasks, handlers,
//! namespaces, rooms, HTTP by hyper, TLS and proxies. An adapter, such as `socketio-tokio`, brings what is left and
//! re-exports this crate: applications depend on an adapter, and move to another by changing one import. This page is for
//! who writes an adapter.
//!
//! # What an adapter brings
//!
//! - a [`Runtime`]: how to spawn a task, sleep, look a host up and connect to it, and its stream inside an upgraded HTTP
//!   connection;
//! - a [`Stream`], bytes in and out by polling, and a [`Sleep`], a timer that can be set anew;
//! - a [`Listener`] for [`serve`] and [`serve_tls`], the server of its own;
//! - where the runtime has a habit for it (tower, for tokio), a few lines over [`respond`], which answers one HTTP
//!   request and is all that a server mounted into another needs.
//!
//! [`your_own_runtime`] explains it with a runtime of 200 lines.
//!
//! ```
//! use std::io;
//!
//! use socketio_driver::{Listener, Runtime, Service, serve};
//!
//! /// What an adapter's `serve` comes down to.
//! async fn serve_on<R: Runtime>(
//!     runtime: R,
//!     server: &impl Service,
//!     listener: impl Listener<R>,
//! ) -> io::Result<()> {
//!     serve(server, runtime, listener).await
//! }
//! ```
//!
//! No rule of the protocol belongs into an adapter, and this crate knows no runtime.
//!
//! # One session, one task
//!
//! A session's task is spawned at its handshake and owns everything: the machine of `socketio-protocol`, the stream, the
//! one timer, the handlers that wait. It is reached through its [`Mailbox`] alone: an HTTP request comes that way (with a
//! channel for its answer), the stream of a WebSocket, a packet that a handler emits. So there is no lock around a
//! machine, and an upgrade moves the stream to the task, never the machine.
//!
//! # Above Engine.IO
//!
//! An [`Application`] is told of each session and gives it a [`Connection`]. [`SocketIo`] is the one that [`Server`] is
//! made with; a plain Engine.IO server is an [`Engine`] with one of your own, and adapters serve both:
//!
//! ```
//! use std::sync::Arc;
//!
//! use socketio_driver::protocol::Instant;
//! use socketio_driver::protocol::engine::{Message, Packet};
//! use socketio_driver::{Application, CloseReason, Config, Connection, Engine, Handshake, Mailbox, Turn};
//!
//! struct Echo;
//!
//! impl Application for Echo {
//!     type Connection = Self;
//!
//!     fn open(&self, _: Arc<Handshake>, _: &Mailbox<()>, _: Instant) -> Self {
//!         Self
//!     }
//! }
//!
//! impl Connection for Echo {
//!     type Mail = ();
//!
//!     fn handle_message(&mut self, turn: &mut Turn<'_, '_>, message: Message<'_>) {
//!         turn.send(match message {
//!             Message::Text(text) => Packet::text(text),
//!             Message::Binary(bytes) => Packet::binary(bytes.as_slice()),
//!         });
//!     }
//!
//!     fn handle_mail(&mut self, _: &mut Turn<'_, '_>, (): ()) {}
//!
//!     fn handle_close(&mut self, _: &mut Turn<'_, '_>, _: CloseReason) {}
//! }
//!
//! let engine = Engine::new(Config::default(), "/engine.io/", Echo);
//! # let _ = engine;
//! ```
//!
//! # The files
//!
//! | file | has |
//! |---|---|
//! | `runtime.rs`, `adapt.rs` | what an adapter implements, and what helps with that |
//! | `your_own_runtime.md` | how to |
//! | `serve.rs`, `http.rs`, `hyper_io.rs` | accepting connections; one request; a runtime's stream for hyper |
//! | `engine.rs` | the sessions of a server, and its shutdown |
//! | `task.rs`, `mailbox.rs`, `outbox.rs` | the task of a session, the way to it, and the short one from its own handlers |
//! | `application.rs` | what stands above Engine.IO |
//! | `connection.rs` | Socket.IO there: the sockets of one session and their handlers |
//! | `server.rs`, `namespace.rs`, `socket.rs`, `broadcast.rs` | what applications hold |
//! | `tls/` | TLS, for both sides |
//! | `client/` | a client: what applications hold, its one task, and its way to the server |
//! | `handler.rs`, `extract.rs` | functions as handlers, and their parameters |
//! | `handshake.rs`, `error.rs` | the first request; what can fail |

mod adapt;
mod application;
mod broadcast;
mod client;
mod connection;
mod encode;
mod engine;
mod error;
mod exchange;
mod extract;
mod handler;
mod handshake;
mod http;
mod hyper_io;
mod lane;
mod mailbox;
mod namespace;
mod outbox;
mod runtime;
mod serve;
mod server;
mod socket;
mod task;
mod tls;

// Its code is an example, which is compiled as such: a test compares the two.
#[cfg_attr(not(doctest), doc = include_str!("your_own_runtime.md"))]
pub mod your_own_runtime {}

#[cfg(feature = "tls")]
pub use rustls;
pub use socketio_protocol as protocol;
pub use socketio_protocol::engine::{CloseReason, Config, Cookie, Cors, OriginPolicy, SameSite, Transport, Transports};
pub use socketio_protocol::socket::manager::OpenError;
pub use socketio_protocol::socket::{Binary, ConnectError, DisconnectReason, RawArgs};

pub use adapt::{FuturesStream, RemadeSleep};
pub use application::{Application, Connection, Turn};
pub use broadcast::Broadcast;
pub use client::{
    Client, ClientBuilder, ClientEvent, Connect, ConnectFailure, ManagerEvent, ReceivedEvent, SocketBuilder,
};
pub use connection::{SocketMail, Sockets};
pub use engine::{Engine, Stats};
pub use error::{AckError, EmitError, HandlerError};
pub use extract::{
    Ack, Args, Auth, EventContext, EventName, Extract, ExtractConnect, ExtractDisconnect, FromPayload, Receiver, State,
};
pub use handler::{Handler, IntoOutcome};
pub use handshake::{Handshake, Peer};
pub use http::{Body, respond};
pub use hyper_io::HyperStream;
pub use mailbox::Mailbox;
pub use namespace::{ConnectFunction, DisconnectFunction, Namespace};
pub use runtime::{Listener, Runtime, Sleep, Stream};
#[cfg(feature = "tls")]
pub use serve::serve_tls;
pub use serve::{accept, serve, yield_now};
pub use server::{Server, ServerBuilder, Service, SocketIo};
pub use socket::{EmitWithAck, Socket};
#[cfg(feature = "tls")]
pub use tls::{ServerTls, Tls, TlsError};
