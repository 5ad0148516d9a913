//! An Engine.IO session and the Socket.IO sockets on it, as one machine.
//!
//! [`Connection`] is for those who serve Socket.IO from a loop, thread or runtime of their own: it hands the messages of an
//! [`engine::Session`] to [`Sockets`], their packets back, and closes the one when the other says so. Whoever wants only
//! one of the two layers drives that one.
//!
//! # The run loop
//!
//! 1. Let [`engine::admit`] decide about the request. For a new session make a [`Connection::new`]. A request that is no
//!    upgrade, the first one too, goes to [`handle_exchange`](Connection::handle_exchange); an upgrade is answered by
//!    [`Response::switching_protocols`], and told to a session that was there before by
//!    [`handle_stream`](Connection::handle_stream).
//! 2. Call [`Connection::next`] with the time and the bytes that were read, until it answers [`Next::Io`]. Do at once what
//!    it tells: an [`Event`] for the application, an answer to a request, a stream to be dropped. [`Event::Connect`] asks
//!    for a verdict, now or later: [`accept`](Connection::accept) or [`reject`](Connection::reject).
//! 3. [`Next::Io`] offers bytes to write, tells whether to read, and until when to wait. Do what of this happens first, or
//!    call a method because the application wants something; then go to step 2. The end of the stream is told by
//!    [`handle_stream_closed`](Connection::handle_stream_closed).
//! 4. [`Next::Finished`] ends the loop.
//!
//! The example `blocking` is this loop on a thread, with everything around it. In short, without the application:
//!
//! ```
//! use std::sync::Arc;
//!
//! use socketio_protocol::engine::Transport;
//! use socketio_protocol::server::{Connection, Next};
//! use socketio_protocol::{Input, Instant, Random, Seed, SessionId, engine, socket};
//!
//! let now = Instant::EPOCH;
//! let id = SessionId::generate(&mut Random::new(Seed::new([0; 32])));
//! let (engine, socket) = (engine::Config::default(), socket::Config::default());
//! let mut connection = Connection::new(Arc::new(engine), Arc::new(socket), id, Transport::WebSocket, now);
//!
//! let Next::Io(mut io) = connection.next(now, &mut Input::empty()) else { panic!() };
//! let handshake: Vec<u8> = io.pending().flatten().copied().collect();
//! assert!(handshake.ends_with(b"}"));
//! io.written(handshake.len());
//! ```

use alloc::sync::Arc;

use crate::engine::{self, CloseReason, Exchange, ExchangeId, Packet, Refused, Response, Session, Transport};
use crate::socket::{self, ConnectError, ConnectRequest, Event, SocketKey, Sockets, TooManyAcks};
use crate::{Input, Instant, SessionId, SocketId};

/// What a [`Connection`] wants next: `'a` is the loan of the connection, `'m` the shorter one of the connection and the
/// input.
///
/// So an [`Io`] leaves the input's buffer free, to be read into again, once it is out of the `match`. An [`Event`] may have
/// a [`Payload`](crate::socket::Payload), which does something when it is dropped: where there is one, the compiler keeps
/// both loans to the end of the `match`.
#[derive(Debug)]
#[must_use]
pub enum Next<'a, 'm> {
    /// Something happened to a socket.
    Event(Event<'m>),
    /// The answer to an HTTP request.
    Answer(ExchangeId, Response),
    /// The WebSocket stream took over from polling.
    Upgraded,
    /// The WebSocket stream is no longer wanted: shut it down and drop it.
    CloseStream,
    /// The connection is over for the application; told once, after the disconnect of the last socket. Goodbyes may still
    /// have to be delivered.
    Closed(CloseReason),
    /// A message was taken that is nothing to tell: call again.
    Continue,
    /// Nothing is left to do without the outside world.
    Io(Io<'a>),
    /// Everything is over: the machine can be dropped.
    Finished,
}

/// What a [`Connection`] waits for, all of it at once. Idempotent: dropping it loses nothing.
#[derive(Debug)]
pub struct Io<'a> {
    session: engine::Io<'a>,
    deadline: Option<Instant>,
}

impl Io<'_> {
    /// When to call [`Connection::next`] at the latest.
    pub fn deadline(&self) -> Instant {
        let session = self.session.deadline();
        self.deadline.map_or(session, |deadline| deadline.min(session))
    }

