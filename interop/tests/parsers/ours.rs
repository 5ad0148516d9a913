//! What our parsers make of packets, in the terms of `js/lib/parsers.mjs`.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use socketio_protocol::engine::{
    self, CloseReason, Exchange, ExchangeId, ExchangeKind, PayloadReader, Segment, Session, Transport,
};
use socketio_protocol::socket::manager::{self, ConnectFailure, Manager, SocketOptions};
use socketio_protocol::socket::{
    ConnectError, DecodeError, Event, Header, Next, PacketType, Payload, SocketKey, Sockets, encode_ack,
    encode_connect, encode_connect_error, encode_disconnect, encode_event,
};
use socketio_protocol::websocket::Opcode;
use socketio_protocol::{Input, Instant, Random, Seed, SessionId, SocketId};

use crate::tree::Tree;

/// A message of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Message {
    Text(String),
    Bytes {
        #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
        bytes: Vec<u8>,
    },
}

/// What was made of the messages of one connection.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Told {
    /// The packets in front of the first one that is refused.
    pub(crate) packets: Vec<Packet>,
    pub(crate) refused: bool,
}

/// A packet with its attachments in place.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Packet {
    /// 0 to 4: nobody cares any more whether there were attachments.
    pub(crate) kind: u8,
    pub(crate) namespace: String,
    pub(crate) id: Option<String>,
    /// [`Tree::canonical`], `undefined`, or [`SHAPE`].
    pub(crate) data: String,
}

/// What is JSON, but none that a [`Tree`] can be made of.
pub(crate) const SHAPE: &str = "shape";

/// Decodes with what is there for those who have no [`Sockets`].
pub(crate) fn decode(messages: &[Message]) -> Told {
    let mut told = Told::default();
    let mut partial: Option<(&str, Vec<Bytes>)> = None;
    for message in messages {
        let (text, attachments) = match (message, partial.take()) {
            (Message::Text(text), None) => (text.as_str(), Vec::new()),
            (Message::Bytes { bytes }, Some((text, mut attachments))) => {
                attachments.push(bytes.clone().into());
                (text, attachments)
            }
            _ => return Told { refused: true, ..told },
        };
        match Header::parse(text, MAX_ATTACHMENTS) {
            Ok(header) if attachments.len() < header.attachments => partial = Some((text, attachments)),
            Ok(header) => match packet(header, attachments) {
                Some(packet) => told.packets.push(packet),
                None => return Told { refused: true, ..told },
            },
            Err(_) => return Told { refused: true, ..told },
        }
    }
    told
}

/// The default of both sides.
const MAX_ATTACHMENTS: usize = 10;

fn packet(header: Header<'_>, attachments: Vec<Bytes>) -> Option<Packet> {
    if header.kind == PacketType::ConnectError && !is_refusal(header.payload) {
        return None;
    }
    let kind = match header.kind {
        PacketType::BinaryEvent => PacketType::Event,
        PacketType::BinaryAck => PacketType::Ack,
        kind => kind,
    };
    let namespace = header.namespace.into();
    let id = header.id.map(|id| id.to_string());
    let data = match header.payload {
        "" => "undefined".into(),
        _ => data(kind, header.into_payload(attachments))?,
    };
    Some(Packet { kind: kind as u8 - b'0', namespace, id, data })
}

/// What a payload carries; `None` if it is malformed.
fn data(kind: PacketType, payload: Payload<'_>) -> Option<String> {
    let name = (kind == PacketType::Event).then(|| name(&payload));
    let tree = match kind {
        PacketType::Event | PacketType::Ack => {
            payload.decode_all().map(|args: Vec<Tree>| Tree::List(name.into_iter().chain(args).collect()))
        }
        _ => payload.decode(),
    };
    match tree {
        Ok(tree) => Some(tree.canonical()),
        Err(DecodeError::Malformed) => None,
        Err(_) => Some(SHAPE.into()),
    }
}

/// An event's name as JSON has it, where it may be a number.
fn name(payload: &Payload<'_>) -> Tree {
    let is_text = payload.json().trim_start_matches(['[', ' ', '\t', '\n', '\r']).starts_with('"');
    match payload.event().parse() {
        Ok(number) if !is_text => Tree::Number(number),
        _ => Tree::Text(payload.event().into()),
    }
}

