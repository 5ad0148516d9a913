use core::future::Future;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Wake;

use futures_io::{AsyncRead, AsyncWrite};
use futures_util::future::Either;
use futures_util::task::AtomicWaker;

use crate::runtime::{Sleep, Stream};

/// A [`Stream`] of what has the traits of `futures-io`.
#[derive(Debug)]
pub struct FuturesStream<S> {
    stream: S,
    socket: Option<Socket<S>>,
}

/// What a socket can do beyond the traits.
#[derive(Debug)]
struct Socket<S> {
    poll_readable: fn(&S, &mut Context<'_>) -> Poll<io::Result<()>>,
    shutdown: fn(&S) -> io::Result<()>,
    reading: Reading,
    readable: Arc<Readable>,
}

#[derive(Debug)]
enum Reading {
    /// There may be something to read.
    Open,
    /// The last read has taken all there was.
    Drained,
    /// The runtime was asked to tell when there is more.
    Waiting,
}

/// What the runtime wakes when there is more to read. With a waker of its own, a stream can tell that from other reasons
/// for which its task is woken: asking again each time might have the runtime forget what it was about to tell.
#[derive(Debug, Default)]
struct Readable {
    told: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Readable {
    fn wake(self: Arc<Self>) {
        self.told.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<S> Socket<S> {
    /// Waits until it is worth another try, if the last read has taken all.
    fn poll_more(&mut self, stream: &S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.reading, Reading::Open) {
            return Poll::Ready(Ok(()));
        }
        self.readable.task.register(cx.waker());
        if matches!(self.reading, Reading::Drained) {
            self.reading = Reading::Waiting;
            self.readable.told.store(false, Ordering::Relaxed);
            let waker = Waker::from(Arc::clone(&self.readable));
            if let Poll::Ready(readable) = (self.poll_readable)(stream, &mut Context::from_waker(&waker)) {
                self.reading = Reading::Open;
                return Poll::Ready(readable);
            }
        }
        if !self.readable.told.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.reading = Reading::Open;
        Poll::Ready(Ok(()))
    }
}

impl<S> FuturesStream<S> {
    /// Reads until nothing is left, as a stream must whose bytes may wait somewhere else than in the system. `poll_close`
    /// of the stream has to close the writing half.
    pub fn new(stream: S) -> Self {
        Self { stream, socket: None }
    }

    /// A bare socket, which holds nothing back. After a read that does not fill its buffer, which has taken all there was,
    /// `poll_readable` is asked instead of reading once more, which costs a system call. `shutdown` closes the writing
    /// half, which sockets do not do by `poll_close` everywhere.
    pub fn of_socket(
        socket: S,
        poll_readable: fn(&S, &mut Context<'_>) -> Poll<io::Result<()>>,
        shutdown: fn(&S) -> io::Result<()>,
    ) -> Self {
        let calls = Socket { poll_readable, shutdown, reading: Reading::Open, readable: Arc::default() };
        Self { stream: socket, socket: Some(calls) }
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for FuturesStream<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Some(socket) = &mut self.socket {
            ready!(socket.poll_more(&self.stream, cx))?;
        }
        let count = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Some(socket) = self.socket.as_mut().filter(|_| count < buffer.len()) {
            socket.reading = Reading::Drained;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match slices {
            [one] => Pin::new(&mut self.stream).poll_write(cx, one),
            many => Pin::new(&mut self.stream).poll_write_vectored(cx, many),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.socket {
            Some(_) => Poll::Ready(Ok(())),
            None => Pin::new(&mut self.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.socket {
            Some(socket) => Poll::Ready(match (socket.shutdown)(&self.stream) {
                // Both halves are closed already.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                result => result,
            }),
            None => Pin::new(&mut self.stream).poll_close(cx),
        }
    }
}

/// Either of two kinds, for instance by TCP or by a Unix domain socket.
impl<A: Stream, B: Stream> Stream for Either<A, B> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Left(stream) => stream.poll_read(cx, buffer),
            Self::Right(stream) => stream.poll_read(cx, buffer),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Left(stream) => stream.poll_write(cx, slices),
            Self::Right(stream) => stream.poll_write(cx, slices),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Left(stream) => stream.poll_flush(cx),
            Self::Right(stream) => stream.poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Left(stream) => stream.poll_shutdown(cx),
            Self::Right(stream) => stream.poll_shutdown(cx),
        }
    }
}

/// A [`Sleep`] of timers that cannot be set anew: it makes another one.
#[derive(Debug)]
pub struct RemadeSleep<T> {
    timer: T,
    make: fn(Duration) -> T,
}

impl<T: Future + Unpin> RemadeSleep<T> {
    /// A timer that goes off after `duration`, by what `make` makes of that.
    pub fn new(duration: Duration, make: fn(Duration) -> T) -> Self {
        Self { timer: make(duration), make }
    }
}

impl<T: Future + Unpin> Future for RemadeSleep<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.timer).poll(cx).map(|_| ())
    }
}

impl<T: Future + Send + Sync + Unpin + 'static> Sleep for RemadeSleep<T> {
    fn reset(mut self: Pin<&mut Self>, duration: Duration) {
        self.timer = (self.make)(duration);
    }
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::mailbox::lock;

