extern crate std;

use alloc::{
    string::{String, ToString},
    vec,
    vec::Vec,
};

use proptest::prelude::*;

use super::*;
use crate::websocket::{Frame, FrameBuilder};

mod cases;
mod memory;
mod short_way;

use cases::{Event, cases};
use memory::memory;

const MAX: usize = 100_000;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const PROTOCOL: Event = Event::Failed(1002);
const INVALID_DATA: Event = Event::Failed(1007);
const POLICY: Event = Event::Failed(1008);
const TOO_BIG: Event = Event::Failed(1009);

impl From<Incoming<'_>> for Event {
    fn from(incoming: Incoming<'_>) -> Self {
        match incoming {
            Incoming::Text(text) => Self::Text(text.to_string()),
            Incoming::Binary(binary) => {
                let copy = binary.as_slice().to_vec();
                let whole = if copy.len() % 2 == 0 { binary.into_vec() } else { binary.into_bytes().into() };
                assert_eq!(whole, copy);
                Self::Binary(copy)
            }
            Incoming::Ping(payload) => Self::Ping(payload.to_vec()),
            Incoming::Pong(payload) => Self::Pong(payload.to_vec()),
            Incoming::Close(code) => Self::Close(code.map(|code| code.0)),
        }
    }
}

fn text(text: &str) -> Event {
    Event::Text(text.to_string())
}

/// A frame with these first byte, key and payload, its length in as few bytes as possible.
fn frame(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let bytes = match payload.len() {
        0..126 => 0,
        126..65536 => 2,
        _ => 8,
    };
    let mut out = header(first, key, payload.len() as u64, bytes);
    let key = key.unwrap_or_default();
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// A header alone that declares `len` in `bytes` bytes of extended length.
fn header(first: u8, key: Option<[u8; 4]>, len: u64, bytes: usize) -> Vec<u8> {
    let flag = if key.is_some() { 0x80 } else { 0 };
    let mut out = vec![first];
    match bytes {
        0 => out.push(flag | len as u8),
        2 => out.push(flag | 126),
        _ => out.push(flag | 127),
    }
    out.extend_from_slice(&len.to_be_bytes()[8 - bytes..]);
    out.extend_from_slice(key.as_ref().map_or(&[], |key| key));
    out
}

/// A masked frame, as a client sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, Some(KEY), payload)
}

/// Takes all that the decoder has to give.
fn drain(decoder: &mut Decoder, bytes: &[u8], events: &mut Vec<Event>) {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    loop {
        match decoder.next(&mut input) {
            Ok(Some(incoming)) => events.push(incoming.into()),
            Ok(None) => break,
            Err(code) => events.push(Event::Failed(code.0)),
        }
    }
    assert!(input.is_empty(), "everything was taken");
}

fn decode<'w>(role: Role, max: usize, pieces: impl IntoIterator<Item = &'w [u8]>) -> Vec<Event> {
    let mut decoder = Decoder::new(role, max);
    let mut events = Vec::new();
    pieces.into_iter().for_each(|piece| drain(&mut decoder, piece, &mut events));
    events
}

/// Reads in pieces of `sizes`, in turn, into the decoder's own room wherever it offers some.
fn decode_into_room(role: Role, max: usize, mut wire: &[u8], sizes: &[usize]) -> Vec<Event> {
    let mut decoder = Decoder::new(role, max);
    let mut events = Vec::new();
    for size in sizes.iter().cycle() {
        if wire.is_empty() {
            break;
        }
        let mut count = (*size).clamp(1, wire.len());
        if let Some(room) = decoder.read_target() {
            count = count.min(room.len());
            room[..count].copy_from_slice(&wire[..count]);
            decoder.filled(count);
            drain(&mut decoder, &[], &mut events);
        } else {
            drain(&mut decoder, &wire[..count], &mut events);
        }
        wire = &wire[count..];
    }
    events
}

/// Keeps all input until the end, in two pieces.
fn decode_paused(role: Role, max: usize, wire: &[u8]) -> Vec<Event> {
    let mut decoder = Decoder::new(role, max);
    let mut bytes = wire.to_vec();
    let (head, tail) = bytes.split_at_mut(wire.len() / 2);
    decoder.buffer_rest(&mut Input::new(head));
    decoder.buffer_rest(&mut Input::new(tail));
    let mut events = Vec::new();
    drain(&mut decoder, &[], &mut events);
    events
}

