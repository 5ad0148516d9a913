//! Socket.IO packets as the protocol's specification describes them, section "Packet encoding", word by word: slow, without
//! limits, and without a thought about what others send.

use std::fmt::{self, Formatter};
use std::iter;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A packet, its JSON in pieces.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    /// The type's number.
    pub(crate) kind: char,
    pub(crate) attachments: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) id: &'a str,
    pub(crate) payload: Payload<'a>,
}

#[derive(Debug)]
pub(crate) enum Payload<'a> {
    None,
    Object,
    List(Vec<&'a RawValue>),
}

/// Reads `<packet type>[<# of binary attachments>-][<namespace>,][<acknowledgment id>][JSON-stringified payload without
/// binary]`.
pub(crate) fn parse(text: &str) -> Option<Packet<'_>> {
    let kind = text.chars().next()?;
    let rest = &text[kind.len_utf8()..];
    let (attachments, rest) = if matches!(kind, '5' | '6') { rest.split_once('-')? } else { ("0", rest) };
    let (namespace, rest) = if rest.starts_with('/') { rest.split_once(',')? } else { ("/", rest) };
    let json = rest.trim_start_matches(|character: char| character.is_ascii_digit());
    let id = &rest[..rest.len() - json.len()];
    let payload = match kind {
        // "with an additional payload"
        '0' if json.is_empty() => Payload::None,
        '0' | '4' => object(json)?,
        '1' if json.is_empty() => Payload::None,
        // "The payload is mandatory and MUST be a non-empty array."
        '2' | '5' => list(json).filter(|list| !list.is_empty()).map(Payload::List)?,
        // "The payload is mandatory and MUST be an array (possibly empty)."
        '3' | '6' => list(json).map(Payload::List)?,
        _ => return None,
    };
    let is_number = !attachments.is_empty() && attachments.chars().all(|character| character.is_ascii_digit());
    is_number.then_some(Packet { kind, attachments, namespace, id, payload })
}

/// A value with all entries of its objects: also those that a later one with the same key replaces.
pub(crate) enum Tree {
    True,
    Number(u64),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
    Other,
}

impl Tree {
    /// What every `{"_placeholder":true,"num":N}` has as its number, if that can be an attachment's.
    pub(crate) fn placeholders(&self) -> Vec<Option<u64>> {
        match self {
            Self::List(items) => items.iter().flat_map(Self::placeholders).collect(),
            Self::Object(entries) => {
                let last = |name| entries.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value);
                match (last("_placeholder"), last("num")) {
                    (Some(Self::True), Some(Self::Number(number))) => vec![Some(*number)],
                    (Some(Self::True), _) => vec![None],
                    _ => entries.iter().flat_map(|(_, value)| value.placeholders()).collect(),
                }
            }
            _ => Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(if value { Tree::True } else { Tree::Other })
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        iter::from_fn(|| seq.next_element().transpose()).collect::<Result<_, _>>().map(Tree::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        iter::from_fn(|| map.next_entry().transpose()).collect::<Result<_, _>>().map(Tree::Object)
    }
}

/// What `JSON.stringify` makes of an object does not begin with whitespace.
fn object(json: &str) -> Option<Payload<'_>> {
    (json.starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok()).then_some(Payload::Object)
}

fn list(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok().filter(|_| json.starts_with('['))
}
