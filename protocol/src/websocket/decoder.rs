use alloc::{boxed::Box, vec::Vec};
use core::hash::{Hash, Hasher};
use core::{mem, ops::Range};

use bytes::{Buf, Bytes};
use simdutf8::basic::from_utf8;

use super::{CloseCode, MAX_CONTROL, Opcode, Role, mask};
use crate::Input;

/// One whole message or control frame from the peer.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// A text message, checked to be UTF-8.
    Text(&'a str),
    /// A binary message.
    Binary(Binary<'a>),
    /// A ping, to be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// A close frame: its code, if it has one. After it the decoder gives nothing more.
    Close(Option<CloseCode>),
}

/// The payload of a binary message.
#[derive(Debug)]
pub struct Binary<'a> {
    source: Source<'a>,
}

#[derive(Debug)]
enum Source<'a> {
    Borrowed(&'a [u8]),
    /// The message sits at `start..end` of a buffer that holds little else and can be taken without a copy.
    Owned {
        buffer: &'a mut Vec<u8>,
        start: usize,
        end: usize,
    },
}

impl<'a> Binary<'a> {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match &self.source {
            Source::Borrowed(bytes) => bytes,
            Source::Owned { buffer, start, end } => buffer.get(*start..*end).unwrap_or_default(),
        }
    }

    /// The bytes as a vector: without memory of its own where the message was received into its own buffer.
    pub fn into_vec(self) -> Vec<u8> {
        match self.source {
            Source::Borrowed(bytes) => bytes.to_vec(),
            Source::Owned { buffer, start, end } => {
                let mut buffer = mem::take(buffer);
                buffer.truncate(end);
                buffer.drain(..start.min(end));
                buffer
            }
        }
    }

    /// The bytes as a value of its own: without a copy where the message was received into its own buffer.
    pub fn into_bytes(self) -> Bytes {
        match self.source {
            Source::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Source::Owned { buffer, start, end } => {
                let mut buffer = mem::take(buffer);
                buffer.truncate(end);
                let mut bytes = Bytes::from(buffer);
                bytes.advance(start.min(bytes.len()));
                bytes
            }
        }
    }
}

impl<'a> From<&'a [u8]> for Binary<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { source: Source::Borrowed(bytes) }
    }
}

/// Frames in, messages out.
///
/// Frames that lie whole in the input are unmasked there and lent from there. Only what makes no whole frame yet, and
/// fragments, are copied, into buffers that are freed as soon as they are used up: an idle decoder holds none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decoder {
    role: Role,
    closed: bool,
    max_message: usize,
    carry: Carry,
    gathering: Option<Box<Gathering>>,
}

impl Decoder {
    /// The most fragments that one message may have.
    pub const MAX_FRAGMENTS: usize = 1024;

    /// A decoder at the start of a stream, which refuses messages of more than `max_message` bytes.
    pub fn new(role: Role, max_message: usize) -> Self {
        Self { role, closed: false, max_message, carry: Carry::default(), gathering: None }
    }

    /// Allows messages of another size from the next frame on.
    pub(crate) fn set_max_message(&mut self, max_message: usize) {
        self.max_message = max_message;
    }

    /// The next message, or `None` when all input was taken and more is needed.
    ///
    /// # Errors
    ///
    /// The code to close with, when the peer broke the protocol. The decoder gives nothing more after it.
    pub fn next<'a, 'b: 'a>(&'a mut self, input: &mut Input<'b>) -> Result<Option<Incoming<'a>>, CloseCode> {
        match self.locate(input)? {
            Some(located) => self.lend(located).map(Some),
            None => Ok(None),
        }
    }