/// Decodes `wire` in every way there is, alone and with something behind it.
#[track_caller]
fn check(role: Role, max: usize, wire: &[u8], expected: &[Event]) {
    let key = (role == Role::Server).then_some(KEY);
    let open = !matches!(expected.last(), Some(Event::Close(_) | Event::Failed(_)));
    let ping = [wire, &frame(0x89, key, b"after")].concat();
    let partial = [wire, &frame(0x8a, key, b"partial")[..5]].concat();
    let mut and_ping = expected.to_vec();
    if open {
        and_ping.push(Event::Ping(b"after".to_vec()));
    }
    for (wire, expected) in [(wire, expected), (&ping, &and_ping), (&partial, expected)] {
        assert_eq!(decode(role, max, [wire]), expected, "whole");
        assert_eq!(decode(role, max, wire.chunks(1)), expected, "byte by byte");
        assert_eq!(decode(role, max, wire.chunks(4099)), expected, "in pieces");
        assert_eq!(decode_into_room(role, max, wire, &[1500]), expected, "into its own room");
        assert_eq!(decode_paused(role, max, wire), expected, "kept and then decoded");
        for at in (0..wire.len()).take(40) {
            assert_eq!(decode(role, max, [&wire[..at], &wire[at..]]), expected, "cut at {at}");
        }
    }
}

#[track_caller]
fn check_server(frames: &[Vec<u8>], expected: &[Event]) {
    check(Role::Server, MAX, &frames.concat(), expected);
}

#[test]
fn the_examples_of_section_5_7() {
    let client = |wire: &[u8], expected| check(Role::Client, MAX, wire, &[expected]);
    client(b"\x81\x05Hello", text("Hello"));
    client(b"\x01\x03Hel\x80\x02lo", text("Hello"));
    client(b"\x89\x05Hello", Event::Ping(b"Hello".to_vec()));
    client(&[b"\x82\x7e\x01\x00".to_vec(), vec![7; 256]].concat(), Event::Binary(vec![7; 256]));
    client(&[b"\x82\x7f\0\0\0\0\0\x01\0\0".to_vec(), vec![7; 65536]].concat(), Event::Binary(vec![7; 65536]));

    let hello = b"\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    check_server(&[b"\x81\x85".to_vec(), hello.to_vec()], &[text("Hello")]);
    check_server(&[b"\x8a\x85".to_vec(), hello.to_vec()], &[Event::Pong(b"Hello".to_vec())]);
}

#[test]
fn the_cases_of_autobahn() {
    for case in cases() {
        for role in [Role::Server, Role::Client] {
            let wire = wire(&case, role);
            // Bytes one by one, and all the ways to cut a message in two, are for messages that are not large.
            if wire.len() < 100_000 {
                check(role, usize::MAX, &wire, &case.expected);
            } else {
                assert_eq!(decode(role, usize::MAX, [&wire[..]]), case.expected, "{}, whole", case.number);
                assert_eq!(decode_into_room(role, usize::MAX, &wire, &[997]), case.expected, "{}", case.number);
            }
            let by_the_suite = case.differs.as_ref().map_or(&case.expected, |(expected, _)| expected);
            let expected = match by_the_suite[..] {
                // tungstenite does not know that this one was given out.
                [Event::Close(Some(1014))] => &[PROTOCOL],
                _ => &by_the_suite[..],
            };
            assert!(reference(role, usize::MAX, &wire) == expected, "{}, tungstenite", case.number);
        }
    }
}

/// What the peer of `role` sends.
fn wire(case: &cases::Case, role: Role) -> Vec<u8> {
    let key = (role == Role::Server).then_some(KEY);
    case.frames.iter().flat_map(|sent| frame(sent.first, key, &sent.payload)).collect()
}

#[test]
fn payloads_around_a_word() {
    for len in [1, 7, 8, 9] {
        let payload: Vec<u8> = (0..len).map(|at| b'a' + (at % 26) as u8).collect();
        let string = String::from_utf8(payload.clone()).unwrap();
        for (role, key) in [(Role::Server, Some(KEY)), (Role::Client, None)] {
            check(role, MAX, &frame(0x81, key, &payload), &[text(&string)]);
            check(role, MAX, &frame(0x82, key, &payload), &[Event::Binary(payload.clone())]);
        }
    }
}

