//! A Socket.IO client as one machine: sockets, and the connection that they share, opened again when it is lost.
//!
//! [`Client`] is for those who connect from a loop, thread or runtime of their own: it hands the messages of one
//! [`engine::client::Client`] after the other to a [`Manager`], its packets back, and opens and closes the connection when
//! the manager says so. What sockets are promised, and what becomes of errors, stands [there](crate::socket::manager).
//!
//! # The run loop
//!
//! 1. Make it by [`Client::new`], a [`socket`](Client::socket) for each namespace, and [`connect`](Client::connect) them.
//! 2. Call [`Client::next`] with the time and the bytes that were read, until it answers [`Next::Io`]. Do at once what it
//!    tells: an [`Event`] for the application, an HTTP request to be made or given up, a WebSocket stream to be opened or
//!    dropped. What becomes of them is told by the `handle_*` methods. What is told of a request that was given up is
//!    ignored, whenever it comes: no two requests of a client have the same id. There is one stream at a time, without an
//!    id: of one that was dropped, or has ended, nothing more is told.
//! 3. [`Io`] offers bytes to write, tells whether to read, and until when to wait. Do what of this happens first, or call a
//!    method because the application wants something; then go to step 2. Several calls may follow each other: what was
//!    received is told before what has failed or timed out since.
//! 4. After [`Client::close`], [`Client::is_idle`] says when everything is told and delivered.
//!
//! The example `blocking_client` is this loop on threads, with everything around it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use socketio_protocol::client::{Client, Next};
//! use socketio_protocol::engine::Transport;
//! use socketio_protocol::socket::manager::{Event, SocketOptions};
//! use socketio_protocol::{Input, Instant, Random, Seed, engine, socket};
//!
//! let mut engine = engine::client::Config::default();
//! engine.path = "/socket.io/".into();
//! engine.transports = vec![Transport::Polling].into();
//! let now = Instant::EPOCH; // from your clock
//! let random = Random::new(Seed::new([0; 32])); // from your operating system
//! let mut client = Client::new(Arc::new(engine), Arc::new(socket::manager::Config::default()), random, now);
//! let socket = client.socket("/", SocketOptions::default())?;
//! client.connect(now, socket);
//!
//! // Carries out nothing yet: shows what is to be done.
//! let run = |client: &mut Client| {
//!     let mut requests = Vec::new();
//!     loop {
//!         match client.next(now, &mut Input::empty()) {
//!             Next::Request(request) => requests.push(request),
//!             Next::Event(Event::Connect { .. }) => println!("connected"),
//!             Next::Io(_) => return requests,
//!             _ => {}
//!         }
//!     }
//! };
//! let [handshake] = &run(&mut client)[..] else { panic!() };
//! assert!(handshake.target.starts_with("/socket.io/?EIO=4&transport=polling&t="));
//! let answer = r#"0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
//! client.handle_response(now, handshake.id, 200, answer.into());
//! let [post, poll] = &run(&mut client)[..] else { panic!() };
//! assert_eq!((&post.body[..], poll.method()), (&b"40"[..], "GET"));
//! client.handle_response(now, post.id, 200, "ok".into());
//! client.handle_response(now, poll.id, 200, r#"40{"sid":"x"}"#.into());
//! run(&mut client);
//! assert_eq!(client.id(socket).unwrap().as_str(), "x");
//! # Ok::<(), socket::manager::InvalidNamespace>(())
//! ```

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::engine::client::{Cause, Request, RequestId};
use crate::engine::{self, CloseReason, Packet, Transport};
use crate::socket::SocketKey;
use crate::socket::manager::{
    self, AckRequest, Auth, AuthRequest, Credentials, EmitError, Event, ExpectedAck, InvalidNamespace, Manager,
    OpenError, SocketOptions, Step,
};
use crate::{Input, Instant, Random, SocketId};

/// What a [`Client`] wants next: `'a` is the loan of the client, `'m` the shorter one of the client and the input.
#[derive(Debug)]
#[must_use]
pub enum Next<'a, 'm> {
    /// Something happened to a socket or to the connection.
    Event(Event<'m>),
    /// An HTTP request is to be made.
    Request(Request),
    /// An HTTP request is to be given up.
    CancelRequest(RequestId),
    /// A WebSocket stream is to be opened, by a request with this target: path and query.
    OpenStream(String),
    /// The WebSocket stream took over from polling.
    Upgraded,
    /// The WebSocket stream is no longer wanted, opened or not: shut it down and drop it, and tell no more of it. What is
    /// told afterwards would be taken for news of the next stream.
    CloseStream,
    /// Something was taken that is nothing to tell: call again.
    Continue,
    /// Nothing is left to do without the outside world.
    Io(Io<'a>),
}

/// What a [`Client`] waits for, all of it at once. Idempotent: dropping it loses nothing.
#[derive(Debug)]
pub struct Io<'a> {
    session: Option<engine::client::Io<'a>>,
    deadline: Option<Instant>,
}

impl Io<'_> {
    /// When to call [`Client::next`] at the latest; `None`, not before something happens.
    pub fn deadline(&self) -> Option<Instant> {
        let session = self.session.as_ref().map(engine::client::Io::deadline);
        [self.deadline, session].into_iter().flatten().min()
    }

