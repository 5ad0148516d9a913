//! Typed arguments with attachments: what is sent is what is received, however the placeholders are written, whichever
//! order the attachments have, and however often one is used.

use std::collections::BTreeMap;
use std::fmt::Debug;

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use socketio_protocol::engine::Packet;
use socketio_protocol::socket::{Binary, Header, Payload, encode_ack, encode_event};

/// The bytes are how placeholders are written, and the arguments.
pub fn typed(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let Ok(style) = Style::arbitrary(&mut bytes) else { return };
    let Ok(args) = <(Shapes, Vec<Tree>)>::arbitrary(&mut bytes) else { return };
    comes_back(&args, &style);
    comes_back(&args.0, &style);
    comes_back(&args.1, &style);
}

#[derive(Debug, Arbitrary)]
struct Style {
    /// By how many places the attachments are moved.
    shift: u8,
    /// Equal attachments are one.
    shared: bool,
    /// How each placeholder is written, in turn.
    forms: [u8; 4],
}

#[derive(Debug, PartialEq, Arbitrary, Serialize, Deserialize)]
struct Shapes {
    number: i64,
    blob: Blob,
    maybe: Option<Blob>,
    wrapped: Option<Wrapped>,
    many: Vec<Blob>,
    by_number: BTreeMap<u16, Blob>,
    choices: Vec<Choice>,
    none: (),
    #[serde(flatten)]
    #[arbitrary(with = other_keys)]
    rest: BTreeMap<String, Tree>,
}

#[derive(Debug, PartialEq, Arbitrary, Serialize, Deserialize)]
enum Choice {
    Unit,
    New(Blob),
    Pair(Blob, String),
    Named { blob: Option<Blob>, character: char },
}

#[derive(Debug, PartialEq, Arbitrary, Serialize, Deserialize)]
struct Wrapped((Blob, bool));

/// Anything, with nothing that tells what it is.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Tree {
    Blob(Blob),
    Flag(bool),
    Text(String),
    /// No list of numbers, which could be bytes.
    Pair(Box<Tree>, Vec<Tree>),
}

impl<'a> Arbitrary<'a> for Tree {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        Self::within(bytes, 5)
    }
}

impl Tree {
    fn within(bytes: &mut Unstructured<'_>, depth: u8) -> Result<Self> {
        Ok(match bytes.int_in_range(0..=if depth == 0 { 2 } else { 3 })? {
            0 => Self::Blob(bytes.arbitrary()?),
            1 => Self::Flag(bytes.arbitrary()?),
            2 => Self::Text(bytes.arbitrary()?),
            _ => {
                let first = Self::within(bytes, depth - 1)?;
                let count = bytes.int_in_range(0..=3)?;
                let rest = (0..count).map(|_| Self::within(bytes, depth - 1)).collect::<Result<_>>()?;
                Self::Pair(Box::new(first), rest)
            }
        })
    }
}

/// Keys that no field of [`Shapes`] has.
fn other_keys(bytes: &mut Unstructured<'_>) -> Result<BTreeMap<String, Tree>> {
    let entries = Vec::<(String, Tree)>::arbitrary(bytes)?;
    Ok(entries.into_iter().map(|(key, tree)| (format!("other {key}"), tree)).collect())
}

/// Bytes to serde, and to those who want a `Vec`.
#[derive(Debug, PartialEq, Arbitrary)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Binary::deserialize(deserializer).map(|Binary(bytes)| Self(bytes.into()))
    }
}

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(args: &T, style: &Style) {
    let sent = Sent::of(&encode_event("/n", "m", args, None).expect("nothing that is no JSON"));
    assert_eq!(&sent.payload().decode::<T>().expect("as it was sent"), args);

    let other = sent.in_style(style);
    assert_eq!(&other.payload().decode::<T>().expect("written in another way"), args, "{other:?}");
    let raw = other.payload().into_raw().expect("whatever it is");
    let passed_on = Sent::of(&encode_ack("/n", 7, &raw).expect("raw arguments can be sent"));
    assert_eq!(&passed_on.payload().decode::<T>().expect("passed on"), args, "{passed_on:?}");

    // Whether these types fit or not.
    let _ = other.payload().decode::<Value>();
    let _ = other.payload().decode::<(BTreeMap<String, Value>, String)>();
    let _ = other.payload().decode_all::<Vec<Tree>>();
}

/// A packet on the wire.
#[derive(Debug)]
struct Sent {
    text: String,
    attachments: Vec<Bytes>,
}

impl Sent {
    fn of(packet: &Packet) -> Self {
        let mut frames = packet.frames().map(|frame| frame.payload_bytes());
        let text = String::from_utf8(frames.next().unwrap_or_default().into()).expect("text");
        Self { text: text[1..].to_owned(), attachments: frames.collect() }
    }

    fn payload(&self) -> Payload<'_> {
        let header = Header::parse(&self.text, usize::MAX).expect("a packet");
        assert_eq!(header.attachments, self.attachments.len());
        header.into_payload(self.attachments.clone())
    }

    /// The same arguments, said in other words.
    fn in_style(&self, style: &Style) -> Self {
        let count = self.attachments.len();
        let Some(shift) = usize::from(style.shift).checked_rem(count) else {
            return Self { text: self.text.clone(), attachments: Vec::new() };
        };
        let mut attachments = self.attachments.clone();
        attachments.rotate_right(shift);
        let place = |number: usize| {
            let bytes = &self.attachments[number];
            let first = attachments.iter().position(|other| other == bytes).unwrap_or_default();
            if style.shared { first } else { (number + shift) % count }
        };
        // Quotes in strings are escaped: nothing else looks like this.
        let mut parts = self.text.split("{\"_placeholder\":true,\"num\":");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (part, form) in parts.zip(style.forms.iter().cycle()) {
            let (number, rest) = part.split_once('}').expect("a number");
            text += &placeholder(place(number.parse().expect("a number")), *form);
            text += rest;
        }
        Self { text, attachments }
    }
}

fn placeholder(number: usize, form: u8) -> String {
    match form % 6 {
        0 => format!(r#"{{"_placeholder":true,"num":{number}}}"#),
        1 => format!(r#"{{"num":{number},"_placeholder":true}}"#),
        2 => format!(" {{\t\"num\" :\n{number} , \"_placeholder\": true }} "),
        3 => format!(r#"{{"_\u0070laceholder":true,"n\u0075m":{number}}}"#),
        4 => format!(r#"{{"num":{number},"more":{{"_placeholder":true,"num":-1}},"_placeholder":true}}"#),
        _ => format!(r#"{{"_placeholder":[],"num":"}}","_placeholder":true,"num":{number}}}"#),
    }
}
