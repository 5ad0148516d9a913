use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Weak, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Registry, Token, event::Source, net::TcpListener, net::TcpStream};
use socketio_driver::{Listener, Runtime, Sleep, Stream};

/// A runtime of one thread: the one that calls [`OwnRuntime::block_on`].
#[derive(Clone)]
pub struct OwnRuntime(Arc<Core>);

struct Core {
    /// What [`OwnRuntime::block_on`] takes: the end of it is the end of everything.
    start: Mutex<Option<(mio::Poll, mpsc::Receiver<Spawned>)>>,
    spawner: mpsc::Sender<Spawned>,
    registry: Registry,
    alarm: mio::Waker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The numbers of the tasks to poll.
    ready: BTreeSet<usize>,
    timers: BTreeMap<(Instant, usize), Waker>,
    /// Who waits to read, and who to write.
    sockets: BTreeMap<Token, [Option<Waker>; 2]>,
    /// The thread waits for events, or is about to.
    asleep: bool,
}

/// Each task, timer and socket has a number of its own: what comes late for one that is gone finds nobody.
static NEXT_ID: AtomicUsize = AtomicUsize::new(1);

type Spawned = (usize, Task);
type Task = (Waker, Pin<Box<dyn Future<Output = ()> + Send>>);

/// Polls a task: whether it ends by that. A panic ends it, too, and nothing else.
fn ends((waker, future): &mut Task) -> bool {
    let poll = || future.as_mut().poll(&mut Context::from_waker(waker));
    !matches!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)), Ok(Poll::Pending))
}

/// Wakes a task. Whoever keeps it keeps neither the task nor the runtime alive.
struct Ticket(usize, Weak<Core>);

impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        let Some(core) = self.1.upgrade() else { return };
        OwnRuntime(core).notify(|state| _ = state.ready.insert(self.0));
    }
}

impl OwnRuntime {
    /// A runtime without tasks.
    ///
    /// # Errors
    ///
    /// The process has too many descriptors open.
    pub fn new() -> io::Result<Self> {
        let (poll, (spawner, spawned)) = (mio::Poll::new()?, mpsc::channel());
        let registry = poll.registry().try_clone()?;
        let alarm = mio::Waker::new(&registry, Token(0))?;
        let start = Mutex::new(Some((poll, spawned)));
        Ok(Self(Arc::new(Core { start, spawner, registry, alarm, state: Mutex::default() })))
    }

    /// Runs `main` to its end, and the tasks meanwhile. Those that are left then are dropped, and so is what is spawned
    /// later.
    ///
    /// # Panics
    ///
    /// It was called before, or `main` panics.
    pub fn block_on<F: Future>(&self, main: F) -> F::Output {
        let (mut poll, spawned) = self.0.start.lock().unwrap().take().expect("a runtime runs once");
        let (mut events, mut tasks) = (Events::with_capacity(1024), BTreeMap::new());
        let (mut main, (main_id, waker)) = (pin!(main), self.ticket());
        waker.wake_by_ref();
        loop {
            // Who is woken from here on is polled in the next round, after a look at timers and sockets.
            let round = std::mem::take(&mut self.lock().ready);
            tasks.extend(spawned.try_iter());
            for id in round {
                if id == main_id {
                    let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) else { continue };
                    return output;
                } else if tasks.get_mut(&id).is_some_and(ends) {
                    tasks.remove(&id);
                }
            }
            self.wait(&mut poll, &mut events);
        }
    }

    /// Wakes for whom there is an event or whose time has come; waits for that if there is nothing else to do.
    fn wait(&self, poll: &mut mio::Poll, events: &mut Events) {
        // A signal has it fail, without events.
        let _ = poll.poll(events, self.fall_asleep());
        let (mut state, now) = (self.lock(), Instant::now());
        state.asleep = false;
        let waiting = events.iter().filter_map(|event| state.sockets.remove(&event.token()));
        let mut woken: Vec<Waker> = waiting.flatten().flatten().collect();
        while let Some(timer) = state.timers.first_entry().filter(|timer| timer.key().0 <= now) {
            woken.push(timer.remove());
        }
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// How long to wait; `None` is until something happens.
    fn fall_asleep(&self) -> Option<Duration> {
        let mut state = self.lock();
        state.asleep = state.ready.is_empty();
        let first = state.timers.keys().next().map(|(deadline, _)| deadline.saturating_duration_since(Instant::now()));
        if state.asleep { first } else { Some(Duration::ZERO) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nobody panics while it is locked")
    }

    /// Makes a change that the thread has to look at, even if it is asleep.
    fn notify(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let _ = std::mem::take(&mut state.asleep).then(|| self.0.alarm.wake());
    }

    fn ticket(&self) -> (usize, Waker) {
        let id = NEXT_ID.fetch_add(1, Relaxed);
        (id, Arc::new(Ticket(id, Arc::downgrade(&self.0))).into())
    }
}

/// A timer of [`OwnRuntime`].
pub struct Timer {
    runtime: OwnRuntime,
    key: (Instant, usize),
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.key.0 <= Instant::now() {
            return Poll::Ready(());
        }
        self.runtime.notify(|state| _ = state.timers.insert(self.key, cx.waker().clone()));
        Poll::Pending
    }
}

