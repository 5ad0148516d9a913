//! Socket.IO for async-std: servers and clients.
//!
//! async-std is [no longer developed](https://rustsec.org/advisories/RUSTSEC-2025-0052.html). This crate is for applications
//! that are built on it; for new ones take `socketio-tokio` or `socketio-smol`. Their types are the same: moving is changing
//! one import.
//!
//! ```no_run
//! use socketio_async_std::{Server, Socket};
//!
//! fn main() -> std::io::Result<()> {
//!     let server = Server::builder().build();
//!     let chat = server.of("/chat");
//!     chat.on_connect(async |socket: Socket| socket.join("lobby"));
//!     chat.on("message", async |socket: Socket, (room, text): (String, String)| {
//!         socket.to(&room).emit("message", (socket.id(), &text))
//!     });
//!     async_std::task::block_on(socketio_async_std::serve(&server, "127.0.0.1:3000"))
//! }
//! ```
//!
//! [`serve`] listens by TCP; [`serve_listener`] takes a `TcpListener`, a `UnixListener`, or a [`Listener`] of your own, and
//! [`serve_tls`] does so with a certificate, which can be [changed](ServerTls::reload_pem) while it serves. Apart
//! from that, everything is the same as on the other runtimes: the documentation of `socketio-tokio` is a guide to servers and
//! clients, which applies word by word when `socketio_tokio` is read as `socketio_async_std`.
//!
//! Tasks run on async-std's executor, which has as many threads as `ASYNC_STD_THREAD_COUNT` says.

mod runtime;

use std::io;

use async_std::net::{TcpListener, ToSocketAddrs};

pub use socketio_driver::*;

pub use runtime::{AsyncStd, AsyncStdStream};

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
pub async fn serve_listener(server: &impl Service, listener: impl Listener<AsyncStd>) -> io::Result<()> {
    socketio_driver::serve(server, AsyncStd, listener).await
}

/// Serves as [`serve_listener`] does, by TLS: `https` and `wss`.
///
/// # Errors
///
/// The listener broke.
#[cfg(feature = "tls")]
pub async fn serve_tls(server: &impl Service, listener: impl Listener<AsyncStd>, tls: &ServerTls) -> io::Result<()> {
    socketio_driver::serve_tls(server, AsyncStd, listener, tls).await
}

/// A client of the server at `url`: `http`, `https`, `ws` or `wss`, where the path names the namespace.
///
/// ```
/// use async_std::net::TcpListener;
/// use socketio_async_std::{Ack, Server};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # async_std::task::block_on(async {
/// let server = Server::new();
/// server.of("/").on("add", async |(a, b): (i64, i64), ack: Ack| ack.send(a + b));
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let url = format!("http://{}", listener.local_addr()?);
/// async_std::task::spawn(async move { socketio_async_std::serve_listener(&server, listener).await });
///
/// let client = socketio_async_std::client(&url).connect().await?;
/// let sum: i64 = client.emit_with_ack("add", (1, 2)).await?;
/// assert_eq!(sum, 3);
/// # Ok(())
/// # })
/// # }
/// ```
pub fn client(url: &str) -> ClientBuilder<AsyncStd> {
    ClientBuilder::new(AsyncStd, url)
}
