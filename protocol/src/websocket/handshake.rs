use alloc::string::String;
use core::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, general_purpose::PAD};
use sha1::{Digest, Sha1};

use crate::Random;

/// The answer to an opening handshake: the value of `Sec-WebSocket-Accept`; RFC 6455 section 4.2.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept([u8; 28]);

impl Accept {
    /// Checks the values of `Sec-WebSocket-Key` and `Sec-WebSocket-Version` that the client sent.
    ///
    /// # Errors
    ///
    /// The key is not 16 bytes in base64, or the version is not 13.
    pub fn new(key: Option<&[u8]>, version: Option<&[u8]>) -> Result<Self, HandshakeError> {
        if version != Some(b"13") {
            return Err(HandshakeError::Version);
        }
        let key = key.filter(|key| is_key(key)).ok_or(HandshakeError::Key)?;
        let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
        let mut value = [0; 28];
        // Cannot fail: 20 bytes make 28 characters.
        BASE64.encode_slice(digest, &mut value).map_err(|_| HandshakeError::Key)?;
        Ok(Self(value))
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Why an opening handshake is refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// `Sec-WebSocket-Version` is not 13.
    Version,
    /// `Sec-WebSocket-Key` is missing or malformed.
    Key,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "unsupported WebSocket version",
            Self::Key => "malformed Sec-WebSocket-Key",
        })
    }
}

impl core::error::Error for HandshakeError {}

/// What a client opens a WebSocket with: the value of `Sec-WebSocket-Key`; RFC 6455 section 4.1.
///
/// ```
/// use socketio_protocol::websocket::Key;
/// use socketio_protocol::{Random, Seed};
///
/// let key = Key::generate(&mut Random::new(Seed::new([0; 32])));
/// let request = key.to_http1("localhost:3000", "/socket.io/?EIO=4&transport=websocket");
/// assert!(request.starts_with("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: localhost:3000\r\n"));
///
/// // Later, with the status and the headers of the answer:
/// let headers = [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", "of another key")];
/// let find = |name: &str| headers.iter().find(|header| header.0 == name).map(|header| header.1.as_bytes());
/// assert!(key.verify(101, find).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key([u8; 24]);

impl Key {
    /// Draws a key; every connection has one of its own.
    pub fn generate(random: &mut Random) -> Self {
        let mut value = [b'='; 24];
        // Cannot fail: 16 bytes make 24 characters.
        let _ = BASE64.encode_slice(random.bytes::<16>(), &mut value);
        Self(value)
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The headers, names in lower case, that make a GET request an opening handshake. `Host` is the caller's to add.
    pub fn headers(&self) -> [(&'static str, &str); 4] {
        [
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", self.as_str()),
        ]
    }

    /// The whole request for those who have a bare socket, as HTTP/1.1 writes it. `host` is the server's name, with the
    /// port if that is not the usual one; `target` path and query. Of both only what may stand there is written.
    pub fn to_http1(&self, host: &str, target: &str) -> String {
        let mut head = http1_head("GET", host, target);
        for (name, value) in self.headers() {
            push_header(&mut head, name, value);
        }
        head.push_str("\r\n");
        head
    }

    /// Checks the answer, by its status and the first value of each header that `header` finds by its lower-case name.
    ///
    /// The connection is a WebSocket from the first byte behind the answer's head on, if all is well. Redirects and
    /// demands for credentials, which section 4.1 leaves to the client, are errors here.
    ///
    /// # Errors
    ///
    /// The server has refused, or it answers something else: the connection is to be dropped.
    pub fn verify<'h>(&self, status: u16, header: impl Fn(&str) -> Option<&'h [u8]>) -> Result<(), AnswerError> {
        if status != 101 {
            return Err(AnswerError::Status(status));
        }
        let upgrades = header("upgrade").is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(b"websocket"));
        if !upgrades || !has_token(header("connection"), b"upgrade") {
            return Err(AnswerError::Upgrade);
        }
        let expected = Accept::new(Some(&self.0), Some(b"13"));
        let accept = header("sec-websocket-accept").unwrap_or_default().trim_ascii();
        if expected.map(|expected| expected.as_str().as_bytes() == accept) != Ok(true) {
            return Err(AnswerError::Accept);
        }
        let unasked = ["sec-websocket-extensions", "sec-websocket-protocol"];
        match unasked.iter().any(|name| header(name).is_some_and(|value| !value.trim_ascii().is_empty())) {
            true => Err(AnswerError::Unasked),
            false => Ok(()),
        }
    }
}

