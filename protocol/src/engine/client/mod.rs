//! Engine.IO 4, the client's side: a session with a server over WebSocket and HTTP long-polling.
//!
//! A [`Client`] is one session from the attempt to open it to its end. It opens no connection and reads no clock: what is
//! to be done outside comes out of [`Client::next`] as a value, and what happened outside is told to it. Reconnecting is
//! making a new one.
//!
//! # The run loop
//!
//! 1. Make it by [`Client::new`] with the configuration, a generator and the time.
//! 2. Call [`Client::next`] and do what it says, again and again, until it gives [`Next::Io`]:
//!    - [`Next::Request`] is an HTTP request to the server. Its answer is told by [`Client::handle_response`], its failure
//!      by [`Client::handle_request_failed`]. At most one GET and one POST are under way at a time.
//!    - [`Next::CancelRequest`] gives up one of them: nobody waits for its answer, and what is told of it is ignored.
//!    - [`Next::OpenStream`] is a WebSocket to be opened, where [`websocket::Key`](crate::websocket::Key) helps. Once the
//!      server has answered 101 it is told by [`Client::handle_stream_opened`], its end by
//!      [`Client::handle_stream_closed`] and its failure, at any time, by [`Client::handle_stream_failed`]. There is at
//!      most one in the life of a client.
//!    - [`Next::CloseStream`]: drop the stream, or the attempt to open it, and tell no more of it. A client is the single
//!      owner of its stream and ignores what is told of one that it has given up, but whoever makes the next client must
//!      not tell that one.
//! 3. [`Io`] says what to wait for, all at once: for the stream to take [`Io::pending`], for bytes from the stream if
//!    [`Io::wants_read`], and for [`Io::deadline`]. Whatever comes first, an answer, or something that the application
//!    wants ([`Client::send`], [`Client::close`]) leads back to step 2; bytes that were read are lent to [`Client::next`].
//! 4. [`Next::Opened`] comes once, or [`Next::Failed`] with the reason why not. [`Next::Closed`] comes once when an opened
//!    session is over for the application, or one that the application has given up. Go on until [`Next::Finished`], so
//!    that what was queued and the goodbye are delivered; then forget the client.
//!
//! Time is the `now` of each call. It never runs backwards for the client, and late, early and repeated calls are harmless.
//!
//! What was received counts before the time that has passed and before what went wrong since, in whatever order it is told
//! between two calls of [`Client::next`]: an answer or bytes that come with a deadline are delivered, a ping among them
//! keeps the session alive, and only then `ping timeout` or the failure is told. So nothing is lost if several `handle_*`
//! calls follow each other. Only [`Client::close`] and [`Client::abort`] drop what was received: nobody wants it.
//!
//! What the server does wrong is no error of a call: the session ends with a [`CloseReason`].
//!
//! # What it decides
//!
//! As the official client, `engine.io-client` 6.6, unless said otherwise.
//!
//! | case | decision | after | why |
//! |---|---|---|---|
//! | order of the transports | WebSocket, then polling where it cannot be opened; configurable | ours | one connection, and no upgrade, nearly everywhere |
//! | a transport that hangs | each gets an equal share of `connect_timeout` | ours | the reference waits for the first until the time is over |
//! | the stream ends before the handshake; the first packet is another one, or nonsense | this attempt has failed, and the next transport is tried | ours | the reference throws, or waits for the timeout |
//! | an upgrade after a fallback | none: the transport has failed already | ref | |
//! | an open packet later, `3`, `5`, `6` | ignored | ours; ref | the reference takes over the id of a second handshake |
//! | `2` | `3`, and the deadline starts anew; one `3` at most waits | ref; ours | a server that pings and does not read must not make a queue grow |
//! | the deadline has passed when the application sends | `ping timeout`, and nothing is sent, unless an answer of the server was not read yet | ref; ours | timers that were throttled |
//! | the deadline has passed, and something was received | delivered; then `ping timeout`, if it was no ping | ours | a caller that comes late has not lost its server |
//! | a packet that cannot be read | `parse error`; packets before it are delivered | ours | the reference says `transport error`, and `parse error` one layer up |
//! | an answer that is not 200 | `transport error`, with the status | ref | |
//! | a first poll that is answered with `1` | it has failed | ours | |
//! | one batch of packets | at most the server's `maxPayload`, base64 counted exactly; a packet over it goes alone | ref | |
//! | `1` over WebSocket | closed (`transport close`) | spec | the reference ignores it |
//! | our goodbye | `1` behind what is queued: by a POST of its own, or with a close frame | ref; spec | in one body, the official server hears it first |
//! | the first packet of a probe is not `3probe`, the probe ends or takes longer than `upgrade_timeout` | only the new stream is closed; polling goes on | ours | the reference leaves it open, and may stop polling for good |
//! | the application closes while polling is paused for an upgrade | the goodbye goes by the transport that comes out of it | ref | |
//! | the application closes before the session is open | all is dropped at once | ref | |
//!
//! # One session, driven by hand
//!
//! ```
//! use std::sync::Arc;
//!
//! use socketio_protocol::engine::client::{Client, Config, Next};
//! use socketio_protocol::engine::{CloseReason, Message, Packet, Transport};
//! use socketio_protocol::{Input, Instant, Random, Seed};
//!
//! let mut config = Config::default();
//! config.path = "/socket.io/".into();
//! config.transports = vec![Transport::Polling].into();
//! let now = Instant::EPOCH; // from your clock
//! let random = Random::new(Seed::new([0; 32])); // from your operating system
//! let mut client = Client::new(Arc::new(config), random, now);
//!
//! // The first poll asks for the handshake.
//! let Next::Request(request) = client.next(now, &mut Input::empty()) else { panic!() };
//! assert_eq!(request.method(), "GET");
//! assert!(request.target.starts_with("/socket.io/?EIO=4&transport=polling&t="));
//! let handshake = r#"0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
//! client.handle_response(now, request.id, 200, handshake.into());
//! let Next::Opened = client.next(now, &mut Input::empty()) else { panic!() };
//!
//! // What is sent leaves with a POST, and a poll waits for what comes.
//! client.send(now, Packet::text("hello"))?;
//! let Next::Request(post) = client.next(now, &mut Input::empty()) else { panic!() };
//! assert_eq!((post.method(), &post.body[..]), ("POST", &b"4hello"[..]));
//! let Next::Request(poll) = client.next(now, &mut Input::empty()) else { panic!() };
//! let Next::Io(io) = client.next(now, &mut Input::empty()) else { panic!() };
//! assert_eq!((io.deadline() - now).as_secs(), 45);
//!
//! client.handle_response(now, post.id, 200, "ok".into());
//! client.handle_response(now, poll.id, 200, "4welcome\u{1e}1".into());
//! match client.next(now, &mut Input::empty()) {
//!     Next::Message(Message::Text(text)) => assert_eq!(text, "welcome"),
//!     _ => panic!(),
//! }
//! let Next::Closed(reason, _) = client.next(now, &mut Input::empty()) else { panic!() };
//! assert_eq!(reason, CloseReason::TransportClose);
//! let Next::Finished = client.next(now, &mut Input::empty()) else { panic!() };
//! # Ok::<(), socketio_protocol::engine::SendError>(())
//! ```

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use self::polling::Polling;
use self::stream::{Stream, stop};
use super::queue::Queue;
use super::{CloseReason, Message, Packet, SendError, Transport, Transports};
use crate::websocket::{Binary, CloseCode, Frame, Located};
use crate::{Input, Instant, Random};