    /// The bytes to be written to the WebSocket stream, in order. Empty when there is nothing to write; behind what was
    /// [written](Io::written) there may be more.
    pub fn pending(&self) -> impl Iterator<Item = &[u8]> {
        self.session.iter().flat_map(engine::client::Io::pending)
    }

    /// The first `count` bytes of [`Io::pending`] were written.
    pub fn written(&mut self, count: usize) {
        if let Some(session) = &mut self.session {
            session.written(count);
        }
    }

    /// All bytes to be written, to be written whole and in order: [`Io::pending`] and [`Io::written`] in one, for who writes
    /// at leisure.
    pub fn take_pending(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let before = bytes.len();
            self.pending().for_each(|part| bytes.extend_from_slice(part));
            if bytes.len() == before {
                return bytes;
            }
            self.written(bytes.len() - before);
        }
    }

    /// Whether there is a WebSocket stream that should be read from.
    pub fn wants_read(&self) -> bool {
        self.session.as_ref().is_some_and(engine::client::Io::wants_read)
    }

    /// Room to read into directly, in the middle of a large message; else read into a buffer of your own and lend it to
    /// [`Client::next`]. Tell with [`Io::filled`] how much was read.
    pub fn read_target(&mut self) -> Option<&mut [u8]> {
        self.session.as_mut()?.read_target()
    }

    /// `count` bytes were read into [`Io::read_target`].
    pub fn filled(&mut self, count: usize) {
        if let Some(session) = &mut self.session {
            session.filled(count);
        }
    }
}

/// A Socket.IO client.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Client {
    config: Arc<engine::client::Config>,
    random: Random,
    /// The latest time that was told.
    now: Instant,
    manager: Manager,
    /// The connection, until its last bytes are delivered.
    link: Option<Box<Link>>,
    /// The manager wants another connection, as soon as the last one is gone.
    wanted: bool,
    /// Without a connection, the number of the last request of those that are gone: the next one goes on from there, so that what is
    /// told of a request is never taken for news of another.
    requests: u64,
    /// How many connections there were.
    connections: u64,
}

#[derive(Clone, Debug, PartialEq, Hash)]
struct Link {
    session: engine::client::Client,
    /// The manager has not given it up, and has not been told of its end.
    attached: bool,
    /// Nothing is left to be delivered.
    over: bool,
}

impl Client {
    /// A client without sockets: nothing happens before [`Client::connect`].
    ///
    /// Of the two limits of the time that opening may take, the manager's `timeout` and the connection's
    /// `connect_timeout`, the earlier counts.
    pub fn new(
        engine: Arc<engine::client::Config>,
        sockets: Arc<manager::Config>,
        mut random: Random,
        now: Instant,
    ) -> Self {
        let manager = Manager::new(sockets, random.fork(), now);
        Self { config: engine, random, now, manager, link: None, wanted: false, requests: 0, connections: 0 }
    }

