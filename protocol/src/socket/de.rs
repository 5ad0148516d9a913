//! JSON to arguments. serde_json reads every value; here is what it cannot know: which value is an argument, and where a
//! placeholder stands for an attachment.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Error;

use super::placeholder::{Held, Mark};
use super::{raw, text};

/// Where an event's name stands in the list that it is the first element of.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct EventName {
    /// Where the name ends, quotes included.
    end: usize,
    /// Whether it follows the bracket as a string without escapes, and so surely is JSON.
    plain: bool,
}

impl EventName {
    /// The name as it is meant; what cannot be unescaped (half of a surrogate pair) stays as it was written.
    #[inline]
    pub(super) fn unescape(self, json: &str) -> Cow<'_, str> {
        match json.get(2..self.end.wrapping_sub(1)) {
            Some(name) if self.plain => Cow::Borrowed(name),
            _ => self.unescape_token(json),
        }
    }

    #[cold]
    fn unescape_token(self, json: &str) -> Cow<'_, str> {
        let token = self.token(json);
        let Some(text) = token.strip_prefix('"').and_then(|token| token.strip_suffix('"')) else {
            return Cow::Borrowed(token);
        };
        serde_json::from_str::<String>(token).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// A string with its quotes, or a number.
    fn token(self, json: &str) -> &str {
        json.get(1..self.end).unwrap_or_default().trim_start_matches(WHITESPACE)
    }
}

/// Finds the name in the list of an event. `None` if there is no list, or its first element is neither string nor number.
#[inline]
pub(super) fn event_name(json: &str) -> Option<EventName> {
    if let Some(name) = json.as_bytes().strip_prefix(b"[\"") {
        let len = text::plain_prefix(name);
        if name.get(len) == Some(&b'"') {
            return Some(EventName { end: len + 3, plain: true });
        }
    }
    unusual_name(json)
}

#[cold]
fn unusual_name(json: &str) -> Option<EventName> {
    let list = json.as_bytes().strip_prefix(b"[")?;
    let start = list.iter().take_while(|byte| is_whitespace(**byte)).count();
    let token = list.get(start..)?;
    let len = match token.first()? {
        b'"' => string(token)?.0,
        b'-' | b'0'..=b'9' => token.iter().take_while(|byte| NUMBER.contains(byte)).count(),
        _ => return None,
    };
    Some(EventName { end: 1 + start + len, plain: false })
}

/// Whether a text is one JSON value, however deep, and nothing else.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// What JSON allows between its tokens.
const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

const NUMBER: &[u8] = b"0123456789+-.eE";

/// The length of the string that `bytes` start with, quotes included, and whether it is free of escapes and of control
/// characters.
pub(super) fn string(bytes: &[u8]) -> Option<(usize, bool)> {
    let mut len = 1;
    let mut plain = true;
    loop {
        len += text::plain_prefix(bytes.get(len..)?);
        match bytes.get(len)? {
            b'"' => return Some((len + 1, plain)),
            b'\\' => len += 2,
            _ => len += 1,
        }
        plain = false;
    }
}

/// What a payload's text is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A list whose first element is the event's name; `None` if there is no such element.
    Event(Option<EventName>),
    /// A list of arguments.
    Ack,
    /// A single object, or nothing.
    Auth,
}

impl Kind {
    /// How much stands in front of the first argument and its comma, where that is surely JSON.
    pub(super) fn head(&self) -> Option<usize> {
        match self {
            Self::Event(Some(name)) => name.plain.then_some(name.end),
            Self::Ack => Some(1),
            _ => None,
        }
    }
}

/// Reads arguments from the left to the right.
pub(super) struct Reader<'de> {
    text: &'de str,
    at: usize,
    /// Whether the arguments are a list.
    list: bool,
    /// Whether an argument was read, or an event's name.
    started: bool,
    /// `None` if there are no attachments, or none is used.
    placeholders: Option<Held<'de>>,
}

impl<'de> Reader<'de> {
    /// A reader in front of everything; [`Reader::start`] comes first.
    pub(super) fn new(text: &'de str, kind: Kind, placeholders: Option<Held<'de>>) -> Self {
        Self { text, at: 0, list: kind != Kind::Auth, started: false, placeholders }
    }

