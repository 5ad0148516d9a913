//! A server, and the network in front of it, that do whatever they like to a client's machine, and the books of what the
//! machine may do.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use bytes::Bytes;
use socketio_protocol::client::Client;
use socketio_protocol::engine::client::{self as engine, Request, RequestId};
use socketio_protocol::engine::{Packet, PacketType, PayloadReader, Segment, Transport};
use socketio_protocol::websocket::{Decoder, Frame, Incoming, Opcode, Role};
use socketio_protocol::{Input, Instant};

use super::{Arriving, Ops, Trial};

/// What a network tells a machine.
pub(crate) trait Connects {
    fn respond(&mut self, now: Instant, request: RequestId, status: u16, body: Bytes);
    fn fail_request(&mut self, now: Instant, request: RequestId);
    fn open_stream(&mut self, now: Instant);
    fn end_stream(&mut self, now: Instant);
    fn fail_stream(&mut self, now: Instant);
}

macro_rules! connects {
    ($($machine:ty)*) => {$(
        impl Connects for $machine {
            fn respond(&mut self, now: Instant, request: RequestId, status: u16, body: Bytes) {
                self.handle_response(now, request, status, body);
            }

            fn fail_request(&mut self, now: Instant, request: RequestId) {
                self.handle_request_failed(now, request, "refused");
            }

            fn open_stream(&mut self, now: Instant) {
                self.handle_stream_opened(now);
            }

            fn end_stream(&mut self, now: Instant) {
                self.handle_stream_closed(now);
            }

            fn fail_stream(&mut self, now: Instant) {
                self.handle_stream_failed(now, "broken");
            }
        }
    )*};
}

connects! { engine::Client Client }

pub(crate) struct Network {
    /// The requests that the machine has made, and not given up, by their method.
    under_way: BTreeMap<&'static str, RequestId>,
    /// The last one's.
    requests: u64,
    stream: Stream,
    /// What was written to the stream and not read by the machine.
    pub(crate) inbound: Vec<u8>,
    /// How much the stream takes whenever the machine waits.
    pub(crate) room: usize,
    /// What the machine has delivered, oldest first: texts of messages without their type, and binary messages.
    pub(crate) delivered: VecDeque<Delivered>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Delivered {
    Text(String),
    Binary(Vec<u8>),
}

#[derive(Default)]
enum Stream {
    #[default]
    None,
    Asked,
    /// Reads what the machine writes.
    Open(Box<Decoder>),
}

impl Network {
    /// How many operations there are.
    pub(crate) const OPS: usize = 14;

    pub(crate) fn new() -> Self {
        Self {
            under_way: BTreeMap::new(),
            requests: 0,
            stream: Stream::None,
            inbound: Vec::new(),
            room: usize::MAX,
            delivered: VecDeque::new(),
        }
    }

    pub(crate) fn act(&mut self, op: usize, ops: &mut Ops<'_>, machine: &mut impl Connects, now: Instant) {
        match op {
            0 | 1 => self.respond("GET", 200, handshake(ops), machine, now),
            2 | 3 => self.respond("GET", 200, ops.payload(), machine, now),
            4 => self.respond("POST", 200, "ok".into(), machine, now),
            5 => {
                let (method, status) = (*ops.pick(&["GET", "POST"]), *ops.pick(&[404, 200, 500]));
                self.respond(method, status, ops.text(), machine, now);
            }
            6 => {
                if let Some(id) = self.under_way.remove(ops.pick(&["GET", "POST"])) {
                    machine.fail_request(now, id);
                }
            }
            7 => self.tell_of_others(ops, machine, now),
            8 => self.decide_stream(ops, machine, now),
            9 => self.end_stream(ops, machine, now),
            10 => self.write(handshake(ops)),
            11 | 12 => {
                let bytes = ops.stream(None);
                if self.reader().is_some() {
                    self.inbound.extend(bytes);
                }
            }
            _ => self.room = *ops.pick(&[usize::MAX, 0, 1, 7, 100]),
        }
    }

    fn respond(&mut self, method: &str, status: u16, body: String, machine: &mut impl Connects, now: Instant) {
        if let Some(id) = self.under_way.remove(method) {
            machine.respond(now, id, status, body.into());
        }
    }

    /// News of requests that are over, or never were.
    fn tell_of_others(&mut self, ops: &mut Ops<'_>, machine: &mut impl Connects, now: Instant) {
        let id = RequestId((self.requests + 2).saturating_sub(ops.below(5) as u64));
        if !self.under_way.values().any(|other| *other == id) {
            machine.respond(now, id, 200, ops.payload().into());
            machine.fail_request(now, id);
        }
    }

    fn decide_stream(&mut self, ops: &mut Ops<'_>, machine: &mut impl Connects, now: Instant) {
        if !matches!(self.stream, Stream::Asked) {
            return;
        }
        if ops.below(4) == 3 {
            self.stream = Stream::None;
            machine.fail_stream(now);
        } else {
            self.stream = Stream::Open(Box::new(Decoder::new(Role::Server, usize::MAX)));
            machine.open_stream(now);
        }
    }

    fn end_stream(&mut self, ops: &mut Ops<'_>, machine: &mut impl Connects, now: Instant) {
        if self.reader().is_none() {
            return;
        }
        self.close_stream();
        if ops.flag() { machine.fail_stream(now) } else { machine.end_stream(now) }
    }

    /// Writes a packet to the stream.
    fn write(&mut self, packet: String) {
        if self.reader().is_some() {
            let frame = Frame::text(&packet);
            self.inbound.extend(frame.as_bytes());
        }
    }

