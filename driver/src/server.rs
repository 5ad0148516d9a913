use core::fmt;
use core::future::Future;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use socketio_protocol::engine::{Config, Cookie, Cors, OriginPolicy, Transports};
use socketio_protocol::socket;
use socketio_protocol::{Instant, Random};

use crate::application::Application;
use crate::broadcast::Broadcast;
use crate::connection::{SocketMail, Sockets};
use crate::engine::{AllowRequest, Engine, Stats, seed};
use crate::error::EmitError;
use crate::extract::TypeMap;
use crate::handshake::Handshake;
use crate::mailbox::{Mailbox, lock};
use crate::namespace::Namespace;

/// A Socket.IO server. Cloning it counts a reference.
///
/// Build it, declare its namespaces' handlers, and serve it with the adapter of your runtime.
#[derive(Clone)]
pub struct Server {
    engine: Engine<SocketIo>,
}

/// Socket.IO as an [`Application`].
#[derive(Clone)]
pub struct SocketIo(pub(crate) Arc<Shared>);

/// What all of a server's sockets share.
pub(crate) struct Shared {
    pub(crate) config: Arc<socket::Config>,
    pub(crate) max_payload: usize,
    pub(crate) ack_timeout: Duration,
    pub(crate) state: TypeMap,
    namespaces: Mutex<BTreeMap<Box<str>, Namespace>>,
    random: Mutex<Random>,
    /// Handlers that have begun and not ended.
    pub(crate) handlers: AtomicUsize,
}

impl Shared {
    pub(crate) fn namespace(&self, name: &str) -> Option<Namespace> {
        lock(&self.namespaces).get(name).cloned()
    }

    pub(crate) fn socket_id(&self) -> socketio_protocol::SocketId {
        socketio_protocol::SocketId::generate(&mut lock(&self.random))
    }
}

impl Application for SocketIo {
    type Connection = Sockets;

    fn open(&self, handshake: Arc<Handshake>, mailbox: &Mailbox<SocketMail>, now: Instant) -> Sockets {
        Sockets::new(Arc::clone(&self.0), handshake, mailbox.clone(), now)
    }
}

impl Server {
    /// Begins to build a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// A server with the defaults.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// The namespace `name` (a missing `/` in front is added), which begins to exist by this call and stays. Clients that
    /// ask for any other are refused, with `Invalid namespace`; `/` is always there.
    pub fn of(&self, name: &str) -> Namespace {
        let name = if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
        let shared = &self.engine.0.application.0;
        lock(&shared.namespaces)
            .entry(name.as_str().into())
            .or_insert_with(|| Namespace::new(&name, lock(&shared.random).fork()))
            .clone()
    }

    /// Emits an event to everybody in `/`.
    ///
    /// # Errors
    ///
    /// The event cannot be encoded.
    pub fn emit(&self, event: &str, args: impl Serialize) -> Result<(), EmitError> {
        self.of("/").emit(event, args)
    }

    /// Everybody in `/` who is in `room`; see [`Broadcast::to`].
    pub fn to(&self, room: &str) -> Broadcast {
        self.of("/").to(room)
    }

    /// Disconnects everybody, reason `server shutting down`, and waits until all sessions are gone, at most `timeout`:
    /// what is left then (a handler that does not end, a client that does not take its goodbye) is dropped.
    ///
    /// New sessions are refused from now on; a server that an adapter serves stops listening when no session is left, so
    /// that who polls can come for the goodbye. Clients see a connection that
    /// was closed (`transport close`), and try to connect again: to whoever serves next.
    pub async fn shutdown(&self, timeout: Duration) {
        self.engine.shutdown(timeout).await;
    }

    /// What the server holds at this moment.
    pub fn stats(&self) -> Stats {
        let shared = &self.engine.0.application.0;
        let mut stats = self.engine.stats();
        stats.handlers = shared.handlers.load(Ordering::Relaxed);
        for namespace in lock(&shared.namespaces).values() {
            let (sockets, rooms) = namespace.counts();
            stats.sockets += sockets;
            stats.rooms += rooms;
        }
        stats
    }

    /// The Engine.IO server underneath.
    pub fn engine(&self) -> &Engine<SocketIo> {
        &self.engine
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// What an adapter can serve: a [`Server`], or an [`Engine`] with an [`Application`] of your own.
pub trait Service: Clone + Send + Sync + 'static {
    /// What stands above Engine.IO.
    type Application: Application;

    /// The Engine.IO server.
    fn engine(&self) -> &Engine<Self::Application>;
}

impl Service for Server {
    type Application = SocketIo;

