//! What is said. A message has a number of its own, from which all that is in it follows.

use socketio_protocol::engine::Packet;
use socketio_protocol::socket::{Binary, Payload, encode_ack, encode_event};

use super::chance::mix;

/// What was read of a message.
pub(crate) struct Body {
    pub(crate) number: u64,
    /// When the other side wants its answer: at once (0), after a time (ms), or never (negative).
    pub(crate) answer: i64,
    pub(crate) attachments: usize,
}

/// The packet of a message.
pub(crate) fn encode(namespace: &str, body: &Body, ack: Option<u64>) -> Packet {
    let Body { number, answer, attachments } = *body;
    encode_event(namespace, "message", &(number, answer, text(number), blobs(number, attachments)), ack).unwrap()
}

pub(crate) fn decode(payload: Payload<'_>) -> Body {
    assert_eq!(payload.event(), "message", "damaged: the name of an event");
    let args: (u64, i64, String, Vec<Binary>) = payload.decode().expect("damaged: a message");
    let (number, answer, words, attached) = args;
    let intact = words == text(number) && attached == blobs(number, attached.len());
    assert!(intact, "damaged: the content of message {number}");
    Body { number, answer, attachments: attached.len() }
}

/// The packet that answers a message.
pub(crate) fn encode_answer(namespace: &str, id: u64, body: &Body) -> Packet {
    encode_ack(namespace, id, &(body.number, blobs(body.number, body.attachments))).unwrap()
}

/// The message that is answered.
pub(crate) fn decode_answer(payload: Payload<'_>) -> u64 {
    let (number, attached): (u64, Vec<Binary>) = payload.decode().expect("damaged: an answer");
    assert_eq!(attached, blobs(number, attached.len()), "damaged: the answer to message {number}");
    number
}

fn text(number: u64) -> String {
    let len = mix(number) % 60;
    (0..len).map(|at| ['a', '"', 'ü', '\u{1e}', '€', '7'][(mix(number ^ at << 32) % 6) as usize]).collect()
}

fn blobs(number: u64, count: usize) -> Vec<Binary> {
    let blob = |nth: u64| {
        let draw = mix(number << 8 | nth);
        let len = if draw.is_multiple_of(32) { 9000 } else { draw / 32 % 200 };
        Binary::from((0..len).map(|at| (draw + at) as u8).collect::<Vec<_>>())
    };
    (1..=count as u64).map(blob).collect()
}
