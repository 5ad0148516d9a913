use futures_util::future::Either;

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod client;
#[cfg(feature = "tls")]
mod error;
#[cfg(feature = "tls")]
mod server;
#[cfg(feature = "tls")]
mod stream;

#[cfg(not(feature = "tls"))]
pub(crate) use absent::{ServerTls, Tls, TlsStream, describe};
#[cfg(feature = "tls")]
pub use client::Tls;
#[cfg(feature = "tls")]
pub(crate) use client::describe;
#[cfg(feature = "tls")]
pub use error::TlsError;
#[cfg(feature = "tls")]
pub use server::ServerTls;
#[cfg(feature = "tls")]
pub(crate) use stream::TlsStream;

/// A connection of a server or a client. Without TLS it costs nothing more.
pub(crate) type MaybeTls<S> = Either<S, TlsStream<S>>;
