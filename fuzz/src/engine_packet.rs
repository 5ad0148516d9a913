//! One Engine.IO packet as text, beside a reading of it that is as plain as the specification's tables.

use socketio_protocol::engine::{DecodeError, Packet, PacketType, PayloadReader, Segment};

/// The bytes are the packet, up to what would separate it from another.
pub fn engine_packet(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let packet = text.split(SEPARATOR).next().unwrap_or_default();
    let mut reader = PayloadReader::default();
    assert_eq!(reader.next(packet), plainly(packet).map(Some));
    assert_eq!(reader.next(packet), Ok(None), "only one packet");

    let sent = Packet::text(packet);
    let frame = sent.as_frame().expect("a text is one frame");
    let written = str::from_utf8(frame.payload()).expect("text");
    assert_eq!(PayloadReader::default().next(written), Ok(Some(Segment::Text(PacketType::Message, packet))));
}

/// What stands between the packets of a payload.
pub(crate) const SEPARATOR: char = '\u{1e}';

/// Reads a packet as the specification describes it: a digit and data, or `b` and base64.
pub(crate) fn plainly(packet: &str) -> Result<Segment<'_>, DecodeError> {
    let Some(first) = packet.chars().next() else { return Err(DecodeError::Empty) };
    let data = &packet[first.len_utf8()..];
    let packet_type = match first {
        '0' => PacketType::Open,
        '1' => PacketType::Close,
        '2' => PacketType::Ping,
        '3' => PacketType::Pong,
        '4' => PacketType::Message,
        '5' => PacketType::Upgrade,
        '6' => PacketType::Noop,
        'b' => return base64(data).map(Segment::Binary).ok_or(DecodeError::Base64),
        _ => return Err(DecodeError::UnknownType),
    };
    Ok(Segment::Text(packet_type, data))
}

/// RFC 4648 as lenient as decision 3 asks for: either alphabet, padded or not. What the padding is may be incomplete,
/// and bits in excess may be anything.
fn base64(text: &str) -> Option<Vec<u8>> {
    let characters = text.trim_end_matches('=');
    let missing = (4 - characters.len() % 4) % 4;
    if missing == 3 || text.len() - characters.len() > missing {
        return None;
    }
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for character in characters.bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}
