use std::future::Future;
use std::{io, net};

use socketio_programs::Platform;
#[cfg(unix)]
use socketio_programs::UnixPlatform;
use socketio_tokio::{Listener, Tokio, TokioStream};
use tokio::runtime::{Builder, Handle};

/// tokio: its current-thread scheduler, or that for several threads.
pub(crate) struct OnTokio;

impl Platform for OnTokio {
    type Runtime = Tokio;

    fn run<T, F>(workers: usize, main: impl FnOnce(Tokio) -> F) -> io::Result<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let mut builder = if workers == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
        let runtime = builder.worker_threads(workers).enable_all().build()?;
        let _entered = runtime.enter();
        let main = main(Tokio);
        Ok(runtime.block_on(main))
    }

    fn listen(_: &Tokio, listener: net::TcpListener) -> io::Result<impl Listener<Tokio>> {
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    }

    fn is_prompt(stream: &TokioStream) -> bool {
        matches!(stream, TokioStream::Tcp(stream) if stream.nodelay().is_ok_and(|is_on| is_on))
    }

    fn tasks() -> Option<usize> {
        Some(Handle::current().metrics().num_alive_tasks())
    }
}

#[cfg(unix)]
impl UnixPlatform for OnTokio {
    fn listen_unix(listener: std::os::unix::net::UnixListener) -> io::Result<impl Listener<Tokio>> {
        listener.set_nonblocking(true)?;
        tokio::net::UnixListener::from_std(listener)
    }
}
