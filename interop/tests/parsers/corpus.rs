//! Packets, right and wrong: the same ones in each run.

use std::collections::BTreeMap;

use socketio_protocol::{Random, Seed};

use crate::ours::Message;
use crate::pools::*;

/// Draws from a seed.
pub(crate) struct Draw(Random);

impl Draw {
    pub(crate) fn new(seed: u8) -> Self {
        Self(Random::new(Seed::new([seed; 32])))
    }

    fn below(&mut self, count: usize) -> usize {
        u32::from_le_bytes(self.0.bytes()) as usize % count
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    fn bytes(&mut self, max: usize) -> Vec<u8> {
        (0..self.below(max + 1)).map(|_| self.0.bytes::<1>()[0]).collect()
    }
}

/// A connection's messages of Socket.IO, mostly one packet.
pub(crate) fn connection(draw: &mut Draw) -> Vec<Message> {
    let mut messages = packet(draw);
    if draw.one_in(10) {
        messages.extend(packet(draw));
    }
    if draw.one_in(20) {
        let (one, other) = (draw.below(messages.len()), draw.below(messages.len()));
        messages.swap(one, other);
    }
    messages
}

fn packet(draw: &mut Draw) -> Vec<Message> {
    let kind = if draw.one_in(40) { draw.of(&WRONG_TYPES) } else { draw.of(&TYPES) };
    let binary = matches!(kind, "5" | "6");
    let (count, declared) = match binary {
        true if draw.one_in(8) => (draw.below(3), draw.of(&WRONG_COUNTS).to_owned()),
        true => {
            let count = 1 + draw.below(3);
            (count, format!("{count}-"))
        }
        false => (0, if draw.one_in(50) { "1-".into() } else { String::new() }),
    };
    let namespace = if draw.one_in(3) { draw.of(&NAMESPACES) } else { "" };
    let id = match draw.below(6) {
        0 => draw.of(&IDS),
        1 => draw.of(&["0", "1", "12"]),
        _ => "",
    };
    let payload = match kind {
        "0" | "1" | "4" => draw
            .of(&["", "", "{}", "{\"sid\":\"x\"}", "{\"message\":\"no\",\"data\":{\"a\":1}}", "\"no\"", "[]"])
            .into(),
        _ if draw.one_in(10) => draw.of(&PAYLOADS).into(),
        _ => list(draw, kind, count),
    };
    let mut text = format!("{kind}{declared}{namespace}{id}{payload}");
    if draw.one_in(4) {
        mutate(draw, &mut text);
    }
    let sent = if draw.one_in(20) { draw.below(4) } else { count };
    let attachments = (0..sent).map(|_| Message::Bytes { bytes: draw.bytes(6) });
    [Message::Text(text)].into_iter().chain(attachments).collect()
}

fn list(draw: &mut Draw, kind: &str, attachments: usize) -> String {
    let name = draw.of(&NAMES).to_owned();
    let mut items = if matches!(kind, "2" | "5") { vec![name] } else { Vec::new() };
    items.extend((0..draw.below(4)).map(|_| value(draw, attachments, 0)));
    for number in 0..attachments {
        if !draw.one_in(4) {
            items.push(format!("{{\"_placeholder\":true,\"num\":{number}}}"));
        }
    }
    let space = draw.of(&["", "", "", " ", "\n\t"]);
    format!("[{}]", items.join(&format!("{space},{space}")))
}

fn value(draw: &mut Draw, attachments: usize, depth: usize) -> String {
    match draw.below(if depth < 4 { 9 } else { 6 }) {
        0 => draw.of(&["null", "true", "false"]).into(),
        1 => draw.of(&NUMBERS).into(),
        2 => f64::from_bits(u64::from_le_bytes(draw.0.bytes())).to_string().replace("NaN", "0").replace("inf", "1"),
        3 => (u64::from_le_bytes(draw.0.bytes()) >> draw.below(64)).to_string(),
        4 => draw.of(&STRINGS).into(),
        5 => draw.of(&PLACEHOLDERS).into(),
        6 => {
            let items: Vec<_> = (0..draw.below(4)).map(|_| value(draw, attachments, depth + 1)).collect();
            format!("[{}]", items.join(","))
        }
        _ => object(draw, attachments, depth),
    }
}

/// No key is there twice: [`PLACEHOLDERS`] have such.
fn object(draw: &mut Draw, attachments: usize, depth: usize) -> String {
    let mut entries = BTreeMap::new();
    for _ in 0..draw.below(4) {
        let key = draw.of(&KEYS);
        let name: String = serde_json::from_str(key).expect("a key is a string");
        entries.insert(name, format!("{key}:{}", value(draw, attachments, depth + 1)));
    }
    format!("{{{}}}", entries.into_values().collect::<Vec<_>>().join(","))
}

/// Breaks a text in a few places.
fn mutate(draw: &mut Draw, text: &mut String) {
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..1 + draw.below(3) {
        let at = draw.below(characters.len() + 1);
        match draw.below(4) {
            0 => characters.truncate(at.max(1)),
            1 if at < characters.len() => drop(characters.remove(at)),
            2 if at < characters.len() => characters[at] = draw.of(&MUTANTS).chars().next().unwrap_or('x'),
            _ => characters.splice(at..at, draw.of(&MUTANTS).chars()).for_each(drop),
        }
    }
    *text = characters.into_iter().collect();
}

/// Each of the classics with each type, and with an id or not.
pub(crate) fn classics() -> Vec<Vec<Message>> {
    let mut texts: Vec<String> = Vec::new();
    let types = || TYPES.iter().chain(&WRONG_TYPES).copied();
    let with_counts = types().flat_map(|kind| match kind {
        "5" | "6" => ["1-", "2-"].iter().chain(&WRONG_COUNTS).map(|count| format!("{kind}{count}")).collect(),
        _ => vec![kind.to_owned()],
    });
    for start in with_counts {
        texts.extend(PAYLOADS.iter().map(|payload| format!("{start}{payload}")));
        texts.extend(IDS.iter().map(|id| format!("{start}{id}[\"m\"]")));
        texts.extend(NAMESPACES.iter().flat_map(|namespace| {
            ["", "{}", "[\"m\"]", "7[\"m\"]"].map(|payload| format!("{start}{namespace}{payload}"))
        }));
        for length in [511, 512, 513] {
            texts.push(format!("{start}/{},[\"m\"]", "n".repeat(length - 1)));
        }
    }
    for kind in ["2", "3", "51-", "61-"] {
        texts.extend(NUMBERS.iter().chain(&STRINGS).chain(&PLACEHOLDERS).flat_map(|value| {
            [format!("{kind}[\"m\",{value}]"), format!("{kind}[{value}]"), format!("{kind}[\"m\",{{\"a\":[{value}]}}]")]
        }));
        texts.extend(KEYS.iter().map(|key| format!("{kind}[\"m\",{{{key}:{{\"_placeholder\":true,\"num\":0}}}}]")));
        for depth in [100, 126, 127, 128, 200, 5_000] {
            texts.push(format!("{kind}[\"m\",{}{}]", "[".repeat(depth), "]".repeat(depth)));
        }
    }
    let attached = |text: String| {
        let binary = text.starts_with(['5', '6']);
        let count = text.get(1..2).and_then(|count| count.parse().ok()).filter(|_| binary).unwrap_or(0);
        let attachments = (0..count).map(|number| Message::Bytes { bytes: vec![number, 0xff, 0xc3, 0x28] });
        [Message::Text(text)].into_iter().chain(attachments).collect()
    };
    let mut all: Vec<Vec<Message>> = texts.into_iter().map(attached).collect();
    all.extend(SEQUENCES.iter().map(|sequence| {
        let message = |text: &&str| match *text {
            "<bytes>" => Message::Bytes { bytes: b"\xff\xfe".to_vec() },
            text => Message::Text(text.into()),
        };
        sequence.iter().map(message).collect()
    }));
    all
}

/// A packet of Engine.IO, or several of them as a polling payload.
pub(crate) fn payload(draw: &mut Draw) -> String {
    let packets: Vec<_> = (0..1 + draw.below(4)).map(|_| engine_packet(draw)).collect();
    let mut payload = packets.join("\u{1e}");
    if draw.one_in(4) {
        mutate(draw, &mut payload);
    }
    payload
}

fn engine_packet(draw: &mut Draw) -> String {
    match draw.below(8) {
        0 => draw.of(&ENGINE).into(),
        1 => format!("b{}", draw.of(&BASE64)),
        2 | 3 => {
            use base64::Engine as _;
            use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
            let bytes = draw.bytes(20);
            let engine = draw.of(&[&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]);
            format!("b{}", engine.encode(bytes))
        }
        _ => format!("{}{}", draw.of(&["0", "1", "2", "3", "4", "4", "4", "5", "6"]), draw.of(&TEXTS)),
    }
}

pub(crate) fn payload_classics() -> Vec<String> {
    let packets = ENGINE.iter().map(ToString::to_string).chain(BASE64.iter().map(|text| format!("b{text}")));
    packets
        .flat_map(|packet| {
            let first = format!("{packet}\u{1e}4after");
            let last = format!("4before\u{1e}{packet}");
            let both = format!("\u{1e}{packet}\u{1e}");
            [packet, first, last, both]
        })
        .collect()
}

/// Messages of Engine.IO, as an application sends them.
pub(crate) fn messages(draw: &mut Draw) -> Vec<Message> {
    let message = |draw: &mut Draw| match draw.below(3) {
        0 => Message::Bytes { bytes: draw.bytes(40) },
        _ => Message::Text(draw.of(&TEXTS).into()),
    };
    (0..1 + draw.below(5)).map(|_| message(draw)).collect()
}
