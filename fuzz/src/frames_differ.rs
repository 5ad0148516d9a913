//! The decoder of WebSocket frames beside tungstenite: the same messages, and fault found with the same frames.
//!
//! Both are lent one frame at a time, so that these differences, all deliberate, can be told apart:
//!
//! | what arrives | ours | tungstenite |
//! |---|---|---|
//! | a frame of which the beginning is wrong already | refused at once | once it is there as a whole |
//! | a length in more bytes than needed | 1002, as RFC 6455 section 5.2 says | accepted |
//! | more fragments than [`Decoder::MAX_FRAGMENTS`] | 1008 | accepted |
//! | close code 1014, which IANA has registered since | accepted | refused |
//! | a text message that is not UTF-8, in fragments | 1007 when it is whole | refused at the first fragment that shows it |
//! | a frame that is too large and wrong in another way, too | 1002 | too large |
//! | a close frame whose code and whose reason are wrong | 1002 | not UTF-8 |

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use socketio_protocol::websocket::{CloseCode, Decoder, Role};
use tungstenite::protocol::{self, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message as Theirs};

use crate::frames::{Message, Reader, role_and_limit};

/// The first byte picks the role and the limit; the rest is the wire.
pub fn frames_differ(data: &[u8]) {
    let [settings, wire @ ..] = data else { return };
    let (role, limit) = role_and_limit(*settings);
    let (mut ours, mut theirs) = (Reader::new(role, limit), Reference::new(role, limit));
    let mut fragments = 0;
    let mut rest = wire;
    while !rest.is_empty() && ours.is_open() {
        let header = Header::parse(rest);
        let frame;
        (frame, rest) = rest.split_at(header.map_or(rest.len(), |header| header.end).min(rest.len()));
        ours.lend(frame);
        if frame[0] & 0x7f == 0 && fragments == Decoder::MAX_FRAGMENTS {
            return assert_eq!(ours.fault, Some(CloseCode::POLICY));
        }
        if header.is_some_and(|header| !header.is_short) {
            return assert_eq!(ours.fault, Some(CloseCode::PROTOCOL));
        }
        theirs.lend(frame);
        compare(&mut ours, &mut theirs, frame, limit);
        if frame[0] & 0x08 == 0 {
            fragments = if frame[0] & 0x80 == 0 { fragments + 1 } else { 0 };
        }
    }
}

/// `frame` is the last that both were lent.
fn compare(ours: &mut Reader, theirs: &mut Reference, frame: &[u8], limit: usize) {
    // A peer that says 1002 in the words that tungstenite has for what must not be said cannot be told from one that does.
    if let Some(last @ Message::Close(Some(CloseCode(1002 | 1014)))) = ours.messages.last()
        && theirs.refusal == Some(Refusal::Protocol)
    {
        theirs.messages.push(last.clone());
        theirs.refusal = None;
    }
    if ours.fault.is_none() && theirs.refusal == Some(Refusal::Utf8) {
        // Ours is waiting for the end of the message.
        ours.lend(if ours.role == Role::Server { &[0x80, 0x80, 0, 0, 0, 0] } else { &[0x80, 0] });
    }
    if ours.fault.is_some() && theirs.refusal.is_none() {
        let rest = completion(frame, limit);
        if Header::parse(&[frame, &rest].concat()).is_some_and(|header| !header.is_short) {
            return assert_eq!(ours.fault, Some(CloseCode::PROTOCOL));
        }
        theirs.lend(&rest);
    }
    assert_eq!(ours.messages, theirs.messages);
    let same = match (ours.fault, theirs.refusal) {
        (None, None) => true,
        (Some(CloseCode::PROTOCOL), Some(Refusal::Protocol | Refusal::TooLarge)) => true,
        (Some(CloseCode::PROTOCOL), Some(Refusal::Utf8)) => frame[0] == 0x88,
        // The fragment that was to end it is one too many.
        (Some(CloseCode::INVALID_DATA | CloseCode::POLICY), Some(Refusal::Utf8)) => true,
        (Some(CloseCode::TOO_BIG), Some(Refusal::TooLarge)) => true,
        _ => false,
    };
    assert!(same, "ours: {:?}, theirs: {:?}", ours.fault, theirs.refusal);
}