    /// The one way forward: what `now` and `input` lead to.
    ///
    /// `input` is what was read from the WebSocket stream since the last call. When [`Next::Io`] comes, all of it is
    /// taken; until then pass the same again.
    pub fn next<'a: 'm, 'b: 'm, 'm>(&'a mut self, now: Instant, input: &mut Input<'b>) -> Next<'a, 'm> {
        let now = self.tick(now);
        let deadline = loop {
            match self.manager.advance(now) {
                Step::Arrival(arrival) => return Next::Event(self.manager.event(arrival)),
                Step::Next(manager::Next::Event(event)) => return Next::Event(event),
                Step::Next(manager::Next::Open { .. }) => self.wanted = true,
                Step::Next(manager::Next::Transmit(packet)) => {
                    if let Some(link) = self.link.as_mut().filter(|link| link.attached) {
                        // A session that is over tells it by itself.
                        let _ = link.session.send(now, packet);
                    }
                }
                Step::Next(manager::Next::Close(_)) => {
                    self.wanted = false;
                    if let Some(link) = &mut self.link {
                        link.attached = false;
                        link.session.close(now);
                    }
                }
                Step::Next(manager::Next::Wait(deadline)) => break deadline,
            }
        };
        // What was emitted on the last one is still delivered; nobody waits for the server's goodbye.
        if let Some(link) = self.link.as_mut().filter(|link| self.wanted && link.session.queued() == 0) {
            link.session.abort(now, CloseReason::ForcedClose);
        }
        if let Some(link) = self.link.take_if(|link| link.over) {
            self.requests = link.session.requests();
        }
        if self.link.is_none() && core::mem::take(&mut self.wanted) {
            let mut session = engine::client::Client::new(Arc::clone(&self.config), self.random.fork(), now);
            session.count_requests_from(core::mem::take(&mut self.requests));
            self.connections += 1;
            self.link = Some(Box::new(Link { session, attached: true, over: false }));
        }
        let Some(link) = self.link.as_deref_mut() else {
            input.take(input.len());
            return Next::Io(Io { session: None, deadline });
        };
        let manager = link.attached.then_some(&mut self.manager);
        let transport = link.session.transport();
        match (link.session.next(now, input), manager) {
            (engine::client::Next::Message(message), Some(manager)) => match manager.handle(message) {
                Some(arrival) => return Next::Event(manager.event(arrival)),
                None => return Next::Continue,
            },
            (engine::client::Next::Opened, Some(manager)) => manager.handle_opened(now),
            (engine::client::Next::Failed(error), Some(manager)) => {
                let error = match error {
                    engine::client::OpenError::Timeout => OpenError::Timeout,
                    error => OpenError::Transport(error.to_string().into()),
                };
                manager.handle_open_failed(now, error);
                link.attached = false;
            }
            (engine::client::Next::Closed(reason, cause), Some(manager)) => {
                if reason == CloseReason::TransportError {
                    // Like an attempt to open the connection: which transport, then why.
                    let cause = cause.map(|cause| alloc::format!(": {cause}")).unwrap_or_default();
                    let words = alloc::format!("{} error{cause}", transport.name());
                    manager.handle_error(OpenError::Transport(words.into()));
                }
                manager.handle_closed(now, reason);
                link.attached = false;
            }
            (engine::client::Next::Ping, Some(_)) => return Next::Event(Event::Ping),
            (engine::client::Next::Request(request), _) => return Next::Request(request),
            (engine::client::Next::CancelRequest(id), _) => return Next::CancelRequest(id),
            (engine::client::Next::OpenStream(target), _) => return Next::OpenStream(target),
            (engine::client::Next::Upgraded, _) => return Next::Upgraded,
            (engine::client::Next::CloseStream, _) => return Next::CloseStream,
            (engine::client::Next::Io(session), _) => return Next::Io(Io { session: Some(session), deadline }),
            (engine::client::Next::Finished, _) => link.over = true,
            // The manager has given the connection up.
            (_, None) => {}
        }
        Next::Continue
    }

    /// The answer to a request, with its whole body.
    pub fn handle_response(&mut self, now: Instant, request: RequestId, status: u16, body: Bytes) {
        let now = self.tick(now);
        if let Some(link) = &mut self.link {
            link.session.handle_response(now, request, status, body);
        }
    }

    /// A request could not be made, or its answer did not come whole; `reason` is for the application to read.
    pub fn handle_request_failed(&mut self, now: Instant, request: RequestId, reason: impl Into<Cause>) {
        let now = self.tick(now);
        if let Some(link) = &mut self.link {
            link.session.handle_request_failed(now, request, reason);
        }
    }

    /// The stream of [`Next::OpenStream`] is a WebSocket now.
    pub fn handle_stream_opened(&mut self, now: Instant) {
        let now = self.tick(now);
        if let Some(link) = &mut self.link {
            link.session.handle_stream_opened(now);
        }
    }

    /// The stream was closed by the server, and all that was read from it was lent to [`Client::next`].
    pub fn handle_stream_closed(&mut self, now: Instant) {
        let now = self.tick(now);
        if let Some(link) = &mut self.link {
            link.session.handle_stream_closed(now);
        }
    }

    /// The stream could not be opened, or it broke, and all that was read from it was lent to [`Client::next`]; `reason` is
    /// for the application to read.
    pub fn handle_stream_failed(&mut self, now: Instant, reason: impl Into<Cause>) {
        let now = self.tick(now);
        if let Some(link) = &mut self.link {
            link.session.handle_stream_failed(now, reason);
        }
    }

    /// The socket of a namespace, made if there is none; see [`Manager::socket`].
    ///
    /// # Errors
    ///
    /// The name cannot be one.
    pub fn socket(&mut self, namespace: &str, options: SocketOptions) -> Result<SocketKey, InvalidNamespace> {
        self.manager.socket(namespace, options)
    }

    /// Connects a socket; see [`Manager::connect`].
    pub fn connect(&mut self, now: Instant, socket: SocketKey) {
        let now = self.tick(now);
        self.manager.connect(now, socket);
    }

    /// Disconnects a socket; see [`Manager::disconnect`].
    pub fn disconnect(&mut self, socket: SocketKey) {
        self.manager.disconnect(socket);
    }

    /// Disconnects a socket and forgets it; see [`Manager::remove`].
    pub fn remove(&mut self, socket: SocketKey) {
        self.manager.remove(socket);
    }

    /// Disconnects all sockets and closes the connection; see [`Manager::close`].
    pub fn close(&mut self) {
        self.manager.close();
    }

    /// Gives a socket its credentials; see [`Manager::authenticate`].
    pub fn authenticate(&mut self, now: Instant, request: AuthRequest, auth: &Credentials) {
        let now = self.tick(now);
        self.manager.authenticate(now, request, auth);
    }

    /// There are no credentials for a socket; see [`Manager::decline`].
    pub fn decline(&mut self, request: AuthRequest) -> bool {
        self.manager.decline(request)
    }

    /// Where a socket's credentials come from, from the next connection on.
    pub fn set_auth(&mut self, socket: SocketKey, auth: Auth) {
        self.manager.set_auth(socket, auth);
    }

    /// An id for the next event of a socket that is to be answered.
    pub fn ack_id(&mut self, socket: SocketKey) -> u64 {
        self.manager.ack_id(socket)
    }

    /// Sends an event, or keeps it until its socket is connected; see [`Manager::emit`].
    ///
    /// # Errors
    ///
    /// The event is dropped, and nothing awaited: see [`EmitError`].
    pub fn emit(&mut self, socket: SocketKey, packet: Packet, ack: Option<ExpectedAck>) -> Result<(), EmitError> {
        self.manager.emit(socket, packet, ack)
    }

    /// Nobody waits for an answer any more; see [`Manager::forget_ack`].
    pub fn forget_ack(&mut self, socket: SocketKey, id: u64) {
        self.manager.forget_ack(socket, id);
    }

    /// Sends an event if that is possible at once; see [`Manager::emit_volatile`].
    ///
    /// # Errors
    ///
    /// Too many answers are awaited.
    pub fn emit_volatile(
        &mut self,
        socket: SocketKey,
        packet: Packet,
        ack: Option<ExpectedAck>,
    ) -> Result<bool, EmitError> {
        let writable = self.link.as_ref().is_some_and(|link| link.attached && link.session.is_writable());
        self.manager.emit_volatile(socket, packet, ack, writable)
    }

    /// Sends an event until it is answered; see [`Manager::emit_with_retries`].
    ///
    /// # Errors
    ///
    /// The event is dropped: see [`EmitError`].
    pub fn emit_with_retries(
        &mut self,
        now: Instant,
        socket: SocketKey,
        packet: Packet,
        id: u64,
        timeout: Option<Duration>,
    ) -> Result<(), EmitError> {
        let now = self.tick(now);
        self.manager.emit_with_retries(now, socket, packet, id, timeout)
    }

    /// Answers an event. False if its socket was disconnected meanwhile: then the answer is dropped.
    pub fn answer(&mut self, request: AckRequest, answer: Packet) -> bool {
        self.manager.answer(request, answer)
    }

    /// The socket's name on the server, while it is connected.
    pub fn id(&self, socket: SocketKey) -> Option<&SocketId> {
        self.manager.id(socket)
    }

    /// The sockets and their connection, to be asked about.
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// The transport that carries messages now, or is being opened.
    pub fn transport(&self) -> Option<Transport> {
        self.link.as_ref().map(|link| link.session.transport())
    }

    /// How many connections were begun to be opened so far. While it stays the same, [`Client::transport`] is of the same
    /// one.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// Goes on with the numbers of other requests.
    #[cfg(test)]
    pub(crate) fn count_requests_from(&mut self, count: u64) {
        self.requests = count;
    }

    /// The number of the request that was made last.
    #[cfg(test)]
    pub(crate) fn requests(&self) -> u64 {
        self.link.as_ref().map_or(self.requests, |link| link.session.requests())
    }

    /// Bytes that wait to be sent over the connection; see [`engine::client::Client::queued`].
    pub fn queued(&self) -> usize {
        self.link.as_ref().map_or(0, |link| link.session.queued())
    }

    /// Whether nothing is kept, awaited, timed, to be said or to be delivered, and no connection wanted.
    pub fn is_idle(&self) -> bool {
        self.link.is_none() && !self.wanted && self.manager.is_idle()
    }

    /// Time never runs backwards, from one connection to the next either.
    fn tick(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }
}

#[cfg(test)]
mod tests;
