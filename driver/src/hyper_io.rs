use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Instant;

use hyper::rt::{Read, ReadBufCursor, Timer, Write};

use crate::runtime::{Runtime, Sleep, Stream};

/// Bytes read at once on behalf of hyper. An answer of at most so many is written in one piece, which costs the system
/// less than two.
const PIECE: usize = 8 * 1024;

/// Time that a peer may take to make room for more of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

thread_local! {
    /// Where bytes stop over on their way from and to hyper.
    static SCRATCH: Cell<Option<Box<[u8; PIECE]>>> = const { Cell::new(None) };
}

fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut bytes = SCRATCH.take().unwrap_or_else(|| Box::new([0; PIECE]));
    let result = work(&mut bytes[..]);
    SCRATCH.set(Some(bytes));
    result
}

/// A [`Stream`] as hyper wants it.
pub struct HyperStream<S> {
    stream: S,
    watch: Option<Watch>,
}

/// What breaks a stream whose peer takes nothing, and tells that it took something.
struct Watch {
    timer: Box<dyn Timer + Send + Sync>,
    activity: Arc<Activity>,
    /// Set while the peer takes nothing.
    stalled: Option<Pin<Box<dyn hyper::rt::Sleep>>>,
}

/// What goes on at an HTTP connection, for who ends it when nothing does.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Requests that are being answered.
    requests: AtomicUsize,
    /// Whether there was something since [`Activity::take`].
    seen: AtomicBool,
}

impl Activity {
    /// A request has come; it counts until the guard is dropped.
    pub(crate) fn request(&self) -> impl Drop + '_ {
        struct Request<'a>(&'a Activity);

        impl Drop for Request<'_> {
            fn drop(&mut self) {
                self.0.requests.fetch_sub(1, Ordering::Relaxed);
                self.0.seen.store(true, Ordering::Relaxed);
            }
        }

        self.requests.fetch_add(1, Ordering::Relaxed);
        Request(self)
    }

    /// Bytes of an answer were written.
    pub(crate) fn wrote(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    /// Whether a request is being answered, or was, or bytes of an answer were written since the last call.
    pub(crate) fn take(&self) -> bool {
        self.seen.swap(false, Ordering::Relaxed) || self.requests.load(Ordering::Relaxed) > 0
    }
}

impl<S> HyperStream<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        Self { stream, watch: None }
    }

    /// Wraps a stream that breaks when its peer does not take what is written. hyper would hold the rest of an answer for
    /// as long as the peer likes, long after the session is gone.
    pub(crate) fn with_timer(stream: S, timer: impl Timer + Send + Sync + 'static, activity: Arc<Activity>) -> Self {
        Self { stream, watch: Some(Watch { timer: Box::new(timer), activity, stalled: None }) }
    }

    /// The stream.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Watches how long writing is not possible.
    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Some(watch) = self.watch.as_ref().filter(|_| written.is_ready()) {
            watch.activity.wrote();
        }
        self.passed(cx, written)
    }

    /// Watches how long what was written does not leave.
    fn passed<T>(&mut self, cx: &mut Context<'_>, passed: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Some(Watch { timer, activity, stalled }) = &mut self.watch else { return passed };
        if passed.is_ready() {
            if stalled.take().is_some() {
                activity.wrote();
            }
            return passed;
        }
        let stalled = stalled.get_or_insert_with(|| timer.sleep(WRITE_TIMEOUT));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: core::fmt::Debug> core::fmt::Debug for HyperStream<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("HyperStream").field(&self.stream).finish()
    }
}

impl<S: Stream> Read for HyperStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // hyper's buffer is uninitialised and safe code cannot read into it: a request head is copied once.
        with_scratch(|bytes| {
            let room = cursor.remaining().min(bytes.len());
            let Some(target) = bytes.get_mut(..room).filter(|target| !target.is_empty()) else {
                return Poll::Ready(Ok(()));
            };
            let count = core::task::ready!(self.stream.poll_read(cx, target))?;
            cursor.put_slice(target.get(..count).unwrap_or_default());
            Poll::Ready(Ok(()))
        })
    }
}

impl<S: Stream> Write for HyperStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream.poll_write(cx, &[IoSlice::new(bytes)]);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = with_scratch(|bytes| match gather(slices, bytes) {
            Some(bytes) => self.stream.poll_write(cx, &[IoSlice::new(bytes)]),
            None => self.stream.poll_write(cx, slices),
        });
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream.poll_flush(cx);
        self.passed(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(cx)
    }
}

/// The slices one after another, if there are several and they fit into `target`.
fn gather<'t>(slices: &[IoSlice<'_>], target: &'t mut [u8]) -> Option<&'t [u8]> {
    let mut length = 0;
    for slice in slices {
        target.get_mut(length..length + slice.len())?.copy_from_slice(slice);
        length += slice.len();
    }
    target.get(..length).filter(|_| slices.len() > 1)
}

/// A [`Runtime`]'s timers as hyper wants them.
#[derive(Clone, Debug)]
pub(crate) struct HyperTimer<R>(pub(crate) R);

struct HyperSleep<S>(Pin<Box<S>>);

impl<S: Sleep> Future for HyperSleep<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl<S: Sleep> hyper::rt::Sleep for HyperSleep<S> {}

impl<R: Runtime> Timer for HyperTimer<R> {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(HyperSleep(Box::pin(self.0.sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing while `blocked` is set.
    struct Peer {
        blocked: bool,
    }

    impl Stream for Peer {
        fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_write(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            if self.blocked { Poll::Pending } else { Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum())) }
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Goes off at the second time that a sleep is asked; counts the sleeps.
    struct Clock(Arc<AtomicUsize>);

    struct Nap(bool);

    impl Future for Nap {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            let asked = core::mem::replace(&mut self.0, true);
            if asked { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    impl hyper::rt::Sleep for Nap {}

    impl Timer for Clock {
        fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
            assert_eq!(duration, WRITE_TIMEOUT);
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(Nap(false))
        }

        fn sleep_until(&self, _: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
            self.sleep(WRITE_TIMEOUT)
        }
    }

    #[test]
    fn a_peer_that_does_not_read_its_answer_breaks_the_stream() {
        let mut cx = Context::from_waker(core::task::Waker::noop());
        let sleeps = Arc::new(AtomicUsize::new(0));
        let mut stream = HyperStream::with_timer(Peer { blocked: true }, Clock(Arc::clone(&sleeps)), Arc::default());
        let mut write = |stream: &mut HyperStream<Peer>| Pin::new(stream).poll_write(&mut cx, b"a");
        assert!(write(&mut stream).is_pending());
        // It begins anew after whatever was taken.
        stream.stream.blocked = false;
        assert!(matches!(write(&mut stream), Poll::Ready(Ok(1))));
        stream.stream.blocked = true;
        assert!(write(&mut stream).is_pending());
        assert_eq!(sleeps.load(Ordering::Relaxed), 2);
        assert!(matches!(write(&mut stream), Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut));
    }
}
