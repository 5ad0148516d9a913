use super::{CloseReason, Input, Instant, LINGER, Message, Next, Session, State, Step, Transport, stop};
use crate::engine::packet::{self, BINARY};
use crate::engine::queue::Queue;
use crate::engine::{PacketType, Segment};
use crate::websocket::{CloseCode, Decoder, Frame, Incoming, Located, Opcode};

/// The WebSocket stream that carries messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stream {
    decoder: Decoder,
    /// The peer's close frame came.
    peer_closed: bool,
}

impl Stream {
    pub(super) fn new(decoder: Decoder) -> Self {
        Self { decoder, peer_closed: false }
    }

    /// Whether nothing can be received any more.
    pub(super) fn is_ended(&self) -> bool {
        self.decoder.is_closed()
    }
}

/// A WebSocket stream that may take over from polling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Probe {
    decoder: Decoder,
    stage: Stage,
    /// What is to be written to this stream alone.
    pub(super) out: Queue,
    /// When the upgrade has failed, or the failed stream is dropped.
    pub(super) deadline: Instant,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Opened,
    /// The probe was answered.
    Answered,
    /// The upgrade failed; a close frame is on its way.
    Closing,
}

impl Probe {
    pub(super) fn new(decoder: Decoder, deadline: Instant) -> Self {
        Self { decoder, stage: Stage::Opened, out: Queue::default(), deadline }
    }

    pub(super) fn is_answered(&self) -> bool {
        self.stage == Stage::Answered
    }

    /// Whether the upgrade takes too long.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.stage != Stage::Closing && now >= self.deadline
    }
}

/// What a message on the stream means, apart from the messages that are told.
enum Reaction {
    Ignore,
    Pong(Frame),
    Heartbeat,
    PeerClosed(Option<CloseCode>),
    End(CloseReason, Option<CloseCode>),
}

impl Session {
    pub(super) fn decoder(&mut self) -> Option<&mut Decoder> {
        match (&mut self.probe, &mut self.stream) {
            (Some(probe), _) => Some(&mut probe.decoder),
            (None, Some(stream)) => Some(&mut stream.decoder),
            (None, None) => None,
        }
    }