#[test]
fn several_messages_in_one_read() {
    let frames =
        [masked(0x81, b"one"), masked(0x82, b"two"), masked(0x81, b""), masked(0x89, b"p"), masked(0x81, b"3")];
    let expected = [text("one"), Event::Binary(b"two".to_vec()), text(""), Event::Ping(b"p".to_vec()), text("3")];
    check_server(&frames, &expected);
}

#[test]
fn control_frames_are_not_bound_by_the_limit_on_messages() {
    check(Role::Server, 3, &masked(0x89, &[7; 125]), &[Event::Ping(vec![7; 125])]);
}

#[test]
fn the_masking_of_the_other_role_is_refused() {
    for first in [0x81, 0x82, 0x88, 0x89, 0x8a] {
        check(Role::Server, MAX, &frame(first, None, b""), &[PROTOCOL]);
        check(Role::Client, MAX, &frame(first, Some(KEY), b""), &[PROTOCOL]);
    }
}

#[test]
fn lengths_in_more_bytes_than_needed_are_refused() {
    for (len, bytes) in [(0, 2), (125, 2), (0, 8), (126, 8), (65535, 8)] {
        check_server(&[header(0x82, Some(KEY), len, bytes), vec![0; len as usize]], &[PROTOCOL]);
    }
}

#[test]
fn nothing_comes_after_a_close_or_an_error() {
    for last in [masked(0x88, b"\x03\xe8"), masked(0x88, b"\x03"), masked(0xc1, b""), masked(0x81, b"\xff")] {
        let mut decoder = Decoder::new(Role::Server, MAX);
        let mut events = Vec::new();
        drain(&mut decoder, &[masked(0x01, b"kept"), last].concat(), &mut events);
        assert_eq!(events.len(), 1);
        for _ in 0..2 {
            drain(&mut decoder, &masked(0x81, b"more"), &mut events);
            decoder.buffer_rest(&mut Input::new(&mut [0x81]));
            assert!(decoder.read_target().is_none());
        }
        assert_eq!(events.len(), 1);
        assert_eq!(memory(&decoder), 0);
    }
    // What was received with the close frame is no frame to be completed.
    let mut wire = [masked(0x88, b""), header(0x82, Some(KEY), 50_000, 2)].concat();
    let mut decoder = Decoder::new(Role::Server, MAX);
    decoder.buffer_rest(&mut Input::new(&mut wire));
    assert!(matches!(decoder.next(&mut Input::empty()), Ok(Some(Incoming::Close(None)))));
    assert!(decoder.read_target().is_none());
}

#[test]
fn a_fault_is_seen_in_the_first_byte_that_shows_it() {
    let at_once =
        |pieces: &[&[u8]], expected| assert_eq!(decode(Role::Server, MAX, pieces.iter().copied()), [expected]);
    at_once(&[b"\xc1"], PROTOCOL);
    at_once(&[b"\x83"], PROTOCOL);
    at_once(&[b"\x09"], PROTOCOL);
    at_once(&[b"\x80"], PROTOCOL);
    at_once(&[b"\x81", b"\x05"], PROTOCOL);
    at_once(&[b"\x89", b"\xfe"], PROTOCOL);
    at_once(&[b"\x81\xfe\0", b"\x7d"], PROTOCOL);
    at_once(&[b"\x81\xff\0\0\0\0\0\x01\x86", b"\xa1"], TOO_BIG);
}

// CVE-2016-10542: a message without a limit.
#[test]
fn an_oversized_message_is_refused_by_its_header() {
    for max in [0, 5, 125, 126, 65535, 65536] {
        let payload = vec![7; max];
        check(Role::Server, max, &masked(0x82, &payload), &[Event::Binary(payload)]);
        let over = masked(0x82, &vec![7; max + 1]);
        check(Role::Server, max, &over, &[TOO_BIG]);
        let header = over.len() - (max + 1) - 4;
        assert_eq!(decode(Role::Server, max, [&over[..header]]), [TOO_BIG], "before the key, {max}");
    }
}

