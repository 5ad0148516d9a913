//! Socket.IO for smol: servers and clients on its sockets and timers, and on an executor of your choice.
//!
//! ```no_run
//! use socketio_smol::{Server, Socket};
//!
//! fn main() -> std::io::Result<()> {
//!     let server = Server::builder().build();
//!     let chat = server.of("/chat");
//!     chat.on_connect(async |socket: Socket| socket.join("lobby"));
//!     chat.on("message", async |socket: Socket, (room, text): (String, String)| {
//!         socket.to(&room).emit("message", (socket.id(), &text))
//!     });
//!     smol::block_on(socketio_smol::serve(&server, "127.0.0.1:3000"))
//! }
//! ```
//!
//! [`serve`] listens by TCP; [`serve_listener`] takes a `TcpListener`, a `UnixListener`, or a [`Listener`] of your own, and
//! [`serve_tls`] does so with a certificate, which can be [changed](ServerTls::reload_pem) while it serves. Apart
//! from that, everything is the same as on the other runtimes, and the same types: the documentation of `socketio-tokio` is a
//! guide to servers and clients, which applies word by word when `socketio_tokio` is read as `socketio_smol`.
//!
//! # Executors
//!
//! The functions of this crate spawn on smol's global executor, as [`smol::spawn`] does: one thread, or as many as
//! `SMOL_THREADS` says. [`Smol`] names another one.
//!
//! ```
//! use std::sync::Arc;
//!
//! use smol::Executor;
//! use smol::net::TcpListener;
//! use socketio_smol::{Ack, Server, Smol};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::new();
//! server.of("/").on("add", async |(a, b): (i64, i64), ack: Ack| ack.send(a + b));
//! let executor = Arc::new(Executor::new());
//! let smol = Smol::on(&executor); // for a `Rc<LocalExecutor>`: `Smol::on_local`
//! smol::block_on(executor.run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let url = format!("http://{}", listener.local_addr()?);
//!     let serving = executor.spawn({
//!         let (server, smol) = (server.clone(), smol.clone());
//!         async move { smol.serve(&server, listener).await }
//!     });
//!     let client = smol.client(&url).connect().await?;
//!     let sum: i64 = client.emit_with_ack("add", (1, 2)).await?;
//!     assert_eq!(sum, 3);
//!     client.close().await;
//!     server.shutdown(std::time::Duration::from_secs(1)).await;
//!     serving.await?;
//!     Ok(())
//! }))
//! # }
//! ```
//!
//! # Not here
//!
//! A whole application on hyper can be built around the server by [`respond`] and [`HyperStream`]: the example `chat-smol` has
//! a page beside it. There is no router for smol that takes a tower service.

mod runtime;

use std::io;

use smol::net::{AsyncToSocketAddrs, TcpListener};

pub use socketio_driver::*;

pub use runtime::{Smol, SmolStream};

/// Listens on `address` and serves until the server has [shut down](Server::shutdown).
///
/// # Errors
///
/// The address cannot be listened on, or the listener broke.
pub async fn serve(server: &impl Service, address: impl AsyncToSocketAddrs) -> io::Result<()> {
    serve_listener(server, TcpListener::bind(address).await?).await
}

/// Serves the connections of a `TcpListener`, a `UnixListener` or a [`Listener`] of your own until the server has
/// [shut down](Server::shutdown). Dropping the future begins a shutdown, too.
///
/// # Errors
///
/// The listener broke.
pub async fn serve_listener(server: &impl Service, listener: impl Listener<Smol>) -> io::Result<()> {
    Smol::default().serve(server, listener).await
}

/// Serves as [`serve_listener`] does, by TLS: `https` and `wss`.
///
/// # Errors
///
/// The listener broke.
#[cfg(feature = "tls")]
pub async fn serve_tls(server: &impl Service, listener: impl Listener<Smol>, tls: &ServerTls) -> io::Result<()> {
    Smol::default().serve_tls(server, listener, tls).await
}

/// A client of the server at `url`: `http`, `https`, `ws` or `wss`, where the path names the namespace.
///
/// ```no_run
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # smol::block_on(async {
/// let client = socketio_smol::client("http://127.0.0.1:3000/chat")
///     .on("message", async |(from, text): (String, String)| println!("{from}: {text}"))
///     .connect()
///     .await?;
/// let saved: u64 = client.emit_with_ack("save", "a draft").timeout(Duration::from_secs(1)).await?;
/// # let _ = saved;
/// # Ok(())
/// # })
/// # }
/// ```
pub fn client(url: &str) -> ClientBuilder<Smol> {
    Smol::default().client(url)
}
