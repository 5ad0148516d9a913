use core::fmt;
use core::future::Future;
use core::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize};
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use event_listener::Event;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use socketio_protocol::Random;
use socketio_protocol::engine::{Transport, client as engine};
use socketio_protocol::socket::manager::{self, Auth, Credentials, InvalidNamespace, SocketOptions};

use super::connector::{Connector, Options};
use super::mailbox::{Mailbox, Order};
use super::proxy::Proxy;
use super::task::ClientTask;
use super::url::{Endpoint, parse_url};
use super::{Client, Connect, ConnectFailure, Handlers, Inner, ManagerEvent, Setup, Shared, Status};
use crate::engine::seed;
use crate::error::HandlerError;
use crate::extract::TypeMap;
use crate::handler::{Handler, IntoOutcome, erase};
use crate::mailbox::lock;
use crate::namespace::{ConnectFunction, DisconnectFunction, connect_handler, disconnect_handler};
use crate::runtime::Runtime;
use crate::tls::Tls;

/// The options of a [`Client`] and its handlers. Defaults are the official client's, unless said otherwise.
#[must_use]
pub struct ClientBuilder<R> {
    runtime: R,
    engine: engine::Config,
    manager: manager::Config,
    network: Options,
    max_buffered: usize,
    max_held: usize,
    state: TypeMap,
    setup: Setup,
}

/// The options and handlers of another namespace on the connection of a [`Client`]; see [`Client::of`].
#[must_use]
pub struct SocketBuilder {
    client: Client,
    setup: Setup,
}

impl Setup {
    fn new(namespace: String) -> Self {
        Self { namespace, handlers: Handlers::default(), options: SocketOptions::default(), auth: None, error: None }
    }

    /// Notes the first option that cannot be used.
    fn check<T>(&mut self, value: Result<T, impl fmt::Display>) -> Option<T> {
        value.map_err(|error| _ = self.error.get_or_insert_with(|| error.to_string())).ok()
    }
}