    /// The first half of [`Decoder::next`]: finds the next message, and borrows nothing from the decoder yet, so that a
    /// machine can decide what becomes of it. It is to be lent before the next call.
    pub(crate) fn locate<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Located<'b>>, CloseCode> {
        self.find(input).inspect_err(|_| {
            self.closed = true;
            self.discard(input);
        })
    }

    /// The short way of [`Decoder::next`] for what nearly all messages are: one frame that lies whole in the input, of
    /// text that starts with `first`, or binary. `None`, and nothing is taken, for everything else.
    pub(crate) fn next_whole<'b>(
        &mut self,
        first: u8,
        input: &mut Input<'b>,
    ) -> Option<Result<Incoming<'b>, CloseCode>> {
        if self.closed || self.gathering.is_some() || self.carry.is_used() {
            return None;
        }
        let Ok(Parsed::Whole(Header { fin: true, opcode: Some(opcode), key, len, end })) = self.parse(input.bytes())
        else {
            return None;
        };
        let masked_first = first ^ key.map_or(0, |[key, ..]| key);
        match opcode {
            Opcode::Binary if end <= input.len() => {}
            Opcode::Text if len < end && end <= input.len() && input.bytes().get(len) == Some(&masked_first) => {}
            _ => return None,
        }
        let payload = input.take(end).get_mut(len..).unwrap_or_default();
        if let Some(key) = key {
            mask(payload, key);
        }
        if opcode == Opcode::Binary {
            return Some(Ok(Incoming::Binary(Binary { source: Source::Borrowed(payload) })));
        }
        let text = from_utf8(payload).map(Incoming::Text).map_err(|_| CloseCode::INVALID_DATA);
        self.closed = text.is_err();
        Some(text)
    }

    /// The first byte of a message that was found, not checked to be UTF-8.
    pub(crate) fn first_byte(&self, located: &Located<'_>) -> Option<u8> {
        let payload = match &located.place {
            Place::Input(bytes) => bytes,
            Place::Carry(range) => self.carry.bytes.get(range.clone())?,
            Place::Gathered => self.gathering.as_ref()?.bytes.as_slice(),
        };
        payload.first().copied()
    }

    /// Whether nothing more comes out: the peer broke the protocol, or sent its close frame.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Keeps all of the input for later, undecoded: for a caller that takes no messages for now.
    ///
    /// What piles up is bounded by the caller alone, who stops reading.
    pub fn buffer_rest(&mut self, input: &mut Input<'_>) {
        self.release();
        if self.closed {
            return self.discard(input);
        }
        // Only when at least half is used up, so that a byte is moved once on average.
        if self.carry.start > self.carry.data().len() {
            self.carry.compact();
        }
        self.carry.append(input.take(usize::MAX), usize::MAX);
    }

    /// Room to read into directly while a frame of known length is being received, so that it is not copied twice.
    ///
    /// `None` when the caller should read into its own buffer. Tell with [`Decoder::filled`] how much was read. The
    /// room ends where the frame ends and grows with what has arrived, never with what was declared.
    pub fn read_target(&mut self) -> Option<&mut [u8]> {
        self.release();
        if self.closed || self.carry.is_empty() {
            return None;
        }
        let Ok(Parsed::Whole(header)) = self.parse(self.carry.data()) else { return None };
        if header.end.saturating_sub(self.carry.data().len()) < Carry::LEAST_ROOM {
            return None;
        }
        self.carry.compact();
        self.carry.room(header.end)
    }

    /// `count` bytes were read into [`Decoder::read_target`].
    pub fn filled(&mut self, count: usize) {
        self.carry.end = self.carry.end.saturating_add(count).min(self.carry.bytes.len());
    }

    /// Finds the next message and unmasks it.
    fn find<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Located<'b>>, CloseCode> {
        self.release();
        if self.closed {
            self.discard(input);
            return Ok(None);
        }
        if input.is_empty() && self.carry.is_empty() {
            return Ok(None);
        }
        while let Some((header, mut place)) = self.frame(input)? {
            let payload = match &mut place {
                Place::Input(bytes) => bytes,
                Place::Carry(range) => self.carry.bytes.get_mut(range.clone()).unwrap_or_default(),
                Place::Gathered => &mut [],
            };
            if let Some(key) = header.key {
                mask(payload, key);
            }
            match header.opcode {
                Some(opcode) if header.fin => return Ok(Some(Located { opcode, place })),
                opcode => {
                    let gathering = self.gathering.get_or_insert_with(|| Box::new(Gathering::new(opcode)));
                    gathering.add(payload, header.fin);
                    if gathering.complete {
                        return Ok(Some(Located { opcode: gathering.opcode, place: Place::Gathered }));
                    }
                }
            }
            self.release();
        }
        Ok(None)
    }

    /// Takes the next whole frame, or moves what there is of it into the carry.
    fn frame<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<(Header, Place<'b>)>, CloseCode> {
        if self.carry.is_empty() {
            let parsed = self.parse(input.bytes())?;
            if let Parsed::Whole(header) = &parsed
                && header.end <= input.len()
            {
                let payload = input.take(header.end).get_mut(header.len..).unwrap_or_default();
                return Ok(Some((*header, Place::Input(payload))));
            }
            self.carry.append(input.take(usize::MAX), parsed.room());
            return Ok(None);
        }
        loop {
            let parsed = self.parse(self.carry.data())?;
            let have = self.carry.data().len();
            if let Parsed::Whole(header) = &parsed
                && header.end <= have
            {
                return Ok(Some((*header, Place::Carry(self.carry.consume(header)))));
            }
            self.carry.compact();
            if input.is_empty() {
                return Ok(None);
            }
            self.carry.append(input.take(parsed.end().saturating_sub(have)), parsed.room());
        }
    }

    /// Reads and checks the header that `bytes` start with, as far as it is there.
    fn parse(&self, bytes: &[u8]) -> Result<Parsed, CloseCode> {
        let [first, rest @ ..] = bytes else { return Ok(Parsed::Short(2)) };
        let (fin, opcode) = self.parse_first(*first)?;
        let [second, rest @ ..] = rest else { return Ok(Parsed::Short(2)) };

        let masked = second & 0x80 != 0;
        let short = second & 0x7f;
        if masked != (self.role == Role::Server) || (opcode.is_some_and(Opcode::is_control) && short > MAX_CONTROL) {
            return Err(CloseCode::PROTOCOL);
        }
        let (extended, least) = match short {
            126 => (2, 126),
            127 => (8, 1 << 16),
            _ => (0, 0),
        };
        let len = 2 + extended + if masked { 4 } else { 0 };
        let Some((extended, rest)) = rest.split_at_checked(extended) else { return Ok(Parsed::Short(len)) };
        let payload = match extended {
            [] => u64::from(short),
            bytes => bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
        };
        if payload < least || payload >> 63 != 0 {
            return Err(CloseCode::PROTOCOL);
        }
        let end = self.within_limit(opcode, payload).and_then(|payload| len.checked_add(payload));
        let end = end.ok_or(CloseCode::TOO_BIG)?;

        let key = match rest.first_chunk() {
            _ if !masked => None,
            None => return Ok(Parsed::Short(len)),
            key => key.copied(),
        };
        Ok(Parsed::Whole(Header { fin, opcode, key, len, end }))
    }

    /// The first byte of a header: whether the frame is the last of its message, and its opcode, `None` when it
    /// continues a message.
    fn parse_first(&self, byte: u8) -> Result<(bool, Option<Opcode>), CloseCode> {
        let fin = byte & 0x80 != 0;
        let opcode = match byte & 0x7f {
            0 => None,
            1 => Some(Opcode::Text),
            2 => Some(Opcode::Binary),
            8 => Some(Opcode::Close),
            9 => Some(Opcode::Ping),
            10 => Some(Opcode::Pong),
            // An unknown opcode, or a reserved bit: no extension was agreed on.
            _ => return Err(CloseCode::PROTOCOL),
        };
        if opcode.is_some_and(Opcode::is_control) {
            return if fin { Ok((fin, opcode)) } else { Err(CloseCode::PROTOCOL) };
        }
        if opcode.is_none() != self.gathering.is_some() {
            return Err(CloseCode::PROTOCOL);
        }
        match &self.gathering {
            Some(gathering) if gathering.fragments >= Self::MAX_FRAGMENTS => Err(CloseCode::POLICY),
            _ => Ok((fin, opcode)),
        }
    }

    /// The length of a payload, unless the message would become larger than allowed by it.
    fn within_limit(&self, opcode: Option<Opcode>, payload: u64) -> Option<usize> {
        let payload = usize::try_from(payload).ok()?;
        let gathered = self.gathering.as_ref().map_or(0, |gathering| gathering.bytes.len());
        let total = gathered.checked_add(payload)?;
        (opcode.is_some_and(Opcode::is_control) || total <= self.max_message).then_some(payload)
    }

    /// The second half of [`Decoder::next`]: lends the message that was found.
    pub(crate) fn lend<'a, 'b: 'a>(&'a mut self, located: Located<'b>) -> Result<Incoming<'a>, CloseCode> {
        let Located { opcode, place } = located;
        let source = match (place, &mut self.gathering) {
            (Place::Input(bytes), _) => Source::Borrowed(bytes),
            (Place::Carry(range), _) => self.carry.source(range),
            (Place::Gathered, Some(gathering)) => {
                Source::Owned { start: 0, end: gathering.bytes.len(), buffer: &mut gathering.bytes }
            }
            (Place::Gathered, None) => Source::Borrowed(&[]),
        };
        let incoming = match opcode {
            Opcode::Binary => Ok(Incoming::Binary(Binary { source })),
            Opcode::Text => from_utf8(source.into_slice()).map(Incoming::Text).map_err(|_| CloseCode::INVALID_DATA),
            Opcode::Ping => Ok(Incoming::Ping(source.into_slice())),
            Opcode::Pong => Ok(Incoming::Pong(source.into_slice())),
            Opcode::Close => parse_close(source.into_slice()).map(Incoming::Close),
        };
        self.closed = matches!(incoming, Err(_) | Ok(Incoming::Close(_)));
        incoming
    }

    /// Frees what the last message was lent from.
    fn release(&mut self) {
        if self.carry.is_empty() && self.carry.is_used() {
            self.carry = Carry::default();
        }
        if self.gathering.as_ref().is_some_and(|gathering| gathering.complete) {
            self.gathering = None;
        }
    }

    fn discard(&mut self, input: &mut Input<'_>) {
        input.take(usize::MAX);
        self.carry = Carry::default();
        self.gathering = None;
    }
}

