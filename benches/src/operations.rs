use std::hint::black_box;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use socketio_protocol::engine::{self, Message, PayloadReader, Segment, Transport};
use socketio_protocol::server::{self, Connection};
use socketio_protocol::socket::{Binary, Config, Encoder, Event, Header, Next, Sockets, encode_connect, encode_event};
use socketio_protocol::websocket::{Decoder, Frame, Incoming, Role};
use socketio_protocol::{Input, Instant, Random, Seed, SessionId, SocketId};

use crate::packets::{
    Answer, Credentials, ECHO, Items, NAMESPACE, Query, Small, SmallRef, Text, attachment, message, payload,
};
use crate::{FLOOR, Operation};

/// The codec alone: a header is parsed, its payload decoded.
const CODEC: &str = "ours";
/// The same as a driver does it: a message goes into [`Sockets`], which know the namespace, and an event comes out.
const SOCKETS: &str = "ours, by Sockets";
/// All layers: a masked frame goes into a [`Connection`], the answer comes out as bytes.
const CONNECTION: &str = "ours, by Connection";

/// What this project's codecs do, and serde_json alone.
pub fn operations() -> Vec<Operation> {
    let mut list = List(Vec::new());
    list.event("small", "message", Small::sample());
    list.decode_packet("small");
    list.decode_value("small");
    let (small, list_of_small) = (message("small"), payload("small"));
    list.add("small", "decode-borrowed", CODEC, move || decode::<SmallRef<'_>>(small));
    list.add("small", "decode-borrowed", FLOOR, move || from_str::<(&str, SmallRef<'_>)>(list_of_small));
    list.echo();
    list.query();
    list.event("2KiB-text", "message", Text::sample());
    list.event("2KiB-items", "message", Items::sample());
    list.decode_value("2KiB-items");
    list.binary();
    list.ack();
    list.connect();
    list.polling(small);
    list.frames();
    list.connection();
    list.0
}

struct List(Vec<Operation>);

impl List {
    fn add(&mut self, packet: &'static str, name: &'static str, codec: &'static str, run: impl FnMut() + 'static) {
        self.0.push(Operation { packet, name, codec, run: Box::new(run) });
    }

    /// An event of one argument, in both directions.
    fn event<T: Serialize + DeserializeOwned + 'static>(&mut self, packet: &'static str, name: &'static str, value: T) {
        let message = message(packet);
        let list = payload(packet);
        let mut sockets = joined("/");
        self.add(packet, "decode-typed", CODEC, move || decode::<T>(message));
        self.add(packet, "decode-typed", SOCKETS, move || decode_event::<T>(&mut sockets, message));
        self.add(packet, "decode-typed", FLOOR, move || from_str::<(&str, T)>(list));
        let mut encoder = Encoder::default();
        let value = Arc::new(value);
        let floor = value.clone();
        self.add(packet, "encode-typed", CODEC, move || {
            black_box(encoder.event("/", name, &(black_box(&*value),), None).is_ok());
        });
        self.add(packet, "encode-typed", FLOOR, move || {
            black_box(serde_json::to_vec(&(name, black_box(&*floor))).is_ok());
        });
    }

    fn decode_packet(&mut self, packet: &'static str) {
        let message = message(packet);
        self.add(packet, "decode-packet", CODEC, move || {
            black_box(Header::parse(black_box(message), 10).is_ok());
        });
    }

    fn decode_value(&mut self, packet: &'static str) {
        let (message, list) = (message(packet), payload(packet));
        self.add(packet, "decode-value", CODEC, move || decode::<Value>(message));
        self.add(packet, "decode-value", FLOOR, move || from_str::<(&str, Value)>(list));
    }

    /// The most frequent shape: one short string as the list.
    fn echo(&mut self) {
        const PACKET: &str = "echo";
        let (message, list) = (message(PACKET), payload(PACKET));
        let mut sockets = joined("/");
        self.add(PACKET, "decode-typed", CODEC, move || decode::<(String,)>(message));
        self.add(PACKET, "decode-typed", SOCKETS, move || decode_event::<(String,)>(&mut sockets, message));
        self.add(PACKET, "decode-typed", FLOOR, move || from_str::<(&str, String)>(list));
        let mut encoder = Encoder::default();
        let text = ECHO.to_owned();
        self.add(PACKET, "encode-typed", CODEC, move || {
            black_box(encoder.event("/", black_box("echo"), black_box(&(&text,)), None).is_ok());
        });
        let text = ECHO.to_owned();
        self.add(PACKET, "encode-typed", FLOOR, move || {
            black_box(serde_json::to_vec(black_box(&("echo", &text))).is_ok());
        });
    }

    /// A namespace and an ack id.
    fn query(&mut self) {
        const PACKET: &str = "ns+ack";
        let (message, list) = (message(PACKET), payload(PACKET));
        let mut sockets = joined(NAMESPACE);
        self.decode_packet(PACKET);
        self.add(PACKET, "decode-typed", CODEC, move || decode::<Query>(message));
        self.add(PACKET, "decode-typed", SOCKETS, move || decode_event::<Query>(&mut sockets, message));
        self.add(PACKET, "decode-typed", FLOOR, move || from_str::<(&str, Query)>(list));
        let mut encoder = Encoder::default();
        self.add(PACKET, "encode-typed", CODEC, move || {
            black_box(encoder.event(NAMESPACE, "get", black_box(&(Query { id: 7 },)), Some(12)).is_ok());
        });
        self.add(PACKET, "encode-typed", FLOOR, move || {
            black_box(serde_json::to_vec(black_box(&("get", Query { id: 7 }))).is_ok());
        });
    }

    fn binary(&mut self) {
        const PACKET: &str = "binary-1KiB";
        let (message, bytes): (_, &'static [u8]) = (message(PACKET), attachment().leak());
        self.add(PACKET, "decode-typed", CODEC, move || {
            let header = Header::parse(black_box(message), 10).expect("a packet");
            let attachment = bytes::Bytes::copy_from_slice(black_box(bytes));
            black_box(header.into_payload(vec![attachment]).decode::<(Binary,)>().is_ok());
        });
        let mut sockets = joined("/");
        self.add(PACKET, "decode-typed", SOCKETS, move || {
            let mut text = Some(Message::Text(black_box(message)));
            assert!(matches!(sockets.next(Instant::EPOCH, &mut text), Next::Wait(_)));
            decode_next::<(Binary,)>(&mut sockets, Message::Binary(black_box(bytes).into()));
        });
        let mut encoder = Encoder::default();
        let attachment = Binary(bytes::Bytes::from_static(bytes));
        self.add(PACKET, "encode-typed", CODEC, move || {
            black_box(encoder.event("/", "echo", &(black_box(&attachment),), None).is_ok());
        });
    }

    fn ack(&mut self) {
        const PACKET: &str = "ack";
        let (message, list) = (message(PACKET), payload(PACKET));
        self.decode_packet(PACKET);
        self.add(PACKET, "decode-typed", CODEC, move || decode::<(Answer,)>(message));
        self.add(PACKET, "decode-typed", FLOOR, move || from_str::<(Answer,)>(list));
        let mut encoder = Encoder::default();
        self.add(PACKET, "encode-typed", CODEC, move || {
            black_box(encoder.ack("/", 15, &(black_box(Answer::sample()),)).is_ok());
        });
        self.add(PACKET, "encode-typed", FLOOR, move || {
            black_box(serde_json::to_vec(&(black_box(Answer::sample()),)).is_ok());
        });
    }

    fn connect(&mut self) {
        const PACKET: &str = "connect";
        let (message, auth) = (message(PACKET), payload(PACKET));
        self.decode_packet(PACKET);
        self.add(PACKET, "decode-typed", CODEC, move || decode::<Credentials>(message));
        self.add(PACKET, "decode-typed", FLOOR, move || from_str::<Credentials>(auth));
        self.add(PACKET, "encode-typed", CODEC, move || {
            black_box(encode_connect("/", black_box("AbCdEfGhIjKlMnOpQrSt")));
        });
    }

    /// A payload of sixteen small events. Answering a GET is measured as a whole: the session builds payloads for itself.
    fn polling(&mut self, small: &str) {
        const PACKET: &str = "polling-16";
        let payload: &'static str = vec![format!("4{small}"); 16].join("\u{1e}").leak();
        self.add(PACKET, "decode-payload", CODEC, move || {
            let mut reader = PayloadReader::default();
            while let Some(segment) = reader.next(black_box(payload)).expect("a payload") {
                black_box(segment);
            }
        });
        self.add(PACKET, "decode-typed", CODEC, move || {
            let mut reader = PayloadReader::default();
            while let Some(Segment::Text(_, message)) = reader.next(black_box(payload)).expect("a payload") {
                decode::<Small>(message);
            }
        });
        let packet = encode_event("/", "message", &Small::sample(), None).expect("it can be written");
        let mut session = engine::Session::new(Arc::default(), session_id(), Transport::Polling, Instant::EPOCH);
        let mut poll = 0;
        self.add(PACKET, "encode-payload", CODEC, move || {
            // The first GET gets the handshake.
            for _ in 0..if poll == 0 { 0 } else { 16 } {
                assert!(session.send(black_box(&packet).clone()).is_ok());
            }
            let exchange = engine::Exchange { id: engine::ExchangeId(poll), kind: engine::ExchangeKind::Poll };
            session.handle_exchange(Instant::EPOCH, exchange);
            poll += 1;
            let answer = session.next(Instant::EPOCH, &mut Input::empty());
            assert!(matches!(&answer, engine::Next::Answer(..)));
            let _ = black_box(answer);
        });
    }

    /// Frames of three sizes, unmasked in place: a key of zeros leaves them as they were for the next time.
    fn frames(&mut self) {
        for (packet, len) in [("frame-32B", 32), ("frame-1KiB", 1024), ("frame-64KiB", 65536)] {
            let text = "x".repeat(len);
            let mut masked = Vec::new();
            Frame::text(&text).write_masked([0; 4], &mut masked);
            let mut decoder = Decoder::new(Role::Server, 1_000_000);
            self.add(packet, "decode", CODEC, move || {
                let message = decoder.next(&mut Input::new(black_box(&mut masked)));
                assert!(matches!(message, Ok(Some(Incoming::Text(text))) if text.len() == len));
            });
            self.add(packet, "encode", CODEC, move || {
                black_box(Frame::text(black_box(&text)));
            });
        }
    }

    /// A masked frame in, the same event as a frame out, through all layers.
    fn connection(&mut self) {
        const PACKET: &str = "echo";
        let mut frame = Vec::new();
        Frame::text(&format!("4{}", message(PACKET))).write_masked([0; 4], &mut frame);
        let (mut connection, mut encoder) = (connected(), Encoder::default());
        self.add(PACKET, "in-and-out", CONNECTION, move || {
            let answer = frame.len() - 4;
            let mut input = Input::new(&mut frame);
            let written = loop {
                let (key, packet) = match connection.next(Instant::EPOCH, &mut input) {
                    server::Next::Event(Event::Message { socket, payload, .. }) => {
                        let args: (String,) = payload.decode().expect("one string");
                        (socket, encoder.event("/", "echo", &args, None).expect("a string can be written"))
                    }
                    server::Next::Io(mut io) => {
                        let pending: usize = io.pending().map(<[u8]>::len).sum();
                        io.written(pending);
                        break pending;
                    }
                    other => panic!("{other:?}"),
                };
                connection.emit(key, packet);
            };
            assert_eq!(black_box(written), answer);
        });
    }
}

fn decode<T: Deserialize<'static>>(message: &'static str) {
    let header = Header::parse(black_box(message), 10).expect("a packet");
    black_box(header.into_payload(Vec::new()).decode::<T>().expect("an argument"));
}

fn decode_event<T: DeserializeOwned>(sockets: &mut Sockets, message: &'static str) {
    decode_next::<T>(sockets, Message::Text(black_box(message)));
}

fn decode_next<T: DeserializeOwned>(sockets: &mut Sockets, message: Message<'static>) {
    match sockets.next(Instant::EPOCH, &mut Some(message)) {
        Next::Event(Event::Message { payload, socket, ack }) => {
            black_box((socket, ack, payload.event() == "message"));
            black_box(payload.decode::<T>().expect("an argument"));
        }
        other => panic!("{other:?}"),
    }
}

fn from_str<T: Deserialize<'static>>(json: &'static str) {
    black_box(serde_json::from_str::<T>(black_box(json)).expect("JSON of this shape"));
}

/// Sockets with one that has joined `namespace`.
fn joined(namespace: &str) -> Sockets {
    let mut sockets = Sockets::new(Arc::new(Config::default()), Instant::EPOCH);
    let connect = format!("0{namespace}");
    let mut message = Some(Message::Text(&connect));
    let request = match sockets.next(Instant::EPOCH, &mut message) {
        Next::Event(Event::Connect { request, .. }) => request,
        other => panic!("{other:?}"),
    };
    assert!(sockets.accept(request, &SocketId::from("ann")).is_some());
    assert!(matches!(sockets.advance(Instant::EPOCH), Next::Transmit(_)));
    sockets
}

/// A connection over WebSocket that has joined the main namespace and written its greetings.
fn connected() -> Connection {
    let mut connection =
        Connection::new(Arc::default(), Arc::default(), session_id(), Transport::WebSocket, Instant::EPOCH);
    let mut bytes = Vec::new();
    Frame::text("40").write_masked([1, 2, 3, 4], &mut bytes);
    let request = match connection.next(Instant::EPOCH, &mut Input::new(&mut bytes)) {
        server::Next::Event(Event::Connect { request, .. }) => request,
        other => panic!("{other:?}"),
    };
    assert!(connection.accept(request, &SocketId::from("ann")).is_some());
    match connection.next(Instant::EPOCH, &mut Input::empty()) {
        server::Next::Io(mut io) => {
            let pending = io.pending().map(<[u8]>::len).sum();
            io.written(pending);
        }
        other => panic!("{other:?}"),
    }
    connection
}

fn session_id() -> SessionId {
    SessionId::generate(&mut Random::new(Seed::new([1; 32])))
}