#[test]
fn the_fragments_of_a_message_are_limited_together() {
    let frames = [masked(0x02, &[7; 60]), masked(0x00, &[7; 30]), masked(0x80, &[7; 10])].concat();
    check(Role::Server, 100, &frames, &[Event::Binary(vec![7; 100])]);
    check(Role::Server, 99, &frames, &[TOO_BIG]);
    check(Role::Server, 89, &frames, &[TOO_BIG]);
    let declared = [masked(0x02, &[7; 60]), header(0x80, Some(KEY), 41, 0)].concat();
    assert_eq!(decode(Role::Server, 100, [&declared[..]]), [TOO_BIG]);
}

// CVE-2020-27813: the declared length overflows an integer.
#[test]
fn no_declared_length_overflows() {
    let large = |max, len| decode(Role::Client, max, [&header(0x82, None, len, 8)[..]]);
    for len in [1 << 63, (1 << 63) | 5, u64::MAX - 13, u64::MAX] {
        assert_eq!(large(usize::MAX, len), [PROTOCOL], "{len:x}");
    }
    for len in [1 << 32, (1 << 32) | 5, 1 << 62, (1 << 63) - 1] {
        assert_eq!(large(MAX, len), [TOO_BIG], "{len:x}");
    }
    let gathered = [frame(0x02, None, b"abc"), header(0x80, None, i64::MAX as u64, 8)].concat();
    assert_eq!(decode(Role::Client, i64::MAX as usize, [&gathered[..]]), [TOO_BIG]);
}

// CVE-2026-48779: a message of endless tiny fragments.
#[test]
fn the_number_of_fragments_is_bounded() {
    let message = |fragments: usize, payload: &[u8]| {
        let mut frames = vec![masked(0x02, payload)];
        frames.extend((2..fragments).map(|_| masked(0x00, payload)));
        frames.push(masked(0x80, payload));
        frames.concat()
    };
    for payload in [&b""[..], b"x"] {
        let most = message(Decoder::MAX_FRAGMENTS, payload);
        assert_eq!(decode(Role::Server, MAX, [&most[..]]), [Event::Binary(payload.repeat(Decoder::MAX_FRAGMENTS))]);
        assert_eq!(decode(Role::Server, MAX, most.chunks(1)).len(), 1);
        let more = message(Decoder::MAX_FRAGMENTS + 1, payload);
        assert_eq!(decode(Role::Server, MAX, [&more[..]]), [POLICY]);
        assert_eq!(decode(Role::Server, MAX, more.chunks(1)), [POLICY]);
    }
    let twice = message(Decoder::MAX_FRAGMENTS, b"").repeat(2);
    assert_eq!(decode(Role::Server, MAX, [&twice[..]]).len(), 2, "counted for each message alone");
}

#[test]
fn what_has_arrived_tells_decoders_apart_and_nothing_else_does() {
    let with = |pieces: &[&[u8]]| {
        let mut decoder = Decoder::new(Role::Server, MAX);
        pieces.iter().for_each(|piece| drain(&mut decoder, piece, &mut Vec::new()));
        let mut hasher = std::hash::DefaultHasher::new();
        decoder.hash(&mut hasher);
        (decoder, hasher.finish())
    };
    let wire = masked(0x82, &[7; 10_000]);
    let (mut decoder, hash) = with(&[&wire[..300]]);
    decoder.read_target().expect("a large frame is under way").fill(1);
    assert_eq!((decoder.clone(), hash), with(&[&wire[..100], &wire[100..300]]));
    let (other, other_hash) = with(&[&wire[..299], &[0]]);
    assert_ne!(decoder, other);
    assert_ne!(hash, other_hash);
}

#[test]
fn a_pause_between_any_two_messages_loses_nothing() {
    let wire = [masked(0x81, b"one"), masked(0x81, &[b'2'; 300]), masked(0x89, b""), masked(0x81, b"four")].concat();
    let mut decoder = Decoder::new(Role::Server, MAX);
    let mut events = Vec::new();
    for piece in wire.chunks(10) {
        let mut piece = piece.to_vec();
        let mut input = Input::new(&mut piece);
        if let Some(incoming) = decoder.next(&mut input).unwrap() {
            events.push(Event::from(incoming));
        }
        decoder.buffer_rest(&mut input);
        assert!(input.is_empty());
    }
    drain(&mut decoder, &[], &mut events);
    assert_eq!(events, decode(Role::Server, MAX, [&wire[..]]));
    assert_eq!(memory(&decoder), 0);
}

