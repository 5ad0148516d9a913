use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::{fmt, mem};

use bytes::{Buf, Bytes};
use memchr::memchr;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::de::{EventName, Kind};
use super::{Payload, de, ser};
use crate::engine::{Packet, PacketType as Engine};
use crate::websocket::{Frame, FrameBuilder, Opcode};

/// The packet types of Socket.IO; protocol specification, section "Packet encoding".
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PacketType {
    /// Joins a namespace.
    Connect = b'0',
    /// Leaves a namespace.
    Disconnect = b'1',
    /// An event.
    Event = b'2',
    /// The answer to an event.
    Ack = b'3',
    /// A namespace refuses.
    ConnectError = b'4',
    /// An event with attachments.
    BinaryEvent = b'5',
    /// An answer with attachments.
    BinaryAck = b'6',
}

/// A text message of Socket.IO, split but for its payload, which is left as text.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The packet type.
    pub kind: PacketType,
    /// How many binary messages follow; 0 unless the type is binary.
    pub attachments: usize,
    /// The namespace, `/` if the packet names none.
    pub namespace: &'a str,
    /// The ack id.
    pub id: Option<u64>,
    /// The payload: JSON that nobody has looked at, or nothing.
    pub payload: &'a str,
    /// The event's name, found while the payload's shape was checked.
    pub(super) event: Option<EventName>,
}

/// Why a text message is no Socket.IO packet.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PacketError {
    /// The message is empty or its first character is no packet type.
    Type,
    /// The number of attachments is missing, no number, or not ended by a dash.
    Attachments,
    /// More than the allowed number of attachments.
    TooManyAttachments,
    /// The namespace has more than 512 bytes.
    Namespace,
    /// The ack id has more than 19 digits.
    Id,
    /// The payload does not fit the packet type.
    Payload,
}

impl<'a> Header<'a> {
    /// The longest namespace, in bytes.
    pub const MAX_NAMESPACE: usize = 512;
    /// The most digits of an ack id.
    pub const MAX_ID_DIGITS: usize = 19;

    /// Splits a message and checks the shape (not the JSON) of its payload against its type.
    ///
    /// # Errors
    ///
    /// The message is no packet: what cannot be read, or is not allowed, closes the connection.
    pub fn parse(message: &'a str, max_attachments: usize) -> Result<Self, PacketError> {
        let (kind, rest) = kind(message).ok_or(PacketError::Type)?;
        let (attachments, rest) = match kind {
            PacketType::BinaryEvent | PacketType::BinaryAck => attachments(rest, max_attachments)?,
            _ => (0, rest),
        };
        let (namespace, rest) = namespace(rest)?;
        let (id, payload) = id(rest)?;
        let event = match kind {
            PacketType::Event | PacketType::BinaryEvent => de::event_name(payload),
            _ => None,
        };
        let fits = match kind {
            PacketType::Connect => payload.is_empty() || payload.starts_with('{'),
            PacketType::Disconnect => payload.is_empty(),
            PacketType::Event | PacketType::BinaryEvent => {
                event.is_some_and(|name| !is_reserved(&name.unescape(payload)))
            }
            PacketType::Ack | PacketType::BinaryAck => payload.starts_with('['),
            // Only servers send it: whoever reads it judges it.
            PacketType::ConnectError => true,
        };
        if fits { Ok(Self { kind, attachments, namespace, id, payload, event }) } else { Err(PacketError::Payload) }
    }

    /// The payload, to be decoded, with the attachments that followed: for those who have no
    /// [`Sockets`](super::Sockets).
    pub fn into_payload(self, attachments: Vec<Bytes>) -> Payload<'a> {
        let kind = match self.kind {
            PacketType::Event | PacketType::BinaryEvent => Kind::Event(self.event),
            PacketType::Ack | PacketType::BinaryAck => Kind::Ack,
            PacketType::Connect | PacketType::Disconnect | PacketType::ConnectError => Kind::Auth,
        };
        Payload::of_parts(self.payload, kind, attachments)
    }
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "unknown packet type",
            Self::Attachments => "illegal number of attachments",
            Self::TooManyAttachments => "too many attachments",
            Self::Namespace => "the namespace is too long",
            Self::Id => "the ack id is too long",
            Self::Payload => "the payload does not fit the packet type",
        })
    }
}

impl core::error::Error for PacketError {}

