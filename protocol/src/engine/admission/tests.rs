use alloc::format;
use alloc::string::ToString;
use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::engine::{Cors, OriginPolicy, Transports};

const KNOWN: &str = "AAAAAAAAAAAAAAAAAAA-";
const UNKNOWN: &str = "AAAAAAAAAAAAAAAAAAA_";
const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
const VERSION: (&str, &str) = ("sec-websocket-version", "13");
const UPGRADE: [(&str, &str); 4] = [("upgrade", "websocket"), ("connection", "Upgrade"), KEY, VERSION];

struct Raw(&'static str, &'static [u8]);

impl Headers for Raw {
    fn get(&self, name: &str) -> Option<&[u8]> {
        (name == self.0).then_some(self.1)
    }
}

/// What became of a request, with the status and code of the answer to a refused one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Preflight,
    Refused(u16, u8),
    New(Kind),
    Session(Kind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Poll,
    Post,
    Upgrade,
}

use Kind::*;
use Outcome::*;

fn outcome(admission: Admission<()>) -> Outcome {
    let kind = |kind| match kind {
        RequestKind::Poll => Poll,
        RequestKind::Post { .. } => Post,
        RequestKind::Upgrade(_) => Upgrade,
    };
    match admission {
        Admission::Preflight(response) => {
            assert_eq!((response.status, response.body.len()), (204, 0));
            Preflight
        }
        Admission::Reject(reject) => {
            let response = reject.response();
            let start = format!("{{\"code\":{},\"message\":\"", reject.code());
            assert!(response.body.starts_with(start.as_bytes()));
            Refused(response.status, reject.code())
        }
        Admission::New(request) => New(kind(request)),
        Admission::Session((), request) => Session(kind(request)),
    }
}

fn ask(config: &Config, method: &str, query: &str, headers: &[(&str, &str)]) -> Outcome {
    outcome(admit(config, &RequestHead { method, query, headers: &headers }, known))
}

fn known(id: &SessionId) -> Option<()> {
    (id.as_str() == KNOWN).then_some(())
}

fn get(query: &str) -> Outcome {
    ask(&Config::default(), "GET", query, &[])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sid {
    Absent,
    Known,
    Foreign,
}

/// The decisions, in the order in which they are taken.
fn expected(method: &str, transport: &str, upgrade: bool, sid: Sid, version: &str) -> Outcome {
    match (transport, upgrade, sid, method, version) {
        ("polling" | "websocket", _, Sid::Foreign, ..) => Refused(400, 1),
        ("polling", false, Sid::Known, "GET", _) => Session(Poll),
        ("polling", false, Sid::Known, "POST", _) => Session(Post),
        ("websocket", true, Sid::Known, "GET", _) => Session(Upgrade),
        ("polling", true, Sid::Known, ..) | ("websocket", false, Sid::Known, ..) => Refused(400, 3),
        ("polling" | "websocket", _, Sid::Known, ..) => Refused(400, 2),
        ("polling", false, Sid::Absent, "GET", "4") => New(Poll),
        ("websocket", true, Sid::Absent, "GET", "4") => New(Upgrade),
        ("polling", false, Sid::Absent, "GET", _) | ("websocket", true, Sid::Absent, "GET", _) => Refused(400, 5),
        ("polling" | "websocket", _, Sid::Absent, "GET", _) => Refused(400, 3),
        ("polling" | "websocket", _, Sid::Absent, ..) => Refused(400, 2),
        _ => Refused(400, 0),
    }
}

#[test]
fn cve_2023_31125_every_combination_has_its_answer() {
    let mut count = 0;
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "get", ""] {
        for transport in ["polling", "websocket", "webtransport", "__proto__", "Polling", ""] {
            for upgrade in [false, true] {
                for (sid, id) in [
                    (Sid::Absent, ""),
                    (Sid::Known, KNOWN),
                    (Sid::Foreign, UNKNOWN),
                    (Sid::Foreign, "abc"),
                    (Sid::Foreign, "__proto__"),
                ] {
                    for version in ["4", "3", "5", "", "04", "abc"] {
                        let query = format!("EIO={version}&transport={transport}&sid={id}");
                        let headers = if upgrade { UPGRADE.as_slice() } else { &[] };
                        assert_eq!(
                            ask(&Config::default(), method, &query, headers),
                            expected(method, transport, upgrade, sid, version),
                            "{method} {query} upgrade: {upgrade}"
                        );
                        count += 1;
                    }
                }
            }
        }
    }
    assert_eq!(count, 9 * 6 * 2 * 5 * 6);
}