/// What makes a whole frame of one that has begun, unless it would be too large.
fn completion(frame: &[u8], limit: usize) -> Vec<u8> {
    let mut whole = frame.to_vec();
    loop {
        match Header::parse(&whole) {
            Some(header) if header.end <= whole.len() => break,
            // The longest header is there, and that is enough.
            Some(header) if header.end > limit.max(125) + 14 && whole.len() >= 14 => break,
            _ => whole.push(1),
        }
    }
    whole.split_off(frame.len())
}

#[derive(Copy, Clone)]
struct Header {
    /// The length is in as few bytes as possible.
    is_short: bool,
    /// The length of the whole frame.
    end: usize,
}

impl Header {
    /// RFC 6455 section 5.2, as it is drawn there. `None` if the length is not there yet.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let second = *bytes.get(1)?;
        let (length, start): (u64, usize) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10),
            short => (u64::from(short), 2),
        };
        let start = start + if second & 0x80 == 0 { 0 } else { 4 };
        let is_short = match second & 0x7f {
            126 => length >= 126,
            127 => length >= 1 << 16,
            _ => true,
        };
        Some(Self { is_short, end: start.saturating_add(length as usize) })
    }
}

/// How tungstenite says no.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Refusal {
    Protocol,
    Utf8,
    TooLarge,
}

/// tungstenite, and what came out of it.
struct Reference {
    socket: WebSocket<Stream>,
    messages: Vec<Message>,
    refusal: Option<Refusal>,
}

impl Reference {
    fn new(role: Role, limit: usize) -> Self {
        // A control frame may be larger than a message.
        let config = WebSocketConfig::default().max_message_size(Some(limit)).max_frame_size(Some(limit.max(125)));
        let config = config.read_buffer_size(256);
        let role = if role == Role::Server { protocol::Role::Server } else { protocol::Role::Client };
        let socket = WebSocket::from_raw_socket(Stream::default(), role, Some(config));
        Self { socket, messages: Vec::new(), refusal: None }
    }

    fn lend(&mut self, bytes: &[u8]) {
        self.socket.get_mut().0.extend(bytes);
        while self.refusal.is_none() && !matches!(self.messages.last(), Some(Message::Close(_))) {
            let message = match self.socket.read() {
                Ok(Theirs::Text(text)) => Message::Text(text.to_string()),
                Ok(Theirs::Binary(bytes)) => Message::Binary(bytes.to_vec()),
                Ok(Theirs::Ping(payload)) => Message::Ping(payload.to_vec()),
                Ok(Theirs::Pong(payload)) => Message::Pong(payload.to_vec()),
                // What it gives in place of an error for a code that must not be sent.
                Ok(Theirs::Close(Some(close)))
                    if u16::from(close.code) == 1002 && close.reason == "Protocol violation" =>
                {
                    self.refusal = Some(Refusal::Protocol);
                    return;
                }
                Ok(Theirs::Close(close)) => Message::Close(close.map(|close| CloseCode(close.code.into()))),
                Ok(Theirs::Frame(_)) => unreachable!("never read"),
                Err(Error::Io(_)) => return,
                Err(error) => {
                    self.refusal = Some(match error {
                        Error::Utf8(_) => Refusal::Utf8,
                        Error::Capacity(_) => Refusal::TooLarge,
                        _ => Refusal::Protocol,
                    });
                    return;
                }
            };
            self.messages.push(message);
        }
    }
}

/// Gives its bytes and then nothing for now, and forgets what is written.
#[derive(Default)]
struct Stream(VecDeque<u8>);

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            read => read,
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