/// Why something was not encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The name belongs to the protocol: `connect`, `connect_error`, `disconnect`, `disconnecting`, `newListener`,
    /// `removeListener`.
    ReservedName,
    /// The arguments cannot be written as JSON; why.
    Json(String),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedName => f.write_str("the event name is reserved"),
            Self::Json(why) => write!(f, "the arguments cannot be written as JSON: {why}"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// Why a namespace refuses a client: the payload of CONNECT_ERROR.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectError {
    message: String,
    data: Option<String>,
}

impl ConnectError {
    /// A refusal in words, which the client finds in `err.message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None }
    }

    /// Adds details, which the client finds in `err.data`. What cannot be written as JSON is left out.
    #[must_use]
    pub fn with_data(self, data: impl Serialize) -> Self {
        Self { data: serde_json::to_string(&data).ok(), ..self }
    }

    /// Reads the payload of a CONNECT_ERROR. `None` if it is neither an object nor the string of older servers.
    pub(super) fn parse(payload: &str) -> Option<Self> {
        #[derive(Default, Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            message: Option<&'a RawValue>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        let text = |json: &str| serde_json::from_str::<String>(json).unwrap_or_default();
        if payload.is_empty() {
            return Some(Self::new(""));
        }
        if !de::is_json(payload) {
            return None;
        }
        match payload.as_bytes().first()? {
            b'"' => Some(Self::new(text(payload))),
            b'{' => {
                // Fields that are there twice make no refusal unreadable.
                let Fields { message, data } = serde_json::from_str(payload).unwrap_or_default();
                let message = message.map_or_else(String::new, |message| text(message.get()));
                Some(Self { message, data: data.map(|data| data.get().into()) })
            }
            _ => None,
        }
    }

    /// The words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The JSON text of the details.
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for ConnectError {}

/// Encodes events and acks through one buffer, so that a packet costs one allocation of just its size.
///
/// Arguments: a tuple is the argument list, `()` none, [`RawArgs`](super::RawArgs) the list as it was received, anything
/// else exactly one argument. What serde serializes as bytes, at any depth, travels as an attachment.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    buffer: Vec<u8>,
    /// The frames of the attachments.
    attached: Vec<u8>,
}

impl Encoder {
    /// The capacity above which a buffer is not kept.
    const KEEP: usize = 256 * 1024;

    /// An event, which is to be answered under `id` if there is one.
    ///
    /// # Errors
    ///
    /// The name is reserved, or serde cannot write the arguments as JSON.
    pub fn event<A: Serialize + ?Sized>(
        &mut self,
        namespace: &str,
        event: &str,
        args: &A,
        id: Option<u64>,
    ) -> Result<Packet, EncodeError> {
        self.write_event(namespace, event, args, id).map(Encoded::into_packet)
    }

    /// As [`Encoder::event`], but the packet stays in the encoder, for who copies it elsewhere.
    ///
    /// # Errors
    ///
    /// See [`Encoder::event`].
    pub fn write_event<A: Serialize + ?Sized>(
        &mut self,
        namespace: &str,
        event: &str,
        args: &A,
        id: Option<u64>,
    ) -> Result<Encoded<'_>, EncodeError> {
        if is_reserved(event) {
            return Err(EncodeError::ReservedName);
        }
        self.list([PacketType::Event, PacketType::BinaryEvent], namespace, id, Some(event), args)
    }

    /// The answer to the event with the ack id `id`.
    ///
    /// # Errors
    ///
    /// Serde cannot write the arguments as JSON.
    pub fn ack<A: Serialize + ?Sized>(&mut self, namespace: &str, id: u64, args: &A) -> Result<Packet, EncodeError> {
        self.write_ack(namespace, id, args).map(Encoded::into_packet)
    }

    /// As [`Encoder::ack`], but the packet stays in the encoder, for who copies it elsewhere.
    ///
    /// # Errors
    ///
    /// See [`Encoder::ack`].
    pub fn write_ack<A: Serialize + ?Sized>(
        &mut self,
        namespace: &str,
        id: u64,
        args: &A,
    ) -> Result<Encoded<'_>, EncodeError> {
        self.list([PacketType::Ack, PacketType::BinaryAck], namespace, Some(id), None, args)
    }

    /// `kinds`: what the packet is without and with attachments.
    fn list<A: Serialize + ?Sized>(
        &mut self,
        [text, binary]: [PacketType; 2],
        namespace: &str,
        id: Option<u64>,
        event: Option<&str>,
        args: &A,
    ) -> Result<Encoded<'_>, EncodeError> {
        if self.buffer.capacity().max(self.attached.capacity()) > Self::KEEP {
            *self = Self::default();
        }
        self.attached.clear();
        let mut packet = Writer::new(mem::take(&mut self.buffer), namespace, id);
        let attachments = ser::write_list(packet.builder.payload(), &mut self.attached, event, args);
        let attachments = attachments.map_err(EncodeError::Json)?;
        if attachments > 0 {
            packet.prepend(b"-");
            packet.prepend_number(attachments);
        }
        let (buffer, start) = packet.finish(if attachments > 0 { binary } else { text });
        self.buffer = buffer;
        Ok(Encoded { encoder: self, start })
    }
}

