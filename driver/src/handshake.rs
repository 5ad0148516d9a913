use core::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use http::request::Parts;

/// The other end of the connection that a request came by.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its address, where it is known.
    pub address: Option<SocketAddr>,
    /// Whether it is connected by TLS.
    pub secure: bool,
}

/// By TCP, as far as is known.
impl From<Option<SocketAddr>> for Peer {
    fn from(address: Option<SocketAddr>) -> Self {
        Self { address, secure: false }
    }
}

/// The request that a session began with, and when it came.
#[derive(Clone)]
pub struct Handshake {
    /// The URL, then the headers' names and values one after another, each ended by a line feed, which cannot occur in
    /// them: one allocation instead of a table, since it is kept as long as the session lives.
    text: Box<[u8]>,
    /// URLs of the `http` crate have less than 64 KiB.
    url_length: u32,
    peer: Peer,
    time: SystemTime,
}

impl Handshake {
    pub(crate) fn new(head: &Parts, peer: Peer) -> Self {
        let url = head.uri.path_and_query().map_or("", |url| url.as_str());
        let size = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 2).sum::<usize>();
        let mut text = Vec::with_capacity(url.len() + 1 + size);
        let mut line = |bytes| {
            text.extend_from_slice(bytes);
            text.push(b'\n');
        };
        line(url.as_bytes());
        for (name, value) in &head.headers {
            line(name.as_str().as_bytes());
            line(value.as_bytes());
        }
        Self {
            text: text.into(),
            url_length: u32::try_from(url.len()).unwrap_or(u32::MAX),
            peer,
            time: SystemTime::now(),
        }
    }

    /// Path and query.
    pub fn url(&self) -> &str {
        self.text.get(..self.url_length as usize).and_then(|url| str::from_utf8(url).ok()).unwrap_or_default()
    }

    /// The query string, without the question mark.
    pub fn query(&self) -> &str {
        self.url().split_once('?').map_or("", |(_, query)| query)
    }

    /// The first value of a header, if it is text; the name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| str::from_utf8(value).ok())
    }

    /// All headers: names in lower case, and values.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let headers = self.text.get(self.url_length as usize + 1..).unwrap_or_default();
        let mut lines = headers.split(|&byte| byte == b'\n');
        core::iter::from_fn(move || {
            let name = str::from_utf8(lines.next()?).ok().filter(|name| !name.is_empty())?;
            Some((name, lines.next()?))
        })
    }

    /// The peer's address, where the listener knows it.
    pub fn address(&self) -> Option<SocketAddr> {
        self.peer.address
    }

    /// Whether the connection is by TLS, as far as this server knows: what a proxy in front of it has ended, it does not.
    /// A mounted server is told by its host ([`respond`](crate::respond)).
    pub fn secure(&self) -> bool {
        self.peer.secure
    }

    /// When the request came.
    pub fn time(&self) -> SystemTime {
        self.time
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("peer", &self.peer).field("time", &self.time).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_query_are_found() {
        let request = http::Request::builder()
            .uri("/socket.io/?EIO=4&room=a")
            .header("Cookie", "a=b")
            .header("X-Empty", "")
            .header("Origin", "http://a.com");
        let (head, ()) = request.body(()).unwrap().into_parts();
        let peer = Peer { address: Some(([10, 0, 0, 1], 80).into()), secure: true };
        let handshake = Handshake::new(&head, peer);
        assert_eq!((handshake.address(), handshake.secure()), (peer.address, true));
        assert_eq!(handshake.url(), "/socket.io/?EIO=4&room=a");
        assert_eq!(handshake.query(), "EIO=4&room=a");
        assert_eq!(handshake.header("cookie"), Some("a=b"));
        assert_eq!(handshake.header("x-empty"), Some(""));
        assert_eq!(handshake.header("ORIGIN"), Some("http://a.com"));
        assert_eq!(handshake.header("referer"), None);
        assert_eq!(handshake.headers().count(), 3);
    }
}
