use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::borrow::Cow;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN, UPGRADE};
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
use crate::handshake::{Handshake, Peer};
use crate::mailbox::{Abort, Mail, Mailbox};
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

/// The session whose packets are in an answer, to be told if they are not delivered.
struct Undelivered {
    session: Arc<dyn Abort>,
    exchange: ExchangeId,
}

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
            undelivered.session.abort(undelivered.exchange);
        }
    }
}

impl core::fmt::Debug for Undelivered {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Undelivered(..)")
    }
}

/// The headers of a request. Those that every request is asked for are found in one pass, which is cheaper than hashing
/// their names.
struct HeaderView<'a> {
    headers: &'a HeaderMap,
    connection: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    upgrade: Option<&'a [u8]>,
}

impl<'a> HeaderView<'a> {
    fn new(headers: &'a HeaderMap) -> Self {
        let mut view = Self { headers, connection: None, content_type: None, origin: None, upgrade: None };
        for (name, value) in headers {
            let place = match name {
                _ if name == CONNECTION => &mut view.connection,
                _ if name == CONTENT_TYPE => &mut view.content_type,
                _ if name == ORIGIN => &mut view.origin,
                _ if name == UPGRADE => &mut view.upgrade,
                _ => continue,
            };
            // The first value of a repeated header counts.
            place.get_or_insert(value.as_bytes());
        }
        view
    }
}

impl Headers for HeaderView<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        match name {
            "connection" => self.connection,
            "content-type" => self.content_type,
            "origin" => self.origin,
            "upgrade" => self.upgrade,
            other => self.headers.get(other).map(HeaderValue::as_bytes),
        }
    }
}

/// Answers one HTTP request: the whole server, for any HTTP stack that can upgrade.
///
/// The one road for HTTP: `serve` and the tower service of an adapter are a few lines over it. `peer` is what only the
/// caller knows of the connection: a [`Peer`], or its address alone.
pub fn respond<'a, R, A, B, P>(
    engine: &'a Engine<A>,
    runtime: &'a R,
    peer: P,
    request: Request<B>,
) -> impl Future<Output = http::Response<Body>> + use<'a, R, A, B, P>
where
    R: Runtime,
    A: Application,
    B: http_body::Body,
    P: Into<Peer>,
{
    // A request that waits keeps nothing of its head, which would hold a whole buffer of hyper's.
    let (head, body) = request.into_parts();
    let has_body = head.method != http::Method::HEAD;
    let (task, headers) = task(engine, peer.into(), head, body);
    async move {
        let answered = match task {
            Task::Answer(response) => Ok((response, None)),
            Task::Open(kind, handshake, stream) => open(engine, runtime, kind, handshake, stream).await,
            Task::Poll(mailbox) => Ok(poll(&mailbox).await),
            Task::Post(mailbox, body, binary) => Ok((post(engine, runtime, &mailbox, body, binary).await, None)),
        };
        let (response, undelivered) = answered.unwrap_or_else(|reject| (reject.response(), None));
        finish(response, headers, has_body, undelivered)
    }
}

/// What a request leads to.
enum Task<M, B> {
    Answer(Response),
    Open(RequestKind, Arc<Handshake>, Option<OnUpgrade>),
    Poll(Mailbox<M>),
    Post(Mailbox<M>, B, bool),
}

/// Decides what a request leads to, and which headers its answer has in any case.
fn task<A: Application, B>(
    engine: &Engine<A>,
    peer: Peer,
    mut head: Parts,
    body: B,
) -> (Task<MailOf<A>, B>, Vec<Header>) {
    let config = &engine.0.config;
    if head.uri.path() != &*engine.0.path {
        return (Task::Answer(Response::not_found()), Vec::new());
    }
    let on_upgrade = head.extensions.remove::<OnUpgrade>();
    let view = HeaderView::new(&head.headers);
    let request =
        RequestHead { method: head.method.as_str(), query: head.uri.query().unwrap_or_default(), headers: &view };
    let headers = config.response_headers(&request);
    let task = match admit(config, &request, |id| engine.find(id)) {
        Admission::Preflight(response) => Task::Answer(response),
        Admission::Reject(reject) => Task::Answer(reject.response()),
        Admission::New(kind) => Task::Open(kind, Arc::new(Handshake::new(&head, peer)), on_upgrade),
        Admission::Session(mailbox, RequestKind::Poll) => Task::Poll(mailbox),
        Admission::Session(_, RequestKind::Post { .. }) if declared(&head) > config.max_payload => {
            Task::Answer(Response::payload_too_large())
        }
        Admission::Session(mailbox, RequestKind::Post { binary }) => Task::Post(mailbox, body, binary),
        Admission::Session(mailbox, RequestKind::Upgrade(accept)) => Task::Answer(match on_upgrade {
            Some(stream) => {
                mailbox.push(Mail::Stream(stream));
                Response::switching_protocols(&accept)
            }
            None => Reject::BadRequest.response(),
        }),
        // What the core may learn to admit later is refused until this driver knows it.
        _ => Task::Answer(Reject::BadRequest.response()),
    };
    (task, headers)
}

