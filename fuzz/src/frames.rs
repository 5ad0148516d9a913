//! The decoder of WebSocket frames: how the bytes were cut on their way must make no difference, and what it gives can
//! be encoded again and comes back.

use socketio_protocol::Input;
use socketio_protocol::websocket::{CloseCode, Decoder, Frame, FrameBuilder, Incoming, Opcode, Role};

/// The first byte picks the role and the limit, the second how the rest, the wire, is cut.
pub fn frames(data: &[u8]) {
    let [settings, cuts, wire @ ..] = data else { return };
    let (role, limit) = role_and_limit(*settings);
    let mut whole = Reader::new(role, limit);
    whole.lend(wire);
    let mut cut = Reader::new(role, limit);
    cut.receive(wire, *cuts);
    assert_eq!(whole.messages, cut.messages, "cut by {cuts}");
    assert_eq!((whole.fault, whole.decoder.is_closed()), (cut.fault, cut.decoder.is_closed()), "cut by {cuts}");
    assert_eq!(whole.decoder, cut.decoder, "cut by {cuts}");

    let mut again = Reader::new(role, limit);
    again.lend(&encode(&whole.messages, role));
    assert_eq!((again.messages, again.fault), (whole.messages, None));
}

/// A message, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseCode>),
}

impl From<Incoming<'_>> for Message {
    fn from(incoming: Incoming<'_>) -> Self {
        match incoming {
            Incoming::Text(text) => Self::Text(text.into()),
            Incoming::Binary(binary) => {
                let copy = binary.as_slice().to_vec();
                let taken = if copy.len() % 2 == 0 { binary.into_vec() } else { binary.into_bytes().into() };
                assert_eq!(copy, taken);
                Self::Binary(copy)
            }
            Incoming::Ping(payload) => Self::Ping(payload.to_vec()),
            Incoming::Pong(payload) => Self::Pong(payload.to_vec()),
            Incoming::Close(code) => Self::Close(code),
        }
    }
}

/// Of the decoder, by the lowest three bits.
pub(crate) fn role_and_limit(settings: u8) -> (Role, usize) {
    let role = if settings & 1 == 0 { Role::Server } else { Role::Client };
    (role, [10, 125, 1000, 100_000][usize::from(settings >> 1 & 3)])
}

/// A decoder, and what came out of it.
pub(crate) struct Reader {
    pub(crate) role: Role,
    decoder: Decoder,
    pub(crate) messages: Vec<Message>,
    pub(crate) fault: Option<CloseCode>,
}

impl Reader {
    /// At the start of a stream.
    pub(crate) fn new(role: Role, limit: usize) -> Self {
        Self { role, decoder: Decoder::new(role, limit), messages: Vec::new(), fault: None }
    }

    /// Lends `bytes` and takes all that comes.
    pub(crate) fn lend(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        loop {
            let closed = self.decoder.is_closed();
            match self.decoder.next(&mut input) {
                Ok(None) => break,
                _ if closed => panic!("something after the end"),
                Ok(Some(incoming)) => self.messages.push(incoming.into()),
                Err(code) => self.fault = Some(code),
            }
        }
        assert!(input.is_empty(), "not everything was taken");
    }

    /// Whether something may come yet.
    pub(crate) fn is_open(&self) -> bool {
        !self.decoder.is_closed()
    }

    /// Takes `wire` in pieces that `cuts` decides, by all the ways that the decoder has.
    fn receive(&mut self, mut wire: &[u8], cuts: u8) {
        let mut draw = u32::from(cuts);
        while !wire.is_empty() {
            draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let most = [1, 7, 30, 5000][usize::from(cuts & 3)];
            let (mut piece, mut rest) = wire.split_at((1 + (draw >> 8) as usize % most).min(wire.len()));
            if let Some(room) = self.decoder.read_target() {
                assert!(!room.is_empty(), "room for nothing");
                (piece, rest) = wire.split_at(piece.len().min(room.len()));
                room[..piece.len()].copy_from_slice(piece);
                self.decoder.filled(piece.len());
                self.lend(&[]);
            } else if draw >> 30 == 0 {
                self.decoder.buffer_rest(&mut Input::new(&mut piece.to_vec()));
            } else {
                self.lend(piece);
            }
            wire = rest;
        }
        self.lend(&[]);
    }
}

/// The frames of `messages`, as the peer of `role` sends them.
fn encode(messages: &[Message], role: Role) -> Vec<u8> {
    let mut wire = Vec::new();
    for message in messages {
        let frame = match message {
            Message::Text(text) => Frame::text(text),
            Message::Binary(bytes) => Frame::binary(bytes),
            Message::Ping(payload) => ping(payload),
            Message::Pong(payload) => Frame::pong(payload),
            Message::Close(code) => Frame::close(*code),
        };
        match role {
            Role::Server => frame.write_masked([1, 2, 3, 255], &mut wire),
            Role::Client => wire.extend_from_slice(frame.as_bytes()),
        }
    }
    wire
}

/// No part of the product sends one.
fn ping(payload: &[u8]) -> Frame {
    let mut builder = FrameBuilder::new(0, payload.len());
    builder.payload().extend_from_slice(payload);
    builder.finish(Opcode::Ping)
}