#[test]
fn without_a_transport_nothing_else_counts() {
    assert_eq!(get(""), Refused(400, 0));
    assert_eq!(get("EIO=4"), Refused(400, 0));
    assert_eq!(get(&format!("EIO=4&sid={KNOWN}")), Refused(400, 0));
}

#[test]
fn a_disabled_transport_is_unknown() {
    let polling = Config { transports: Transports::POLLING, ..Config::default() };
    let websocket = Config { transports: Transports::WEBSOCKET, ..Config::default() };
    for sid in ["", KNOWN] {
        let poll = format!("EIO=4&transport=polling&sid={sid}");
        let upgrade = format!("EIO=4&transport=websocket&sid={sid}");
        assert_eq!(ask(&polling, "GET", &upgrade, &UPGRADE), Refused(400, 0));
        assert_eq!(ask(&websocket, "GET", &poll, &[]), Refused(400, 0));
        assert!(matches!(ask(&polling, "GET", &poll, &[]), New(Poll) | Session(Poll)));
        assert!(matches!(ask(&websocket, "GET", &upgrade, &UPGRADE), New(Upgrade) | Session(Upgrade)));
    }
}

#[test]
fn rows_9_to_11_a_foreign_sid_never_opens_a_session() {
    for sid in [
        UNKNOWN,
        "__proto__",
        "constructor",
        "hasOwnProperty",
        "x",
        "AAAAAAAAAAAAAAAAAAA",
        "%00",
        "+",
        "%",
        "null",
        "é",
    ] {
        assert_eq!(get(&format!("EIO=4&transport=polling&sid={sid}")), Refused(400, 1), "{sid}");
    }
}

#[test]
fn a_malformed_sid_is_not_looked_up() {
    let head = RequestHead { method: "GET", query: "transport=polling&sid=__proto__", headers: &[("", "")] };
    let admission: Admission<()> = admit(&Config::default(), &head, |_| panic!("looked up"));
    assert_eq!(admission, Admission::Reject(Reject::SessionUnknown));
}

#[test]
fn a_sid_without_a_value_is_none() {
    assert_eq!(get("EIO=4&transport=polling&sid="), New(Poll));
    assert_eq!(get("EIO=4&transport=polling&sid"), New(Poll));
}

#[test]
fn queries_are_percent_decoded() {
    assert_eq!(get("%45IO=%34&transpor%74=p%6flling"), New(Poll));
    assert_eq!(get("EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAA%2D"), Session(Poll));
    assert_eq!(get("EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAA%2d"), Session(Poll));
    for (text, decoded) in [
        ("%", "%"),
        ("%4", "%4"),
        ("%zz%41", "%zzA"),
        ("%%41", "%A"),
        ("%E2%82%AC", "€"),
        ("%ff", "\u{fffd}"),
        ("a+b", "a+b"),
    ] {
        assert_eq!(percent_decode(text), decoded, "{text}");
    }
    assert!(matches!(percent_decode(KNOWN), Cow::Borrowed(_)));
}

#[test]
fn the_last_of_repeated_parameters_counts() {
    assert_eq!(get("EIO=3&transport=x&EIO=4&transport=polling"), New(Poll));
    assert_eq!(get("EIO=4&transport=polling&transport=x"), Refused(400, 0));
    assert_eq!(get(&format!("EIO=4&transport=polling&sid={KNOWN}&sid={UNKNOWN}")), Refused(400, 1));
}

#[test]
fn other_parameters_and_empty_ones_are_skipped() {
    assert_eq!(get("&&t=abc&a=b=c&=&EIO=4&&transport=polling&b64=1&j=0&"), New(Poll));
    assert_eq!(get("eio=4&transport=polling"), Refused(400, 5));
}

#[test]
fn row_18_the_kind_of_a_post_is_told_by_its_content_type() {
    let query = format!("transport=polling&sid={KNOWN}");
    for (content_type, binary) in [
        ("application/octet-stream", true),
        ("Application/Octet-Stream ; x=y", true),
        ("text/plain;charset=UTF-8", false),
        ("text/plain; application/octet-stream", false),
        ("", false),
    ] {
        let head = RequestHead { method: "POST", query: &query, headers: &[("content-type", content_type)] };
        let admission = admit(&Config::default(), &head, known);
        assert_eq!(admission, Admission::Session((), RequestKind::Post { binary }), "{content_type}");
    }
}