    fn engine(&self) -> &Engine<SocketIo> {
        &self.engine
    }
}

impl<A: Application> Service for Engine<A> {
    type Application = A;

    fn engine(&self) -> &Self {
        self
    }
}

/// The options of a [`Server`]. Defaults are the official server's, unless said otherwise.
#[must_use]
pub struct ServerBuilder {
    path: Box<str>,
    engine: Config,
    socket: socket::Config,
    max_packet: Option<usize>,
    ack_timeout: Duration,
    state: TypeMap,
    allow_request: Option<AllowRequest>,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            path: "/socket.io/".into(),
            engine: Config::default(),
            socket: socket::Config::default(),
            max_packet: None,
            ack_timeout: Duration::from_secs(30),
            state: TypeMap::default(),
            allow_request: None,
        }
    }
}

impl ServerBuilder {
    /// A value for handlers to take as [`State`](crate::State); one per type.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.state.insert(value);
        self
    }

    /// The path of all requests, compared whole; `/socket.io/`. A missing slash at its end is added.
    pub fn path(mut self, path: &str) -> Self {
        self.path = if path.ends_with('/') { path.into() } else { format!("{path}/").into() };
        self
    }

    /// Time between two pings; 25 s.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.engine.ping_interval = interval;
        self
    }

    /// Time that a client may take to answer a ping; 20 s.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.engine.ping_timeout = timeout;
        self
    }

    /// Time that an upgrade may take; 10 s.
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.engine.upgrade_timeout = timeout;
        self
    }

    /// Time that the body of a request may take; 30 s.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.engine.body_timeout = timeout;
        self
    }

    /// Time that a client has to join its first namespace; 45 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.socket.connect_timeout = timeout;
        self
    }

    /// Time that a client may take to answer an event, where the call says nothing else; 30 s. (The official server waits
    /// for ever.)
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = timeout;
        self
    }

    /// Largest message and largest request body, in bytes; 1 000 000.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.engine.max_payload = bytes;
        self
    }

    /// Bytes that may wait for one client before its connection is closed; 8 MiB. (The official server has no limit.)
    pub fn max_queued(mut self, bytes: usize) -> Self {
        self.engine.max_queued = bytes;
        self
    }

    /// Attachments of one packet; 10.
    pub fn max_attachments(mut self, count: usize) -> Self {
        self.socket.max_attachments = count;
        self
    }

    /// Bytes of one packet with its attachments; (attachments + 1) x `max_payload`.
    pub fn max_packet(mut self, bytes: usize) -> Self {
        self.max_packet = Some(bytes);
        self
    }

    /// The transports that may be used; all.
    pub fn transports(mut self, transports: Transports) -> Self {
        self.engine.transports = transports;
        self
    }

    /// Whether clients that poll are told that they may upgrade; true.
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.engine.allow_upgrades = allow;
        self
    }

    /// Lets pages of other origins read the answers; off. See [`ServerBuilder::origins`] for who may connect at all.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.engine.cors = Some(cors);
        self
    }

    /// Whose pages may connect, by polling and by WebSocket; everybody's. (The official server guards polling only.)
    pub fn origins(mut self, origins: OriginPolicy) -> Self {
        self.engine.origins = origins;
        self
    }

    /// A cookie with the session's id, for load balancers; none.
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.engine.cookie = Some(cookie);
        self
    }

    /// A header that every response carries.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.engine.headers.push((name.into().into(), value.into().into()));
        self
    }

    /// Decides about each new session before it begins: an `Err` refuses it (status 403) with its message.
    pub fn allow_request<Fut>(mut self, allow: impl Fn(Arc<Handshake>) -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.allow_request = Some(Box::new(move |handshake| Box::pin(allow(handshake))));
        self
    }

    /// The server, with the namespace `/`.
    pub fn build(mut self) -> Server {
        let packet = (self.socket.max_attachments + 1).saturating_mul(self.engine.max_payload);
        self.socket.max_packet = self.max_packet.unwrap_or(packet);
        self.socket.attachment_timeout = self.engine.ping_interval + self.engine.ping_timeout;
        let shared = Shared {
            config: Arc::new(self.socket),
            max_payload: self.engine.max_payload,
            ack_timeout: self.ack_timeout,
            state: self.state,
            namespaces: Mutex::default(),
            random: Mutex::new(Random::new(seed())),
            handlers: AtomicUsize::new(0),
        };
        let application = SocketIo(Arc::new(shared));
        let server = Server { engine: Engine::with_hook(self.engine, &self.path, application, self.allow_request) };
        server.of("/");
        server
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("path", &self.path).finish_non_exhaustive()
    }
}