/// A packet that is still in its [`Encoder`].
#[derive(Debug)]
pub struct Encoded<'e> {
    encoder: &'e mut Encoder,
    /// Where its first frame begins.
    start: usize,
}

impl Encoded<'_> {
    /// A packet of up to so many bytes is a copy of just its size; a larger one takes the buffer along.
    const COPIED: usize = 16 * 1024;

    /// Bytes on the wire, as WebSocket frames.
    #[expect(clippy::len_without_is_empty, reason = "a packet is never empty")]
    pub fn len(&self) -> usize {
        self.encoder.buffer.len() - self.start + self.encoder.attached.len()
    }

    /// Appends the packet's finished frames to `out`.
    pub fn copy_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.encoder.buffer.get(self.start..).unwrap_or_default());
        out.extend_from_slice(&self.encoder.attached);
    }

    /// The packet, to be kept.
    pub fn into_packet(self) -> Packet {
        let Encoder { buffer, attached } = self.encoder;
        let first = Frame::from_finished(Self::take(buffer, self.start));
        let rest = (!attached.is_empty()).then(|| Self::split(Self::take(attached, 0)));
        Packet::from_frames(first, rest)
    }

    /// The frames of the attachments. Most packets have one at most, which needs no list on the way.
    fn split(attached: Bytes) -> Arc<[Frame]> {
        let mut frames = Frame::split(attached);
        match (frames.next(), frames.next()) {
            (Some(only), None) => Arc::from([only]),
            (first, second) => first.into_iter().chain(second).chain(frames).collect(),
        }
    }

    fn take(buffer: &mut Vec<u8>, start: usize) -> Bytes {
        if buffer.len() <= Self::COPIED {
            return Bytes::copy_from_slice(buffer.get(start..).unwrap_or_default());
        }
        let mut buffer = mem::take(buffer);
        // Who does not read must not hold twice what is counted.
        buffer.shrink_to_fit();
        let mut bytes = Bytes::from(buffer);
        bytes.advance(start.min(bytes.len()));
        bytes
    }
}

/// An event, encoded by an [`Encoder`] of its own.
///
/// # Errors
///
/// See [`Encoder::event`].
pub fn encode_event<A: Serialize + ?Sized>(
    namespace: &str,
    event: &str,
    args: &A,
    id: Option<u64>,
) -> Result<Packet, EncodeError> {
    Encoder::default().event(namespace, event, args, id)
}

/// An ack, encoded by an [`Encoder`] of its own.
///
/// # Errors
///
/// See [`Encoder::ack`].
pub fn encode_ack<A: Serialize + ?Sized>(namespace: &str, id: u64, args: &A) -> Result<Packet, EncodeError> {
    Encoder::default().ack(namespace, id, args)
}

/// Asks a namespace to be let in, with what `auth`, an object, shows: `40{"token":".."}`.
pub(super) fn encode_join(namespace: &str, auth: Option<&str>) -> Packet {
    let mut packet = Writer::new(Vec::new(), namespace, None);
    packet.raw(auth.unwrap_or_default());
    packet.packet(PacketType::Connect)
}

/// The reply to a CONNECT that was accepted: `40{"sid":".."}`.
pub fn encode_connect(namespace: &str, sid: &str) -> Packet {
    let mut packet = Writer::new(Vec::new(), namespace, None);
    packet.raw("{\"sid\":");
    packet.string(sid);
    packet.raw("}");
    packet.packet(PacketType::Connect)
}

/// The reply to a CONNECT that was refused: `44{"message":"..","data":..}`.
pub fn encode_connect_error(namespace: &str, error: &ConnectError) -> Packet {
    let mut packet = Writer::new(Vec::new(), namespace, None);
    packet.raw("{\"message\":");
    packet.string(&error.message);
    if let Some(data) = &error.data {
        packet.raw(",\"data\":");
        packet.raw(data);
    }
    packet.raw("}");
    packet.packet(PacketType::ConnectError)
}

