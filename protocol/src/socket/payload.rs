use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::Error as _;

use super::RawArgs;
use super::de::{self, AllArguments, Arguments, EventName, Kind, Reader};
use super::placeholder::{Fault, Placeholders, scan};
use crate::websocket;

/// The arguments of an event or an ack, or the `auth` of a CONNECT: JSON that nobody has parsed yet, and attachments.
///
/// Decode it once, straight into a type of your own. A payload that is dropped undecoded, or whose decoding failed, is
/// checked to be JSON (with valid placeholders); if it is not, the machine that it came from closes the connection.
#[derive(Debug)]
pub struct Payload<'a> {
    /// The JSON text: for events an array whose first element is the name, for acks an array, for auth an object or "".
    json: &'a str,
    kind: Kind,
    /// Of an event.
    name: Option<EventName<'a>>,
    /// Boxed, so that a payload without any is small.
    attachments: Option<Box<Attachments<'a>>>,
    /// Set when the text turned out not to be JSON; read by the machine at its next step. `None` once that is known.
    malformed: Option<&'a mut bool>,
}

/// Attachments that were received before the last one, and the last one, which still sits in its read buffer.
#[derive(Debug, Default)]
pub(crate) struct Attachments<'a> {
    pub(crate) stored: Vec<Bytes>,
    pub(crate) last: Option<websocket::Binary<'a>>,
}

/// Why a payload did not become what it was to become.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is no JSON, or a placeholder points to no attachment: the connection is closed.
    Malformed,
    /// It is JSON of another shape; serde's words. The connection lives on.
    Shape(serde_json::Error),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the payload is not JSON"),
            Self::Shape(error) => write!(f, "the payload has another shape: {error}"),
        }
    }
}

impl core::error::Error for DecodeError {}

impl<'a> Payload<'a> {
    /// The list of an event with its name, which is found if it is not known. `malformed` is set if the list turns out to
    /// be no JSON.
    pub(super) fn of_event(
        json: &'a str,
        name: Option<EventName<'a>>,
        attachments: Attachments<'a>,
        malformed: &'a mut bool,
    ) -> Self {
        let name = name.or_else(|| de::event_name(json));
        Self { json, kind: Kind::Event, name, attachments: attachments.boxed(), malformed: Some(malformed) }
    }

    /// The list of an ack. `malformed` is set if it turns out to be no JSON.
    pub(crate) fn of_ack(json: &'a str, attachments: Attachments<'a>, malformed: &'a mut bool) -> Self {
        Self { json, kind: Kind::Ack, name: None, attachments: attachments.boxed(), malformed: Some(malformed) }
    }

    /// The object of a CONNECT, or nothing. `malformed` is set if it turns out to be no JSON.
    pub(crate) fn of_auth(json: &'a str, malformed: &'a mut bool) -> Self {
        Self { json, kind: Kind::Auth, name: None, attachments: None, malformed: Some(malformed) }
    }

    /// The list of an event that is judged by nobody else.
    pub(super) fn of_parts(json: &'a str, name: Option<EventName<'a>>, attachments: Vec<Bytes>) -> Self {
        Self {
            json,
            kind: Kind::Event,
            name,
            attachments: Attachments { stored: attachments, last: None }.boxed(),
            malformed: None,
        }
    }

    /// A list that was kept, without a name.
    pub(super) fn of_raw(json: &'a str, attachments: Vec<Bytes>) -> Self {
        Self {
            json,
            kind: Kind::Ack,
            name: None,
            attachments: Attachments { stored: attachments, last: None }.boxed(),
            malformed: None,
        }
    }

    /// The credentials of a CONNECT whose JSON was kept; empty if it had none.
    pub fn auth(json: &'a str) -> Self {
        Self { json, kind: Kind::Auth, name: None, attachments: None, malformed: None }
    }

