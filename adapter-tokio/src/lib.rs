//! Socket.IO for tokio: a server, and a [client](#a-client). Both speak with Socket.IO 3 and 4, by WebSocket and by HTTP
//! long-polling.
//!
//! # A server
//!
//! ```no_run
//! use socketio_tokio::{Server, Socket};
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let server = Server::builder().build();
//!     let chat = server.of("/chat");
//!     chat.on_connect(async |socket: Socket| socket.join("lobby"));
//!     chat.on("message", async |socket: Socket, (room, text): (String, String)| {
//!         socket.to(&room).emit("message", (socket.id(), &text))
//!     });
//!     socketio_tokio::serve(&server, "127.0.0.1:3000").await
//! }
//! ```
//!
//! A [`Server`] has [namespaces](Namespace), a namespace has [sockets](Socket), a socket is in rooms. All three are
//! handles: clone them freely. The example `chat` is a whole application with its page.
//!
//! # Handlers
//!
//! [`Namespace::on`] declares what happens at an event, for all sockets that connect from then on: declare before you
//! serve. ([`Socket::on`], called in `on_connect`, does it for one socket.) A handler is an async function or closure, and
//! its parameters say what it needs, in any order:
//!
//! | parameter | is |
//! |---|---|
//! | [`Socket`] | who sent the event |
//! | a tuple | the arguments of the event, one by one; `()` is none |
//! | any other type that serde deserializes | the first argument (a `Vec` is one array argument) |
//! | [`Args<Vec<T>>`](Args), [`RawArgs`] | all arguments: as one list, as they came |
//! | [`Ack`] | the right to answer |
//! | [`State<T>`](State) | a value of the application |
//! | [`EventName`] | the name of the event |
//!
//! Surplus arguments are ignored, missing ones are an [error](#errors). Bytes are [`Binary`], anywhere in the arguments.
//! The same rules hold for what is emitted: a tuple is a list of arguments, anything else one.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use socketio_tokio::{Binary, EmitError, Server, Socket};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Upload {
//!     name: String,
//!     content: Binary,
//! }
//!
//! async fn upload(socket: Socket, upload: Upload) -> Result<(), EmitError> {
//!     socket.broadcast().emit("uploaded", upload)
//! }
//!
//! let server = Server::new();
//! server.of("/").on("upload", upload);
//! ```
//!
//! The handlers of one socket start in the order of its events. One that awaits something does not hold up the next; from
//! 64 of them on, events wait. Emitting does not wait for anybody and is no `async` function: what a client does not
//! take is queued, up to [`max_queued`](ServerBuilder::max_queued) bytes, and then the client is disconnected.
//!
//! # Acks
//!
//! A client that calls `socket.emitWithAck(..)` is answered by [`Ack::send`]; [`Socket::emit_with_ack`] asks a client.
//!
//! ```
//! use socketio_tokio::{Ack, HandlerError, Server, Socket};
//!
//! let server = Server::new();
//! let root = server.of("/");
//! root.on("add", async |(a, b): (i64, i64), ack: Ack| ack.send(a + b));
//! root.on("introduce", async |socket: Socket| -> Result<(), HandlerError> {
//!     let name: String = socket.emit_with_ack("who are you", ()).await?;
//!     Ok(socket.broadcast().emit("newcomer", name)?)
//! });
//! ```
//!
//! Awaiting an answer ends with an error after [`ack_timeout`](ServerBuilder::ack_timeout), and at once when the client is
//! gone.
//!
//! # Rooms
//!
//! A socket [joins](Socket::join) and [leaves](Socket::leave) rooms, all of them when it is gone. [`Socket::to`] is
//! everybody in a room but the socket itself, [`Namespace::to`] everybody; both can be narrowed and widened:
//!
//! ```
//! # use socketio_tokio::{EmitError, Server};
//! # fn close(server: &Server) -> Result<(), EmitError> {
//! server.of("/shop").to("customers").to("guests").except("premium").emit("closing", "in ten minutes")
//! # }
//! ```
//!
//! A socket is always in the room of its own id, so `to(id)` is a private message. Rooms whose names clients choose should
//! have a prefix, or a client could choose the id of another.
//!
//! # State
//!
//! An async closure that captures something is no handler (its future would borrow from the closure). What handlers share
//! is given to the server once per type, and cloned for each call:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//!
//! use socketio_tokio::{DisconnectReason, Server, Socket, State};
//!
//! #[derive(Clone, Default)]
//! struct Names(Arc<Mutex<HashMap<String, String>>>);
//!
//! let server = Server::builder().state(Names::default()).build();
//! let root = server.of("/");
//! root.on("name", async |socket: Socket, State(Names(names)): State<Names>, name: String| {
//!     names.lock().unwrap().insert(socket.id().into(), name);
//! });
//! root.on_disconnect(async |socket: Socket, State(Names(names)): State<Names>, reason: DisconnectReason| {
//!     let name = names.lock().unwrap().remove(socket.id());
//!     println!("{name:?} is gone: {reason}");
//! });
//! ```
//!
//! A handler that needs the [`Server`] itself reaches most of it by [`Socket::namespace`]. (State that holds its server
//! keeps it alive for ever.)
//!
//! # Who may connect
//!
//! [Middleware](Namespace::middleware) decides about each client before it is in a namespace, and
//! [`Socket::handshake`] has the headers, the query and the address of its first request.
//! [`ServerBuilder::origins`] says whose pages may connect at all, and [`ServerBuilder::cors`] whose pages may read what
//! polling answers.
//!
//! ```
//! use serde::Deserialize;
//! use socketio_tokio::{Auth, ConnectError, Server};
//!
//! #[derive(Deserialize)]
//! struct Token {
//!     token: String,
//! }
//!
//! let server = Server::new();
//! server.of("/admin").middleware(async |Auth(auth): Auth<Token>| match auth.token.as_str() {
//!     "secret" => Ok(()),
//!     _ => Err(ConnectError::new("not authorized")),
//! });
//! ```
//!
//! # Errors
//!
//! A handler may return a `Result` with any error. That error, arguments of another shape than the handler takes, and a
//! panic go to [`Namespace::on_error`], and into the log of `tracing` where there is none. The client is told nothing, and
//! an ack that it waits for stays unanswered: answer with a `Result` of your own if it should know. It stays connected,
//! but for two cases: a panic costs the socket, and so does an error of `on_connect`.
//!
//! # Mounting
//!
//! [`serve`] is a server of its own. [`service`] is one for an application that has other routes:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use axum::Router;
//! use axum::routing::get;
//! use socketio_tokio::Server;
//!
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! let server = Server::new();
//! let app = Router::new()
//!     .route("/", get("Hello"))
//!     .route_service("/socket.io/", socketio_tokio::service(&server));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app)
//!     .with_graceful_shutdown(async move {
//!         let _ = tokio::signal::ctrl_c().await;
//!         server.shutdown(Duration::from_secs(5)).await;
//!     })
//!     .await
//! # }
//! ```
//!
//! # TLS
//!
//! [`serve_tls`] serves `https` and `wss` with a certificate, which can be changed while the server runs: clones of a
//! [`ServerTls`] share it, and connections that are there go on.
//!
//! ```no_run
//! # #[cfg(not(feature = "tls"))]
//! # fn main() {}
//! # #[cfg(feature = "tls")]
//! use std::{fs::read, time::Duration};
//!
//! # #[cfg(feature = "tls")]
//! use socketio_tokio::{Server, ServerTls};
//! use tokio::{net::TcpListener, time::sleep};
//!
//! # #[cfg(feature = "tls")]
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tls = ServerTls::from_pem(&read("chain.pem")?, &read("key.pem")?)?;
//! let renewed = tls.clone();
//! tokio::spawn(async move {
//!     loop {
//!         sleep(Duration::from_secs(60 * 60)).await;
//!         let (Ok(chain), Ok(key)) = (read("chain.pem"), read("key.pem")) else { continue };
//!         if let Err(error) = renewed.reload_pem(&chain, &key) {
//!             eprintln!("the certificate stays as it is: {error}");
//!         }
//!     }
//! });
//! let listener = TcpListener::bind("0.0.0.0:443").await?;
//! socketio_tokio::serve_tls(&Server::new(), listener, &tls).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`ServerTls::from_config`] takes any configuration of [`rustls`], for instance one that asks clients for a certificate.
//! [`Handshake::secure`] tells how a client came. A mounted server has the TLS of its host, which
//! [says so](SocketIoService::with_secure). All of this is behind the feature `tls`, a default.
//!
//! # Shutdown
//!
//! [`Server::shutdown`] disconnects everybody and waits, up to a deadline, until they are gone and handlers have ended.
//! Then [`serve`] returns:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use socketio_tokio::Server;
//!
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! let server = Server::new();
//! let ending = server.clone();
//! tokio::spawn(async move {
//!     let _ = tokio::signal::ctrl_c().await;
//!     ending.shutdown(Duration::from_secs(5)).await;
//! });
//! socketio_tokio::serve(&server, "127.0.0.1:3000").await
//! # }
//! ```
//!
//! # A client
//!
//! ```
//! use std::time::Duration;
//!
//! # use socketio_tokio::{Ack, Server, Socket};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = Server::new();
//! # let chat = server.of("/chat");
//! # chat.on("save", async |text: String, ack: Ack| ack.send(text.len()));
//! # chat.on_connect(async |socket: Socket| socket.emit("message", ("server", "Hello!")));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = &format!("http://{}/chat", listener.local_addr()?);
//! # tokio::spawn(async move { socketio_tokio::serve_listener(&server, listener).await });
//! // url: "http://127.0.0.1:3000/chat"
//! let client = socketio_tokio::client(url)
//!     .on("message", async |(from, text): (String, String)| println!("{from}: {text}"))
//!     .connect()
//!     .await?;
//! client.emit("message", ("lobby", "Hello!"))?;
//! let saved: usize = client.emit_with_ack("save", "a draft").timeout(Duration::from_secs(1)).await?;
//! assert_eq!(saved, 7);
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] connects again by itself when its connection is lost, and keeps meanwhile what is emitted. Everything about
//! it is in the [guide](client_guide): handlers or a loop, acks both ways, credentials, reconnection, delivery, TLS, and
//! what each option of the official client is called.
//!
//! # Not here
//!
//! The rules of the protocol are in the crate `socketio-protocol`, with a table of what was decided where the official
//! server, its suites and the specification differ. The README of the repository says what is missing.

