//! Attacks by upgrades and by WebSocket frames.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use socketio_load::wire::write_upgrade;

use crate::Attack;
use crate::peer::{End, PATIENCE, Peer, binary, declared, frame, text};
use crate::requests::close;
use crate::site::{CONNECTION, MAX_PAYLOAD, PING_CYCLE, SESSION, Site, UPGRADE_TIMEOUT};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "upgrades that nobody finishes, row 38",
        heap: PEERS * (SESSION + CONNECTION),
        act: upgrades_that_nobody_finishes,
    },
    Attack {
        name: "many streams for one session, row 37",
        heap: PEERS * CONNECTION,
        act: many_streams_for_one_session,
    },
    Attack {
        name: "resets in the middle of an upgrade, CVE-2022-41940",
        heap: PEERS * (2 * SESSION + CONNECTION),
        act: resets_in_the_middle_of_an_upgrade,
    },
    Attack {
        name: "reserved bits right behind the handshake, CVE-2022-21676",
        heap: PEERS * (SESSION + CONNECTION),
        act: reserved_bits_behind_the_handshake,
    },
    Attack { name: "frames that come byte by byte", heap: PEERS * (SESSION + FIRST_ROOM), act: frames_byte_by_byte },
    Attack {
        name: "lengths that are declared and never sent, CVE-2022-35922",
        heap: 4 * PEERS * (SESSION + FIRST_ROOM),
        act: lengths_that_are_never_sent,
    },
    Attack {
        name: "frames that stop before their last byte",
        // The buffer doubles while its frame arrives.
        heap: PEERS * (SESSION + 2 * MAX_PAYLOAD),
        act: frames_without_an_end,
    },
    Attack {
        name: "lengths that nobody can have, CVE-2020-27813",
        heap: PEERS * SESSION,
        act: lengths_that_nobody_can_have,
    },
    Attack { name: "tiny fragments, CVE-2026-48779", heap: PEERS * SESSION, act: tiny_fragments },
    Attack { name: "pings whose pongs nobody reads", heap: FLOOD, act: |site| flood(site, &frame(PING, &[b'x'; 125])) },
    Attack { name: "pongs of WebSocket", heap: FLOOD, act: |site| flood(site, &frame(PONG, b"")) },
    Attack { name: "pongs of Engine.IO, CVE-2026-48802", heap: FLOOD, act: |site| flood(site, &text("3")) },
    Attack { name: "packets of Engine.IO that mean nothing", heap: FLOOD, act: |site| flood(site, &text("6")) },
    Attack {
        name: "large packets of Engine.IO that mean nothing",
        heap: FLOODERS * 2 * MAX_PAYLOAD,
        act: |site| flood(site, &text(&"6".repeat(MAX_PAYLOAD))),
    },
    Attack { name: "messages of 1024 empty fragments", heap: FLOOD, act: |site| flood(site, &empty_fragments()) },
    Attack { name: "what comes behind a goodbye", heap: FLOOD, act: floods_behind_a_goodbye },
];

/// Peers at a time.
const PEERS: usize = 100;
/// Peers that send as fast as they can, and for how long.
pub(crate) const FLOODERS: usize = 2;
const FLOOD_TIME: Duration = Duration::from_millis(400);
/// What they send at once.
const BLOCK: usize = 256 * 1024;
/// What the server may hold for what has arrived of them: it reads so much at once, and what makes no frame yet is kept.
pub(crate) const FLOOD: usize = FLOODERS * (SESSION + BLOCK);
/// A buffer for a frame of which little has arrived.
const FIRST_ROOM: usize = 16 << 10;
/// Time between two bytes of who is slow.
const DRIP: Duration = Duration::from_millis(25);

const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

