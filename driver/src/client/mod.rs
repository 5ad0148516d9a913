//! The client's side; see [`Client`].

use core::fmt;
use core::future::{Future, IntoFuture};
use core::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use event_listener::Event;
use futures_channel::oneshot;
use serde::Serialize;
use socketio_protocol::SocketId;
use socketio_protocol::engine::{Packet, Transport};
use socketio_protocol::socket::EncodeError;
use socketio_protocol::socket::manager::{AckRequest, Credentials, SocketOptions};

use crate::connection::Reply;
use crate::encode::encode;
use crate::error::{AckError, EmitError};
use crate::extract::{FromPayload, TypeMap};
use crate::handler::{Erased, Handler, Table, erase};
use crate::mailbox::lock;
use crate::namespace::{ConnectHandler, DisconnectHandler, ErrorHandler};
use crate::socket::EmitWithAck;

mod builder;
mod connector;
mod cookies;
mod dial;
mod event;
mod http;
mod mailbox;
mod network;
mod proxy;
mod sockets;
mod task;
#[cfg(test)]
pub(crate) mod testing;
mod url;

use self::event::Queued;
use self::mailbox::{Mailbox, Order, Question};

pub use self::builder::{ClientBuilder, SocketBuilder};
pub use self::event::{ClientEvent, ConnectFailure, ManagerEvent, ReceivedEvent};

/// A client's socket: one namespace of one connection, which is opened again when it is lost. Cloning it counts a
/// reference.
///
/// What is emitted while it is not connected is kept, in order and up to
/// [`max_buffered`](ClientBuilder::max_buffered) bytes, and sent when it is.
///
/// When the last clone is dropped the socket is disconnected, behind what was emitted before; with the last socket the
/// connection is closed, and nothing of the client is left running. So a program that only listens keeps it.
///
/// Events go to the handlers, which start in the order of the events and do not wait for each other. Those without a handler
/// go to [`Client::next`], for programs that prefer a loop.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Inner>);

/// One socket, as its handles know it.
pub(crate) struct Inner {
    shared: Arc<Shared>,
    serial: u32,
    namespace: Box<str>,
    /// Whether events are sent until they are answered.
    retries: bool,
    ack_timeout: Option<Duration>,
    next_ack: AtomicU64,
    handlers: Mutex<Arc<Handlers>>,
    /// Counts the changes of `handlers`.
    version: AtomicUsize,
    status: Mutex<Status>,
    /// Something has come for [`Client::next`].
    arrivals: Event,
}

/// What all sockets of a client share.
struct Shared {
    mailbox: Mailbox,
    state: TypeMap,
    max_held: usize,
    /// The transport in use, as [`Shared::transport`] reads it.
    transport: AtomicU8,
    /// The namespaces that have a socket, and the serial number of the next one.
    names: Mutex<(BTreeSet<Box<str>>, u32)>,
}

/// How a socket is, as its task last said.
#[derive(Default)]
struct Status {
    id: Option<SocketId>,
    active: bool,
    recovered: bool,
    /// Nothing more comes by itself.
    over: bool,
    /// Somebody called [`Client::next`].
    pulled: bool,
    /// What waits for that.
    events: VecDeque<Queued>,
    bytes: usize,
}

type ManagerHandler = Arc<dyn Fn(&ManagerEvent) + Send + Sync>;

/// What is done about a socket's events.
#[derive(Clone, Default)]
struct Handlers {
    events: Table<Client>,
    any: Option<Erased<Client>>,
    connect: Option<ConnectHandler<crate::handler::Outcome, Client>>,
    connect_error: Option<DisconnectHandler<Client, ConnectFailure>>,
    disconnect: Option<DisconnectHandler<Client>>,
    error: Option<ErrorHandler<Client>>,
    manager: Option<ManagerHandler>,
}

impl Handlers {
    fn has_events(&self) -> bool {
        self.any.is_some() || !self.events.is_empty()
    }

    fn find(&self, event: &str) -> Option<&Erased<Client>> {
        self.events.get(event).or(self.any.as_ref())
    }
}

