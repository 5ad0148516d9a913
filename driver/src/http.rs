use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use socketio_protocol::engine::{
    Admission, Exchange, ExchangeId, ExchangeKind, Header, Headers, Reject, RequestHead, RequestKind, Response,
    Session, Transport, admit,
};

use crate::application::Application;
use crate::engine::{Engine, MailOf};
use crate::handshake::Handshake;
use crate::mailbox::{Mail, Mailbox};
use crate::runtime::Runtime;
use crate::task::SessionTask;

/// Bytes of a body that are handed over at once: a large one stays here until its client has taken most of it.
const PIECE: usize = 64 * 1024;

/// The body of an answer.
#[derive(Debug, Default)]
pub struct Body {
    bytes: Bytes,
    undelivered: Option<Undelivered>,
}

/// Tells a session that its packets were not delivered.
struct Undelivered(Box<dyn FnOnce() + Send + Sync>);

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.bytes.len().min(PIECE);
        Poll::Ready((piece > 0).then(|| Ok(Frame::data(self.bytes.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(undelivered) = self.undelivered.take().filter(|_| !self.bytes.is_empty()) {
            (undelivered.0)();
        }
    }
}

impl core::fmt::Debug for Undelivered {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Undelivered(..)")
    }
}

struct HeaderView<'a>(&'a HeaderMap);

impl Headers for HeaderView<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(HeaderValue::as_bytes)
    }
}

/// Answers one HTTP request: the whole server, for any HTTP stack that can upgrade.
///
/// The one road for HTTP: `serve` and the tower service of an adapter are a few lines over it.
pub async fn respond<R, A, B>(
    engine: &Engine<A>,
    runtime: &R,
    address: Option<SocketAddr>,
    request: Request<B>,
) -> http::Response<Body>
where
    R: Runtime,
    A: Application,
    B: http_body::Body,
{
    let (mut head, body) = request.into_parts();
    if head.uri.path() != &*engine.0.path {
        return finish(Response::not_found(), Vec::new(), &head, None);
    }
    let on_upgrade = head.extensions.remove::<OnUpgrade>();
    let (admission, headers) = {
        let view = HeaderView(&head.headers);
        let request =
            RequestHead { method: head.method.as_str(), query: head.uri.query().unwrap_or_default(), headers: &view };
        let admission = admit(&engine.0.config, &request, |id| engine.find(id));
        (admission, engine.0.config.response_headers(&request))
    };
    let mut undelivered = None;
    let response = match admission {
        Admission::Preflight(response) => response,
        Admission::Reject(reject) => reject.response(),
        Admission::New(kind) => {
            let handshake = Arc::new(Handshake::new(&head, address));
            match open(engine, runtime, kind, handshake, on_upgrade).await {
                Ok((response, guard)) => {
                    undelivered = guard;
                    response
                }
                Err(reject) => reject.response(),
            }
        }
        Admission::Session(mailbox, RequestKind::Poll) => {
            let (response, guard) = poll(&mailbox).await;
            undelivered = Some(guard);
            response
        }
        Admission::Session(mailbox, RequestKind::Post { binary }) => {
            post(engine, runtime, &mailbox, &head, body, binary).await
        }
        Admission::Session(mailbox, RequestKind::Upgrade(accept)) => match on_upgrade {
            Some(stream) => {
                mailbox.push(Mail::Stream(stream));
                Response::switching_protocols(&accept)
            }
            None => Reject::BadRequest.response(),
        },
        // What the core may learn to admit later is refused until this driver knows it.
        _ => Reject::BadRequest.response(),
    };
    finish(response, headers, &head, undelivered)
}

/// Opens a session, if the application allows it, and answers its first request.
async fn open<R: Runtime, A: Application>(
    engine: &Engine<A>,
    runtime: &R,
    kind: RequestKind,
    handshake: Arc<Handshake>,
    on_upgrade: Option<OnUpgrade>,
) -> Result<(Response, Option<Undelivered>), Reject> {
    if let Some(allow) = &engine.0.allow_request {
        allow(Arc::clone(&handshake)).await.map_err(Reject::Forbidden)?;
    }
    let (transport, stream, accept) = match (kind, on_upgrade) {
        (RequestKind::Poll, _) => (Transport::Polling, None, None),
        (RequestKind::Upgrade(accept), Some(stream)) => (Transport::WebSocket, Some(stream), Some(accept)),
        _ => return Err(Reject::BadRequest),
    };
    let (id, mailbox) = engine.register().ok_or(Reject::BadRequest)?;
    let now = engine.now();
    let session = Session::new(Arc::clone(&engine.0.config), id, transport, now);
    let connection = engine.0.application.open(handshake, &mailbox, now);
    let task = SessionTask::new(engine.clone(), runtime.clone(), mailbox.clone(), session, connection, stream);
    runtime.spawn(task);
    Ok(match accept {
        Some(accept) => (Response::switching_protocols(&accept), None),
        None => {
            let (response, guard) = poll(&mailbox).await;
            (response, Some(guard))
        }
    })
}