#[test]
fn row_21_preflights_are_answered_before_anything_is_checked() {
    let origins = OriginPolicy::List(vec!["http://a.com".to_string()]);
    let config = Config { cors: Some(Cors::default()), origins, ..Config::default() };
    for query in ["", "EIO=4&transport=polling", "EIO=x&transport=y&sid=z"] {
        assert_eq!(ask(&config, "OPTIONS", query, &[("origin", "http://b.com")]), Preflight);
    }
    assert_eq!(ask(&config, "GET", "", &[]), Refused(400, 0));
    assert_eq!(ask(&Config::default(), "OPTIONS", "EIO=4&transport=polling", &[]), Refused(400, 2));
}

#[test]
fn row_22_head_is_a_bad_handshake_method() {
    assert_eq!(ask(&Config::default(), "HEAD", "EIO=4&transport=polling", &[]), Refused(400, 2));
    let query = format!("EIO=4&transport=polling&sid={KNOWN}");
    assert_eq!(ask(&Config::default(), "HEAD", &query, &[]), Refused(400, 2));
}

#[test]
fn row_23_a_session_takes_no_other_method() {
    let query = format!("EIO=4&transport=polling&sid={KNOWN}");
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        assert_eq!(ask(&Config::default(), method, &query, &[]), Refused(400, 2), "{method}");
    }
}

