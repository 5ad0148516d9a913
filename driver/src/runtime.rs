use core::future::Future;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use hyper::upgrade::Upgraded;

/// What the driver needs of an async runtime. [`your_own_runtime`](crate::your_own_runtime) is how to write one.
///
/// It is a handle: every connection and every client has a clone, on any thread. Dropping is how things are given up,
/// tasks, timers, attempts and streams alike.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A connected byte stream, of this one type whether it was accepted or connected.
    type Stream: Stream;
    /// A timer.
    type Sleep: Sleep;

    /// Runs a task to its end, detached. It is polled later, not within this call.
    ///
    /// When the runtime ends, it drops the tasks that are left.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Wakes the task of `cx`, whose poll is about to return `Pending`, again when others had their turn: those that
    /// wait for a stream or a timer, too.
    ///
    /// Just waking it is enough where a runtime looks at streams and timers between two polls of a task that wakes
    /// itself in each. Who looks at them only when no task is ready has to do more: such a session would keep all
    /// others waiting.
    fn yield_now(&self, cx: &mut Context<'_>) {
        cx.waker().wake_by_ref();
    }

    /// A timer that goes off after `duration` from now, not from its first poll. See [`Sleep`].
    fn sleep(&self, duration: Duration) -> Self::Sleep;

    /// The addresses of a host, each with `port`, of both families and in any order. The host is a name, never an
    /// address.
    ///
    /// What blocks belongs on a thread of its own.
    ///
    /// # Errors
    ///
    /// The name could not be looked up, or has no address.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static;

    /// Connects by TCP, without Nagle's delay (`TCP_NODELAY`). A future that is dropped gives the attempt up: there may
    /// be several at once, of which one is wanted, and how long one may take is not the runtime's concern.
    ///
    /// # Errors
    ///
    /// There is no connection to be had.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send + 'static;

    /// The runtime's own stream inside an upgraded HTTP connection that somebody else serves, with the bytes that were
    /// read ahead. It saves a layer, and can be left out.
    ///
    /// # Errors
    ///
    /// Gives the connection back when it holds something else; it is then driven through hyper's own traits.
    fn downcast(upgraded: Upgraded) -> Result<(Self::Stream, Bytes), Upgraded> {
        Err(upgraded)
    }
}

/// A timer of a [`Runtime`]. Durations may be as long as they can be: such a timer never goes off, although no clock
/// can add [`Duration::MAX`] to now.
///
/// It may go off late, and by some milliseconds early. Having gone off, it is not polled again before it was set anew.
pub trait Sleep: Future<Output = ()> + Send + Sync + 'static {
    /// Makes it go off after `duration` from now, whether it went off before or not. It is polled behind that, and need
    /// not remember whom it would have woken.
    fn reset(self: Pin<&mut Self>, duration: Duration);
}

/// A connected byte stream, which is closed when it is dropped.
///
/// What gives `Pending` wakes the task of the context later, as a future's `poll` does: when another call may lead to
/// more. Reading and writing wait independently of each other, and in each of the two the last context counts, since a
/// stream may move to another task. What waits may be called again before, and a write then with other bytes.
///
/// Every error is the end of the connection. `WouldBlock` is none: it is `Pending`.
pub trait Stream: Send + Unpin + 'static {
    /// Reads into `buffer`, which is not empty; 0 bytes is the end. It is called until it gives `Pending`, unless there
    /// is too much at once; then it is called again later, without a wake-up.
    ///
    /// # Errors
    ///
    /// The connection broke. So for the others.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some of `slices`, at least a byte, and gives how many. To take the first slice alone is right, and slow.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Brings what was written on its way, where the stream holds some of it back, as TLS does.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Flushes and closes the writing half. It may be called once and the stream be dropped, whatever it gave.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Where the connections of a server come from: what listens, of runtime `R`.
pub trait Listener<R: Runtime>: Send + 'static {
    /// The next connection, by TCP without Nagle's delay, and its peer's address, if it has one. The future is dropped
    /// when the server ends, and the listener with it.
    ///
    /// # Errors
    ///
    /// Either a connection could not be accepted, or the listener broke: by the error's kind (`InvalidInput`,
    /// `NotConnected`, `Unsupported`) it ends, else it is asked again after a pause.
    fn accept(&mut self) -> impl Future<Output = io::Result<(R::Stream, Option<SocketAddr>)>> + Send;
}
