//! Attacks by packets of Socket.IO.

use std::thread;
use std::time::Instant;

use socketio_load::wire::{write_get, write_post};

use crate::Attack;
use crate::peer::{End, Peer, binary, text};
use crate::site::{CONNECTION, MAX_PAYLOAD, PING_CYCLE, QUEUE, SESSION, Site};
use crate::websockets::{FLOOD, FLOODERS, ends, flood, flood_and_read, flood_unread, joined, reasons};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "packets that break a rule",
        heap: PEERS * (SESSION + CONNECTION),
        act: |site| REFUSED.iter().for_each(|refused| refused.flood(site)),
    },
    Attack {
        name: "attachments that never come, CVE-2026-33151",
        // The packet, and all its attachments but the last.
        heap: PEERS * (SESSION + 10 * MAX_PAYLOAD),
        act: attachments_that_never_come,
    },
    Attack {
        name: "attachments that stand in many places",
        heap: FLOODERS * 2 * MAX_PACKET,
        act: attachments_in_many_places,
    },
    Attack { name: "events nobody listens to", heap: FLOOD, act: |site| flood(site, &text("42[\"a\"]")) },
    Attack {
        name: "events named error, CVE-2024-38355, and like what JavaScript's objects have",
        heap: FLOOD,
        act: |site| flood(site, &[text("42[\"error\"]"), text("42[\"__proto__\",{\"__proto__\":1}]")].concat()),
    },
    Attack { name: "answers that nobody asked for", heap: FLOOD, act: |site| flood(site, &text("4399[]")) },
    Attack {
        name: "JSON that is nested deep",
        heap: FLOOD,
        act: |site| flood(site, &text(&format!("42[\"join\",{}{}]", "[".repeat(40_000), "]".repeat(40_000)))),
    },
    Attack {
        name: "JSON that is nested deep, beside an attachment",
        heap: FLOOD + FLOODERS * 2 * MAX_PAYLOAD,
        act: |site| {
            let nested = format!("451-[\"echo\",{}{}]", "[".repeat(40_000), "]".repeat(40_000));
            flood_and_read(site, &[text(&nested), binary(b"")].concat());
        },
    },
    Attack {
        name: "events with answers that are read",
        heap: FLOOD + FLOODERS * QUEUE,
        act: |site| flood_and_read(site, &text("421[\"ack\",1]")),
    },
    Attack {
        name: "events with answers that nobody reads",
        heap: FLOOD + FLOODERS * QUEUE,
        act: |site| flood_unread(site, &text(&format!("421[\"ack\",\"{}\"]", "x".repeat(1_000)))),
    },
    Attack {
        name: "namespaces that there are not",
        heap: FLOOD + FLOODERS * QUEUE,
        act: |site| flood_and_read(site, &text(&format!("40/{},", "x".repeat(500)))),
    },
    Attack {
        name: "one namespace joined and left",
        heap: FLOOD + FLOODERS * QUEUE,
        act: |site| flood_and_read(site, &[text("40/custom,"), text("41/custom,")].concat()),
    },
    Attack { name: "rooms", heap: ROOMS * ROOM + FLOOD, act: rooms },
    Attack {
        name: "a namespace joined and left by polling",
        heap: SESSION + CONNECTION + 2 * MAX_PAYLOAD + QUEUE,
        act: joined_and_left_by_polling,
    },
    Attack { name: "much that is asked for by WebSocket, and not read", heap: DEAF * (SESSION + QUEUE), act: deaf },
    Attack {
        name: "much that is asked for by polling, and not fetched",
        heap: DEAF * (SESSION + CONNECTION + QUEUE),
        act: deaf_polling,
    },
    Attack {
        name: "handlers that wait for answers that do not come",
        // What is held until they end, until reading stops, beside what they have sent.
        heap: FLOOD + FLOODERS * (2 * MAX_PAYLOAD + WAITING + QUEUE),
        act: |site| flood_and_read(site, &text("42[\"ask-timeout\",1]")),
    },
];

/// Peers at a time.
const PEERS: usize = 50;
/// Peers that do not read.
const DEAF: usize = 4;
/// Rooms that are joined, and what one takes: its name twice, its list, its place in the tables.
const ROOMS: usize = 20_000;
const ROOM: usize = 512;
/// 64 handlers of a socket may wait.
const WAITING: usize = 64 * 1024;
/// A packet with its attachments: of 10, and the text.
const MAX_PACKET: usize = 11 * MAX_PAYLOAD;

/// Messages that break a rule of Socket.IO.
struct Refused {
    name: &'static str,
    /// What the end is called; `None` if the peer has not joined `/`, so that there is nobody to be told.
    reason: Option<&'static str>,
    messages: &'static [Message],
}