fn upgrades_that_nobody_finishes(site: &Site) {
    let begun = Instant::now();
    let probe = |index| {
        let (session, sid) = Peer::polling(site.address());
        let mut stream = Peer::open(site.address());
        stream.upgrade(&sid);
        // The others never say anything.
        if index % 2 == 0 {
            stream.send(&text("2probe"));
        }
        (session, sid, stream)
    };
    for (mut session, sid, mut stream) in (0..PEERS).map(probe).collect::<Vec<_>>() {
        assert_eq!(stream.end(), End::Frame(None));
        assert!(begun.elapsed() >= UPGRADE_TIMEOUT, "the time was not over");
        assert_eq!(session.ask(&close(&sid)), (200, "ok".to_owned()), "the session lives");
    }
}

fn many_streams_for_one_session(site: &Site) {
    let (mut session, sid) = Peer::polling(site.address());
    let mut stream = Peer::open(site.address());
    stream.upgrade(&sid);
    stream.send(&text("2probe"));
    stream.wait_for("3probe");
    let others: Vec<_> = (0..PEERS)
        .map(|_| {
            let mut other = Peer::open(site.address());
            other.upgrade(&sid);
            other
        })
        .collect();
    for mut other in others {
        assert_eq!(other.end(), End::Frame(None));
    }
    assert_eq!(session.ask(&close(&sid)), (200, "ok".to_owned()), "the session lives");
}

/// A connection that is closed while something waits to be read from it is reset.
fn resets_in_the_middle_of_an_upgrade(site: &Site) {
    for index in 0..PEERS {
        let mut stream = Peer::open(site.address());
        let sid = stream.handshake();
        let mut request = Vec::new();
        write_upgrade(&sid, &mut request);
        // In the head, behind it, behind the probe.
        let end = if index % 3 == 0 { request.len() / 2 } else { request.len() };
        let unread = crate::requests::get("transport=polling&sid=unknown", "");
        stream.send(&[&unread, &request[..end]].concat());
        if index % 3 == 2 {
            stream.push(&text("2probe"));
        }
        stream.wait_unread();
        drop(stream);
        let mut session = Peer::open(site.address());
        assert_eq!(session.ask(&close(&sid)), (200, "ok".to_owned()), "the session lives");
    }
}

fn reserved_bits_behind_the_handshake(site: &Site) {
    for reserved in [0x10, 0x20, 0x40].into_iter().cycle().take(PEERS) {
        let mut peer = Peer::open(site.address());
        let mut bytes = Vec::new();
        write_upgrade("", &mut bytes);
        bytes.extend(frame(0x81 | reserved, b"40"));
        assert_eq!(peer.ask(&bytes).0, 101);
        assert_eq!(peer.end(), End::Frame(Some(1002)));
    }
}

fn frames_byte_by_byte(site: &Site) {
    let mut peers = joined(site, PEERS);
    let frame = text(&"4".repeat(1_000));
    let begun = Instant::now();
    for byte in frame.chunks(1) {
        if begun.elapsed() > PING_CYCLE {
            break;
        }
        peers.iter_mut().for_each(|peer| _ = peer.push(byte));
        thread::sleep(DRIP);
    }
    // No pong can come while a frame is unfinished.
    ends(site, peers, End::Frame(None), "ping timeout");
}

fn lengths_that_are_never_sent(site: &Site) {
    let mut peers = joined(site, 4 * PEERS);
    peers.iter_mut().for_each(|peer| peer.send(&declared(MAX_PAYLOAD as u64)));
    ends(site, peers, End::Frame(None), "ping timeout");
}

fn frames_without_an_end(site: &Site) {
    let frame = binary(&vec![0; MAX_PAYLOAD]);
    let mut peers = joined(site, PEERS);
    peers.iter_mut().for_each(|peer| peer.send(&frame[..MAX_PAYLOAD]));
    ends(site, peers, End::Frame(None), "ping timeout");
}

fn lengths_that_nobody_can_have(site: &Site) {
    for (length, code) in [(1 << 63, 1002), (u64::MAX, 1002), (1 << 62, 1009), (MAX_PAYLOAD as u64 + 1, 1009)] {
        let mut peers = joined(site, PEERS);
        peers.iter_mut().for_each(|peer| peer.send(&declared(length)));
        ends(site, peers, End::Frame(Some(code)), "transport error");
    }
}

