use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use core::{fmt, mem};

use super::acks::Acks;
use super::de::EventName;
use super::key::{SocketKey, is_same, number};
use super::partial::Partial;
use super::queue::Queue;
use super::{
    ConnectError, Header, PacketType, Payload, TooManyAcks, encode_connect, encode_connect_error, encode_disconnect,
};
use crate::engine::{CloseReason, Message, Packet};
use crate::websocket::Binary;
use crate::{Instant, SocketId};

/// What one connection may do at the Socket.IO level.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// Time to the first accepted CONNECT; 45 s.
    pub connect_timeout: Duration,
    /// Attachments of one packet; 10.
    pub max_attachments: usize,
    /// Bytes of one packet with all its attachments; 11 000 000, that is (attachments + 1) x `max_payload`. The copies of
    /// attachments that several placeholders stand for may have so many, too.
    pub max_packet: usize,
    /// Time that the attachments of a packet may take; 45 s, one ping cycle.
    pub attachment_timeout: Duration,
    /// Namespaces of one connection; 64.
    pub max_namespaces: usize,
    /// Unanswered acks of one socket; 10 000.
    pub max_acks: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(45),
            max_attachments: 10,
            max_packet: 11_000_000,
            attachment_timeout: Duration::from_secs(45),
            max_namespaces: 64,
            max_acks: 10_000,
        }
    }
}

/// A client's CONNECT that waits for [`Sockets::accept`] or [`Sockets::reject`]: hand it to one of them, since the
/// namespace stays occupied until then.
#[derive(Debug, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(Clone))]
#[must_use]
pub struct ConnectRequest {
    key: SocketKey,
}

/// The words for why a socket is no longer connected; official documentation, "Server API" and "Client API", event
/// `disconnect`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// `client namespace disconnect`: the client left the namespace; told by servers.
    ClientNamespaceDisconnect,
    /// `server namespace disconnect`: the server disconnected the socket; told by servers.
    ServerNamespaceDisconnect,
    /// `io server disconnect`: the server disconnected the socket; told by clients.
    IoServerDisconnect,
    /// `io client disconnect`: the client left the namespace; told by clients.
    IoClientDisconnect,
    /// The connection ended.
    Connection(CloseReason),
}

impl DisconnectReason {
    /// The official wording.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::IoServerDisconnect => "io server disconnect",
            Self::IoClientDisconnect => "io client disconnect",
            Self::Connection(reason) => reason.as_str(),
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something happened on a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The client wants to join a namespace.
    Connect {
        /// To be handed back with the decision.
        request: ConnectRequest,
        /// The namespace's name, which may be one that the application does not know.
        namespace: &'a str,
        /// The client's credentials.
        auth: Payload<'a>,
    },
    /// An event.
    Message {
        /// To whom.
        socket: SocketKey,
        /// Name and arguments.
        payload: Payload<'a>,
        /// The id to answer with, if the client asked for an answer.
        ack: Option<u64>,
    },
    /// The client answered.
    Ack {
        /// To whom.
        socket: SocketKey,
        /// The id that the event had.
        id: u64,
        /// The answer.
        payload: Payload<'a>,
    },
    /// No answer came in time.
    AckTimeout {
        /// Who waited.
        socket: SocketKey,
        /// The id that the event had.
        id: u64,
    },
    /// A socket is gone. Acks that it awaited are dropped without an event of their own.
    Disconnect {
        /// Which.
        socket: SocketKey,
        /// Why.
        reason: DisconnectReason,
    },
}

/// What [`Sockets`] want next.
#[derive(Debug)]
#[must_use]
pub enum Next<'a> {
    /// Something happened.
    Event(Event<'a>),
    /// A packet for the connection.
    Transmit(Packet),
    /// The connection is to be closed for this reason. The sockets' disconnects follow as events.
    Close(CloseReason),
    /// Nothing is left to do until a message, or this time, comes.
    Wait(Option<Instant>),
}

