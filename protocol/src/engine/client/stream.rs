use alloc::vec::Vec;

use super::{
    Cause, Client, CloseReason, HandshakeError, Instant, Message, Next, OpenError, Random, State, Step, Transport,
};
use crate::Input;
use crate::engine::packet::{self, BINARY};
use crate::engine::queue::Queue;
use crate::engine::{LINGER, PacketType, Segment};
use crate::websocket::{CloseCode, Decoder, Frame, Incoming, Located, Opcode, Part, Role};

/// The WebSocket stream of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stream {
    decoder: Decoder,
    stage: Stage,
    /// When the upgrade has failed, or the failed stream is dropped.
    deadline: Instant,
    pub(super) out: Outgoing,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// The caller opens it.
    Connecting,
    /// It carries the session's packets, from the handshake on.
    Carrying,
    /// The probe was sent.
    Probing,
    /// The probe was answered: when polling has come to rest, the stream takes over.
    Pausing,
    /// The upgrade failed or is no longer wanted; a close frame is on its way.
    Leaving,
}

/// What is to be written to the stream, masked already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    /// The answer to the latest WebSocket ping. A peer that pings and does not read cannot make the queue grow.
    pong: Option<Frame>,
    /// The close frame was queued: nothing follows it.
    ended: bool,
}

impl Outgoing {
    /// The most that is masked in advance, unless one frame has more.
    const BATCH: usize = 64 << 10;

    /// The room that is kept for the next frames.
    const ROOM: usize = 4 << 10;

    pub(super) fn pending(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The first `count` bytes of what is pending were written.
    fn written(&mut self, count: usize) {
        self.written = self.written.saturating_add(count);
        if self.written >= self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
            self.rest(Self::ROOM);
        }
    }

    /// Gives the room back, if it is empty and has more than `most`.
    fn rest(&mut self, most: usize) {
        if self.is_empty() && self.bytes.capacity() > most {
            self.bytes = Vec::new();
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a frame, masked; RFC 6455 section 5.3.
    fn push(&mut self, part: Part<'_>, random: &mut Random) {
        part.write_masked(random.bytes(), &mut self.bytes);
    }

    fn push_frame(&mut self, frame: &Frame, random: &mut Random) {
        Part::split(frame.as_bytes()).for_each(|part| self.push(part, random));
    }

    /// Appends the close frame, once.
    fn end(&mut self, code: Option<CloseCode>, random: &mut Random) {
        if !self.ended {
            self.ended = true;
            self.pong = None;
            self.push_frame(&Frame::close(code), random);
        }
    }
}

impl Stream {
    /// Whether nothing waits to be written.
    pub(super) fn is_written(&self) -> bool {
        self.out.is_empty()
    }

    /// The bytes that wait to be written.
    pub(super) fn unwritten(&self) -> usize {
        self.out.pending().len()
    }

    /// Whether there is something to read from.
    pub(super) fn is_open(&self) -> bool {
        self.stage != Stage::Connecting
    }

    pub(super) fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }
}

/// What a message on the stream means, apart from the messages that are told.
enum Reaction {
    Ignore,
    Pong(Frame),
    Heartbeat,
    End(CloseReason, Option<CloseCode>),
}

impl Client {
    /// Asks for the stream, to open the session or to upgrade it.
    pub(super) fn open_stream<'b>(&mut self) -> Option<Step<'b>> {
        let opens = matches!(self.state, State::Opening { .. }) && self.transport == Transport::WebSocket;
        if self.stream.is_some() || !(opens || core::mem::take(&mut self.upgrade)) {
            return None;
        }
        self.stream = Some(Stream {
            decoder: Decoder::new(Role::Client, self.config.max_handshake),
            stage: Stage::Connecting,
            deadline: self.now + self.config.upgrade_timeout,
            out: Outgoing::default(),
        });
        Some(Step::OpenStream(self.target(Transport::WebSocket)))
    }

    /// The stream that was asked for is there.
    pub(super) fn open_up(&mut self) {
        let Some(stream) = self.stream.as_mut().filter(|stream| !stream.is_open()) else { return };
        stream.stage = match self.transport {
            Transport::WebSocket => Stage::Carrying,
            Transport::Polling => {
                stream.out.push_frame(&Frame::text("2probe"), &mut self.random);
                Stage::Probing
            }
        };
    }

