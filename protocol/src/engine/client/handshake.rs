use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::Deserialize;

use crate::engine::Transport;

/// What the server has said when the session was opened; protocol specification, section "Handshake".
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Handshake {
    sid: String,
    upgrades: bool,
    ping_interval: Duration,
    ping_timeout: Duration,
    max_payload: usize,
}

/// Why the server's first packet opens no session.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeError {
    /// It is another packet, or none.
    Missing,
    /// It is larger than [`Config::max_handshake`](super::Config::max_handshake).
    TooLarge,
    /// It is no JSON, or has not the keys that it needs.
    Malformed,
    /// The session id is empty or has more than 256 bytes.
    SessionId,
    /// A ping interval or timeout is less than a millisecond or more than 2³¹ - 1 of them, which the official client's
    /// timers cannot wait for.
    Interval,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the server does not start with a handshake",
            Self::TooLarge => "the handshake is too large",
            Self::Malformed => "the handshake cannot be read",
            Self::SessionId => "the session id is missing or too long",
            Self::Interval => "the ping interval or timeout makes no sense",
        })
    }
}

impl core::error::Error for HandshakeError {}

/// The keys that version 4 knows; others are ignored. JavaScript has only one type of numbers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    sid: String,
    #[serde(default)]
    upgrades: Vec<String>,
    ping_interval: f64,
    ping_timeout: f64,
    #[serde(default)]
    max_payload: Option<f64>,
}

impl Handshake {
    const MAX_SID: usize = 256;

    /// Reads the data of an open packet.
    pub(super) fn parse(data: &str) -> Result<Self, HandshakeError> {
        // Read into a struct, a list would pass for an object.
        let object = Some(data).filter(|data| data.trim_start().starts_with('{'));
        let json: Option<Json> = object.and_then(|data| serde_json::from_str(data).ok());
        let json = json.ok_or(HandshakeError::Malformed)?;
        if json.sid.is_empty() || json.sid.len() > Self::MAX_SID {
            return Err(HandshakeError::SessionId);
        }
        // As in JavaScript, none and zero are no limit. What is too large for the type saturates, as floats do.
        let max_payload = json.max_payload.filter(|bytes| *bytes >= 1.0).map_or(usize::MAX, |bytes| bytes as usize);
        Ok(Self {
            sid: json.sid,
            upgrades: json.upgrades.iter().any(|name| name == Transport::WebSocket.name()),
            ping_interval: interval(json.ping_interval)?,
            ping_timeout: interval(json.ping_timeout)?,
            max_payload,
        })
    }

    /// The secret name of the session: whoever knows it can speak for this client.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// Whether the server offers an upgrade to WebSocket.
    pub fn upgrades(&self) -> bool {
        self.upgrades
    }

    /// Time between two pings of the server.
    pub fn ping_interval(&self) -> Duration {
        self.ping_interval
    }

    /// Time that the server gives an answer to its ping.
    pub fn ping_timeout(&self) -> Duration {
        self.ping_timeout
    }

    /// The largest body that the server takes in one request; `usize::MAX` if it does not say.
    pub fn max_payload(&self) -> usize {
        self.max_payload
    }

    /// How long a server is silent at most that is alive.
    pub(super) fn silence(&self) -> Duration {
        self.ping_interval + self.ping_timeout
    }
}

/// Shows nothing of the secret id.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("upgrades", &self.upgrades)
            .field("ping_interval", &self.ping_interval)
            .field("ping_timeout", &self.ping_timeout)
            .field("max_payload", &self.max_payload)
            .finish_non_exhaustive()
    }
}

