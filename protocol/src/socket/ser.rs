//! Arguments to JSON: serde_json writes, and two serializers in front of it decide what it gets. [`Arguments`] tells a
//! list of arguments from a single one, [`Attaching`] swaps bytes for placeholders.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt::{self, Display};
use core::mem;

use serde::Serialize;
use serde::ser::{
    self, Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{raw, text};
use crate::websocket::Frame;

/// Writes `["event",arguments..]`, and the attachments as frames to `attached`, which is empty. Gives their number. The
/// error is serde's words.
pub(super) fn write_list<A: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    attached: &mut Vec<u8>,
    event: Option<&str>,
    args: &A,
) -> Result<usize, String> {
    out.push(b'[');
    match event {
        Some(event) if !write_plain(out, event) => write_json(out, event).map_err(|error| error.to_string())?,
        _ => {}
    }
    let attachments = Attachments { frames: Cell::new(mem::take(attached)), ..Attachments::default() };
    if args.serialize(Arguments { out, attachments: &attachments, expected: Expected::List }).is_err() {
        // One argument; or a list, of which serde_json finds the same fault, and says which.
        write_argument(out, args, &attachments).map_err(|error| error.to_string())?;
        if attachments.in_list.get() {
            return Err(String::from("an argument fails only at times"));
        }
    }
    out.push(b']');
    *attached = attachments.frames.into_inner();
    Ok(attachments.count.get())
}

/// Appends a value as JSON.
#[cfg(feature = "std")]
pub(super) fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::new(out))
}

/// Appends a value as JSON. Without `std` serde_json has no way to write into a buffer of ours.
#[cfg(not(feature = "std"))]
pub(super) fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> serde_json::Result<()> {
    out.extend_from_slice(&serde_json::to_vec(value)?);
    Ok(())
}

fn write_argument<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
    attachments: &Attachments,
) -> serde_json::Result<()> {
    separate(out);
    write_json(out, &Attach { value, attachments })
}

/// Appends a string that stands for itself in JSON; false, and nothing happens, if it needs escapes.
fn write_plain(out: &mut Vec<u8>, text: &str) -> bool {
    let plain = text::is_plain(text.as_bytes());
    if plain {
        // With room for what ends a list, so that a long text as the last argument is not moved again.
        out.reserve(text.len() + 16);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
    plain
}

/// No value ends with a bracket that opens, so it is there only in front of the first.
fn separate(out: &mut Vec<u8>) {
    if out.last() != Some(&b'[') {
        out.push(b',');
    }
}

/// The attachments found so far, as finished frames in the order of their numbers.
#[derive(Default)]
struct Attachments {
    frames: Cell<Vec<u8>>,
    count: Cell<usize>,
    /// Whether they are those of a list of arguments.
    in_list: Cell<bool>,
}

impl Attachments {
    /// Adds one and gives its number.
    fn push(&self, bytes: &[u8]) -> usize {
        let mut frames = self.frames.take();
        Frame::append_binary(bytes, &mut frames);
        self.frames.set(frames);
        self.count.replace(self.count.get() + 1)
    }
}

/// Writes what is expected; refuses, before anything is written, what is a single argument.
struct Arguments<'a> {
    out: &'a mut Vec<u8>,
    attachments: &'a Attachments,
    expected: Expected,
}

impl Arguments<'_> {
    fn begin_list(self) -> Self {
        self.attachments.in_list.set(true);
        self
    }
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Expected {
    /// A list of arguments.
    List,
    /// A part of [`raw::RawArgs`], which are taken as they are.
    RawPart,
    /// A string that needs no escapes, or bytes: the most frequent arguments by far, and written without serde_json.
    Plain,
}

/// This is a single argument, or cannot be written: then serde_json says why. Which of the two is not told here, since types
/// may put what a serializer says in words of their own.
#[derive(Debug)]
struct Refusal;

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no list of arguments")
    }
}

impl core::error::Error for Refusal {}

impl ser::Error for Refusal {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

/// Methods whose `value` is a single argument.
macro_rules! single {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, _: $type) -> Result<(), Refusal> {
            Err(Refusal)
        })*
    };
}

type Never = Impossible<(), Refusal>;