impl Client {
    /// Emits an event. A tuple is the argument list, `()` is none, anything else is one argument.
    ///
    /// It waits for nobody: the event is queued in the order of these calls, or kept until the socket is connected. With
    /// [`retries`](ClientBuilder::retries) it is sent until the server has answered it.
    ///
    /// # Errors
    ///
    /// Too much waits already, the client's runtime has ended, or the event cannot be encoded.
    pub fn emit(&self, event: &str, args: impl Serialize) -> Result<(), EmitError> {
        if self.0.retries {
            let id = self.next_ack();
            let packet = self.encode(event, &args, Some(id))?;
            return self.push_question(packet, id, None, None);
        }
        let packet = self.encode(event, &args, None)?;
        self.push(packet, false)
    }

    /// Emits an event that is dropped if it cannot leave at once: the socket is not connected, or something waits.
    ///
    /// # Errors
    ///
    /// As [`Client::emit`].
    pub fn emit_volatile(&self, event: &str, args: impl Serialize) -> Result<(), EmitError> {
        let packet = self.encode(event, &args, None)?;
        self.push(packet, true)
    }

    /// Emits an event and waits for the server's answer: `let (a, b): (u8, u8) = client.emit_with_ack("x", ()).await?`.
    ///
    /// The answer's type follows the rules of handlers' arguments. Nothing is sent before the `await`. Without
    /// [`EmitWithAck::timeout`] and [`ack_timeout`](ClientBuilder::ack_timeout) it waits for as long as the socket is
    /// connected, and before that until it is.
    pub fn emit_with_ack<T: FromPayload + Send + 'static>(&self, event: &str, args: impl Serialize) -> EmitWithAck<T> {
        let id = self.next_ack();
        EmitWithAck::of_client(self.clone(), self.encode(event, &args, Some(id)), id)
    }

    /// What comes next: an event without a handler, or what became of the connection. `None` when nothing more comes by
    /// itself: the client was closed, refused or disconnected, or all attempts were made. After [`Client::connect`] it goes
    /// on.
    ///
    /// Nothing is lost when the future is dropped. Who has begun to call it should go on: when
    /// [`max_held`](ClientBuilder::max_held) bytes wait here, reading stops, and after the server's ping timeout the
    /// connection is lost.
    pub async fn next(&self) -> Option<ClientEvent> {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            let arrival = self.0.arrivals.listen();
            // It may have come in between.
            if let Some(next) = self.try_next() {
                return next;
            }
            arrival.await;
        }
    }

    /// What [`Client::next`] gives, if it need not wait.
    fn try_next(&self) -> Option<Option<ClientEvent>> {
        let mut status = lock(&self.0.status);
        status.pulled = true;
        let Some(event) = status.events.pop_front() else { return status.over.then_some(None) };
        let was_full = status.bytes > self.0.shared.max_held;
        status.bytes -= event.size();
        let resumes = was_full && status.bytes <= self.0.shared.max_held;
        drop(status);
        if resumes {
            self.0.shared.mailbox.push(Order::Attend(self.0.serial));
        }
        Some(Some(event.into_event(self)))
    }

    /// Has `handler` called for each `event` from now on, in the place of an earlier one. See [`ClientBuilder::on`].
    pub fn on<P: 'static>(&self, event: &str, handler: impl Handler<P, Self>) -> &Self {
        self.change(|handlers| _ = handlers.events.set(event, erase(handler)))
    }

    /// Has `handler` called for each event without a handler of its own. See [`ClientBuilder::on_any`].
    pub fn on_any<P: 'static>(&self, handler: impl Handler<P, Self>) -> &Self {
        self.change(|handlers| handlers.any = Some(erase(handler)))
    }

    fn change(&self, change: impl FnOnce(&mut Handlers)) -> &Self {
        let mut handlers = lock(&self.0.handlers);
        let mut changed = Handlers::clone(&handlers);
        change(&mut changed);
        let old = core::mem::replace(&mut *handlers, Arc::new(changed));
        drop(handlers);
        // The handler that was replaced may drop values of the application, which may come here again.
        drop(old);
        self.0.version.fetch_add(1, Ordering::Release);
        self.0.shared.mailbox.push(Order::Attend(self.0.serial));
        self
    }

    /// The socket's id on the server, while it is connected. Every connection gives it another, unless it is recovered.
    pub fn id(&self) -> Option<String> {
        lock(&self.0.status).id.as_ref().map(|id| id.as_str().into())
    }

    /// Whether it is connected.
    pub fn is_connected(&self) -> bool {
        lock(&self.0.status).id.is_some()
    }

    /// Whether it is connected or tries to be: false after a refusal and after both sides' disconnects.
    pub fn is_active(&self) -> bool {
        lock(&self.0.status).active
    }

    /// Whether the server knew the socket when it was connected last, and has sent what it missed.
    pub fn is_recovered(&self) -> bool {
        lock(&self.0.status).recovered
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// The transport of the connection, or that which is being opened.
    pub fn transport(&self) -> Option<Transport> {
        match self.0.shared.transport.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Transport::Polling),
            _ => Some(Transport::WebSocket),
        }
    }

    /// Another namespace on the same connection.
    pub fn of(&self, namespace: &str) -> SocketBuilder {
        SocketBuilder::new(self.clone(), namespace)
    }

    /// Connects the socket again: after a refusal, a disconnect of either side, or when all attempts were made. Await it to
    /// know what became of it; it begins by then.
    pub fn connect(&self) -> Connect {
        Connect { client: Ok(self.clone()), timeout: None }
    }

    /// Disconnects the socket from its namespace, behind what was emitted before; with the last one the connection is
    /// closed. What is emitted from now on is kept for the next [`Client::connect`].
    pub fn disconnect(&self) {
        self.0.shared.mailbox.push(Order::Disconnect(self.0.serial));
    }

    /// The credentials for the connections from now on.
    ///
    /// # Errors
    ///
    /// They are no JSON object.
    pub fn set_auth(&self, auth: impl Serialize) -> Result<(), EncodeError> {
        self.0.shared.mailbox.push(Order::SetAuth(self.0.serial, Credentials::new(&auth)?));
        Ok(())
    }

    /// Disconnects all sockets of the connection, drops what is kept, and waits until what was sent and the goodbye are
    /// delivered. As after [`Client::disconnect`], what is emitted from now on is kept for the next [`Client::connect`].
    pub async fn close(&self) {
        let (sender, receiver) = oneshot::channel();
        self.0.shared.mailbox.push(Order::Close(sender));
        // An error says that the task has ended: it is closed, then.
        let _ = receiver.await;
    }

    fn encode(&self, event: &str, args: &impl Serialize, id: Option<u64>) -> Result<Packet, EmitError> {
        encode(|encoder| encoder.event(&self.0.namespace, event, args, id)).map_err(EmitError::Encode)
    }

    fn next_ack(&self) -> u64 {
        self.0.next_ack.fetch_add(1, Ordering::Relaxed)
    }

    fn push(&self, packet: Packet, volatile: bool) -> Result<(), EmitError> {
        let cost = packet.cost();
        self.0.shared.mailbox.push_packet(Order::Emit { serial: self.0.serial, packet, volatile }, cost)
    }

    /// Emits an event whose answer goes to `reply`.
    pub(crate) fn ask(&self, packet: Packet, id: u64, timeout: Option<Duration>, reply: Reply) -> Result<(), AckError> {
        self.push_question(packet, id, timeout.or(self.0.ack_timeout), Some(reply)).map_err(AckError::Emit)
    }

    fn push_question(
        &self,
        packet: Packet,
        id: u64,
        timeout: Option<Duration>,
        reply: Option<Reply>,
    ) -> Result<(), EmitError> {
        let cost = packet.cost();
        let question = Question { serial: self.0.serial, packet, id, timeout, retried: self.0.retries, reply };
        self.0.shared.mailbox.push_packet(Order::Ask(Box::new(question)), cost)
    }

    /// Nobody waits for an answer any more.
    pub(crate) fn forget(&self, id: u64) {
        self.0.shared.mailbox.push(Order::Forget(self.0.serial, id));
    }

    /// Answers an event.
    pub(crate) fn answer(&self, request: AckRequest, args: &impl Serialize) -> Result<(), EmitError> {
        let packet = encode(|encoder| encoder.ack(&self.0.namespace, request.id(), args))?;
        let cost = packet.cost();
        self.0.shared.mailbox.push_packet(Order::Answer(request, packet), cost)
    }

    pub(crate) fn state(&self) -> &TypeMap {
        &self.0.shared.state
    }
}

