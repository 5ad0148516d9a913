use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;
use serde::de::{Error as _, Visitor};
use serde_json::Error;

use super::de;
use super::payload::Attachments;
use crate::websocket;

/// The attachments of a packet, and the places in its text that they belong to.
#[derive(Default)]
pub(super) struct Placeholders<'de> {
    /// By their start. Empty if there is no attachment, or none is used.
    marks: Vec<Mark>,
    slots: Vec<Slot<'de>>,
}

/// A placeholder, or an array or object that has one somewhere inside.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The offset of the bracket that opens.
    start: usize,
    /// The offset behind the bracket that closes.
    pub(super) end: usize,
    /// Which attachment it stands for, if it is a placeholder.
    pub(super) attachment: Option<usize>,
}

/// Why the placeholders of a text cannot be filled.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// One has a `num` that is no attachment.
    Illegal,
    /// The text is nested deeper than [`MAX_DEPTH`].
    Depth,
}

/// As deep as serde_json reads arguments, and one for the list around them.
pub(super) const MAX_DEPTH: usize = 128;

struct Slot<'de> {
    source: Source<'de>,
    /// How many placeholders stand for it.
    uses: usize,
}

enum Source<'de> {
    Stored(Bytes),
    Last(websocket::Binary<'de>),
    Taken,
}

impl<'de> Placeholders<'de> {
    /// Finds the placeholders in `json`, which must be valid. Without attachments, nothing is a placeholder.
    pub(super) fn new(json: &str, attachments: Attachments<'de>) -> Result<Self, Fault> {
        let sources = attachments.stored.into_iter().map(Source::Stored).chain(attachments.last.map(Source::Last));
        let mut slots: Vec<_> = sources.map(|source| Slot { source, uses: 0 }).collect();
        let marks = scan(json, slots.len())?;
        for slot in marks.iter().filter_map(|mark| mark.attachment) {
            if let Some(slot) = slots.get_mut(slot) {
                slot.uses += 1;
            }
        }
        Ok(Self { marks, slots })
    }

    /// Whether no placeholder is to be filled.
    pub(super) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// What starts at this offset.
    pub(super) fn at(&self, start: usize) -> Option<Mark> {
        let index = self.marks.binary_search_by_key(&start, |mark| mark.start).ok()?;
        self.marks.get(index).copied()
    }

    /// Gives the bytes of an attachment to a visitor: for good, if no other placeholder wants them.
    pub(super) fn visit<'v, V: Visitor<'v>>(&mut self, attachment: usize, visitor: V) -> Result<V::Value, Error> {
        let slot = self.slots.get_mut(attachment).ok_or_else(|| Error::custom("illegal attachment"))?;
        slot.uses = slot.uses.saturating_sub(1);
        if slot.uses == 0 {
            return visitor.visit_byte_buf(mem::replace(&mut slot.source, Source::Taken).into_vec());
        }
        match &slot.source {
            Source::Stored(bytes) => visitor.visit_bytes(bytes),
            Source::Last(bytes) => visitor.visit_bytes(bytes.as_slice()),
            Source::Taken => Err(Error::custom("an attachment was asked for twice")),
        }
    }

    /// Takes an attachment, whatever stands for it. `None` behind the last.
    pub(super) fn take(&mut self, attachment: usize) -> Option<Vec<u8>> {
        let slot = self.slots.get_mut(attachment)?;
        Some(mem::replace(&mut slot.source, Source::Taken).into_vec())
    }
}

impl Source<'_> {
    fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Stored(bytes) => bytes.into(),
            Self::Last(bytes) => bytes.into_bytes().into(),
            Self::Taken => Vec::new(),
        }
    }
}

/// Checks the placeholders of `json`, which must be valid, against the number of attachments, and finds them.
///
/// What a placeholder has beside `num` is not looked at: it vanishes with it.
pub(super) fn scan(json: &str, attachments: usize) -> Result<Vec<Mark>, Fault> {
    let mut marks = Vec::new();
    if attachments == 0 {
        return Ok(marks);
    }
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while let Some(byte) = json.as_bytes().get(at) {
        let start = at;
        at += token(json, at);
        match byte {
            b'[' | b'{' => {
                if let Some(parent) = open.last_mut() {
                    parent.token("");
                }
                if open.len() == MAX_DEPTH {
                    return Err(Fault::Depth);
                }
                open.push(Open::new(start, *byte == b'{', marks.len()));
            }
            b']' | b'}' => {
                if let Some(closed) = open.pop() {
                    closed.close(at, &mut marks);
                }
            }
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => {
                if let Some(parent) = open.last_mut() {
                    parent.token(json.get(start..at).unwrap_or_default());
                }
            }
        }
    }
    if marks.iter().any(|mark| mark.attachment.is_some_and(|number| number >= attachments)) {
        return Err(Fault::Illegal);
    }
    marks.sort_unstable_by_key(|mark| mark.start);
    Ok(marks)
}

/// The length of the token at this offset of a valid text.
fn token(json: &str, at: usize) -> usize {
    let rest = json.as_bytes().get(at..).unwrap_or_default();
    match rest.first() {
        Some(b'"') => de::string(rest).map_or(rest.len(), |(len, _)| len),
        Some(b'[' | b']' | b'{' | b'}' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') => 1,
        _ => rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte)).unwrap_or(rest.len()),
    }
}

/// An array or object that is not closed yet.
struct Open {
    start: usize,
    object: bool,
    /// How many marks there were in front of it.
    marks: usize,
    key: Key,
    /// Whether the next token is a key's value.
    value: bool,
    /// Whether `_placeholder` is true.
    placeholder: bool,
    /// What `num` is; `usize::MAX`, which is no attachment, for all that is no index.
    number: usize,
}

enum Key {
    Placeholder,
    Number,
    Other,
}

impl Open {
    fn new(start: usize, object: bool, marks: usize) -> Self {
        Self { start, object, marks, key: Key::Other, value: false, placeholder: false, number: usize::MAX }
    }

    /// A key, a colon, a value (nothing for an array or object) or a comma inside.
    fn token(&mut self, token: &str) {
        if !self.object {
            return;
        }
        match token {
            ":" => self.value = true,
            "," => self.value = false,
            // As in JavaScript, the last of several equal keys counts.
            _ if self.value => match self.key {
                Key::Placeholder => self.placeholder = token == "true",
                Key::Number => self.number = index(token).unwrap_or(usize::MAX),
                Key::Other => {}
            },
            _ => self.key = key(token),
        }
    }

    fn close(self, end: usize, marks: &mut Vec<Mark>) {
        if self.placeholder {
            marks.truncate(self.marks);
            marks.push(Mark { start: self.start, end, attachment: Some(self.number) });
        } else if marks.len() > self.marks {
            marks.push(Mark { start: self.start, end, attachment: None });
        }
    }
}

fn key(token: &str) -> Key {
    let unescaped;
    let name = if token.contains('\\') {
        unescaped = serde_json::from_str::<String>(token).unwrap_or_default();
        unescaped.as_str()
    } else {
        token.trim_matches('"')
    };
    match name {
        "_placeholder" => Key::Placeholder,
        "num" => Key::Number,
        _ => Key::Other,
    }
}

/// Only digits: `1.0` and `1e0` are the number 1, too, but nobody writes an index like that.
fn index(token: &str) -> Option<usize> {
    if token.bytes().all(|byte| byte.is_ascii_digit()) { token.parse().ok() } else { None }
}