/// Tells the peer that it is no longer in the namespace: `41`.
pub fn encode_disconnect(namespace: &str) -> Packet {
    Writer::new(Vec::new(), namespace, None).packet(PacketType::Disconnect)
}

/// The names that the official libraries emit themselves, on sockets and on Node's emitters.
fn is_reserved(event: &str) -> bool {
    matches!(event, "connect" | "connect_error" | "disconnect" | "disconnecting" | "newListener" | "removeListener")
}

fn kind(message: &str) -> Option<(PacketType, &str)> {
    let kind = match message.as_bytes().first()? {
        b'0' => PacketType::Connect,
        b'1' => PacketType::Disconnect,
        b'2' => PacketType::Event,
        b'3' => PacketType::Ack,
        b'4' => PacketType::ConnectError,
        b'5' => PacketType::BinaryEvent,
        b'6' => PacketType::BinaryAck,
        _ => return None,
    };
    Some((kind, message.get(1..)?))
}

fn attachments(rest: &str, max: usize) -> Result<(usize, &str), PacketError> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (count, rest) = rest.split_at_checked(digits).ok_or(PacketError::Attachments)?;
    let rest = rest.strip_prefix('-').filter(|_| digits > 0).ok_or(PacketError::Attachments)?;
    // What does not fit into a number is certainly too much.
    match count.parse() {
        Ok(count) if count <= max => Ok((count, rest)),
        _ => Err(PacketError::TooManyAttachments),
    }
}

fn namespace(rest: &str) -> Result<(&str, &str), PacketError> {
    if !rest.starts_with('/') {
        return Ok(("/", rest));
    }
    let end = memchr(b',', rest.as_bytes()).unwrap_or(rest.len());
    if end > Header::MAX_NAMESPACE {
        return Err(PacketError::Namespace);
    }
    let (namespace, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
    Ok((namespace, rest.strip_prefix(',').unwrap_or_default()))
}

fn id(rest: &str) -> Result<(Option<u64>, &str), PacketError> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).take(Header::MAX_ID_DIGITS + 1).count();
    if digits == 0 {
        return Ok((None, rest));
    }
    if digits > Header::MAX_ID_DIGITS {
        return Err(PacketError::Id);
    }
    let (id, rest) = rest.split_at_checked(digits).ok_or(PacketError::Id)?;
    // 19 digits always fit.
    Ok((Some(id.parse().map_err(|_| PacketError::Id)?), rest))
}

/// A packet's text in the making. What stands in front of the namespace is known last, and put there from the right.
struct Writer {
    builder: FrameBuilder,
}

impl Writer {
    /// Two types, a number of at most 20 digits and a dash.
    const PREFIX: usize = 23;
    /// Room for most packets.
    const CAPACITY: usize = 256;

    #[inline]
    fn new(mut buffer: Vec<u8>, namespace: &str, id: Option<u64>) -> Self {
        buffer.reserve(Self::CAPACITY.saturating_sub(buffer.len()));
        let mut builder = FrameBuilder::reuse(buffer, Self::PREFIX);
        let text = builder.payload();
        if namespace != "/" {
            text.extend_from_slice(namespace.as_bytes());
            text.push(b',');
        }
        if let Some(id) = id {
            text.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
        }
        Self { builder }
    }

    fn raw(&mut self, json: &str) {
        self.builder.payload().extend_from_slice(json.as_bytes());
    }

    fn string(&mut self, text: &str) {
        // A string can always be written.
        let _ = ser::write_json(self.builder.payload(), text);
    }

    fn prepend(&mut self, bytes: &[u8]) {
        let fits = self.builder.prepend(bytes);
        debug_assert!(fits, "the gap is made for all parts");
    }

    fn prepend_number(&mut self, number: usize) {
        self.prepend(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Puts the type in front. Gives the buffer, and where the frame begins in it.
    #[inline]
    fn finish(mut self, kind: PacketType) -> (Vec<u8>, usize) {
        self.prepend(&[Engine::Message as u8, kind as u8]);
        self.builder.finish_in_place(Opcode::Text)
    }

    /// A packet of one frame.
    fn packet(self, kind: PacketType) -> Packet {
        let (buffer, start) = self.finish(kind);
        Encoded { encoder: &mut Encoder { buffer, attached: Vec::new() }, start }.into_packet()
    }
}

#[cfg(test)]
mod tests;