    /// The stream has ended, of which the caller knows.
    pub(super) fn lose_stream(&mut self, reason: CloseReason, cause: Cause) {
        self.close_stream = false;
        if self.stream.take().is_none() || self.transport == Transport::Polling {
            return;
        }
        match self.state {
            State::Opening { .. } => self.fail_attempt(OpenError::WebSocket(Some(cause))),
            _ => self.end(reason, Some(cause)),
        }
    }

    /// Polling waits for the stream to take over.
    pub(super) fn is_pausing(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.stage == Stage::Pausing)
    }

    /// When the stream that may take over has failed, or is dropped.
    pub(super) fn probe_deadline(&self) -> Option<Instant> {
        self.stream.as_ref().filter(|_| self.transport == Transport::Polling).map(|stream| stream.deadline)
    }

    pub(super) fn probe_is_late(&self) -> bool {
        self.probe_deadline().is_some_and(|deadline| self.now >= deadline)
    }

    /// From now on messages may have their full size.
    pub(super) fn widen(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.decoder.set_max_message(self.config.max_payload);
        }
    }

    /// Gives memory back that an idle session has no use for.
    pub(super) fn rest(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.out.rest(0);
        }
    }

    /// The short way of [`Client::next`] for nearly every message: there is nothing but the stream, and the message lies
    /// whole in the input.
    #[inline]
    pub(super) fn next_whole<'b>(
        &mut self,
        now: Instant,
        input: &mut Input<'b>,
    ) -> Option<Result<Incoming<'b>, CloseCode>> {
        let is_plain = matches!(self.state, State::Open { .. }) && self.transport == Transport::WebSocket;
        let stream = self.stream.as_mut().filter(|_| is_plain && !input.is_empty())?;
        let incoming = stream.decoder.next_whole(PacketType::Message as u8, input)?;
        self.now = self.now.max(now);
        Some(incoming)
    }

    pub(super) fn read_stream<'b>(&mut self, input: &mut Input<'b>) -> Option<Step<'b>> {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.is_open()) else {
            input.take(usize::MAX);
            return None;
        };
        let located = match stream.decoder.locate(input) {
            Ok(located) => located?,
            Err(code) => {
                self.fail_stream(code);
                return Some(Step::Again);
            }
        };
        match stream.stage {
            Stage::Connecting | Stage::Leaving => {}
            Stage::Probing | Stage::Pausing => self.read_probe(located),
            Stage::Carrying if matches!(self.state, State::Opening { .. }) => self.read_open(located),
            Stage::Carrying => return Some(self.read_websocket(located)),
        }
        Some(Step::Again)
    }

    /// The server broke the rules of WebSocket, for which it is closed with `code`.
    fn fail_stream(&mut self, code: CloseCode) {
        match (self.transport, self.state) {
            (Transport::Polling, _) => self.fail_probe(Some(code)),
            (_, State::Opening { .. }) if code == CloseCode::TOO_BIG => {
                self.fail_attempt(OpenError::Handshake(HandshakeError::TooLarge));
            }
            (_, State::Opening { .. }) => self.fail_attempt(OpenError::WebSocket(Some(Cause::Code(code)))),
            _ => self.end_with(CloseReason::TransportError, Some(Cause::Code(code)), Some(code)),
        }
    }

    /// One message on the stream that is to open the session.
    fn read_open(&mut self, located: Located<'_>) {
        let Some(stream) = &mut self.stream else { return };
        let text = match stream.decoder.lend(located) {
            Ok(Incoming::Text(text)) => text,
            Ok(Incoming::Ping(payload)) => return stream.out.pong = Some(Frame::pong(payload)),
            Ok(Incoming::Pong(_)) => return,
            Ok(Incoming::Binary(_)) => return self.take_handshake(None),
            Ok(Incoming::Close(code)) => {
                return self.fail_attempt(OpenError::WebSocket(Some(closed(code))));
            }
            Err(code) => return self.fail_stream(code),
        };
        // What is lent ends before the session opens: the handshake is small, and comes once.
        let data = text.strip_prefix('0').map(alloc::string::String::from);
        self.take_handshake(data.as_deref());
    }

    /// One message on the stream that carries messages.
    fn read_websocket<'b>(&mut self, located: Located<'b>) -> Step<'b> {
        let Some(stream) = &mut self.stream else { return Step::Again };
        let open = matches!(self.state, State::Open { .. });
        let first = stream.decoder.first_byte(&located);
        let is_message = match located.opcode() {
            Opcode::Text => first == Some(PacketType::Message as u8),
            opcode => opcode == Opcode::Binary,
        };
        if is_message && open {
            return Step::Received(located);
        }
        if open && located.opcode() == Opcode::Text && first == Some(BINARY) {
            return self.read_base64(located);
        }
        match react(stream.decoder.lend(located)) {
            Reaction::Pong(pong) if !stream.out.ended => stream.out.pong = Some(pong),
            Reaction::Heartbeat if open => return self.handle_ping(),
            Reaction::End(reason, code) => self.end_with(reason, code.map(Cause::Code), code),
            Reaction::Ignore | Reaction::Pong(_) | Reaction::Heartbeat => {}
        }
        Step::Again
    }

    /// A binary message as text, as servers send it to clients that know only text.
    fn read_base64<'b>(&mut self, located: Located<'_>) -> Step<'b> {
        let Some(stream) = &mut self.stream else { return Step::Again };
        match stream.decoder.lend(located) {
            Ok(Incoming::Text(text)) => match packet::decode(text) {
                Ok(Segment::Binary(bytes)) => {
                    self.decoded = bytes;
                    return Step::Decoded;
                }
                _ => self.end(CloseReason::ParseError, None),
            },
            Ok(_) => {}
            Err(code) => self.fail_stream(code),
        }
        Step::Again
    }

    /// Lends the message that was found.
    pub(super) fn received<'a: 'm, 'b: 'm, 'm>(&'a mut self, located: Located<'b>) -> Next<'a, 'm> {
        // It was found in the stream.
        let Some(Stream { decoder, out, .. }) = &mut self.stream else { return Next::Finished };
        let incoming = decoder.lend(located);
        tell(incoming, |code| stop(&mut self.state, &mut self.queue, out, &mut self.random, code, self.now))
    }

    /// Tells a message that was lent already.
    #[inline]
    pub(super) fn tell<'a, 'm>(&'a mut self, incoming: Result<Incoming<'m>, CloseCode>) -> Next<'a, 'm> {
        tell(incoming, |code| {
            if let Some(stream) = &mut self.stream {
                stop(&mut self.state, &mut self.queue, &mut stream.out, &mut self.random, code, self.now);
            }
        })
    }

    /// One message on the stream that may take over.
    fn read_probe(&mut self, located: Located<'_>) {
        let Some(stream) = &mut self.stream else { return };
        match stream.decoder.lend(located) {
            Ok(Incoming::Text("3probe")) => stream.stage = Stage::Pausing,
            Ok(Incoming::Ping(payload)) => stream.out.pong = Some(Frame::pong(payload)),
            Ok(Incoming::Pong(_)) => {}
            Ok(Incoming::Close(code)) => self.fail_probe(code),
            Ok(_) => self.fail_probe(None),
            Err(code) => self.fail_probe(Some(code)),
        }
    }

    /// Polling has come to rest: the stream takes over, and what waits is sent there.
    pub(super) fn take_over<'b>(&mut self) -> Option<Step<'b>> {
        if !self.is_pausing() || !self.polling.rests() {
            return None;
        }
        let stream = self.stream.as_mut()?;
        stream.stage = Stage::Carrying;
        stream.out.push_frame(&Frame::text("5"), &mut self.random);
        self.transport = Transport::WebSocket;
        self.widen();
        let open = matches!(self.state, State::Open { .. });
        Some(if open { Step::Upgraded } else { Step::Again })
    }

    /// Drops the stream that may take over, because the upgrade failed or is no longer wanted. Polling goes on.
    pub(super) fn fail_probe(&mut self, code: Option<CloseCode>) {
        let Some(stream) = self.stream.as_mut().filter(|_| self.transport == Transport::Polling) else { return };
        match stream.stage {
            Stage::Connecting | Stage::Leaving => self.drop_stream(),
            _ => {
                stream.stage = Stage::Leaving;
                stream.deadline = self.now + LINGER;
                stream.out.end(code, &mut self.random);
            }
        }
    }

    /// Masks what is to be written next: pongs, then what is queued, then the goodbye.
    pub(super) fn fill(&mut self) {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.is_written() && stream.is_open()) else {
            return;
        };
        let Stream { out, stage, .. } = stream;
        if let Some(pong) = out.pong.take() {
            out.push_frame(&pong, &mut self.random);
        }
        let opening = matches!(self.state, State::Opening { .. });
        if *stage != Stage::Carrying || out.ended || opening {
            return;
        }
        if core::mem::take(&mut self.pong) {
            out.push_frame(&Frame::text("3"), &mut self.random);
        }
        if !self.queue.is_empty() {
            let mut taken = 0;
            for part in self.queue.frames() {
                if out.bytes.len() >= Outgoing::BATCH {
                    break;
                }
                out.push(part, &mut self.random);
                taken += part.len();
            }
            self.queue.written(taken);
        }
        if self.queue.is_empty() && matches!(self.state, State::Closing { .. }) {
            out.push_frame(&Frame::text("1"), &mut self.random);
            out.end(None, &mut self.random);
        }
    }

    /// The first `count` bytes of what is pending were written.
    pub(super) fn written(&mut self, count: usize) {
        let Some(stream) = &mut self.stream else { return };
        stream.out.written(count);
        if let State::Closing { deadline } = &mut self.state
            && stream.stage == Stage::Carrying
            && stream.out.ended
            && stream.is_written()
        {
            *deadline = (*deadline).min(self.now + LINGER);
        }
        self.fill();
    }

    /// Gives back a stream that has nothing left to do.
    pub(super) fn give_stream_back<'b>(&mut self) -> Option<Step<'b>> {
        if self.stream_is_done() {
            match self.transport {
                Transport::WebSocket => self.finish(),
                Transport::Polling => self.drop_stream(),
            }
        }
        core::mem::take(&mut self.close_stream).then_some(Step::CloseStream)
    }

    /// Whether the stream has nothing left to do: its goodbye is written, and the server's has come, or does not matter.
    pub(super) fn stream_is_done(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| {
            let needless = stream.stage == Stage::Leaving || stream.decoder.is_closed();
            stream.out.ended && stream.is_written() && needless
        })
    }
}

