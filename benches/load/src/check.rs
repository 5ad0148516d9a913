//! What is sent, and whether every answer is right, in order and there exactly once.

use core::ops::AddAssign;

use serde::Serialize;

use crate::wire::{BINARY, MASK, TEXT, write_masked};

/// Digits of a message's number.
const DIGITS: usize = 10;
/// Added to every number, so that an ack id has the same length everywhere.
const BASE: u64 = 1_000_000_000;
/// Further ahead than anything that can be in flight.
const MAX_GAP: u64 = 1 << 16;
/// Stands for the number in a template; no scenario sends it otherwise.
const HOLE: [u8; DIGITS] = *b"##########";

/// Answers that were not as they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Neither an answer nor anything that the protocols allow.
    pub wrong: u64,
    /// Never arrived.
    pub lost: u64,
    /// Arrived once more.
    pub duplicated: u64,
    /// Arrived after one that should have come later.
    pub reordered: u64,
}

impl Faults {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.wrong + self.lost + self.duplicated + self.reordered
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.wrong += other.wrong;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }
}

/// A message with a hole for its number: one packet, or two with an attachment.
#[derive(Clone, Debug)]
pub struct Template {
    packets: Vec<Packet>,
}

#[derive(Clone, Debug)]
struct Packet {
    opcode: u8,
    bytes: Vec<u8>,
    /// Where the number stands.
    holes: Vec<usize>,
}

/// What is sent, and what is to come back.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request.
    pub request: Template,
    /// The answer.
    pub answer: Template,
}

impl Exchange {
    /// An event that comes back as it is; `namespace` is empty, or like `/chat,`.
    pub fn echo(namespace: &str, event: &str, connection: usize, size: usize) -> Self {
        let text = format!("42{namespace}[\"{event}\",\"{}\"]", filling(connection, size));
        let template = Template::text(&text);
        Self { request: template.clone(), answer: template }
    }

    /// An event `ack` whose argument comes back as its ack.
    pub fn ack(connection: usize, size: usize) -> Self {
        let (id, filling) = (str::from_utf8(&HOLE).unwrap_or_default(), filling(connection, size));
        Self {
            request: Template::text(&format!("42{id}[\"ack\",\"{filling}\"]")),
            answer: Template::text(&format!("43{id}[\"{filling}\"]")),
        }
    }

    /// An event `echo` with one attachment.
    pub fn binary(connection: usize, size: usize) -> Self {
        let mut template = Template::text(r#"451-["echo",{"_placeholder":true,"num":0}]"#);
        template.packets.push(Packet::new(BINARY, filling(connection, size).into_bytes()));
        Self { request: template.clone(), answer: template }
    }
}

/// `size` characters that tell connections apart and show a shift.
fn filling(connection: usize, size: usize) -> String {
    let mut text: String = ('a'..='z').cycle().take(size.saturating_sub(DIGITS + 8)).collect();
    text.push_str(&format!("-{connection:06}-"));
    text.push_str(str::from_utf8(&HOLE).unwrap_or_default());
    text
}

impl Template {
    fn text(text: &str) -> Self {
        Self { packets: vec![Packet::new(TEXT, text.as_bytes().to_vec())] }
    }

    /// Appends the message as it stands in a polling payload.
    pub fn write_packet(&self, number: u64, out: &mut Vec<u8>) {
        for packet in &self.packets {
            let begin = out.len();
            out.extend_from_slice(&packet.bytes);
            packet.holes.iter().for_each(|hole| out[begin + hole..][..DIGITS].copy_from_slice(&digits(number)));
        }
    }
}

impl Packet {
    fn new(opcode: u8, bytes: Vec<u8>) -> Self {
        let (mut holes, mut at) = (Vec::new(), 0);
        while let Some(found) = memchr::memmem::find(&bytes[at..], &HOLE) {
            holes.push(at + found);
            at += found + DIGITS;
        }
        Self { opcode, bytes, holes }
    }