/// Whether a client takes this for the payload of a CONNECT_ERROR.
fn is_refusal(payload: &str) -> bool {
    let now = Instant::EPOCH;
    let mut manager = Manager::new(Arc::default(), Random::new(Seed::new([0; 32])), now);
    let socket = manager.socket("/", SocketOptions::default()).expect("the main namespace can always be had");
    manager.connect(now, socket);
    assert!(matches!(manager.next(now, &mut None), manager::Next::Open { .. }));
    manager.handle_opened(now);
    while !matches!(manager.next(now, &mut None), manager::Next::Wait(_)) {}
    // The payload does not start with a digit: those would be the id.
    let text = format!("4/,0{payload}");
    let mut message = Some(engine::Message::Text(&text));
    loop {
        match manager.next(now, &mut message) {
            manager::Next::Event(manager::Event::ConnectError { error, .. }) => {
                return matches!(error, ConnectFailure::Refused(_));
            }
            manager::Next::Wait(_) => panic!("{text} leads to nothing"),
            _ => {}
        }
    }
}

/// Decodes as a server does. `None` where more than packets matters: who is in which namespace, and who awaits what.
pub(crate) fn decode_by_machine(messages: &[Message]) -> Option<Told> {
    let now = Instant::EPOCH;
    let mut sockets = Sockets::new(Arc::default(), now);
    let texts = messages.iter().filter_map(|message| match message {
        Message::Text(text) => Header::parse(text, MAX_ATTACHMENTS).ok(),
        Message::Bytes { .. } => None,
    });
    let mut joined: Vec<(&str, SocketKey)> = Vec::new();
    let mut awaited = HashSet::new();
    for header in texts {
        let ack = match header.kind {
            PacketType::Event | PacketType::BinaryEvent => None,
            PacketType::Ack | PacketType::BinaryAck => Some(header.id?),
            _ => return None,
        };
        let known = joined.iter().find(|(namespace, _)| *namespace == header.namespace).map(|(_, key)| *key);
        let key = known.unwrap_or_else(|| join(&mut sockets, header.namespace));
        joined.push((header.namespace, key));
        if let Some(id) = ack {
            // Nobody hears of a second answer.
            awaited.insert((header.namespace, id)).then_some(())?;
            sockets.expect_ack(key, id, now + std::time::Duration::from_secs(1)).expect("few are awaited");
        }
    }
    let mut told = Told::default();
    for message in messages {
        let message = match message {
            Message::Text(text) => engine::Message::Text(text),
            Message::Bytes { bytes } => engine::Message::Binary(bytes.as_slice().into()),
        };
        let mut message = Some(message);
        loop {
            match sockets.next(now, &mut message) {
                Next::Event(event) => told.packets.extend(told_by(event, &joined)),
                Next::Close(reason) => {
                    assert_eq!(reason, CloseReason::ParseError);
                    return Some(Told { refused: true, ..told });
                }
                Next::Transmit(_) => {}
                Next::Wait(_) => break,
            }
        }
    }
    Some(told)
}

fn join(sockets: &mut Sockets, namespace: &str) -> SocketKey {
    let now = Instant::EPOCH;
    let connect = format!("0{namespace},");
    let Next::Event(Event::Connect { request, auth, .. }) =
        sockets.next(now, &mut Some(engine::Message::Text(&connect)))
    else {
        panic!("{connect} is no CONNECT")
    };
    drop(auth);
    let key = sockets.accept(request, &SocketId::from("x")).expect("nobody has left");
    assert!(matches!(sockets.next(now, &mut None), Next::Transmit(_)));
    key
}

fn told_by(event: Event<'_>, joined: &[(&str, SocketKey)]) -> Option<Packet> {
    let (kind, socket, id, payload) = match event {
        Event::Message { socket, payload, ack } => (PacketType::Event, socket, ack, payload),
        Event::Ack { socket, id, payload } => (PacketType::Ack, socket, Some(id), payload),
        Event::Disconnect { .. } => return None,
        other => panic!("{other:?}"),
    };
    let (namespace, _) = joined.iter().find(|(_, key)| *key == socket).expect("nobody else has joined");
    let id = id.map(|id| id.to_string());
    Some(Packet { kind: kind as u8 - b'0', namespace: (*namespace).into(), id, data: data(kind, payload)? })
}