    /// Goes to the first argument.
    ///
    /// # Errors
    ///
    /// The text is not what `kind` says.
    #[inline]
    pub(super) fn start(&mut self, kind: Kind) -> Result<(), Error> {
        match kind {
            Kind::Event(Some(name)) => {
                if !name.plain {
                    serde_json::from_str::<IgnoredAny>(name.token(self.text))?;
                }
                self.at = name.end;
                self.started = true;
                Ok(())
            }
            Kind::Event(None) => Err(Error::custom("no event name")),
            Kind::Ack => self.expect(b'['),
            Kind::Auth => Ok(()),
        }
    }

    /// Checks what is left to be arguments, and the list to end.
    #[inline]
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        if self.rest() == if self.list { "]" } else { "" } { Ok(()) } else { self.finish_slowly() }
    }

    fn finish_slowly(&mut self) -> Result<(), Error> {
        while self.next()? {
            self.plain(|json| json.deserialize_ignored_any(IgnoredAny))?;
        }
        if self.list {
            self.expect(b']')?;
        }
        if self.peek().is_none() { Ok(()) } else { Err(Error::custom("trailing characters")) }
    }

    /// The text of the arguments that are left, without brackets and whitespace around it.
    fn list(&self) -> &'de str {
        let list = self.rest().trim_matches(WHITESPACE);
        let list = if self.list { list.strip_suffix(']').unwrap_or(list) } else { list };
        list.strip_prefix(',').filter(|_| self.started).unwrap_or(list).trim_matches(WHITESPACE)
    }

    /// Goes to the next argument; false if there is none.
    fn next(&mut self) -> Result<bool, Error> {
        let first = !core::mem::replace(&mut self.started, true);
        match self.peek() {
            Some(b']') if self.list => return Ok(false),
            next if !self.list => return Ok(first && next.is_some()),
            _ if first => {}
            _ => self.expect(b',')?,
        }
        Ok(true)
    }

    /// Goes to the first argument. Where a CONNECT has no credentials, an empty object stands for them.
    fn argument(&mut self) -> Result<(), Error> {
        if self.next()? {
            return Ok(());
        }
        if self.list {
            return Err(Error::invalid_length(0, &"an argument"));
        }
        self.text = "{}";
        self.at = 0;
        Ok(())
    }

    fn rest(&self) -> &'de str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Skips whitespace and looks at what follows.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).copied().is_some_and(is_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.peek() != Some(byte) {
            return Err(Error::custom(format_args!("expected `{}`", char::from(byte))));
        }
        self.at += 1;
        Ok(())
    }

    /// Lets serde_json read one value.
    fn plain<V>(
        &mut self,
        read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'de>>) -> Result<V, Error>,
    ) -> Result<V, Error> {
        let mut json = serde_json::Deserializer::from_str(self.rest());
        let value = read(&mut json)?;
        self.at += json.into_iter::<IgnoredAny>().byte_offset();
        Ok(value)
    }
}

/// The arguments as `T` asks for them: a tuple is the list, `()` none of them, anything else the first.
pub(super) struct Arguments<'r, 'de>(pub(super) &'r mut Reader<'de>);

