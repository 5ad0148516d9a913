use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::packet::{self, BINARY};
use super::{DecodeError, PacketType};
use crate::websocket::{Frame, Opcode};

/// One packet of a polling payload.
#[derive(Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// A packet of text: its type and its data.
    Text(PacketType, &'a str),
    /// A binary message, decoded.
    Binary(Vec<u8>),
}

/// Reads the packets of a polling payload one after another; protocol specification, section "HTTP long-polling".
///
/// Keeps only a position, so that the payload can live beside it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PayloadReader {
    position: usize,
    finished: bool,
}

impl PayloadReader {
    /// The next packet of `payload`, `None` at its end. The first error ends the payload.
    ///
    /// # Errors
    ///
    /// The packet is empty (which a trailing separator makes, too), of unknown type, or not base64.
    pub fn next<'a>(&mut self, payload: &'a str) -> Result<Option<Segment<'a>>, DecodeError> {
        if self.finished {
            return Ok(None);
        }
        let rest = payload.get(self.position..).unwrap_or_default();
        let segment = match memchr::memchr(SEPARATOR as u8, rest.as_bytes()) {
            Some(length) => {
                self.position += length + 1;
                rest.get(..length).unwrap_or_default()
            }
            None => {
                self.finished = true;
                rest
            }
        };
        let packet = packet::decode(segment);
        self.finished |= packet.is_err();
        packet.map(Some)
    }
}

const SEPARATOR: char = '\u{1e}';

/// Appends the packet of a frame, or those of a run of frames, to a polling payload, with the separator if something
/// stands before it.
///
/// Control frames are no packets and are left out.
pub(super) fn write_packets(frame: &Frame, payload: &mut String) {
    packets(frame).for_each(|(opcode, packet)| write_packet(opcode, packet, payload));
}

/// Appends one packet, with the separator if something stands before it.
pub(super) fn write_packet(opcode: Opcode, packet: &[u8], payload: &mut String) {
    if !payload.is_empty() {
        payload.push(SEPARATOR);
    }
    if opcode == Opcode::Binary {
        payload.push(char::from(BINARY));
        BASE64_STANDARD.encode_string(packet, payload);
    } else if let Ok(text) = simdutf8::basic::from_utf8(packet) {
        payload.push_str(text);
    } else {
        // Only a text frame that the caller built of something else gets here.
        payload.push_str(&String::from_utf8_lossy(packet));
    }
}

/// How long the payload of `frames` is, separators included, if [`write_packets`] writes them one after another.
pub(super) fn payload_len<'a>(frames: impl Iterator<Item = &'a Frame>) -> usize {
    let lengths = frames.flat_map(packets).map(|(opcode, packet)| packet_len(opcode, packet));
    lengths.sum::<usize>().saturating_sub(1)
}

/// How long a packet is in a payload, with one separator.
pub(super) fn packet_len(opcode: Opcode, packet: &[u8]) -> usize {
    match opcode {
        Opcode::Binary => 2 + 4 * packet.len().div_ceil(3),
        _ => 1 + packet.len(),
    }
}

