//! Socket.IO packets: whatever can be read can be written again, and comes back the same.

use bytes::Bytes;
use serde_json::{Value, json};
use socketio_protocol::engine::Packet;
use socketio_protocol::socket::{
    ConnectError, Encoder, Header, PacketType, RawArgs, encode_connect, encode_connect_error, encode_disconnect,
};

/// The bytes are the text of a packet and its attachments, with 0xff, which UTF-8 does not have, between them.
pub fn socket_packet(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0xff);
    let Ok(text) = str::from_utf8(parts.next().unwrap_or_default()) else { return };
    let Ok(header) = Header::parse(text, MAX_ATTACHMENTS) else { return };
    assert!(text.ends_with(header.payload) && header.namespace.starts_with('/'));
    assert!(header.namespace.len() <= Header::MAX_NAMESPACE && header.attachments <= MAX_ATTACHMENTS);

    let attachments = parts.map(Bytes::copy_from_slice).chain(std::iter::repeat(Bytes::new()));
    let payload = header.into_payload(attachments.take(header.attachments).collect());
    let name = payload.event().into_owned();
    match (header.kind, payload.into_raw()) {
        (PacketType::Event | PacketType::BinaryEvent, Ok(raw)) => event_comes_back(&header, &name, &raw),
        (PacketType::Ack | PacketType::BinaryAck, Ok(raw)) => ack_comes_back(&header, &raw),
        _ => {}
    }
    control_packets_come_back(header.namespace, header.payload);
}

const MAX_ATTACHMENTS: usize = 10;

fn event_comes_back(header: &Header<'_>, name: &str, raw: &RawArgs) {
    let mut encoder = Encoder::default();
    let packet = encoder.event(header.namespace, name, raw, header.id).expect("a name that was read is not reserved");
    let encoded = encoder.write_event(header.namespace, name, raw, header.id).expect("as before");
    let mut copy = Vec::new();
    encoded.copy_to(&mut copy);
    let frames: Vec<_> = packet.frames().map(|frame| frame.as_bytes()).collect();
    assert_eq!((encoded.len(), copy), (packet.len(), frames.concat()));

    let kind = if raw.attachments().is_empty() { PacketType::Event } else { PacketType::BinaryEvent };
    comes_back(&packet, (kind, header.namespace, header.id), name, raw);
}

fn ack_comes_back(header: &Header<'_>, raw: &RawArgs) {
    let id = header.id.unwrap_or_default();
    let packet = Encoder::default().ack(header.namespace, id, raw).expect("arguments that were read can be written");
    let kind = if raw.attachments().is_empty() { PacketType::Ack } else { PacketType::BinaryAck };
    comes_back(&packet, (kind, header.namespace, Some(id)), "", raw);
}

fn comes_back(packet: &Packet, expected: (PacketType, &str, Option<u64>), name: &str, raw: &RawArgs) {
    let (text, attachments) = parts(packet);
    let header = Header::parse(text, MAX_ATTACHMENTS).expect("what was written can be read");
    assert_eq!((header.kind, header.namespace, header.id), expected);
    assert_eq!(header.attachments, attachments.len());
    let payload = header.into_payload(attachments);
    assert_eq!(payload.event(), name);
    assert_eq!(payload.into_raw().as_ref().ok(), Some(raw));
}

/// The text behind Engine.IO's packet type, and the attachments.
fn parts(packet: &Packet) -> (&str, Vec<Bytes>) {
    let mut frames = packet.frames();
    let text = frames.next().map(|frame| str::from_utf8(frame.payload()).expect("text")).unwrap_or_default();
    (text.strip_prefix('4').expect("a message"), frames.map(|frame| frame.payload_bytes()).collect())
}

fn control_packets_come_back(namespace: &str, text: &str) {
    let error = ConnectError::new(text).with_data(text);
    for (packet, kind, expected) in [
        (encode_connect(namespace, text), PacketType::Connect, Some(json!({ "sid": text }))),
        (
            encode_connect_error(namespace, &error),
            PacketType::ConnectError,
            Some(json!({ "message": text, "data": text })),
        ),
        (encode_disconnect(namespace), PacketType::Disconnect, None),
    ] {
        let (text, _) = parts(&packet);
        let header = Header::parse(text, 0).expect("what was written can be read");
        assert_eq!((header.kind, header.namespace, header.id), (kind, namespace, None));
        assert_eq!(serde_json::from_str::<Value>(header.payload).ok(), expected);
    }
}