impl Inner {
    /// Has what came wait for [`Client::next`]. While nobody calls it, the oldest gives way when too much waits.
    fn offer(&self, event: Queued) {
        let mut status = lock(&self.status);
        status.bytes += event.size();
        status.events.push_back(event);
        let mut dropped = Vec::new();
        while !status.pulled && status.bytes > self.shared.max_held && status.events.len() > 1 {
            let Some(oldest) = status.events.pop_front() else { break };
            status.bytes -= oldest.size();
            dropped.push(oldest);
        }
        drop(status);
        if !dropped.is_empty() {
            tracing::warn!(namespace = &*self.namespace, "an event was dropped that nobody has handled");
        }
        self.arrivals.notify(usize::MAX);
    }

    /// Whether reading has to stop until [`Client::next`] is called.
    fn is_full(&self) -> bool {
        let status = lock(&self.status);
        status.pulled && status.bytes > self.shared.max_held
    }

    /// Changes what the handles see, and wakes who waits in [`Client::next`].
    fn update(&self, change: impl FnOnce(&mut Status)) {
        let mut status = lock(&self.status);
        change(&mut status);
        let over = status.over;
        drop(status);
        if over {
            self.arrivals.notify(usize::MAX);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.mailbox.push(Order::Remove(self.serial));
        lock(&self.shared.names).0.remove(&self.namespace);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("namespace", &self.0.namespace).field("id", &self.id()).finish_non_exhaustive()
    }
}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Client {}

/// An attempt to connect, to be awaited. It ends when the socket is connected, when the namespace refuses, when all attempts
/// to open the connection were made, or after [`Connect::timeout`]; of each attempt that fails
/// [`on_connect_error`](ClientBuilder::on_connect_error) is told.
#[derive(Debug)]
#[must_use = "nothing is connected before it is awaited"]
pub struct Connect {
    client: Result<Client, ConnectFailure>,
    timeout: Option<Duration>,
}

impl Connect {
    /// How long to wait: without it, for as long as there are attempts, which is for ever by default.
    ///
    /// A new client is closed by that; one that was connected before goes on trying.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl IntoFuture for Connect {
    type Output = Result<Client, ConnectFailure>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let client = self.client?;
            let (sender, receiver) = oneshot::channel();
            let order = Order::Connect { serial: client.0.serial, timeout: self.timeout, reply: Some(sender) };
            client.0.shared.mailbox.push(order);
            let gone = ConnectFailure::Closed(crate::DisconnectReason::IoClientDisconnect);
            receiver.await.unwrap_or(Err(gone)).map(|()| client)
        })
    }
}

/// What a socket is made with.
struct Setup {
    namespace: String,
    handlers: Handlers,
    options: SocketOptions,
    auth: AuthSource,
    /// What cannot be used.
    error: Option<String>,
}

/// Where credentials come from at every connection; `None`, they are in the options.
type AuthSource =
    Option<Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Credentials, EncodeError>> + Send>> + Send + Sync>>;

impl Shared {
    fn publish_transport(&self, transport: Option<Transport>) {
        let number = match transport {
            None => 0,
            Some(Transport::Polling) => 1,
            Some(_) => 2,
        };
        self.transport.store(number, Ordering::Relaxed);
    }
}
