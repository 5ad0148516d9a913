use alloc::borrow::Cow;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::websocket::Accept;

/// Read access to the headers of a request, whatever HTTP library holds them.
pub trait Headers {
    /// The first value of the header `name` (lower case).
    fn get(&self, name: &str) -> Option<&[u8]>;
}

/// Names in any case, and values: text or bytes.
impl<V: AsRef<[u8]>> Headers for [(&str, V)] {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_ref())
    }
}

impl<H: Headers + ?Sized> Headers for &H {
    fn get(&self, name: &str) -> Option<&[u8]> {
        H::get(self, name)
    }
}

impl<V: AsRef<[u8]>, const N: usize> Headers for [(&str, V); N] {
    fn get(&self, name: &str) -> Option<&[u8]> {
        Headers::get(self.as_slice(), name)
    }
}

/// The parts of an HTTP request that decide what becomes of it.
#[derive(Copy, Clone)]
pub struct RequestHead<'a> {
    /// `GET`, `POST`, ...
    pub method: &'a str,
    /// The query string, without the question mark.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a dyn Headers,
}

/// A header to send: name (lower case) and value.
pub type Header = (Cow<'static, str>, Cow<'static, str>);

/// An answer to an HTTP request, for any HTTP stack to carry.
///
/// Its length is known, so `Content-Length` fits. Add [`Config::response_headers`](super::Config::response_headers),
/// and leave the body out in the answer to HEAD, as HTTP demands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, without `Content-Length`. Most answers share theirs and allocate nothing.
    pub headers: Cow<'static, [Header]>,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// 101: the connection becomes a WebSocket; RFC 6455 section 4.2.2.
    pub fn switching_protocols(accept: &Accept) -> Self {
        let headers = Vec::from([
            header("upgrade", "websocket"),
            header("connection", "Upgrade"),
            (Cow::Borrowed("sec-websocket-accept"), Cow::Owned(accept.as_str().into())),
        ]);
        Self { status: 101, headers: Cow::Owned(headers), body: Bytes::new() }
    }

    /// 404: the path is none of the server's.
    pub const fn not_found() -> Self {
        Self::empty(404)
    }

    /// 408: the body took too long to arrive.
    pub const fn request_timeout() -> Self {
        Self::empty(408)
    }

    /// 413: the body is larger than [`Config::max_payload`](super::Config::max_payload). The session lives on.
    pub const fn payload_too_large() -> Self {
        Self::empty(413)
    }

    /// 400, empty: the request breaks the rules of its session.
    pub(super) const fn bad_request() -> Self {
        Self::empty(400)
    }

    /// 204: a CORS preflight, whose headers come from the configuration.
    pub(super) const fn no_content() -> Self {
        Self::empty(204)
    }

    /// 200: packets for a poll.
    pub(super) const fn payload(body: Bytes) -> Self {
        static HEADERS: [Header; 2] = [header("content-type", "text/plain; charset=UTF-8"), NO_STORE];
        Self { status: 200, headers: Cow::Borrowed(&HEADERS), body }
    }

    /// 200: the packets of a POST arrived.
    pub(super) const fn ok() -> Self {
        // Some browsers offer text/plain for download.
        static HEADERS: [Header; 2] = [header("content-type", "text/html"), NO_STORE];
        Self { status: 200, headers: Cow::Borrowed(&HEADERS), body: Bytes::from_static(b"ok") }
    }

    /// An error that `body`, in JSON, explains.
    pub(super) const fn error(status: u16, body: Bytes) -> Self {
        static HEADERS: [Header; 1] = [header("content-type", "application/json")];
        Self { status, headers: Cow::Borrowed(&HEADERS), body }
    }

    const fn empty(status: u16) -> Self {
        Self { status, headers: Cow::Borrowed(&[]), body: Bytes::new() }
    }
}

const NO_STORE: Header = header("cache-control", "no-store");

const fn header(name: &'static str, value: &'static str) -> Header {
    (Cow::Borrowed(name), Cow::Borrowed(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(response: &Response) -> (u16, Vec<(&str, &str)>, &[u8]) {
        let headers = response.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        (response.status, headers, &response.body)
    }

    #[test]
    fn polls_are_answered_as_text_that_nobody_stores() {
        let headers = Vec::from([("content-type", "text/plain; charset=UTF-8"), ("cache-control", "no-store")]);
        assert_eq!(parts(&Response::payload(Bytes::from_static(b"6"))), (200, headers, b"6".as_slice()));
    }

    #[test]
    fn row_16_posts_are_answered_with_a_lower_case_ok() {
        let headers = Vec::from([("content-type", "text/html"), ("cache-control", "no-store")]);
        assert_eq!(parts(&Response::ok()), (200, headers, b"ok".as_slice()));
    }

    #[test]
    fn the_other_refusals_are_empty() {
        for (response, status) in [
            (Response::bad_request(), 400),
            (Response::not_found(), 404),
            (Response::request_timeout(), 408),
            (Response::payload_too_large(), 413),
            (Response::no_content(), 204),
        ] {
            assert_eq!(parts(&response), (status, Vec::new(), b"".as_slice()));
        }
    }

    #[test]
    fn a_websocket_is_accepted_with_the_answer_of_rfc_6455() {
        let accept = Accept::new(Some(b"dGhlIHNhbXBsZSBub25jZQ=="), Some(b"13")).unwrap();
        let headers = Vec::from([
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ]);
        assert_eq!(parts(&Response::switching_protocols(&accept)), (101, headers, b"".as_slice()));
    }

    #[test]
    fn header_names_are_found_in_any_case() {
        let headers = [("Origin", "a"), ("origin", "b")];
        assert_eq!(Headers::get(&headers, "origin"), Some(b"a".as_slice()));
        assert_eq!(Headers::get(&headers, "host"), None);
        let bytes = Vec::from([("Origin", b"\xff".as_slice())]);
        assert_eq!(Headers::get(bytes.as_slice(), "origin"), Some(b"\xff".as_slice()));
    }
}
