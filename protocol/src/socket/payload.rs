use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::Error as _;

use super::RawArgs;
use super::de::{self, AllArguments, Arguments, EventName, Kind, Reader};
use super::placeholder::{Fault, Held, Placeholders};

/// The arguments of an event or an ack, or the `auth` of a CONNECT: JSON that nobody has parsed yet, and attachments.
///
/// Decode it once, straight into a type of your own. A payload that is dropped undecoded, or whose decoding failed, is
/// checked to be JSON (with valid placeholders); if it is not, the machine that it came from closes the connection.
#[derive(Debug)]
pub struct Payload<'a> {
    /// The JSON text: for events an array whose first element is the name, for acks an array, for auth an object or "".
    json: &'a str,
    kind: Kind,
    attachments: Option<Held<'a>>,
    /// Set when the text turned out not to be JSON; read by the machine at its next step. `None` once that is known.
    malformed: Option<&'a mut bool>,
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
        name: Option<EventName>,
        attachments: Option<Held<'a>>,
        malformed: &'a mut bool,
    ) -> Self {
        let kind = Kind::Event(name.or_else(|| de::event_name(json)));
        Self { json, kind, attachments, malformed: Some(malformed) }
    }

    /// The list of an ack. `malformed` is set if it turns out to be no JSON.
    pub(super) fn of_ack(json: &'a str, attachments: Option<Held<'a>>, malformed: &'a mut bool) -> Self {
        Self { json, kind: Kind::Ack, attachments, malformed: Some(malformed) }
    }

    /// The object of a CONNECT, or nothing. `malformed` is set if it turns out to be no JSON.
    pub(super) fn of_auth(json: &'a str, malformed: &'a mut bool) -> Self {
        Self { json, kind: Kind::Auth, attachments: None, malformed: Some(malformed) }
    }

    /// A list that is judged by nobody but its decoder.
    pub(super) fn of_parts(json: &'a str, kind: Kind, attachments: Vec<Bytes>) -> Self {
        let mut placeholders = Placeholders::default();
        attachments.into_iter().for_each(|bytes| placeholders.push(bytes.into()));
        let attachments = (placeholders.len() > 0).then(|| Held::Own(Box::new(placeholders)));
        Self { json, kind, attachments, malformed: None }
    }

    /// The credentials of a CONNECT whose JSON was kept; empty if it had none.
    pub fn auth(json: &'a str) -> Self {
        Self::of_parts(json, Kind::Auth, Vec::new())
    }

    /// The name of the event, unescaped; a number as it was written. Empty for what is no event.
    ///
    /// A name that no `str` can hold, since it has half of a surrogate pair, is given as it was written.
    pub fn event(&self) -> Cow<'a, str> {
        match self.kind {
            Kind::Event(Some(name)) => name.unescape(self.json),
            _ => Cow::Borrowed(""),
        }
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
    ///
    /// Usually one look at the text is enough, and only what fails is checked. Placeholders are found in valid text only.
    fn read<T>(mut self, read: impl FnOnce(&mut Reader<'a>) -> Result<T, serde_json::Error>) -> Result<T, DecodeError> {
        let mut placeholders = self.attachments.take();
        if let Some(placeholders) = &mut placeholders
            && let Err(error) = self.find(placeholders)
        {
            return Err(self.judge(error));
        }
        let mut reader = Reader::new(self.json, self.kind, placeholders);
        let value = reader.start(self.kind).and_then(|()| read(&mut reader));
        match value.and_then(|value| reader.finish().map(|()| value)) {
            Ok(value) => {
                self.malformed = None;
                Ok(value)
            }
            Err(error) => {
                let error = if self.is_json() { DecodeError::Shape(error) } else { DecodeError::Malformed };
                Err(self.judge(error))
            }
        }
    }

    fn find(&self, placeholders: &mut Placeholders) -> Result<(), DecodeError> {
        if let Some(head) = self.kind.head()
            && placeholders.find_alone(self.json, head)?
        {
            return Ok(());
        }
        if self.is_json() { Ok(placeholders.find(self.json)?) } else { Err(DecodeError::Malformed) }
    }

    #[cold]
    fn judge(&mut self, error: DecodeError) -> DecodeError {
        if let Some(malformed) = self.malformed.take() {
            *malformed |= matches!(error, DecodeError::Malformed);
        }
        error
    }

    #[cold]
    fn check(&mut self) {
        let is_json = self.is_json();
        if let Some(malformed) = self.malformed.take() {
            let held = self.attachments.as_mut().filter(|_| is_json);
            *malformed |= !is_json || held.is_some_and(|held| held.find(self.json) == Err(Fault::Illegal));
        }
    }

    fn is_json(&self) -> bool {
        (self.kind == Kind::Auth && self.json.is_empty()) || de::is_json(self.json)
    }
}

/// What nobody decoded is checked at last.
impl Drop for Payload<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.malformed.is_some() {
            self.check();
        }
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