    /// The number that fills the holes of `payload`; `None` if that is no such packet. `Some(None)` if there is no hole.
    fn number(&self, opcode: u8, payload: &[u8]) -> Option<Option<u64>> {
        if opcode != self.opcode || payload.len() != self.bytes.len() {
            return None;
        }
        let (mut at, mut number) = (0, None);
        for &hole in &self.holes {
            let found = parse(&payload[hole..hole + DIGITS])?;
            if payload[at..hole] != self.bytes[at..hole] || number.is_some_and(|other| other != found) {
                return None;
            }
            number = Some(found);
            at = hole + DIGITS;
        }
        (payload[at..] == self.bytes[at..]).then_some(number)
    }
}

fn digits(number: u64) -> [u8; DIGITS] {
    let mut rest = BASE + number;
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

fn parse(digits: &[u8]) -> Option<u64> {
    let number = digits
        .iter()
        .try_fold(0_u64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')));
    number?.checked_sub(BASE)
}

/// Writes the frames of a template, masked beforehand.
#[derive(Clone, Debug)]
pub struct Encoder {
    frames: Vec<u8>,
    /// Where a number stands in `frames`, and which byte of the mask is the first.
    holes: Vec<(usize, usize)>,
}

impl Encoder {
    /// For messages like `template`.
    pub fn new(template: &Template) -> Self {
        let (mut frames, mut holes) = (Vec::new(), Vec::new());
        for packet in &template.packets {
            write_masked(packet.opcode, &packet.bytes, &mut frames);
            let start = frames.len() - packet.bytes.len();
            holes.extend(packet.holes.iter().map(|hole| (start + hole, hole % MASK.len())));
        }
        Self { frames, holes }
    }

    /// Appends the frames of a message.
    pub fn write(&self, number: u64, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&self.frames);
        let digits = digits(number);
        for &(hole, phase) in &self.holes {
            let key = MASK.iter().cycle().skip(phase);
            for ((byte, digit), key) in out[begin + hole..][..DIGITS].iter_mut().zip(digits).zip(key) {
                *byte = digit ^ key;
            }
        }
    }
}

/// What a received packet was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The rest of the answer to the message with this number, or all of it.
    Answer(u64),
    /// An answer of which more is to come, or one that has been here before.
    Nothing,
    /// A heartbeat that wants an answer.
    Ping,
    /// Not what was waited for; it has been counted.
    Wrong,
}

/// The answers that one connection is to get, numbered from 0.
#[derive(Clone, Debug)]
pub struct Sequence {
    template: Template,
    /// Which packet of an answer is the next.
    part: usize,
    next: u64,
    /// Numbers below `next` that have not arrived.
    missing: Vec<u64>,
    faults: Faults,
}

impl Sequence {
    /// Answers like `template`.
    pub fn new(template: Template) -> Self {
        Self { template, part: 0, next: 0, missing: Vec::new(), faults: Faults::default() }
    }

    /// Judges a packet that has arrived.
    pub fn receive(&mut self, opcode: u8, payload: &[u8]) -> Verdict {
        let Some(number) = self.template.packets.get(self.part).and_then(|packet| packet.number(opcode, payload))
        else {
            return self.other(opcode, payload);
        };
        self.part += 1;
        if self.part < self.template.packets.len() {
            return Verdict::Nothing;
        }
        self.part = 0;
        // The number stands in the last packet of every template.
        number.map_or(Verdict::Nothing, |number| self.count(number))
    }

    fn other(&mut self, opcode: u8, payload: &[u8]) -> Verdict {
        match payload {
            b"2" if opcode == TEXT => Verdict::Ping,
            // What ends a poll, and what the examples greet with.
            b"6" => Verdict::Nothing,
            _ if payload.starts_with(b"42[\"auth\"") => Verdict::Nothing,
            _ => {
                self.part = 0;
                self.faults.wrong += 1;
                Verdict::Wrong
            }
        }
    }

    fn count(&mut self, number: u64) -> Verdict {
        if number == self.next {
            self.next += 1;
        } else if number > self.next + MAX_GAP {
            self.faults.wrong += 1;
            return Verdict::Wrong;
        } else if number > self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
        } else if let Some(late) = self.missing.iter().position(|&missing| missing == number) {
            self.missing.swap_remove(late);
            self.faults.reordered += 1;
        } else {
            self.faults.duplicated += 1;
            return Verdict::Nothing;
        }
        Verdict::Answer(number)
    }