/// What a [`ClientBuilder`] and a [`SocketBuilder`] have in common.
macro_rules! socket_options {
    () => {
        /// The credentials that every CONNECT carries: anything that serde writes as an object.
        pub fn auth(mut self, auth: impl Serialize) -> Self {
            let auth = Credentials::new(&auth).map_err(|_| "the credentials are no JSON object");
            if let Some(auth) = self.setup.check(auth) {
                self.setup.options.auth = Auth::Given(auth);
                self.setup.auth = None;
            }
            self
        }

        /// Has the credentials asked for at every CONNECT, the first one and those after a lost connection: for tokens
        /// that expire. If they are no object, `on_error` is told of an event `auth`, and the socket stays disconnected.
        pub fn auth_with<F, Fut, T>(mut self, auth: F) -> Self
        where
            F: Fn() -> Fut + Send + Sync + 'static,
            Fut: Future<Output = T> + Send + 'static,
            T: Serialize,
        {
            self.setup.options.auth = Auth::Asked;
            self.setup.auth = Some(Arc::new(move || {
                let auth = auth();
                Box::pin(async move { Credentials::new(&auth.await) })
            }));
            self
        }

        /// How often an event that the server has not answered is sent again; 0. With more, every event asks for an answer,
        /// and the next one is not sent before: at least once, in order. The server has to know what it has seen already.
        pub fn retries(mut self, retries: u32) -> Self {
            self.setup.options.retries = retries;
            self
        }

        /// How long the answer to an event, or with retries to each try, may take, where the call says nothing else; for
        /// ever.
        pub fn ack_timeout(mut self, timeout: Duration) -> Self {
            self.setup.options.ack_timeout = Some(timeout);
            self
        }

        /// Has `handler` called for each `event`. The handlers start in the order of the events, and the next one does not
        /// wait for one that waits. What a handler fails of, or panics with, is told to `on_error`; the client lives.
        pub fn on<P: 'static>(mut self, event: &str, handler: impl Handler<P, Client>) -> Self {
            self.setup.handlers.events.set(event, erase(handler));
            self
        }

        /// Has `handler` called for each event without a handler of its own; [`EventName`](crate::EventName) says which.
        pub fn on_any<P: 'static>(mut self, handler: impl Handler<P, Client>) -> Self {
            self.setup.handlers.any = Some(erase(handler));
            self
        }

        /// Has `handler` called when the socket is connected, and so after each reconnection. Until it has finished, events
        /// without a handler are held, and what comes behind them, so that it can declare one with [`Client::on`]. One that
        /// does not end holds them for ever: spawn a task for that.
        pub fn on_connect<P: 'static, T: IntoOutcome + 'static>(
            mut self,
            handler: impl ConnectFunction<P, T, Client>,
        ) -> Self {
            self.setup.handlers.connect = Some(connect_handler(handler));
            self
        }

        /// Has `handler` called each time that the socket could not be connected; it takes the [`Client`], the
        /// [`ConnectFailure`] and [`State`](crate::State), as it likes. [`Client::is_active`] tells whether it is tried
        /// again.
        pub fn on_connect_error<P: 'static>(
            mut self,
            handler: impl DisconnectFunction<P, Client, ConnectFailure>,
        ) -> Self {
            self.setup.handlers.connect_error = Some(disconnect_handler(handler));
            self
        }

        /// Has `handler` called when the socket is connected no more; it takes the [`Client`], the
        /// [`DisconnectReason`](crate::DisconnectReason) and [`State`](crate::State), as it likes.
        pub fn on_disconnect<P: 'static>(mut self, handler: impl DisconnectFunction<P, Client>) -> Self {
            self.setup.handlers.disconnect = Some(disconnect_handler(handler));
            self
        }

        /// Has `handler` told of each event whose handler failed or panicked, or whose arguments have another shape than the
        /// handler takes. Without it, they are logged by `tracing`.
        pub fn on_error(mut self, handler: impl Fn(&Client, &str, &HandlerError) + Send + Sync + 'static) -> Self {
            self.setup.handlers.error = Some(Arc::new(handler));
            self
        }

        /// Has `handler` told what becomes of the connection: attempts, errors, the upgrade.
        pub fn on_manager(mut self, handler: impl Fn(&ManagerEvent) + Send + Sync + 'static) -> Self {
            self.setup.handlers.manager = Some(Arc::new(handler));
            self
        }

        /// Connects, and waits until that has succeeded or has failed for good. To be called within the runtime.
        pub fn connect(self) -> Connect {
            Connect { client: self.make(false), timeout: None }
        }

        /// Begins to connect, and waits for nothing: what is emitted meanwhile is kept. To be called within the runtime.
        ///
        /// # Errors
        ///
        /// The URL or an option cannot be used.
        pub fn start(self) -> Result<Client, ConnectFailure> {
            self.make(true)
        }
    };
}

impl<R: Runtime> ClientBuilder<R> {
    /// A client of the server at `url`: `http`, `https`, `ws` or `wss`. As in JavaScript, its path is the namespace, and its
    /// query is sent with each request.
    pub fn new(runtime: R, url: &str) -> Self {
        let mut setup = Setup::new("/".into());
        let mut engine = engine::Config::default();
        engine.path = "/socket.io/".into();
        let mut network = Options {
            url: Endpoint { secure: false, host: String::new(), port: 0 },
            headers: HeaderMap::new(),
            proxy: None,
            tls: Tls::default(),
        };
        if let Some(parsed) = setup.check(parse_url(url)) {
            network.url = parsed.endpoint;
            setup.namespace = parsed.namespace;
            engine.query = parsed.query;
        }
        // What waits is limited before it reaches the machine, for the caller to be told.
        let mut manager = manager::Config::default();
        (manager.max_buffered, manager.max_buffered_packets) = (usize::MAX, usize::MAX);
        // The connection has its own.
        manager.timeout = None;
        Self {
            runtime,
            engine,
            manager,
            network,
            max_buffered: 8 << 20,
            max_held: 8 << 20,
            state: TypeMap::default(),
            setup,
        }
    }