/// What a message for the application leads to: it is told, or the session ends because it is no text.
#[inline]
fn tell<'a, 'm>(incoming: Result<Incoming<'m>, CloseCode>, stop: impl FnOnce(Option<CloseCode>)) -> Next<'a, 'm> {
    let code = match incoming {
        // The first byte is the packet type.
        Ok(Incoming::Text(text)) => return Next::Message(Message::Text(text.get(1..).unwrap_or_default())),
        Ok(Incoming::Binary(bytes)) => return Next::Message(Message::Binary(bytes)),
        Ok(_) => None,
        Err(code) => Some(code),
    };
    stop(code);
    Next::Closed(CloseReason::TransportError, code.map(Cause::Code))
}

/// Queues a close frame in the place of what is queued, if there is none yet.
pub(super) fn stop(
    state: &mut State,
    queue: &mut Queue,
    out: &mut Outgoing,
    random: &mut Random,
    code: Option<CloseCode>,
    now: Instant,
) {
    queue.clear();
    out.end(code, random);
    let linger = now + LINGER;
    *state = match *state {
        State::Closing { deadline } => State::Closing { deadline: deadline.min(linger) },
        _ => State::Closing { deadline: linger },
    };
}

/// What a message that is not told to the application leads to.
fn react(incoming: Result<Incoming<'_>, CloseCode>) -> Reaction {
    let text = match incoming {
        Ok(Incoming::Text(text)) => text,
        Ok(Incoming::Ping(payload)) => return Reaction::Pong(Frame::pong(payload)),
        Ok(Incoming::Binary(_) | Incoming::Pong(_)) => return Reaction::Ignore,
        Ok(Incoming::Close(code)) => return Reaction::End(CloseReason::TransportClose, code),
        Err(code) => return Reaction::End(CloseReason::TransportError, Some(code)),
    };
    match packet::decode(text) {
        Ok(Segment::Text(PacketType::Ping, _)) => Reaction::Heartbeat,
        Ok(Segment::Text(PacketType::Close, _)) => Reaction::End(CloseReason::TransportClose, None),
        Ok(_) => Reaction::Ignore,
        Err(_) => Reaction::End(CloseReason::ParseError, None),
    }
}

/// The close frame of a server that opens no session.
fn closed(code: Option<CloseCode>) -> Cause {
    code.map_or(Cause::from("closed by the server"), Cause::Code)
}
