//! Socket.IO packets as the protocol's specification describes them, section "Packet encoding", word by word: slow, without
//! limits, and without a thought about what others send.

use serde::de::IgnoredAny;
use serde_json::Value;
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

/// Whether every `{"_placeholder":true,"num":N}` in a value stands for one of so many attachments.
pub(crate) fn placeholders_fit(value: &Value, attachments: usize) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| placeholders_fit(item, attachments)),
        Value::Object(entries) if entries.get("_placeholder") == Some(&Value::Bool(true)) => {
            entries.get("num").and_then(Value::as_u64).is_some_and(|number| number < attachments as u64)
        }
        Value::Object(entries) => entries.values().all(|value| placeholders_fit(value, attachments)),
        _ => true,
    }
}

/// What `JSON.stringify` makes of an object does not begin with whitespace.
fn object(json: &str) -> Option<Payload<'_>> {
    (json.starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok()).then_some(Payload::Object)
}

fn list(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok().filter(|_| json.starts_with('['))
}