impl<'a> Source<'a> {
    fn into_slice(self) -> &'a [u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned { buffer, start, end } => buffer.get(start..end).unwrap_or_default(),
        }
    }
}

/// The longest header: two bytes, eight of length, four of key.
const MAX_HEADER: usize = 14;

#[derive(Copy, Clone)]
struct Header {
    fin: bool,
    opcode: Option<Opcode>,
    key: Option<[u8; 4]>,
    /// Where the payload starts, counted from the start of the frame.
    len: usize,
    /// Where the frame ends.
    end: usize,
}

enum Parsed {
    /// At least so many bytes are needed to tell more.
    Short(usize),
    /// The whole header is there; the payload need not be.
    Whole(Header),
}

impl Parsed {
    fn end(&self) -> usize {
        match self {
            Self::Short(end) => *end,
            Self::Whole(header) => header.end,
        }
    }

    /// The most that a buffer for this frame has a use for, as far as known.
    fn room(&self) -> usize {
        self.end().max(MAX_HEADER)
    }
}

/// A message that was found but not lent yet.
pub(crate) struct Located<'b> {
    opcode: Opcode,
    place: Place<'b>,
}

impl Located<'_> {
    /// What kind of message it is.
    pub(crate) fn opcode(&self) -> Opcode {
        self.opcode
    }
}

