//! The packets that are measured, and the types of their arguments: those of the peers' figures, so that they compare.

use serde::{Deserialize, Serialize};

/// `small`: one object with four fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Small {
    /// A number of five digits.
    pub id: u64,
    /// A name of five bytes.
    pub user: String,
    /// Nine bytes of text.
    pub text: String,
    /// A flag.
    pub ok: bool,
}

impl Small {
    /// The one that is sent.
    pub fn sample() -> Self {
        Self { id: 12345, user: "alice".into(), text: "hello all".into(), ok: true }
    }
}

/// [`Small`], borrowed from the packet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in `Small`")]
pub struct SmallRef<'a> {
    pub id: u64,
    pub user: &'a str,
    pub text: &'a str,
    pub ok: bool,
}

/// `ns+ack`: the argument of an event of a namespace that wants an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// A number of one digit.
    pub id: u64,
}

/// `2KiB-text`: nearly all of the packet is one string without escapes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// Who says it.
    pub user: String,
    /// What is said.
    pub text: String,
}

impl Text {
    /// The one that is sent.
    pub fn sample() -> Self {
        let text = "The quick brown fox jumps over the lazy dog, and nobody is surprised. ".repeat(29);
        Self { user: "alice".into(), text: text.get(..1990).unwrap_or_default().into() }
    }
}

/// `2KiB-items`: thirty objects of two strings and two numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Items {
    /// The objects.
    pub items: Vec<Item>,
}

/// One of [`Items`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "anything will do")]
pub struct Item {
    pub id: u32,
    pub name: String,
    pub price: f64,
    pub unit: String,
}

impl Items {
    /// The one that is sent.
    pub fn sample() -> Self {
        let item = |number: u32| Item {
            id: 100_000 + number,
            name: format!("item number {number:02}"),
            price: f64::from(number) + 12.25,
            unit: "kg".into(),
        };
        Self { items: (0..30).map(item).collect() }
    }
}

/// `ack`: what is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// A flag.
    pub ok: bool,
    /// A number of five digits.
    pub id: u64,
    /// A short word.
    pub state: String,
}

impl Answer {
    /// The one that is sent.
    pub fn sample() -> Self {
        Self { ok: true, id: 12345, state: "saved".into() }
    }
}

/// `connect`: the credentials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credentials {
    /// 26 bytes.
    pub token: String,
}

impl Credentials {
    /// The one that is sent.
    pub fn sample() -> Self {
        Self { token: "abcdefghijklmnopqrstuvwxyz".into() }
    }
}

/// `echo`: one string of 32 bytes.
pub const ECHO: &str = "0123456789abcdef0123456789abcdef";

/// `binary-1KiB`: the attachment.
pub fn attachment() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(1024).collect()
}

/// The namespace of `ns+ack`.
pub const NAMESPACE: &str = "/chat";

/// The text of every packet as it comes out of Engine.IO, by name.
pub fn messages() -> [(&'static str, String); 8] {
    [
        ("small", event("message", &Small::sample())),
        ("echo", event("echo", &ECHO)),
        ("ns+ack", format!("2{NAMESPACE},12{}", json(&("get", Query { id: 7 })))),
        ("2KiB-text", event("message", &Text::sample())),
        ("2KiB-items", event("message", &Items::sample())),
        ("binary-1KiB", r#"51-["echo",{"_placeholder":true,"num":0}]"#.to_owned()),
        ("ack", format!("315{}", json(&(Answer::sample(),)))),
        ("connect", format!("0{}", json(&Credentials::sample()))),
    ]
}

/// One of [`messages`].
///
/// # Panics
///
/// There is none of this name.
pub fn message(packet: &str) -> &'static str {
    let message = messages().into_iter().find(|(name, _)| *name == packet);
    message.expect("a packet of this name").1.leak()
}

/// The JSON of the packet alone.
///
/// # Panics
///
/// There is none of this name.
pub fn payload(packet: &str) -> &'static str {
    let message = message(packet);
    message.find(['[', '{']).and_then(|start| message.get(start..)).expect("a payload")
}

fn event(name: &str, argument: &impl Serialize) -> String {
    format!("2{}", json(&(name, argument)))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it can be written as JSON")
}
