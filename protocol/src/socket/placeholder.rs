use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::ops::{Deref, DerefMut};

use serde::de::{Error as _, Visitor};
use serde_json::Error;

use super::de;

/// The attachments of a packet, and the places in its text that they belong to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Placeholders {
    /// By their start. Empty until they are looked for.
    marks: Vec<Mark>,
    attachments: Vec<Attachment>,
    /// Bytes of the copies that further placeholders for the same attachment may ask for, together. A megabyte of text has
    /// room for 35 000 of them.
    max_copies: usize,
}

impl Default for Placeholders {
    fn default() -> Self {
        Self { marks: Vec::new(), attachments: Vec::new(), max_copies: usize::MAX }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Attachment {
    /// `None` once they were taken.
    bytes: Option<Vec<u8>>,
    /// How many placeholders stand for it.
    uses: usize,
}

/// [`Placeholders`] of a machine, or of a payload alone.
#[derive(Debug)]
pub(super) enum Held<'a> {
    Lent(&'a mut Placeholders),
    Own(Box<Placeholders>),
}

impl Deref for Held<'_> {
    type Target = Placeholders;

    fn deref(&self) -> &Placeholders {
        match self {
            Self::Lent(placeholders) => placeholders,
            Self::Own(placeholders) => placeholders,
        }
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Placeholders {
        match self {
            Self::Lent(placeholders) => placeholders,
            Self::Own(placeholders) => placeholders,
        }
    }
}

/// A placeholder, or an array or object that has one somewhere inside.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark {
    /// The offset of the bracket that opens.
    start: usize,
    /// The offset behind the bracket that closes. Before that: the index of the mark around it.
    pub(super) end: usize,
    /// What `num` is; `usize::MAX`, which is no attachment, for all that is no index.
    number: usize,
    /// Whether `_placeholder` is true.
    placeholder: bool,
    object: bool,
    key: Key,
    /// Whether the next token is a key's value.
    value: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Placeholder,
    Number,
    Other,
}

/// Why the placeholders of a text cannot be filled.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// One has a `num` that is no attachment, or too much would have to be copied for them.
    Illegal,
    /// The text is nested deeper than [`MAX_DEPTH`].
    Depth,
}

/// As deep as serde_json reads arguments, and one for the list around them.
pub(super) const MAX_DEPTH: usize = 128;