/// Reads the body and hands it to the session.
async fn post<R, A, B>(
    engine: &Engine<A>,
    runtime: &R,
    mailbox: &Mailbox<MailOf<A>>,
    head: &Parts,
    body: B,
    binary: bool,
) -> Response
where
    R: Runtime,
    A: Application,
    B: http_body::Body,
{
    let limit = engine.0.config.max_payload;
    let declared = head.headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > limit) {
        return Response::payload_too_large();
    }
    let post = |body| ExchangeKind::Post { body, binary };
    let mut reading = core::pin::pin!(collect(body, limit));
    let read = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
    match read {
        Poll::Ready(Ok(body)) => return answered(Answer::request(mailbox, post(body)).await),
        Poll::Ready(Err(BodyError::TooLarge)) => return Response::payload_too_large(),
        // Dropped before its end, it ends the session, as every request that is given up does.
        Poll::Ready(Err(BodyError::Broken)) => {
            drop(Answer::request(mailbox, ExchangeKind::Upload));
            return Reject::BadRequest.response();
        }
        Poll::Pending => {}
    }
    let mut answer = Answer::request(mailbox, ExchangeKind::Upload);
    let timeout = core::pin::pin!(runtime.sleep(engine.0.config.body_timeout));
    match select(select(reading, timeout), &mut answer).await {
        Either::Left((Either::Left((Ok(body), _)), _)) => {
            mailbox.push(Mail::Body(Exchange { id: answer.id, kind: post(body) }));
            answered(answer.await)
        }
        Either::Left((Either::Left((Err(BodyError::TooLarge), _)), _)) => answer.refuse(Response::payload_too_large()),
        Either::Left((Either::Left((Err(BodyError::Broken), _)), _)) => Reject::BadRequest.response(),
        Either::Left((Either::Right(_), _)) => answer.refuse(Response::request_timeout()),
        // The session has refused it before its end.
        Either::Right((answer, _)) => answered(answer),
    }
}

enum BodyError {
    TooLarge,
    Broken,
}

/// The whole body; one that comes in one piece is not copied.
async fn collect<B: http_body::Body>(body: B, limit: usize) -> Result<Bytes, BodyError> {
    let mut body = core::pin::pin!(body);
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        let data = data_bytes(data);
        if first.len() + rest.len() + data.len() > limit {
            return Err(BodyError::TooLarge);
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&first);
            first = Bytes::new();
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn data_bytes(mut data: impl bytes::Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

/// Waits for packets. Gives the answer and what is to be told if it cannot be delivered.
async fn poll<M: Send + 'static>(mailbox: &Mailbox<M>) -> (Response, Undelivered) {
    let answer = Answer::request(mailbox, ExchangeKind::Poll);
    let (id, mailbox) = (answer.id, mailbox.clone());
    let response = answered(answer.await);
    (response, Undelivered(Box::new(move || mailbox.push(Mail::Abort(id)))))
}

/// A session that went down with its task has told nobody; to the client it is as if it had never been.
fn answered(answer: Option<Response>) -> Response {
    answer.unwrap_or_else(|| Reject::SessionUnknown.response())
}

/// The answer to come. Dropped before it came, it tells the session that the client gave up.
struct Answer<'a, M> {
    mailbox: &'a Mailbox<M>,
    id: ExchangeId,
    receiver: oneshot::Receiver<Response>,
    done: bool,
}

impl<'a, M> Answer<'a, M> {
    /// Hands a request to the session.
    fn request(mailbox: &'a Mailbox<M>, kind: ExchangeKind) -> Self {
        let (reply, receiver) = oneshot::channel();
        let id = mailbox.push_exchange(|id| Exchange { id, kind }, reply);
        Self { mailbox, id, receiver, done: false }
    }

    /// Does not wait any longer: `response` is the answer, and the session goes on.
    fn refuse(mut self, response: Response) -> Response {
        self.done = true;
        self.mailbox.push(Mail::Refused(self.id));
        response
    }
}

impl<M> Future for Answer<'_, M> {
    type Output = Option<Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = core::task::ready!(Pin::new(&mut self.receiver).poll(cx));
        self.done = true;
        Poll::Ready(answer.ok())
    }
}

impl<M> Drop for Answer<'_, M> {
    fn drop(&mut self) {
        if !self.done {
            self.mailbox.push(Mail::Abort(self.id));
        }
    }
}

/// An answer in the types of the `http` crate.
fn finish(
    response: Response,
    extra: Vec<Header>,
    head: &Parts,
    undelivered: Option<Undelivered>,
) -> http::Response<Body> {
    let bytes = if head.method == http::Method::HEAD { Bytes::new() } else { response.body };
    let mut answer = http::Response::new(Body { bytes, undelivered });
    *answer.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    for (name, value) in response.headers.iter().chain(&extra) {
        // What is no header (from the application's configuration) is left out.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(&**name), HeaderValue::try_from(&**value)) {
            headers.append(name, value);
        }
    }
    answer
}