macro_rules! first_argument {
    ($($method:ident($($name:ident: $type:ty),*)),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Error> {
            self.0.argument()?;
            self.0.$method($($name,)* visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Arguments<'_, 'de> {
    type Error = Error;

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(List(self.0))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.next()? { self.0.deserialize_option(visitor) } else { visitor.visit_none() }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        if name == raw::TOKEN {
            return visitor.visit_seq(RawParts { reader: self.0, next: 0 });
        }
        self.0.argument()?;
        self.0.deserialize_newtype_struct(name, visitor)
    }

    first_argument! {
        deserialize_any(), deserialize_bool(), deserialize_i8(), deserialize_i16(), deserialize_i32(),
        deserialize_i64(), deserialize_i128(), deserialize_u8(), deserialize_u16(), deserialize_u32(),
        deserialize_u64(), deserialize_u128(), deserialize_f32(), deserialize_f64(), deserialize_char(),
        deserialize_str(), deserialize_string(), deserialize_bytes(), deserialize_byte_buf(), deserialize_seq(),
        deserialize_map(), deserialize_identifier(), deserialize_unit_struct(name: &'static str),
        deserialize_tuple_struct(name: &'static str, len: usize),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]),
    }
}

/// The arguments as one sequence, whatever `T` asks for.
pub(super) struct AllArguments<'r, 'de>(pub(super) &'r mut Reader<'de>);

impl<'de> Deserializer<'de> for AllArguments<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(List(self.0))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// What [`raw::RawArgs`] are made of: the text between the brackets, then each attachment. The text is not consumed, so
/// that [`Reader::finish`] checks it.
struct RawParts<'r, 'de> {
    reader: &'r mut Reader<'de>,
    next: usize,
}

impl<'de> SeqAccess<'de> for RawParts<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let part = self.next;
        self.next += 1;
        let Some(attachment) = part.checked_sub(1) else {
            return seed.deserialize(BorrowedStrDeserializer::new(self.reader.list())).map(Some);
        };
        let bytes = self.reader.placeholders.as_mut().and_then(|placeholders| placeholders.take(attachment));
        bytes.map(|bytes| seed.deserialize(Owned(bytes))).transpose()
    }
}

struct Owned(Vec<u8>);

impl<'de> Deserializer<'de> for Owned {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_byte_buf(self.0)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct option seq
        newtype_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct List<'r, 'de>(&'r mut Reader<'de>);

impl<'de> SeqAccess<'de> for List<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.0.next()? { seed.deserialize(&mut *self.0).map(Some) } else { Ok(None) }
    }
}

impl<'de> Reader<'de> {
    /// Whether the next value is, or holds, a placeholder.
    fn mark(&mut self) -> Option<Mark> {
        self.placeholders.as_ref()?;
        self.peek();
        self.placeholders.as_ref()?.at(self.at)
    }

    /// Reads a string without escapes, if one follows at once: no one is faster where nothing else is to be done.
    fn plain_string(&mut self) -> Option<&'de str> {
        let text = self.text.get(self.at..)?.strip_prefix('"')?;
        let (text, rest) = text.split_at_checked(text::plain_prefix(text.as_bytes()))?;
        if !rest.starts_with('"') {
            return None;
        }
        self.at += text.len() + 2;
        Some(text)
    }

    /// Reads a placeholder as bytes; an array or object that holds some, value by value.
    fn swap<V: Visitor<'de>>(&mut self, mark: Mark, visitor: V) -> Result<V::Value, Error> {
        if let Some(attachment) = mark.attachment() {
            self.at = mark.end;
            let placeholders = self.placeholders.as_mut().ok_or_else(|| Error::custom("illegal attachment"))?;
            return placeholders.visit(attachment, visitor);
        }
        let array = self.peek() == Some(b'[');
        self.at += 1;
        let value = if array { visitor.visit_seq(Items(self)) } else { visitor.visit_map(Entries(self)) }?;
        self.expect(if array { b']' } else { b'}' })?;
        Ok(value)
    }

    /// The next string, with its quotes.
    fn key(&mut self) -> Key<'de> {
        self.peek();
        let len = string(self.rest().as_bytes()).map_or(0, |(len, _)| len);
        let token = self.rest().get(..len).unwrap_or_default();
        self.at += len;
        Key(token)
    }

    /// Goes to the next item or entry; false in front of `end`.
    fn item(&mut self, end: u8) -> bool {
        match self.peek() {
            Some(byte) if byte == end => return false,
            Some(b',') => self.at += 1,
            _ => {}
        }
        true
    }
}

macro_rules! swap_or_plain {
    ($($method:ident($($name:ident: $type:ty),*)),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Error> {
            match self.mark() {
                None => self.plain(|json| json.$method($($name,)* visitor)),
                Some(mark) => self.swap(mark, visitor),
            }
        })*
    };
}

