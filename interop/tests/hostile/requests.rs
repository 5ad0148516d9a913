//! Attacks by HTTP requests.

use std::thread;
use std::time::{Duration, Instant};

use socketio_load::wire::{KEY, write_post};

use crate::Attack;
use crate::peer::Peer;
use crate::site::{BODY_TIMEOUT, CONNECTION, MAX_PAYLOAD, PING_CYCLE, SESSION, Site};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "requests that break a rule",
        // One at a time, and what is left of its session.
        heap: FLOOD * SESSION + CONNECTION + 2 * MAX_PAYLOAD,
        act: |site| REFUSED.iter().for_each(|refused| refused.flood(site)),
    },
    Attack { name: "sessions that nobody polls", heap: SESSIONS * SESSION, act: sessions_that_nobody_polls },
    Attack {
        name: "sessions with large heads",
        // The head of the first request is kept as long as its session.
        heap: FLOOD * (SESSION + LARGE_HEAD),
        act: sessions_with_large_heads,
    },
    Attack {
        name: "bodies that come byte by byte",
        // Of sessions with a connection each. A piece of a body keeps a buffer of hyper's.
        heap: FLOOD * (SESSION + 3 * CONNECTION),
        act: slow_bodies,
    },
    Attack {
        name: "bodies that stop before their last byte",
        // As a vector that has doubled holds it.
        heap: FLOOD * (SESSION + 3 * CONNECTION + 2 * MAX_PAYLOAD),
        act: bodies_without_an_end,
    },
    Attack {
        name: "bodies of nothing but pongs and noops, CVE-2020-36048",
        heap: SESSION + CONNECTION + 2 * MAX_PAYLOAD,
        act: bodies_of_small_packets,
    },
    Attack { name: "two polls at once, row 12", heap: FLOOD * (SESSION + 2 * CONNECTION), act: two_polls_at_once },
    Attack { name: "polls that are given up, row 14", heap: FLOOD * (SESSION + 2 * CONNECTION), act: aborted_polls },
];

/// Peers, or times that something is done.
const FLOOD: usize = 100;
const SESSIONS: usize = 3_000;
const LARGE_HEAD: usize = 30_000;
/// Time between two bytes of who is slow.
const DRIP: Duration = Duration::from_millis(25);

/// A request that breaks a rule, and its answer.
struct Refused {
    name: &'static str,
    /// Makes it for a polling session.
    request: fn(&str) -> Vec<u8>,
    status: u16,
    body: &'static str,
    session: After,
}

/// What becomes of the session that a request is for.
#[derive(Copy, Clone, PartialEq, Eq)]
enum After {
    Lives,
    Ends,
}

const UNKNOWN_TRANSPORT: &str = r#"{"code":0,"message":"Transport unknown"}"#;
const UNKNOWN_SESSION: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const BAD_REQUEST: &str = r#"{"code":3,"message":"Bad request"}"#;

const REFUSED: &[Refused] = &[
    Refused {
        name: "an unknown sid",
        request: |_| get("transport=polling&sid=AAAAAAAAAAAAAAAAAAAA", ""),
        status: 400,
        body: UNKNOWN_SESSION,
        session: After::Lives,
    },
    Refused {
        name: "a sid that is a property of every object, GHSA-gr94-w7qr-f4j3",
        request: |_| get("transport=websocket&sid=__proto__", &upgrade()),
        status: 400,
        body: UNKNOWN_SESSION,
        session: After::Lives,
    },
    Refused {
        name: "a transport that is a property of every object",
        request: |sid| get(&format!("transport=__proto__&sid={sid}"), ""),
        status: 400,
        body: UNKNOWN_TRANSPORT,
        session: After::Lives,
    },
    Refused {
        name: "an upgrade to polling, CVE-2023-31125",
        request: |sid| get(&format!("transport=polling&sid={sid}"), &upgrade()),
        status: 400,
        body: BAD_REQUEST,
        session: After::Lives,
    },
    Refused {
        name: "an upgrade to nothing, CVE-2023-31125",
        request: |sid| get(&format!("transport=abc&sid={sid}"), &upgrade()),
        status: 400,
        body: UNKNOWN_TRANSPORT,
        session: After::Lives,
    },
    Refused {
        name: "octet-stream, CVE-2026-59725",
        request: |sid| post(sid, "Content-Type: application/octet-stream\r\nContent-Length: 4\r\n", "\0\u{1}44"),
        status: 400,
        body: "",
        session: After::Ends,
    },
    Refused {
        name: "a body that is declared too large",
        request: |sid| post(sid, &format!("Content-Length: {}\r\n", u64::MAX / 2), ""),
        status: 413,
        body: "",
        session: After::Lives,
    },
    Refused {
        name: "a body in chunks that becomes too large, CVE-2026-48809",
        request: |sid| {
            let chunk = format!("{MAX_PAYLOAD:x}\r\n{}\r\n", "4".repeat(MAX_PAYLOAD));
            post(sid, "Transfer-Encoding: chunked\r\n", &chunk.repeat(2))
        },
        status: 413,
        body: "",
        session: After::Lives,
    },
    Refused {
        name: "too many headers, CVE-2024-37890",
        request: |sid| get(&format!("transport=polling&sid={sid}"), &"X-Header: 1\r\n".repeat(101)),
        status: 431,
        body: "",
        session: After::Lives,
    },
    Refused {
        name: "a header that is too large",
        request: |sid| get(&format!("transport=polling&sid={sid}"), &format!("X-Header: {}\r\n", "x".repeat(70_000))),
        status: 431,
        body: "",
        session: After::Lives,
    },
    Refused {
        name: "a URL that is too long",
        request: |sid| get(&format!("transport=polling&sid={sid}&{}", "x".repeat(65_536)), ""),
        status: 431,
        body: "",
        session: After::Lives,
    },
];