impl Placeholders {
    /// Adds the next attachment.
    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        self.attachments.push(Attachment { bytes: Some(bytes), uses: 0 });
    }

    /// Limits the bytes that are copied because several placeholders stand for one attachment.
    pub(super) fn limit_copies(&mut self, max: usize) {
        self.max_copies = max;
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.marks.clear();
        self.attachments.clear();
        self.max_copies = usize::MAX;
    }

    /// How many attachments there are.
    pub(super) fn len(&self) -> usize {
        self.attachments.len()
    }

    /// Room for how many marks and attachments is kept.
    pub(super) fn capacity(&self) -> usize {
        self.marks.capacity().max(self.attachments.capacity())
    }

    /// Finds the placeholders in `json`, which must be valid.
    pub(super) fn find(&mut self, json: &str) -> Result<(), Fault> {
        self.marks = scan(json, self.len())?;
        self.count()
    }

    /// Finds the placeholders of a list that has, behind `head`, nothing but those that the official client writes. Such
    /// a list needs no scan, and no check that it is valid. False for every other one.
    pub(super) fn find_alone(&mut self, json: &str, head: usize) -> Result<bool, Fault> {
        if alone(json, head, &mut self.marks).is_none() {
            return Ok(false);
        }
        refuse_illegal(&self.marks, self.len())?;
        self.count()?;
        Ok(true)
    }

    /// Counts for each attachment the placeholders that stand for it. The last of them gets its bytes, the others a copy.
    fn count(&mut self) -> Result<(), Fault> {
        let mut copies: usize = 0;
        for mark in &self.marks {
            if let Some(attachment) = mark.attachment().and_then(|index| self.attachments.get_mut(index)) {
                if attachment.uses > 0 {
                    copies = copies.saturating_add(attachment.bytes.as_ref().map_or(0, Vec::len));
                }
                attachment.uses += 1;
            }
        }
        if copies > self.max_copies { Err(Fault::Illegal) } else { Ok(()) }
    }

    /// What starts at this offset.
    pub(super) fn at(&self, start: usize) -> Option<Mark> {
        let index = self.marks.binary_search_by_key(&start, |mark| mark.start).ok()?;
        self.marks.get(index).copied()
    }

    /// Gives the bytes of an attachment to a visitor: for good, if no other placeholder wants them.
    pub(super) fn visit<'v, V: Visitor<'v>>(&mut self, attachment: usize, visitor: V) -> Result<V::Value, Error> {
        let attachment = self.attachments.get_mut(attachment).ok_or_else(|| Error::custom("illegal attachment"))?;
        attachment.uses = attachment.uses.saturating_sub(1);
        match &attachment.bytes {
            Some(bytes) if attachment.uses > 0 => visitor.visit_bytes(bytes),
            Some(_) => visitor.visit_byte_buf(attachment.bytes.take().unwrap_or_default()),
            None => Err(Error::custom("an attachment was asked for twice")),
        }
    }

    /// Takes an attachment, whatever stands for it. `None` behind the last.
    pub(super) fn take(&mut self, attachment: usize) -> Option<Vec<u8>> {
        Some(self.attachments.get_mut(attachment)?.bytes.take().unwrap_or_default())
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
    // The innermost array or object that is open.
    let mut open = NONE;
    let mut depth = 0;
    let mut at = 0;
    while let Some(byte) = json.as_bytes().get(at) {
        let start = at;
        at += token(json, at);
        match byte {
            b'[' | b'{' => {
                if let Some(parent) = marks.get_mut(open) {
                    parent.token("");
                }
                if depth == MAX_DEPTH {
                    return Err(Fault::Depth);
                }
                depth += 1;
                marks.push(Mark::open(start, *byte == b'{', open));
                open = marks.len() - 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                open = close(&mut marks, open, at);
            }
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => {
                if let Some(parent) = marks.get_mut(open) {
                    parent.token(json.get(start..at).unwrap_or_default());
                }
            }
        }
    }
    refuse_illegal(&marks, attachments)?;
    Ok(marks)
}

fn refuse_illegal(marks: &[Mark], attachments: usize) -> Result<(), Fault> {
    let illegal = |mark: &Mark| mark.attachment().is_some_and(|number| number >= attachments);
    if marks.iter().any(illegal) { Err(Fault::Illegal) } else { Ok(()) }
}

/// The marks of [`Placeholders::find_alone`], as [`scan`] would find them. `None`, and anything in `marks`, if it is another
/// list.
fn alone(json: &str, head: usize, marks: &mut Vec<Mark>) -> Option<()> {
    marks.clear();
    marks.reserve(2);
    marks.push(Mark { end: json.len(), ..Mark::open(0, false, NONE) });
    let mut rest = json.get(head..).filter(|_| json.starts_with('['))?;
    while rest != "]" {
        // Only in front of the first argument of an ack there is no comma.
        let argument = if head == 1 && marks.len() == 1 { rest } else { rest.strip_prefix(',')? };
        let number = argument.strip_prefix("{\"_placeholder\":true,\"num\":")?;
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = number.split_at_checked(digits)?;
        if digits == 0 || (number.starts_with('0') && digits > 1) {
            return None;
        }
        rest = behind.strip_prefix('}')?;
        marks.push(Mark {
            end: json.len() - rest.len(),
            number: index(number)?,
            placeholder: true,
            key: Key::Number,
            value: true,
            ..Mark::open(json.len() - argument.len(), true, NONE)
        });
    }
    (marks.len() > 1).then_some(())
}

/// No mark has this index.
const NONE: usize = usize::MAX;

