use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::time::Instant;

use hyper::rt::{Read, ReadBufCursor, Timer, Write};

use crate::runtime::{Runtime, Sleep, Stream};

/// Bytes read at once on behalf of hyper.
const READ: usize = 8 * 1024;

/// Time that a peer may take to make room for more of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A [`Stream`] as hyper wants it.
pub struct HyperStream<S> {
    stream: S,
    timer: Option<Box<dyn Timer + Send + Sync>>,
    /// Set while the peer takes nothing.
    stalled: Option<Pin<Box<dyn hyper::rt::Sleep>>>,
}

impl<S> HyperStream<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        Self { stream, timer: None, stalled: None }
    }

    /// Wraps a stream that breaks when its peer does not take what is written. hyper would hold the rest of an answer for
    /// as long as the peer likes, long after the session is gone.
    pub(crate) fn with_timer(stream: S, timer: impl Timer + Send + Sync + 'static) -> Self {
        Self { timer: Some(Box::new(timer)), ..Self::new(stream) }
    }

    /// The stream.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Watches how long writing is not possible.
    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let (Poll::Pending, Some(timer)) = (&written, &self.timer) else {
            self.stalled = None;
            return written;
        };
        let stalled = self.stalled.get_or_insert_with(|| timer.sleep(WRITE_TIMEOUT));
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
        let mut bytes = [0; READ];
        let room = cursor.remaining().min(READ);
        let Some(target) = bytes.get_mut(..room) else { return Poll::Ready(Ok(())) };
        let count = core::task::ready!(self.stream.poll_read(cx, target))?;
        cursor.put_slice(target.get(..count).unwrap_or_default());
        Poll::Ready(Ok(()))
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
        let written = self.stream.poll_write(cx, slices);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(cx)
    }
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

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
        let mut stream = HyperStream::with_timer(Peer { blocked: true }, Clock(Arc::clone(&sleeps)));
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
