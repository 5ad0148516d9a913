use std::future::{Future, pending};
use std::sync::Arc;
use std::{io, net, thread};

use futures_util::future::Either;
use smol::{Async, Executor};
use socketio_programs::Platform;
#[cfg(unix)]
use socketio_programs::UnixPlatform;
use socketio_smol::{Listener, Smol, SmolStream};

/// smol, with an executor of the application's own, so that it is up to that how many threads there are.
pub(crate) struct OnSmol;

impl Platform for OnSmol {
    type Runtime = Smol;

    fn run<T, F>(workers: usize, main: impl FnOnce(Smol) -> F) -> io::Result<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let executor = Arc::new(Executor::new());
        for _ in 1..workers {
            let executor = Arc::clone(&executor);
            thread::spawn(move || smol::block_on(executor.run(pending::<()>())));
        }
        Ok(smol::block_on(executor.run(main(Smol::on(&executor)))))
    }

    fn listen(_: &Smol, listener: net::TcpListener) -> io::Result<impl Listener<Smol>> {
        Ok(smol::net::TcpListener::from(Async::new(listener)?))
    }

    fn is_prompt(stream: &SmolStream) -> bool {
        matches!(stream, Either::Left(stream) if stream.get_ref().get_ref().nodelay().is_ok_and(|is_on| is_on))
    }
}

#[cfg(unix)]
impl UnixPlatform for OnSmol {
    fn listen_unix(listener: std::os::unix::net::UnixListener) -> io::Result<impl Listener<Smol>> {
        Ok(smol::net::unix::UnixListener::from(Async::new(listener)?))
    }
}