    /// The namespace, in the place of the URL's path. A missing slash in front is added.
    pub fn namespace(mut self, name: &str) -> Self {
        self.setup.namespace = with_slash(name);
        self
    }

    /// The path of the server; `/socket.io/`. A missing slash at its end is added.
    pub fn path(mut self, path: &str) -> Self {
        let end = if path.ends_with('/') { "" } else { "/" };
        self.engine.path = format!("{path}{end}").into();
        self
    }

    /// A parameter of each request's query; escaped as by JavaScript's `encodeURIComponent`.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.engine.add_query(name, value);
        self
    }

    /// A header of each request, the WebSocket's too (`extraHeaders`).
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = self.setup.check(HeaderName::try_from(name));
        let value = self.setup.check(HeaderValue::try_from(value));
        if let (Some(name), Some(value)) = (name, value) {
            self.network.headers.append(name, value);
        }
        self
    }

    /// The transports in the order in which they are tried; WebSocket, then polling. (The official client's order is the
    /// reverse, which costs every client an upgrade.) A session that was opened by polling is upgraded if WebSocket comes
    /// later.
    pub fn transports(mut self, transports: &[Transport]) -> Self {
        self.engine.transports = transports.to_vec().into();
        self
    }

    /// Whether the next transport is tried where one cannot be opened; true. (The official client's default is false.)
    pub fn try_all_transports(mut self, all: bool) -> Self {
        self.engine.try_all_transports = all;
        self
    }

    /// Whether a session that was opened by polling is upgraded; true.
    pub fn upgrade(mut self, upgrade: bool) -> Self {
        self.engine.upgrade = upgrade;
        self
    }

    /// How the server's certificate is checked; by the system's roots.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.network.tls = tls;
        self
    }

    /// An HTTP proxy, `http://user:password@host:port`, through which all connections go by `CONNECT`; none.
    pub fn proxy(mut self, url: &str) -> Self {
        self.network.proxy = self.setup.check(Proxy::parse(url));
        self
    }

    /// Whether a connection that could not be opened, or was lost, is opened again; true.
    pub fn reconnection(mut self, reconnection: bool) -> Self {
        self.manager.reconnection = reconnection;
        self
    }

    /// How often in a row; without limit.
    pub fn reconnection_attempts(mut self, attempts: u32) -> Self {
        self.manager.reconnection_attempts = Some(attempts);
        self
    }

    /// The delay before the first of these attempts, doubled with each; 1 s.
    pub fn reconnection_delay(mut self, delay: Duration) -> Self {
        self.manager.reconnection_delay = delay;
        self
    }

    /// The longest delay; 5 s.
    pub fn reconnection_delay_max(mut self, delay: Duration) -> Self {
        self.manager.reconnection_delay_max = delay;
        self
    }

    /// The part of a delay that chance adds or takes away; 0.5.
    pub fn randomization_factor(mut self, factor: f64) -> Self {
        self.manager.randomization_factor = factor;
        self
    }

    /// Time that one attempt to open the connection may take, all transports together; 20 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.engine.connect_timeout = timeout;
        self
    }

    /// Time that the namespace's answer to CONNECT may take; 20 s. (The official client waits for ever.)
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.manager.connect_timeout = Some(timeout);
        self
    }

    /// Largest message of the server and largest answer to a poll, in bytes; 100 MiB.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.engine.max_payload = bytes;
        self
    }

    /// Attachments of one packet; 10. (The official client has no limit.)
    pub fn max_attachments(mut self, count: usize) -> Self {
        self.manager.max_attachments = count;
        self
    }

    /// Bytes of one packet of the server with its attachments; 11 000 000. (The official client has no limit.)
    pub fn max_packet(mut self, bytes: usize) -> Self {
        self.manager.max_packet = bytes;
        self
    }

    /// Bytes that may wait to be sent, for a connection or on it, all sockets together, where each event counts 64 bytes
    /// more than it has; 8 MiB. What does not fit is an error of the call that emits it. (The official client has no limit.)
    pub fn max_buffered(mut self, bytes: usize) -> Self {
        self.max_buffered = bytes;
        self
    }

    /// Bytes of events that may wait for handlers or for [`Client::next`], for each socket; 8 MiB. Reading stops at that;
    /// what came in one answer to a poll is taken whole.
    pub fn max_held(mut self, bytes: usize) -> Self {
        self.max_held = bytes;
        self
    }

    /// A value for handlers to take as [`State`](crate::State); one per type.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.state.insert(value);
        self
    }

    socket_options!();

    /// The client's first handle, and its task.
    fn make(self, starts: bool) -> Result<Client, ConnectFailure> {
        let shared = Arc::new(Shared {
            mailbox: Mailbox::new(self.max_buffered),
            state: self.state,
            max_held: self.max_held,
            transport: AtomicU8::new(0),
            names: Mutex::default(),
        });
        let client = Client::make(&shared, self.setup, starts)?;
        let connector = Connector::new(self.runtime.clone(), self.network);
        let random = Random::new(seed());
        let task = ClientTask::new(self.runtime.clone(), connector, shared, self.engine, self.manager, random);
        self.runtime.spawn(task);
        Ok(client)
    }
}

