//! Our parsers beside the official ones, `socket.io-parser` and `engine.io-parser`: the same packets, thousands of them, right
//! and wrong, must mean the same to both, and what one writes must be the same to the other. Where they differ on purpose,
//! [`rules`] say so.

mod corpus;
mod ours;
mod pools;
mod rules;
mod tree;

use corpus::Draw;
use ours::{Message, SHAPE, Told};
use rules::{Explains, Parts, Rule};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const CONNECTIONS: usize = 8_000;
const PAYLOADS: usize = 3_000;

/// What `js/lib/parsers.mjs` answers to messages of Socket.IO.
#[derive(Deserialize)]
struct Answer {
    told: Told,
    encoded: Vec<Vec<Message>>,
    ours: Vec<Told>,
}

#[test]
fn packets_of_socket_io_mean_the_same_to_the_official_parser() {
    let mut draw = Draw::new(1);
    let mut corpus = corpus::classics();
    corpus.extend((0..CONNECTIONS).map(|_| corpus::connection(&mut draw)));
    let told: Vec<Told> = corpus.iter().map(|messages| ours::decode(messages)).collect();
    let written: Vec<_> = corpus.iter().zip(&told).map(|(messages, told)| write(messages, told)).collect();
    let questions =
        corpus.iter().zip(&written).map(|(messages, ours)| json!({ "messages": messages, "ours": ours.as_slice() }));
    let answers: Vec<Answer> = ask(questions);

    let [mut read, mut read_by_them, mut written_by_them] =
        [&rules::READING[..], &rules::READ_BY_THEM, &rules::WRITTEN_BY_THEM].map(Tally::new);
    for ((messages, ours), answer) in corpus.iter().zip(&told).zip(&answers) {
        if let Some(machine) = ours::decode_by_machine(messages) {
            assert_eq!(machine, only_heard(ours), "{messages:?}");
        }
        if !read.judge(messages, ours, &answer.told) || ours.packets.len() != 1 {
            continue;
        }
        for told in &answer.ours {
            read_by_them.judge(messages, ours, told);
        }
        if !ours.refused {
            let told = ours::decode(&answer.encoded[0]);
            written_by_them.judge(messages, ours, &told);
        }
    }
    println!("{} connections", corpus.len());
    [read, read_by_them, written_by_them].into_iter().for_each(Tally::finish);
}

/// The packet that was read, as we write it; empty if it is not one alone.
fn write(messages: &[Message], told: &Told) -> Option<Vec<Message>> {
    let is_one = messages.iter().filter(|message| matches!(message, Message::Text(_))).count() == 1;
    let is_whole = !told.refused && told.packets.iter().any(|packet| packet.data != SHAPE);
    (is_one && is_whole).then(|| ours::encode(messages)).flatten()
}

/// Nobody hears of an ack without an id.
fn only_heard(told: &Told) -> Told {
    let mut told = told.clone();
    told.packets.retain(|packet| packet.kind != 3 || packet.id.is_some());
    told
}

#[derive(Deserialize)]
struct Read {
    packets: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Written {
    payload: String,
}

#[test]
fn payloads_of_engine_io_have_the_same_packets_for_the_official_parser() {
    let mut draw = Draw::new(2);
    let mut corpus = corpus::payload_classics();
    corpus.extend((0..PAYLOADS).map(|_| corpus::payload(&mut draw)));
    let answers: Vec<Read> = ask(corpus.iter().map(|payload| json!({ "payload": payload })));
    let mut lenient = 0;
    for (payload, Read { packets: theirs }) in corpus.iter().zip(&answers) {
        let ours = ours::read_payload(payload);
        if ours != *theirs {
            assert!(rules::is_base64_of_node(payload, &ours, theirs), "{payload:?}: {ours:?} {theirs:?}");
            lenient += 1;
        }
    }
    println!("{} payloads, {lenient} with base64 that only Node.js reads", corpus.len());
    assert!(lenient > 0, "the rule explains nothing");
}

#[test]
fn payloads_of_engine_io_are_written_as_the_official_parser_writes_them() {
    let mut draw = Draw::new(3);
    let corpus: Vec<_> = (0..PAYLOADS).map(|_| corpus::messages(&mut draw)).collect();
    let answers: Vec<Written> = ask(corpus.iter().map(|messages| json!({ "packets": messages })));
    for (messages, Written { payload }) in corpus.iter().zip(&answers) {
        assert_eq!(ours::write_payload(messages), *payload, "{messages:?}");
    }
}

#[test]
fn every_rule_has_a_row() {
    let table = include_str!("../../../protocol/src/decisions.md");
    let has_row = |row: &str| {
        table
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
            .any(|(numbers, rest)| numbers.split(", ").any(|number| number == row) || rest.starts_with(row))
    };
    for rule in [&rules::READING[..], &rules::READ_BY_THEM, &rules::WRITTEN_BY_THEM].into_iter().flatten() {
        assert!(has_row(rule.row), "decisions.md has no row for {}", rule.row);
    }
}

/// The answers of the official parsers.
fn ask<T: DeserializeOwned>(questions: impl Iterator<Item = Value>) -> Vec<T> {
    let lines: Vec<String> = questions.map(|question| format!("{question}\n")).collect();
    let said = socketio_interop::script("parsers", lines.concat());
    let answers: Vec<T> = said.lines().map(|line| serde_json::from_str(line).expect("an answer in JSON")).collect();
    assert_eq!(answers.len(), lines.len());
    answers
}

/// Counts what each rule explains.
struct Tally {
    rules: &'static [Rule],
    counts: Vec<usize>,
    /// What no rule explains.
    faults: Vec<String>,
}

impl Tally {
    fn new(rules: &'static [Rule]) -> Self {
        Self { rules, counts: vec![0; rules.len()], faults: Vec::new() }
    }

