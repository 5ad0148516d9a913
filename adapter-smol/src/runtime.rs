use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::net::Shutdown::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::{Arc, LazyLock, Weak};

use futures_util::future::Either;
use smol::channel::{Receiver, Sender, unbounded};
use smol::net::TcpListener;
#[cfg(unix)]
use smol::net::unix::UnixListener;
use smol::{Async, Executor, LocalExecutor, Timer};
#[cfg(feature = "tls")]
use socketio_driver::ServerTls;
use socketio_driver::{ClientBuilder, FuturesStream, Listener, RemadeSleep, Runtime, Service};

/// There are none.
#[cfg(not(unix))]
type UnixStream = TcpStream;

/// smol's sockets and timers, and an executor: by default smol's own, which [`smol::spawn`] uses.
#[derive(Clone, Debug, Default)]
pub struct Smol(Tasks);

/// Where tasks run. Executors are not counted: they own the tasks, and the tasks have this.
#[derive(Clone, Default)]
enum Tasks {
    #[default]
    Global,
    Static(&'static Executor<'static>),
    On(Weak<Executor<'static>>),
    /// Whatever is received there is run.
    Local(Sender<Task>),
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tasks on their way to an executor of one thread. Those that do not arrive are dropped with it.
struct Arrivals(Receiver<Task>);

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.0.close();
        while self.0.try_recv().is_ok() {}
    }
}

impl Smol {
    /// Tasks run on `executor`. It is for the application to run it, on as many threads as it likes, and to keep it: the
    /// tasks that are left end with it.
    pub fn on(executor: &Arc<Executor<'static>>) -> Self {
        Self(Tasks::On(Arc::downgrade(executor)))
    }

    /// Tasks run on `executor`, which the application runs.
    pub fn on_static(executor: &'static Executor<'static>) -> Self {
        Self(Tasks::Static(executor))
    }

    /// Tasks run on `executor`, and so on the thread that it belongs to. They end with it.
    ///
    /// They are `Send` all the same, as on every runtime: what handlers capture has to be, too.
    pub fn on_local(executor: &Rc<LocalExecutor<'static>>) -> Self {
        let (sender, tasks) = unbounded();
        let (arrivals, weak) = (Arrivals(tasks), Rc::downgrade(executor));
        let handing_over = async move {
            // Whole, for it to be dropped as that.
            let arrivals = arrivals;
            while let (Ok(task), Some(executor)) = (arrivals.0.recv().await, weak.upgrade()) {
                executor.spawn(task).detach();
            }
        };
        executor.spawn(handing_over).detach();
        Self(Tasks::Local(sender))
    }

    /// A connected socket as a stream of this runtime, for a [`Listener`] of your own. Nagle's delay is switched off.
    pub fn tcp(socket: Async<TcpStream>) -> SmolStream {
        // A connection that is gone already fails at its first read, too.
        let _ = socket.get_ref().set_nodelay(true);
        Either::Left(FuturesStream::of_socket(socket, Async::poll_readable, |socket| socket.get_ref().shutdown(Write)))
    }

    /// The same in the Unix domain.
    #[cfg(unix)]
    pub fn unix(socket: Async<UnixStream>) -> SmolStream {
        Either::Right(FuturesStream::of_socket(socket, Async::poll_readable, |socket| socket.get_ref().shutdown(Write)))
    }

    /// Serves as [`serve_listener`](crate::serve_listener) does, on this executor.
    ///
    /// # Errors
    ///
    /// The listener broke.
    pub async fn serve(&self, server: &impl Service, listener: impl Listener<Self>) -> io::Result<()> {
        socketio_driver::serve(server, self.clone(), listener).await
    }

    /// Serves as [`serve_tls`](crate::serve_tls) does, on this executor.
    ///
    /// # Errors
    ///
    /// The listener broke.
    #[cfg(feature = "tls")]
    pub async fn serve_tls(
        &self,
        server: &impl Service,
        listener: impl Listener<Self>,
        tls: &ServerTls,
    ) -> io::Result<()> {
        socketio_driver::serve_tls(server, self.clone(), listener, tls).await
    }

    /// A client as [`client`](crate::client()) makes it, on this executor.
    pub fn client(&self, url: &str) -> ClientBuilder<Self> {
        ClientBuilder::new(self.clone(), url)
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "Global",
            Self::Static(_) => "Static(..)",
            Self::On(_) => "On(..)",
            Self::Local(_) => "Local(..)",
        })
    }
}

/// A socket that can always be written: who waits for that is woken by the next look at all of them.
static SOCKET: LazyLock<io::Result<Async<UdpSocket>>> =
    LazyLock::new(|| Async::<UdpSocket>::bind((Ipv4Addr::LOCALHOST, 0)));

impl Runtime for Smol {
    type Stream = SmolStream;
    type Sleep = RemadeSleep<Timer>;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Opened at the beginning, when there are descriptors.
        LazyLock::force(&SOCKET);
        match &self.0 {
            Tasks::Global => smol::spawn(task).detach(),
            Tasks::Static(executor) => executor.spawn(task).detach(),
            // Without its executor nothing runs any more, this task neither. So below.
            Tasks::On(executor) => _ = executor.upgrade().map(|executor| executor.spawn(task).detach()),
            Tasks::Local(tasks) => _ = tasks.try_send(Box::pin(task)),
        }
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
        smol::net::resolve((host.to_owned(), port))
    }

    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<SmolStream>> + Send + 'static {
        connect(address)
    }
}

async fn connect(address: SocketAddr) -> io::Result<SmolStream> {
    Async::<TcpStream>::connect(address).await.map(Smol::tcp)
}

/// A connected socket, by TCP or in the Unix domain.
pub type SmolStream = Either<FuturesStream<Async<TcpStream>>, FuturesStream<Async<UnixStream>>>;

impl Listener<Smol> for TcpListener {
    async fn accept(&mut self) -> io::Result<(SmolStream, Option<SocketAddr>)> {
        let (stream, address) = TcpListener::accept(self).await?;
        Ok((Smol::tcp(unshared(stream.into())?), Some(address)))
    }
}

#[cfg(unix)]
impl Listener<Smol> for UnixListener {
    async fn accept(&mut self) -> io::Result<(SmolStream, Option<SocketAddr>)> {
        let (stream, _) = UnixListener::accept(self).await?;
        Ok((Smol::unix(unshared(stream.into())?), None))
    }
}

/// A socket that was just accepted, and has no other owner.
fn unshared<T>(socket: Arc<Async<T>>) -> io::Result<Async<T>> {
    Arc::into_inner(socket).ok_or_else(|| io::Error::other("a new connection is shared"))
}