/// Why the answer to an opening handshake opens no WebSocket; RFC 6455 section 4.1.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// The status is this and not 101.
    Status(u16),
    /// `Upgrade` is not `websocket`, or `Connection` does not name `upgrade`.
    Upgrade,
    /// `Sec-WebSocket-Accept` does not fit the key.
    Accept,
    /// The server has chosen an extension or a subprotocol that nobody asked for.
    Unasked,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status} in place of 101"),
            Self::Upgrade => f.write_str("the answer does not upgrade to WebSocket"),
            Self::Accept => f.write_str("wrong Sec-WebSocket-Accept"),
            Self::Unasked => f.write_str("an extension or subprotocol that was not asked for"),
        }
    }
}

impl core::error::Error for AnswerError {}

/// The beginning of the head of a request: what is no visible ASCII is left out, and cannot end a line.
pub(crate) fn http1_head(method: &str, host: &str, target: &str) -> String {
    let visible = |text: &str| text.chars().filter(char::is_ascii_graphic).collect::<String>();
    let mut head = [method, " ", &visible(target), " HTTP/1.1\r\n"].concat();
    push_header(&mut head, "host", &visible(host));
    head
}

pub(crate) fn push_header(head: &mut String, name: &str, value: &str) {
    [name, ": ", value, "\r\n"].iter().for_each(|part| head.push_str(part));
}

/// Whether a header that is a list has an item, in any case.
pub(crate) fn has_token(list: Option<&[u8]>, token: &[u8]) -> bool {
    list.unwrap_or_default().split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

/// What the key is hashed with.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Lenient with the bits that the last character has in excess: clients exist that draw 22 characters at random.
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, PAD.with_decode_allow_trailing_bits(true));

