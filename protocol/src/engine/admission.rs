use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use memchr::memchr;
use serde::Serialize;

use super::{Config, Headers, RequestHead, Response, Transport};
use crate::SessionId;
use crate::websocket::{Accept, HandshakeError, has_token};

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission<S> {
    /// A CORS preflight, answered by this (and, as everything, [`Config::response_headers`]).
    Preflight(Response),
    /// Refused with this.
    Reject(Reject),
    /// A new session starts, once the application has allowed it.
    New(RequestKind),
    /// The request belongs to a session.
    Session(S, RequestKind),
}

/// What an admitted request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// To collect packets (GET).
    Poll,
    /// To deliver packets: the body is to be read, up to [`Config::max_payload`] bytes.
    Post {
        /// Whether the body claims to be `application/octet-stream`, which Engine.IO 4 does not know.
        binary: bool,
    },
    /// To become a WebSocket: answer with [`Response::switching_protocols`].
    Upgrade(Accept),
}

/// A refused request. Codes and messages are the official server's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reject {
    /// Code 0: no transport is named, or none that is enabled.
    TransportUnknown,
    /// Code 1: the session id is malformed, foreign, or that of a session that is over.
    SessionUnknown,
    /// Code 2: the method opens no session or, with a session id, means nothing to a session.
    BadHandshakeMethod,
    /// Code 3: the transport and the request do not fit, or the WebSocket handshake or `Origin` is malformed.
    BadRequest,
    /// Code 4: the origin or the application forbids it, with this message.
    Forbidden(String),
    /// Code 5: `EIO` is not 4.
    UnsupportedProtocol,
    /// Code 3: `Sec-WebSocket-Version` is not 13; the answer names the version that is, RFC 6455 section 4.4.
    UnsupportedWebSocket,
}

impl Reject {
    /// [`Reject::Forbidden`] for no stated reason.
    pub fn forbidden() -> Self {
        Self::Forbidden(String::from("Forbidden"))
    }

    /// The code in the body.
    pub fn code(&self) -> u8 {
        match self {
            Self::TransportUnknown => 0,
            Self::SessionUnknown => 1,
            Self::BadHandshakeMethod => 2,
            Self::BadRequest | Self::UnsupportedWebSocket => 3,
            Self::Forbidden(_) => 4,
            Self::UnsupportedProtocol => 5,
        }
    }

    /// The answer: 400 or 403 with `{"code":..,"message":..}`.
    pub fn response(&self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            code: u8,
            message: &'a str,
        }

        let status = if matches!(self, Self::Forbidden(_)) { 403 } else { 400 };
        // Numbers and text can always be written as JSON.
        let body = serde_json::to_vec(&Body { code: self.code(), message: self.message() }).unwrap_or_default();
        let mut response = Response::error(status, body.into());
        if *self == Self::UnsupportedWebSocket {
            response.headers.to_mut().push((Cow::Borrowed("sec-websocket-version"), Cow::Borrowed("13")));
        }
        response
    }

    fn message(&self) -> &str {
        match self {
            Self::TransportUnknown => "Transport unknown",
            Self::SessionUnknown => "Session ID unknown",
            Self::BadHandshakeMethod => "Bad handshake method",
            Self::BadRequest | Self::UnsupportedWebSocket => "Bad request",
            Self::Forbidden(message) => message,
            Self::UnsupportedProtocol => "Unsupported protocol version",
        }
    }
}

/// Decides about a request from its head alone. `lookup` finds the session of an id.
///
/// The order of the checks is the official server's: preflight, transport, origin, then for a request with a session id
/// the session, its transport and the method; for one without, the method, its transport and the protocol's version.
/// Of a repeated query parameter the last value counts. A request without `EIO` but with a session id is in order, and
/// so is `sid=` without a value: it asks for a new session.
///
/// What depends on the session's state, such as a second poll or a poll after the upgrade, is the session's to refuse.
///
/// ```
/// use socketio_protocol::engine::{Admission, Config, Reject, RequestHead, RequestKind, admit};
///
/// let config = Config::default();
/// let sessions = [("DsYRHTVVHiqJKx7D-S_e", 7)];
/// let decide = |method, query| {
///     let head = RequestHead { method, query, headers: &[("accept", "*/*")] };
///     admit(&config, &head, |id| sessions.iter().find(|(known, _)| *known == id.as_str()).map(|(_, number)| *number))
/// };
///
/// assert_eq!(decide("GET", "EIO=4&transport=polling"), Admission::New(RequestKind::Poll));
/// assert_eq!(
///     decide("POST", "EIO=4&transport=polling&sid=DsYRHTVVHiqJKx7D-S_e"),
///     Admission::Session(7, RequestKind::Post { binary: false }),
/// );
///
/// let Admission::Reject(reject) = decide("GET", "EIO=4&transport=polling&sid=unknown") else { panic!() };
/// assert_eq!(reject, Reject::SessionUnknown);
/// assert_eq!(reject.response().status, 400);
/// assert_eq!(reject.response().body, r#"{"code":1,"message":"Session ID unknown"}"#);
/// ```
pub fn admit<S>(config: &Config, head: &RequestHead<'_>, lookup: impl FnOnce(&SessionId) -> Option<S>) -> Admission<S> {
    if head.method == "OPTIONS" && config.cors.is_some() {
        return Admission::Preflight(Response::no_content());
    }
    verify(config, head, lookup).unwrap_or_else(Admission::Reject)
}