    /// The name of the event, unescaped; a number as it was written. Empty for what is no event.
    ///
    /// A name that no `str` can hold, since it has half of a surrogate pair, is given as it was written.
    pub fn event(&self) -> Cow<'a, str> {
        self.name.map_or(Cow::Borrowed(""), |name| name.unescape())
    }

    /// The JSON text: an array whose first element is the event's name, or an ack's array, or the auth object. Empty when
    /// the packet had none.
    pub fn json(&self) -> &'a str {
        self.json
    }

    /// Decodes the arguments: a tuple (or array) takes the list (missing arguments are an error, surplus ones are
    /// ignored), `()` takes none, [`RawArgs`] all as they are, anything else takes argument 0, an `Option` also where
    /// there is none.
    ///
    /// The credentials of a CONNECT are argument 0; where there are none, an empty object is decoded in their place.
    ///
    /// Attachments become bytes, such as [`Binary`](super::Binary) or `serde_bytes::ByteBuf`; neither `String` nor
    /// `serde_json::Value` takes them. In an untagged enum, put the variant with bytes first.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`].
    pub fn decode<T: Deserialize<'a>>(self) -> Result<T, DecodeError> {
        self.read(|reader| T::deserialize(Arguments(reader)))
    }

    /// Decodes the whole list of arguments (without the name) as one sequence, for example into a `Vec`.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`].
    pub fn decode_all<T: Deserialize<'a>>(self) -> Result<T, DecodeError> {
        self.read(|reader| T::deserialize(AllArguments(reader)))
    }

    /// The arguments as they are, for handing them on: checked, but not decoded.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`]. The shape is wrong only where the arguments of a packet with attachments are nested too deep
    /// for their placeholders to be checked.
    pub fn into_raw(self) -> Result<RawArgs, DecodeError> {
        self.decode()
    }

    /// Reads the arguments, and settles whether the payload is malformed: when it is dropped, nobody looks again.
    fn read<T>(mut self, read: impl FnOnce(&mut Reader<'a>) -> Result<T, serde_json::Error>) -> Result<T, DecodeError> {
        let result = self.try_read(read);
        if let Some(malformed) = self.malformed.take() {
            *malformed |= matches!(result, Err(DecodeError::Malformed));
        }
        result
    }

    /// Usually one look at the text is enough, and only what fails is checked. Placeholders are found in valid text only.
    fn try_read<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, serde_json::Error>,
    ) -> Result<T, DecodeError> {
        let attachments = self.attachments.take();
        let checked = attachments.is_some();
        if checked && !self.is_json() {
            return Err(DecodeError::Malformed);
        }
        let placeholders = match attachments {
            Some(attachments) => Placeholders::new(self.json, *attachments)?,
            None => Placeholders::default(),
        };
        Reader::new(self.json, self.kind, self.name, placeholders)
            .and_then(|mut reader| {
                let value = read(&mut reader)?;
                reader.finish().map(|()| value)
            })
            .map_err(|error| if checked || self.is_json() { DecodeError::Shape(error) } else { DecodeError::Malformed })
    }

    fn is_json(&self) -> bool {
        (self.kind == Kind::Auth && self.json.is_empty()) || de::is_json(self.json)
    }
}

/// What nobody decoded is checked at last.
impl Drop for Payload<'_> {
    fn drop(&mut self) {
        if let Some(malformed) = self.malformed.take() {
            let attachments = self.attachments.as_ref().map_or(0, |attachments| attachments.len());
            *malformed |= !self.is_json() || scan(self.json, attachments) == Err(Fault::Illegal);
        }
    }
}

impl Attachments<'_> {
    fn boxed(self) -> Option<Box<Self>> {
        (self.len() > 0).then(|| Box::new(self))
    }

    fn len(&self) -> usize {
        self.stored.len() + usize::from(self.last.is_some())
    }
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Illegal => Self::Malformed,
            Fault::Depth => Self::Shape(serde_json::Error::custom("recursion limit exceeded")),
        }
    }
}

#[cfg(test)]
mod tests;