fn event() -> impl Strategy<Value = Event> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    let long = prop_oneof![8 => Just(1), 1 => Just(100), 1 => Just(4000)];
    prop_oneof![
        4 => (any::<String>(), long.clone()).prop_map(|(text, times)| Event::Text(text.repeat(times))),
        4 => (bytes(40), long).prop_map(|(bytes, times)| Event::Binary(bytes.repeat(times))),
        1 => bytes(126).prop_map(Event::Ping),
        1 => bytes(126).prop_map(Event::Pong),
    ]
}

fn encode(event: &Event) -> Frame {
    match event {
        Event::Text(text) => Frame::text(text),
        Event::Binary(bytes) => Frame::binary(bytes),
        Event::Pong(payload) => Frame::pong(payload),
        Event::Close(code) => Frame::close(code.map(CloseCode)),
        Event::Ping(payload) => {
            let mut builder = FrameBuilder::new(0, payload.len());
            builder.payload().extend_from_slice(payload);
            builder.finish(Opcode::Ping)
        }
        Event::Failed(_) => unreachable!("never made by a strategy"),
    }
}

/// Pieces of the given sizes, in turn.
fn pieces<'w>(mut wire: &'w [u8], sizes: &[usize]) -> Vec<&'w [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if wire.is_empty() {
            break;
        }
        let (piece, rest) = wire.split_at((*size).clamp(1, wire.len()));
        pieces.push(piece);
        wire = rest;
    }
    pieces
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..20_usize, 20..3000_usize, Just(65536)], 1..8)
}

/// Frames of which some break a rule.
fn any_frames() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![6 => Just(0), 4 => Just(1), 2 => Just(2), 1 => 8..11_u8, 1 => 0..16_u8];
    let first =
        (opcode, any::<bool>(), prop_oneof![30 => Just(0), 1 => 0..8_u8]).prop_map(|(opcode, fin, reserved)| {
            let fin = fin || opcode >= 8 && reserved == 0;
            u8::from(fin) << 7 | reserved << 4 | opcode
        });
    let payload = prop_oneof![
        4 => any::<String>().prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..10),
        1 => Just(b"\x03\xe8bye".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 100..400),
    ];
    let key = prop_oneof![30 => any::<[u8; 4]>().prop_map(Some), 1 => Just(None)];
    let one = (first, key, payload).prop_map(|(first, key, payload)| frame(first, key, &payload));
    prop::collection::vec(one, 0..12).prop_map(|frames| frames.concat())
}

/// What tungstenite makes of `wire`. It checks UTF-8 fragment by fragment.
fn reference(role: Role, max: usize, wire: &[u8]) -> Vec<Event> {
    use tungstenite::error::Error;
    use tungstenite::protocol::{self, Message, WebSocket, WebSocketConfig};
    let config = WebSocketConfig::default().max_message_size(Some(max)).max_frame_size(Some(max.max(125)));
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let stream = Stream(std::io::Cursor::new(wire.to_vec()));
    let mut socket = WebSocket::from_raw_socket(stream, role, Some(config));
    let mut events = Vec::new();
    loop {
        events.push(match socket.read() {
            Ok(Message::Text(text)) => Event::Text(text.to_string()),
            Ok(Message::Binary(bytes)) => Event::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Event::Ping(bytes.to_vec()),
            Ok(Message::Pong(bytes)) => Event::Pong(bytes.to_vec()),
            // It gives this in place of an error for a code that must not be sent.
            Ok(Message::Close(Some(close))) if close.reason == "Protocol violation" => PROTOCOL,
            Ok(Message::Close(close)) => Event::Close(close.map(|close| close.code.into())),
            Ok(Message::Frame(_)) => unreachable!("never read"),
            Err(Error::Io(_)) => return events,
            Err(_) if matches!(events.last(), Some(Event::Close(_))) => return events,
            Err(Error::Utf8(_)) => INVALID_DATA,
            Err(Error::Capacity(_)) => TOO_BIG,
            Err(_) => PROTOCOL,
        });
        if let Some(Event::Failed(_)) = events.last() {
            return events;
        }
    }
}

