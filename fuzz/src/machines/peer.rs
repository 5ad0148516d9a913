//! A client that does whatever it likes to a server's machine, and the books of what the machine owes it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use socketio_protocol::engine::{
    CloseReason, Exchange, ExchangeId, ExchangeKind, Packet, PacketType, PayloadReader, Response, Segment, Session,
};
use socketio_protocol::server::Connection;
use socketio_protocol::websocket::{Decoder, Incoming, Role};
use socketio_protocol::{Input, Instant};

use super::{Ops, Trial};

/// What a client can do to a machine, and a server that ends the session.
pub(crate) trait Server {
    fn exchange(&mut self, now: Instant, exchange: Exchange);
    fn abort_exchange(&mut self, now: Instant, id: ExchangeId);
    fn refuse(&mut self, now: Instant, id: ExchangeId);
    fn open_stream(&mut self, now: Instant) -> bool;
    fn end_stream(&mut self, now: Instant);
    fn pause(&mut self, now: Instant, paused: bool);
    fn close(&mut self, now: Instant, reason: CloseReason);
}

macro_rules! servers {
    ($($machine:ty)*) => {$(
        impl Server for $machine {
            fn exchange(&mut self, now: Instant, exchange: Exchange) {
                self.handle_exchange(now, exchange);
            }

            fn abort_exchange(&mut self, now: Instant, id: ExchangeId) {
                self.handle_abort(now, id);
            }

            fn refuse(&mut self, now: Instant, id: ExchangeId) {
                self.handle_refusal(now, id);
            }

            fn open_stream(&mut self, now: Instant) -> bool {
                self.handle_stream(now).is_ok()
            }

            fn end_stream(&mut self, now: Instant) {
                self.handle_stream_closed(now);
            }

            fn pause(&mut self, now: Instant, paused: bool) {
                <$machine>::pause(self, now, paused);
            }

            fn close(&mut self, now: Instant, reason: CloseReason) {
                <$machine>::close(self, now, reason);
            }
        }
    )*};
}

servers! { Session Connection }

pub(crate) const KEY: [u8; 4] = [1, 2, 3, 4];

pub(crate) const REASONS: &[CloseReason] = &[
    CloseReason::ForcedClose,
    CloseReason::TransportError,
    CloseReason::TransportClose,
    CloseReason::ServerShuttingDown,
    CloseReason::ParseError,
];

pub(crate) struct Peer {
    requests: u64,
    /// Requests without an answer, and whether they are polls.
    unanswered: BTreeMap<u64, bool>,
    upload: Option<u64>,
    /// There while the machine has a stream; reads what it writes.
    stream: Option<Decoder>,
    /// What was written to the stream and not read by the machine.
    pub(crate) inbound: Vec<u8>,
    /// How much the stream takes whenever the machine waits.
    pub(crate) room: usize,
    /// What was sent by the application, and has not come.
    expected: VecDeque<Vec<u8>>,
    /// Whether the machine says something by itself, too.
    replies: bool,
}

impl Peer {
    /// How many operations there are.
    pub(crate) const OPS: usize = 13;

    pub(crate) fn new(websocket: bool, replies: bool) -> Self {
        Self {
            requests: 0,
            unanswered: BTreeMap::new(),
            upload: None,
            stream: websocket.then(reader),
            inbound: Vec::new(),
            room: usize::MAX,
            expected: VecDeque::new(),
            replies,
        }
    }

    pub(crate) fn act(&mut self, op: usize, ops: &mut Ops<'_>, server: &mut impl Server, now: Instant) {
        match op {
            0 => self.request(server, now, ExchangeKind::Poll),
            1 => {
                let body = ops.payload().into();
                self.request(server, now, ExchangeKind::Post { body, binary: false });
            }
            2 => {
                let (body, binary) = (Bytes::copy_from_slice(ops.bytes(100)), ops.flag());
                self.request(server, now, ExchangeKind::Post { body, binary });
            }
            3 => {
                self.request(server, now, ExchangeKind::Upload);
                self.upload = Some(self.requests);
            }
            4 => {
                let id = self.requests.saturating_sub(ops.below(8) as u64);
                self.unanswered.remove(&id);
                server.abort_exchange(now, ExchangeId(id));
            }
            5 => {
                if server.open_stream(now) {
                    assert!(self.stream.is_none(), "a second stream");
                    self.stream = Some(reader());
                }
            }
            6 => {
                if self.stream.take().is_some() {
                    self.inbound.clear();
                    server.end_stream(now);
                }
            }
            7..=9 => {
                let bytes = ops.stream(Some(KEY));
                self.inbound.extend(self.stream.iter().flat_map(|_| &bytes));
            }
            10 => server.pause(now, ops.flag()),
            11 => self.room = *ops.pick(&[usize::MAX, 0, 1, 7, 100]),
            _ => server.close(now, *ops.pick(REASONS)),
        }
    }