    /// The short way of [`Session::next`] for nearly every message: nothing is due, there is nothing but the stream, and
    /// the message lies whole in the input.
    #[inline]
    pub(super) fn next_whole<'b>(
        &mut self,
        now: Instant,
        input: &mut Input<'b>,
    ) -> Option<Result<Incoming<'b>, CloseCode>> {
        let is_plain = self.state == State::Open
            && now < self.heartbeat.due
            && self.paused.is_none()
            && self.exchanges.is_none()
            && self.probe.is_none();
        let stream = self.stream.as_mut().filter(|_| is_plain && !input.is_empty())?;
        let incoming = stream.decoder.next_whole(PacketType::Message as u8, input)?;
        self.now = self.now.max(now);
        Some(incoming)
    }

    pub(super) fn read_stream<'b>(&mut self, input: &mut Input<'b>) -> Option<Step<'b>> {
        let holds_back = self.holds_back();
        let Some(decoder) = self.decoder() else {
            input.take(usize::MAX);
            return None;
        };
        if holds_back {
            decoder.buffer_rest(input);
            return None;
        }
        let located = match decoder.locate(input) {
            Ok(located) => located?,
            Err(code) if self.probe.is_some() => {
                self.fail_probe(Some(code));
                return Some(Step::Again);
            }
            Err(code) => {
                self.end_stream(CloseReason::TransportError, Some(code));
                return Some(Step::Again);
            }
        };
        Some(if self.probe.is_some() { self.read_probe(located) } else { self.read_websocket(located) })
    }

    /// One message on the stream that carries messages.
    fn read_websocket<'b>(&mut self, located: Located<'b>) -> Step<'b> {
        let Some(stream) = &mut self.stream else { return Step::Again };
        let open = self.state == State::Open;
        let is_message = match located.opcode() {
            Opcode::Text => stream.decoder.first_byte(&located) == Some(PacketType::Message as u8),
            opcode => opcode == Opcode::Binary,
        };
        if is_message && open {
            return Step::Received(located);
        }
        if open && located.opcode() == Opcode::Text && stream.decoder.first_byte(&located) == Some(BINARY) {
            return self.read_base64(located);
        }
        match react(stream.decoder.lend(located)) {
            Reaction::Ignore => {}
            Reaction::Pong(pong) if open => self.queue.push_pong(pong),
            Reaction::Heartbeat if open => self.handle_pong(),
            Reaction::PeerClosed(code) => {
                stream.peer_closed = true;
                self.end_stream(CloseReason::TransportClose, code);
            }
            Reaction::End(reason, code) => self.end_stream(reason, code),
            Reaction::Pong(_) | Reaction::Heartbeat => {}
        }
        Step::Again
    }

    /// A binary message as text, as clients send it that know only text.
    fn read_base64<'b>(&mut self, located: Located<'_>) -> Step<'b> {
        let Some(stream) = &mut self.stream else { return Step::Again };
        let (reason, code) = match stream.decoder.lend(located) {
            Ok(Incoming::Text(text)) => match packet::decode(text) {
                Ok(Segment::Binary(bytes)) => {
                    self.decoded = bytes;
                    return Step::Decoded;
                }
                _ => (CloseReason::ParseError, None),
            },
            Ok(_) => return Step::Again,
            Err(code) => (CloseReason::TransportError, Some(code)),
        };
        self.end_stream(reason, code);
        Step::Again
    }

    /// Lends the message that was found.
    pub(super) fn received<'a: 'm, 'b: 'm, 'm>(&'a mut self, located: Located<'b>) -> Next<'a, 'm> {
        // It was found in the stream.
        let Some(stream) = &mut self.stream else { return Next::Finished };
        let incoming = stream.decoder.lend(located);
        tell(incoming, &mut self.state, &mut self.queue, self.now)
    }

    /// Tells a message that was lent already.
    #[inline]
    pub(super) fn tell<'a, 'm>(&'a mut self, incoming: Result<Incoming<'m>, CloseCode>) -> Next<'a, 'm> {
        tell(incoming, &mut self.state, &mut self.queue, self.now)
    }

    /// One message on the stream that may take over.
    fn read_probe<'b>(&mut self, located: Located<'b>) -> Step<'b> {
        let Some(probe) = &mut self.probe else { return Step::Again };
        if probe.stage == Stage::Closing {
            return Step::Again;
        }
        match probe.decoder.lend(located) {
            Ok(Incoming::Text("2probe")) => {
                // Answered once at a time, so that repeated probes cannot pile up.
                if probe.out.is_empty() {
                    probe.out.push_frame(Frame::text("3probe"));
                }
                probe.stage = Stage::Answered;
                self.release_poll();
            }
            Ok(Incoming::Text(text)) if text.starts_with('5') => return self.upgrade(),
            Ok(Incoming::Ping(payload)) => probe.out.push_pong(Frame::pong(payload)),
            Ok(Incoming::Pong(_)) => {}
            Ok(Incoming::Close(code)) => self.fail_probe(code),
            Ok(_) => self.fail_probe(None),
            Err(code) => self.fail_probe(Some(code)),
        }
        Step::Again
    }

    /// The stream takes over: what waits is sent there, behind what this stream has not written yet.
    fn upgrade<'b>(&mut self) -> Step<'b> {
        let Some(probe) = self.probe.take() else { return Step::Again };
        let Probe { decoder, mut out, .. } = *probe;
        out.append(core::mem::take(&mut self.queue));
        self.queue = out;
        self.stream = Some(Stream::new(decoder));
        self.transport = Transport::WebSocket;
        self.leave_polling();
        if self.state == State::Open {
            return Step::Upgraded;
        }
        self.queue.push_close(None);
        Step::Again
    }

    /// Drops the stream that may take over, because the upgrade failed or is no longer wanted. Polling goes on.
    pub(super) fn close_probe(&mut self) {
        self.fail_probe(None);
    }

    fn fail_probe(&mut self, code: Option<CloseCode>) {
        let Some(probe) = &mut self.probe else { return };
        if probe.stage != Stage::Closing {
            probe.stage = Stage::Closing;
            probe.out.push_close(code);
            probe.deadline = self.now + LINGER;
            self.hold_poll_without_limit();
        }
    }

    /// Gives back a stream that has nothing left to do.
    pub(super) fn drop_stream<'b>(&mut self) -> Option<Step<'b>> {
        if self.probe_is_done() {
            self.probe = None;
            return Some(Step::CloseStream);
        }
        if !self.stream_is_done() {
            return None;
        }
        self.stream = None;
        self.state = State::Over;
        self.queue.clear();
        Some(Step::CloseStream)
    }

    /// Whether the stream of a failed upgrade has nothing left to do.
    pub(super) fn probe_is_done(&self) -> bool {
        self.probe
            .as_ref()
            .is_some_and(|probe| probe.stage == Stage::Closing && (probe.out.is_empty() || self.now >= probe.deadline))
    }

    /// Whether the session's stream has nothing left to do.
    pub(super) fn stream_is_done(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| match self.state {
            State::Open => false,
            State::Closing { .. } => stream.peer_closed && self.queue.is_empty(),
            State::Over => true,
        })
    }
}

/// What a message for the application leads to: it is told, or the session ends because it is no text.
#[inline]
fn tell<'a, 'm>(
    incoming: Result<Incoming<'m>, CloseCode>,
    state: &mut State,
    queue: &mut Queue,
    now: Instant,
) -> Next<'a, 'm> {
    let code = match incoming {
        // The first byte is the packet type.
        Ok(Incoming::Text(text)) => return Next::Message(Message::Text(text.get(1..).unwrap_or_default())),
        Ok(Incoming::Binary(bytes)) => return Next::Message(Message::Binary(bytes)),
        Ok(_) => None,
        Err(code) => Some(code),
    };
    *state = stop(queue, code, now);
    Next::Closed(CloseReason::TransportError)
}

/// What a message that is not told to the application leads to.
fn react(incoming: Result<Incoming<'_>, CloseCode>) -> Reaction {
    let text = match incoming {
        Ok(Incoming::Text(text)) => text,
        Ok(Incoming::Ping(payload)) => return Reaction::Pong(Frame::pong(payload)),
        Ok(Incoming::Binary(_) | Incoming::Pong(_)) => return Reaction::Ignore,
        Ok(Incoming::Close(code)) => return Reaction::PeerClosed(code),
        Err(code) => return Reaction::End(CloseReason::TransportError, Some(code)),
    };
    match packet::decode(text) {
        Ok(Segment::Text(PacketType::Pong, _)) => Reaction::Heartbeat,
        Ok(Segment::Text(PacketType::Ping, _)) => Reaction::End(CloseReason::TransportError, None),
        Ok(Segment::Text(PacketType::Close, _)) => Reaction::End(CloseReason::TransportClose, None),
        Ok(_) => Reaction::Ignore,
        Err(_) => Reaction::End(CloseReason::ParseError, None),
    }
}