    /// A socket whose bytes and events the test has in its hands.
    #[derive(Default)]
    struct Fake {
        reads: RefCell<VecDeque<&'static [u8]>>,
        /// How often it was read, and asked whether it can be.
        tries: RefCell<usize>,
        asked: RefCell<usize>,
        waker: Mutex<Option<Waker>>,
        closed: RefCell<bool>,
    }

    impl Fake {
        fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            *self.asked.borrow_mut() += 1;
            *lock(&self.waker) = Some(cx.waker().clone());
            Poll::Pending
        }

        fn shutdown(&self) -> io::Result<()> {
            if self.closed.replace(true) { Err(io::ErrorKind::NotConnected.into()) } else { Ok(()) }
        }
    }

    impl AsyncRead for Fake {
        fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
            *self.tries.borrow_mut() += 1;
            let Some(bytes) = self.reads.borrow_mut().pop_front() else {
                *lock(&self.waker) = Some(cx.waker().clone());
                return Poll::Pending;
            };
            buffer[..bytes.len()].copy_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }
    }

    impl AsyncWrite for Fake {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(self.closed.replace(true).then_some(()).map_or(Ok(()), |()| Err(io::ErrorKind::Other.into())))
        }
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_socket_is_not_read_before_there_is_more() {
        let woken = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut stream = FuturesStream::of_socket(Fake::default(), Fake::poll_readable, Fake::shutdown);
        let mut buffer = [0; 4];
        stream.get_ref().reads.borrow_mut().extend([&b"full"[..], b"ab"]);
        assert!(matches!(stream.poll_read(&mut cx, &mut buffer), Poll::Ready(Ok(4))));
        assert!(matches!(stream.poll_read(&mut cx, &mut buffer), Poll::Ready(Ok(2))));
        // Its task is woken for other reasons.
        for _ in 0..3 {
            assert!(stream.poll_read(&mut cx, &mut buffer).is_pending());
        }
        let fake = stream.get_ref();
        assert_eq!((*fake.tries.borrow(), *fake.asked.borrow(), woken.0.load(Ordering::Relaxed)), (2, 1, 0));
        fake.reads.borrow_mut().push_back(b"c");
        let told = lock(&fake.waker).take().unwrap();
        told.wake();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        // Another task has it now.
        let mut other = Context::from_waker(Waker::noop());
        assert!(matches!(stream.poll_read(&mut other, &mut buffer), Poll::Ready(Ok(1))));
        assert!(stream.poll_read(&mut other, &mut buffer).is_pending());
        assert_eq!((*stream.get_ref().tries.borrow(), *stream.get_ref().asked.borrow()), (3, 2));
    }

    #[test]
    fn what_is_told_for_nothing_is_waited_for_again() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut stream = FuturesStream::of_socket(Fake::default(), Fake::poll_readable, Fake::shutdown);
        let mut buffer = [0; 4];
        stream.get_ref().reads.borrow_mut().push_back(b"a");
        assert!(stream.poll_read(&mut cx, &mut buffer).is_ready());
        assert!(stream.poll_read(&mut cx, &mut buffer).is_pending());
        let told = lock(&stream.get_ref().waker).take().unwrap();
        told.wake();
        assert!(stream.poll_read(&mut cx, &mut buffer).is_pending());
        assert_eq!(*stream.get_ref().tries.borrow(), 2);
        assert!(lock(&stream.get_ref().waker).is_some(), "the read has asked");
    }

    #[test]
    fn a_socket_is_shut_down_and_a_stream_is_closed() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut socket = FuturesStream::of_socket(Fake::default(), Fake::poll_readable, Fake::shutdown);
        // The second time it is not connected any more.
        for _ in 0..2 {
            assert!(matches!(socket.poll_shutdown(&mut cx), Poll::Ready(Ok(()))));
        }
        assert!(*socket.get_ref().closed.borrow());
        let mut stream = FuturesStream::new(Fake::default());
        assert!(matches!(stream.poll_shutdown(&mut cx), Poll::Ready(Ok(()))));
        assert!(matches!(stream.poll_shutdown(&mut cx), Poll::Ready(Err(_))));
    }
}
