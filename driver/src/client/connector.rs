use core::time::Duration;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST};
use hyper::http::header::{TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use hyper::http::{self, HeaderMap, HeaderName, HeaderValue};
use socketio_protocol::engine::client::{Cause, Request};
use socketio_protocol::websocket::{AnswerError, Key};

use super::cookies::{Jar, now};
use super::dial::dial;
use super::http::{Channel, Failure, upgrade};
use super::proxy::Proxy;
use super::url::Endpoint;
use crate::mailbox::lock;
use crate::runtime::Runtime;
use crate::tls::{MaybeTls, Tls};

/// Connections that are kept for another request at most: the poll's and the POST's.
const MAX_IDLE: usize = 2;

/// How long a connection is kept. Node closes idle ones after 5 s, and a request may meet that on its way.
const IDLE: Duration = Duration::from_secs(4);

/// Where a client connects to, and how.
pub(crate) struct Options {
    /// The server.
    pub(crate) url: Endpoint,
    /// The user's headers, which all requests have. Those that belong to HTTP itself or to the handshake of WebSocket
    /// are left out.
    pub(crate) headers: HeaderMap,
    /// The way to the server, if not the direct one.
    pub(crate) proxy: Option<Proxy>,
    /// How the server's certificate is checked.
    pub(crate) tls: Tls,
}

/// Makes the HTTP requests of a client and opens its WebSocket streams. Nothing goes on outside the futures that it
/// gives.
pub(crate) struct Connector<R: Runtime>(Arc<Shared<R>>);

struct Shared<R: Runtime> {
    runtime: R,
    options: Options,
    cookies: Mutex<Jar>,
    idle: Mutex<Vec<Idle<R>>>,
}

struct Idle<R: Runtime> {
    channel: Channel<MaybeTls<R::Stream>>,
    until: Instant,
}

impl<R: Runtime> Clone for Connector<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Runtime> Connector<R> {
    /// Connects to nothing yet.
    pub(crate) fn new(runtime: R, options: Options) -> Self {
        Self(Arc::new(Shared { runtime, options, cookies: Mutex::default(), idle: Mutex::default() }))
    }

    /// Closes the connections that no request uses.
    pub(crate) fn rest(&self) {
        let idle = core::mem::take(&mut *lock(&self.0.idle));
        drop(idle);
    }

    /// Makes a request, and gives status and body of the answer, whatever they are. Dropping the future gives the
    /// request up and closes its connection.
    ///
    /// # Errors
    ///
    /// There is no answer, or its body is not whole or too large.
    pub(crate) fn request(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<(u16, Bytes), Cause>> + Send + 'static {
        let shared = Arc::clone(&self.0);
        async move { shared.request(request).await }
    }

    /// Opens a WebSocket, and gives its stream and what has come of it already.
    ///
    /// # Errors
    ///
    /// There is no connection, or the server does not answer a handshake with `key` as it should.
    pub(crate) fn open_stream(
        &self,
        target: String,
        key: Key,
    ) -> impl Future<Output = Result<(MaybeTls<R::Stream>, Bytes), Cause>> + Send + 'static {
        let shared = Arc::clone(&self.0);
        async move { shared.open_stream(&target, &key).await }
    }
}

impl<R: Runtime> Shared<R> {
    async fn request(&self, request: Request) -> Result<(u16, Bytes), Cause> {
        let own = (!request.body.is_empty()).then_some((CONTENT_TYPE, Request::CONTENT_TYPE));
        let mut outgoing = self.outgoing(request.method(), &request.target, request.body, own.into_iter())?;
        loop {
            let kept = self.take_idle();
            let is_new = kept.is_none();
            let mut channel = match kept {
                Some(channel) => channel,
                None => Channel::new(self.connect().await?, self.host()).await?,
            };
            let mut kept_for = IDLE;
            let look = |head: &http::response::Parts| {
                self.keep_cookies(&head.headers, &request.target);
                kept_for = idle_time(&head.headers);
            };
            match channel.request(outgoing, request.max_answer, self.host(), look).await {
                Ok(answer) => {
                    self.keep_idle(channel, kept_for);
                    return Ok(answer);
                }
                Err(Failure::Unsent(unsent, _)) if !is_new => outgoing = *unsent,
                Err(Failure::Unsent(_, cause) | Failure::Failed(cause)) => return Err(cause),
            }
        }
    }