/// Closes what is open, and keeps it if it is a placeholder or holds one. Gives what is open then.
fn close(marks: &mut Vec<Mark>, open: usize, end: usize) -> usize {
    let inner = marks.len().saturating_sub(open.saturating_add(1));
    let Some(mark) = marks.get_mut(open) else { return NONE };
    let parent = mem::replace(&mut mark.end, end);
    if mark.placeholder {
        marks.truncate(open + 1);
    } else if inner == 0 {
        marks.pop();
    }
    parent
}

/// The length of the token at this offset of a valid text.
fn token(json: &str, at: usize) -> usize {
    let rest = json.as_bytes().get(at..).unwrap_or_default();
    match rest.first() {
        Some(b'"') => de::string(rest).map_or(rest.len(), |(len, _)| len),
        Some(b'[' | b']' | b'{' | b'}' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') => 1,
        _ => rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')).count(),
    }
}

impl Mark {
    /// Which attachment it stands for, if it is a placeholder.
    pub(super) fn attachment(&self) -> Option<usize> {
        self.placeholder.then_some(self.number)
    }

    fn open(start: usize, object: bool, around: usize) -> Self {
        Self { start, end: around, number: usize::MAX, placeholder: false, object, key: Key::Other, value: false }
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
}

fn key(token: &str) -> Key {
    match token {
        "\"_placeholder\"" => Key::Placeholder,
        "\"num\"" => Key::Number,
        _ if token.contains('\\') => match serde_json::from_str::<String>(token).as_deref() {
            Ok("_placeholder") => Key::Placeholder,
            Ok("num") => Key::Number,
            _ => Key::Other,
        },
        _ => Key::Other,
    }
}

/// Only digits: `1.0` and `1e0` are the number 1, too, but nobody writes an index like that.
fn index(token: &str) -> Option<usize> {
    if token.bytes().all(|byte| byte.is_ascii_digit()) { token.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    fn parts() -> impl Strategy<Value = Vec<String>> {
        let number = prop_oneof![Just("0"), Just("1"), Just("12"), Just("01"), Just(""), Just("-0"), Just("0.0")];
        let part = prop_oneof![
            6 => number.prop_map(|number| format!("{{\"_placeholder\":true,\"num\":{number}}}")),
            3 => Just(",".into()),
            1 => prop_oneof![Just("1"), Just(" "), Just("[]"), Just("]"), Just("}"), Just("{}")].prop_map(String::from),
        ];
        proptest::collection::vec(part, 0..6)
    }

    fn found(json: &str, head: usize) -> Option<Vec<Mark>> {
        let mut marks = Vec::new();
        alone(json, head, &mut marks).map(|()| marks)
    }

    proptest! {
        #[test]
        fn placeholders_alone_are_those_of_a_scan(parts in parts(), commas: bool, event: bool) {
            let head = if event { "[\"m\"" } else { "[" };
            let separator = if commas { "," } else { "" };
            let first = if event { separator } else { "" };
            let json = format!("{head}{first}{}]", parts.join(separator));
            if let Some(marks) = found(&json, head.len()) {
                prop_assert!(de::is_json(&json), "{}", json);
                prop_assert_eq!(scan(&json, usize::MAX), Ok(marks), "{}", json);
            }
        }
    }

    #[test]
    fn placeholders_alone_are_found_without_a_scan() {
        let p = |number: &str| format!("{{\"_placeholder\":true,\"num\":{number}}}");
        for (json, head) in [
            (format!("[\"m\",{}]", p("0")), 4),
            (format!("[\"m\",{},{}]", p("1"), p("0")), 4),
            (format!("[{},{}]", p("0"), p("1")), 1),
        ] {
            assert_eq!(found(&json, head), scan(&json, 2).ok(), "{json}");
        }
        for (json, head) in [("[\"m\"]", 4), ("[]", 1), ("[", 1), ("", 0)] {
            assert_eq!(found(json, head), None, "{json}");
        }
        for number in ["", "00", "01", "+1"] {
            assert_eq!(found(&format!("[\"m\",{}]", p(number)), 4), None, "{number}");
        }
    }
}