enum Message {
    Text(&'static str),
    Binary(&'static [u8]),
}

use Message::{Binary, Text};

const REFUSED: &[Refused] = &[
    Refused { name: "an attachment before CONNECT, CVE-2026-48804", reason: None, messages: &[Binary(b"x")] },
    Refused {
        name: "a packet with attachments before CONNECT, CVE-2026-48804",
        reason: None,
        messages: &[Text(r#"451-["x",{"_placeholder":true,"num":0}]"#), Binary(b"x")],
    },
    Refused {
        name: "a packet with attachments for a namespace that was not joined, CVE-2026-48804",
        reason: Some("forced close"),
        messages: &[Text(r#"451-/custom,["x",{"_placeholder":true,"num":0}]"#), Binary(b"x")],
    },
    Refused {
        name: "eleven attachments, CVE-2026-33151",
        reason: Some("parse error"),
        messages: &[Text(r#"4511-["x"]"#)],
    },
    Refused {
        name: "attachments without number, CVE-2026-33151",
        reason: Some("parse error"),
        messages: &[Text(r#"4599999999999999999999-["x"]"#)],
    },
    Refused {
        name: "a placeholder that is a method's name, CVE-2022-2421",
        reason: Some("parse error"),
        messages: &[Text(r#"451-["x",{"_placeholder":true,"num":"splice"}]"#), Binary(b"x")],
    },
    Refused {
        name: "an event's name that is an object, CVE-2023-32695",
        reason: Some("parse error"),
        messages: &[Text(r#"42[{"toString":"x"}]"#)],
    },
    Refused {
        name: "an ack id of 20 digits",
        reason: Some("parse error"),
        messages: &[Text(r#"4299999999999999999999["ack"]"#)],
    },
    Refused { name: "a second CONNECT", reason: Some("forced close"), messages: &[Text("40")] },
    Refused { name: "a ping", reason: Some("transport error"), messages: &[Text("2")] },
];

impl Refused {
    fn flood(&self, site: &Site) {
        let open = if self.reason.is_some() { Peer::joined } else { Peer::session };
        let mut peers: Vec<_> = (0..PEERS).map(|_| open(site.address())).collect();
        for message in self.messages {
            let bytes = match message {
                Text(text) => crate::peer::text(text),
                Binary(bytes) => binary(bytes),
            };
            peers.iter_mut().for_each(|peer| _ = peer.push(&bytes));
        }
        for mut peer in peers {
            assert_eq!(peer.end(), End::Frame(None), "{}", self.name);
        }
        if let Some(reason) = self.reason {
            reasons(site, PEERS, reason);
        }
    }
}

fn attachments_that_never_come(site: &Site) {
    let packet = [text("4510-[\"x\"]"), binary(&[0; MAX_PAYLOAD]).repeat(9)].concat();
    let (peers, begun) = (joined(site, PEERS), Instant::now());
    // All at once: each answers its heartbeats meanwhile.
    thread::scope(|scope| {
        for mut peer in peers {
            let packet = &packet;
            scope.spawn(move || {
                peer.send(packet);
                assert_eq!(peer.end_alive(), End::Frame(None));
            });
        }
    });
    assert!(begun.elapsed() >= PING_CYCLE, "the time was not over");
    reasons(site, PEERS, "parse error");
}

/// Each place would be a copy of the attachment, for a handler that takes a list.
fn attachments_in_many_places(site: &Site) {
    let places = vec![r#"{"_placeholder":true,"num":0}"#; 3_000].join(",");
    let packet = [text(&format!("451-[\"count\",[{places}]]")), binary(&[0; MAX_PAYLOAD])].concat();
    let mut peers = joined(site, FLOODERS);
    peers.iter_mut().for_each(|peer| _ = peer.push(&packet));
    ends(site, peers, End::Frame(None), "parse error");
}

fn rooms(site: &Site) {
    let join = |number| text(&format!("42[\"join\",\"room of somebody {number}\"]"));
    let joins: Vec<u8> = (0..ROOMS).flat_map(join).collect();
    let mut peers = joined(site, FLOODERS);
    for peer in &mut peers {
        peer.send(&joins);
        peer.send(&text("421[\"ack\"]"));
        peer.wait_for("431");
    }
    drop(peers);
    reasons(site, FLOODERS, "transport close");
}

fn joined_and_left_by_polling(site: &Site) {
    let (mut peer, sid) = Peer::polling(site.address());
    // Heartbeats are answered, too.
    let body = format!("3{}", "\u{1e}40/custom,\u{1e}41/custom,".repeat(MAX_PAYLOAD / 24));
    for _ in 0..10 {
        let mut requests = Vec::new();
        write_post(&sid, body.as_bytes(), &mut requests);
        write_get(&sid, &mut requests);
        assert_eq!(peer.ask(&requests), (200, "ok".to_owned()));
        assert_eq!(peer.answer().0, 200);
    }
    assert_eq!(peer.ask(&crate::requests::close(&sid)), (200, "ok".to_owned()));
}

/// More than may wait for a client.
const TOO_MUCH: &str = "42[\"flood\",1000,16384]";

fn deaf(site: &Site) {
    let mut peers = joined(site, DEAF);
    peers.iter_mut().for_each(|peer| peer.send(&text(TOO_MUCH)));
    reasons(site, DEAF, "transport error");
}

fn deaf_polling(site: &Site) {
    let sessions: Vec<_> = (0..DEAF)
        .map(|_| {
            let (mut peer, sid) = Peer::polling(site.address());
            for body in ["40", "42[\"note-disconnect\"]", TOO_MUCH] {
                let mut request = Vec::new();
                write_post(&sid, body.as_bytes(), &mut request);
                let (status, _) = peer.ask(&request);
                assert_eq!(status, 200);
            }
            (peer, sid)
        })
        .collect();
    reasons(site, DEAF, "transport error");
    drop(sessions);
}