fn is_key(key: &[u8]) -> bool {
    let mut bytes = [0; 18];
    key.len() == 24 && BASE64.decode_slice(key, &mut bytes) == Ok(16)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::Seed;

    const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn the_example_of_section_1_3() {
        let accept = Accept::new(Some(KEY), Some(b"13"));
        assert_eq!(accept.as_ref().map(Accept::as_str), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn an_opening_handshake_as_it_is_written() {
        let key = Key(KEY.try_into().unwrap());
        for (host, target) in [("a:1", "/b?c=d"), ("a:1\r\nx: y\r\n\r\n", "/b?c=d HTTP/1.1\r\n\r\n")] {
            let request = key.to_http1(host, target);
            let mut headers = [httparse::EMPTY_HEADER; 6];
            let mut parsed = httparse::Request::new(&mut headers);
            assert!(parsed.parse(request.as_bytes()).unwrap().is_complete(), "{request}");
            assert_eq!(parsed.method, Some("GET"));
            let find = |name: &str| parsed.headers.iter().find(|header| header.name == name).map(|header| header.value);
            let accept = Accept::new(find("sec-websocket-key"), find("sec-websocket-version")).unwrap();
            assert_eq!(accept.as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
            assert_eq!((find("upgrade"), find("connection")), (Some(&b"websocket"[..]), Some(&b"Upgrade"[..])));
            assert_eq!(parsed.headers.len(), 5, "nothing breaks out of its place");
            if host == "a:1" {
                assert_eq!((parsed.path, find("host")), (Some(target), Some(host.as_bytes())));
            }
        }
    }

    #[test]
    fn the_version_is_exactly_13() {
        for version in [None, Some(&b""[..]), Some(b"8"), Some(b"12"), Some(b"013"), Some(b"13, 8"), Some(b"13\0")] {
            assert_eq!(Accept::new(Some(KEY), version), Err(HandshakeError::Version), "{version:?}");
        }
        assert_eq!(HandshakeError::Version.to_string(), "unsupported WebSocket version");
    }

    #[test]
    fn the_key_is_16_bytes_in_base64() {
        let bad: [Option<&[u8]>; 9] = [
            None,
            Some(b""),
            Some(b"dGhlIHNhbXBsZSBub25jZQ"),
            Some(b"dGhlIHNhbXBsZSBub25jZQ="),
            Some(b"dGhlIHNhbXBsZSBub25jZQ== "),
            Some(b"dGhlIHNhbXBsZSBub25jZWE="),
            Some(b"dGhlIHNhbXBsZSBub25jZWFh"),
            Some(b"dGhlIHNhbXBsZSBub25j-_=="),
            Some(b"========================"),
        ];
        for key in bad {
            assert_eq!(Accept::new(key, Some(b"13")), Err(HandshakeError::Key), "{key:?}");
        }
        assert!(Accept::new(Some(b"dGhlIHNhbXBsZSBub25jZR=="), Some(b"13")).is_ok(), "bits in excess");
    }

    fn verify(status: u16, headers: &[(&str, &str)]) -> Result<(), AnswerError> {
        let find = |name: &str| headers.iter().find(|header| header.0 == name).map(|header| header.1.as_bytes());
        Key(*KEY.first_chunk().unwrap()).verify(status, find)
    }

    const UPGRADE: (&str, &str) = ("upgrade", "websocket");
    const CONNECTION: (&str, &str) = ("connection", "Upgrade");
    const ACCEPT: (&str, &str) = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

    #[test]
    fn a_client_s_key_is_one_that_the_server_takes() {
        let mut random = Random::new(Seed::new([1; 32]));
        let (key, other) = (Key::generate(&mut random), Key::generate(&mut random));
        assert_ne!(key, other);
        let headers = key.headers();
        let get = |name| headers.iter().find(|header| header.0 == name).map(|header| header.1.as_bytes());
        let accept = Accept::new(get("sec-websocket-key"), get("sec-websocket-version")).unwrap();
        let find = |name: &str| match name {
            "upgrade" => Some("websocket".as_bytes()),
            "connection" => Some("upgrade".as_bytes()),
            "sec-websocket-accept" => Some(accept.as_str().as_bytes()),
            _ => None,
        };
        assert_eq!(key.verify(101, find), Ok(()));
        assert_eq!(other.verify(101, find), Err(AnswerError::Accept));
    }

    #[test]
    fn the_answer_opens_a_websocket_only_if_all_of_it_fits() {
        assert_eq!(verify(101, &[UPGRADE, CONNECTION, ACCEPT]), Ok(()));
        let lenient = [("upgrade", " WebSocket"), ("connection", "keep-alive, UPGRADE"), ACCEPT];
        assert_eq!(verify(101, &lenient), Ok(()));
        assert_eq!(verify(101, &[UPGRADE, CONNECTION, ACCEPT, ("sec-websocket-protocol", "")]), Ok(()));
        for status in [0, 100, 200, 302, 400, 426, 502] {
            assert_eq!(verify(status, &[UPGRADE, CONNECTION, ACCEPT]), Err(AnswerError::Status(status)));
        }
        assert_eq!(AnswerError::Status(404).to_string(), "status 404 in place of 101");
        let (upgrade, accept) = (Err(AnswerError::Upgrade), Err(AnswerError::Accept));
        assert_eq!(verify(101, &[CONNECTION, ACCEPT]), upgrade);
        assert_eq!(verify(101, &[("upgrade", "h2c, websocket"), CONNECTION, ACCEPT]), upgrade);
        assert_eq!(verify(101, &[UPGRADE, ACCEPT]), upgrade);
        assert_eq!(verify(101, &[UPGRADE, ("connection", "close"), ACCEPT]), upgrade);
        assert_eq!(verify(101, &[UPGRADE, CONNECTION]), accept);
        assert_eq!(
            verify(101, &[UPGRADE, CONNECTION, ("sec-websocket-accept", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=")]),
            accept
        );
        for name in ["sec-websocket-extensions", "sec-websocket-protocol"] {
            assert_eq!(verify(101, &[UPGRADE, CONNECTION, ACCEPT, (name, "x")]), Err(AnswerError::Unasked));
        }
    }
}
