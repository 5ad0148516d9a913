use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Segment;
use crate::websocket::{Binary, Frame, FrameBuilder, Opcode};

/// The packet types of Engine.IO; protocol specification, section "Packet encoding".
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PacketType {
    /// The handshake.
    Open = b'0',
    /// The transport can be closed.
    Close = b'1',
    /// Heartbeat, from the server.
    Ping = b'2',
    /// Heartbeat, from the client.
    Pong = b'3',
    /// A message of the layer above.
    Message = b'4',
    /// The upgrade is complete.
    Upgrade = b'5',
    /// Ends a poll that has nothing to deliver.
    Noop = b'6',
}

impl PacketType {
    /// The type that `byte`, the first of a packet, stands for.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b'0' => Self::Open,
            b'1' => Self::Close,
            b'2' => Self::Ping,
            b'3' => Self::Pong,
            b'4' => Self::Message,
            b'5' => Self::Upgrade,
            b'6' => Self::Noop,
            _ => return None,
        })
    }
}

/// A message from the peer.
#[derive(Debug)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(Binary<'a>),
}

/// A peer's packet or payload that cannot be read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The packet is empty.
    Empty,
    /// The first character is no packet type.
    UnknownType,
    /// Binary data is not base64.
    Base64,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty packet",
            Self::UnknownType => "unknown packet type",
            Self::Base64 => "invalid base64",
        })
    }
}

impl core::error::Error for DecodeError {}

/// What the layer above sends as one: a text or binary message, and binary messages that must follow it directly.
///
/// The messages are finished WebSocket frames (a text frame holds the packet type `4` and the text), which
/// polling reads the packets out of. `Clone` counts a reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    first: Frame,
    rest: Option<Arc<[Frame]>>,
}

impl Packet {
    /// A text message.
    pub fn text(text: &str) -> Self {
        let mut frame = FrameBuilder::new(0, 1 + text.len());
        frame.payload().push(PacketType::Message as u8);
        frame.payload().extend_from_slice(text.as_bytes());
        Self { first: frame.finish(Opcode::Text), rest: None }
    }

    /// A binary message.
    pub fn binary(bytes: &[u8]) -> Self {
        Self { first: Frame::binary(bytes), rest: None }
    }

    /// A text frame whose payload already starts with [`PacketType::Message`], and the binary frames that follow it.
    pub fn from_frames(first: Frame, rest: Option<Arc<[Frame]>>) -> Self {
        Self { first, rest }
    }

    /// The frames in the order in which they are sent.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        core::iter::once(&self.first).chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    /// The only frame, of a packet that has only one.
    pub fn as_frame(&self) -> Option<&Frame> {
        self.rest.is_none().then_some(&self.first)
    }

    /// Bytes on the wire, as WebSocket frames.
    #[expect(clippy::len_without_is_empty, reason = "a packet is never empty")]
    pub fn len(&self) -> usize {
        let rest = self.rest.iter().flat_map(|rest| rest.iter());
        self.first.as_bytes().len() + rest.map(|frame| frame.as_bytes().len()).sum::<usize>()
    }

    /// What the packet counts towards [`Config::max_queued`](super::Config::max_queued): its bytes and [`Packet::OVERHEAD`].
    pub fn cost(&self) -> usize {
        self.len().saturating_add(Self::OVERHEAD)
    }

    /// What a packet costs beyond its bytes, so that many small ones are bounded, too.
    pub const OVERHEAD: usize = 64;
}

/// What a binary message starts with where only text can be sent, in the place of a packet type.
pub(super) const BINARY: u8 = b'b';

/// Reads one packet from a text message of a WebSocket or from a segment of a polling payload.
pub(super) fn decode(packet: &str) -> Result<Segment<'_>, DecodeError> {
    let (&first, data) = packet.as_bytes().split_first().ok_or(DecodeError::Empty)?;
    if first == BINARY {
        return decode_base64(data).map(Segment::Binary);
    }
    let packet_type = PacketType::from_byte(first).ok_or(DecodeError::UnknownType)?;
    // The type is ASCII, so what follows it starts at a character.
    Ok(Segment::Text(packet_type, packet.get(1..).unwrap_or_default()))
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Accepts what other implementations write: padded or not, of either alphabet or of both at once.
fn decode_base64(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    BASE64.decode(text).or_else(|_| {
        let standard: Vec<u8> = text.iter().map(standard_character).collect();
        BASE64.decode(standard).map_err(|_| DecodeError::Base64)
    })
}