impl Serializer for Arguments<'_> {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = Never;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    fn serialize_tuple(self, _: usize) -> Result<Self, Refusal> {
        if self.expected == Expected::List { Ok(self.begin_list()) } else { Err(Refusal) }
    }

    fn serialize_unit(self) -> Result<(), Refusal> {
        if self.expected == Expected::List { Ok(()) } else { Err(Refusal) }
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Self, Refusal> {
        match self.expected {
            Expected::List if name == raw::TOKEN => Ok(self.begin_list()),
            _ => Err(Refusal),
        }
    }

    fn serialize_str(self, text: &str) -> Result<(), Refusal> {
        match self.expected {
            Expected::RawPart if text.is_empty() => {}
            Expected::RawPart => {
                separate(self.out);
                self.out.extend_from_slice(text.as_bytes());
            }
            Expected::Plain => {
                let before = self.out.len();
                separate(self.out);
                if !write_plain(self.out, text) {
                    self.out.truncate(before);
                    return Err(Refusal);
                }
            }
            Expected::List => return Err(Refusal),
        }
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Refusal> {
        match self.expected {
            Expected::RawPart => {
                self.attachments.push(bytes);
            }
            Expected::Plain => {
                separate(self.out);
                let number = self.attachments.push(bytes);
                self.out.extend_from_slice(b"{\"_placeholder\":true,\"num\":");
                self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
                self.out.push(b'}');
            }
            Expected::List => return Err(Refusal),
        }
        Ok(())
    }

    single! {
        serialize_bool: bool, serialize_char: char, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_u64: u64, serialize_u128: u128, serialize_f32: f32, serialize_f64: f64,
        serialize_unit_struct: &'static str,
    }

    fn serialize_none(self) -> Result<(), Refusal> {
        Err(Refusal)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Refusal> {
        Err(Refusal)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<(), Refusal> {
        Err(Refusal)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Refusal> {
        Err(Refusal)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Refusal> {
        Err(Refusal)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Never, Refusal> {
        Err(Refusal)
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Never, Refusal> {
        Err(Refusal)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Never, Refusal> {
        Err(Refusal)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Never, Refusal> {
        Err(Refusal)
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Never, Refusal> {
        Err(Refusal)
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<(), Refusal> {
        Err(Refusal)
    }
}

/// A Rust tuple is the list of arguments.
impl SerializeTuple for Arguments<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        let plain = Arguments { out: self.out, attachments: self.attachments, expected: Expected::Plain };
        match value.serialize(plain) {
            Ok(()) => Ok(()),
            Err(Refusal) => write_argument(self.out, value, self.attachments).map_err(|_| Refusal),
        }
    }

    fn end(self) -> Result<(), Refusal> {
        Ok(())
    }
}

/// [`raw::RawArgs`]: the text between the brackets, then each attachment.
impl SerializeTupleStruct for Arguments<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        value.serialize(Arguments { out: self.out, attachments: self.attachments, expected: Expected::RawPart })
    }

    fn end(self) -> Result<(), Refusal> {
        Ok(())
    }
}

/// A value whose bytes, at any depth, become attachments.
struct Attach<'a, T: ?Sized> {
    value: &'a T,
    attachments: &'a Attachments,
}

impl<T: Serialize + ?Sized> Serialize for Attach<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Attaching { inner: serializer, attachments: self.attachments })
    }
}

/// Passes everything on but bytes.
struct Attaching<'a, S> {
    inner: S,
    attachments: &'a Attachments,
}

impl<'a, S> Attaching<'a, S> {
    /// The same around what `begin` makes of the serializer.
    fn around<C, E>(self, begin: impl FnOnce(S) -> Result<C, E>) -> Result<Attaching<'a, C>, E> {
        Ok(Attaching { inner: begin(self.inner)?, attachments: self.attachments })
    }
}

macro_rules! pass {
    ($($method:ident($($name:ident: $type:ty),*)),* $(,)?) => {
        $(fn $method(self $(, $name: $type)*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($name),*)
        })*
    };
}

impl<'a, S: Serializer> Serializer for Attaching<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Attaching<'a, S::SerializeSeq>;
    type SerializeTuple = Attaching<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Attaching<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Attaching<'a, S::SerializeTupleVariant>;
    type SerializeMap = Attaching<'a, S::SerializeMap>;
    type SerializeStruct = Attaching<'a, S::SerializeStruct>;
    type SerializeStructVariant = Attaching<'a, S::SerializeStructVariant>;

    fn serialize_bytes(self, bytes: &[u8]) -> Result<S::Ok, S::Error> {
        let number = self.attachments.push(bytes);
        let mut placeholder = self.inner.serialize_struct("", 2)?;
        placeholder.serialize_field("_placeholder", &true)?;
        placeholder.serialize_field("num", &number)?;
        placeholder.end()
    }

    pass! {
        serialize_bool(v: bool), serialize_char(v: char), serialize_str(v: &str), serialize_i8(v: i8),
        serialize_i16(v: i16), serialize_i32(v: i32), serialize_i64(v: i64), serialize_i128(v: i128),
        serialize_u8(v: u8), serialize_u16(v: u16), serialize_u32(v: u32), serialize_u64(v: u64),
        serialize_u128(v: u128), serialize_f32(v: f32), serialize_f64(v: f64), serialize_none(), serialize_unit(),
        serialize_unit_struct(name: &'static str),
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str),
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let attachments = self.attachments;
        self.inner.serialize_some(&Attach { value, attachments })
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        let attachments = self.attachments;
        self.inner.serialize_newtype_struct(name, &Attach { value, attachments })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let attachments = self.attachments;
        self.inner.serialize_newtype_variant(name, index, variant, &Attach { value, attachments })
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.around(|inner| inner.serialize_seq(len))
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.around(|inner| inner.serialize_tuple(len))
    }

    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        if name == raw::TOKEN {
            return Err(ser::Error::custom("RawArgs are the whole list of arguments, not one of them"));
        }
        self.around(|inner| inner.serialize_tuple_struct(name, len))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.around(|inner| inner.serialize_tuple_variant(name, index, variant, len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.around(|inner| inner.serialize_map(len))
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        self.around(|inner| inner.serialize_struct(name, len))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.around(|inner| inner.serialize_struct_variant(name, index, variant, len))
    }
}

macro_rules! compound {
    ($($trait:ident { $($method:ident($($key:ident)?)),* }),* $(,)?) => {
        $(impl<S: $trait> $trait for Attaching<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            $(fn $method<T: Serialize + ?Sized>(&mut self, $($key: &'static str,)? value: &T) -> Result<(), S::Error> {
                let attachments = self.attachments;
                self.inner.$method($($key,)? &Attach { value, attachments })
            })*

            compound!(@ $trait);

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })*
    };
    // Keys stay as they are: bytes cannot be one.
    (@ SerializeMap) => {
        fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
            self.inner.serialize_key(key)
        }
    };
    (@ $trait:ident) => {};
}

compound! {
    SerializeSeq { serialize_element() },
    SerializeTuple { serialize_element() },
    SerializeTupleStruct { serialize_field() },
    SerializeTupleVariant { serialize_field() },
    SerializeMap { serialize_value() },
    SerializeStruct { serialize_field(key) },
    SerializeStructVariant { serialize_field(key) },
}
