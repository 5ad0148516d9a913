use std::future::Future;
use std::{io, net};

use async_global_executor::GlobalExecutorConfig;
use futures_util::future::Either;
use socketio_async_std::{AsyncStd, AsyncStdStream, Listener};
use socketio_programs::Platform;
#[cfg(unix)]
use socketio_programs::UnixPlatform;

/// async-std. Its executor is one for the process, with threads of its own.
pub(crate) struct OnAsyncStd;

impl Platform for OnAsyncStd {
    type Runtime = AsyncStd;

    fn run<T, F>(workers: usize, main: impl FnOnce(AsyncStd) -> F) -> io::Result<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let threads = GlobalExecutorConfig::default().with_min_threads(workers).with_max_threads(workers);
        async_global_executor::init_with_config(threads);
        Ok(async_std::task::block_on(main(AsyncStd)))
    }

    fn listen(_: &AsyncStd, listener: net::TcpListener) -> io::Result<impl Listener<AsyncStd>> {
        listener.set_nonblocking(true)?;
        Ok(async_std::net::TcpListener::from(listener))
    }

    fn is_prompt(stream: &AsyncStdStream) -> bool {
        matches!(stream, Either::Left(stream) if stream.get_ref().get_ref().nodelay().is_ok_and(|is_on| is_on))
    }
}

#[cfg(unix)]
impl UnixPlatform for OnAsyncStd {
    fn listen_unix(listener: std::os::unix::net::UnixListener) -> io::Result<impl Listener<AsyncStd>> {
        listener.set_nonblocking(true)?;
        Ok(async_std::os::unix::net::UnixListener::from(listener))
    }
}