/// Writes what was read. `None` for what we never write.
pub(crate) fn encode(messages: &[Message]) -> Option<Vec<Message>> {
    let (Message::Text(text), attachments) = messages.split_first()? else { return None };
    let attachments = attachments.iter().map(|message| match message {
        Message::Bytes { bytes } => Bytes::from(bytes.clone()),
        Message::Text(text) => panic!("{text} is no attachment"),
    });
    let header = Header::parse(text, MAX_ATTACHMENTS).ok()?;
    if header.id.is_some()
        && matches!(header.kind, PacketType::Connect | PacketType::Disconnect | PacketType::ConnectError)
    {
        return None;
    }
    let payload = header.into_payload(attachments.collect());
    let packet = match header.kind {
        PacketType::Connect => encode_connect(header.namespace, payload.decode::<Accepted>().ok()?.sid.as_str()),
        PacketType::Disconnect => encode_disconnect(header.namespace),
        PacketType::ConnectError => {
            let Refused { message, data } = payload.decode().ok()?;
            let error = ConnectError::new(message);
            encode_connect_error(header.namespace, &data.map_or(error.clone(), |data| error.with_data(data)))
        }
        PacketType::Event | PacketType::BinaryEvent => {
            let name = payload.event().into_owned();
            let args = Arguments(payload.decode_all().ok()?);
            encode_event(header.namespace, &name, &args, header.id).expect("what was read can be written")
        }
        PacketType::Ack | PacketType::BinaryAck => {
            let args = Arguments(payload.decode_all().ok()?);
            encode_ack(header.namespace, header.id?, &args).expect("what was read can be written")
        }
    };
    Some(
        packet
            .frames()
            .map(|frame| match (frame.opcode(), frame.payload()) {
                (Opcode::Text, [b'4', text @ ..]) => {
                    Message::Text(String::from_utf8(text.into()).expect("text is UTF-8"))
                }
                (Opcode::Binary, bytes) => Message::Bytes { bytes: bytes.into() },
                other => panic!("{other:?}"),
            })
            .collect(),
    )
}

/// What alone is in the payload of an answer to CONNECT.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    sid: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    message: String,
    data: Option<Tree>,
}

/// As many arguments as there are.
struct Arguments(Vec<Tree>);

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|argument| tuple.serialize_element(argument))?;
        tuple.end()
    }
}

/// The packets of a polling payload: type and data, as the official parser calls them.
pub(crate) fn read_payload(payload: &str) -> Vec<(String, String)> {
    const TYPES: [&str; 7] = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
    let mut packets = Vec::new();
    let mut reader = PayloadReader::default();
    loop {
        let (kind, data) = match reader.next(payload) {
            Ok(Some(Segment::Text(kind, data))) => (TYPES[usize::from(kind as u8 - b'0')], Tree::Text(data.into())),
            Ok(Some(Segment::Binary(bytes))) => ("message", Tree::Bytes(bytes)),
            Ok(None) => return packets,
            Err(_) => ("error", Tree::Text("parser error".into())),
        };
        packets.push((kind.into(), data.canonical()));
    }
}

/// The polling payload that a session makes of messages.
pub(crate) fn write_payload(messages: &[Message]) -> String {
    let now = Instant::EPOCH;
    let id = SessionId::generate(&mut Random::new(Seed::new([0; 32])));
    let mut session = Session::new(Arc::default(), id, Transport::Polling, now);
    poll(&mut session);
    for message in messages {
        let packet = match message {
            Message::Text(text) => engine::Packet::text(text),
            Message::Bytes { bytes } => engine::Packet::binary(bytes),
        };
        session.send(packet).expect("it is not much");
    }
    poll(&mut session)
}

fn poll(session: &mut Session) -> String {
    let now = Instant::EPOCH;
    session.handle_exchange(now, Exchange { id: ExchangeId(0), kind: ExchangeKind::Poll });
    match session.next(now, &mut Input::empty()) {
        engine::Next::Answer(_, response) => String::from_utf8(response.body.into()).expect("a payload is text"),
        other => panic!("{other:?}"),
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}