fn interval(ms: f64) -> Result<Duration, HandshakeError> {
    let sane = 1.0..=f64::from(i32::MAX);
    sane.contains(&ms).then(|| Duration::from_millis(ms as u64)).ok_or(HandshakeError::Interval)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn the_official_handshake() {
        let data = r#"{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        let handshake = Handshake::parse(data).unwrap();
        assert_eq!(handshake.sid(), "lv_VI97HAXpY6yYWAAAC");
        assert!(handshake.upgrades());
        assert_eq!(handshake.ping_interval(), Duration::from_secs(25));
        assert_eq!(handshake.ping_timeout(), Duration::from_secs(20));
        assert_eq!(handshake.silence(), Duration::from_secs(45));
        assert_eq!(handshake.max_payload(), 1_000_000);
        let shown = format!("{handshake:?}");
        assert!(shown.contains("ping_interval: 25s") && !shown.contains("lv_"), "{shown}");
    }

    #[test]
    fn what_is_unknown_or_optional_does_not_matter() {
        let parse = |rest: &str| Handshake::parse(&format!(r#"{{"sid":"a","pingInterval":1,"pingTimeout":2{rest}}}"#));
        let plain = parse("").unwrap();
        assert_eq!((plain.upgrades(), plain.max_payload()), (false, usize::MAX));
        for (rest, upgrades, max_payload) in [
            (r#","upgrades":[],"maxPayload":0"#, false, usize::MAX),
            (r#","upgrades":["webtransport"],"maxPayload":null"#, false, usize::MAX),
            (r#","upgrades":["x","websocket"],"maxPayload":-1"#, true, usize::MAX),
            (r#","maxPayload":1e300,"new":{"a":[1]}"#, false, usize::MAX),
            (r#","maxPayload":1e3"#, false, 1000),
        ] {
            let handshake = parse(rest).unwrap();
            assert_eq!((handshake.upgrades(), handshake.max_payload()), (upgrades, max_payload), "{rest}");
        }
        let sid = "x".repeat(256);
        let longest = Handshake::parse(&format!(r#"{{"sid":"{sid}","pingInterval":1,"pingTimeout":1}}"#)).unwrap();
        assert_eq!(longest.sid(), sid);
    }

    #[test]
    fn what_opens_no_session() {
        let long = format!(r#"{{"sid":"{}","pingInterval":1,"pingTimeout":1}}"#, "x".repeat(257));
        for (data, error) in [
            ("", HandshakeError::Malformed),
            ("{", HandshakeError::Malformed),
            ("null", HandshakeError::Malformed),
            (r#"["a",[],1,1,null]"#, HandshakeError::Malformed),
            (r#"{"pingInterval":1,"pingTimeout":1}"#, HandshakeError::Malformed),
            (r#"{"sid":1,"pingInterval":1,"pingTimeout":1}"#, HandshakeError::Malformed),
            (r#"{"sid":null,"pingInterval":1,"pingTimeout":1}"#, HandshakeError::Malformed),
            (r#"{"sid":"a","pingTimeout":1}"#, HandshakeError::Malformed),
            (r#"{"sid":"a","pingInterval":"1","pingTimeout":1}"#, HandshakeError::Malformed),
            (r#"{"sid":"a","pingInterval":1e999,"pingTimeout":1}"#, HandshakeError::Malformed),
            (r#"{"sid":"","pingInterval":1,"pingTimeout":1}"#, HandshakeError::SessionId),
            (&long, HandshakeError::SessionId),
            (r#"{"sid":"a","pingInterval":0,"pingTimeout":1}"#, HandshakeError::Interval),
            (r#"{"sid":"a","pingInterval":1,"pingTimeout":0}"#, HandshakeError::Interval),
            (r#"{"sid":"a","pingInterval":-1,"pingTimeout":1}"#, HandshakeError::Interval),
            (r#"{"sid":"a","pingInterval":1,"pingTimeout":0.5}"#, HandshakeError::Interval),
            (r#"{"sid":"a","pingInterval":2147483648,"pingTimeout":1}"#, HandshakeError::Interval),
            (r#"{"sid":"a","pingInterval":1,"pingTimeout":1e308}"#, HandshakeError::Interval),
        ] {
            assert_eq!(Handshake::parse(data), Err(error), "{data}");
        }
    }
}
