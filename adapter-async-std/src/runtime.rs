use core::future::Future;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::net::Shutdown::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::LazyLock;

use async_io::{Async, Timer};
use async_std::net::{TcpListener, ToSocketAddrs};
#[cfg(unix)]
use async_std::os::unix::net::{UnixListener, UnixStream};
use futures_util::future::Either;
use socketio_driver::{FuturesStream, Listener, RemadeSleep, Runtime};

/// There are none.
#[cfg(not(unix))]
type UnixStream = async_std::net::TcpStream;

/// The global executor of async-std, and the sockets and timers that it is built on.
#[derive(Copy, Clone, Debug, Default)]
pub struct AsyncStd;

/// A socket that can always be written: who waits for that is woken by the next look at all of them.
static SOCKET: LazyLock<io::Result<Async<UdpSocket>>> =
    LazyLock::new(|| Async::<UdpSocket>::bind((Ipv4Addr::LOCALHOST, 0)));

impl Runtime for AsyncStd {
    type Stream = AsyncStdStream;
    type Sleep = RemadeSleep<Timer>;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Opened at the beginning, when there are descriptors.
        LazyLock::force(&SOCKET);
        async_std::task::spawn(task);
    }

    fn yield_now(&self, cx: &mut Context<'_>) {
        // A task that is just woken is polled up to two hundred times before the next look at sockets.
        match SOCKET.as_ref().map(|socket| socket.poll_writable(cx)) {
            Ok(Poll::Pending) => {}
            _ => cx.waker().wake_by_ref(),
        }
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        RemadeSleep::new(duration, Timer::after)
    }

    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
        resolve((host.to_owned(), port))
    }

    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<AsyncStdStream>> + Send + 'static {
        connect(address)
    }
}

async fn resolve((host, port): (String, u16)) -> io::Result<Vec<SocketAddr>> {
    Ok((host.as_str(), port).to_socket_addrs().await?.collect())
}

async fn connect(address: SocketAddr) -> io::Result<AsyncStdStream> {
    Async::<TcpStream>::connect(address).await.map(AsyncStd::tcp)
}

/// A connected socket, by TCP or in the Unix domain.
pub type AsyncStdStream = Either<FuturesStream<Async<TcpStream>>, FuturesStream<UnixStream>>;

impl AsyncStd {
    /// A connected socket as a stream of this runtime, for a [`Listener`] of your own. Nagle's delay is switched off.
    pub fn tcp(socket: Async<TcpStream>) -> AsyncStdStream {
        // A connection that is gone already fails at its first read, too.
        let _ = socket.get_ref().set_nodelay(true);
        Either::Left(FuturesStream::of_socket(socket, Async::poll_readable, |socket| socket.get_ref().shutdown(Write)))
    }

    /// The same in the Unix domain.
    #[cfg(unix)]
    pub fn unix(socket: UnixStream) -> AsyncStdStream {
        // What async-std has inside could be had by duplicating the descriptor, which fails when there is none left.
        let always_readable = |_: &UnixStream, _: &mut Context<'_>| Poll::Ready(Ok(()));
        Either::Right(FuturesStream::of_socket(socket, always_readable, |socket| socket.shutdown(Write)))
    }
}

impl Listener<AsyncStd> for TcpListener {
    async fn accept(&mut self) -> io::Result<(AsyncStdStream, Option<SocketAddr>)> {
        let (stream, address) = TcpListener::accept(self).await?;
        // The socket itself, since async-std's stream does not tell whether it can be read.
        let socket = Async::try_from(TcpStream::try_from(stream)?)?;
        Ok((AsyncStd::tcp(socket), Some(address)))
    }
}

#[cfg(unix)]
impl Listener<AsyncStd> for UnixListener {
    async fn accept(&mut self) -> io::Result<(AsyncStdStream, Option<SocketAddr>)> {
        let (stream, _) = UnixListener::accept(self).await?;
        Ok((AsyncStd::unix(stream), None))
    }
}
