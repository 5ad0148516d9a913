//! The body of a polling request: packets between separators. Read alone, posted to a session, and written by one.

use std::sync::Arc;

use bytes::Bytes;
use socketio_protocol::engine::{
    CloseReason, Config, DecodeError, Exchange, ExchangeId, ExchangeKind, Message, Next, Packet, PacketType,
    PayloadReader, Segment, Session, Transport,
};
use socketio_protocol::{Input, Instant, Random, Seed, SessionId};

use crate::engine_packet::{SEPARATOR, plainly};

/// The bytes are the body, unless it comes near the limits of a session.
pub fn payload(data: &[u8]) {
    if data.len() > 100_000 {
        return;
    }
    let text = str::from_utf8(data).ok();
    let (segments, fault) = text.map_or((Vec::new(), None), read);
    let plain: Vec<_> = text.into_iter().flat_map(|text| text.split(SEPARATOR)).map(plainly).collect();
    let read_so_far = plain.iter().zip(&segments).filter(|(plain, read)| plain.as_ref() == Ok(*read)).count();
    assert_eq!(read_so_far, segments.len());
    assert_eq!(plain.get(read_so_far).and_then(|next| next.as_ref().err()), fault.as_ref(), "all, or up to a fault");

    post(data, &segments, fault.is_some() || text.is_none());
    collect(&segments);
}

/// The packets in front of the first fault, and that fault.
fn read(payload: &str) -> (Vec<Segment<'_>>, Option<DecodeError>) {
    let mut reader = PayloadReader::default();
    let mut segments = Vec::new();
    let fault = loop {
        match reader.next(payload) {
            Ok(Some(segment)) => segments.push(segment),
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        }
    };
    assert_eq!(reader.next(payload), Ok(None), "something after the end");
    (segments, fault)
}

/// A session that is sent the body gives its messages up to what ends it, then the answer, and why it is over.
fn post(body: &[u8], segments: &[Segment<'_>], faulty: bool) {
    let end =
        segments.iter().position(|segment| matches!(segment, Segment::Text(PacketType::Ping | PacketType::Close, _)));
    let (read, reason) = match end {
        Some(end) if matches!(segments[end], Segment::Text(PacketType::Ping, _)) => {
            (&segments[..end], Some(CloseReason::TransportError))
        }
        Some(end) => (&segments[..end], Some(CloseReason::TransportClose)),
        None => (segments, faulty.then_some(CloseReason::ParseError)),
    };
    let status = if matches!(reason, None | Some(CloseReason::TransportClose)) { 200 } else { 400 };
    let mut session = open();
    let body = Bytes::copy_from_slice(body);
    let posted = request(&mut session, ExchangeKind::Post { body, binary: false });
    assert_eq!(posted.messages, messages(read));
    assert_eq!(posted.answer.map(|(status, _)| status), Some(status));
    assert_eq!(posted.closed, reason);
}

/// Messages that are sent are what a poll collects.
fn collect(segments: &[Segment<'_>]) {
    let sent = messages(segments);
    let mut session = open();
    for message in &sent {
        let packet = match message {
            Owned::Text(text) => Packet::text(text),
            Owned::Binary(bytes) => Packet::binary(bytes),
        };
        session.send(packet).expect("the session is open");
    }
    match request(&mut session, ExchangeKind::Poll).answer {
        Some((status, body)) => {
            let (received, fault) = read(str::from_utf8(&body).expect("text"));
            assert_eq!((status, fault, messages(&received)), (200, None, sent));
            assert_eq!(received.len(), messages(&received).len(), "nothing else");
        }
        None => assert!(sent.is_empty(), "{sent:?}"),
    }
}

/// A message, kept.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Text(String),
    Binary(Vec<u8>),
}

fn messages(segments: &[Segment<'_>]) -> Vec<Owned> {
    let message = |segment: &Segment<'_>| match segment {
        Segment::Text(PacketType::Message, text) => Some(Owned::Text((*text).into())),
        Segment::Text(..) => None,
        Segment::Binary(bytes) => Some(Owned::Binary(bytes.clone())),
    };
    segments.iter().filter_map(message).collect()
}

/// A polling session whose handshake was collected.
fn open() -> Session {
    let id = SessionId::generate(&mut Random::new(Seed::new([0; 32])));
    let mut session = Session::new(Arc::new(Config::default()), id, Transport::Polling, Instant::EPOCH);
    assert!(request(&mut session, ExchangeKind::Poll).answer.is_some());
    session
}

#[derive(Default)]
struct Outcome {
    messages: Vec<Owned>,
    answer: Option<(u16, Bytes)>,
    closed: Option<CloseReason>,
}

/// What comes of a request, at once.
fn request(session: &mut Session, kind: ExchangeKind) -> Outcome {
    session.handle_exchange(Instant::EPOCH, Exchange { id: ExchangeId(0), kind });
    let mut outcome = Outcome::default();
    loop {
        match session.next(Instant::EPOCH, &mut Input::empty()) {
            Next::Message(Message::Text(text)) => outcome.messages.push(Owned::Text(text.into())),
            Next::Message(Message::Binary(bytes)) => outcome.messages.push(Owned::Binary(bytes.into_vec())),
            Next::Answer(_, response) => {
                let before = outcome.answer.replace((response.status, response.body));
                assert_eq!(before, None, "answered twice");
            }
            Next::Closed(reason) => outcome.closed = Some(reason),
            Next::Io(_) | Next::Finished => return outcome,
            Next::Upgraded | Next::CloseStream => panic!("there is no stream"),
        }
    }
}