impl Sleep for Timer {
    fn reset(mut self: Pin<&mut Self>, duration: Duration) {
        *self = self.runtime.sleep(duration);
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.runtime.lock().timers.remove(&self.key);
    }
}

/// A socket that does not block: a stream, or what listens for them.
pub struct Socket<S: Source> {
    runtime: OwnRuntime,
    token: Token,
    /// The socket for mio.
    pub source: S,
}

/// The two places of those that wait for a socket.
const READER: usize = 0;
const WRITER: usize = 1;

impl<S: Source> Socket<S> {
    /// Has the system tell when the socket is ready.
    ///
    /// # Errors
    ///
    /// The system cannot.
    pub fn new(runtime: &OwnRuntime, mut source: S) -> io::Result<Self> {
        let token = Token(NEXT_ID.fetch_add(1, Relaxed));
        runtime.0.registry.register(&mut source, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { runtime: runtime.clone(), token, source })
    }

    /// Does what may have to wait, or has the task woken when it is worth another try.
    fn poll<T>(&self, cx: &Context<'_>, who: usize, work: impl FnOnce(&S) -> io::Result<T>) -> Poll<io::Result<T>> {
        // Locked while it is tried: an event from now on finds the waker.
        let mut state = self.runtime.lock();
        match work(&self.source) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                state.sockets.entry(self.token).or_default()[who] = Some(cx.waker().clone());
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }
}

impl<S: Source> Drop for Socket<S> {
    fn drop(&mut self) {
        self.runtime.lock().sockets.remove(&self.token);
    }
}

impl Stream for Socket<TcpStream> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, READER, |mut stream| stream.read(buffer))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll(cx, WRITER, |mut stream| stream.write_vectored(slices))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.source.shutdown(Shutdown::Write))
    }
}

impl Listener<OwnRuntime> for Socket<TcpListener> {
    async fn accept(&mut self) -> io::Result<(Socket<TcpStream>, Option<SocketAddr>)> {
        let (stream, address) = std::future::poll_fn(|cx| self.poll(cx, READER, TcpListener::accept)).await?;
        // It fails for a connection that is gone already, whose first read tells the same.
        let _ = stream.set_nodelay(true);
        Ok((Socket::new(&self.runtime, stream)?, Some(address)))
    }
}

fn finish_connect(stream: &TcpStream) -> io::Result<()> {
    stream.take_error()?.map_or(Ok(()), Err)?;
    stream.peer_addr().map_err(|_| io::ErrorKind::WouldBlock)?;
    stream.set_nodelay(true)
}

/// As good as never, and no more than a clock can add.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

impl Runtime for OwnRuntime {
    type Stream = Socket<TcpStream>;
    type Sleep = Timer;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (id, waker) = self.ticket();
        let _ = self.0.spawner.send((id, (waker.clone(), Box::pin(task))));
        waker.wake();
    }

    fn sleep(&self, duration: Duration) -> Timer {
        Timer { runtime: self.clone(), key: (Instant::now() + duration.min(FAR), NEXT_ID.fetch_add(1, Relaxed)) }
    }

    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
        let (host, (sender, addresses)) = (host.to_owned(), futures_channel::oneshot::channel());
        let _ = std::thread::Builder::new().spawn(move || sender.send((&*host, port).to_socket_addrs()));
        async { Ok(addresses.await.map_err(io::Error::other)??.collect()) }
    }

    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send + 'static {
        let runtime = self.clone();
        async move {
            let socket = Socket::new(&runtime, TcpStream::connect(address)?)?;
            std::future::poll_fn(|cx| socket.poll(cx, WRITER, finish_connect)).await?;
            Ok(socket)
        }
    }
}
