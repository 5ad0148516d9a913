use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use self::polling::Exchanges;
use self::stream::{Probe, Stream};
use super::queue::Queue;
use super::{CloseReason, Config, LINGER, Message, Packet, Response, SendError, Transport};
use crate::websocket::{Binary, CloseCode, Decoder, Frame, Located, Role};
use crate::{Input, Instant, SessionId};

mod io;
mod polling;
mod stream;
#[cfg(test)]
mod tests;

pub use self::io::Io;

/// A number that the caller gives to an HTTP request, to find it again when the answer comes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeId(pub u64);

/// An HTTP request of a polling session, to be answered by [`Next::Answer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The caller's number for it.
    pub id: ExchangeId,
    /// What it wants.
    pub kind: ExchangeKind,
}

/// What an HTTP request of a polling session wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Packets.
    Poll,
    /// To deliver packets that are still being received. It counts as the session's POST from now on. Either
    /// [`ExchangeKind::Post`] with the same number follows, or [`Session::handle_abort`], or [`Session::handle_refusal`].
    /// A body that is there at once needs no such announcement.
    Upload,
    /// To deliver the packets in `body`.
    Post {
        /// The whole body.
        body: Bytes,
        /// Whether it claims to be `application/octet-stream`.
        binary: bool,
    },
}

/// A second WebSocket stream for a session that has or probes one already: write `goodbye` to it and drop it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// A close frame.
    pub goodbye: Bytes,
}

