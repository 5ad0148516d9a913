use core::future::Future;
use std::io::{self, BufRead};
use std::net;
#[cfg(unix)]
use std::os::unix::net as unix;
use std::sync::Once;
use std::thread;

use event_listener::Event;
use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use socketio_driver::{Listener, Runtime};

/// A runtime as an application starts it.
pub trait Platform: 'static {
    /// The adapter's.
    type Runtime: Runtime;

    /// Runs `main` to its end on so many threads, and what it spawns meanwhile.
    ///
    /// # Errors
    ///
    /// The runtime does not start.
    fn run<T, F>(workers: usize, main: impl FnOnce(Self::Runtime) -> F) -> io::Result<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static;

    /// A listener of the runtime, which calls this.
    ///
    /// # Errors
    ///
    /// The runtime does not take it.
    fn listen(runtime: &Self::Runtime, listener: net::TcpListener) -> io::Result<impl Listener<Self::Runtime>>;

    /// Whether a stream by TCP is without Nagle's delay.
    fn is_prompt(stream: &<Self::Runtime as Runtime>::Stream) -> bool;

    /// How many tasks there are, if the runtime tells.
    fn tasks() -> Option<usize> {
        None
    }
}

/// A [`Platform`] that listens in the Unix domain, too.
#[cfg(unix)]
pub trait UnixPlatform: Platform {
    /// A listener of the runtime, which calls this.
    ///
    /// # Errors
    ///
    /// The runtime does not take it.
    fn listen_unix(listener: unix::UnixListener) -> io::Result<impl Listener<Self::Runtime>>;
}

/// Waits until somebody wants the process to end.
pub fn interrupted() -> impl Future<Output = ()> + Send {
    static INTERRUPTED: Event = Event::new();
    static HANDLER: Once = Once::new();
    let interrupted = INTERRUPTED.listen();
    HANDLER.call_once(|| {
        let told = ctrlc::set_handler(|| _ = INTERRUPTED.notify(usize::MAX));
        told.expect("nobody else handles signals");
    });
    interrupted
}

/// The lines of the standard input. A thread of their own reads them, since that blocks.
pub(crate) fn lines() -> UnboundedReceiver<io::Result<String>> {
    let (sender, lines) = unbounded();
    thread::spawn(move || io::stdin().lock().lines().try_for_each(|line| sender.unbounded_send(line)));
    lines
}