    async fn open_stream(&self, target: &str, key: &Key) -> Result<(MaybeTls<R::Stream>, Bytes), Cause> {
        let own = key.headers().into_iter().map(|(name, value)| (HeaderName::from_static(name), value));
        let request = self.outgoing("GET", target, Bytes::new(), own)?;
        let (response, stream) = upgrade(self.connect().await?, request, self.host()).await?;
        self.keep_cookies(response.headers(), target);
        let header = |name: &str| response.headers().get(name).map(HeaderValue::as_bytes);
        match key.verify(response.status().as_u16(), header) {
            Ok(()) => stream.ok_or_else(|| "the connection ended with the handshake".into()),
            Err(AnswerError::Status(status)) => Err(Cause::Status(status)),
            Err(error) => Err(error.to_string().into()),
        }
    }

    /// A new connection to the server.
    async fn connect(&self) -> Result<MaybeTls<R::Stream>, Cause> {
        let Options { url, proxy, tls, .. } = &self.options;
        let tls = url.secure.then(|| tls.connector()).transpose()?;
        let stream = match proxy {
            Some(proxy) => proxy.dial(&self.runtime, url).await?,
            None => dial(&self.runtime, &url.host, url.port).await?,
        };
        match tls {
            Some(tls) => tls.connect(&url.host, stream).await.map(MaybeTls::Right),
            None => Ok(MaybeTls::Left(stream)),
        }
    }

    fn host(&self) -> &str {
        &self.options.url.host
    }

    /// A connection that may still be good: if it is not, it gives the request back.
    fn take_idle(&self) -> Option<Channel<MaybeTls<R::Stream>>> {
        let mut idle = lock(&self.idle);
        let now = Instant::now();
        idle.retain(|kept| now < kept.until);
        // The youngest: it is the least likely one to be closed by the server.
        idle.pop().map(|kept| kept.channel)
    }

    fn keep_idle(&self, channel: Channel<MaybeTls<R::Stream>>, time: Duration) {
        if !time.is_zero() && channel.is_idle() {
            let mut idle = lock(&self.idle);
            let now = Instant::now();
            idle.retain(|kept| now < kept.until);
            if idle.len() == MAX_IDLE {
                idle.remove(0);
            }
            idle.push(Idle { channel, until: now + time });
        }
    }

    fn keep_cookies(&self, headers: &HeaderMap, target: &str) {
        lock(&self.cookies).keep(headers, target, self.options.url.secure, now());
    }

    fn outgoing<'o>(
        &self,
        method: &str,
        target: &str,
        body: Bytes,
        own: impl Iterator<Item = (HeaderName, &'o str)>,
    ) -> Result<http::Request<Full<Bytes>>, Cause> {
        let request = http::Request::builder().method(method).uri(target).body(Full::new(body));
        let mut request = request.map_err(|error| Cause::from(format!("request for {target:?}: {error}")))?;
        let headers = request.headers_mut();
        let host = self.options.url.host_header().ok_or("the host cannot stand in a header")?;
        headers.extend([(HOST, host), (ACCEPT, HeaderValue::from_static("*/*"))]);
        for name in self.options.headers.keys().filter(|name| is_the_users(name)) {
            headers.remove(name);
            headers.extend(self.options.headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
        }
        let cookies = self.options.headers.get_all(COOKIE);
        headers.extend(lock(&self.cookies).header(cookies.iter(), target, now()).map(|value| (COOKIE, value)));
        for (name, value) in own {
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| "a header of the handshake is malformed")?);
        }
        Ok(request)
    }
}

/// How long a connection may be kept: a second less than the server says, if it does; RFC 2068 section 19.7.1.
fn idle_time(headers: &HeaderMap) -> Duration {
    let parameters = headers.get("keep-alive").and_then(|value| value.to_str().ok()).unwrap_or_default().split(',');
    let timeout = parameters.filter_map(|parameter| parameter.split_once('=')).find_map(|(name, value)| {
        let seconds = value.trim().parse().ok().filter(|_| name.trim().eq_ignore_ascii_case("timeout"))?;
        Some(Duration::from_secs(seconds).saturating_sub(Duration::from_secs(1)))
    });
    timeout.map_or(IDLE, |timeout| timeout.min(IDLE))
}

/// Whether the user may say what a header has. The cookies of users are joined with others.
fn is_the_users(name: &HeaderName) -> bool {
    let framing = [CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

    !framing.contains(name) && *name != COOKIE && !name.as_str().starts_with("sec-websocket-")
}

#[cfg(test)]
mod tests;