#[test]
fn row_24_errors_have_the_official_bodies() {
    for (reject, status, body) in [
        (Reject::TransportUnknown, 400, r#"{"code":0,"message":"Transport unknown"}"#),
        (Reject::SessionUnknown, 400, r#"{"code":1,"message":"Session ID unknown"}"#),
        (Reject::BadHandshakeMethod, 400, r#"{"code":2,"message":"Bad handshake method"}"#),
        (Reject::BadRequest, 400, r#"{"code":3,"message":"Bad request"}"#),
        (Reject::UnsupportedWebSocket, 400, r#"{"code":3,"message":"Bad request"}"#),
        (Reject::forbidden(), 403, r#"{"code":4,"message":"Forbidden"}"#),
        (Reject::Forbidden("no \"é\"\n".into()), 403, r#"{"code":4,"message":"no \"é\"\n"}"#),
        (Reject::UnsupportedProtocol, 400, r#"{"code":5,"message":"Unsupported protocol version"}"#),
    ] {
        let response = reject.response();
        assert_eq!((response.status, core::str::from_utf8(&response.body).unwrap()), (status, body));
        let content_type = (Cow::Borrowed("content-type"), Cow::Borrowed("application/json"));
        assert_eq!(response.headers.first(), Some(&content_type));
        assert_eq!(response.headers.len(), 1 + usize::from(reject == Reject::UnsupportedWebSocket));
    }
}

#[test]
fn row_28_a_post_needs_no_content_length() {
    let query = format!("transport=polling&sid={KNOWN}");
    assert_eq!(ask(&Config::default(), "POST", &query, &[("transfer-encoding", "chunked")]), Session(Post));
}

#[test]
fn row_42_a_poll_with_an_upgrade_is_a_bad_request() {
    for sid in ["", KNOWN] {
        let query = format!("EIO=4&transport=polling&sid={sid}");
        assert_eq!(ask(&Config::default(), "GET", &query, &UPGRADE), Refused(400, 3));
    }
}

#[test]
fn upgrades_are_recognised_by_their_tokens() {
    let query = "EIO=4&transport=websocket";
    for (upgrade, connection, accepted) in [
        ("WebSocket", "keep-alive, Upgrade", true),
        ("h2c, websocket", "UPGRADE", true),
        ("websocket", "keep-alive", false),
        ("websocket", "upgraded", false),
        ("h2c", "Upgrade", false),
        ("", "", false),
    ] {
        let headers = [("upgrade", upgrade), ("connection", connection), KEY, VERSION];
        let expected = if accepted { New(Upgrade) } else { Refused(400, 3) };
        assert_eq!(ask(&Config::default(), "GET", query, &headers), expected, "{upgrade} {connection}");
    }
    // Who offers HTTP/2 still polls.
    let headers = [("upgrade", "h2c"), ("connection", "Upgrade, HTTP2-Settings")];
    assert_eq!(ask(&Config::default(), "GET", "EIO=4&transport=polling", &headers), New(Poll));
}

#[test]
fn malformed_websocket_handshakes_are_bad_requests() {
    let ask = |headers: &[(&str, &str)]| {
        let headers: Vec<_> = UPGRADE[..2].iter().chain(headers).copied().collect();
        ["", KNOWN].map(|sid| {
            let query = format!("EIO=3&transport=websocket&sid={sid}");
            let head = RequestHead { method: "GET", query: &query, headers: &headers.as_slice() };
            admit(&Config::default(), &head, known)
        })
    };
    let refused = |reject: Reject| [Admission::Reject(reject.clone()), Admission::Reject(reject)];
    assert_eq!(ask(&[VERSION]), refused(Reject::BadRequest));
    assert_eq!(ask(&[("sec-websocket-key", "x"), VERSION]), refused(Reject::BadRequest));
    assert_eq!(ask(&[KEY, ("sec-websocket-version", "8")]), refused(Reject::UnsupportedWebSocket));
    let response = Reject::UnsupportedWebSocket.response();
    assert!(response.headers.contains(&(Cow::Borrowed("sec-websocket-version"), Cow::Borrowed("13"))));
}

#[test]
fn an_origin_with_illegal_characters_is_a_bad_request() {
    let ask = |value: &'static [u8]| {
        let head = RequestHead { method: "GET", query: "EIO=4&transport=polling", headers: &Raw("origin", value) };
        outcome(admit(&Config::default(), &head, known))
    };
    for value in [b"http://a\r\n".as_slice(), b"\0", b"a\x7f", b"\x1f"] {
        assert_eq!(ask(value), Refused(400, 3), "{value:?}");
    }
    for value in [b"http://a.com".as_slice(), b"", b"\t ~", b"\x80\xff"] {
        assert_eq!(ask(value), New(Poll), "{value:?}");
    }
}

/// CVE-2019-13611: pages of other origins must not open WebSockets with the user's cookies.
#[test]
fn cve_2019_13611_origins_guard_every_request() {
    let origins = OriginPolicy::List(vec!["http://a.com".to_string()]);
    let config = Config { origins, cors: Some(Cors::default()), ..Config::default() };
    for sid in ["", KNOWN, UNKNOWN] {
        let poll = format!("EIO=4&transport=polling&sid={sid}");
        let upgrade = format!("EIO=4&transport=websocket&sid={sid}");
        let evil = ("origin", "http://evil.com");
        let with = |origin| [UPGRADE.as_slice(), &[origin]].concat();
        assert_eq!(ask(&config, "GET", &poll, &[evil]), Refused(403, 4));
        assert_eq!(ask(&config, "POST", &poll, &[evil]), Refused(403, 4));
        assert_eq!(ask(&config, "GET", &upgrade, &with(evil)), Refused(403, 4));
        assert_ne!(ask(&config, "GET", &poll, &[]), Refused(403, 4));
        assert_ne!(ask(&config, "GET", &upgrade, &with(("origin", "http://a.com"))), Refused(403, 4));
    }
}

#[test]
fn over_websocket_the_version_is_refused_before_the_upgrade() {
    assert_eq!(ask(&Config::default(), "GET", "EIO=3&transport=websocket", &UPGRADE), Refused(400, 5));
    assert_eq!(ask(&Config::default(), "GET", "transport=websocket", &UPGRADE), Refused(400, 5));
}

proptest! {
    #[test]
    fn any_request_is_decided_without_panic(
        method in "GET|POST|OPTIONS|\\PC{0,5}",
        query in prop_oneof![
            any::<String>(),
            "(EIO|transport|sid|%[0-9a-f]{2}|[&=+%])?([=&%]|4|polling|websocket|\\PC){0,20}",
            "EIO=4&transport=(polling|websocket)&sid=[A-Za-z0-9_%-]{0,24}",
        ],
        name in "origin|upgrade|connection|host|content-type|sec-websocket-key|sec-websocket-version",
        value: String,
        cors: bool,
        same_origin: bool,
    ) {
        let config = Config {
            cors: cors.then(Cors::default),
            origins: if same_origin { OriginPolicy::SameOrigin } else { OriginPolicy::Any },
            ..Config::default()
        };
        let headers = [&[(name.as_str(), value.as_str())], UPGRADE.as_slice()].concat();
        for headers in [headers.as_slice(), &headers[..1]] {
            let head = RequestHead { method: &method, query: &query, headers: &headers };
            outcome(admit(&config, &head, known));
            config.response_headers(&head);
        }
    }

    #[test]
    fn escaping_everything_changes_nothing(text: String) {
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        prop_assert_eq!(percent_decode(&escaped), text);
    }
}
