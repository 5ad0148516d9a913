//! The cases of the Autobahn test suite, by its numbers: what a peer sends, and what is to be made of it. The table is also
//! what machines and programs are tested with, so that it needs nothing of this crate.
//!
//! Sections 12 and 13 are about compression, which is never agreed on; what a compressed frame is without it, 3 says.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

/// What a peer sends, and what comes of it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The number, with a letter behind it where the suite has no such case.
    pub(crate) number: String,
    pub(crate) frames: Vec<Frame>,
    /// The first fault, and the peer's goodbye, are the end.
    pub(crate) expected: Vec<Event>,
    /// What the suite expects where that is something else, and why it is.
    pub(crate) differs: Option<(Vec<Event>, &'static str)>,
}

/// A frame as it stands on the wire, but for its masking.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

/// What a decoder gives, in owned form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
    /// The code to close with.
    Failed(u16),
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = framing();
    cases.extend(pings());
    cases.extend(reserved_bits());
    cases.extend(opcodes());
    cases.extend(fragmentation());
    cases.extend(fragmented_utf8());
    cases.extend(utf8());
    cases.extend(closing());
    cases.extend(sizes());
    cases
}

impl Case {
    fn new(number: &str, frames: impl Into<Vec<Frame>>, expected: impl Into<Vec<Event>>) -> Self {
        Self { number: number.into(), frames: frames.into(), expected: expected.into(), differs: None }
    }

    /// A message that is given as it came.
    fn message(number: &str, message: Frame) -> Self {
        let event = match message.first {
            TEXT => text(core::str::from_utf8(&message.payload).expect("the message is legal")),
            _ => Event::Binary(message.payload.clone()),
        };
        Self::new(number, [message], [event])
    }
}

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
/// The first fragment of a message, one in the middle, and the last.
const FIRST: u8 = 0x01;
const FIRST_BINARY: u8 = 0x02;
const NEXT: u8 = 0x00;
const LAST: u8 = 0x80;

const PROTOCOL: Event = Event::Failed(1002);
const INVALID_DATA: Event = Event::Failed(1007);
const POLICY: Event = Event::Failed(1008);

fn frame(first: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame { first, payload: payload.as_ref().to_vec() }
}

fn text(text: &str) -> Event {
    Event::Text(text.to_string())
}

fn ping(payload: impl AsRef<[u8]>) -> Event {
    Event::Ping(payload.as_ref().to_vec())
}

/// Section 1: text and binary messages of every class of length.
fn framing() -> Vec<Case> {
    let lengths = (1..).zip([0, 125, 126, 127, 128, 65_535, 65_536]);
    let both = |(number, len)| {
        let text = Case::message(&format!("1.1.{number}"), frame(TEXT, "*".repeat(len)));
        [text, Case::message(&format!("1.2.{number}"), frame(BINARY, vec![0xfe; len]))]
    };
    lengths.flat_map(both).collect()
}

