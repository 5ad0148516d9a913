use core::future::Future;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use hyper::upgrade::Upgraded;

/// What the driver needs of an async runtime.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A connected byte stream.
    type Stream: Stream;
    /// A timer.
    type Sleep: Sleep;

    /// Runs a task to its end, detached.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Wakes the task of `cx` again when others had their turn: those that wait for a stream or a timer, too, where a
    /// runtime would look for them later if the task were just woken.
    fn yield_now(&self, cx: &mut Context<'_>) {
        cx.waker().wake_by_ref();
    }

    /// A timer that goes off after `duration`.
    fn sleep(&self, duration: Duration) -> Self::Sleep;

    /// The addresses of a host, which is a name, each with `port`.
    ///
    /// # Errors
    ///
    /// The name could not be looked up, or has no address.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static;

    /// Connects by TCP, without Nagle's delay. A future that is dropped gives the attempt up.
    ///
    /// # Errors
    ///
    /// There is no connection to be had.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send + 'static;

    /// The runtime's own stream inside an upgraded HTTP connection, with the bytes that were read ahead.
    ///
    /// # Errors
    ///
    /// Gives the connection back when it holds something else; it is then driven through hyper's own traits.
    fn downcast(upgraded: Upgraded) -> Result<(Self::Stream, Bytes), Upgraded>;
}

/// A timer of a [`Runtime`]. Durations may be as long as they can be: such a timer never goes off.
pub trait Sleep: Future<Output = ()> + Send + Sync + 'static {
    /// Makes it go off after `duration` from now, whether it went off before or not.
    fn reset(self: Pin<&mut Self>, duration: Duration);
}

/// A connected byte stream. What gives `Pending` wakes the task of the context later, as a future's `poll` does.
pub trait Stream: Send + Unpin + 'static {
    /// Reads into `buffer`, which is not empty; 0 bytes is the end.
    ///
    /// # Errors
    ///
    /// The connection broke. So for the others.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some of `slices`, at least a byte, and gives how many.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Brings what was written on its way, where the stream holds some of it back, as TLS does.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Flushes and closes the writing half.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Where connections come from.
pub trait Listener<S>: Send + 'static {
    /// The next connection and its peer's address. The future is dropped when the server ends.
    ///
    /// # Errors
    ///
    /// Either a connection could not be accepted, or the listener broke: by the error's kind (`InvalidInput`,
    /// `NotConnected`, `Unsupported`) it ends, else it is asked again after a pause.
    fn accept(&mut self) -> impl Future<Output = io::Result<(S, Option<SocketAddr>)>> + Send;
}
