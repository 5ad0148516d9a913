//! A runtime that counts what lives on it, and whose connections can be cut.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use pin_project_lite::pin_project;
use socketio_driver::{Listener, Runtime, Sleep, Stream};

/// What lives on runtimes.
#[derive(Default)]
pub(crate) struct Census {
    streams: AtomicUsize,
    timers: AtomicUsize,
    tasks: AtomicUsize,
}

/// So many of each live.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Living {
    pub(crate) streams: usize,
    pub(crate) timers: usize,
    pub(crate) tasks: usize,
}

impl Census {
    pub(crate) fn take(&self) -> Living {
        Living {
            streams: self.streams.load(Ordering::Acquire),
            timers: self.timers.load(Ordering::Acquire),
            tasks: self.tasks.load(Ordering::Acquire),
        }
    }
}

/// Counts one until it is dropped.
struct Counted(Arc<Census>, fn(&Census) -> &AtomicUsize);

impl Counted {
    fn new(census: &Arc<Census>, of: fn(&Census) -> &AtomicUsize) -> Self {
        of(census).fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(census), of)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::AcqRel);
    }
}

/// The runtime of one client or server.
#[derive(Clone)]
pub(crate) struct Faulty<R> {
    inner: R,
    census: Arc<Census>,
    lines: Arc<Lines>,
}

/// The connections of one client or server.
#[derive(Default)]
struct Lines {
    live: Mutex<Vec<Weak<Line>>>,
    /// So many attempts to connect fail.
    refused: AtomicU32,
}

/// How much longer a connection lives.
struct Line {
    /// In bytes, of both directions.
    left: AtomicU64,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

/// A connection that nobody has cut.
const WHOLE: u64 = u64::MAX;

impl<R> Faulty<R> {
    pub(crate) fn new(inner: R, census: &Arc<Census>) -> Self {
        Self { inner, census: Arc::clone(census), lines: Arc::default() }
    }

    /// Cuts the connections that there are, each after so many bytes; 0 is at once.
    pub(crate) fn cut(&self, after: u64) {
        let mut live = self.lines.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|line| {
            let Some(line) = line.upgrade() else { return false };
            line.left.fetch_min(after, Ordering::AcqRel);
            line.reader.wake();
            line.writer.wake();
            true
        });
    }

    /// Refuses the next attempts to connect.
    pub(crate) fn refuse(&self, attempts: u32) {
        self.lines.refused.store(attempts, Ordering::Release);
    }
}

impl<R: Runtime> Runtime for Faulty<R> {
    type Stream = FaultyStream<R::Stream>;
    type Sleep = CountedSleep<R::Sleep>;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let counted = Counted::new(&self.census, |census| &census.tasks);
        self.inner.spawn(async move {
            let _counted = counted;
            task.await;
        });
    }

    fn yield_now(&self, cx: &mut Context<'_>) {
        self.inner.yield_now(cx);
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        let counted = Counted::new(&self.census, |census| &census.timers);
        CountedSleep { inner: self.inner.sleep(duration), _counted: counted }
    }

    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
        self.inner.resolve(host, port)
    }

    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send + 'static {
        let Self { inner, census, lines } = self.clone();
        async move {
            let refused = lines.refused.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
            if refused.is_ok() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let inner = inner.connect(address).await?;
            Ok(FaultyStream::new(inner, &census, &lines))
        }
    }
}

/// A listener whose connections are of [`Faulty`].
pub(crate) struct FaultyListener<R, L> {
    faulty: Faulty<R>,
    inner: L,
}

impl<R: Runtime> Faulty<R> {
    pub(crate) fn listen<L: Listener<R>>(&self, listener: L) -> FaultyListener<R, L> {
        FaultyListener { faulty: self.clone(), inner: listener }
    }
}

impl<R: Runtime, L: Listener<R>> Listener<Faulty<R>> for FaultyListener<R, L> {
    async fn accept(&mut self) -> io::Result<(FaultyStream<R::Stream>, Option<SocketAddr>)> {
        let (inner, address) = self.inner.accept().await?;
        Ok((FaultyStream::new(inner, &self.faulty.census, &self.faulty.lines), address))
    }
}

pin_project! {
    /// A timer that is counted.
    pub(crate) struct CountedSleep<S> {
        #[pin]
        inner: S,
        _counted: Counted,
    }
}

impl<S: Sleep> Future for CountedSleep<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().inner.poll(cx)
    }
}

impl<S: Sleep> Sleep for CountedSleep<S> {
    fn reset(self: Pin<&mut Self>, duration: Duration) {
        self.project().inner.reset(duration);
    }
}

/// A stream that is counted, and can be cut.
pub(crate) struct FaultyStream<S> {
    inner: S,
    line: Arc<Line>,
    _counted: Counted,
}

impl<S> FaultyStream<S> {
    fn new(inner: S, census: &Arc<Census>, lines: &Lines) -> Self {
        let line = Line { left: AtomicU64::new(WHOLE), reader: AtomicWaker::new(), writer: AtomicWaker::new() };
        let line = Arc::new(line);
        let mut live = lines.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|line| line.strong_count() > 0);
        live.push(Arc::downgrade(&line));
        Self { inner, line, _counted: Counted::new(census, |census| &census.streams) }
    }
}

impl Line {
    /// How many bytes may still pass, at most `wanted`.
    fn room(&self, wanted: usize) -> io::Result<usize> {
        match self.left.load(Ordering::Acquire) {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            left => Ok(usize::try_from(left).map_or(wanted, |left| left.min(wanted))),
        }
    }

    fn pass(&self, count: usize) {
        let less = |left| (left != WHOLE).then(|| u64::saturating_sub(left, count as u64));
        _ = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }
}

impl<S: Stream> Stream for FaultyStream<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.line.reader.register(cx.waker());
        let room = self.line.room(buffer.len())?;
        let count = ready!(self.inner.poll_read(cx, &mut buffer[..room]))?;
        self.line.pass(count);
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.line.writer.register(cx.waker());
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        let room = self.line.room(wanted)?;
        let count = ready!(match slices.iter().find(|slice| !slice.is_empty()) {
            Some(first) if room < wanted => {
                self.inner.poll_write(cx, &[IoSlice::new(&first[..room.min(first.len())])])
            }
            _ => self.inner.poll_write(cx, slices),
        })?;
        self.line.pass(count);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.room(1)?;
        self.inner.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.room(1)?;
        self.inner.poll_shutdown(cx)
    }
}