    /// Whether both sides say the same of these messages.
    fn judge(&mut self, messages: &[Message], ours: &Told, theirs: &Told) -> bool {
        if ours == theirs {
            return true;
        }
        let mut texts = messages.iter().filter_map(|message| match message {
            Message::Text(text) => Some(text.as_str()),
            Message::Bytes { .. } => None,
        });
        let mut explained = true;
        for (our, their) in ours.packets.iter().zip(&theirs.packets) {
            let text = texts.next().unwrap_or_default();
            explained &= (our.kind, &our.namespace) == (their.kind, &their.namespace);
            explained &= our.id == their.id || self.explain_id(our.id.as_deref(), their.id.as_deref());
            explained &= our.data == their.data || self.explain_data(&our.data, &their.data, text);
        }
        if (ours.packets.len(), ours.refused) != (theirs.packets.len(), theirs.refused) {
            explained &= texts.next().is_some_and(|text| self.explain_end(&Parts::of(text), ours, theirs));
        }
        if !explained {
            self.faults.push(format!("{messages:?}\n  {ours:?}\n  {theirs:?}"));
        }
        false
    }

    fn explain_id(&mut self, ours: Option<&str>, theirs: Option<&str>) -> bool {
        let (Some(ours), Some(theirs)) = (ours, theirs) else { return false };
        self.explain(|rule| matches!(rule, Explains::Id(explains) if explains(ours, theirs)))
    }

    fn explain_data(&mut self, ours: &str, theirs: &str, text: &str) -> bool {
        self.explain(|rule| matches!(rule, Explains::Data(explains) if explains(ours, theirs, text)))
    }

    /// Behind the packets that both have.
    fn explain_end(&mut self, parts: &Parts<'_>, ours: &Told, theirs: &Told) -> bool {
        let both = ours.packets.len().min(theirs.packets.len());
        let refuses = |told: &Told| told.refused && told.packets.len() == both;
        match (refuses(ours), refuses(theirs)) {
            (true, false) => self.explain(|rule| matches!(rule, Explains::Refusal(explains) if explains(parts))),
            (false, true) => {
                let made = ours.packets.len() > both;
                self.explain(|rule| matches!(rule, Explains::Acceptance(explains) if explains(parts, made)))
            }
            _ => false,
        }
    }

    fn explain(&mut self, explains: impl Fn(Explains) -> bool) -> bool {
        let rule = self.rules.iter().position(|rule| explains(rule.explains));
        rule.map(|rule| self.counts[rule] += 1).is_some()
    }

    fn finish(self) {
        let some: Vec<_> = self.faults.iter().take(10).map(String::as_str).collect();
        let count = self.faults.len();
        assert!(some.is_empty(), "{count} differences without a rule, the first of them:\n{}", some.join("\n"));
        for (rule, count) in self.rules.iter().zip(self.counts) {
            println!("{count:6} {}: {}", rule.row, rule.reason);
            assert!(count > 0, "the rule of {} explains nothing: {}", rule.row, rule.reason);
        }
    }
}