/// Section 2. 2.6 and 2.11 are 2.4 and 2.10, byte by byte.
fn pings() -> Vec<Case> {
    let ten: Vec<_> = (0..10).map(|number| format!("payload-{number}")).collect();
    let several = (ten.iter().map(|payload| frame(PING, payload)), ten.iter().map(ping));
    vec![
        Case::new("2.1", [frame(PING, "")], [ping("")]),
        Case::new("2.2", [frame(PING, "Hello, world!")], [ping("Hello, world!")]),
        Case::new(
            "2.3",
            [frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")],
            [ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")],
        ),
        Case::new("2.4", [frame(PING, [0xfe; 125])], [ping([0xfe; 125])]),
        Case::new("2.5", [frame(PING, [0xfe; 126])], [PROTOCOL]),
        Case::new("2.5a", [frame(PONG, [0xfe; 126])], [PROTOCOL]),
        Case::new("2.5b", [frame(PING, [0xfe; 65_536])], [PROTOCOL]),
        Case::new("2.7", [frame(PONG, "")], [Event::Pong(vec![])]),
        Case::new("2.8", [frame(PONG, "unsolicited")], [Event::Pong(b"unsolicited".to_vec())]),
        Case::new(
            "2.9",
            [frame(PONG, "unsolicited"), frame(PING, "ping")],
            [Event::Pong(b"unsolicited".to_vec()), ping("ping")],
        ),
        Case::new("2.10", several.0.collect::<Vec<_>>(), several.1.collect::<Vec<_>>()),
    ]
}

/// Section 3. CVE-2022-21676: a frame with RSV2 or RSV3 set.
fn reserved_bits() -> Vec<Case> {
    let hello = || frame(TEXT, "Hello, world!");
    let bits = |first: u8, bits: u8| frame(first | bits << 4, "Hello, world!");
    let mut cases = vec![
        Case::new("3.1", [bits(TEXT, 1)], [PROTOCOL]),
        Case::new("3.2", [hello(), bits(TEXT, 2), frame(PING, "")], [text("Hello, world!"), PROTOCOL]),
        Case::new("3.3", [hello(), bits(TEXT, 3), frame(PING, "")], [text("Hello, world!"), PROTOCOL]),
        Case::new("3.4", [hello(), bits(TEXT, 4), frame(PING, "")], [text("Hello, world!"), PROTOCOL]),
        Case::new("3.5", [bits(BINARY, 5)], [PROTOCOL]),
        Case::new("3.6", [bits(PING, 6)], [PROTOCOL]),
        Case::new("3.7", [frame(CLOSE | 7 << 4, b"\x03\xe8")], [PROTOCOL]),
    ];
    for bits in 1..8 {
        let of = |first: u8| {
            Case::new(&format!("3.7{}", char::from(b'a' + bits)), [frame(first | bits << 4, "")], [PROTOCOL])
        };
        cases.extend([LAST, TEXT, BINARY, CLOSE, PING, PONG].map(of));
        let inside = [frame(FIRST, "a"), frame(LAST | bits << 4, "b")];
        cases.push(Case::new(&format!("3.7{}", char::from(b'a' + bits)), inside, [PROTOCOL]));
    }
    cases
}

/// Section 4: those of messages are 4.1, those of control frames 4.2.
fn opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, opcode) in (1..6)
        .zip(3..8)
        .map(|(number, opcode)| (format!("4.1.{number}"), opcode))
        .chain((1..6).zip(11..16).map(|(number, opcode)| (format!("4.2.{number}"), opcode)))
    {
        cases.push(Case::new(&number, [frame(0x80 | opcode, "")], [PROTOCOL]));
        cases.push(Case::new(
            &number,
            [frame(TEXT, "Hello, world!"), frame(0x80 | opcode, "reserved"), frame(PING, "")],
            [text("Hello, world!"), PROTOCOL],
        ));
        cases.push(Case::new(&format!("{number}a"), [frame(opcode, "")], [PROTOCOL]));
        cases.push(Case::new(&format!("{number}b"), [frame(FIRST, "a"), frame(0x80 | opcode, "b")], [PROTOCOL]));
    }
    cases
}

/// Section 5. Those that differ only in how the bytes are cut into pieces are there once.
fn fragmentation() -> Vec<Case> {
    let whole = || text("fragment1fragment2");
    let five = |ping_between: &[&str]| {
        let mut frames = vec![
            frame(FIRST, "fragment1"),
            frame(NEXT, "fragment2"),
            frame(NEXT, "fragment3"),
            frame(NEXT, "fragment4"),
            frame(LAST, "fragment5"),
        ];
        (0..).zip(ping_between).for_each(|(at, payload)| frames.insert(2 + 3 * at, frame(PING, payload)));
        frames
    };
    let pings = ["pongme 1!", "pongme 2!"];
    let five_and_pings = [ping(pings[0]), ping(pings[1]), text("fragment1fragment2fragment3fragment4fragment5")];
    let mut cases = vec![
        Case::new("5.1", [frame(0x09, "fragment1"), frame(LAST, "fragment2")], [PROTOCOL]),
        Case::new("5.2", [frame(0x0a, "fragment1"), frame(LAST, "fragment2")], [PROTOCOL]),
        Case::new("5.2a", [frame(0x08, ""), frame(LAST, "")], [PROTOCOL]),
        Case::new("5.3", [frame(FIRST, "fragment1"), frame(LAST, "fragment2")], [whole()]),
        Case::new(
            "5.3a",
            [frame(FIRST_BINARY, b"\xff"), frame(NEXT, b"\xfe"), frame(LAST, "")],
            [Event::Binary(vec![0xff, 0xfe])],
        ),
        Case::new(
            "5.3b",
            [frame(FIRST, "a"), frame(LAST, "b"), frame(FIRST_BINARY, "c"), frame(LAST, "d"), frame(TEXT, "e")],
            [text("ab"), Event::Binary(b"cd".to_vec()), text("e")],
        ),
        Case::new(
            "5.6",
            [frame(FIRST, "fragment1"), frame(PING, "ping"), frame(LAST, "fragment2")],
            [ping("ping"), whole()],
        ),
        Case::new(
            "5.6a",
            [
                frame(FIRST, "a"),
                frame(PONG, "1"),
                frame(NEXT, "b"),
                frame(PING, "2"),
                frame(LAST, "c"),
                frame(TEXT, "d"),
            ],
            [Event::Pong(b"1".to_vec()), ping("2"), text("abc"), text("d")],
        ),
        Case::new("5.9", [frame(LAST, "non-continuation"), frame(TEXT, "Hello, world!")], [PROTOCOL]),
        Case::new("5.12", [frame(NEXT, "non-continuation"), frame(TEXT, "Hello, world!")], [PROTOCOL]),
        Case::new(
            "5.15",
            [frame(FIRST, "fragment1"), frame(LAST, "fragment2"), frame(NEXT, "fragment3"), frame(TEXT, "fragment4")],
            [whole(), PROTOCOL],
        ),
        Case::new(
            "5.15a",
            [frame(FIRST, "fragment1"), frame(LAST, "fragment2"), frame(LAST, "fragment3")],
            [whole(), PROTOCOL],
        ),
        Case::new("5.15b", [frame(TEXT, "a"), frame(LAST, "b")], [text("a"), PROTOCOL]),
        Case::new("5.16", [frame(NEXT, "fragment1"), frame(FIRST, "fragment2"), frame(LAST, "fragment3")], [PROTOCOL]),
        Case::new("5.17", [frame(LAST, "fragment1"), frame(FIRST, "fragment2"), frame(LAST, "fragment3")], [PROTOCOL]),
        Case::new("5.19", five(&pings), five_and_pings),
    ];
    for first in [TEXT, BINARY, FIRST, FIRST_BINARY] {
        cases.push(Case::new("5.18", [frame(FIRST, "fragment1"), frame(first, "fragment2")], [PROTOCOL]));
    }
    cases
}