/// Where a payload lies.
enum Place<'b> {
    Input(&'b mut [u8]),
    /// A range of the carry's buffer.
    Carry(Range<usize>),
    Gathered,
}

/// A message of several fragments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Gathering {
    opcode: Opcode,
    complete: bool,
    fragments: usize,
    bytes: Vec<u8>,
}

impl Gathering {
    /// `opcode` is there, or the frame would have been refused as a continuation of nothing.
    fn new(opcode: Option<Opcode>) -> Self {
        Self { opcode: opcode.unwrap_or(Opcode::Binary), complete: false, fragments: 0, bytes: Vec::new() }
    }

    fn add(&mut self, payload: &[u8], last: bool) {
        self.bytes.extend_from_slice(payload);
        self.fragments += 1;
        self.complete = last;
    }
}

/// Bytes that arrived and were not lent yet: `start..end` of `bytes`. What follows is room to read into.
#[derive(Clone, Debug, Default)]
struct Carry {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Carry {
    /// Below it a read of its own is not worth its call.
    const LEAST_ROOM: usize = 4 << 10;

    /// The room for a frame of which little has arrived.
    const FIRST_ROOM: usize = 16 << 10;

    /// The smallest buffer, unless the frame is smaller: somebody sends byte by byte.
    const FIRST_CAPACITY: usize = 128;