impl Refused {
    fn flood(&self, site: &Site) {
        for _ in 0..FLOOD {
            let (mut sessions, sid) = Peer::polling(site.address());
            let mut peer = Peer::open(site.address());
            // The server may have answered, and read no more, before all of it is sent.
            peer.push(&(self.request)(&sid));
            assert_eq!(peer.answer(), (self.status, self.body.to_owned()), "{}", self.name);
            let goodbye = match self.session {
                After::Lives => (200, "ok".to_owned()),
                After::Ends => (400, UNKNOWN_SESSION.to_owned()),
            };
            assert_eq!(sessions.ask(&close(&sid)), goodbye, "the session, after {}", self.name);
        }
    }
}

fn sessions_that_nobody_polls(site: &Site) {
    let mut peer = Peer::open(site.address());
    let sids: Vec<_> = (0..SESSIONS).map(|_| peer.handshake()).collect();
    // And some more: a timer is always a little late.
    thread::sleep(PING_CYCLE + Duration::from_millis(500));
    for sid in sids.iter().step_by(SESSIONS / 10) {
        let answer = peer.ask(&get(&format!("transport=polling&sid={sid}"), ""));
        assert_eq!(answer, (400, UNKNOWN_SESSION.to_owned()), "nobody has answered a ping");
    }
}

fn sessions_with_large_heads(site: &Site) {
    let mut peer = Peer::open(site.address());
    for _ in 0..FLOOD {
        let (status, _) = peer.ask(&get("transport=polling", &format!("X-Header: {}\r\n", "x".repeat(LARGE_HEAD))));
        assert_eq!(status, 200);
    }
}

fn slow_bodies(site: &Site) {
    let mut uploads = uploads(site, 1_000, 1);
    let begun = Instant::now();
    while begun.elapsed() < BODY_TIMEOUT {
        thread::sleep(DRIP);
        uploads.iter_mut().for_each(|(peer, ..)| _ = peer.push(b"4"));
    }
    time_out(uploads, begun);
}

fn bodies_without_an_end(site: &Site) {
    let begun = Instant::now();
    time_out(uploads(site, MAX_PAYLOAD, MAX_PAYLOAD - 1), begun);
}

/// Sessions and POSTs for them, of whose bodies only the first bytes were sent.
fn uploads(site: &Site, length: usize, sent: usize) -> Vec<(Peer, Peer, String)> {
    let body = "4".repeat(sent);
    let upload = |_| {
        let (session, sid) = Peer::polling(site.address());
        let mut peer = Peer::open(site.address());
        peer.send(&post(&sid, &format!("Content-Length: {length}\r\n"), &body));
        (peer, session, sid)
    };
    (0..FLOOD).map(upload).collect()
}

fn time_out(uploads: Vec<(Peer, Peer, String)>, begun: Instant) {
    for (mut peer, mut session, sid) in uploads {
        assert_eq!(peer.answer(), (408, String::new()));
        assert!(begun.elapsed() >= BODY_TIMEOUT, "the time was not over");
        assert_eq!(session.ask(&close(&sid)), (200, "ok".to_owned()), "the session lives");
    }
}

fn bodies_of_small_packets(site: &Site) {
    let (mut peer, sid) = Peer::polling(site.address());
    for packet in ["3\u{1e}", "6\u{1e}"] {
        // Heartbeats are answered in both.
        let body = format!("{}3", packet.repeat(MAX_PAYLOAD / 2 - 1));
        for _ in 0..FLOOD / 2 {
            assert_eq!(peer.ask(&post_body(&sid, &body)), (200, "ok".to_owned()));
        }
    }
    assert_eq!(peer.ask(&close(&sid)), (200, "ok".to_owned()));
}

fn two_polls_at_once(site: &Site) {
    for _ in 0..FLOOD {
        let (mut first, sid) = Peer::polling(site.address());
        let mut second = Peer::open(site.address());
        let poll = get(&format!("transport=polling&sid={sid}"), "");
        first.send(&poll);
        second.send(&poll);
        let mut answers = [first.answer(), second.answer()];
        answers.sort();
        assert_eq!(answers, [(200, "1".to_owned()), (400, String::new())]);
    }
}

fn aborted_polls(site: &Site) {
    let polls: Vec<_> = (0..FLOOD)
        .map(|_| {
            let (session, sid) = Peer::polling(site.address());
            let mut peer = Peer::open(site.address());
            peer.send(&get(&format!("transport=polling&sid={sid}"), ""));
            (peer, session, sid)
        })
        .collect();
    for (peer, mut session, sid) in polls {
        drop(peer);
        // The end of the poll and the POST come by different connections.
        while session.ask(&post_body(&sid, "6")).0 == 200 {}
    }
}

/// The request that ends a session.
pub(crate) fn close(sid: &str) -> Vec<u8> {
    post_body(sid, "1")
}

fn post_body(sid: &str, body: &str) -> Vec<u8> {
    let mut request = Vec::new();
    write_post(sid, body.as_bytes(), &mut request);
    request
}

fn post(sid: &str, headers: &str, body: &str) -> Vec<u8> {
    request("POST", &format!("transport=polling&sid={sid}"), headers, body)
}

pub(crate) fn get(query: &str, headers: &str) -> Vec<u8> {
    request("GET", query, headers, "")
}

fn request(method: &str, query: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("{method} /socket.io/?EIO=4&{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n{body}").into_bytes()
}

/// The headers of an upgrade.
fn upgrade() -> String {
    format!("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n")
}