fn tiny_fragments(site: &Site) {
    let fragments = [frame(0x01, b"4"), frame(0x00, b"").repeat(1_100)].concat();
    let mut peers = joined(site, PEERS);
    peers.iter_mut().for_each(|peer| _ = peer.push(&fragments));
    ends(site, peers, End::Frame(Some(1008)), "transport error");
}

/// A message that the fragments do not make too long.
fn empty_fragments() -> Vec<u8> {
    [frame(0x01, b"6"), frame(0x00, b"").repeat(1_022), frame(0x80, b"")].concat()
}

fn floods_behind_a_goodbye(site: &Site) {
    let mut peers = joined(site, FLOODERS);
    peers.iter_mut().for_each(|peer| peer.send(&frame(0xf1, b"")));
    flood_by(peers, &text("3"), FLOOD_TIME, false);
    reasons(site, FLOODERS, "transport error");
}

/// Sends a message that is not answered over and over.
pub(crate) fn flood(site: &Site, message: &[u8]) {
    flood_by(joined(site, FLOODERS), message, FLOOD_TIME, false);
    reasons(site, FLOODERS, "transport close");
}

/// Sends a message over and over, and reads the answers.
pub(crate) fn flood_and_read(site: &Site, message: &[u8]) {
    flood_by(joined(site, FLOODERS), message, FLOOD_TIME, true);
    reasons(site, FLOODERS, "transport close");
}

/// Sends a message over and over, and reads none of the answers, until too many of them wait.
pub(crate) fn flood_unread(site: &Site, message: &[u8]) {
    flood_by(joined(site, FLOODERS), message, PATIENCE, false);
    reasons(site, FLOODERS, "transport error");
}

fn flood_by(peers: Vec<Peer>, message: &[u8], time: Duration, reads: bool) {
    // Heartbeats are answered, or the flood would end with them.
    let block = [text("3"), message.repeat(BLOCK.div_ceil(message.len()))].concat();
    thread::scope(|scope| {
        for mut peer in peers {
            if reads {
                let mut stream = peer.stream();
                scope.spawn(move || while stream.read(&mut [0; 64 * 1024]).is_ok_and(|count| count > 0) {});
            }
            let block = &block;
            scope.spawn(move || {
                let begun = Instant::now();
                while begun.elapsed() < time && peer.push(block) {}
                peer.shut_down();
            });
        }
    });
}

/// So many sockets in `/`.
pub(crate) fn joined(site: &Site, count: usize) -> Vec<Peer> {
    (0..count).map(|_| Peer::joined(site.address())).collect()
}

/// Asserts how the server ends them all, and what it calls that.
pub(crate) fn ends(site: &Site, peers: Vec<Peer>, end: End, reason: &str) {
    let count = peers.len();
    for mut peer in peers {
        assert_eq!(peer.end(), end);
    }
    reasons(site, count, reason);
}

/// Asserts why so many sockets are gone, by what the server has told its application.
pub(crate) fn reasons(site: &Site, count: usize, reason: &str) {
    let mut asking = Peer::session(site.address());
    asking.send(&text("40"));
    let (mut told, begun) = (Vec::new(), Instant::now());
    while told.len() < count {
        assert!(begun.elapsed() < PATIENCE, "{told:?} of {count} sockets");
        asking.send(&text("420[\"disconnect-notes\"]"));
        let answer: Value = serde_json::from_str(&asking.wait_for("430")[3..]).expect("an ack holds JSON");
        let notes = answer[0].as_array().into_iter().flatten();
        told.extend(notes.map(|note| note[1].as_str().unwrap_or_default().to_owned()));
        thread::sleep(DRIP);
    }
    assert!(told.len() == count && told.iter().all(|told| told == reason), "not {reason}: {told:?}");
}