/// What a [`Session`] wants next: `'a` is the loan of the session, `'m` the shorter one of the session and the input.
///
/// So an [`Io`] leaves the input's buffer free, to be read into again.
#[derive(Debug)]
#[must_use]
pub enum Next<'a, 'm> {
    /// A message arrived.
    Message(Message<'m>),
    /// The answer to an HTTP request.
    Answer(ExchangeId, Response),
    /// The WebSocket stream took over from polling.
    Upgraded,
    /// The WebSocket stream is no longer wanted: shut it down and drop it.
    CloseStream,
    /// The session is over for the application; told once. Goodbyes may still have to be delivered.
    Closed(CloseReason),
    /// Nothing is left to do without the outside world.
    Io(Io<'a>),
    /// Everything is over: the machine can be dropped.
    Finished,
}

/// One Engine.IO session: a state machine over HTTP exchanges and at most one WebSocket stream.
///
/// Tell it what happens by the `handle_*` methods, [`send`](Self::send) and [`close`](Self::close), and call
/// [`next`](Self::next) until it answers [`Next::Io`]; then wait for what that says. Whether a time has come is decided
/// by the `now` of each call alone, so late, early and repeated calls are harmless.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Session {
    id: SessionId,
    transport: Transport,
    state: State,
    heartbeat: Heartbeat,
    config: Arc<Config>,
    /// The latest time that was told.
    now: Instant,
    paused: Option<Instant>,
    /// Why the session ended, until it was told.
    ended: Option<CloseReason>,
    /// What waits for the next poll, or is being written to the stream.
    queue: Queue,
    /// A WebSocket session has them only while a request waits for its answer.
    exchanges: Option<Box<Exchanges>>,
    /// A stream that may become the session's.
    probe: Option<Box<Probe>>,
    /// The stream that carries messages.
    stream: Option<Stream>,
    /// A binary message that came as base64, while it is lent.
    decoded: Vec<u8>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Open,
    /// What is queued, and the goodbye, may still be delivered until the deadline.
    Closing {
        deadline: Instant,
    },
    /// No packet is delivered any more. Requests are answered, streams are dropped.
    Over,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
struct Heartbeat {
    /// When the next ping is to be sent, or the pong is missed.
    due: Instant,
    awaits_pong: bool,
}

/// What [`Session::next`] found to do, without borrowing from the session yet.
enum Step<'b> {
    /// Something was done; look again.
    Again,
    Answer(ExchangeId, Response),
    /// The next packet of the POST is a text message.
    PostedText,
    /// A binary message is in `decoded`.
    Decoded,
    /// A message was found in the stream.
    Received(Located<'b>),
    Upgraded,
    CloseStream,
    Closed(CloseReason),
    Io,
    Finished,
}

impl Session {
    /// A session that was just admitted.
    ///
    /// On [`Transport::Polling`] the admitted request follows as the first [`Session::handle_exchange`] and is answered
    /// with the handshake alone. On [`Transport::WebSocket`] the session has its stream from the start.
    pub fn new(config: Arc<Config>, id: SessionId, transport: Transport, now: Instant) -> Self {
        let mut session = Self {
            id,
            transport,
            state: State::Open,
            heartbeat: Heartbeat { due: now + config.ping_interval, awaits_pong: false },
            config,
            now,
            paused: None,
            ended: None,
            queue: Queue::default(),
            exchanges: None,
            probe: None,
            stream: None,
            decoded: Vec::new(),
        };
        match transport {
            Transport::Polling => session.exchanges = Some(Box::default()),
            Transport::WebSocket => {
                session.stream = Some(Stream::new(session.new_decoder()));
                session.queue.push_frame(Frame::text(&session.open_packet()));
            }
        }
        session
    }

    /// The secret name of the session.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The transport that carries messages now.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// An HTTP request with the session's id. It is answered in any case.
    pub fn handle_exchange(&mut self, now: Instant, exchange: Exchange) {
        self.tick(now);
        self.take_exchange(exchange);
    }

    /// The client gave up an HTTP request before its answer, or the answer could not be delivered.
    ///
    /// The session ends with it, unless the request did not matter to it. No answer comes out for it any more.
    pub fn handle_abort(&mut self, now: Instant, exchange: ExchangeId) {
        self.tick(now);
        if self.forget_exchange(exchange) {
            self.end(CloseReason::TransportError);
        }
    }

    /// The caller has answered an [`ExchangeKind::Upload`] by itself, because its body is too large or too slow. The
    /// session goes on, and no answer comes out for it any more.
    pub fn handle_refusal(&mut self, now: Instant, exchange: ExchangeId) {
        self.tick(now);
        self.drop_upload(exchange);
    }

    /// A WebSocket stream was opened for the session, to probe an upgrade.
    ///
    /// # Errors
    ///
    /// There is one already, or the session is over.
    pub fn handle_stream(&mut self, now: Instant) -> Result<(), Refused> {
        self.tick(now);
        if self.state != State::Open || self.transport != Transport::Polling || self.probe.is_some() {
            let goodbye = Bytes::copy_from_slice(Frame::close(None).as_bytes());
            return Err(Refused { goodbye });
        }
        let deadline = self.now + self.config.upgrade_timeout;
        self.probe = Some(Box::new(Probe::new(self.new_decoder(), deadline)));
        Ok(())
    }

    /// The WebSocket stream ended or broke; do not call it after [`Next::CloseStream`].
    pub fn handle_stream_closed(&mut self, now: Instant) {
        self.tick(now);
        if self.probe.take().is_some() {
            self.hold_poll_without_limit();
        } else if self.stream.take().is_some() {
            if self.state == State::Open {
                self.ended = Some(CloseReason::TransportClose);
            }
            self.state = State::Over;
            self.queue.clear();
        }
    }

    /// Queues a packet.
    ///
    /// # Errors
    ///
    /// The session is over, or becomes so by the packet.
    pub fn send(&mut self, packet: Packet) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        let cost = self.queue.cost().saturating_add(packet.cost());
        if cost > self.config.max_queued && !self.queue.is_empty() {
            self.abort(self.now, CloseReason::TransportError);
            return Err(SendError::Overflow);
        }
        self.queue.push(packet);
        Ok(())
    }

    /// Queues packets that stand back to back in `frames`, as they are written to a WebSocket stream: for who encodes many
    /// small ones, which then cost one allocation together.
    ///
    /// # Errors
    ///
    /// As for [`Session::send`].
    pub fn send_frames(&mut self, frames: Bytes) -> Result<(), SendError> {
        self.send(Packet::from_frames(Frame::from_finished(frames), None))
    }

    /// Whether what is written to the WebSocket stream now comes next: it carries messages, and nothing waits for it.
    ///
    /// Who has frames for it then may write them at once, without the session. If only a part of them could be written,
    /// they are sent all the same, and [`Session::handle_written`] follows before the next call.
    pub fn is_clear(&self) -> bool {
        self.state == State::Open && self.stream.is_some() && self.probe.is_none() && self.queue.is_empty()
    }

    /// The first `written` bytes of what waits for the stream were written to it already; see [`Session::is_clear`].
    pub fn handle_written(&mut self, written: usize) {
        self.queue.written(written);
    }

    /// Ends the session from this side: what is queued is still sent, then the goodbye.
    ///
    /// The application is told `reason` at once. Does nothing when the session is closing already. After a
    /// [`CloseReason::TransportError`] nothing that is queued can be delivered, and it is dropped.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        self.tick(now);
        if self.state != State::Open {
            return;
        }
        if reason == CloseReason::TransportError {
            return self.end(reason);
        }
        self.ended = Some(reason);
        self.state = State::Closing { deadline: self.now + self.config.close_timeout };
        match self.transport {
            // The client may have left polling already: it shows by `5`, or by a poll, where it goes on.
            Transport::Polling if self.probe.as_ref().is_some_and(|probe| probe.is_answered()) => {}
            Transport::Polling => self.close_probe(),
            Transport::WebSocket => self.queue.push_close(None),
        }
    }