/// Gives its bytes and then nothing for now, and forgets what is written.
struct Stream(std::io::Cursor<Vec<u8>>);

impl std::io::Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(out) {
            Ok(0) => Err(std::io::ErrorKind::WouldBlock.into()),
            read => read,
        }
    }
}

impl std::io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_one_role_writes_the_other_reads(
        events in prop::collection::vec(event(), 0..8),
        key in any::<[u8; 4]>(),
        sizes in sizes(),
    ) {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        for event in &events {
            encode(event).write_masked(key, &mut to_server);
            to_client.extend_from_slice(encode(event).as_bytes());
        }
        for (role, wire) in [(Role::Server, to_server), (Role::Client, to_client)] {
            prop_assert_eq!(&decode(role, 1 << 20, pieces(&wire, &sizes)), &events);
            prop_assert_eq!(&decode_into_room(role, 1 << 20, &wire, &sizes), &events);
            prop_assert_eq!(&decode_paused(role, 1 << 20, &wire), &events);
        }
    }

    #[test]
    fn any_fragmentation_makes_the_same_message(
        payload in prop::collection::vec(any::<u8>(), 0..9000),
        fragments in sizes(),
        sizes in sizes(),
    ) {
        let mut wire = masked(0x02, b"");
        for (at, piece) in pieces(&payload, &fragments).into_iter().take(500).enumerate() {
            wire.extend(frame(0x00, Some([at as u8; 4]), piece));
            wire.extend(masked(0x89, b"between"));
        }
        let sent: usize = pieces(&payload, &fragments).into_iter().take(500).map(<[u8]>::len).sum();
        wire.extend(masked(0x80, b""));
        for mut events in [
            decode(Role::Server, 9000, pieces(&wire, &sizes)),
            decode_into_room(Role::Server, 9000, &wire, &sizes),
        ] {
            prop_assert_eq!(events.pop(), Some(Event::Binary(payload[..sent].to_vec())));
            prop_assert!(events.iter().all(|event| *event == Event::Ping(b"between".to_vec())));
        }
    }

    #[test]
    fn what_arrives_decides_and_not_in_which_pieces(wire in any_frames(), cut in 0..60_usize, sizes in sizes()) {
        let wire = &wire[..wire.len().saturating_sub(cut)];
        let whole = decode(Role::Server, 300, [wire]);
        prop_assert_eq!(&decode(Role::Server, 300, pieces(wire, &sizes)), &whole);
        prop_assert_eq!(&decode_into_room(Role::Server, 300, wire, &sizes), &whole);
        prop_assert_eq!(&decode_paused(Role::Server, 300, wire), &whole);
    }

    #[test]
    fn bytes_at_random_do_no_harm(wire in prop::collection::vec(any::<u8>(), 0..200), sizes in sizes()) {
        for role in [Role::Server, Role::Client] {
            let whole = decode(role, 50, [&wire[..]]);
            prop_assert_eq!(&decode_into_room(role, 50, &wire, &sizes), &whole);
        }
    }

    #[test]
    fn masking_twice_changes_nothing(payload in prop::collection::vec(any::<u8>(), 0..100), key in any::<[u8; 4]>()) {
        let mut bytes = payload.clone();
        mask(&mut bytes, key);
        let naive: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        prop_assert_eq!(&bytes, &naive);
        mask(&mut bytes, key);
        prop_assert_eq!(bytes, payload);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_as_tungstenite(wire in any_frames(), sizes in sizes()) {
        let mut events = decode(Role::Server, 300, pieces(&wire, &sizes));
        let mut expected = reference(Role::Server, 300, &wire);
        if expected.last() == Some(&INVALID_DATA) {
            expected.pop();
            prop_assert!(events.starts_with(&expected), "{events:?} {expected:?}");
        } else {
            // Of several faults of one frame, either names another.
            for last in [events.last_mut(), expected.last_mut()].into_iter().flatten() {
                if *last == TOO_BIG {
                    *last = PROTOCOL;
                }
            }
            prop_assert_eq!(events, expected);
        }
    }
}