impl SocketBuilder {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { client, setup: Setup::new(with_slash(namespace)) }
    }

    socket_options!();

    fn make(self, starts: bool) -> Result<Client, ConnectFailure> {
        Client::make(&self.client.0.shared, self.setup, starts)
    }
}

impl Client {
    /// A socket of a client, announced to its task. It is to be connected at once if it `starts`.
    fn make(shared: &Arc<Shared>, setup: Setup, starts: bool) -> Result<Self, ConnectFailure> {
        if let Some(error) = setup.error {
            return Err(ConnectFailure::Invalid(error));
        }
        let name = setup.namespace.as_str();
        if InvalidNamespace::check(name).is_err() {
            return Err(ConnectFailure::Invalid(format!("{name:?} is no name of a namespace")));
        }
        let mut names = lock(&shared.names);
        let (known, next): &mut (BTreeSet<Box<str>>, u32) = &mut names;
        if !known.insert(name.into()) {
            return Err(ConnectFailure::Invalid(format!("the client has a socket of {name} already")));
        }
        let serial = *next;
        *next = next.wrapping_add(1);
        drop(names);
        let inner = Arc::new(Inner {
            shared: Arc::clone(shared),
            serial,
            namespace: name.into(),
            retries: setup.options.retries > 0,
            ack_timeout: setup.options.ack_timeout,
            next_ack: AtomicU64::new(0),
            handlers: Mutex::new(Arc::new(setup.handlers)),
            version: AtomicUsize::new(0),
            status: Mutex::new(Status { active: true, ..Status::default() }),
            arrivals: Event::new(),
        });
        let order =
            Order::Add { inner: Arc::downgrade(&inner), options: Box::new(setup.options), auth: setup.auth, starts };
        shared.mailbox.push(order);
        Ok(Self(inner))
    }
}

fn with_slash(namespace: &str) -> String {
    let slash = if namespace.starts_with('/') { "" } else { "/" };
    format!("{slash}{namespace}")
}

impl<R> fmt::Debug for ClientBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("namespace", &self.setup.namespace).finish_non_exhaustive()
    }
}

impl fmt::Debug for SocketBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketBuilder").field("namespace", &self.setup.namespace).finish_non_exhaustive()
    }
}
