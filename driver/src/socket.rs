use core::fmt;
use core::future::{Future, IntoFuture};
use core::marker::PhantomData;
use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::panic::{catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};

use futures_channel::oneshot;
use serde::{Deserialize, Serialize};
use socketio_protocol::SocketId;
use socketio_protocol::engine::Packet;
use socketio_protocol::rooms::Slot;
use socketio_protocol::socket::{DecodeError, Encoded, Payload, SocketKey};

use crate::broadcast::Broadcast;
use crate::client::Client;
use crate::connection::{Order, Question, Reply, SocketMail};
use crate::encode::encode;
use crate::error::{AckError, EmitError};
use crate::extract::{FromPayload, TypeMap};
use crate::handler::{Erased, Handler, Table, erase};
use crate::handshake::Handshake;
use crate::mailbox::{Mail, Mailbox, lock};
use crate::namespace::{DisconnectFunction, DisconnectHandler, Namespace, Recipient, disconnect_handler};
use crate::outbox;
use crate::server::Shared;

/// A client in a namespace. Cloning it counts a reference.
///
/// A client that comes again, after its connection broke for example, is a new socket with a new id. What is kept beyond
/// the life of its socket does no harm: it emits nothing ([`EmitError::NotConnected`]) and joins nothing any more.
#[derive(Clone)]
pub struct Socket(Arc<Inner>);

struct Inner {
    id: SocketId,
    namespace: Namespace,
    shared: Arc<Shared>,
    mailbox: Mailbox<SocketMail>,
    handshake: Arc<Handshake>,
    /// The JSON of the CONNECT's payload; empty if there was none.
    auth: Box<str>,
    connected: AtomicBool,
    /// Set once the client was let in.
    place: OnceLock<(SocketKey, Slot)>,
    own: Mutex<Life>,
    /// Whether it has handlers of its own, so that most sockets need not look.
    own_events: AtomicBool,
}

/// Whether a socket may have anything of its own. Most have nothing.
#[derive(Default)]
struct Life {
    /// The socket is gone: what is declared from now on is dropped.
    gone: bool,
    own: Option<Box<Own>>,
}

impl Life {
    /// What the socket owns, to be added to. `None` once it is gone.
    fn own(&mut self) -> Option<&mut Own> {
        if self.gone { None } else { Some(self.own.get_or_insert_default()) }
    }
}

/// What belongs to one socket and dies with it.
#[derive(Default)]
struct Own {
    events: Table,
    disconnect: Option<DisconnectHandler>,
    /// Rooms joined before the client was let in.
    rooms: Vec<Box<str>>,
}

impl Socket {
    pub(crate) fn new(
        namespace: Namespace,
        shared: &Arc<Shared>,
        mailbox: Mailbox<SocketMail>,
        handshake: Arc<Handshake>,
        auth: &str,
    ) -> Self {
        Self(Arc::new(Inner {
            id: shared.socket_id(),
            namespace,
            shared: Arc::clone(shared),
            mailbox,
            handshake,
            auth: auth.into(),
            connected: AtomicBool::new(false),
            place: OnceLock::new(),
            own: Mutex::default(),
            own_events: AtomicBool::new(false),
        }))
    }