/// The Socket.IO sockets of one connection, at most one per namespace.
///
/// See the [module's documentation](super) for how to drive them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sockets {
    config: Arc<Config>,
    /// The latest time that was told: time never runs backwards.
    now: Instant,
    slots: Vec<Slot>,
    /// The generation given out last. It repeats after 2^32 CONNECTs of one connection.
    generation: u32,
    /// How many CONNECTs were accepted.
    joined: u64,
    leaving: Option<Box<Leaving>>,
    partial: Option<Box<Partial<Subject>>>,
    /// Set until the first CONNECT is accepted.
    connect_deadline: Option<Instant>,
    /// Set through the last event's payload, if it turned out not to be JSON.
    malformed: bool,
    outgoing: Queue<Packet>,
    /// To be told by [`Next::Close`].
    closing: Option<CloseReason>,
    /// Nothing is taken from the client any more.
    closed: bool,
}

/// What remains of sockets that are gone. Most connections never have any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Leaving {
    /// Namespaces that this side has disconnected, oldest first, until the client asks for them again.
    left: VecDeque<Box<str>>,
    /// To be told by [`Event::Disconnect`].
    disconnected: VecDeque<(SocketKey, DisconnectReason)>,
}

impl Sockets {
    /// A connection that was just opened: the client has [`Config::connect_timeout`] to join a namespace.
    pub fn new(config: Arc<Config>, now: Instant) -> Self {
        let connect_deadline = Some(now + config.connect_timeout);
        Self {
            config,
            now,
            slots: Vec::new(),
            generation: 0,
            joined: 0,
            leaving: None,
            partial: None,
            connect_deadline,
            malformed: false,
            outgoing: Queue::default(),
            closing: None,
            closed: false,
        }
    }

    /// The one way forward: takes `message` if there is one, and says what follows.
    ///
    /// A message leads to at most one event; call it again (with no message) until it says [`Next::Wait`]. The event of
    /// the message comes first; then packets, in the order in which they were queued; then the close; then disconnects
    /// and timeouts. Messages that come after the close are ignored.
    pub fn next<'a, 'm: 'a>(&'a mut self, now: Instant, message: &mut Option<Message<'m>>) -> Next<'a> {
        self.tick(now);
        match message.take().and_then(|message| self.handle(message)) {
            Some(arrival) => Next::Event(self.event(arrival)),
            None => self.told(),
        }
    }

    /// [`Sockets::next`] for who wants nothing but the message's event yet: the rest follows by [`Sockets::advance`], of
    /// which [`Sockets::has_news`] says whether it cannot wait.
    #[inline]
    pub fn receive<'a, 'm: 'a>(&'a mut self, now: Instant, message: Message<'m>) -> Option<Event<'a>> {
        self.tick(now);
        self.handle(message).map(|arrival| self.event(arrival))
    }