    /// The bytes to be written to the WebSocket stream, in order. Empty when there is nothing to write.
    pub fn pending(&self) -> impl Iterator<Item = &[u8]> {
        self.session.pending()
    }

    /// The first `count` bytes of [`Io::pending`] were written.
    pub fn written(&mut self, count: usize) {
        self.session.written(count);
    }

    /// Whether there is a WebSocket stream that should be read from.
    pub fn wants_read(&self) -> bool {
        self.session.wants_read()
    }

    /// Room to read into directly, in the middle of a large message; else read into a buffer of your own and lend it to
    /// [`Connection::next`]. Tell with [`Io::filled`] how much was read.
    pub fn read_target(&mut self) -> Option<&mut [u8]> {
        self.session.read_target()
    }

    /// `count` bytes were read into [`Io::read_target`].
    pub fn filled(&mut self, count: usize) {
        self.session.filled(count);
    }
}

/// One client of a Socket.IO server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    session: Session,
    sockets: Sockets,
    /// Why the session ended, until it is told.
    closed: Option<CloseReason>,
}

impl Connection {
    /// A connection whose first request was just admitted; see [`Session::new`].
    pub fn new(
        engine: Arc<engine::Config>,
        socket: Arc<socket::Config>,
        id: SessionId,
        transport: Transport,
        now: Instant,
    ) -> Self {
        Self { session: Session::new(engine, id, transport, now), sockets: Sockets::new(socket, now), closed: None }
    }

