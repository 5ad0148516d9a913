//! tungstenite at the other end of our machines, in memory: it sends the cases of the Autobahn test suite, and reads what a
//! session and a client of Engine.IO that echo make of them.

extern crate alloc;

#[expect(dead_code, reason = "what the suite says is for those who are compared with it")]
#[path = "../src/websocket/decoder/tests/cases.rs"]
mod cases;

use std::io::{self, Read, Write};
use std::mem;
use std::sync::Arc;

use cases::{Case, Event, cases};
use socketio_protocol::engine::client::{self, Client};
use socketio_protocol::engine::{self, Message, Packet, Session, Transport};
use socketio_protocol::{Input, Instant, Random, Seed, SessionId};
use tungstenite::protocol::frame::coding::OpCode;
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::protocol::{self, Role, WebSocket, WebSocketConfig};

const NOW: Instant = Instant::EPOCH;
/// The largest case has a quarter of it.
const MAX: usize = 64 << 20;

#[test]
fn a_session_answers_a_client_of_tungstenite() {
    for case in cases() {
        let mut config = engine::Config::default();
        config.max_payload = MAX;
        let id = SessionId::generate(&mut Random::new(Seed::new([1; 32])));
        let mut session = Session::new(Arc::new(config), id, Transport::WebSocket, NOW);
        let mut peer = peer(Role::Client);
        take(&mut session, &mut [], &mut peer);
        assert!(matches!(peer.read(), Ok(protocol::Message::Text(text)) if text.starts_with('0')));
        check(&case, Some([1, 2, 3, 4]), &mut peer, |bytes, peer| take(&mut session, bytes, peer));
    }
}

/// Lets the session echo what it gets.
fn take(session: &mut Session, bytes: &mut [u8], peer: &mut WebSocket<Pipe>) {
    let mut input = Input::new(bytes);
    loop {
        let echo = match session.next(NOW, &mut input) {
            engine::Next::Message(message) => Some(echo(message)),
            engine::Next::Io(mut io) => match deliver(io.pending(), peer) {
                0 => return,
                written => {
                    io.written(written);
                    None
                }
            },
            engine::Next::Finished => return,
            _ => None,
        };
        if let Some(packet) = echo {
            session.send(packet).expect("all is read at once");
        }
    }
}

#[test]
fn a_client_answers_a_server_of_tungstenite() {
    for case in cases() {
        let mut config = client::Config::default();
        config.transports = vec![Transport::WebSocket].into();
        let mut client = Client::new(Arc::new(config), Random::new(Seed::new([1; 32])), NOW);
        assert!(matches!(client.next(NOW, &mut Input::empty()), client::Next::OpenStream(_)));
        client.handle_stream_opened(NOW);
        let mut peer = peer(Role::Server);
        let handshake = r#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        peer.send(handshake.into()).expect("memory takes everything");
        let mut sent = mem::take(&mut peer.get_mut().written);
        take_by_client(&mut client, &mut sent, &mut peer);
        check(&case, None, &mut peer, |bytes, peer| take_by_client(&mut client, bytes, peer));
    }
}

/// As [`take`], for a client.
fn take_by_client(client: &mut Client, bytes: &mut [u8], peer: &mut WebSocket<Pipe>) {
    let mut input = Input::new(bytes);
    loop {
        let echo = match client.next(NOW, &mut input) {
            client::Next::Message(message) => Some(echo(message)),
            client::Next::Io(mut io) => match deliver(io.pending(), peer) {
                0 => return,
                written => {
                    io.written(written);
                    None
                }
            },
            client::Next::Finished => return,
            _ => None,
        };
        if let Some(packet) = echo {
            client.send(NOW, packet).expect("all is read at once");
        }
    }
}

fn echo(message: Message<'_>) -> Packet {
    match message {
        Message::Text(text) => Packet::text(text),
        Message::Binary(bytes) => Packet::binary(bytes.as_slice()),
    }
}

fn deliver<'a>(pending: impl Iterator<Item = &'a [u8]>, peer: &mut WebSocket<Pipe>) -> usize {
    let unread = &mut peer.get_mut().unread;
    let before = unread.len();
    pending.for_each(|bytes| unread.extend_from_slice(bytes));
    unread.len() - before
}

/// Sends the frames of a case, masked by `mask`, and reads what `machine` makes of each.
fn check(
    case: &Case,
    mask: Option<[u8; 4]>,
    peer: &mut WebSocket<Pipe>,
    mut machine: impl FnMut(&mut [u8], &mut WebSocket<Pipe>),
) {
    let mut answers = Vec::new();
    for sent in &case.frames {
        let mut bytes = Vec::new();
        // Not by the socket, which sends nothing behind a goodbye.
        frame(sent, mask).format(&mut bytes).expect("memory takes everything");
        machine(&mut bytes, peer);
        while let Some(answer) = read(peer) {
            answers.push(answer);
        }
    }
    let expected: Vec<_> = case.expected.iter().filter_map(answer).collect();
    // Equal or not, some have megabytes.
    assert!(answers == expected, "{}", case.number);
}

/// What is answered by who echoes messages.
fn answer(event: &Event) -> Option<Event> {
    Some(match event {
        Event::Pong(_) => return None,
        Event::Ping(payload) => Event::Pong(payload.clone()),
        Event::Failed(code) => Event::Close(Some(*code)),
        // tungstenite does not know that this one was given out, and takes it for a fault.
        Event::Close(Some(1014)) => Event::Close(Some(1002)),
        other => other.clone(),
    })
}

/// A frame as tungstenite has it. Text is a message of Engine.IO if it begins with a 4.
fn frame(sent: &cases::Frame, mask: Option<[u8; 4]>) -> Frame {
    let header = FrameHeader {
        is_final: sent.first & 0x80 != 0,
        rsv1: sent.first & 0x40 != 0,
        rsv2: sent.first & 0x20 != 0,
        rsv3: sent.first & 0x10 != 0,
        opcode: OpCode::from(sent.first & 0x0f),
        mask,
    };
    let prefix: &[u8] = if sent.first & 0x0f == 1 { b"4" } else { b"" };
    Frame::from_payload(header, [prefix, &sent.payload].concat().into())
}

fn read(peer: &mut WebSocket<Pipe>) -> Option<Event> {
    // Nothing is there, or nothing will be.
    Some(match peer.read().ok()? {
        protocol::Message::Text(text) => Event::Text(text.strip_prefix('4').expect("it is a message").into()),
        protocol::Message::Binary(bytes) => Event::Binary(bytes.into()),
        protocol::Message::Ping(payload) => Event::Ping(payload.into()),
        protocol::Message::Pong(payload) => Event::Pong(payload.into()),
        protocol::Message::Close(close) => Event::Close(close.map(|close| close.code.into())),
        protocol::Message::Frame(_) => unreachable!("never read"),
    })
}

fn peer(role: Role) -> WebSocket<Pipe> {
    let config = WebSocketConfig::default().max_message_size(Some(MAX)).max_frame_size(Some(MAX));
    WebSocket::from_raw_socket(Pipe::default(), role, Some(config))
}

/// The bytes on their way to and from tungstenite.
#[derive(Default)]
struct Pipe {
    unread: Vec<u8>,
    at: usize,
    written: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = (&self.unread[self.at..]).read(out)?;
        self.at += read;
        if read == 0 {
            self.unread.clear();
            self.at = 0;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(read)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
