use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};
use std::pin::Pin;

use futures_io::{AsyncRead, AsyncWrite};

use crate::runtime::Stream;

/// The only protocol inside TLS: an upgrade to WebSocket begins with it.
pub(super) const ALPN: &[u8] = b"http/1.1";

/// A [`Stream`] as futures-rustls wants it.
pub(super) struct Bridge<S>(pub(super) S);

impl<S: Stream> AsyncRead for Bridge<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buffer)
    }
}

impl<S: Stream> AsyncWrite for Bridge<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

/// A stream inside TLS. Boxed, since most streams are not.
pub(crate) struct TlsStream<S>(Box<Inner<S>>);

struct Inner<S> {
    stream: futures_rustls::TlsStream<Bridge<S>>,
    /// Something that was taken may not have left yet.
    unflushed: bool,
}

impl<S> TlsStream<S> {
    pub(super) fn new(stream: futures_rustls::TlsStream<Bridge<S>>) -> Self {
        Self(Box::new(Inner { stream, unflushed: false }))
    }
}

impl<S: Stream> Stream for TlsStream<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.stream).poll_read(cx, buffer)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let count = ready!(Pin::new(&mut self.0.stream).poll_write_vectored(cx, slices))?;
        self.0.unflushed = true;
        // What has failed, fails again.
        let _ = self.poll_flush(cx);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.unflushed {
            ready!(Pin::new(&mut self.0.stream).poll_flush(cx))?;
            self.0.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::FakeStream;

    #[test]
    fn a_stream_inside_tls_takes_no_more_room_than_others() {
        assert_eq!(size_of::<TlsStream<FakeStream>>(), size_of::<Box<()>>());
    }
}
