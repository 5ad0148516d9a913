use alloc::vec::Vec;

use bytes::{Buf, Bytes};

use super::{CloseCode, MAX_CONTROL, mask};

/// What a frame carries.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// Text, UTF-8.
    Text,
    /// Bytes.
    Binary,
    /// Close.
    Close,
    /// Ping.
    Ping,
    /// Pong.
    Pong,
}

impl Opcode {
    /// A control frame is whole, short, and may lie between the fragments of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    /// What a frame that begins with `byte` carries.
    fn of(byte: u8) -> Self {
        match byte & 0xf {
            1 => Self::Text,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => Self::Binary,
        }
    }

    /// The number on the wire; RFC 6455 section 5.2.
    fn number(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }
}

/// A finished, unmasked frame: encoded once, shared by all its recipients (`Clone` counts a reference).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Header and payload. All that is known of a frame stands in its first two bytes: kept beside them, it would make
    /// frames larger, and they are moved often.
    bytes: Bytes,
}

impl Frame {
    /// A text frame.
    pub fn text(payload: &str) -> Self {
        Self::new(Opcode::Text, payload.as_bytes())
    }

    /// A binary frame.
    pub fn binary(payload: &[u8]) -> Self {
        Self::new(Opcode::Binary, payload)
    }

    /// Appends a binary frame to `out`.
    pub(crate) fn append_binary(payload: &[u8], out: &mut Vec<u8>) {
        // The longest header has ten bytes.
        out.reserve(payload.len() + 10);
        out.push(0x80 | Opcode::Binary.number());
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(short @ ..126), _) => out.push(short),
            (_, Ok(medium)) => {
                out.push(126);
                out.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                out.push(127);
                out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(payload);
    }

    /// The frames that stand back to back in `run`, which they share, up to what is no whole frame.
    pub(crate) fn split(mut run: Bytes) -> impl Iterator<Item = Self> {
        core::iter::from_fn(move || {
            let (_, length) = lengths(&run)?;
            (length <= run.len()).then(|| Self { bytes: run.split_to(length) })
        })
    }

    /// A pong that answers a ping. `payload` has at most 125 bytes; more is cut off.
    pub fn pong(payload: &[u8]) -> Self {
        Self::new(Opcode::Pong, payload)
    }

    /// A close frame, without a status when `code` is `None` or one that must not be sent.
    pub fn close(code: Option<CloseCode>) -> Self {
        match code {
            Some(code) if code.may_be_sent() => Self::new(Opcode::Close, &code.0.to_be_bytes()),
            _ => Self::new(Opcode::Close, &[]),
        }
    }

    /// What the frames carry that this one consists of, and their payloads, up to what is no whole frame.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Opcode, &[u8])> {
        Part::split(&self.bytes).map(|part| (part.opcode(), part.payload))
    }

    /// A finished frame, or several back to back for [`Frame::parts`] or to be written.
    pub(crate) fn from_finished(bytes: Bytes) -> Self {
        Self { bytes }
    }

    /// Whether nobody else holds the frame's bytes.
    pub fn is_unique(&self) -> bool {
        self.bytes.is_unique()
    }

    /// What the frame carries.
    pub fn opcode(&self) -> Opcode {
        Opcode::of(self.bytes.first().copied().unwrap_or_default())
    }

    /// The whole frame, as it goes out to a client.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload alone.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.header()..).unwrap_or_default()
    }

    /// The payload alone, shared with the frame.
    pub fn payload_bytes(&self) -> Bytes {
        // The header is never longer than the frame.
        self.bytes.slice(self.header()..)
    }

    /// Appends the frame to `out` masked by `key`, as a client sends it.
    pub fn write_masked(&self, key: [u8; 4], out: &mut Vec<u8>) {
        let (header, payload) = self.bytes.split_at(self.header());
        Part { header, payload }.write_masked(key, out);
    }

    /// The length of the header; RFC 6455 section 5.2. Never more than the frame has.
    fn header(&self) -> usize {
        let header = match self.bytes.get(1) {
            Some(126) => 4,
            Some(127) => 10,
            _ => 2,
        };
        header.min(self.bytes.len())
    }

    fn new(opcode: Opcode, payload: &[u8]) -> Self {
        let mut builder = FrameBuilder::new(0, payload.len());
        builder.payload().extend_from_slice(payload);
        builder.finish(opcode)
    }
}