    /// Ends the session from this side at once: nothing that is queued is delivered, and nobody is waited for.
    ///
    /// For a client that does not take what is sent to it. Does nothing when the session is over already.
    pub fn abort(&mut self, now: Instant, reason: CloseReason) {
        self.tick(now);
        if self.state == State::Over {
            return;
        }
        match self.transport {
            Transport::Polling => self.end_polling(reason, "1"),
            Transport::WebSocket => {
                if self.state == State::Open {
                    self.ended = Some(reason);
                }
                self.state = State::Over;
                self.queue.clear();
            }
        }
    }

    /// While `true`, nothing is read, no message comes out, and the heartbeat's clock stands still.
    pub fn pause(&mut self, now: Instant, paused: bool) {
        if self.paused.is_some() == paused {
            return;
        }
        self.tick(now);
        match (self.paused, paused) {
            (None, true) => self.paused = Some(self.now),
            (Some(since), false) => {
                self.heartbeat.due += self.now - since;
                self.paused = None;
            }
            _ => {}
        }
    }

    /// Whether a packet sent now would leave at once; what is volatile is dropped otherwise.
    pub fn is_writable(&self) -> bool {
        let ready = match self.transport {
            Transport::Polling => self.exchanges.as_ref().is_some_and(|exchanges| exchanges.holds_poll()),
            Transport::WebSocket => self.queue.is_empty(),
        };
        ready && self.state == State::Open
    }

    /// Bytes that wait to be sent; every packet counts 64 bytes more than it has.
    pub fn queued(&self) -> usize {
        self.queue.cost()
    }

