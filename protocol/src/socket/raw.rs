use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTupleStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::de::Kind;
use super::{Binary, Payload};

/// By this name the encoders know [`RawArgs`] among all that serde serializes.
pub(super) const TOKEN: &str = "$socketio::RawArgs";

/// Arguments as they were received: for handing them on, byte for byte, without looking into them.
///
/// A [`Payload`](super::Payload) decodes into them, and the encoders take them in place of a tuple:
/// `encode_event("/", "copy", &raw, None)`. They are the whole list of arguments, never one of them, and nothing to other
/// serializers and deserializers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawArgs {
    json: String,
    attachments: Vec<Bytes>,
}

impl RawArgs {
    /// `list` is what stands between the brackets of a valid list.
    fn new(list: &str, attachments: Vec<Bytes>) -> Self {
        let mut json = String::with_capacity(list.len() + 2);
        json.push('[');
        json.push_str(list);
        json.push(']');
        Self { json, attachments }
    }

    /// The JSON text of the list, without the event's name. Attachments are placeholders.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The list, to be decoded after all.
    pub fn payload(&self) -> Payload<'_> {
        Payload::of_parts(&self.json, Kind::Ack, self.attachments.clone())
    }

    /// The attachments, in the order in which they were received.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }
}

impl Default for RawArgs {
    fn default() -> Self {
        Self::new("", Vec::new())
    }
}

impl Serialize for RawArgs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_tuple_struct(TOKEN, 1 + self.attachments.len())?;
        let list = self.json.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or_default();
        parts.serialize_field(list)?;
        for bytes in &self.attachments {
            parts.serialize_field(&Binary(bytes.clone()))?;
        }
        parts.end()
    }
}

impl<'de> Deserialize<'de> for RawArgs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(TOKEN, RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawArgs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the whole list of arguments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<RawArgs, A::Error> {
        let list: &str = parts.next_element()?.ok_or_else(|| Error::invalid_length(0, &self))?;
        let mut attachments = Vec::new();
        while let Some(Binary(bytes)) = parts.next_element()? {
            attachments.push(bytes);
        }
        Ok(RawArgs::new(list, attachments))
    }
}
