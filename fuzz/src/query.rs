//! What becomes of a request at the door of a server, decided from its head, beside the decisions written as a table and a
//! query that another crate has decoded.

use percent_encoding::percent_decode_str;
use socketio_protocol::engine::{
    Admission, Config, Cors, OriginPolicy, Reject, RequestHead, RequestKind, Response, Transports, admit,
};
use socketio_protocol::websocket::Accept;

/// The first byte picks the configuration, the rest is the head of a request as HTTP/1.1 writes it.
pub fn query(data: &[u8]) {
    let [settings, head @ ..] = data else { return };
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let Ok(first) = str::from_utf8(lines.next().unwrap_or_default()) else { return };
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<_> = lines.filter_map(header).collect();
    let request = Request { method, query: target.split_once('?').map_or("", |(_, query)| query), headers: &headers };
    request.check(&config(*settings));
}

/// The session that there is.
const KNOWN: &str = "lv_VI97HAXpY6yYWAAAC";

struct Request<'a> {
    method: &'a str,
    query: &'a str,
    headers: &'a [(&'a str, &'a [u8])],
}

/// What becomes of a request.
#[derive(Debug, PartialEq)]
enum Outcome {
    Preflight,
    /// With the code of the answer.
    Refused(u8),
    New(Kind),
    Session(Kind),
}

#[derive(Debug, PartialEq)]
enum Kind {
    Poll,
    Post,
    Upgrade,
}

impl Request<'_> {
    fn check(&self, config: &Config) {
        let head = RequestHead { method: self.method, query: self.query, headers: &self.headers };
        let admission = admit(config, &head, |id| (id.as_str() == KNOWN).then_some(()));
        let outcome = match admission {
            Admission::Preflight(response) => {
                assert_eq!((response.status, response.body.len()), (204, 0));
                Outcome::Preflight
            }
            Admission::Reject(reject) => {
                is_explained(&reject, &reject.response());
                Outcome::Refused(reject.code())
            }
            Admission::New(kind) => Outcome::New(kind_of(&kind)),
            Admission::Session((), kind) => Outcome::Session(kind_of(&kind)),
            _ => panic!("an outcome that nobody knows"),
        };
        assert_eq!(outcome, self.expected(config));
        for (name, value) in config.response_headers(&head) {
            assert!(!name.is_empty() && value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{name}: {value}");
        }
    }

    /// The decisions, in the order in which they are taken.
    fn expected(&self, config: &Config) -> Outcome {
        use Outcome::{New, Refused, Session};
        let (transport, sid) = (self.parameter("transport"), self.parameter("sid"));
        let is_websocket = match &*transport {
            "polling" if config.transports.polling => false,
            "websocket" if config.transports.websocket => true,
            _ if self.method == "OPTIONS" && config.cors.is_some() => return Outcome::Preflight,
            _ => return Refused(0),
        };
        let origin = self.header("origin").unwrap_or_default();
        let is_allowed = self.header("origin").is_none()
            || match config.origins {
                OriginPolicy::Any => true,
                OriginPolicy::SameOrigin => self.is_same_origin(),
                _ => origin.eq_ignore_ascii_case(b"http://a.com"),
            };
        match (self.method, is_websocket) {
            ("OPTIONS", _) if config.cors.is_some() => Outcome::Preflight,
            _ if origin.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') => Refused(3),
            _ if !is_allowed => Refused(4),
            _ if !sid.is_empty() && sid != KNOWN => Refused(1),
            (method, _) if sid.is_empty() && method != "GET" => Refused(2),
            _ if self.upgrades() != is_websocket => Refused(3),
            ("POST", false) => Session(Kind::Post),
            (method, _) if method != "GET" => Refused(2),
            (_, true) if !self.is_handshake() => Refused(3),
            _ if sid.is_empty() && self.parameter("EIO") != "4" => Refused(5),
            (_, is_websocket) => {
                let kind = if is_websocket { Kind::Upgrade } else { Kind::Poll };
                if sid.is_empty() { New(kind) } else { Session(kind) }
            }
        }
    }

    /// The last value counts.
    fn parameter(&self, name: &str) -> String {
        let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let parameters = self.query.split('&').map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
        let mut values = parameters.filter(|(other, _)| decode(other) == name).map(|(_, value)| decode(value));
        values.next_back().unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    fn is_same_origin(&self) -> bool {
        // As bytes: in a text, all those that are no UTF-8 would look alike.
        let lower = |name| self.header(name).unwrap_or_default().to_ascii_lowercase();
        let (origin, host) = (lower("origin"), lower("host"));
        [("http://", ":80"), ("https://", ":443")].iter().any(|(scheme, port)| {
            let authority = origin.strip_prefix(scheme.as_bytes()).filter(|authority| !authority.is_empty());
            let without_port = |host| <[u8]>::strip_suffix(host, port.as_bytes()).unwrap_or(host);
            self.header("host").is_some() && authority.is_some_and(|other| without_port(other) == without_port(&host))
        })
    }

    fn upgrades(&self) -> bool {
        [("upgrade", "websocket"), ("connection", "upgrade")].iter().all(|(name, token)| {
            let list = String::from_utf8_lossy(self.header(name).unwrap_or_default()).to_ascii_lowercase();
            list.split(',').any(|item| item.trim_matches([' ', '\t', '\r', '\x0c']) == *token)
        })
    }

    fn is_handshake(&self) -> bool {
        let key = self.header("sec-websocket-key");
        self.header("sec-websocket-version") == Some(b"13") && Accept::new(key, Some(b"13")).is_ok()
    }
}

fn kind_of(kind: &RequestKind) -> Kind {
    match kind {
        RequestKind::Poll => Kind::Poll,
        RequestKind::Post { .. } => Kind::Post,
        RequestKind::Upgrade(accept) => {
            assert_eq!(Response::switching_protocols(accept).status, 101);
            Kind::Upgrade
        }
    }
}

fn is_explained(reject: &Reject, response: &Response) {
    let body: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    assert_eq!(body["code"], reject.code());
    assert_eq!(response.status, if reject.code() == 4 { 403 } else { 400 });
}

fn config(settings: u8) -> Config {
    let mut config = Config::default();
    if settings & 1 != 0 {
        let mut cors = Cors::default();
        cors.credentials = settings & 2 != 0;
        if settings & 4 != 0 {
            cors.origins = OriginPolicy::List(vec!["http://a.com".into()]);
        }
        config.cors = Some(cors);
    }
    if settings & 8 != 0 {
        config.origins = OriginPolicy::List(vec!["http://a.com".into()]);
    }
    if settings & 16 != 0 {
        config.origins = OriginPolicy::SameOrigin;
    }
    match settings >> 5 {
        1 => config.transports = Transports::POLLING,
        2 => config.transports = Transports::WEBSOCKET,
        _ => {}
    }
    config
}

fn header(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii()))
}