    /// The one way forward: what `now` and `input` lead to.
    ///
    /// `input` is what was read from the WebSocket stream since the last call. When [`Next::Io`] comes, all of it is
    /// taken; until then pass the same again.
    pub fn next<'a: 'm, 'b: 'm, 'm>(&'a mut self, now: Instant, input: &mut Input<'b>) -> Next<'a, 'm> {
        if let Some(incoming) = self.next_whole(now, input) {
            return self.tell(incoming);
        }
        self.tick(now);
        self.decoded = Vec::new();
        match self.step(input) {
            Step::Answer(id, response) => Next::Answer(id, response),
            Step::PostedText => Next::Message(Message::Text(self.posted_text())),
            Step::Decoded => Next::Message(Message::Binary(Binary::from(self.decoded.as_slice()))),
            Step::Received(located) => self.received(located),
            Step::Upgraded => Next::Upgraded,
            Step::CloseStream => Next::CloseStream,
            Step::Closed(reason) => Next::Closed(reason),
            Step::Again | Step::Io => Next::Io(Io { session: self }),
            Step::Finished => Next::Finished,
        }
    }

    /// The order decides: a message is told before the answer to its POST, and a poll is answered when nothing else is
    /// left, so that it takes along all that was sent meanwhile.
    fn step<'b>(&mut self, input: &mut Input<'b>) -> Step<'b> {
        loop {
            if let Some(reason) = self.ended.take() {
                return Step::Closed(reason);
            }
            let requested = match self.exchanges {
                Some(_) => self.take_answer().or_else(|| self.read_post()),
                None => None,
            };
            let step = requested
                .or_else(|| self.read_stream(input))
                .or_else(|| self.answer_poll())
                .or_else(|| self.drop_stream())
                .unwrap_or(if self.is_over() { Step::Finished } else { Step::Io });
            if !matches!(step, Step::Again) {
                return step;
            }
        }
    }

    /// Lets time pass, never backwards. Everything that happens at a time happens here.
    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.probe.as_ref().is_some_and(|probe| probe.is_late(self.now)) {
            self.close_probe();
        }
        match self.state {
            State::Open if self.paused.is_none() => self.beat(),
            State::Closing { deadline } if self.now >= deadline => self.give_up(),
            State::Over if self.overtaken().is_some_and(|end| self.now >= end) => self.settle(),
            _ => {}
        }
    }

    fn beat(&mut self) {
        let Heartbeat { due, awaits_pong } = self.heartbeat;
        if self.now < due {
            return;
        }
        if awaits_pong {
            return self.end(CloseReason::PingTimeout);
        }
        // A timer is always a little late. Who is later than that was suspended, and so was the peer's pong.
        let timeout = self.config.ping_timeout;
        let sent = if self.now - due < timeout / 8 { due } else { self.now };
        self.heartbeat = Heartbeat { due: sent + timeout, awaits_pong: true };
        self.queue.rest();
        self.queue.push_frame(Frame::text("2"));
    }

    /// A pong came, asked for or not.
    fn handle_pong(&mut self) {
        self.heartbeat = Heartbeat { due: self.now + self.config.ping_interval, awaits_pong: false };
    }

    /// The peer ended the session, broke its rules or is gone: nothing that is queued is delivered any more.
    fn end(&mut self, reason: CloseReason) {
        match self.transport {
            Transport::Polling => self.end_polling(reason, "1"),
            Transport::WebSocket => self.end_stream(reason, None),
        }
    }

    /// Ends a session on polling, whose poll is answered with `last`.
    fn end_polling(&mut self, reason: CloseReason, last: &'static str) {
        if self.state == State::Open {
            self.ended = Some(reason);
        }
        self.state = State::Over;
        self.queue.clear();
        self.release_exchanges(last);
        self.close_probe();
    }

    /// Ends a session on WebSocket by a close frame with `code`.
    fn end_stream(&mut self, reason: CloseReason, code: Option<CloseCode>) {
        if self.state == State::Open {
            self.ended = Some(reason);
            self.state = stop(&mut self.queue, code, self.now);
        }
    }

    /// The goodbye was not collected in time.
    fn give_up(&mut self) {
        // A poll that came in time but was not looked at since.
        let poll = self.answer_poll();
        self.state = State::Over;
        self.queue.clear();
        if let Some(Step::Answer(id, response)) = poll {
            self.answer(id, response);
        }
        self.release_exchanges("1");
        self.close_probe();
    }

    /// Whether the peer's input must wait.
    fn holds_back(&self) -> bool {
        self.paused.is_some() && self.state == State::Open
    }

    fn is_over(&self) -> bool {
        self.state == State::Over && self.probe.is_none() && self.stream.is_none() && self.overtaken().is_none()
    }

    fn new_decoder(&self) -> Decoder {
        Decoder::new(Role::Server, self.config.max_payload)
    }

    /// The handshake: packet type and the five keys that version 4 knows, times in milliseconds.
    fn open_packet(&self) -> String {
        let config = &*self.config;
        let may_upgrade = self.transport == Transport::Polling && config.allow_upgrades && config.transports.websocket;
        format!(
            r#"0{{"sid":"{}","upgrades":[{}],"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
            self.id.as_str(),
            if may_upgrade { r#""websocket""# } else { "" },
            config.ping_interval.as_millis(),
            config.ping_timeout.as_millis(),
            config.max_payload,
        )
    }
}

/// Shows nothing of the traffic, which begins with the secret id.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("transport", &self.transport)
            .field("state", &self.state)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

/// Queues a close frame in the place of what is not on its way yet.
fn stop(queue: &mut Queue, code: Option<CloseCode>, now: Instant) -> State {
    queue.cut();
    queue.push_close(code);
    State::Closing { deadline: now + LINGER }
}