    fn reader(&mut self) -> Option<&mut Decoder> {
        match &mut self.stream {
            Stream::Open(reader) => Some(reader),
            _ => None,
        }
    }

    pub(crate) fn has_stream(&self) -> bool {
        !matches!(self.stream, Stream::None)
    }

    /// The machine asks for something.
    pub(crate) fn take_request(&mut self, request: &Request) {
        assert!(request.id.0 > self.requests, "an id is used again");
        self.requests = request.id.0;
        assert_eq!(self.under_way.insert(request.method(), request.id), None, "two of a kind");
        assert!(request.target.starts_with("/socket.io/?a=b%20c&EIO=4&transport=polling&t="), "{}", request.target);
        assert!(request.to_http1("host").ends_with(&request.body));
        let (body, mut reader) = (std::str::from_utf8(&request.body).expect("text"), PayloadReader::default());
        while !body.is_empty()
            && let Some(segment) = reader.next(body).expect("packets")
        {
            match segment {
                Segment::Text(PacketType::Message, text) => self.delivered.push_back(Delivered::Text(text.into())),
                Segment::Text(PacketType::Pong, "") => {}
                Segment::Text(PacketType::Close, "") => assert_eq!(body, "1", "the goodbye goes alone"),
                Segment::Text(kind, text) => panic!("{kind:?} {text}"),
                Segment::Binary(bytes) => self.delivered.push_back(Delivered::Binary(bytes)),
            }
        }
    }

    pub(crate) fn cancel(&mut self, id: RequestId) {
        let before = self.under_way.len();
        self.under_way.retain(|_, other| *other != id);
        assert_eq!(self.under_way.len() + 1, before, "nothing to give up");
    }

    pub(crate) fn ask_stream(&mut self, target: &str) {
        assert!(!self.has_stream(), "two streams");
        assert!(target.starts_with("/socket.io/?a=b%20c&EIO=4&transport=websocket"), "{target}");
        self.stream = Stream::Asked;
    }

    /// What is to be lent to the client. When its time has come, what was received counts before the time. Where it writes
    /// slowly, what it offers between pieces would go out in front of a close frame that else takes its place.
    pub(crate) fn arriving(&mut self, trial: &mut Trial) -> Arriving {
        let mut arriving = trial.arriving(mem::take(&mut self.inbound));
        let (late, slowly) = (trial.is_late(), self.room < usize::MAX);
        if late {
            arriving.come_in_time();
        }
        if late || slowly {
            arriving.come_at_once();
        }
        arriving
    }

    /// What the machine gives up, or what ends.
    pub(crate) fn close_stream(&mut self) {
        assert!(self.has_stream(), "there is no stream to close");
        self.stream = Stream::None;
        self.inbound.clear();
    }

    /// What the machine has written to its stream.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        let Stream::Open(mut reader) = std::mem::take(&mut self.stream) else { panic!("there is no stream") };
        assert!(bytes.is_empty() || !reader.is_closed(), "something follows the close frame");
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        while let Some(incoming) = reader.next(&mut input).expect("masked frames") {
            match incoming {
                Incoming::Text(text) => match text.strip_prefix('4') {
                    Some(text) => self.delivered.push_back(Delivered::Text(text.into())),
                    None => assert!(["1", "2probe", "3", "5"].contains(&text), "{text}"),
                },
                Incoming::Binary(bytes) => self.delivered.push_back(Delivered::Binary(bytes.into_vec())),
                Incoming::Ping(_) => panic!("clients do not ping"),
                Incoming::Pong(_) | Incoming::Close(_) => {}
            }
        }
        self.stream = Stream::Open(reader);
    }

    /// Whether the machine uses nothing.
    pub(crate) fn is_settled(&self) -> bool {
        self.under_way.is_empty() && !self.has_stream()
    }
}

/// What a message consists of, once it is delivered.
pub(crate) fn deliveries(packet: &Packet) -> impl Iterator<Item = Delivered> {
    packet.frames().map(|frame| match frame.payload() {
        [b'4', text @ ..] if frame.opcode() == Opcode::Text => {
            Delivered::Text(String::from_utf8_lossy(text).into_owned())
        }
        bytes => Delivered::Binary(bytes.to_vec()),
    })
}

/// Transports of all kinds, and limits that a few operations reach.
pub(crate) fn client_config(ops: &mut Ops<'_>) -> engine::Config {
    const TRANSPORTS: &[&[Transport]] = &[
        &[Transport::WebSocket, Transport::Polling],
        &[Transport::Polling, Transport::WebSocket],
        &[Transport::Polling],
        &[Transport::WebSocket],
        &[],
    ];
    let mut config = engine::Config::default();
    config.path = "socket.io/".into();
    config.add_query("a", "b c");
    config.transports = (*ops.pick(TRANSPORTS)).into();
    (config.try_all_transports, config.upgrade) = (!ops.flag(), !ops.flag());
    (config.max_payload, config.max_handshake) = (*ops.pick(&[10_000, 40, 100_000]), *ops.pick(&[300, 100]));
    config
}

/// An open packet, with which a session can begin in most cases.
fn handshake(ops: &mut Ops<'_>) -> String {
    let upgrades = *ops.pick(&[r#""websocket""#, ""]);
    let (interval, payload) = (*ops.pick(&["25000", "50", "0"]), *ops.pick(&["1000000", "30", "0"]));
    let rest = *ops.pick(&["", "\u{1e}42[\"e\"]", "\u{1e}1", "x"]);
    format!(
        r#"0{{"sid":"a/b","upgrades":[{upgrades}],"pingInterval":{interval},"pingTimeout":20000,"maxPayload":{payload}}}{rest}"#
    )
}
