use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use bytes::Bytes;
use hyper::upgrade::{Parts, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use pin_project_lite::pin_project;
use socketio_driver::{Listener, Runtime, Sleep, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

/// The runtime that the calling task runs on.
#[derive(Copy, Clone, Debug, Default)]
pub struct Tokio;

impl Runtime for Tokio {
    type Stream = TokioStream;
    type Sleep = TokioSleep;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    fn yield_now(&self, cx: &mut Context<'_>) {
        // Polled once, it has tokio wake the task after the next look at streams and timers.
        let _ = pin!(tokio::task::yield_now()).poll(cx);
    }

    fn sleep(&self, duration: Duration) -> TokioSleep {
        TokioSleep { sleep: tokio::time::sleep(duration) }
    }

    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
        let host = host.to_owned();
        async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) }
    }

    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<TokioStream>> + Send + 'static {
        connect(address)
    }

    fn downcast(upgraded: Upgraded) -> Result<(TokioStream, Bytes), Upgraded> {
        // axum and others serve by hyper-util's `auto`, which wraps the stream once more.
        let upgraded = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(auto::upgrade::Parts { io, read_buf, .. }) => return Ok((io.into_inner().into(), read_buf)),
            Err(upgraded) => upgraded,
        };
        let Parts { io, read_buf, .. } = upgraded.downcast::<TokioIo<TcpStream>>()?;
        Ok((io.into_inner().into(), read_buf))
    }
}

async fn connect(address: SocketAddr) -> io::Result<TokioStream> {
    TcpStream::connect(address).await.map(TokioStream::from)
}

/// As good as never, and no more than a clock can add.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

pin_project! {
    /// A timer of tokio.
    #[derive(Debug)]
    pub struct TokioSleep {
        #[pin]
        sleep: tokio::time::Sleep,
    }
}

impl Future for TokioSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().sleep.poll(cx)
    }
}

impl Sleep for TokioSleep {
    fn reset(self: Pin<&mut Self>, duration: Duration) {
        self.project().sleep.reset(Instant::now() + duration.min(FAR));
    }
}

/// A connected stream of tokio.
#[derive(Debug)]
pub enum TokioStream {
    /// By TCP.
    Tcp(TcpStream),
    /// By a Unix domain socket.
    #[cfg(unix)]
    Unix(Box<UnixStream>),
}

impl From<TcpStream> for TokioStream {
    /// Switches Nagle's delay off.
    fn from(stream: TcpStream) -> Self {
        // A connection that is gone already fails at its first read, too.
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream)
    }
}

#[cfg(unix)]
impl From<UnixStream> for TokioStream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(Box::new(stream))
    }
}

/// Does the same with whatever the stream is.
macro_rules! each {
    ($stream:expr, $socket:ident => $work:expr) => {
        match $stream {
            TokioStream::Tcp($socket) => $work,
            #[cfg(unix)]
            TokioStream::Unix($socket) => $work,
        }
    };
}

impl Stream for TokioStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        each!(self, socket => Pin::new(socket).poll_read(cx, &mut buffer)).map_ok(|()| buffer.filled().len())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        each!(self, socket => match slices {
            [one] => Pin::new(socket).poll_write(cx, one),
            many => Pin::new(socket).poll_write_vectored(cx, many),
        })
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, socket => Pin::new(socket).poll_shutdown(cx))
    }
}

impl Listener<Tokio> for TcpListener {
    async fn accept(&mut self) -> io::Result<(TokioStream, Option<SocketAddr>)> {
        let (stream, address) = TcpListener::accept(self).await?;
        Ok((stream.into(), Some(address)))
    }
}

#[cfg(unix)]
impl Listener<Tokio> for UnixListener {
    async fn accept(&mut self) -> io::Result<(TokioStream, Option<SocketAddr>)> {
        let (stream, _) = UnixListener::accept(self).await?;
        Ok((stream.into(), None))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::future::Either;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpSocket;

    use super::*;

    #[tokio::test]
    async fn a_timer_may_be_set_to_the_end_of_time() {
        let mut sleep = Box::pin(Tokio.sleep(Duration::MAX));
        sleep.as_mut().reset(Duration::MAX);
        assert!(poll(sleep.as_mut()).is_pending());
        sleep.as_mut().reset(Duration::ZERO);
        sleep.await;
    }

    #[tokio::test]
    async fn a_stream_is_connected_without_delay() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let addresses = Tokio.resolve("localhost", port).await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        assert!(addresses.contains(&address), "{addresses:?}");
        let stream = Tokio.connect(address).await.unwrap();
        assert!(matches!(&stream, TokioStream::Tcp(stream) if stream.nodelay().unwrap()));
        let nobody = TcpSocket::new_v4().unwrap();
        nobody.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = nobody.local_addr().unwrap();
        assert_eq!(Tokio.connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_task_that_yields_lets_streams_wake_their_tasks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let reading = tokio::spawn(async move { stream.read_u8().await });
        tokio::task::yield_now().await;
        client.write_all(&[1]).unwrap();
        let mut polls = 0;
        let yielding = core::future::poll_fn(move |cx| {
            polls += 1;
            if reading.is_finished() {
                return Poll::Ready(polls);
            }
            Tokio.yield_now(cx);
            Poll::Pending
        });
        let polls = tokio::spawn(yielding).await.unwrap();
        assert!(polls < 10, "{polls} polls before the other task");
    }

    /// What `driver` makes of it where TLS can be chosen: an idle connection without TLS costs nothing more.
    #[test]
    fn a_stream_has_room_for_the_choice_of_tls() {
        assert_eq!(size_of::<Either<TokioStream, Box<()>>>(), size_of::<TokioStream>());
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(core::task::Waker::noop()))
    }
}