/// The greek word `κόσμε`, which the suite is fond of.
const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

/// Sections 6.1 to 6.4. 6.4.3 and 6.4.4 are 6.4.1 and 6.4.2 in one frame, in pieces.
///
/// The suite would like the connection of 6.4 to be closed before the message is whole, but accepts that it is not.
fn fragmented_utf8() -> Vec<Case> {
    let fragments = |pieces: &[&[u8]]| {
        let last = pieces.len() - 1;
        let first = |at: usize| u8::from(at == 0) | if at == last { LAST } else { NEXT };
        (0..).zip(pieces).map(|(at, piece)| frame(first(at), piece)).collect::<Vec<_>>()
    };
    let by_bytes = |bytes: &[u8]| fragments(&bytes.chunks(1).collect::<Vec<_>>());
    let hello = "Hello-µ@ßöäüàá-UTF-8!!";
    let wrong = [KOSME, b"\xed\xa0\x80edited"].concat();
    let kosme = "κόσμε";
    let mut cases = vec![
        Case::new("6.1.2", fragments(&[b"", b"", b""]), [text("")]),
        Case::new("6.1.3", fragments(&[b"", b"middle frame payload", b""]), [text("middle frame payload")]),
        Case::message("6.2.1", frame(TEXT, hello)),
        Case::new("6.2.2", fragments(&["Hello-µ@ßöä".as_bytes(), "üàá-UTF-8!!".as_bytes()]), [text(hello)]),
        Case::new("6.2.3", by_bytes(hello.as_bytes()), [text(hello)]),
        Case::new("6.2.4", by_bytes(kosme.as_bytes()), [text(kosme)]),
        Case::new("6.3.1", [frame(TEXT, &wrong)], [INVALID_DATA]),
        Case::new("6.3.2", by_bytes(&wrong), [INVALID_DATA]),
        Case::new("6.4.1", fragments(&[KOSME, b"\xf4\x90\x80\x80", b"edited"]), [INVALID_DATA]),
        Case::new("6.4.2", fragments(&[&[KOSME, b"\xf4"].concat(), b"\x90", b"\x80\x80edited"]), [INVALID_DATA]),
        Case::new(
            "6.4.2a",
            [frame(FIRST, "ok"), frame(PING, ""), frame(LAST, "\u{20ac}".as_bytes().split_at(2).0)],
            [ping(""), INVALID_DATA],
        ),
        Case::new(
            "6.4.2b",
            fragments(&[b"long enough for the wide path of validation, sixty-four bytes and more \xc3", b""]),
            [INVALID_DATA],
        ),
    ];
    for at in 0..=hello.len() {
        let (head, tail) = hello.as_bytes().split_at(at);
        cases.push(Case::new("6.2.2a", fragments(&[head, tail]), [text(hello)]));
    }
    cases
}