mod config;
mod error;
mod handshake;
mod io;
mod polling;
mod stream;
mod target;
#[cfg(test)]
mod tests;

pub use self::config::Config;
pub use self::error::{Cause, OpenError};
pub use self::handshake::{Handshake, HandshakeError};
pub use self::io::Io;
pub use self::polling::{Request, RequestId};

/// What a [`Client`] wants next: `'a` is the loan of the client, `'m` the shorter one of the client and the input.
///
/// So an [`Io`] leaves the input's buffer free, to be read into again.
#[derive(Debug)]
#[must_use]
pub enum Next<'a, 'm> {
    /// The session is open; told once, before its first message. [`Client::handshake`] has what the server said.
    Opened,
    /// A message arrived.
    Message(Message<'m>),
    /// An HTTP request is to be made.
    Request(Request),
    /// An HTTP request is to be given up.
    CancelRequest(RequestId),
    /// A WebSocket stream is to be opened, by a request with this target: path and query.
    OpenStream(String),
    /// The WebSocket stream took over from polling.
    Upgraded,
    /// The WebSocket stream is no longer wanted, opened or not: shut it down and drop it. What becomes of it is told to
    /// nobody.
    CloseStream,
    /// The server's ping came, and is answered: the connection is alive.
    Ping,
    /// The session could not be opened; told once, and no [`Next::Closed`] after it.
    Failed(OpenError),
    /// The session is over for the application; told once, with what lies behind it, as far as known. What is queued and
    /// the goodbye may still have to be delivered.
    Closed(CloseReason, Option<Cause>),
    /// Nothing is left to do without the outside world.
    Io(Io<'a>),
    /// Everything is over: the machine can be dropped.
    Finished,
}

/// One Engine.IO session of a client: a state machine over HTTP requests and at most one WebSocket stream.
///
/// Tell it what happens by the `handle_*` methods, [`send`](Self::send) and [`close`](Self::close), and call
/// [`next`](Self::next) until it answers [`Next::Io`]; then wait for what that says. Whether a time has come is decided
/// by the `now` of each call alone, so late, early and repeated calls are harmless.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Client {
    config: Arc<Config>,
    random: Random,
    /// What all request targets begin with.
    prefix: String,
    /// The latest time that was told.
    now: Instant,
    state: State,
    /// The transport that carries messages, or is to.
    transport: Transport,
    /// The transports of the configuration that were not tried yet.
    untried: Transports,
    handshake: Option<Handshake>,
    /// What became of the session, until it was told.
    outcome: Option<Outcome>,
    /// What waits to be sent, on either transport.
    queue: Queue,
    /// A ping is to be answered.
    pong: bool,
    /// An upgrade is to be begun.
    upgrade: bool,
    polling: Polling,
    /// The stream that carries messages or, while polling does, that may take over.
    stream: Option<Stream>,
    /// The caller is to drop the stream.
    close_stream: bool,
    /// A binary message that came as base64, while it is lent.
    decoded: Vec<u8>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    /// A transport is being tried.
    Opening {
        /// When it has failed.
        attempt: Instant,
        /// When all have.
        end: Instant,
    },
    Open {
        /// When the server's next ping is missed.
        due: Instant,
    },
    /// What is queued, and the goodbye, may still be delivered until the deadline.
    Closing { deadline: Instant },
    /// Nothing is delivered any more.
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Outcome {
    Opened,
    Failed(OpenError),
    Closed(CloseReason, Option<Cause>),
}

/// What [`Client::next`] found to do, without borrowing from the client yet.
enum Step<'b> {
    /// Something was done; look again.
    Again,
    Outcome(Outcome),
    /// The next packet of the answer to a poll is a text message.
    PolledText,
    /// A binary message is in `decoded`.
    Decoded,
    /// A message was found in the stream.
    Received(Located<'b>),
    Request(Request),
    CancelRequest(RequestId),
    OpenStream(String),
    Upgraded,
    CloseStream,
    Ping,
    Io,
    Finished,
}

impl Client {
    /// A client that starts to open a session. `random` gives the masks of the stream's frames, too: it must be
    /// unpredictable.
    pub fn new(config: Arc<Config>, random: Random, now: Instant) -> Self {
        let has = |transport| config.transports.contains(&transport);
        let mut client = Self {
            prefix: target::prefix(&config),
            random,
            now,
            state: State::Over,
            transport: Transport::Polling,
            untried: Transports { polling: has(Transport::Polling), websocket: has(Transport::WebSocket) },
            handshake: None,
            outcome: None,
            queue: Queue::default(),
            pong: false,
            upgrade: false,
            polling: Polling::default(),
            stream: None,
            close_stream: false,
            decoded: Vec::new(),
            config,
        };
        client.attempt(now + client.config.connect_timeout, OpenError::NoTransport);
        client
    }

    /// Goes on with the numbers of another client's requests, so that what is told of those cannot be taken for its own.
    pub(crate) fn count_requests_from(&mut self, count: u64) {
        self.polling.count = count;
    }

    /// The number of the request that was made last.
    pub(crate) fn requests(&self) -> u64 {
        self.polling.count
    }

    /// The transport that carries messages now, or is being opened.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// What the server said when the session was opened.
    pub fn handshake(&self) -> Option<&Handshake> {
        self.handshake.as_ref()
    }

    /// The answer to a request, with its whole body.
    pub fn handle_response(&mut self, now: Instant, request: RequestId, status: u16, body: Bytes) {
        self.now = self.now.max(now);
        self.take_response(request, status, body);
    }

    /// A request could not be made, or its answer did not come whole; `reason` is for the application to read.
    pub fn handle_request_failed(&mut self, now: Instant, request: RequestId, reason: impl Into<Cause>) {
        self.now = self.now.max(now);
        self.take_failure(request, reason.into());
    }

    /// The stream of [`Next::OpenStream`] is a WebSocket now.
    pub fn handle_stream_opened(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.open_up();
    }

    /// The stream was closed by the server, and all that was read from it was lent to [`Client::next`].
    pub fn handle_stream_closed(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.lose_stream(CloseReason::TransportClose, Cause::from("the stream has ended"));
    }

    /// The stream could not be opened, or it broke, and all that was read from it was lent to [`Client::next`]; `reason` is
    /// for the application to read.
    pub fn handle_stream_failed(&mut self, now: Instant, reason: impl Into<Cause>) {
        self.now = self.now.max(now);
        self.lose_stream(CloseReason::TransportError, reason.into());
    }

    /// Queues a packet, which may be done before the session is open.
    ///
    /// Nothing limits the queue but the caller, who can ask [`Client::queued`].
    ///
    /// # Errors
    ///
    /// The session is over or closing, or the server's ping is overdue at `now`: the session ends by that. The packet is
    /// not sent.
    pub fn send(&mut self, now: Instant, packet: Packet) -> Result<(), SendError> {
        self.tick(now);
        if !matches!(self.state, State::Opening { .. } | State::Open { .. }) {
            return Err(SendError::Closed);
        }
        self.queue.push(packet);
        Ok(())
    }

    /// Queues packets that stand back to back in `frames`, as unmasked WebSocket frames: for who encodes many small ones,
    /// which then cost one allocation together.
    ///
    /// # Errors
    ///
    /// As for [`Client::send`].
    pub fn send_frames(&mut self, now: Instant, frames: Bytes) -> Result<(), SendError> {
        self.send(now, Packet::from_frames(Frame::from_finished(frames), None))
    }

    /// Ends the session from this side: what is queued is still sent, then the goodbye.
    ///
    /// The application is told [`CloseReason::ForcedClose`] at once. Does nothing when the session is closing already. A
    /// session that is not open yet is dropped.
    pub fn close(&mut self, now: Instant) {
        self.tick(now);
        match self.state {
            State::Opening { .. } => self.abort(now, CloseReason::ForcedClose),
            State::Open { .. } => {
                self.outcome = Some(Outcome::Closed(CloseReason::ForcedClose, None));
                self.state = State::Closing { deadline: self.now + self.config.close_timeout };
                self.upgrade = false;
                if !self.is_pausing() {
                    self.fail_probe(None);
                }
            }
            State::Closing { .. } | State::Over => {}
        }
    }

    /// Ends the session from this side at once: nothing that is queued is delivered, and nobody is waited for.
    ///
    /// For a network that is gone, or an application that is. Does nothing when the session is over already.
    pub fn abort(&mut self, now: Instant, reason: CloseReason) {
        self.tick(now);
        match self.state {
            State::Opening { .. } | State::Open { .. } => self.outcome = Some(Outcome::Closed(reason, None)),
            State::Closing { .. } => {}
            State::Over => return,
        }
        self.finish();
    }

    /// Whether a packet sent now would leave at once; what is volatile is dropped otherwise.
    pub fn is_writable(&self) -> bool {
        let ready = match self.transport {
            Transport::Polling => self.polling.may_post() && !self.is_pausing(),
            Transport::WebSocket => self.stream.as_ref().is_some_and(Stream::is_written),
        };
        ready && self.queue.is_empty() && matches!(self.state, State::Open { .. })
    }

    /// Bytes that wait to be sent or are under way; every packet that waits counts 64 bytes more than it has.
    pub fn queued(&self) -> usize {
        let stream = self.stream.as_ref().map_or(0, Stream::unwritten);
        self.queue.cost() + self.polling.posting() + stream
    }

    /// The one way forward: what `now` and `input` lead to.
    ///
    /// `input` is what was read from the WebSocket stream since the last call. When [`Next::Io`] comes, all of it is
    /// taken; until then pass the same again.
    pub fn next<'a: 'm, 'b: 'm, 'm>(&'a mut self, now: Instant, input: &mut Input<'b>) -> Next<'a, 'm> {
        if let Some(incoming) = self.next_whole(now, input) {
            return self.tell(incoming);
        }
        self.now = self.now.max(now);
        self.decoded = Vec::new();
        match self.step(input) {
            Step::Outcome(Outcome::Opened) => Next::Opened,
            Step::Outcome(Outcome::Failed(error)) => Next::Failed(error),
            Step::Outcome(Outcome::Closed(reason, cause)) => Next::Closed(reason, cause),
            Step::PolledText => Next::Message(Message::Text(self.polled_text())),
            Step::Decoded => Next::Message(Message::Binary(Binary::from(self.decoded.as_slice()))),
            Step::Received(located) => self.received(located),
            Step::Request(request) => Next::Request(request),
            Step::CancelRequest(id) => Next::CancelRequest(id),
            Step::OpenStream(target) => Next::OpenStream(target),
            Step::Upgraded => Next::Upgraded,
            Step::CloseStream => Next::CloseStream,
            Step::Ping => Next::Ping,
            Step::Again | Step::Io => {
                self.fill();
                Next::Io(Io { client: self })
            }
            Step::Finished => Next::Finished,
        }
    }

    /// The order decides: what is given up is told first, all that polling has brought before the stream takes over, what
    /// was received before the time that has passed, and a poll is sent when nothing else is left.
    fn step<'b>(&mut self, input: &mut Input<'b>) -> Step<'b> {
        loop {
            if let Some(outcome) = self.outcome.take() {
                return Step::Outcome(outcome);
            }
            let step = self
                .take_cancelled()
                .or_else(|| self.give_stream_back())
                .or_else(|| self.read_answer())
                .or_else(|| self.take_over())
                .or_else(|| self.read_stream(input))
                .or_else(|| self.expire())
                .or_else(|| self.post())
                .or_else(|| self.open_stream())
                .or_else(|| self.poll())
                .unwrap_or(if self.state == State::Over { Step::Finished } else { Step::Io });
            if !matches!(step, Step::Again) {
                return step;
            }
        }
    }

    /// Lets time pass, never backwards. What polling has brought is read first.
    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.polling.is_read() {
            self.expire();
        }
    }

    /// Everything that happens at a time happens here: it has no meaning for what came before that was noticed.
    fn expire<'b>(&mut self) -> Option<Step<'b>> {
        if self.probe_is_late() {
            self.fail_probe(None);
            return Some(Step::Again);
        }
        match self.state {
            State::Opening { attempt, .. } if self.now >= attempt => self.fail_attempt(OpenError::Timeout),
            State::Open { due } if self.now >= due => self.end(CloseReason::PingTimeout, None),
            State::Closing { deadline } if self.now >= deadline => self.finish(),
            _ => return None,
        }
        Some(Step::Again)
    }

    /// Tries the next transport, until `end` at the latest. If there is none, opening has failed of `error`.
    fn attempt(&mut self, end: Instant, error: OpenError) {
        let mut order = self.config.transports.iter().copied();
        let Some(transport) = order.find(|transport| self.untried.contains(*transport)) else {
            self.outcome = Some(Outcome::Failed(error));
            return self.finish();
        };
        let all = u32::from(self.untried.polling) + u32::from(self.untried.websocket);
        match transport {
            Transport::Polling => self.untried.polling = false,
            Transport::WebSocket => self.untried.websocket = false,
        }
        let left = end - self.now;
        let share = if self.config.try_all_transports { left / all } else { left };
        self.transport = transport;
        self.state = State::Opening { attempt: self.now + share, end };
    }

    /// The transport cannot be opened.
    fn fail_attempt(&mut self, error: OpenError) {
        let State::Opening { end, .. } = self.state else { return };
        self.polling.abandon();
        self.drop_stream();
        if self.config.try_all_transports && self.now < end {
            return self.attempt(end, error);
        }
        self.outcome = Some(Outcome::Failed(error));
        self.finish();
    }

    /// The first packet of the server came, if it is an open packet with this data.
    fn take_handshake(&mut self, data: Option<&str>) {
        match data.ok_or(HandshakeError::Missing).and_then(Handshake::parse) {
            Ok(handshake) => {
                self.state = State::Open { due: self.now + handshake.silence() };
                self.outcome = Some(Outcome::Opened);
                let may_upgrade = self.transport == Transport::Polling && self.untried.websocket;
                self.upgrade = may_upgrade && self.config.upgrade && handshake.upgrades();
                self.handshake = Some(handshake);
                self.widen();
            }
            Err(error) => self.fail_attempt(OpenError::Handshake(error)),
        }
    }

    /// The server's ping came: it is alive, and wants to know whether this side is.
    fn handle_ping<'b>(&mut self) -> Step<'b> {
        let silence = self.handshake.as_ref().map_or(Duration::ZERO, Handshake::silence);
        self.state = State::Open { due: self.now + silence };
        self.pong = true;
        self.queue.rest();
        self.rest();
        Step::Ping
    }

    /// The server ended the session, broke its rules or is gone: nothing that is queued is delivered any more.
    fn end(&mut self, reason: CloseReason, cause: Option<Cause>) {
        self.end_with(reason, cause, None);
    }

    /// As [`Client::end`], with a code for the close frame.
    fn end_with(&mut self, reason: CloseReason, cause: Option<Cause>, code: Option<CloseCode>) {
        if matches!(self.state, State::Open { .. }) {
            self.outcome = Some(Outcome::Closed(reason, cause));
        }
        match &mut self.stream {
            Some(stream) if self.transport == Transport::WebSocket => {
                stop(&mut self.state, &mut self.queue, &mut stream.out, &mut self.random, code, self.now);
            }
            _ => self.finish(),
        }
    }

    /// Everything ends here and now.
    fn finish(&mut self) {
        self.state = State::Over;
        self.queue.clear();
        self.pong = false;
        self.upgrade = false;
        self.polling.abandon();
        self.drop_stream();
    }

    fn drop_stream(&mut self) {
        self.close_stream |= self.stream.take().is_some();
    }
}

/// Shows nothing of the traffic, which begins with the secret id.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("transport", &self.transport)
            .field("state", &self.state)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
