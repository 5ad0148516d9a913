use core::error::Error;
use core::future::poll_fn;
use core::pin::pin;
use core::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Connection, Parts, SendRequest, handshake};
use hyper::http::{Request, Response, response};
use socketio_protocol::engine::client::Cause;

use crate::hyper_io::HyperStream;
use crate::runtime::Stream;
use crate::tls;

type Outgoing = Request<Full<Bytes>>;

/// An HTTP connection. Nobody else polls it: each request polls it along.
pub(super) struct Channel<S: Stream> {
    sender: SendRequest<Full<Bytes>>,
    /// Until it has ended.
    connection: Option<Connection<HyperStream<S>, Full<Bytes>>>,
}

/// Why there is no answer.
pub(super) enum Failure {
    /// Nothing of the request was sent: the connection had ended before, of this.
    Unsent(Box<Outgoing>, Cause),
    Failed(Cause),
}

impl<S: Stream> Channel<S> {
    pub(super) async fn new(stream: S, host: &str) -> Result<Self, Cause> {
        let (sender, connection) = handshake(HyperStream::new(stream)).await.map_err(|error| describe(&error, host))?;
        Ok(Self { sender, connection: Some(connection) })
    }

    /// Whether another request can be sent, as far as can be known without waiting.
    pub(super) fn is_idle(&self) -> bool {
        self.sender.is_ready()
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        let ended = self.connection.as_mut().is_some_and(|connection| pin!(connection).poll(cx).is_ready());
        if ended {
            // Dropped, it tells what still waits for it.
            self.connection = None;
        }
    }

    /// Sends a request; `look` sees the head of the answer before the body comes, which has at most `max_answer` bytes.
    pub(super) async fn request(
        &mut self,
        request: Outgoing,
        max_answer: usize,
        host: &str,
        look: impl FnOnce(&response::Parts),
    ) -> Result<(u16, Bytes), Failure> {
        let response = self.sender.try_send_request(request);
        let mut work = pin!(async move {
            let response =
                response.await.map_err(|mut error| match (error.take_message(), describe(error.error(), host)) {
                    (Some(request), cause) => Failure::Unsent(Box::new(request), cause),
                    (None, cause) => Failure::Failed(cause),
                })?;
            read_answer(response, max_answer, host, look).await.map_err(Failure::Failed)
        });
        poll_fn(|cx| {
            self.poll(cx);
            work.as_mut().poll(cx)
        })
        .await
    }
}

async fn read_answer(
    response: Response<Incoming>,
    max_answer: usize,
    host: &str,
    look: impl FnOnce(&response::Parts),
) -> Result<(u16, Bytes), Cause> {
    let (head, mut body) = response.into_parts();
    look(&head);
    let status = head.status.as_u16();
    let too_large = || match status {
        200 => Err(Cause::from(format!("the answer has more than {max_answer} bytes"))),
        // The status says enough.
        _ => Ok((status, Bytes::new())),
    };
    if body.size_hint().lower() > max_answer as u64 {
        return too_large();
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| describe(&error, host))?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > max_answer {
            return too_large();
        }
        match first.is_empty() {
            true => first = data,
            false => rest.extend_from_slice(&data),
        }
    }
    Ok((status, if rest.is_empty() { first } else { [first, rest.freeze()].concat().into() }))
}

/// Sends a request that is to end HTTP on the connection, and gives the answer with the stream, if it is still there,
/// and the bytes behind the answer.
pub(super) async fn upgrade<S: Stream>(
    stream: S,
    request: Outgoing,
    host: &str,
) -> Result<(Response<Incoming>, Option<(S, Bytes)>), Cause> {
    let (mut sender, connection) = handshake(HyperStream::new(stream)).await.map_err(|error| describe(&error, host))?;
    let mut connection = Some(connection);
    let mut parts = None;
    let mut response = pin!(sender.send_request(request));
    let response = poll_fn(|cx| {
        // Where the answer ends HTTP, the connection is through in the poll that gives the answer.
        let ended = connection.as_mut().map_or(Poll::Pending, |connection| connection.poll_without_shutdown(cx));
        if let Poll::Ready(result) = ended {
            parts = connection.take().filter(|_| result.is_ok()).map(Connection::into_parts);
        }
        response.as_mut().poll(cx)
    })
    .await
    .map_err(|error| describe(&error, host))?;
    Ok((response, parts.map(|Parts { io, read_buf, .. }| (io.into_inner(), read_buf))))
}

/// An error and its reasons, in words.
fn describe(error: &(dyn Error + 'static), host: &str) -> Cause {
    let errors = || core::iter::successors(Some(error), |&error| Error::source(error));
    if let Some(words) = errors().find_map(|error| tls::describe(error, host)) {
        return words.into();
    }
    // That a request was cancelled says nothing of why.
    let is_reason = |error: &&(dyn Error + 'static)| !error.downcast_ref().is_some_and(hyper::Error::is_canceled);
    let reasons: Vec<String> = errors().filter(is_reason).map(ToString::to_string).collect();
    match reasons.is_empty() {
        true => error.to_string().into(),
        false => reasons.join(": ").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{FakeStream, Peer, Task};
    use super::*;

    type Requesting = Task<(Channel<FakeStream>, Result<(u16, Bytes), Failure>)>;

    fn request(mut channel: Channel<FakeStream>, target: &str) -> Requesting {
        let request = Request::get(target).header("host", "a").body(Full::default()).unwrap();
        Task::new(async move {
            let answer = channel.request(request, 100, "a", |_| ()).await;
            (channel, answer)
        })
    }

    #[test]
    fn a_request_that_was_not_sent_comes_back() {
        let peer = Peer::default();
        let channel = Task::new(Channel::new(peer.stream(), "a")).finish().unwrap();
        let mut task = request(channel, "/1");
        assert!(task.run().is_none());
        peer.answer("ok");
        let (channel, answer) = task.finish();
        assert!(answer.is_ok());
        peer.received();
        // The end is seen when the request is on its way to the connection already.
        peer.close();
        let (channel, answer) = request(channel, "/2").finish();
        assert!(matches!(answer, Err(Failure::Unsent(request, _)) if request.uri() == "/2"));
        assert_eq!(peer.text(), "");
        assert!(peer.is_closed() && !channel.is_idle());
    }
}