/// Sections 6.5 to 6.23: one message each, of which it is known whether it is UTF-8.
fn utf8() -> Vec<Case> {
    let prefixes: Vec<_> = (1..=KOSME.len()).map(|len| &KOSME[..len]).collect();
    let continuations: Vec<u8> = (0x80..0xbf).collect();
    let lonely = [0xc0..0xdf, 0xe0..0xef, 0xf0..0xf7, 0xf8..0xfb, 0xfc..0xfd_u8];
    let lonely = lonely.map(|range| range.flat_map(|start| [start, b' ']).collect::<Vec<u8>>());
    let incomplete: [&[u8]; 10] = [
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfb\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ];
    let noncharacters: Vec<Vec<u8>> = (1..=16_u32)
        .flat_map(|plane| [0xfffe, 0xffff].map(|low| char::from_u32(plane << 16 | low)))
        .flatten()
        .chain(['\u{fffe}', '\u{ffff}'])
        .map(|c| c.to_string().into_bytes())
        .collect();
    let sections: [Vec<&[u8]>; 19] = [
        vec![b"hello$world", b"hello\xc2\xa2world", b"hello\xe2\x82\xacworld", b"hello\xf0\xa4\xad\xa2world", KOSME],
        prefixes,
        vec![b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
        vec![b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
        vec![b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
        vec![b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
        vec![b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"],
        vec![
            b"\x80", b"\xbf", b"\x80\xbf", b"\x80\xbf\x80", b"\x80\xbf\x80\xbf", b"\x80\xbf\x80\xbf\x80",
            b"\x80\xbf\x80\xbf\x80\xbf", &continuations,
        ],
        lonely.iter().map(Vec::as_slice).collect(),
        incomplete.to_vec(),
        vec![b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf"],
        vec![b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
        vec![b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"],
        vec![b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"],
        vec![b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"],
        vec![
            b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf", b"\xed\xb0\x80", b"\xed\xbe\x80",
            b"\xed\xbf\xbf",
        ],
        vec![
            b"\xed\xa0\x80\xed\xb0\x80", b"\xed\xa0\x80\xed\xbf\xbf", b"\xed\xad\xbf\xed\xb0\x80",
            b"\xed\xad\xbf\xed\xbf\xbf", b"\xed\xae\x80\xed\xb0\x80", b"\xed\xae\x80\xed\xbf\xbf",
            b"\xed\xaf\xbf\xed\xb0\x80", b"\xed\xaf\xbf\xed\xbf\xbf",
        ],
        noncharacters.iter().map(Vec::as_slice).collect(),
        vec![
            b"\xef\xbf\xb9", b"\xef\xbf\xba", b"\xef\xbf\xbb", b"\xef\xbf\xbc", b"\xef\xbf\xbd", b"\xef\xbf\xbe",
            b"\xef\xbf\xbf",
        ],
    ];
    /// Those that are not UTF-8, all of them or from, and up to, such a one.
    fn is_valid(section: usize, number: usize) -> bool {
        match section {
            6 => [2, 5, 7, 9, 11].contains(&number),
            8 | 10 | 12..=21 => false,
            11 => number < 5,
            _ => true,
        }
    }
    let case = |section: usize, number: usize, payload: &[u8]| {
        let expected = match is_valid(section, number) {
            true => text(core::str::from_utf8(payload).expect("the table says so")),
            false => INVALID_DATA,
        };
        let number = format!("6.{section}.{number}");
        [
            Case::new(&number, [frame(TEXT, payload)], [expected.clone()]),
            Case::new(&format!("{number}a"), [frame(FIRST, payload), frame(LAST, "")], [expected]),
            Case::message(&format!("{number}b"), frame(BINARY, payload)),
        ]
    };
    (5..)
        .zip(&sections)
        .flat_map(|(section, payloads)| {
            (1..).zip(payloads).flat_map(move |(number, payload)| case(section, number, payload))
        })
        .collect()
}

/// Section 7.
fn closing() -> Vec<Case> {
    let close = |code: u16, reason: &[u8]| frame(CLOSE, [&code.to_be_bytes(), reason].concat());
    let normal = || close(1000, b"");
    let closed = |code| Event::Close(Some(code));
    let hello = || text("Hello World!");
    let large = "BAsd7&jh23".repeat(26_215);
    let mut cases = vec![
        Case::new("7.1.1", [frame(TEXT, "Hello World!"), normal()], [hello(), closed(1000)]),
        Case::new("7.1.2", [normal(), normal()], [closed(1000)]),
        Case::new("7.1.3", [normal(), frame(PING, "")], [closed(1000)]),
        Case::new("7.1.4", [normal(), frame(TEXT, "Hello World!")], [closed(1000)]),
        Case::new("7.1.5", [frame(FIRST, "fragment1"), normal(), frame(LAST, "fragment2")], [closed(1000)]),
        Case::new(
            "7.1.6",
            [frame(TEXT, &large), frame(TEXT, "Hello World!"), normal(), frame(PING, "")],
            [text(&large), hello(), closed(1000)],
        ),
        Case::new("7.3.1", [frame(CLOSE, "")], [Event::Close(None)]),
        Case::new("7.3.2", [frame(CLOSE, "a")], [PROTOCOL]),
        Case::new("7.3.3", [normal()], [closed(1000)]),
        Case::new("7.3.4", [close(1000, "Hello World!".as_bytes())], [closed(1000)]),
        Case::new("7.3.5", [close(1000, &[b'*'; 123])], [closed(1000)]),
        Case::new("7.3.6", [close(1000, &[b'*'; 124])], [PROTOCOL]),
        Case::new("7.5.1", [close(1000, &[KOSME, b"\xed\xa0\x80edited"].concat())], [INVALID_DATA]),
        Case::new("7.5.1a", [close(1000, KOSME)], [closed(1000)]),
        Case::new("7.5.1b", [close(1000, &KOSME[..3])], [INVALID_DATA]),
        Case::new("7.13.1", [close(5000, b"")], [PROTOCOL]),
        Case::new("7.13.2", [close(65_535, b"")], [PROTOCOL]),
    ];
    let legal = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    cases.extend(
        (1..).zip(legal).map(|(number, code)| Case::new(&format!("7.7.{number}"), [close(code, b"")], [closed(code)])),
    );
    let illegal = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    cases.extend(
        (1..).zip(illegal).map(|(number, code)| Case::new(&format!("7.9.{number}"), [close(code, b"")], [PROTOCOL])),
    );
    cases.extend([1, 1015].map(|code| Case::new("7.9.9a", [close(code, b"")], [PROTOCOL])));
    cases
}

/// Sections 9 and 10. 9.5 and 9.6 are 9.1.3 and 9.2.3 in pieces, as all cases are; 9.7 and 9.8 measure time.
fn sizes() -> Vec<Case> {
    const KIB: usize = 1 << 10;
    let message = |len: usize| "BAsd7&jh23".repeat(len / 10 + 1)[..len].to_string();
    let mut cases = Vec::new();
    for (number, len) in (1..).zip([64 * KIB, 256 * KIB, 1024 * KIB, 4096 * KIB, 8192 * KIB, 16_384 * KIB]) {
        cases.push(Case::message(&format!("9.1.{number}"), frame(TEXT, message(len))));
        cases.push(Case::message(&format!("9.2.{number}"), frame(BINARY, message(len))));
    }
    let whole = message(4096 * KIB);
    for (number, size) in (1..).zip([64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB, 4096 * KIB]) {
        let of = |section, opcode, event| {
            let number = format!("9.{section}.{number}");
            let (expected, differs) = match whole.len() / size {
                ..=MAX_FRAGMENTS => (event, None),
                _ => (POLICY, Some((vec![event], "no message has more than 1 024 fragments"))),
            };
            Case { differs, ..Case::new(&number, fragmented(opcode, whole.as_bytes(), size), [expected]) }
        };
        cases.push(of(3, FIRST, text(&whole)));
        cases.push(of(4, FIRST_BINARY, Event::Binary(whole.clone().into_bytes())));
    }
    for (number, len) in (1..).zip([0, 16, 64, 256, KIB, 4 * KIB]) {
        let message = message(len);
        let messages = (vec![frame(TEXT, &message); 100], vec![text(&message); 100]);
        cases.push(Case::new(&format!("9.7.{number}"), messages.0, messages.1));
        let messages = (vec![frame(BINARY, &message); 100], vec![Event::Binary(message.into_bytes()); 100]);
        cases.push(Case::new(&format!("9.8.{number}"), messages.0, messages.1));
    }
    let auto = message(64 * KIB);
    cases.push(Case::new("10.1.1", fragmented(FIRST, auto.as_bytes(), 1300), [text(&auto)]));
    cases
}

/// How many fragments a message may have.
const MAX_FRAGMENTS: usize = 1024;

fn fragmented(opcode: u8, payload: &[u8], size: usize) -> Vec<Frame> {
    let count = payload.len().div_ceil(size);
    let first = |at: usize| if at == 0 { opcode } else { 0 } | if at + 1 == count { LAST } else { 0 };
    (0..).zip(payload.chunks(size)).map(|(at, piece)| frame(first(at), piece)).collect()
}