    /// The one way forward: what `now` and `input` lead to.
    ///
    /// `input` is what was read from the WebSocket stream since the last call. When [`Next::Io`] comes, all of it is
    /// taken; until then pass the same again.
    pub fn next<'a: 'm, 'b: 'm, 'm>(&'a mut self, now: Instant, input: &mut Input<'b>) -> Next<'a, 'm> {
        let deadline = loop {
            match self.sockets.advance(now) {
                // The session tells by itself when it is over.
                socket::Next::Transmit(packet) => _ = self.session.send(packet),
                socket::Next::Close(reason) => self.session.close(now, reason),
                socket::Next::Wait(deadline) => break deadline,
                socket::Next::Event(event) => return Next::Event(event),
            }
        };
        if let Some(reason) = self.closed.take() {
            return Next::Closed(reason);
        }
        match self.session.next(now, input) {
            engine::Next::Message(message) => match self.sockets.handle(message) {
                Some(arrival) => Next::Event(self.sockets.event(arrival)),
                None => Next::Continue,
            },
            engine::Next::Answer(id, response) => Next::Answer(id, response),
            engine::Next::Upgraded => Next::Upgraded,
            engine::Next::CloseStream => Next::CloseStream,
            engine::Next::Closed(reason) => {
                self.sockets.handle_close(reason);
                self.closed = Some(reason);
                Next::Continue
            }
            engine::Next::Io(session) => Next::Io(Io { session, deadline }),
            engine::Next::Finished => Next::Finished,
        }
    }

    /// The session, to be asked about.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// An HTTP request with the session's id; see [`Session::handle_exchange`].
    pub fn handle_exchange(&mut self, now: Instant, exchange: Exchange) {
        self.session.handle_exchange(now, exchange);
    }

    /// The client gave up an HTTP request; see [`Session::handle_abort`].
    pub fn handle_abort(&mut self, now: Instant, exchange: ExchangeId) {
        self.session.handle_abort(now, exchange);
    }

    /// The caller has answered an announced POST by itself; see [`Session::handle_refusal`].
    pub fn handle_refusal(&mut self, now: Instant, exchange: ExchangeId) {
        self.session.handle_refusal(now, exchange);
    }

    /// A WebSocket stream was opened for the session; see [`Session::handle_stream`].
    ///
    /// # Errors
    ///
    /// There is one already, or the session is over.
    pub fn handle_stream(&mut self, now: Instant) -> Result<(), Refused> {
        self.session.handle_stream(now)
    }

    /// The WebSocket stream ended or broke; see [`Session::handle_stream_closed`].
    pub fn handle_stream_closed(&mut self, now: Instant) {
        self.session.handle_stream_closed(now);
    }

    /// While `true`, no message comes out; see [`Session::pause`].
    pub fn pause(&mut self, now: Instant, paused: bool) {
        self.session.pause(now, paused);
    }

    /// Lets a client into the namespace that it asked for; see [`Sockets::accept`].
    pub fn accept(&mut self, request: ConnectRequest, id: &SocketId) -> Option<SocketKey> {
        self.sockets.accept(request, id)
    }

    /// Refuses a client; see [`Sockets::reject`].
    pub fn reject(&mut self, request: ConnectRequest, error: &ConnectError) {
        self.sockets.reject(request, error);
    }

    /// Queues a packet of a socket; see [`Sockets::emit`].
    pub fn emit(&mut self, socket: SocketKey, packet: Packet) -> bool {
        self.sockets.emit(socket, packet)
    }

    /// Awaits an answer; see [`Sockets::expect_ack`].
    ///
    /// # Errors
    ///
    /// Too many are awaited.
    pub fn expect_ack(&mut self, socket: SocketKey, id: u64, deadline: Instant) -> Result<(), TooManyAcks> {
        self.sockets.expect_ack(socket, id, deadline)
    }

    /// The namespace of a socket, `None` once it is gone.
    pub fn namespace(&self, socket: SocketKey) -> Option<&str> {
        self.sockets.namespace(socket)
    }

    /// Disconnects a socket from this side; see [`Sockets::disconnect`].
    pub fn disconnect(&mut self, socket: SocketKey) {
        self.sockets.disconnect(socket);
    }

    /// Disconnects all sockets from this side and closes the connection; see [`Sockets::disconnect_all`].
    pub fn disconnect_all(&mut self) {
        self.sockets.disconnect_all();
    }

    /// Ends the connection from this side, without a word to the namespaces; see [`Session::close`].
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        self.session.close(now, reason);
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;
    use alloc::{format, vec};
    use core::time::Duration;

    use super::*;
    use crate::engine::ExchangeKind;
    use crate::socket::encode_event;
    use crate::websocket::Frame;
    use crate::{Random, Seed};

    fn connection(transport: Transport) -> Connection {
        let id = SessionId::generate(&mut Random::new(Seed::new([1; 32])));
        Connection::new(Arc::default(), Arc::default(), id, transport, Instant::EPOCH)
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_epoch(Duration::from_secs(seconds))
    }

    /// What a client sends: text frames.
    fn frames(texts: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in texts {
            Frame::text(text).write_masked([1, 2, 3, 4], &mut bytes);
        }
        bytes
    }

    /// Runs until there is nothing to do without the outside world, accepts everybody, answers every event, and tells
    /// what happened and what is to be written.
    fn run(connection: &mut Connection, now: Instant, texts: &[&str]) -> (Vec<String>, Vec<u8>) {
        let mut bytes = frames(texts);
        let mut input = Input::new(&mut bytes);
        let mut log = Vec::new();
        loop {
            let mut asks = None;
            match connection.next(now, &mut input) {
                Next::Event(Event::Connect { request, namespace, .. }) => {
                    log.push(format!("connect {namespace}"));
                    asks = Some((request, String::from(namespace)));
                }
                Next::Event(Event::Message { payload, .. }) => log.push(format!("event {}", payload.json())),
                Next::Event(Event::Ack { id, payload, .. }) => log.push(format!("ack {id} {}", payload.json())),
                Next::Event(Event::AckTimeout { id, .. }) => log.push(format!("timeout {id}")),
                Next::Event(Event::Disconnect { reason, .. }) => log.push(format!("disconnect {reason}")),
                Next::Answer(_, response) => log.push(format!("answer {}", response.status)),
                Next::Upgraded => log.push("upgraded".into()),
                Next::CloseStream => log.push("close stream".into()),
                Next::Closed(reason) => log.push(format!("closed {reason}")),
                Next::Continue => {}
                Next::Io(mut io) => {
                    let written: Vec<u8> = io.pending().flatten().copied().collect();
                    io.written(written.len());
                    assert!(io.deadline() > now);
                    return (log, written);
                }
                Next::Finished => {
                    log.push("finished".into());
                    return (log, Vec::new());
                }
            }
            if let Some((request, namespace)) = asks {
                let key = connection.accept(request, &SocketId::from("ann")).unwrap();
                assert_eq!(connection.namespace(key), Some(&*namespace));
                assert!(connection.emit(key, encode_event("/", "welcome", &(), None).unwrap()));
                connection.expect_ack(key, 5, now + Duration::from_secs(3)).unwrap();
            }
        }
    }

    fn joined() -> Connection {
        let mut connection = connection(Transport::WebSocket);
        let _ = run(&mut connection, at(0), &["40"]);
        connection
    }

    /// A connection whose client waits to be let in.
    fn asked() -> (Connection, ConnectRequest) {
        let mut connection = connection(Transport::WebSocket);
        let _ = run(&mut connection, at(0), &[]);
        let mut bytes = frames(&["40"]);
        let mut input = Input::new(&mut bytes);
        let Next::Event(Event::Connect { request, .. }) = connection.next(at(0), &mut input) else { panic!() };
        (connection, request)
    }

    #[test]
    fn messages_become_events_and_packets_frames() {
        let mut connection = connection(Transport::WebSocket);
        let (log, handshake) = run(&mut connection, at(0), &[]);
        assert!(log.is_empty() && !handshake.is_empty());
        let (log, written) = run(&mut connection, at(0), &["40", "43[1]", "42[\"a\"]", "435[2]"]);
        assert_eq!(log, ["connect /", "event [\"a\"]", "ack 5 [2]"]);
        let expected = [r#"40{"sid":"ann"}"#, r#"42["welcome"]"#].map(Frame::text);
        assert_eq!(written, expected.iter().flat_map(Frame::as_bytes).copied().collect::<Vec<_>>());
    }

    #[test]
    fn a_refused_client_is_told_why() {
        let (mut connection, request) = asked();
        connection.reject(request, &ConnectError::new("no"));
        let (log, written) = run(&mut connection, at(0), &[]);
        assert!(log.is_empty());
        assert_eq!(written, Frame::text(r#"44{"message":"no"}"#).as_bytes());
    }

    #[test]
    fn a_large_message_is_read_into_the_machine_unless_it_is_paused() {
        let mut connection = joined();
        let event = format!("[\"{}\"]", "x".repeat(100_000));
        let mut bytes = frames(&[&format!("42{event}")]);
        let mut unread = bytes.split_off(1000);
        let mut input = Input::new(&mut bytes);
        while !unread.is_empty() {
            connection.pause(at(0), true);
            let Next::Io(mut io) = connection.next(at(0), &mut input) else { panic!() };
            assert!(!io.wants_read() && io.read_target().is_none());
            connection.pause(at(0), false);
            let Next::Io(mut io) = connection.next(at(0), &mut input) else { panic!() };
            assert!(io.wants_read());
            let target = io.read_target().unwrap();
            let count = target.len().min(unread.len());
            target[..count].copy_from_slice(&unread[..count]);
            io.filled(count);
            unread.drain(..count);
        }
        assert_eq!(run(&mut connection, at(0), &[]).0, [format!("event {event}")]);
    }

    #[test]
    fn the_deadline_is_the_earlier_of_both_layers() {
        let mut connection = joined();
        let Next::Io(io) = connection.next(at(0), &mut Input::empty()) else { panic!() };
        assert_eq!(io.deadline(), at(3), "the ack comes before the ping");
        assert_eq!(run(&mut connection, at(3), &[]).0, ["timeout 5"]);
        let Next::Io(io) = connection.next(at(3), &mut Input::empty()) else { panic!() };
        assert_eq!(io.deadline(), at(25));
    }

    #[test]
    fn a_fault_of_the_client_closes_the_session_with_its_reason() {
        let mut connection = joined();
        let (log, written) = run(&mut connection, at(1), &["42[\"a\"}", "42[\"b\"]"]);
        assert_eq!(log, ["event [\"a\"}", "disconnect parse error", "closed parse error"]);
        assert_eq!(written, Frame::close(None).as_bytes());
        connection.handle_stream_closed(at(1));
        assert_eq!(run(&mut connection, at(1), &[]).0, ["finished"]);
    }

    #[test]
    fn the_end_of_the_session_disconnects_the_sockets_before_it_is_told() {
        let mut connection = joined();
        connection.handle_stream_closed(at(1));
        let expected = ["disconnect transport close", "closed transport close", "finished"];
        assert_eq!(run(&mut connection, at(1), &[]).0, [expected[0], expected[1], expected[2]]);
        assert!(connection.sockets.is_empty());
    }

    #[test]
    fn nobody_who_joins_nothing_stays() {
        let mut connection = connection(Transport::WebSocket);
        let _ = run(&mut connection, at(0), &[]);
        let _ = run(&mut connection, at(25), &["3"]);
        let _ = run(&mut connection, at(44), &["3"]);
        assert_eq!(run(&mut connection, at(45), &[]).0, ["closed forced close"]);
    }

    #[test]
    fn disconnect_all_says_goodbye_before_the_close() {
        let mut connection = joined();
        connection.disconnect_all();
        let (log, written) = run(&mut connection, at(1), &[]);
        assert_eq!(log, ["disconnect server namespace disconnect", "closed forced close"]);
        let expected = [Frame::text("41"), Frame::close(None)];
        assert_eq!(written, expected.iter().flat_map(Frame::as_bytes).copied().collect::<Vec<_>>());
    }

    #[test]
    fn a_socket_that_is_disconnected_leaves_the_connection_open() {
        let (mut connection, request) = asked();
        let key = connection.accept(request, &SocketId::from("ann")).unwrap();
        let _ = run(&mut connection, at(0), &[]);
        connection.disconnect(key);
        let (log, written) = run(&mut connection, at(1), &[]);
        assert_eq!(log, ["disconnect server namespace disconnect"]);
        assert_eq!(written, Frame::text("41").as_bytes());
    }

    #[test]
    fn polling_works_alike() {
        let mut connection = connection(Transport::Polling);
        let exchange = |id, kind| Exchange { id: ExchangeId(id), kind };
        let post = |body: &'static str| ExchangeKind::Post { body: body.into(), binary: false };
        connection.handle_exchange(at(0), exchange(0, ExchangeKind::Poll));
        assert_eq!(run(&mut connection, at(0), &[]).0, ["answer 200"]);
        connection.handle_exchange(at(0), exchange(1, ExchangeKind::Poll));
        connection.handle_exchange(at(0), exchange(2, post("40")));
        assert_eq!(run(&mut connection, at(0), &[]).0, vec!["connect /", "answer 200", "answer 200"]);
        connection.handle_exchange(at(0), exchange(3, ExchangeKind::Upload));
        connection.handle_refusal(at(0), ExchangeId(3));
        assert_eq!(run(&mut connection, at(0), &[]).0, [""; 0], "the caller has answered");
        connection.handle_exchange(at(0), exchange(4, post("40\u{1e}42[\"a\"]")));
        let log = run(&mut connection, at(0), &[]).0;
        assert_eq!(log[..2], ["disconnect forced close", "closed forced close"]);

        let mut connection = self::connection(Transport::Polling);
        connection.handle_exchange(at(0), exchange(0, ExchangeKind::Upload));
        connection.handle_abort(at(0), ExchangeId(0));
        assert_eq!(run(&mut connection, at(0), &[]).0[..1], ["closed transport error"], "its packets are lost");
    }
}