pub mod client_guide;
mod runtime;
mod service;

use std::io;

use tokio::net::{TcpListener, ToSocketAddrs};

pub use socketio_driver::*;

pub use runtime::{Tokio, TokioStream};
pub use service::{SocketIoService, service};

/// Listens on `address` and serves until the server has [shut down](Server::shutdown).
///
/// # Errors
///
/// The address cannot be listened on, or the listener broke.
pub async fn serve(server: &impl Service, address: impl ToSocketAddrs) -> io::Result<()> {
    serve_listener(server, TcpListener::bind(address).await?).await
}

/// Serves the connections of a `TcpListener`, a `UnixListener` or a [`Listener`] of your own until the server has
/// [shut down](Server::shutdown). Dropping the future begins a shutdown, too.
///
/// # Errors
///
/// The listener broke.
pub async fn serve_listener(server: &impl Service, listener: impl Listener<Tokio>) -> io::Result<()> {
    socketio_driver::serve(server, Tokio, listener).await
}

/// As [`serve_listener`], by TLS: `https` and `wss`. Keep a clone of `tls` to [change](ServerTls::reload_pem) the
/// certificate meanwhile; see [above](crate#tls).
///
/// A client has 30 seconds for its handshake. One that fails, as that of a client without TLS does, ends its connection.
///
/// # Errors
///
/// The listener broke.
#[cfg(feature = "tls")]
pub async fn serve_tls(server: &impl Service, listener: impl Listener<Tokio>, tls: &ServerTls) -> io::Result<()> {
    socketio_driver::serve_tls(server, Tokio, listener, tls).await
}

/// A client of the server at `url`: `http`, `https`, `ws` or `wss`, where the path names the namespace. Its
/// [guide](client_guide) has the rest.
///
/// ```no_run
/// use std::time::Duration;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = socketio_tokio::client("http://127.0.0.1:3000/chat")
///     .on("message", async |(from, text): (String, String)| println!("{from}: {text}"))
///     .connect()
///     .await?;
/// let saved: u64 = client.emit_with_ack("save", "a draft").timeout(Duration::from_secs(1)).await?;
/// # let _ = saved;
/// # Ok(())
/// # }
/// ```
pub fn client(url: &str) -> ClientBuilder<Tokio> {
    ClientBuilder::new(Tokio, url)
}

/// The samples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