    /// Its public id, which is also the name of the room that it alone is in.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The namespace that it is in.
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// The request that its connection began with.
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// The credentials that the client sent with its CONNECT; `{}` when there were none.
    ///
    /// # Errors
    ///
    /// They have another shape.
    pub fn auth<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
        Payload::auth(&self.0.auth).decode()
    }

    /// Whether it is connected: false in the namespace's middleware, which decides about that, and once it is gone.
    pub fn is_connected(&self) -> bool {
        self.0.connected.load(Ordering::Acquire)
    }

    /// Emits an event to the client. A tuple is the argument list, `()` is none, anything else is one argument.
    ///
    /// It waits for nobody: the event is queued, in the order of these calls.
    ///
    /// # Errors
    ///
    /// The socket is not connected, too much waits for the client already, or the event cannot be encoded.
    pub fn emit(&self, event: &str, args: impl Serialize) -> Result<(), EmitError> {
        encode(|encoder| self.send_encoded(encoder.write_event(self.namespace_name(), event, &args, None)?))
    }

    /// Emits an event and waits for the client's answer: `let (a, b): (u8, u8) = socket.emit_with_ack("x", ()).await?`.
    ///
    /// The answer's type follows the rules of handlers' arguments. Nothing is sent before the `await`. Without an answer it
    /// ends with [`AckError::Timeout`] after the server's [`ack_timeout`](crate::ServerBuilder::ack_timeout), or after
    /// [`EmitWithAck::timeout`].
    pub fn emit_with_ack<T: FromPayload + Send + 'static>(&self, event: &str, args: impl Serialize) -> EmitWithAck<T> {
        let id = self.0.namespace.next_ack();
        EmitWithAck {
            asker: Asker::Socket(self.clone()),
            packet: encode(|encoder| encoder.event(self.namespace_name(), event, &args, Some(id)))
                .map_err(EmitError::Encode),
            id,
            timeout: None,
            answer: PhantomData,
        }
    }

    /// Everybody in `room` but this socket.
    pub fn to(&self, room: &str) -> Broadcast {
        self.broadcast().to(room)
    }

    /// Everybody but this socket and those in `room`.
    pub fn except(&self, room: &str) -> Broadcast {
        self.broadcast().except(room)
    }

    /// Everybody in the namespace but this socket.
    pub fn broadcast(&self) -> Broadcast {
        Broadcast::new(self.0.namespace.clone()).except(self.id())
    }

    /// Joins a room, which begins to exist with its first member and ends with its last. Does nothing once the socket is
    /// gone.
    ///
    /// Rooms share their names with the ids of sockets: put a prefix before names that clients choose.
    pub fn join(&self, room: &str) {
        let mut life = lock(&self.0.own);
        if let Some(&(_, slot)) = self.0.place.get() {
            drop(life);
            self.0.namespace.with_rooms(|rooms| rooms.join(slot, room));
        } else if let Some(own) = life.own()
            && own.rooms.iter().all(|known| **known != *room)
        {
            own.rooms.push(room.into());
        }
    }

    /// Leaves a room.
    pub fn leave(&self, room: &str) {
        if let Some(own) = &mut lock(&self.0.own).own {
            own.rooms.retain(|known| **known != *room);
        }
        if let Some(&(_, slot)) = self.0.place.get() {
            self.0.namespace.with_rooms(|rooms| rooms.leave(slot, room));
        }
    }

    /// The rooms that it is in: its own first, then in the order in which it joined them. None once it is gone, in
    /// `on_disconnect` too (there is no event `disconnecting`).
    pub fn rooms(&self) -> Vec<String> {
        match self.0.place.get() {
            Some(&(_, slot)) => self.0.namespace.with_rooms(|rooms| rooms.rooms(slot).map(str::to_owned).collect()),
            None => core::iter::once(self.id().into())
                .chain(lock(&self.0.own).own.iter().flat_map(|own| &own.rooms).map(|room| room.to_string()))
                .collect(),
        }
    }

    /// Has `handler` called for each `event` of this socket, in the place of an earlier one and of the namespace's. Does
    /// nothing once the socket is gone.
    pub fn on<P: 'static>(&self, event: &str, handler: impl Handler<P>) -> &Self {
        let handler = erase(handler);
        let mut life = lock(&self.0.own);
        let replaced = life.own().and_then(|own| own.events.set(event, handler));
        self.0.own_events.store(!life.gone, Ordering::Release);
        drop(life);
        drop(replaced);
        self
    }

    /// Has `handler` called when this socket is gone, in the place of an earlier one and of the namespace's. Does nothing
    /// once it is.
    pub fn on_disconnect<P: 'static>(&self, handler: impl DisconnectFunction<P>) -> &Self {
        let handler = disconnect_handler(handler);
        let mut life = lock(&self.0.own);
        let replaced = life.own().and_then(|own| own.disconnect.replace(handler));
        drop(life);
        drop(replaced);
        self
    }

    /// Disconnects it from its namespace, after what was emitted before; the connection and its other namespaces stay.
    ///
    /// The reason is `server namespace disconnect`, for the client `io server disconnect`: it does not come again by
    /// itself. The session's task does it, so that [`Socket::is_connected`] may still be true right after the call.
    pub fn disconnect(&self) {
        self.end(false);
    }

    /// Disconnects the client from all its namespaces, as [`Socket::disconnect`] does, and closes the connection.
    pub fn disconnect_and_close(&self) {
        self.end(true);
    }

    /// Queues a packet.
    pub(crate) fn send(&self, packet: Packet) -> Result<(), EmitError> {
        let socket = self.key()?;
        outbox::send_to(&self.0.mailbox, packet).or_else(|packet| self.post(socket, packet))
    }

    /// Sends a packet, or queues it.
    pub(crate) fn send_encoded(&self, encoded: Encoded<'_>) -> Result<(), EmitError> {
        let socket = self.key()?;
        outbox::send_encoded_to(&self.0.mailbox, encoded).or_else(|packet| self.post(socket, packet))
    }

    fn post(&self, socket: SocketKey, packet: Packet) -> Result<(), EmitError> {
        let cost = packet.cost();
        let mail = SocketMail(Order::Emit { socket, packet });
        self.0.mailbox.push_packet(mail, cost).map_err(|_| EmitError::QueueFull)
    }

    /// Queues an event whose answer goes to `reply`.
    fn ask(&self, packet: Packet, id: u64, timeout: Option<Duration>, reply: Reply) -> Result<(), AckError> {
        let socket = self.key().map_err(AckError::Emit)?;
        let cost = packet.cost();
        let timeout = timeout.unwrap_or(self.0.shared.ack_timeout);
        let order = Order::EmitWithAck(Box::new(Question { socket, packet, id, timeout, reply }));
        self.0.mailbox.push_packet(SocketMail(order), cost).map_err(|_| AckError::Emit(EmitError::QueueFull))
    }

    fn end(&self, close: bool) {
        // From now on nothing is sent, and what the client has sent already is not handled.
        if let Some(&(socket, _)) = self.0.place.get()
            && self.0.connected.swap(false, Ordering::AcqRel)
        {
            self.0.mailbox.push(Mail::Application(SocketMail(Order::Disconnect { socket, close })));
        }
    }

    fn key(&self) -> Result<SocketKey, EmitError> {
        match self.0.place.get() {
            Some(&(key, _)) if self.is_connected() => Ok(key),
            _ => Err(EmitError::NotConnected),
        }
    }

    pub(crate) fn socket_id(&self) -> &SocketId {
        &self.0.id
    }

    pub(crate) fn namespace_name(&self) -> &str {
        self.0.namespace.name()
    }

    pub(crate) fn state(&self) -> &TypeMap {
        &self.0.shared.state
    }

    pub(crate) fn own_handler(&self, event: &str) -> Option<Erased> {
        if !self.0.own_events.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.0.own).own.as_ref()?.events.get(event).cloned()
    }

    /// The client was let in.
    pub(crate) fn enter(&self, key: SocketKey) {
        let mut life = lock(&self.0.own);
        let rooms = life.own.as_mut().map(|own| core::mem::take(&mut own.rooms)).unwrap_or_default();
        let slot = self.0.namespace.enter(self, Recipient { key, mailbox: self.0.mailbox.clone() }, &rooms);
        let _ = self.0.place.set((key, slot));
        self.0.connected.store(true, Ordering::Release);
    }

    /// The client is about to be told that it is disconnected: nothing may be sent behind that.
    pub(crate) fn silence(&self) {
        self.0.connected.store(false, Ordering::Release);
    }

    /// The client is gone: gives its own disconnect handler, and forgets the others.
    pub(crate) fn remove(&self) -> Option<DisconnectHandler> {
        self.0.connected.store(false, Ordering::Release);
        if let Some(&(_, slot)) = self.0.place.get() {
            self.0.namespace.remove(slot);
        }
        let life = core::mem::replace(&mut *lock(&self.0.own), Life { gone: true, own: None });
        life.own?.disconnect
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", &self.0.id).field("namespace", &self.namespace_name()).finish()
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}