fn verify<S>(
    config: &Config,
    head: &RequestHead<'_>,
    lookup: impl FnOnce(&SessionId) -> Option<S>,
) -> Result<Admission<S>, Reject> {
    let query = Query::parse(head.query);
    let transport = query.transport().filter(|transport| config.transports.contains(*transport));
    let transport = transport.ok_or(Reject::TransportUnknown)?;
    check_origin(config, head.headers)?;

    if query.sid.is_empty() {
        if head.method != "GET" {
            return Err(Reject::BadHandshakeMethod);
        }
        check_transport(transport, head.headers)?;
        let kind = request_kind(transport, head)?;
        if query.version != "4" {
            return Err(Reject::UnsupportedProtocol);
        }
        Ok(Admission::New(kind))
    } else {
        let session = SessionId::parse(&query.sid).and_then(|id| lookup(&id)).ok_or(Reject::SessionUnknown)?;
        check_transport(transport, head.headers)?;
        Ok(Admission::Session(session, request_kind(transport, head)?))
    }
}

fn check_origin(config: &Config, headers: &dyn Headers) -> Result<(), Reject> {
    let legal = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    if !headers.get("origin").unwrap_or_default().iter().all(legal) {
        return Err(Reject::BadRequest);
    }
    if config.origins.allows(headers) { Ok(()) } else { Err(Reject::forbidden()) }
}

/// A WebSocket needs a request to upgrade; a poll with one would leave open who answers it how (CVE-2023-31125).
fn check_transport(transport: Transport, headers: &dyn Headers) -> Result<(), Reject> {
    let upgrade = has_token(headers.get("upgrade"), b"websocket") && has_token(headers.get("connection"), b"upgrade");
    if upgrade == (transport == Transport::WebSocket) { Ok(()) } else { Err(Reject::BadRequest) }
}

fn request_kind(transport: Transport, head: &RequestHead<'_>) -> Result<RequestKind, Reject> {
    match (transport, head.method) {
        (Transport::Polling, "GET") => Ok(RequestKind::Poll),
        (Transport::Polling, "POST") => Ok(RequestKind::Post { binary: is_octet_stream(head.headers) }),
        (Transport::WebSocket, "GET") => {
            let get = |name| head.headers.get(name);
            match Accept::new(get("sec-websocket-key"), get("sec-websocket-version")) {
                Ok(accept) => Ok(RequestKind::Upgrade(accept)),
                Err(HandshakeError::Version) => Err(Reject::UnsupportedWebSocket),
                Err(HandshakeError::Key) => Err(Reject::BadRequest),
            }
        }
        _ => Err(Reject::BadHandshakeMethod),
    }
}

fn is_octet_stream(headers: &dyn Headers) -> bool {
    let media_type = headers.get("content-type").unwrap_or_default().split(|byte| *byte == b';').next();
    media_type.is_some_and(|media_type| media_type.trim_ascii().eq_ignore_ascii_case(b"application/octet-stream"))
}

/// The query parameters that matter here, empty if they are missing.
#[derive(Default)]
struct Query<'a> {
    version: Cow<'a, str>,
    transport: Cow<'a, str>,
    sid: Cow<'a, str>,
}

impl<'a> Query<'a> {
    fn parse(query: &'a str) -> Self {
        let mut parsed = Self::default();
        let escaped = memchr(b'%', query.as_bytes()).is_some();
        let decode: fn(&'a str) -> Cow<'a, str> = if escaped { percent_decode } else { Cow::Borrowed };
        let mut rest = Some(query);
        while let Some(parameters) = rest {
            let parameter;
            (parameter, rest) = split(parameters, memchr(b'&', parameters.as_bytes()));
            let (name, value) = split(parameter, parameter.bytes().position(|byte| byte == b'='));
            let value = value.unwrap_or_default();
            let target = match &*decode(name) {
                "EIO" => &mut parsed.version,
                "transport" => &mut parsed.transport,
                "sid" => &mut parsed.sid,
                _ => continue,
            };
            *target = decode(value);
        }
        parsed
    }

    fn transport(&self) -> Option<Transport> {
        [Transport::Polling, Transport::WebSocket].into_iter().find(|transport| transport.name() == self.transport)
    }
}

/// What precedes the ASCII character at `at`, and what follows it.
fn split(text: &str, at: Option<usize>) -> (&str, Option<&str>) {
    match at {
        Some(end) => (text.get(..end).unwrap_or_default(), text.get(end + 1..)),
        None => (text, None),
    }
}

/// Allocates only if there is something to decode. What is no escape stays as it is.
pub(super) fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, tail) = escape(rest).unwrap_or((first, tail));
        decoded.push(byte);
        rest = tail;
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

/// The byte that an escape at the start of `text` stands for, and what follows.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, rest @ ..] = text else {
        return None;
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? << 4 | digit(low)?, rest))
}

#[cfg(test)]
mod tests;
