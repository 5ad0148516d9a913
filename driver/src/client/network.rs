use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;

use bytes::Bytes;
use socketio_protocol::client::{Client as Machine, Io};
use socketio_protocol::engine::client::{Cause, Request, RequestId};
use socketio_protocol::websocket::Key;
use socketio_protocol::{Instant, Random};

use super::connector::Connector;
use crate::exchange::{Exchange, exchange, write_only};
use crate::runtime::{Runtime, Stream};
use crate::task::Scratch;
use crate::tls::MaybeTls;

/// What is under way, and ends with a success or with a cause.
type Attempt<T> = Pin<Box<dyn Future<Output = Result<T, Cause>> + Send>>;

/// What a client's machine has asked for of the network. Dropping it gives all up.
pub(super) struct Network<R: Runtime> {
    connector: Connector<R>,
    /// For the keys of WebSockets.
    random: Random,
    requests: Vec<(RequestId, Attempt<(u16, Bytes)>)>,
    /// A poll that is not made before there is room for what it brings.
    deferred: Option<Request>,
    link: Link<R::Stream>,
}

/// The WebSocket stream.
enum Link<S> {
    None,
    Opening(Attempt<(MaybeTls<S>, Bytes)>),
    Open(MaybeTls<S>),
}

impl<R: Runtime> Network<R> {
    pub(super) fn new(connector: Connector<R>, random: Random) -> Self {
        Self { connector, random, requests: Vec::new(), deferred: None, link: Link::None }
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    /// Closes what no request uses: the session is over, or there is none.
    pub(super) fn rest(&self) {
        self.connector.rest();
    }

    pub(super) fn request(&mut self, request: Request) {
        self.requests.push((request.id, Box::pin(self.connector.request(request))));
    }

    /// Makes a request later, when [`Network::resume`] is called.
    pub(super) fn defer(&mut self, request: Request) {
        self.deferred = Some(request);
    }

    pub(super) fn resume(&mut self) {
        if let Some(request) = self.deferred.take() {
            self.request(request);
        }
    }

    pub(super) fn cancel(&mut self, cancelled: RequestId) {
        self.requests.retain(|(id, _)| *id != cancelled);
        self.deferred.take_if(|request| request.id == cancelled);
    }

    pub(super) fn open_stream(&mut self, target: String) {
        let key = Key::generate(&mut self.random);
        self.link = Link::Opening(Box::pin(self.connector.open_stream(target, key)));
    }

    pub(super) fn close_stream(&mut self, cx: &mut Context<'_>) {
        if let Link::Open(stream) = &mut self.link {
            // The machine has waited for the goodbye to be written; one attempt is enough.
            let _ = stream.poll_shutdown(cx);
        }
        self.link = Link::None;
    }

    /// Tells the machine what became of requests and of the stream that was to be opened. What was read ahead goes into
    /// `read`; gives its length.
    pub(super) fn poll(
        &mut self,
        machine: &mut Machine,
        now: Instant,
        cx: &mut Context<'_>,
        read: &mut Vec<u8>,
    ) -> usize {
        self.requests.retain_mut(|(id, request)| match request.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(Ok((status, body))) => {
                machine.handle_response(now, *id, status, body);
                false
            }
            Poll::Ready(Err(cause)) => {
                machine.handle_request_failed(now, *id, cause);
                false
            }
        });
        let Link::Opening(opening) = &mut self.link else { return 0 };
        match opening.as_mut().poll(cx) {
            Poll::Pending => 0,
            Poll::Ready(Ok((stream, leftover))) => {
                self.link = Link::Open(stream);
                machine.handle_stream_opened(now);
                if read.len() < leftover.len() {
                    read.resize(leftover.len(), 0);
                }
                read.splice(..leftover.len(), leftover.iter().copied());
                leftover.len()
            }
            Poll::Ready(Err(cause)) => {
                self.link = Link::None;
                machine.handle_stream_failed(now, cause);
                0
            }
        }
    }

    /// Writes to the stream and, unless `paused`, reads what goes directly into the machine. `None` without a stream.
    pub(super) fn exchange(
        &mut self,
        io: &mut Io<'_>,
        paused: bool,
        cx: &mut Context<'_>,
        Scratch { write, taken, .. }: &mut Scratch,
    ) -> Option<io::Result<Exchange>> {
        let Link::Open(stream) = &mut self.link else { return None };
        Some(if paused { Ok(write_only(stream, io, cx, write)) } else { exchange(stream, io, cx, write, taken) })
    }

    /// Reads from the stream.
    pub(super) fn read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Link::Open(stream) = &mut self.link else { return Poll::Pending };
        stream.poll_read(cx, buffer)
    }

    /// The stream has ended, by an error or not: tells the machine.
    pub(super) fn lose_stream(&mut self, machine: &mut Machine, now: Instant, error: Option<&io::Error>) {
        self.link = Link::None;
        match error.filter(|error| error.kind() != io::ErrorKind::UnexpectedEof) {
            Some(error) => machine.handle_stream_failed(now, error.to_string()),
            None => machine.handle_stream_closed(now),
        }
    }
}
