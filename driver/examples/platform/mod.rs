#[allow(unreachable_pub, reason = "the file is a whole crate to its readers")]
#[path = "../own-runtime/runtime.rs"]
mod runtime;

use std::future::Future;
use std::{io, net};

use socketio_driver::Listener;
use socketio_programs::Platform;

use runtime::{OwnRuntime, Socket};

/// The runtime of the chapter `your_own_runtime`.
pub(crate) struct OnOwn;

impl Platform for OnOwn {
    type Runtime = OwnRuntime;

    fn run<T, F>(workers: usize, main: impl FnOnce(OwnRuntime) -> F) -> io::Result<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        if workers > 1 {
            return Err(io::Error::other("this runtime has one thread"));
        }
        let runtime = OwnRuntime::new()?;
        Ok(runtime.block_on(main(runtime.clone())))
    }

    fn listen(runtime: &OwnRuntime, listener: net::TcpListener) -> io::Result<impl Listener<OwnRuntime>> {
        listener.set_nonblocking(true)?;
        Socket::new(runtime, mio::net::TcpListener::from_std(listener))
    }

    fn is_prompt(stream: &Socket<mio::net::TcpStream>) -> bool {
        stream.source.nodelay().is_ok_and(|is_on| is_on)
    }
}
