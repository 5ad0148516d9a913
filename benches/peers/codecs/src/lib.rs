//! The packets of `socketio-benches` in the hands of other libraries.
//!
//! socketioxide's parser is measured as its server uses it. rust_socketio and rust_engineio (0.6) keep their packet modules
//! private: there is nothing to call.

use std::hint::black_box;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use socketio_benches::Operation;
use socketio_benches::packets::{Answer, Credentials, ECHO, Items, NAMESPACE, Query, Small, Text, attachment, message};
use socketioxide_core::Str;
use socketioxide_core::packet::{Packet, PacketData};
use socketioxide_core::parser::{Parse, ParseConfig, ParserState};
use socketioxide_parser_common::CommonParser;

const CODEC: &str = "socketioxide";

/// What the other libraries do.
pub fn operations() -> Vec<Operation> {
    let mut list = List(Vec::new());
    list.event("small", "message", Small::sample());
    list.decode_value("small");
    list.event("echo", "echo", (ECHO.to_owned(),));
    list.query();
    list.event("2KiB-text", "message", Text::sample());
    list.event("2KiB-items", "message", Items::sample());
    list.decode_value("2KiB-items");
    list.binary();
    list.ack();
    list.connect();
    list.polling();
    list.0
}

struct List(Vec<Operation>);

impl List {
    fn add(&mut self, packet: &'static str, name: &'static str, run: impl FnMut() + 'static) {
        self.0.push(Operation { packet, name, codec: CODEC, run: Box::new(run) });
    }

    fn decode<T: DeserializeOwned + 'static>(&mut self, packet: &'static str, name: &'static str) {
        let (message, parser) = (message(packet), Parser::default());
        self.add(packet, name, move || parser.decode::<T>(message));
    }

    fn event<T: Serialize + DeserializeOwned + 'static>(&mut self, packet: &'static str, name: &'static str, value: T) {
        let (message, parser) = (message(packet), Parser::default());
        self.add(packet, "decode-packet", move || _ = black_box(parser.packet(message)));
        self.decode::<T>(packet, "decode-typed");
        self.add(packet, "encode-typed", move || {
            let data = CommonParser.encode_value(black_box(&value), Some(name)).expect("it can be written");
            black_box(CommonParser.encode(Packet::event("/", data)));
        });
    }

    fn decode_value(&mut self, packet: &'static str) {
        self.decode::<Value>(packet, "decode-value");
    }

    fn query(&mut self) {
        self.decode::<Query>("ns+ack", "decode-typed");
        self.add("ns+ack", "encode-typed", || {
            let data = CommonParser.encode_value(black_box(&Query { id: 7 }), Some("get")).expect("it can be written");
            let mut packet = Packet::event(NAMESPACE, data);
            packet.inner.set_ack_id(12);
            black_box(CommonParser.encode(packet));
        });
    }

    fn binary(&mut self) {
        let (message, bytes) = (message("binary-1KiB"), Bytes::from(attachment()));
        let (parser, sent) = (Parser::default(), bytes.clone());
        self.add("binary-1KiB", "decode-typed", move || {
            assert!(CommonParser.decode_str(&parser.config, &parser.state, Str::from(black_box(message))).is_err());
            let packet = CommonParser.decode_bin(&parser.config, &parser.state, bytes.clone()).expect("a packet");
            let PacketData::BinaryEvent(mut data, _) = packet.inner else { panic!("another packet") };
            assert_eq!(CommonParser.read_event(&data).expect("an event"), "echo");
            black_box(CommonParser.decode_value::<(Bytes,)>(&mut data, true).expect("an argument"));
        });
        self.add("binary-1KiB", "encode-typed", move || {
            let data = CommonParser.encode_value(black_box(&(&sent,)), Some("echo")).expect("it can be written");
            black_box(CommonParser.encode(Packet::event("/", data)));
        });
    }

    fn ack(&mut self) {
        let (message, parser) = (message("ack"), Parser::default());
        self.add("ack", "decode-typed", move || {
            let PacketData::EventAck(mut data, _) = parser.packet(message) else { panic!("another packet") };
            black_box(CommonParser.decode_value::<(Answer,)>(&mut data, false).expect("an argument"));
        });
        self.add("ack", "encode-typed", || {
            let data = CommonParser.encode_value(&black_box(Answer::sample()), None).expect("it can be written");
            black_box(CommonParser.encode(Packet::ack("/", data, 15)));
        });
    }

    fn connect(&mut self) {
        let (message, parser) = (message("connect"), Parser::default());
        self.add("connect", "decode-typed", move || {
            let PacketData::Connect(data) = parser.packet(message) else { panic!("another packet") };
            black_box(CommonParser.decode_default::<Credentials>(data.as_ref()).expect("credentials"));
        });
        self.add("connect", "encode-typed", || {
            let sid = Sid { sid: black_box("AbCdEfGhIjKlMnOpQrSt") };
            let data = CommonParser.encode_default(&sid).expect("it can be written");
            black_box(CommonParser.encode(Packet::connect("/", Some(data))));
        });
    }

    /// The payload is only split: engineioxide's codec is private.
    fn polling(&mut self) {
        let small = message("small");
        let payload: &'static str = vec![format!("4{small}"); 16].join("\u{1e}").leak();
        let parser = Parser::default();
        self.add("polling-16", "decode-typed", move || {
            for packet in black_box(payload).split('\u{1e}') {
                parser.decode::<Small>(packet.get(1..).expect("a packet"));
            }
        });
    }
}

#[derive(Serialize)]
struct Sid {
    sid: &'static str,
}

#[derive(Default)]
struct Parser {
    config: ParseConfig,
    state: ParserState,
}

impl Parser {
    fn packet(&self, message: &'static str) -> PacketData {
        let packet = CommonParser.decode_str(&self.config, &self.state, Str::from(black_box(message)));
        packet.expect("a packet").inner
    }

    fn decode<T: DeserializeOwned>(&self, message: &'static str) {
        let PacketData::Event(mut data, _) = self.packet(message) else { panic!("another packet") };
        black_box(CommonParser.read_event(&data).expect("an event").len());
        black_box(CommonParser.decode_value::<T>(&mut data, true).expect("an argument"));
    }
}