fn standard_character(character: &u8) -> u8 {
    match character {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn text(packet_type: PacketType, data: &str) -> Result<Segment<'_>, DecodeError> {
        Ok(Segment::Text(packet_type, data))
    }

    fn binary(bytes: &[u8]) -> Result<Segment<'static>, DecodeError> {
        Ok(Segment::Binary(bytes.to_vec()))
    }

    #[test]
    fn packets_of_every_type() {
        use PacketType::*;
        for (first, packet_type) in
            [('0', Open), ('1', Close), ('2', Ping), ('3', Pong), ('4', Message), ('5', Upgrade), ('6', Noop)]
        {
            assert_eq!(decode(&format!("{first}")), text(packet_type, ""));
            assert_eq!(decode(&format!("{first}probe €")), text(packet_type, "probe €"));
            assert_eq!(packet_type as u8, first as u8);
        }
    }

    #[test]
    fn row_46_empty_and_unknown_packets_are_errors() {
        assert_eq!(decode(""), Err(DecodeError::Empty));
        assert_eq!(DecodeError::Empty.to_string(), "empty packet");
        for packet in ["7", "abc", "a", "-1", " 4", "\0", "B", "\u{1e}", "/"] {
            assert_eq!(decode(packet), Err(DecodeError::UnknownType), "{packet:?}");
        }
    }

    #[test]
    fn six_byte_non_ascii_packets_do_not_panic() {
        assert_eq!(decode("€€"), Err(DecodeError::UnknownType));
        assert_eq!(decode("😀é"), Err(DecodeError::UnknownType));
        assert_eq!(decode("4é€"), text(PacketType::Message, "é€"));
        assert_eq!(decode("bé€"), Err(DecodeError::Base64));
    }

    #[test]
    fn row_3_base64_is_read_leniently() {
        for packet in ["bAQIDBA==", "bAQIDBA=", "bAQIDBA"] {
            assert_eq!(decode(packet), binary(&[1, 2, 3, 4]), "{packet}");
        }
        for packet in ["b+/8=", "b-_8=", "b-_8", "b+_8", "b-/8="] {
            assert_eq!(decode(packet), binary(&[0xfb, 0xff]), "{packet}");
        }
        // Bits that no byte needs, as careless encoders leave them.
        assert_eq!(decode("bAR=="), binary(&[1]));
    }

    #[test]
    fn base64_that_is_none_is_an_error() {
        for packet in ["bA", "bAQ=D", "b====", "bAQ ID", "b!", "bAQID\n", "b=", "bAQIDBA==="] {
            assert_eq!(decode(packet), Err(DecodeError::Base64), "{packet:?}");
        }
    }

    #[test]
    fn a_bare_b_is_an_empty_binary_message() {
        assert_eq!(decode("b"), binary(&[]));
    }

    #[test]
    fn row_4_base64_that_starts_with_4_is_no_prefix_of_version_3() {
        assert_eq!(decode("b4OHi"), binary(&[0xe0, 0xe1, 0xe2]));
    }

    #[test]
    fn packets_are_finished_frames() {
        let packet = Packet::text("h€");
        let frames: Vec<_> = packet.frames().collect();
        assert_eq!(frames, [&Frame::text("4h€")]);
        assert_eq!(packet.len(), 2 + 5);
        assert_eq!(packet.as_frame(), Some(&Frame::text("4h€")));

        let packet = Packet::binary(&[4, 0xff]);
        let frames: Vec<_> = packet.frames().collect();
        assert_eq!(frames, [&Frame::binary(&[4, 0xff])]);
        assert_eq!(packet.len(), 2 + 2);
    }

    #[test]
    fn a_packet_keeps_the_order_of_its_frames() {
        let rest = [Frame::binary(&[1]), Frame::binary(&[2, 3])];
        let packet = Packet::from_frames(Frame::text("452-[]"), Some(Arc::new(rest.clone())));
        let frames: Vec<_> = packet.frames().collect();
        assert_eq!(frames, [&Frame::text("452-[]"), &rest[0], &rest[1]]);
        assert_eq!(packet.len(), 8 + 3 + 4);
        assert_eq!(packet.as_frame(), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(packet: alloc::string::String) {
            let _ = decode(&packet);
        }

        #[test]
        fn messages_round_trip(message: alloc::string::String) {
            let packet = Packet::text(&message);
            let frame = packet.frames().next().unwrap();
            let read = decode(core::str::from_utf8(frame.payload()).unwrap());
            prop_assert_eq!(read, text(PacketType::Message, &message));
        }
    }
}