/// An event whose answer is waited for; see [`Socket::emit_with_ack`] and [`Client::emit_with_ack`].
#[derive(Debug)]
#[must_use = "nothing is sent before `await`"]
pub struct EmitWithAck<T> {
    asker: Asker,
    packet: Result<Packet, EmitError>,
    id: u64,
    timeout: Option<Duration>,
    answer: PhantomData<fn() -> T>,
}

/// Who emits an event and waits for its answer.
#[derive(Debug)]
enum Asker {
    Socket(Socket),
    Client(Client),
}

impl<T> EmitWithAck<T> {
    pub(crate) fn of_client(client: Client, packet: Result<Packet, EmitError>, id: u64) -> Self {
        Self { asker: Asker::Client(client), packet, id, timeout: None, answer: PhantomData }
    }

    /// How long to wait, instead of the server's or the client's `ack_timeout`. With retries that is for each try.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<T: FromPayload + Send + 'static> IntoFuture for EmitWithAck<T> {
    type Output = Result<T, AckError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let packet = self.packet.map_err(AckError::Emit)?;
            let (sender, receiver) = oneshot::channel();
            let reply: Reply = Box::new(move |answer| {
                let decode = |payload| T::from_payload(payload).map_err(|error| AckError::Decode(error.to_string()));
                // A panic of the type belongs to who waits for it, not to the task that brings the answer.
                let answer = catch_unwind(AssertUnwindSafe(|| answer.and_then(decode)));
                // Nobody waits any longer when the future was dropped.
                let _ = sender.send(answer);
            });
            match &self.asker {
                Asker::Socket(socket) => socket.ask(packet, self.id, self.timeout, reply)?,
                Asker::Client(client) => client.ask(packet, self.id, self.timeout, reply)?,
            }
            let mut forget = Forget { asker: Some(self.asker), id: self.id };
            let answer = receiver.await.unwrap_or(Ok(Err(AckError::Disconnected)));
            forget.asker = None;
            answer.unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

/// Tells a client when the future is dropped that waits for an answer: without a deadline it would be expected for ever. (A
/// server's always has one.)
struct Forget {
    asker: Option<Asker>,
    id: u64,
}

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(Asker::Client(client)) = &self.asker {
            client.forget(self.id);
        }
    }
}