/// One of the unmasked frames that stand back to back.
#[derive(Copy, Clone)]
pub(crate) struct Part<'a> {
    header: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl<'a> Part<'a> {
    /// The frames of `run`, up to what is no whole frame.
    pub(crate) fn split(mut run: &'a [u8]) -> impl Iterator<Item = Self> {
        core::iter::from_fn(move || {
            let (header, length) = lengths(run)?;
            let (frame, rest) = run.split_at_checked(length)?;
            run = rest;
            let (header, payload) = frame.split_at_checked(header)?;
            Some(Self { header, payload })
        })
    }

    pub(crate) fn opcode(self) -> Opcode {
        Opcode::of(self.header.first().copied().unwrap_or_default())
    }

    /// The length of the whole frame.
    pub(crate) fn len(self) -> usize {
        self.header.len() + self.payload.len()
    }

    /// Appends the frame to `out` masked by `key`.
    pub(crate) fn write_masked(self, key: [u8; 4], out: &mut Vec<u8>) {
        out.reserve(self.len() + key.len());
        let flag = out.len() + 1;
        out.extend_from_slice(self.header);
        if let Some(byte) = out.get_mut(flag) {
            *byte |= 0x80;
        }
        out.extend_from_slice(&key);
        let start = out.len();
        out.extend_from_slice(self.payload);
        mask(out.get_mut(start..).unwrap_or_default(), key);
    }
}

/// The length of the header and of the whole unmasked frame that `bytes` start with; RFC 6455 section 5.2.
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let (header, payload) = match *bytes.get(1)? {
        126 => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    Some((header, usize::try_from(payload).ok()?.checked_add(header)?))
}

/// A frame under construction: the payload is written behind a gap that the header is later put into from the right.
#[derive(Debug)]
pub struct FrameBuilder {
    buffer: Vec<u8>,
    start: usize,
}

impl FrameBuilder {
    /// Room for the largest header.
    const HEADROOM: usize = 10;

    /// A builder with room for `capacity` bytes of payload and a gap of `prefix` bytes in front of it that
    /// [`FrameBuilder::prepend`] can fill, from the right, once the payload is known.
    pub fn new(prefix: usize, capacity: usize) -> Self {
        let start = Self::HEADROOM + prefix;
        let mut buffer = Vec::with_capacity(start + capacity);
        buffer.resize(start, 0);
        Self { buffer, start }
    }

    /// As [`FrameBuilder::new`], in a buffer that was used before and is given back by
    /// [`FrameBuilder::finish_in_place`].
    pub fn reuse(mut buffer: Vec<u8>, prefix: usize) -> Self {
        let start = Self::HEADROOM + prefix;
        // What is in the gap does not matter: only what is put there is sent.
        buffer.resize(start, 0);
        Self { buffer, start }
    }

    /// Where the payload is appended. What is already there must stay.
    pub fn payload(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Writes `bytes` directly in front of the payload. False, and nothing happens, if the gap is too small.
    #[must_use]
    pub fn prepend(&mut self, bytes: &[u8]) -> bool {
        self.start.saturating_sub(Self::HEADROOM) >= bytes.len() && self.put(bytes)
    }

    /// Puts the header in front. The payload of a control frame is cut off after 125 bytes.
    pub fn finish(mut self, opcode: Opcode) -> Frame {
        self.put_header(opcode);
        let mut bytes = Bytes::from(self.buffer);
        bytes.advance(self.start);
        Frame { bytes }
    }

    /// As [`FrameBuilder::finish`], but the finished frame stays in the buffer; where it begins is told, too.
    #[inline]
    pub fn finish_in_place(mut self, opcode: Opcode) -> (Vec<u8>, usize) {
        self.put_header(opcode);
        (self.buffer, self.start)
    }

    #[inline]
    fn put_header(&mut self, opcode: Opcode) {
        let payload = self.start;
        if opcode.is_control() {
            self.buffer.truncate(payload + usize::from(MAX_CONTROL));
        }
        let len = self.buffer.len().saturating_sub(payload);
        let short = match (u8::try_from(len), u16::try_from(len)) {
            (Ok(short @ ..126), _) => short,
            (_, Ok(medium)) => {
                self.put(&medium.to_be_bytes());
                126
            }
            _ => {
                self.put(&(len as u64).to_be_bytes());
                127
            }
        };
        self.put(&[0x80 | opcode.number(), short]);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> bool {
        let Some(start) = self.start.checked_sub(bytes.len()) else { return false };
        if self.buffer.len() < self.start {
            self.restore_gap();
        }
        let Some(gap) = self.buffer.get_mut(start..self.start) else { return false };
        gap.copy_from_slice(bytes);
        self.start = start;
        true
    }

    /// Only a caller who cut the payload's buffer short could make the gap smaller than it was.
    #[cold]
    fn restore_gap(&mut self) {
        self.buffer.resize(self.start, 0);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn headers_have_the_least_length() {
        for (len, header) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65535, &[0x82, 126, 0xff, 0xff]),
            (65536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = vec![7; len];
            let frame = Frame::binary(&payload);
            assert_eq!(frame.as_bytes(), [header, &payload].concat(), "{len}");
            assert_eq!(frame.payload(), payload, "{len}");
            assert_eq!(frame.payload_bytes(), payload, "{len}");
            let mut out = b"before".to_vec();
            Frame::append_binary(&payload, &mut out);
            assert_eq!(out, [&b"before"[..], header, &payload].concat(), "{len}");
        }
    }

    #[test]
    fn frames_back_to_back_are_told_apart() {
        let frames = [0, 1, 125, 126, 65535, 65536].map(|len| Frame::binary(&vec![7; len]));
        let mut run: Vec<u8> = frames.iter().flat_map(|frame| frame.as_bytes()).copied().collect();
        let expected: Vec<_> = frames.iter().map(|frame| (Opcode::Binary, frame.payload())).collect();
        assert_eq!(Frame::from_finished(run.clone().into()).parts().collect::<Vec<_>>(), expected);
        run.pop();
        assert_eq!(
            Frame::from_finished(run.clone().into()).parts().collect::<Vec<_>>(),
            expected[..5],
            "the last one is not whole"
        );
        assert_eq!(Frame::split(run.clone().into()).collect::<Vec<_>>(), frames[..5]);
        for short in [&b"\x81"[..], b""] {
            assert_eq!(Frame::split(short.into()).count(), 0);
            assert_eq!(Frame::from_finished(short.into()).parts().count(), 0);
        }
    }

    #[test]
    fn first_bytes_by_opcode() {
        assert_eq!(Frame::text("hi").as_bytes(), b"\x81\x02hi");
        assert_eq!(Frame::binary(b"hi").as_bytes(), b"\x82\x02hi");
        assert_eq!(Frame::pong(b"hi").as_bytes(), b"\x8a\x02hi");
        assert_eq!(FrameBuilder::new(0, 0).finish(Opcode::Ping).as_bytes(), b"\x89\x00");
        assert_eq!(Frame::close(Some(CloseCode::NORMAL)).as_bytes(), b"\x88\x02\x03\xe8");
        assert_eq!(Frame::close(None).as_bytes(), b"\x88\x00");
        for opcode in [Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong] {
            assert_eq!(FrameBuilder::new(0, 0).finish(opcode).opcode(), opcode);
        }
    }

    #[test]
    fn a_frame_knows_whether_it_is_shared() {
        let frame = Frame::text("shared");
        assert!(frame.is_unique());
        let other = frame.clone();
        assert!(!frame.is_unique());
        drop(other);
        assert!(frame.is_unique());
    }

    #[test]
    fn a_close_code_that_must_not_be_sent_is_left_out() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, u16::MAX] {
            assert_eq!(Frame::close(Some(CloseCode(code))), Frame::close(None), "{code}");
        }
    }