    fn data(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether there is, or was, something in it: its buffer may have been taken.
    fn is_used(&self) -> bool {
        self.end > 0
    }

    /// Takes a whole frame from the front and gives the range of its payload.
    fn consume(&mut self, header: &Header) -> Range<usize> {
        let payload = self.start + header.len;
        self.start += header.end;
        payload..self.start
    }

    fn source(&mut self, payload: Range<usize>) -> Source<'_> {
        if payload.start <= MAX_HEADER && payload.end == self.end {
            Source::Owned { buffer: &mut self.bytes, start: payload.start, end: payload.end }
        } else {
            Source::Borrowed(self.bytes.get(payload).unwrap_or_default())
        }
    }

    /// Frees what was lent from the front.
    fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.truncate(self.end);
            self.bytes.drain(..self.start.min(self.bytes.len()));
            self.bytes.shrink_to_fit();
            self.start = 0;
            self.end = self.bytes.len();
        }
    }

    /// Appends `bytes`, with a buffer that grows by doubling but not over `limit` unless needed.
    fn append(&mut self, bytes: &[u8], limit: usize) {
        self.bytes.truncate(self.end);
        let (wanted, capacity) = (self.bytes.len().saturating_add(bytes.len()), self.bytes.capacity());
        if wanted > capacity {
            // Twice what has arrived, so that the rest of a frame of which half is there needs no other buffer.
            let doubled = capacity.max(wanted).saturating_mul(2).max(Self::FIRST_CAPACITY);
            self.bytes.reserve_exact(doubled.min(limit).max(wanted) - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        self.end = self.bytes.len();
    }

    /// The room behind the data, for a frame that ends at `limit`. As much as has arrived, at first a little more.
    fn room(&mut self, limit: usize) -> Option<&mut [u8]> {
        let missing = limit.saturating_sub(self.end);
        if self.bytes.len().saturating_sub(self.end) < missing.min(Self::LEAST_ROOM) {
            let len = self.end.saturating_mul(2).max(Self::FIRST_ROOM).min(limit);
            self.bytes.reserve_exact(len.saturating_sub(self.bytes.len()));
            self.bytes.resize(len, 0);
        }
        self.bytes.get_mut(self.end..)
    }
}

/// What lies in the room behind the data makes no difference.
impl PartialEq for Carry {
    fn eq(&self, other: &Self) -> bool {
        self.data() == other.data()
    }
}

impl Eq for Carry {}

impl Hash for Carry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.data().hash(state);
    }
}

/// The code of a close frame; RFC 6455 sections 5.5.1 and 7.4.
fn parse_close(payload: &[u8]) -> Result<Option<CloseCode>, CloseCode> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [high, low, reason @ ..] => (CloseCode(u16::from_be_bytes([*high, *low])), reason),
        [_] => return Err(CloseCode::PROTOCOL),
    };
    if !code.may_be_sent() {
        return Err(CloseCode::PROTOCOL);
    }
    from_utf8(reason).map(|_| Some(code)).map_err(|_| CloseCode::INVALID_DATA)
}

#[cfg(test)]
mod tests;