    /// [`Sockets::next`] without a message, whose answer does not borrow the machine.
    pub fn advance(&mut self, now: Instant) -> Next<'static> {
        self.tick(now);
        self.told()
    }

    /// Lets a client into the namespace that it asked for, under the public name `id`.
    ///
    /// The reply is queued, so that what is emitted from now on follows it. `None` if the client has gone meanwhile.
    pub fn accept(&mut self, request: ConnectRequest, id: &SocketId) -> Option<SocketKey> {
        let order = self.joined;
        let slot = self.take_request(&request)?;
        slot.state = State::Joined(order);
        let reply = encode_connect(&slot.namespace, id);
        self.joined += 1;
        self.connect_deadline = None;
        self.outgoing.push(reply);
        Some(request.key)
    }

    /// Refuses a client, which may ask again. Nothing is sent if it has gone meanwhile.
    pub fn reject(&mut self, request: ConnectRequest, error: &ConnectError) {
        if let Some(slot) = self.take_request(&request) {
            let reply = encode_connect_error(&mem::take(slot).namespace, error);
            self.outgoing.push(reply);
        }
    }

    /// Queues a packet of a socket. False if the socket is gone: then the packet is dropped.
    pub fn emit(&mut self, socket: SocketKey, packet: Packet) -> bool {
        let connected = self.socket(socket).is_some();
        if connected {
            self.outgoing.push(packet);
        }
        connected
    }

    /// Whether a packet of a socket may be sent at once, without [`Sockets::emit`]: the socket is there, and nothing waits
    /// in front of it.
    pub fn is_clear(&self, socket: SocketKey) -> bool {
        !self.has_news() && self.socket(socket).is_some()
    }

    /// The next packet for the connection, as [`Next::Transmit`] would tell it: for who wants nothing else yet.
    pub fn transmit(&mut self) -> Option<Packet> {
        self.outgoing.pop()
    }

    /// Awaits the answer `id` of a socket, which comes as [`Event::Ack`] or, at `deadline`, as [`Event::AckTimeout`].
    /// Call it before the event is emitted.
    ///
    /// An id that is awaited already gets the new deadline. Nothing is awaited of a socket that is gone.
    ///
    /// # Errors
    ///
    /// [`Config::max_acks`] are awaited.
    pub fn expect_ack(&mut self, socket: SocketKey, id: u64, deadline: Instant) -> Result<(), TooManyAcks> {
        let max = self.config.max_acks;
        match self.socket_mut(socket) {
            Some(slot) => slot.acks.insert(id, deadline, max),
            None => Ok(()),
        }
    }

    /// Disconnects a socket from this side; the connection stays. [`Event::Disconnect`] follows.
    ///
    /// What the client has sent to the namespace before it learns of this is ignored.
    pub fn disconnect(&mut self, socket: SocketKey) {
        let Some(slot) = self.socket_mut(socket) else { return };
        let namespace = mem::take(slot).namespace;
        self.outgoing.push(encode_disconnect(&namespace));
        if let Some(partial) = self.partial.as_deref_mut().filter(|partial| partial.is_for(socket)) {
            partial.discard();
        }
        let Leaving { left, disconnected } = &mut **self.leaving.get_or_insert_default();
        disconnected.push_back((socket, DisconnectReason::ServerNamespaceDisconnect));
        if left.len() >= self.config.max_namespaces {
            left.pop_front();
        }
        left.push_back(namespace);
    }

    /// Disconnects all sockets from this side and closes the connection, as the official `disconnect(true)` does:
    /// [`Next::Close`] and the events follow.
    pub fn disconnect_all(&mut self) {
        for socket in self.in_order() {
            self.disconnect(socket);
        }
        self.close(CloseReason::ForcedClose);
    }

    /// The connection is over: every socket is disconnected for this reason, by events of the calls to follow, in the
    /// order of joining. What is queued is dropped, requests are void.
    ///
    /// After [`Next::Close`] there is nothing left to do here, and the call does no harm.
    pub fn handle_close(&mut self, reason: CloseReason) {
        self.close(reason);
        self.closing = None;
        self.outgoing = Queue::default();
    }

    /// The namespace of a socket, `None` once it is gone.
    pub fn namespace(&self, socket: SocketKey) -> Option<&str> {
        self.socket(socket).map(|slot| &*slot.namespace)
    }

    /// Whether no socket is left, no CONNECT waits, and nothing is to be said.
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(|slot| slot.state == State::Free) && !self.has_news()
    }

    /// Gives memory back that is kept for the next packet. For a quiet time, such as that of a heartbeat.
    pub fn rest(&mut self) {
        self.partial.take_if(|partial| !partial.is_waiting());
    }

    /// Whether there is something to be said although no message and no deadline came.
    pub fn has_news(&self) -> bool {
        !self.outgoing.is_empty() || self.closing.is_some() || self.has_disconnected()
    }

    fn has_disconnected(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| !leaving.disconnected.is_empty())
    }

    /// Who is to be told to be gone.
    fn take_disconnected(&mut self) -> Option<(SocketKey, DisconnectReason)> {
        let next = self.leaving.as_mut()?.disconnected.pop_front();
        self.forget_leaving();
        next
    }

    /// Gives the memory of sockets that are gone back, if nothing of them matters any more.
    fn forget_leaving(&mut self) {
        self.leaving.take_if(|leaving| leaving.left.is_empty() && leaving.disconnected.is_empty());
    }

    /// What is to be said without a message.
    fn told(&mut self) -> Next<'static> {
        if let Some(packet) = self.outgoing.pop() {
            return Next::Transmit(packet);
        }
        if let Some(reason) = self.closing.take() {
            return Next::Close(reason);
        }
        if let Some((socket, reason)) = self.take_disconnected() {
            return Next::Event(Event::Disconnect { socket, reason });
        }
        let ack = self.next_ack();
        if let Some((deadline, socket)) = ack
            && deadline <= self.now
            && let Some(id) = self.socket_mut(socket).and_then(|slot| slot.acks.expire())
        {
            return Next::Event(Event::AckTimeout { socket, id });
        }
        let partial = self.waiting().map(|partial| partial.deadline);
        if ack.is_none() && partial.is_none() {
            return Next::Wait(self.connect_deadline);
        }
        let ack = ack.map(|(deadline, _)| deadline);
        Next::Wait([self.connect_deadline, partial, ack].into_iter().flatten().min())
    }

    /// Takes a message and says what arrived with it; [`Sockets::event`] makes the event.
    pub(crate) fn handle<'m>(&mut self, message: Message<'m>) -> Option<Arrival<'m>> {
        match message {
            _ if self.closed => None,
            Message::Text(text) => self.handle_text(text),
            Message::Binary(bytes) => self.handle_attachment(bytes),
        }
    }

    /// The event of what arrived just now.
    pub(crate) fn event<'a>(&'a mut self, arrival: Arrival<'a>) -> Event<'a> {
        let (json, name, attachments) = match arrival.body {
            Body::Text(json, name) => (json, name, None),
            Body::Binary => {
                let (json, attachments) = self.partial.as_deref_mut().map_or(("", None), Partial::lend);
                (json, None, attachments)
            }
        };
        let malformed = &mut self.malformed;
        match arrival.subject {
            Subject::Connect(key) => Event::Connect {
                request: ConnectRequest { key },
                namespace: arrival.namespace,
                auth: Payload::of_auth(json, malformed),
            },
            Subject::Message { socket, ack } => {
                Event::Message { socket, payload: Payload::of_event(json, name, attachments, malformed), ack }
            }
            Subject::Ack { socket, id } => {
                Event::Ack { socket, id, payload: Payload::of_ack(json, attachments, malformed) }
            }
        }
    }

    /// What the last event and the time that has passed lead to.
    #[inline]
    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.malformed || self.partial.is_some() || self.connect_deadline.is_some() {
            self.look();
        }
    }

    fn look(&mut self) {
        // Its payload was lent to the last event.
        self.partial.take_if(|partial| !partial.is_waiting() && !partial.recycle());
        let passed = |deadline: Instant| deadline <= self.now;
        if mem::take(&mut self.malformed) || self.waiting().is_some_and(|partial| passed(partial.deadline)) {
            self.close(CloseReason::ParseError);
        } else if self.connect_deadline.is_some_and(passed) {
            self.close(CloseReason::ForcedClose);
        }
    }

    fn handle_text<'m>(&mut self, text: &'m str) -> Option<Arrival<'m>> {
        let header = Header::parse(text, self.config.max_attachments);
        let (Ok(header), None, true) = (header, self.waiting(), text.len() <= self.config.max_packet) else {
            self.close(CloseReason::ParseError);
            return None;
        };
        let subject = match header.kind {
            PacketType::Connect => Subject::Connect(self.handle_connect(header.namespace)?),
            PacketType::Disconnect => {
                self.handle_disconnect(header.namespace);
                return None;
            }
            PacketType::ConnectError => {
                self.close(CloseReason::ForcedClose);
                return None;
            }
            PacketType::Event | PacketType::BinaryEvent | PacketType::Ack | PacketType::BinaryAck => {
                self.handle_packet(text, &header)?
            }
        };
        Some(Arrival { subject, namespace: header.namespace, body: Body::Text(header.payload, header.event) })
    }

    fn handle_connect(&mut self, namespace: &str) -> Option<SocketKey> {
        if self.find(namespace).is_some() {
            self.close(CloseReason::ForcedClose);
            return None;
        }
        let occupied = self.slots.iter().filter(|slot| slot.state != State::Free).count();
        if occupied >= self.config.max_namespaces {
            let error = ConnectError::new("too many namespaces");
            self.outgoing.push(encode_connect_error(namespace, &error));
            return None;
        }
        if let Some(leaving) = &mut self.leaving {
            leaving.left.retain(|left| **left != *namespace);
            self.forget_leaving();
        }
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let slot = Slot { generation, state: State::Requested, namespace: namespace.into(), acks: Acks::default() };
        let index = self.slots.iter().position(|slot| slot.state == State::Free).unwrap_or(self.slots.len());
        match self.slots.get_mut(index) {
            Some(free) => *free = slot,
            None => {
                if self.slots.is_empty() {
                    self.slots.reserve_exact(1);
                }
                self.slots.push(slot);
            }
        }
        Some(SocketKey { index: number(index), generation })
    }

    fn handle_disconnect(&mut self, namespace: &str) {
        let left = self.has_left(namespace);
        let key = self.find(namespace);
        match key.and_then(|key| Some((key, self.slots.get_mut(key.index())?))) {
            Some((key, slot)) if slot.is_joined(key.generation) => {
                *slot = Slot::default();
                let leaving = self.leaving.get_or_insert_default();
                leaving.disconnected.push_back((key, DisconnectReason::ClientNamespaceDisconnect));
            }
            Some((_, slot)) if slot.state == State::Requested => slot.state = State::Abandoned,
            _ if left => {}
            _ => self.close(CloseReason::ForcedClose),
        }
    }

    /// An event or an ack: says what is to be delivered at once.
    fn handle_packet(&mut self, text: &str, header: &Header<'_>) -> Option<Subject> {
        let socket = self.joined(header.namespace);
        if socket.is_none() && !self.has_left(header.namespace) {
            self.close(CloseReason::ForcedClose);
            return None;
        }
        let is_event = matches!(header.kind, PacketType::Event | PacketType::BinaryEvent);
        let subject = socket.and_then(|socket| match header.id {
            ack if is_event => Some(Subject::Message { socket, ack }),
            Some(id) => Some(Subject::Ack { socket, id }),
            None => None,
        });
        if header.attachments == 0 {
            return self.confirm(subject?);
        }
        let deadline = self.now + self.config.attachment_timeout;
        let partial = self.partial.get_or_insert_default();
        partial.start(subject, text, header.payload, header.attachments, deadline);
        None
    }

    fn handle_attachment<'m>(&mut self, attachment: Binary<'m>) -> Option<Arrival<'m>> {
        let max = self.config.max_packet;
        let added = self.partial.as_deref_mut().map(|partial| (partial.add(attachment, max), partial.subject));
        let Some((Ok(complete), subject)) = added else {
            self.close(CloseReason::ParseError);
            return None;
        };
        let subject = subject.filter(|_| complete)?;
        let confirmed = self.confirm(subject);
        if confirmed.is_none() {
            self.partial = None;
        }
        Some(Arrival { subject: confirmed?, namespace: "", body: Body::Binary })
    }

    /// The packet whose attachments are awaited.
    fn waiting(&self) -> Option<&Partial<Subject>> {
        self.partial.as_deref().filter(|partial| partial.is_waiting())
    }

    /// Lets through what still concerns somebody: an ack only while it is awaited, and once.
    fn confirm(&mut self, subject: Subject) -> Option<Subject> {
        let now = self.now;
        if let Subject::Ack { socket, id } = subject {
            let awaited = self.socket_mut(socket).is_some_and(|slot| slot.acks.answer(id, now));
            return awaited.then_some(subject);
        }
        Some(subject)
    }

    /// Closes the connection from this side, the first time.
    fn close(&mut self, reason: CloseReason) {
        if mem::replace(&mut self.closed, true) {
            return;
        }
        self.closing = Some(reason);
        let sockets = self.in_order();
        let leaving = self.leaving.get_or_insert_default();
        leaving.disconnected.extend(sockets.into_iter().map(|key| (key, DisconnectReason::Connection(reason))));
        leaving.left = VecDeque::new();
        self.forget_leaving();
        self.slots = Vec::new();
        self.partial = None;
        self.connect_deadline = None;
    }

    /// The connected sockets in the order of joining.
    fn in_order(&self) -> Vec<SocketKey> {
        let mut sockets: Vec<_> = (0..)
            .zip(&self.slots)
            .filter_map(|(index, slot)| match slot.state {
                State::Joined(order) => Some((order, slot.key(index))),
                _ => None,
            })
            .collect();
        sockets.sort_unstable_by_key(|(order, _)| *order);
        sockets.into_iter().map(|(_, key)| key).collect()
    }

    /// Who occupies a namespace, joined or not.
    fn find(&self, namespace: &str) -> Option<SocketKey> {
        let is_it = |slot: &Slot| slot.state != State::Free && is_same(&slot.namespace, namespace);
        (0..).zip(&self.slots).find(|(_, slot)| is_it(slot)).map(|(index, slot)| slot.key(index))
    }

    /// The socket in a namespace.
    fn joined(&self, namespace: &str) -> Option<SocketKey> {
        let is_it = |slot: &Slot| matches!(slot.state, State::Joined(_)) && is_same(&slot.namespace, namespace);
        (0..).zip(&self.slots).find(|(_, slot)| is_it(slot)).map(|(index, slot)| slot.key(index))
    }

    fn has_left(&self, namespace: &str) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| leaving.left.iter().any(|left| **left == *namespace))
    }

    fn socket(&self, key: SocketKey) -> Option<&Slot> {
        self.slots.get(key.index()).filter(|slot| slot.is_joined(key.generation))
    }

    fn socket_mut(&mut self, key: SocketKey) -> Option<&mut Slot> {
        self.slots.get_mut(key.index()).filter(|slot| slot.is_joined(key.generation))
    }

    /// The slot of a request that was decided now, unless the client has gone: then its slot is freed.
    fn take_request(&mut self, request: &ConnectRequest) -> Option<&mut Slot> {
        if self.malformed {
            // The CONNECT's payload is no JSON: the connection is about to be closed for it.
            return None;
        }
        let slot = self.slots.get_mut(request.key.index()).filter(|slot| slot.generation == request.key.generation)?;
        if slot.state == State::Abandoned {
            *slot = Slot::default();
        }
        Some(slot).filter(|slot| slot.state == State::Requested)
    }

    /// The socket that awaits the next answer, and when it is due.
    fn next_ack(&self) -> Option<(Instant, SocketKey)> {
        if self.slots.iter().all(|slot| slot.acks.0.is_none()) {
            return None;
        }
        let due = |(index, slot): (u32, &Slot)| Some((slot.acks.earliest()?, slot.key(index)));
        (0..).zip(&self.slots).filter_map(due).min_by_key(|(deadline, _)| *deadline)
    }
}