    /// The upload ends, if it still has no answer: with its body, or by an answer that the machine does not know.
    pub(crate) fn finish_upload(&mut self, ops: &mut Ops<'_>, server: &mut impl Server, now: Instant) {
        let Some(id) = self.upload.take().filter(|id| self.unanswered.contains_key(id)) else { return };
        if ops.flag() {
            self.unanswered.remove(&id);
            return server.refuse(now, ExchangeId(id));
        }
        let kind = ExchangeKind::Post { body: ops.payload().into(), binary: false };
        server.exchange(now, Exchange { id: ExchangeId(id), kind });
    }

    fn request(&mut self, server: &mut impl Server, now: Instant, kind: ExchangeKind) {
        self.requests += 1;
        self.unanswered.insert(self.requests, kind == ExchangeKind::Poll);
        server.exchange(now, Exchange { id: ExchangeId(self.requests), kind });
    }

    /// The application has sent this.
    pub(crate) fn expect(&mut self, packet: &Packet) {
        self.expected.extend(packet.frames().map(|frame| frame.payload().to_vec()));
    }

    pub(crate) fn take_answer(&mut self, id: ExchangeId, response: &Response, trial: &mut Trial) {
        trial.note(format_args!("{id:?} {} {}", response.status, response.body.escape_ascii()));
        let polls = self.unanswered.remove(&id.0).expect("nothing was asked, or it is answered");
        assert!([200, 400, 404, 413].contains(&response.status), "{}", response.status);
        if !polls || response.status != 200 {
            return;
        }
        let (body, mut reader) = (std::str::from_utf8(&response.body).expect("text"), PayloadReader::default());
        while let Some(segment) = reader.next(body).expect("packets") {
            match segment {
                Segment::Text(PacketType::Message, text) => self.take_message(&[b"4", text.as_bytes()].concat()),
                Segment::Text(kind, _) => assert!(kind != PacketType::Pong && kind != PacketType::Upgrade, "{kind:?}"),
                Segment::Binary(bytes) => self.take_message(&bytes),
            }
        }
    }

    /// What the machine has written to its stream.
    pub(crate) fn read(&mut self, bytes: &[u8], trial: &mut Trial) {
        if bytes.is_empty() {
            return;
        }
        trial.note(format_args!("wrote {}", bytes.escape_ascii()));
        let mut stream = self.stream.take().expect("there is no stream");
        assert!(!stream.is_closed(), "something follows the close frame");
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        while let Some(incoming) = stream.next(&mut input).expect("frames") {
            match incoming {
                Incoming::Text(text) if text.starts_with('4') => self.take_message(text.as_bytes()),
                Incoming::Text(text) => assert!(text == "2" || text == "3probe" || text.starts_with("0{"), "{text}"),
                Incoming::Binary(bytes) => self.take_message(bytes.as_slice()),
                Incoming::Ping(_) => panic!("servers ping by packets"),
                Incoming::Pong(_) | Incoming::Close(_) => {}
            }
        }
        self.stream = Some(stream);
    }

    /// Each message comes once, in order, and none is left out.
    fn take_message(&mut self, message: &[u8]) {
        if self.expected.front().is_some_and(|next| next == message) {
            self.expected.pop_front();
        } else {
            let is_reply = matches!(message, [b'4', b'0' | b'1' | b'4', ..]);
            assert!(self.replies && is_reply, "nobody sent {:?}", String::from_utf8_lossy(message));
        }
    }

    pub(crate) fn lose_stream(&mut self) {
        assert!(self.stream.take().is_some(), "there is no stream to close");
        self.inbound.clear();
    }

    pub(crate) fn has_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether the machine owes nothing.
    pub(crate) fn is_settled(&self) -> bool {
        self.unanswered.is_empty() && self.stream.is_none()
    }
}

fn reader() -> Decoder {
    Decoder::new(Role::Client, usize::MAX)
}