    /// The faults since the last call, when `sent` messages have been sent in all and no more answers are waited for.
    pub fn settle(&mut self, sent: u64) -> Faults {
        self.faults.lost += self.missing.len() as u64 + sent.saturating_sub(self.next);
        // What nobody has sent cannot be an answer.
        self.faults.wrong += self.next.saturating_sub(sent);
        self.missing.clear();
        self.next = sent;
        self.part = 0;
        core::mem::take(&mut self.faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Header, split_frame};

    fn packet(exchange: &Exchange, number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        exchange.answer.write_packet(number, &mut bytes);
        bytes
    }

    /// The faults of an echo whose numbers arrive in this order, of `sent`.
    fn faults(sent: u64, arrived: &[u64]) -> Faults {
        let exchange = Exchange::echo("", "echo", 7, 32);
        let mut sequence = Sequence::new(exchange.answer.clone());
        for &number in arrived {
            sequence.receive(TEXT, &packet(&exchange, number));
        }
        sequence.settle(sent)
    }

    #[test]
    fn the_right_order_is_no_fault() {
        assert_eq!(faults(4, &[0, 1, 2, 3]), Faults::default());
    }

    #[test]
    fn a_lost_answer_is_found() {
        assert_eq!(faults(3, &[0, 2]), Faults { lost: 1, ..Faults::default() });
        assert_eq!(faults(3, &[0, 1]), Faults { lost: 1, ..Faults::default() });
        assert_eq!(faults(1, &[]), Faults { lost: 1, ..Faults::default() });
    }

    #[test]
    fn a_duplicated_answer_is_found() {
        assert_eq!(faults(3, &[0, 1, 1, 2]), Faults { duplicated: 1, ..Faults::default() });
    }

    #[test]
    fn a_reordered_answer_is_found() {
        assert_eq!(faults(4, &[0, 2, 1, 3]), Faults { reordered: 1, ..Faults::default() });
        assert_eq!(faults(4, &[3, 0, 1, 2]), Faults { reordered: 3, ..Faults::default() });
    }

    #[test]
    fn an_answer_to_what_was_not_sent_is_wrong() {
        assert_eq!(faults(1, &[0, 1]), Faults { wrong: 1, ..Faults::default() });
    }

    #[test]
    fn every_byte_of_an_answer_counts() {
        for exchange in [Exchange::echo("", "echo", 7, 32), Exchange::ack(7, 32), Exchange::echo("/n,", "echo", 7, 200)]
        {
            let right = packet(&exchange, 0);
            let mut sequence = Sequence::new(exchange.answer.clone());
            assert_eq!(sequence.receive(TEXT, &right), Verdict::Answer(0));
            for at in 0..right.len() {
                let mut wrong = right.clone();
                wrong[at] ^= 1;
                let mut sequence = Sequence::new(exchange.answer.clone());
                sequence.receive(TEXT, &wrong);
                assert_ne!(sequence.settle(1), Faults::default(), "byte {at}");
            }
            let mut sequence = Sequence::new(exchange.answer.clone());
            assert_eq!(sequence.receive(TEXT, &right[..right.len() - 1]), Verdict::Wrong);
            assert_eq!(sequence.receive(BINARY, &right), Verdict::Wrong);
        }
    }

    #[test]
    fn an_answer_of_another_connection_is_wrong() {
        let mut sequence = Sequence::new(Exchange::echo("", "echo", 1, 32).answer);
        assert_eq!(sequence.receive(TEXT, &packet(&Exchange::echo("", "echo", 2, 32), 0)), Verdict::Wrong);
    }

    #[test]
    fn an_ack_with_the_id_of_another_is_wrong() {
        let exchange = Exchange::ack(1, 32);
        let mut mixed = packet(&exchange, 0);
        mixed[2..2 + DIGITS].copy_from_slice(&digits(1));
        assert_eq!(Sequence::new(exchange.answer).receive(TEXT, &mixed), Verdict::Wrong);
    }

    #[test]
    fn an_attachment_belongs_to_its_packet() {
        let exchange = Exchange::binary(3, 1024);
        let packets: Vec<Vec<u8>> = [0, 1].map(|part| exchange.answer.packets[part].bytes.clone()).into();
        let mut attachment = packets[1].clone();
        attachment[1024 - DIGITS..].copy_from_slice(&digits(0));
        let mut sequence = Sequence::new(exchange.answer.clone());
        assert_eq!(sequence.receive(TEXT, &packets[0]), Verdict::Nothing);
        assert_eq!(sequence.receive(BINARY, &attachment), Verdict::Answer(0));
        assert_eq!(sequence.receive(BINARY, &attachment), Verdict::Wrong);
        assert_eq!(sequence.receive(TEXT, &packets[0]), Verdict::Nothing);
        assert_eq!(sequence.receive(TEXT, &packets[0]), Verdict::Wrong);
    }

    #[test]
    fn heartbeats_are_no_answers() {
        let mut sequence = Sequence::new(Exchange::ack(1, 32).answer);
        assert_eq!(sequence.receive(TEXT, b"2"), Verdict::Ping);
        assert_eq!(sequence.receive(TEXT, b"6"), Verdict::Nothing);
        assert_eq!(sequence.receive(TEXT, b"41"), Verdict::Wrong);
    }

    #[test]
    fn frames_hold_what_a_payload_holds() {
        for exchange in
            [Exchange::echo("", "echo", 1, 32), Exchange::ack(1, 1024), Exchange::echo("", "echo", 1, 65_536)]
        {
            let (mut frame, mut expected) = (Vec::new(), Vec::new());
            Encoder::new(&exchange.request).write(123_456, &mut frame);
            exchange.request.write_packet(123_456, &mut expected);
            let start = Header::read(&frame).expect("it is whole").start;
            let mask: [u8; 4] = *frame[start..].first_chunk().expect("it is masked");
            frame[start + 4..].iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
            frame.drain(start..start + 4);
            frame[1] &= 0x7f;
            assert_eq!(split_frame(&frame), Some((TEXT, &*expected, frame.len())));
        }
    }
}
