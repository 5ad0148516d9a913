//! How to use a [`Client`]: a socket of a Socket.IO server, in JavaScript or in Rust, that comes back when it is lost.
//!
//! If you know the official client, begin with the [tables](#from-javascript): each of its options and methods, and what
//! it is called here.
//!
//! # Connecting
//!
//! [`client`](crate::client()) takes a URL: `http`, `https`, `ws` or `wss`. As in JavaScript, its path is the namespace,
//! and its query is sent along. (Where the server itself answers is [`path`](ClientBuilder::path), `/socket.io/`.)
//!
//! ```
//! use std::time::Duration;
//!
//! # use socketio_tokio::Server;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = Server::new();
//! # server.of("/chat");
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = &format!("http://{}/chat", listener.local_addr()?);
//! # tokio::spawn(async move { socketio_tokio::serve_listener(&server, listener).await });
//! // url: "http://127.0.0.1:3000/chat"
//! let client = socketio_tokio::client(url).connect().timeout(Duration::from_secs(10)).await?;
//! println!("{} is {:?} by {:?}", client.namespace(), client.id(), client.transport());
//! # assert!(client.is_connected());
//! # Ok(())
//! # }
//! ```
//!
//! There are two ways to begin. [`connect`](ClientBuilder::connect) is awaited: it ends when the socket is connected, when
//! the namespace refuses, when all attempts were made (by default there is no end of them), or at its
//! [`timeout`](Connect::timeout). [`start`](ClientBuilder::start) waits for nothing: emit at once, and it is sent when it
//! can be.
//!
//! WebSocket is tried first, and long-polling where that cannot be opened. [`transports`](ClientBuilder::transports) says
//! otherwise.
//!
//! A [`Client`] is a handle: clone it freely. It is the last clone that keeps the socket connected, so a program that only
//! listens has to hold one.
//!
//! # Handlers
//!
//! A handler is an async function or closure whose parameters say what it needs, in any order:
//!
//! | parameter | is |
//! |---|---|
//! | [`Client`] | who received the event |
//! | a tuple | the arguments of the event, one by one; `()` is none |
//! | any other type that serde deserializes | the first argument (a `Vec` is one array argument) |
//! | [`Args<Vec<T>>`](Args), [`RawArgs`] | all arguments: as one list, as they came |
//! | [`Ack`] | the right to answer |
//! | [`State<T>`](State) | a value given to [`ClientBuilder::state`] |
//! | [`EventName`] | the name of the event, for [`on_any`](ClientBuilder::on_any) |
//!
//! ```
//! use socketio_tokio::{Client, DisconnectReason, EmitError, State};
//! # use socketio_tokio::{Server, Socket};
//! use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
//!
//! async fn message(State(lines): State<UnboundedSender<String>>, (from, text): (String, String)) {
//!     let _ = lines.send(format!("{from}: {text}"));
//! }
//!
//! async fn ready(client: Client) -> Result<(), EmitError> {
//!     client.emit("join", "lobby")
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = Server::new();
//! # server.of("/").on("join", async |socket: Socket, room: String| socket.emit("message", (room, "Hello!")));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = &format!("http://{}", listener.local_addr()?);
//! # tokio::spawn(async move { socketio_tokio::serve_listener(&server, listener).await });
//! let (sender, mut lines) = unbounded_channel::<String>();
//! let client = socketio_tokio::client(url)
//!     .state(sender)
//!     .on("message", message)
//!     .on_connect(ready)
//!     .on_disconnect(async |reason: DisconnectReason| println!("gone: {reason}"))
//!     .connect()
//!     .await?;
//! assert_eq!(lines.recv().await.unwrap(), "lobby: Hello!");
//! # drop(client);
//! # Ok(())
//! # }
//! ```
//!
//! Handlers start in the order of the events, and one that awaits something does not hold up the next; from 64 of them on,
//! events wait. An event has one handler: [`Client::on`] declares it later, or puts another one in its place.
//!
//! An async closure that captures something is no handler (its future would borrow from the closure): hand it over as
//! [`State`], as here, or write `move |..| { let lines = lines.clone(); async move { .. } }`.
//!
//! # A loop instead of handlers
//!
//! [`Client::next`] gives what happens, one thing after the other: the server's events, and what becomes of the connection.
//!
//! ```
//! use socketio_tokio::ClientEvent;
//! # use socketio_tokio::{Server, Socket};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = Server::new();
//! # server.of("/").on_connect(async |socket: Socket| socket.emit("sum", (1, 2)));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = &format!("http://{}", listener.local_addr()?);
//! # tokio::spawn(async move { socketio_tokio::serve_listener(&server, listener).await });
//! let client = socketio_tokio::client(url).start()?;
//! while let Some(event) = client.next().await {
//!     match event {
//!         ClientEvent::Connect { .. } => println!("connected"),
//!         ClientEvent::ConnectError(error) => eprintln!("not connected: {error}"),
//!         ClientEvent::Event(event) if event.name() == "sum" => {
//!             let (a, b): (i64, i64) = event.args()?;
//!             assert_eq!(a + b, 3);
//!             # break;
//!             event.into_ack().send(a + b)?; // does nothing if the server has not asked
//!         }
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It ends with `None` when nothing more comes by itself. Both styles go together: what has a handler goes there, the rest
//! comes here. If no event has a handler, all of them wait for the first call of `next`; if one has, and `next` was not
//! called yet, the others are dropped, as in JavaScript.
//!
//! # Answers
//!
//! Both sides can ask: [`Client::emit_with_ack`] waits for the server's answer, [`Ack`] answers the server. An answer has
//! the form of arguments.
//!
//! ```
//! use std::time::Duration;
//!
//! use socketio_tokio::{Ack, AckError};
//! # use socketio_tokio::{HandlerError, Server, Socket};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = Server::new();
//! # let root = server.of("/");
//! # root.on("add", async |(a, b): (i64, i64), ack: Ack| ack.send(a + b));
//! # root.on("silence", async || {});
//! # root.on("ask me", async |socket: Socket, ack: Ack| -> Result<(), HandlerError> {
//! #     let name: String = socket.emit_with_ack("who are you", ()).await?;
//! #     Ok(ack.send(name)?)
//! # });
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = &format!("http://{}", listener.local_addr()?);
//! # tokio::spawn(async move { socketio_tokio::serve_listener(&server, listener).await });
//! let client = socketio_tokio::client(url)
//!     .ack_timeout(Duration::from_secs(5)) // where a call says nothing else
//!     .on("who are you", async |ack: Ack| ack.send("a client"))
//!     .connect()
//!     .await?;
//! let sum: i64 = client.emit_with_ack("add", (1, 2)).await?;
//! assert_eq!(sum, 3);
//! let late = client.emit_with_ack::<()>("silence", ()).timeout(Duration::from_millis(50)).await;
//! assert_eq!(late, Err(AckError::Timeout));
//! # let name: String = client.emit_with_ack("ask me", ()).await?;
//! # assert_eq!(name, "a client");
//! # Ok(())
//! # }
//! ```
//!
//! Without any timeout it waits until the socket is connected, which may be never, and then until it is not. Nothing is sent
//! before the `await`.
//!
//! # Bytes
//!
//! [`Binary`] anywhere in the arguments, in both directions, is an attachment; so is what serde serializes as bytes. A
//! `Vec<u8>` is a list of numbers.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use socketio_tokio::Binary;
//! # use socketio_tokio::{Ack, RawArgs, Server};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Upload {
//!     name: String,
//!     content: Binary,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = Server::new();
//! # server.of("/").on("upload", async |args: RawArgs, ack: Ack| ack.send(args));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = &format!("http://{}", listener.local_addr()?);
//! # tokio::spawn(async move { socketio_tokio::serve_listener(&server, listener).await });
//! # let client = socketio_tokio::client(url).connect().await?;
//! let upload = Upload { name: "a.png".into(), content: Binary::from(vec![1, 2, 3]) };
//! let echo: Upload = client.emit_with_ack("upload", upload).await?;
//! assert_eq!(&echo.content.0[..], [1, 2, 3]);
//! # Ok(())
//! # }
//! ```
//!
//! # Namespaces
//!
//! [`Client::of`] is another namespace on the same connection, with handlers, credentials and a life of its own. Options of
//! the connection belong to the first.
//!
//! ```
//! # use socketio_tokio::{Ack, Server};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = Server::new();
//! # server.of("/");
//! # server.of("/admin").on("users", async |ack: Ack| ack.send(1));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = &format!("http://{}", listener.local_addr()?);
//! # let stats = server.clone();
//! # tokio::spawn(async move { socketio_tokio::serve_listener(&server, listener).await });
//! # #[derive(serde::Serialize)]
//! # struct Token { token: &'static str }
//! let client = socketio_tokio::client(url).connect().await?;
//! let admin = client.of("/admin").auth(Token { token: "abc" }).connect().await?;
//! let users: u32 = admin.emit_with_ack("users", ()).await?;
//! # assert_eq!((users, stats.stats().sessions, stats.stats().sockets), (1, 1, 2));
//! # Ok(())
//! # }
//! ```
//!
//! # Credentials
//!
//! [`auth`](ClientBuilder::auth) is sent with every CONNECT, the first and those after a lost connection.
//! [`auth_with`](ClientBuilder::auth_with) is asked at each of them, for tokens that expire.
//! [`Client::set_auth`] changes them for the connections to come, for instance after a refusal:
//!
//! ```
//! use serde::Serialize;
//! use socketio_tokio::ConnectFailure;
//! # use serde::Deserialize;
//! # use socketio_tokio::{Auth, ConnectError, Server};
//!
//! #[derive(Serialize)]
//! # #[derive(Deserialize)]
//! struct Token {
//!     token: String,
//! }
//!
//! async fn fetch_token() -> Token {
//!     Token { token: "fresh".into() } // from somewhere
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = Server::new();
//! # server.of("/").middleware(async |Auth(Token { token }): Auth<Token>| match &*token {
//! #     "fresh" => Ok(()),
//! #     _ => Err(ConnectError::new("token expired")),
//! # });
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = &format!("http://{}", listener.local_addr()?);
//! # tokio::spawn(async move { socketio_tokio::serve_listener(&server, listener).await });
//! let client = socketio_tokio::client(url).auth_with(fetch_token).connect().await?;
//! # drop(client);
//!
//! let client = socketio_tokio::client(url).auth(Token { token: "stale".into() }).start()?;
//! match client.connect().await {
//!     Err(ConnectFailure::Refused(error)) => println!("{error} {:?}", error.data()),
//!     other => panic!("{other:?}"),
//! }
//! client.set_auth(fetch_token().await)?;
//! client.connect().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # When the connection is lost
//!
//! It is opened again, and every socket connected again: so is the first connection, if it cannot be opened.
//!
//! | what happens | told | tried again by itself |
//! |---|---|---|
//! | the connection cannot be opened: DNS, TCP, TLS, proxy, an HTTP status, [`timeout`](ClientBuilder::timeout) | `on_connect_error`, [`ConnectFailure::Open`] | yes |
//! | it is lost, or the server says nonsense, or no ping comes in time | `on_disconnect` if the socket was connected; else `on_connect_error`, [`ConnectFailure::Closed`] | yes |
//! | the namespace does not answer for [`connect_timeout`](ClientBuilder::connect_timeout) | `on_connect_error`, [`ConnectFailure::NoAnswer`] | with the next connection; at once if no other socket is connected |
//! | the server is of version 2 | `on_connect_error`, [`ConnectFailure::Version`] | with the next connection; at once if no other socket is connected |
//! | the namespace refuses: its middleware, or there is no such namespace | `on_connect_error`, [`ConnectFailure::Refused`] | no |
//! | the server disconnects the socket | `on_disconnect`, `io server disconnect` | no |
//! | [`Client::disconnect`], [`Client::close`] | `on_disconnect`, `io client disconnect` | no |
//! | an option cannot be used | [`ConnectFailure::Invalid`], by `start` and `connect` | no |
//!
//! Where nothing is tried again, [`Client::is_active`] is false, and [`Client::connect`] begins anew.
//!
//! The delays are the official ones. The n-th attempt in a row, from 0, waits for
//! [`reconnection_delay`](ClientBuilder::reconnection_delay) (1 s) times 2ⁿ, more or less up to
//! [`randomization_factor`](ClientBuilder::randomization_factor) (0.5) of that as chance has it, and at most
//! [`reconnection_delay_max`](ClientBuilder::reconnection_delay_max) (5 s). The count begins anew when a namespace lets the
//! client in, not when a connection opens: a server that accepts and fails is not hammered.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use socketio_tokio::ManagerEvent;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = socketio_tokio::client("https://example.com")
//!     .reconnection_delay(Duration::from_millis(200))
//!     .reconnection_delay_max(Duration::from_secs(30))
//!     .reconnection_attempts(20) // then `ReconnectFailed`, and `next` gives `None`
//!     .on_manager(|event| match event {
//!         ManagerEvent::ReconnectAttempt(attempt) => println!("attempt {attempt}"),
//!         ManagerEvent::Reconnect(attempt) => println!("back after {attempt}"),
//!         _ => {}
//!     })
//!     .start()?;
//! # drop(client);
//! # Ok(())
//! # }
//! ```
//!
//! # Events while there is no connection
//!
//! What is emitted then is kept, in order, and sent when the socket is connected, before `on_connect` is called. All that
//! waits, for a connection or on it, has at most [`max_buffered`](ClientBuilder::max_buffered) bytes (8 MiB); the call that
//! would exceed them fails with [`EmitError::QueueFull`]. [`Client::emit_volatile`] is for what is worthless later: it is
//! dropped if it cannot leave at once.
//!
//! An event that was sent is gone: if the connection is lost before the server has it, nobody knows. Where that matters,
//! there are two ways.
//!
//! **At least once.** With [`retries`](ClientBuilder::retries) each event asks for an answer and is sent again until one
//! comes, after [`ack_timeout`](ClientBuilder::ack_timeout) or on the next connection; the next event waits for that. So the
//! server has to answer every event, and to recognize one that it has seen: give it an id.
//!
//! ```
//! use std::time::Duration;
//!
//! # use socketio_tokio::{Ack, Server, Socket, State};
//! # use std::collections::HashSet;
//! # use std::sync::{Arc, Mutex};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # type Seen = Arc<Mutex<HashSet<u64>>>;
//! # let server = Server::builder().state(Seen::default()).build();
//! // The server: what came twice is answered, and not done again.
//! server.of("/").on("order", async |State(seen): State<Seen>, (id, order): (u64, String), ack: Ack| {
//!     if seen.lock().unwrap().insert(id) {
//!         println!("{order}");
//!     }
//!     ack.send(())
//! });
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = &format!("http://{}", listener.local_addr()?);
//! # let serving = server.clone();
//! # tokio::spawn(async move { socketio_tokio::serve_listener(&serving, listener).await });
//!
//! // The client: fire and forget, or wait until the server has it.
//! let client = socketio_tokio::client(url).retries(5).ack_timeout(Duration::from_secs(10)).start()?;
//! client.emit("order", (1, "tea"))?;
//! client.emit_with_ack::<()>("order", (2, "milk")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! **Connection state recovery**, for what the *server* emits. Where a server offers it, nothing is to be done here: the
//! client says what it has seen last, the server sends the rest, and [`Client::is_recovered`] is true. (The official server
//! can; ours not yet.)
//!
//! # Errors of handlers
//!
//! A handler may return a `Result` with any error. That error, arguments of another shape than it takes, and a panic go to
//! [`on_error`](ClientBuilder::on_error), and into the log of `tracing` where there is none. The client lives on, and the
//! server is told nothing: answer with a `Result` of your own if it should know.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use socketio_tokio::{Server, Socket};
//! # let server = Server::new();
//! # server.of("/").on_connect(async |socket: Socket| socket.emit("price", "cheap"));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = &format!("http://{}", listener.local_addr()?);
//! # tokio::spawn(async move { socketio_tokio::serve_listener(&server, listener).await });
//! # let (sender, mut errors) = tokio::sync::mpsc::unbounded_channel();
//! let client = socketio_tokio::client(url)
//!     .on("price", async |price: f64| println!("{price}"))
//!     .on_error(move |client, event, error| {
//!         eprintln!("{}: {event}: {error}", client.namespace());
//!         # let _ = sender.send(event.to_owned());
//!     })
//!     .connect()
//!     .await?;
//! # assert_eq!(errors.recv().await.unwrap(), "price");
//! # drop(client);
//! # Ok(())
//! # }
//! ```
//!
//! # TLS, proxies, headers, cookies
//!
//! `https` and `wss` are checked against the certificates that the operating system trusts. [`Tls`] knows others, and
//! certificates of clients; [`Tls::from_config`] takes any configuration of rustls. (Without the default feature `tls`
//! they are an error.) A proxy is spoken to by `CONNECT`.
//!
//! ```no_run
//! # #[cfg(not(feature = "tls"))]
//! # fn main() {}
//! # #[cfg(feature = "tls")]
//! use socketio_tokio::Tls;
//!
//! # #[cfg(feature = "tls")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let roots = std::fs::read("our-ca.pem")?;
//! let client = socketio_tokio::client("https://intranet.example")
//!     .tls(Tls::default().with_root_pem(&roots)?)
//!     .proxy("http://user:password@proxy.example:3128")
//!     .header("Authorization", "Bearer abc")
//!     .query("tenant", "a & b")
//!     .connect()
//!     .await?;
//! # drop(client);
//! # Ok(())
//! # }
//! ```
//!
//! Cookies that the server sets go back to it, on all requests: load balancers find the right process by them. They last as
//! long as the client.
//!
//! # Backpressure
//!
//! Emitting waits for nobody, and its limit is [`max_buffered`](ClientBuilder::max_buffered). Events that come faster than
//! handlers or [`Client::next`] take them wait, up to [`max_held`](ClientBuilder::max_held) bytes (8 MiB) for each socket.
//! Then reading stops, and the server notices: a program that never goes on is disconnected by the ping timeout.
//! [`max_payload`](ClientBuilder::max_payload), [`max_packet`](ClientBuilder::max_packet) and
//! [`max_attachments`](ClientBuilder::max_attachments) limit what one message may cost.
//!
//! # Closing
//!
//! When the last clone of a socket's handle is dropped, the socket is disconnected, behind what was emitted before; with the
//! last socket of a connection the connection is closed, and nothing of the client is left running, handlers that still
//! wait included. (`on_disconnect` is not called: there is no [`Client`] to call it with.) That takes place in a task, which
//! ends with the runtime: at the end of `main`, await [`Client::close`], which returns when everything is delivered.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use socketio_tokio::{Server, State};
//! # use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
//! # let (sender, mut said) = unbounded_channel::<String>();
//! # let server = Server::builder().state(sender).build();
//! # server.of("/").on("last words", async |State(say): State<UnboundedSender<String>>, words: String| say.send(words));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = &format!("http://{}", listener.local_addr()?);
//! # tokio::spawn(async move { socketio_tokio::serve_listener(&server, listener).await });
//! let client = socketio_tokio::client(url).connect().await?;
//! client.emit("last words", "so long")?;
//! client.close().await;
//! # assert_eq!(said.recv().await.unwrap(), "so long");
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::disconnect`] leaves one namespace, and [`Client::connect`] comes back.
//!
//! # What runs when
//!
//! Each client has one task. When a namespace lets a socket in, it does this, in this order:
//!
//! 1. events that came early go to their handlers, then what was kept is sent;
//! 2. [`id`](Client::id), [`is_connected`](Client::is_connected) and [`is_recovered`](Client::is_recovered) are set;
//! 3. who awaits [`connect`](Client::connect) goes on, and `on_connect` starts;
//! 4. events that have a handler start theirs; those without one are held until `on_connect` has finished, so that it can
//!    declare handlers with [`Client::on`].
//!
//! Handlers are polled by that task: what computes for long belongs into `spawn_blocking`. `on_error` and `on_manager` are
//! no async functions, and called in its midst.
//!
//! # From JavaScript
#![doc = include_str!("from_javascript.md")]

#[cfg(doc)]
use crate::*;