/// The declared length of the body, 0 if there is none.
fn declared(head: &Parts) -> usize {
    let length = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    length.unwrap_or_default()
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
        None => poll(&mailbox).await,
    })
}

/// Reads the body and hands it to the session.
async fn post<R, A, B>(engine: &Engine<A>, runtime: &R, mailbox: &Mailbox<MailOf<A>>, body: B, binary: bool) -> Response
where
    R: Runtime,
    A: Application,
    B: http_body::Body,
{
    let mut reading = core::pin::pin!(collect(body, engine.0.config.max_payload));
    let read = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
    match read {
        Poll::Ready(Ok(body)) => answered(Answer::request(mailbox, ExchangeKind::Post { body, binary }).await),
        Poll::Ready(Err(BodyError::TooLarge)) => Response::payload_too_large(),
        // Dropped before its end, it ends the session, as every request that is given up does.
        Poll::Ready(Err(BodyError::Broken)) => {
            drop(Answer::request(mailbox, ExchangeKind::Upload));
            Reject::BadRequest.response()
        }
        // Rare, and large.
        Poll::Pending => Box::pin(upload(engine, runtime, mailbox, reading, binary)).await,
    }
}

/// Announces a body to the session, waits for the rest of it, and hands it over.
async fn upload<R: Runtime, A: Application>(
    engine: &Engine<A>,
    runtime: &R,
    mailbox: &Mailbox<MailOf<A>>,
    reading: Pin<&mut impl Future<Output = Result<Bytes, BodyError>>>,
    binary: bool,
) -> Response {
    let mut answer = Answer::request(mailbox, ExchangeKind::Upload);
    let timeout = core::pin::pin!(runtime.sleep(engine.0.config.body_timeout));
    match select(select(reading, timeout), &mut answer).await {
        Either::Left((Either::Left((Ok(body), _)), _)) => {
            mailbox.push(Mail::Body(Exchange { id: answer.id, kind: ExchangeKind::Post { body, binary } }));
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
async fn poll<M: Send + 'static>(mailbox: &Mailbox<M>) -> (Response, Option<Undelivered>) {
    let answer = Answer::request(mailbox, ExchangeKind::Poll);
    let exchange = answer.id;
    let response = answered(answer.await);
    (response, Some(Undelivered { session: mailbox.as_abort(), exchange }))
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
    has_body: bool,
    undelivered: Option<Undelivered>,
) -> http::Response<Body> {
    let bytes = if has_body { response.body } else { Bytes::new() };
    let mut answer = http::Response::new(Body { bytes, undelivered });
    *answer.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.reserve(response.headers.len() + extra.len());
    for (name, value) in response.headers.iter().chain(&extra).filter_map(header) {
        headers.append(name, value);
    }
    answer
}

/// What is no header (from the application's configuration) is left out. Constants are not copied, and the most frequent
/// ones not checked.
fn header((name, value): &Header) -> Option<(HeaderName, HeaderValue)> {
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");
    const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
    match (&**name, &**value) {
        ("content-type", "text/plain; charset=UTF-8") => return Some((CONTENT_TYPE, TEXT)),
        ("cache-control", "no-store") => return Some((CACHE_CONTROL, NO_STORE)),
        _ => {}
    }
    let value = match value {
        Cow::Borrowed(value) => HeaderValue::from_maybe_shared(Bytes::from_static(value.as_bytes())),
        Cow::Owned(value) => HeaderValue::try_from(value),
    };
    Some((HeaderName::try_from(&**name).ok()?, value.ok()?))
}