/// As above, but bytes are no text, even if they happen to be UTF-8.
macro_rules! text_or_plain {
    ($($method:ident),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            if let Some(text) = self.plain_string() {
                return visitor.visit_borrowed_str(text);
            }
            match self.mark() {
                None => self.plain(|json| json.$method(visitor)),
                Some(mark) if mark.attachment().is_some() => {
                    Err(Error::invalid_type(Unexpected::Other("an attachment"), &visitor))
                }
                Some(mark) => self.swap(mark, visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    swap_or_plain! {
        deserialize_any(), deserialize_bool(), deserialize_i8(), deserialize_i16(), deserialize_i32(),
        deserialize_i64(), deserialize_i128(), deserialize_u8(), deserialize_u16(), deserialize_u32(),
        deserialize_u64(), deserialize_u128(), deserialize_f32(), deserialize_f64(), deserialize_bytes(),
        deserialize_byte_buf(), deserialize_unit(), deserialize_unit_struct(name: &'static str), deserialize_seq(),
        deserialize_tuple(len: usize), deserialize_tuple_struct(name: &'static str, len: usize), deserialize_map(),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
    }

    text_or_plain! { deserialize_char, deserialize_str, deserialize_string, deserialize_identifier }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.mark() {
            None => self.plain(|json| json.deserialize_option(visitor)),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match self.mark() {
            None => self.plain(|json| json.deserialize_newtype_struct(name, visitor)),
            Some(_) => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.mark() {
            None => self.plain(|json| json.deserialize_enum(name, variants, visitor)),
            Some(mark) if mark.attachment().is_none() && self.peek() == Some(b'{') => {
                self.at += 1;
                let value = visitor.visit_enum(Variant(self))?;
                self.expect(b'}')?;
                Ok(value)
            }
            Some(mark) => self.swap(mark, visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.mark() {
            None => self.plain(|json| json.deserialize_ignored_any(visitor)),
            Some(mark) => {
                self.at = mark.end;
                visitor.visit_unit()
            }
        }
    }
}

/// The rest of an array that holds a placeholder.
struct Items<'r, 'de>(&'r mut Reader<'de>);

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.0.item(b']') { seed.deserialize(&mut *self.0).map(Some) } else { Ok(None) }
    }
}

/// The rest of an object that holds a placeholder.
struct Entries<'r, 'de>(&'r mut Reader<'de>);

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.0.item(b'}') { seed.deserialize(self.0.key()).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        self.0.expect(b':')?;
        seed.deserialize(&mut *self.0)
    }
}

/// `{"variant":value}`, where the value holds a placeholder or is one.
struct Variant<'r, 'de>(&'r mut Reader<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Error> {
        let variant = seed.deserialize(self.0.key())?;
        self.0.expect(b':')?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_struct("", fields, visitor)
    }
}

/// The key of an object, with its quotes. As in serde_json, a number or a bool may be asked for.
struct Key<'de>(&'de str);

impl<'de> Key<'de> {
    fn json(&self) -> serde_json::Deserializer<serde_json::de::StrRead<'de>> {
        serde_json::Deserializer::from_str(self.0)
    }

    /// What stands between the quotes, which has no whitespace.
    fn scalar(&self) -> Result<serde_json::Deserializer<serde_json::de::StrRead<'de>>, Error> {
        let text = self.0.trim_matches('"');
        if text.contains(WHITESPACE) {
            return Err(Error::custom("a key is no number"));
        }
        Ok(serde_json::Deserializer::from_str(text))
    }
}

macro_rules! scalar_key {
    ($($method:ident),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let mut json = self.scalar()?;
            let value = json.$method(visitor)?;
            json.end().map(|()| value)
        })*
    };
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Error;

    scalar_key! {
        deserialize_bool, deserialize_i8, deserialize_i16, deserialize_i32, deserialize_i64, deserialize_i128,
        deserialize_u8, deserialize_u16, deserialize_u32, deserialize_u64, deserialize_u128, deserialize_f32,
        deserialize_f64,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.json().deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.json().deserialize_bytes(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.json().deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.json().deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        char str string unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