fn packets(frame: &Frame) -> impl Iterator<Item = (Opcode, &[u8])> {
    frame.parts().filter(|(opcode, _)| matches!(opcode, Opcode::Text | Opcode::Binary))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    /// The packets in front of the first error, and that error.
    fn read(payload: &str) -> (Vec<Segment<'_>>, Option<DecodeError>) {
        let mut reader = PayloadReader::default();
        let mut segments = Vec::new();
        let error = loop {
            match reader.next(payload) {
                Ok(Some(segment)) => segments.push(segment),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        assert_eq!(reader.next(payload), Ok(None));
        (segments, error)
    }

    fn write<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> String {
        let mut payload = String::new();
        frames.into_iter().for_each(|frame| write_packets(frame, &mut payload));
        payload
    }

    fn message(text: &str) -> Segment<'_> {
        Segment::Text(PacketType::Message, text)
    }

    #[test]
    fn row_1_packets_are_separated_and_none_stands_at_the_end() {
        let frames = [Frame::text("4test1"), Frame::text("4test2"), Frame::text("1")];
        let payload = write(&frames);
        assert_eq!(payload, "4test1\u{1e}4test2\u{1e}1");
        assert_eq!(
            read(&payload),
            (vec![message("test1"), message("test2"), Segment::Text(PacketType::Close, "")], None)
        );
    }

    #[test]
    fn row_2_packets_before_an_empty_segment_are_delivered() {
        let empty = Some(DecodeError::Empty);
        assert_eq!(read(""), (vec![], empty));
        assert_eq!(read("\u{1e}"), (vec![], empty));
        assert_eq!(read("40\u{1e}"), (vec![message("0")], empty));
        assert_eq!(read("40\u{1e}\u{1e}41"), (vec![message("0")], empty));
        assert_eq!(read("\u{1e}41"), (vec![], empty));
    }

    #[test]
    fn row_2_packets_after_the_first_bad_one_are_not_delivered() {
        assert_eq!(read("4a\u{1e}abc\u{1e}4b"), (vec![message("a")], Some(DecodeError::UnknownType)));
        assert_eq!(read("4a\u{1e}b!\u{1e}4b"), (vec![message("a")], Some(DecodeError::Base64)));
    }

    #[test]
    fn row_3_binary_is_written_in_the_padded_standard_alphabet() {
        assert_eq!(write([&Frame::binary(&[1, 2, 3, 4])]), "bAQIDBA==");
        assert_eq!(write([&Frame::binary(&[0xfb, 0xff])]), "b+/8=");
        assert_eq!(write([&Frame::binary(&[])]), "b");
    }

    #[test]
    fn row_4_binary_whose_base64_starts_with_4() {
        let payload = write([&Frame::binary(&[0xe0, 0xe1, 0xe2]), &Frame::text("4x")]);
        assert_eq!(payload, "b4OHi\u{1e}4x");
        assert_eq!(read(&payload), (vec![Segment::Binary(vec![0xe0, 0xe1, 0xe2]), message("x")], None));
    }

    #[test]
    fn control_frames_are_no_packets() {
        let frames = [Frame::pong(b"x"), Frame::text("4a"), Frame::close(None), Frame::text("4b")];
        assert_eq!(write(&frames), "4a\u{1e}4b");
        assert_eq!(payload_len(frames.iter()), 5);
    }

    #[test]
    fn the_frames_of_a_run_are_packets_each() {
        let frames = [Frame::text("4a"), Frame::binary(&[0; 200]), Frame::pong(b"x"), Frame::text("4b")];
        let run: Vec<u8> = frames.iter().flat_map(Frame::as_bytes).copied().collect();
        assert_eq!(write([&Frame::from_finished(run.clone().into())]), write(&frames));
        assert_eq!(payload_len([Frame::from_finished(run.clone().into())].iter()), payload_len(frames.iter()));
    }

    #[test]
    fn nothing_is_written_of_nothing() {
        assert_eq!(payload_len([].iter()), 0);
    }

    #[derive(Clone, Debug)]
    enum Message {
        Text(String),
        Binary(Vec<u8>),
    }

    impl Message {
        fn frame(&self) -> Frame {
            match self {
                Self::Text(text) => Frame::text(&("4".to_string() + text)),
                Self::Binary(bytes) => Frame::binary(bytes),
            }
        }

        fn segment(&self) -> Segment<'_> {
            match self {
                Self::Text(text) => message(text),
                Self::Binary(bytes) => Segment::Binary(bytes.clone()),
            }
        }
    }

    fn messages() -> impl Strategy<Value = Vec<Message>> {
        let text = "[^\u{1e}]{0,40}".prop_map(Message::Text);
        let binary = prop::collection::vec(any::<u8>(), 0..40).prop_map(Message::Binary);
        prop::collection::vec(prop_oneof![text, binary], 1..20)
    }

    proptest! {
        #[test]
        fn payloads_round_trip(messages in messages()) {
            let frames: Vec<Frame> = messages.iter().map(Message::frame).collect();
            let payload = write(&frames);
            prop_assert_eq!(payload_len(frames.iter()), payload.len());
            let expected: Vec<_> = messages.iter().map(Message::segment).collect();
            prop_assert_eq!(read(&payload), (expected, None));
        }

        #[test]
        fn trailing_bytes_do_not_change_what_precedes_them(messages in messages(), trailing: String) {
            let frames: Vec<Frame> = messages.iter().map(Message::frame).collect();
            let payload = write(&frames) + "\u{1e}" + &trailing;
            let expected: Vec<_> = messages.iter().map(Message::segment).collect();
            let (mut segments, _) = read(&payload);
            segments.truncate(expected.len());
            prop_assert_eq!(segments, expected);
        }

        #[test]
        fn any_payload_is_read_without_panic(payload: String, other: String) {
            let mut reader = PayloadReader::default();
            for _ in 0..4 {
                let _ = reader.next(&payload);
                let _ = reader.next(&other);
            }
            read(&payload);
        }
    }
}