    #[test]
    fn control_frames_are_cut_off_after_125_bytes() {
        assert_eq!(Frame::pong(&[7; 125]).payload(), [7; 125]);
        assert_eq!(Frame::pong(&[7; 126]).as_bytes(), [&[0x8a, 125][..], &[7; 125]].concat());
    }

    #[test]
    fn masked_as_in_section_5_7() {
        let mut out = b"before".to_vec();
        Frame::text("Hello").write_masked([0x37, 0xfa, 0x21, 0x3d], &mut out);
        assert_eq!(out, b"before\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    }

    #[test]
    fn a_prefix_is_put_in_front_of_the_payload() {
        let mut builder = FrameBuilder::new(4, 8);
        builder.payload().extend_from_slice(b"payload");
        assert!(builder.prepend(b"-"));
        assert!(!builder.prepend(b"much"), "one byte too long");
        assert!(builder.prepend(b"pre"));
        assert!(!builder.prepend(b"x"), "the header's room is not for it");
        assert_eq!(builder.finish(Opcode::Text).as_bytes(), b"\x81\x0bpre-payload");
    }

    #[test]
    fn the_payload_is_not_copied() {
        let mut builder = FrameBuilder::new(0, 1000);
        builder.payload().extend_from_slice(&[7; 1000]);
        let at = builder.payload().as_ptr().wrapping_add(FrameBuilder::HEADROOM);
        let frame = builder.finish(Opcode::Binary);
        assert_eq!(frame.payload().as_ptr(), at);
        assert_eq!(frame.clone().payload_bytes().as_ptr(), at);
    }

    #[test]
    fn a_reused_buffer_comes_back_and_leaves_no_trace() {
        let builder = FrameBuilder::reuse(b"something that was there before".to_vec(), 0);
        let (buffer, start) = builder.finish_in_place(Opcode::Text);
        assert_eq!(buffer[start..], *b"\x81\x00");
        let mut builder = FrameBuilder::reuse(buffer, 4);
        builder.payload().extend_from_slice(b"load");
        assert!(!builder.prepend(b"large"), "one byte too long");
        assert!(builder.prepend(b"pay"));
        let (buffer, start) = builder.finish_in_place(Opcode::Text);
        assert_eq!(buffer[start..], *b"\x81\x07payload");
    }

    #[test]
    fn a_buffer_cut_short_by_the_caller_does_no_harm() {
        let mut builder = FrameBuilder::new(4, 0);
        builder.payload().clear();
        assert!(builder.prepend(b"ab"));
        assert_eq!(builder.finish(Opcode::Text).as_bytes(), b"\x81\x02ab");
        let mut builder = FrameBuilder::new(4, 0);
        builder.payload().clear();
        assert_eq!(builder.finish(Opcode::Text).as_bytes(), b"\x81\x00");
    }
}