/// What a message brought, before it is made an event that borrows the machine.
pub(crate) struct Arrival<'m> {
    subject: Subject,
    namespace: &'m str,
    body: Body<'m>,
}

enum Body<'m> {
    /// And the event's name.
    Text(&'m str, Option<EventName>),
    /// It is in [`Sockets::partial`].
    Binary,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Connect(SocketKey),
    Message { socket: SocketKey, ack: Option<u64> },
    Ack { socket: SocketKey, id: u64 },
}

impl Partial<Subject> {
    fn is_for(&self, key: SocketKey) -> bool {
        match self.subject {
            Some(Subject::Message { socket, .. } | Subject::Ack { socket, .. }) => socket == key,
            _ => false,
        }
    }
}

/// A place for the socket of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Slot {
    generation: u32,
    state: State,
    namespace: Box<str>,
    acks: Acks,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
enum State {
    #[default]
    Free,
    /// A CONNECT waits for its verdict.
    Requested,
    /// The client took its CONNECT back. The verdict frees the slot, so that unfinished verdicts stay few.
    Abandoned,
    /// A socket, the how manieth of the connection.
    Joined(u64),
}

impl Slot {
    fn key(&self, index: u32) -> SocketKey {
        SocketKey { index, generation: self.generation }
    }

    fn is_joined(&self, generation: u32) -> bool {
        self.generation == generation && matches!(self.state, State::Joined(_))
    }
}

#[cfg(test)]
mod tests;
