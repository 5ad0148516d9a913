use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use serde::Deserialize;

use super::backoff::delay;
use super::slot::{NEVER, Phase, Slot, Subject};
use super::{
    AckError, AckRequest, Auth, AuthRequest, Config, ConnectFailure, Credentials, EmitError, Event, ExpectedAck,
    InvalidNamespace, Next, OpenError, SocketOptions,
};
use crate::engine::{CloseReason, Message, Packet};
use crate::socket::de::EventName;
use crate::socket::key::{SocketKey, number};
use crate::socket::packet::encode_join;
use crate::socket::partial::Partial;
use crate::socket::queue::Queue;
use crate::socket::{ConnectError, DisconnectReason, Header, PacketType, Payload, de, encode_disconnect};
use crate::websocket::Binary;
use crate::{Instant, Random, SocketId};

/// The Socket.IO sockets of one client on one connection, which is opened again when it is lost.
///
/// See the [module's documentation](super) for how to drive it.
#[derive(Clone, Debug, PartialEq)]
pub struct Manager {
    config: Arc<Config>,
    random: Random,
    /// The latest time that was told: time never runs backwards.
    now: Instant,
    link: Link,
    /// How often the connection was opened again without a namespace letting this side in.
    attempts: u32,
    slots: Vec<Slot>,
    /// The generation given out last. It repeats after 2^32 sockets.
    generation: u32,
    partial: Option<Box<Partial<Subject>>>,
    /// Set through the last event's payload, if it turned out not to be JSON.
    malformed: bool,
    news: Queue<News>,
    /// To be told by [`Next::Close`], once the news are told.
    closing: Option<CloseReason>,
    /// Bytes of the events that wait in [`Slot::early`].
    early: usize,
}

/// The connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Link {
    /// There is none, and none is wanted.
    Closed,
    /// It is opened, again if `retry`, after this time.
    Delayed {
        until: Instant,
    },
    /// [`Next::Open`] is to be told.
    Wanted {
        retry: bool,
    },
    Opening {
        retry: bool,
        deadline: Option<Instant>,
    },
    Open,
}

/// What is to be told, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum News {
    Transmit(Packet),
    /// An event that came before its socket was connected.
    Replay(Box<Partial<Subject>>),
    /// All events that came before are told: what is buffered can be sent.
    Flush(SocketKey),
    Authenticate(SocketKey, u32),
    Connect {
        socket: SocketKey,
        recovered: bool,
    },
    ConnectError(SocketKey, ConnectFailure),
    Disconnect(SocketKey, DisconnectReason),
    AckFailed(SocketKey, u64, AckError),
    Opened,
    Error(OpenError),
    Closed(CloseReason),
    ReconnectAttempt(u32),
    ReconnectError(OpenError),
    ReconnectFailed,
    Reconnect(u32),
}

/// What may be due.
#[derive(Copy, Clone)]
enum Due {
    Link,
    Attachments,
    Connecting(SocketKey),
    Held(SocketKey),
    Ack(SocketKey),
    Try(SocketKey),
}

/// What follows, before an event is made that borrows the machine.
pub(crate) enum Step {
    Arrival(Arrival<'static>),
    Next(Next<'static>),
}

/// What a message brought.
pub(crate) struct Arrival<'m> {
    subject: Subject,
    body: Body<'m>,
}

enum Body<'m> {
    /// And the event's name.
    Text(&'m str, Option<EventName>),
    /// It is in [`Manager::partial`].
    Stored,
}

/// For the application.
impl Manager {
    /// A manager without sockets: nothing happens before [`Manager::connect`].
    pub fn new(config: Arc<Config>, random: Random, now: Instant) -> Self {
        Self {
            config,
            random,
            now,
            link: Link::Closed,
            attempts: 0,
            slots: Vec::new(),
            generation: 0,
            partial: None,
            malformed: false,
            news: Queue::default(),
            closing: None,
            early: 0,
        }
    }

    /// The socket of a namespace. A new one is not connected, but can be given events.
    ///
    /// # Errors
    ///
    /// The name cannot be one.
    pub fn socket(&mut self, namespace: &str, options: SocketOptions) -> Result<SocketKey, InvalidNamespace> {
        if !namespace.starts_with('/') || namespace.contains(',') || namespace.len() > Header::MAX_NAMESPACE {
            return Err(InvalidNamespace);
        }
        if let Some((index, slot)) = (0..).zip(&self.slots).find(|(_, slot)| slot.is(namespace)) {
            return Ok(slot.key(index));
        }
        self.generation = self.generation.wrapping_add(1);
        let slot = Slot::new(self.generation, namespace, options);
        let index = self.slots.iter().position(|slot| slot.phase == Phase::Free).unwrap_or(self.slots.len());
        let key = slot.key(number(index));
        match self.slots.get_mut(index) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
        Ok(key)
    }

    /// Connects a socket, and opens the connection for it if there is none. During the delay before an attempt to open it
    /// again, and for a socket that was refused twice in a row, that takes its time.
    pub fn connect(&mut self, now: Instant, socket: SocketKey) {
        self.now = self.now.max(now);
        let Some(slot) = self.slot_mut(socket) else { return };
        if slot.phase == Phase::Inactive {
            slot.phase = Phase::Wanted;
        }
        if slot.held.is_none() {
            self.start(socket);
        }
    }

    /// Disconnects a socket: `io client disconnect`. With the last one the connection is closed. What is buffered stays,
    /// for the next [`Manager::connect`].
    pub fn disconnect(&mut self, socket: SocketKey) {
        let Some(slot) = self.slot_mut(socket).filter(|slot| slot.phase.is_active()) else { return };
        if matches!(slot.phase, Phase::Flushing | Phase::Connected) {
            let goodbye = encode_disconnect(&slot.namespace);
            self.news.push(News::Transmit(goodbye));
        }
        self.leave(socket, Err(DisconnectReason::IoClientDisconnect));
    }

    /// Disconnects a socket and forgets it, with what it has buffered: the key is void. The acks that it awaited have
    /// failed.
    pub fn remove(&mut self, socket: SocketKey) {
        self.disconnect(socket);
        self.discard(socket);
        if let Some(slot) = self.slot_mut(socket) {
            *slot = Slot::default();
        }
    }

    /// Disconnects all sockets, closes the connection, and drops what is buffered: all acks have failed, and nothing is
    /// left but the sockets' names and what their state can be recovered by.
    pub fn close(&mut self) {
        for socket in self.keys() {
            self.disconnect(socket);
            self.discard(socket);
        }
    }

    /// Gives a socket its credentials for this connection. Nothing happens if the request is void by now.
    pub fn authenticate(&mut self, now: Instant, request: AuthRequest, auth: &Credentials) {
        self.now = self.now.max(now);
        let asked = |slot: &&Slot| slot.phase == Phase::Asked && slot.turn == request.turn;
        if self.slot(request.socket).filter(asked).is_some() {
            self.send_connect(request.socket, auth);
        }
    }

    /// Where a socket's credentials come from, from the next connection on.
    pub fn set_auth(&mut self, socket: SocketKey, auth: Auth) {
        if let Some(slot) = self.slot_mut(socket) {
            slot.options.auth = auth;
        }
    }

    /// An id for the next event of a socket that is to be answered.
    pub fn ack_id(&mut self, socket: SocketKey) -> u64 {
        let Some(slot) = self.slot_mut(socket) else { return 0 };
        slot.ids += 1;
        slot.ids - 1
    }

    /// Sends an event, or keeps it until the socket is connected.
    ///
    /// `ack` is the answer that it awaits: exactly one [`Event::Ack`] or [`Event::AckFailed`] follows. An event that is
    /// late before it was sent is not sent.
    ///
    /// # Errors
    ///
    /// The event is dropped, and nothing awaited: see [`EmitError`].
    pub fn emit(&mut self, socket: SocketKey, packet: Packet, ack: Option<ExpectedAck>) -> Result<(), EmitError> {
        let slot = find(&mut self.slots, socket).ok_or(EmitError::Gone)?;
        expect(slot, ack, &self.config)?;
        if slot.phase == Phase::Connected {
            self.news.push(News::Transmit(packet));
            return Ok(());
        }
        let id = ack.map(|ack| ack.id);
        let kept = slot.buffer(packet, id, &self.config);
        if let (Err(_), Some(id)) = (kept, id) {
            slot.acks.remove(id);
        }
        kept
    }

    /// Sends an event at once, or never: false, if the socket is not connected or the connection not `writable`. Then
    /// nothing is awaited.
    ///
    /// # Errors
    ///
    /// [`Config::max_acks`] answers are awaited.
    pub fn emit_volatile(
        &mut self,
        socket: SocketKey,
        packet: Packet,
        ack: Option<ExpectedAck>,
        writable: bool,
    ) -> Result<bool, EmitError> {
        let connected = |slot: &&mut Slot| writable && slot.phase == Phase::Connected;
        let Some(slot) = find(&mut self.slots, socket).filter(connected) else { return Ok(false) };
        expect(slot, ack, &self.config)?;
        self.news.push(News::Transmit(packet));
        Ok(true)
    }

    /// Sends an event until it is answered: at least once, in the order of these calls, one at a time, and up to
    /// [`SocketOptions::retries`] times more. It was encoded with `id`, from [`Manager::ack_id`].
    ///
    /// A try ends with [`SocketOptions::ack_timeout`] or with the connection. The answer to any of them counts. Exactly one
    /// [`Event::Ack`] or [`Event::AckFailed`] follows.
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
    ) -> Result<(), EmitError> {
        self.now = self.now.max(now);
        find(&mut self.slots, socket).ok_or(EmitError::Gone)?.enqueue(packet, id, &self.config)?;
        self.retry(socket);
        Ok(())
    }

    /// Answers an event. False if its socket was disconnected meanwhile: then the answer is dropped.
    pub fn answer(&mut self, request: AckRequest, answer: Packet) -> bool {
        let connected =
            |slot: &&Slot| slot.turn == request.turn && matches!(slot.phase, Phase::Flushing | Phase::Connected);
        let awaited = self.slot(request.socket).filter(connected).is_some();
        if awaited {
            self.news.push(News::Transmit(answer));
        }
        awaited
    }

    /// The namespace of a socket.
    pub fn namespace(&self, socket: SocketKey) -> Option<&str> {
        self.slot(socket).map(|slot| &*slot.namespace)
    }

    /// The socket's name on the server, while it is connected.
    pub fn id(&self, socket: SocketKey) -> Option<&SocketId> {
        self.slot(socket)?.id.as_ref()
    }

    /// Whether a socket is connected, or is to be at the next connection: false after [`Manager::disconnect`], and when the
    /// server has refused or disconnected it.
    pub fn is_active(&self, socket: SocketKey) -> bool {
        self.slot(socket).is_some_and(|slot| slot.phase.is_active())
    }

    /// Whether events of a socket are sent at once.
    pub fn is_connected(&self, socket: SocketKey) -> bool {
        self.slot(socket).is_some_and(|slot| slot.phase == Phase::Connected)
    }

    /// Whether the server knew the socket when it was connected last, and has kept what it missed.
    pub fn is_recovered(&self, socket: SocketKey) -> bool {
        self.slot(socket).is_some_and(|slot| slot.recovered)
    }

    /// How many events of a socket wait to be sent, or with retries to be answered.
    pub fn buffered(&self, socket: SocketKey) -> usize {
        self.slot(socket).map_or(0, Slot::buffered)
    }

    /// Whether the connection is open.
    pub fn is_open(&self) -> bool {
        self.link == Link::Open
    }

    /// Whether nothing is kept, awaited, timed or to be said, and no connection wanted.
    pub fn is_idle(&self) -> bool {
        self.link == Link::Closed
            && self.slots.iter().all(Slot::is_idle)
            && self.partial.is_none()
            && !self.has_news()
            && self.news.rest.capacity() == 0
            && self.early == 0
    }

    /// Whether there is something to be said although no message and no deadline came.
    pub fn has_news(&self) -> bool {
        !self.news.is_empty() || self.closing.is_some() || matches!(self.link, Link::Wanted { .. })
    }
}

/// For the connection.
impl Manager {
    /// The one way forward: takes `message` if there is one, and says what follows.
    ///
    /// What is older than the message is said first; until then it is left where it is, so call again with the same until
    /// [`Next::Wait`] comes. Messages that come while no connection is open are dropped.
    pub fn next<'a, 'm: 'a>(&'a mut self, now: Instant, message: &mut Option<Message<'m>>) -> Next<'a> {
        self.tick(now);
        if !self.has_news()
            && let Some(arrival) = message.take().and_then(|message| self.handle(message))
        {
            return Next::Event(self.event(arrival));
        }
        match self.advance(now) {
            Step::Arrival(arrival) => Next::Event(self.event(arrival)),
            Step::Next(next) => next,
        }
    }

    /// [`Manager::next`] without a message, in two steps: the second is [`Manager::event`].
    pub(crate) fn advance(&mut self, now: Instant) -> Step {
        self.tick(now);
        self.told()
    }

    /// The connection that was asked for by [`Next::Open`] is open.
    pub fn handle_opened(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let Link::Opening { retry, .. } = self.link else { return };
        self.link = Link::Open;
        self.news.push(News::Opened);
        for socket in self.keys() {
            self.begin(socket);
        }
        if retry {
            self.news.push(News::Reconnect(self.attempts));
        }
    }

    /// The connection that was asked for by [`Next::Open`] could not be opened.
    pub fn handle_open_failed(&mut self, now: Instant, error: OpenError) {
        self.now = self.now.max(now);
        let Link::Opening { retry, .. } = self.link else { return };
        self.news.push(News::Error(error.clone()));
        for (index, slot) in (0..).zip(&self.slots).filter(|(_, slot)| slot.phase.is_active()) {
            self.news.push(News::ConnectError(slot.key(index), ConnectFailure::Open(error.clone())));
        }
        self.reconnect();
        if retry {
            self.news.push(News::ReconnectError(error));
        }
    }

    /// Something is wrong with the open connection. It is not over, before [`Manager::handle_closed`] says so.
    pub fn handle_error(&mut self, error: OpenError) {
        if self.link == Link::Open {
            self.news.push(News::Error(error));
        }
    }

    /// The connection is over: its sockets are disconnected for this reason, and it is opened again after a delay. What was
    /// to be transmitted is dropped.
    ///
    /// After [`Next::Close`] there is nothing left to do here, and the call does no harm.
    pub fn handle_closed(&mut self, now: Instant, reason: CloseReason) {
        self.now = self.now.max(now);
        if self.closing.take().is_some() || self.link == Link::Open {
            self.news.retain(|news| !matches!(news, News::Transmit(_)));
        }
        self.lose(reason);
    }

    /// Takes a message and says what arrived with it; [`Manager::event`] makes the event.
    pub(crate) fn handle<'m>(&mut self, message: Message<'m>) -> Option<Arrival<'m>> {
        match message {
            _ if self.link != Link::Open => None,
            Message::Text(text) => self.handle_text(text),
            Message::Binary(bytes) => self.handle_attachment(bytes),
        }
    }

    /// The event of what arrived just now.
    pub(crate) fn event<'a>(&'a mut self, arrival: Arrival<'a>) -> Event<'a> {
        let (json, name, attachments) = match arrival.body {
            Body::Text(json, name) => (json, name, None),
            Body::Stored => {
                let (json, attachments) = self.partial.as_deref_mut().map_or(("", None), Partial::lend);
                (json, None, attachments)
            }
        };
        let malformed = &mut self.malformed;
        match arrival.subject {
            Subject::Message { socket, ack } => {
                let mut turn = 0;
                if let Some(slot) = self.slots.get_mut(socket.index()) {
                    turn = slot.turn;
                    if slot.pid.is_some() && ack.is_none() {
                        slot.note_offset(json);
                    }
                }
                let payload = Payload::of_event(json, name, attachments, malformed);
                Event::Message { socket, payload, ack: ack.map(|id| AckRequest { socket, turn, id }) }
            }
            Subject::Ack { socket, id } => {
                Event::Ack { socket, id, payload: Payload::of_ack(json, attachments, malformed) }
            }
        }
    }

    /// What is to be said without a message.
    fn told(&mut self) -> Step {
        loop {
            if let Some(news) = self.news.pop() {
                match news {
                    News::Flush(socket) => self.flush(socket),
                    News::Replay(early) => {
                        if let Some(arrival) = self.replay(early) {
                            return Step::Arrival(arrival);
                        }
                    }
                    news => return Step::Next(news.into_next()),
                }
            } else if let Some(reason) = self.closing.take() {
                return Step::Next(Next::Close(reason));
            } else if let Link::Wanted { retry } = self.link {
                let deadline = self.config.timeout.map(|timeout| self.now + timeout);
                self.link = Link::Opening { retry, deadline };
                return Step::Next(Next::Open { deadline });
            } else {
                match self.earliest() {
                    Some((at, due)) if at <= self.now => self.expire(due),
                    due => return Step::Next(Next::Wait(due.map(|(at, _)| at))),
                }
            }
        }
    }

    /// What the last event and the time that has passed lead to.
    #[inline]
    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.malformed || self.partial.is_some() {
            self.look();
        }
    }

    fn look(&mut self) {
        // Its payload was lent to the last event.
        self.partial.take_if(|partial| !partial.is_waiting() && !partial.recycle());
        let late = self.waiting().is_some_and(|partial| partial.deadline <= self.now);
        if mem::take(&mut self.malformed) || late {
            self.break_off(CloseReason::ParseError);
        }
    }
}

/// Time.
impl Manager {
    /// What is due next.
    fn earliest(&self) -> Option<(Instant, Due)> {
        let link = match self.link {
            Link::Delayed { until } => Some((until, Due::Link)),
            Link::Opening { deadline, .. } => deadline.map(|deadline| (deadline, Due::Link)),
            _ => None,
        };
        let partial = self.waiting().map(|partial| (partial.deadline, Due::Attachments));
        let slots = (0..).zip(&self.slots).flat_map(|(index, slot)| {
            let key = slot.key(index);
            let answer = match slot.phase {
                Phase::Connecting(deadline) => deadline.map(|deadline| (deadline, Due::Connecting(key))),
                Phase::Wanted => slot.held.map(|until| (until, Due::Held(key))),
                _ => None,
            };
            let ack = slot.acks.earliest().map(|deadline| (deadline, Due::Ack(key)));
            let attempt = slot.in_flight.map(|deadline| (deadline, Due::Try(key)));
            [answer, ack, attempt].into_iter().flatten()
        });
        let all = link.into_iter().chain(partial).chain(slots);
        all.filter(|(at, _)| *at < NEVER).min_by_key(|(at, _)| *at)
    }

    /// Its time has come.
    fn expire(&mut self, due: Due) {
        match due {
            Due::Link => self.expire_link(),
            Due::Attachments => self.break_off(CloseReason::ParseError),
            Due::Connecting(socket) => {
                if let Some(slot) = self.slot_mut(socket) {
                    slot.phase = Phase::Connecting(None);
                    self.news.push(News::ConnectError(socket, ConnectFailure::Timeout));
                }
                self.break_off_if_useless();
            }
            Due::Held(socket) => {
                if let Some(slot) = self.slot_mut(socket) {
                    slot.held = None;
                    self.start(socket);
                }
            }
            Due::Ack(socket) => {
                if let Some(slot) = self.slot_mut(socket)
                    && let Some(id) = slot.acks.expire()
                {
                    slot.withdraw(id);
                    self.news.push(News::AckFailed(socket, id, AckError::Timeout));
                }
            }
            Due::Try(socket) => {
                self.fail_try(socket, AckError::Timeout);
                self.retry(socket);
            }
        }
    }

    fn expire_link(&mut self) {
        match self.link {
            Link::Delayed { .. } => {
                self.link = Link::Wanted { retry: true };
                self.news.push(News::ReconnectAttempt(self.attempts));
            }
            Link::Opening { .. } => {
                self.closing = Some(CloseReason::ForcedClose);
                self.handle_open_failed(self.now, OpenError::Timeout);
            }
            _ => {}
        }
    }
}

/// Messages.
impl Manager {
    fn handle_text<'m>(&mut self, text: &'m str) -> Option<Arrival<'m>> {
        let header = Header::parse(text, self.config.max_attachments);
        let (Ok(header), None, true) = (header, self.waiting(), text.len() <= self.config.max_packet) else {
            self.break_off(CloseReason::ParseError);
            return None;
        };
        let socket = self.find_active(header.namespace);
        let understood = match header.kind {
            PacketType::Connect => self.handle_connect(socket, header.namespace, header.payload),
            PacketType::ConnectError => self.handle_connect_error(socket, header.payload),
            PacketType::Disconnect => {
                if let Some(socket) = socket {
                    self.leave(socket, Err(DisconnectReason::IoServerDisconnect));
                }
                Some(())
            }
            PacketType::Event | PacketType::BinaryEvent | PacketType::Ack | PacketType::BinaryAck => {
                return self.handle_packet(socket, text, &header);
            }
        };
        if understood.is_none() {
            self.break_off(CloseReason::ParseError);
        }
        None
    }

    /// The answer to a CONNECT. `None` if it is none, or comes at the wrong time.
    fn handle_connect(&mut self, socket: Option<SocketKey>, namespace: &str, payload: &str) -> Option<()> {
        let reply = Reply::parse(payload)?;
        let Some(socket) = socket else {
            // Asked and disconnected meanwhile: or the server would keep a socket that nobody has. What was not asked for
            // is not answered: a server that reads nothing would make a queue grow.
            let asked = self.slots.iter_mut().find(|slot| slot.is(namespace) && slot.unanswered > 0);
            if let Some(slot) = asked.filter(|_| reply.sid.is_some()) {
                slot.unanswered -= 1;
                self.news.push(News::Transmit(encode_disconnect(namespace)));
            }
            return Some(());
        };
        let slot = self.slot_mut(socket).filter(|slot| !matches!(slot.phase, Phase::Flushing | Phase::Connected))?;
        let Some(sid) = reply.sid.filter(|sid| !sid.is_empty()) else {
            if let Phase::Connecting(_) = slot.phase {
                slot.phase = Phase::Connecting(None);
            }
            self.news.push(News::ConnectError(socket, ConnectFailure::Version));
            return Some(());
        };
        if !matches!(slot.phase, Phase::Connecting(_)) {
            return None;
        }
        slot.unanswered = slot.unanswered.saturating_sub(1);
        slot.join(SocketId::from(&*sid), reply.pid.map(|pid| (*pid).into()));
        let early = mem::take(&mut slot.early);
        self.attempts = 0;
        for early in early {
            self.early -= cost(&early);
            self.news.push(News::Replay(early));
        }
        self.news.push(News::Flush(socket));
        Some(())
    }

    /// A refusal. `None` if it is none, or comes at the wrong time.
    fn handle_connect_error(&mut self, socket: Option<SocketKey>, payload: &str) -> Option<()> {
        let error = ConnectError::parse(payload)?;
        let Some(socket) = socket else { return Some(()) };
        match self.slot(socket)?.phase {
            Phase::Flushing | Phase::Connected => return None,
            Phase::Asked | Phase::Connecting(_) => {}
            _ => return Some(()),
        }
        if let Some(before) = self.slot_mut(socket)?.refuse() {
            let until = self.now + delay(&self.config, before, &mut self.random);
            self.slot_mut(socket)?.held = Some(until);
        }
        self.leave(socket, Ok(ConnectFailure::Refused(error)));
        Some(())
    }

    /// An event or an ack: says what is to be delivered at once.
    fn handle_packet<'m>(
        &mut self,
        socket: Option<SocketKey>,
        text: &'m str,
        header: &Header<'m>,
    ) -> Option<Arrival<'m>> {
        let is_event = matches!(header.kind, PacketType::Event | PacketType::BinaryEvent);
        let subject = socket.and_then(|socket| match header.id {
            ack if is_event => Some(Subject::Message { socket, ack }),
            Some(id) => Some(Subject::Ack { socket, id }),
            None => None,
        });
        let deadline = self.now + self.config.attachment_timeout;
        if header.attachments > 0 {
            let partial = self.partial.get_or_insert_default();
            partial.start(subject, text, header.payload, header.attachments, deadline);
            return None;
        }
        let subject = subject?;
        if self.is_early(subject) {
            let mut event = Box::<Partial<Subject>>::default();
            event.start(Some(subject), text, header.payload, 0, deadline);
            self.keep_early(event);
            return None;
        }
        let subject = self.confirm(subject)?;
        Some(Arrival { subject, body: Body::Text(header.payload, header.event) })
    }

    fn handle_attachment<'m>(&mut self, attachment: Binary<'m>) -> Option<Arrival<'m>> {
        let max = self.config.max_packet;
        let added = self.partial.as_deref_mut().map(|partial| (partial.add(attachment, max), partial.subject));
        let Some((Ok(complete), subject)) = added else {
            self.break_off(CloseReason::ParseError);
            return None;
        };
        let subject = subject.filter(|_| complete)?;
        if self.is_early(subject) {
            let event = self.partial.take()?;
            self.keep_early(event);
            return None;
        }
        let confirmed = self.confirm(subject);
        if confirmed.is_none() {
            self.partial = None;
        }
        Some(Arrival { subject: confirmed?, body: Body::Stored })
    }

    /// The packet whose attachments are awaited.
    fn waiting(&self) -> Option<&Partial<Subject>> {
        self.partial.as_deref().filter(|partial| partial.is_waiting())
    }

    /// Whether it is an event for a socket that is about to be connected.
    fn is_early(&self, subject: Subject) -> bool {
        let waits = |slot: &Slot| matches!(slot.phase, Phase::Wanted | Phase::Asked | Phase::Connecting(_));
        matches!(subject, Subject::Message { socket, .. } if self.slot(socket).is_some_and(waits))
    }

    /// Keeps an event until its socket is connected.
    fn keep_early(&mut self, event: Box<Partial<Subject>>) {
        let cost = cost(&event);
        if cost > self.config.max_early.saturating_sub(self.early) {
            self.break_off(CloseReason::ParseError);
            return;
        }
        if let Some(slot) = event.subject.and_then(|subject| self.slot_mut(subject.socket())) {
            slot.early.push_back(event);
            self.early += cost;
        }
    }

    /// Lets through what still concerns somebody: an ack only while it is awaited, and once.
    fn confirm(&mut self, subject: Subject) -> Option<Subject> {
        let now = self.now;
        let slot = self.slot_mut(subject.socket()).filter(|slot| slot.phase == Phase::Connected)?;
        if let Subject::Ack { socket, id } = subject {
            if slot.settle(id) {
                self.retry(socket);
            } else if !slot.acks.answer(id, now) {
                return None;
            }
        }
        Some(subject)
    }

    /// An event that came early, as if it came now.
    fn replay(&mut self, event: Box<Partial<Subject>>) -> Option<Arrival<'static>> {
        let subject = event.subject?;
        self.partial = Some(event);
        Some(Arrival { subject, body: Body::Stored })
    }
}

/// Sockets and the connection.
impl Manager {
    /// A socket wants to be connected now.
    fn start(&mut self, socket: SocketKey) {
        match self.link {
            Link::Closed => self.link = Link::Wanted { retry: false },
            Link::Open => self.begin(socket),
            _ => {}
        }
    }

    /// Asks a namespace to let a socket in, if it wants that now.
    fn begin(&mut self, socket: SocketKey) {
        let now = self.now;
        let waits = |slot: &&mut Slot| slot.phase == Phase::Wanted && slot.held.is_none_or(|until| until <= now);
        let Some(slot) = self.slot_mut(socket).filter(waits) else { return };
        slot.held = None;
        slot.turn = slot.turn.wrapping_add(1);
        match slot.options.auth.clone() {
            Auth::Given(auth) => self.send_connect(socket, &auth),
            Auth::Asked => {
                slot.phase = Phase::Asked;
                let news = News::Authenticate(socket, slot.turn);
                self.news.push(news);
            }
        }
    }

    fn send_connect(&mut self, socket: SocketKey, auth: &Credentials) {
        let deadline = self.config.connect_timeout.map(|timeout| self.now + timeout);
        let Some(slot) = self.slot_mut(socket) else { return };
        slot.phase = Phase::Connecting(deadline);
        slot.unanswered = slot.unanswered.saturating_add(1);
        let auth = auth.with_recovery(slot.pid.as_deref(), slot.offset.as_deref());
        let packet = encode_join(&slot.namespace, auth.as_deref());
        self.news.push(News::Transmit(packet));
    }

    /// Everything that came early is told: sends what is buffered, and tells the socket that it is connected.
    fn flush(&mut self, socket: SocketKey) {
        let flushing = |slot: &&mut Slot| slot.phase == Phase::Flushing;
        let Some(slot) = find(&mut self.slots, socket).filter(flushing) else { return };
        slot.phase = Phase::Connected;
        let recovered = slot.recovered;
        while let Some(packet) = slot.unbuffer() {
            self.news.push(News::Transmit(packet));
        }
        self.retry(socket);
        self.news.push(News::Connect { socket, recovered });
    }

    /// Sends the first event of a socket's queue, unless it is on its way.
    fn retry(&mut self, socket: SocketKey) {
        let now = self.now;
        if let Some(packet) = self.slot_mut(socket).and_then(|slot| slot.retry(now)) {
            self.news.push(News::Transmit(packet));
        }
    }

    /// The try that is on its way has failed.
    fn fail_try(&mut self, socket: SocketKey, error: AckError) {
        if let Some(id) = self.slot_mut(socket).and_then(Slot::fail_try) {
            self.news.push(News::AckFailed(socket, id, error));
        }
    }

    /// A socket is no longer active: it was refused, or disconnected. With the last one the connection is closed.
    fn leave(&mut self, socket: SocketKey, why: Result<ConnectFailure, DisconnectReason>) {
        let Some(phase) = self.part(socket, Phase::Inactive) else { return };
        if !self.slots.iter().any(|slot| slot.phase.is_active()) {
            self.shut();
        }
        match why {
            Ok(refusal) => self.news.push(News::ConnectError(socket, refusal)),
            Err(reason) => self.tell_parted(socket, phase, reason),
        }
        self.break_off_if_useless();
    }

    /// Closes a connection on which sockets have waited too long for an answer, if no other needs it: a second CONNECT
    /// would end it, but on the next connection they may be answered.
    fn break_off_if_useless(&mut self) {
        let late = |slot: &Slot| slot.phase == Phase::Connecting(None) && self.config.connect_timeout.is_some();
        let alive = |slot: &Slot| slot.phase == Phase::Connected || slot.phase.is_pending();
        if self.slots.iter().any(late) && !self.slots.iter().any(alive) {
            self.break_off(CloseReason::ForcedClose);
        }
    }

    /// Takes a socket from the connection. Gives the phase that it was in.
    fn part(&mut self, socket: SocketKey, to: Phase) -> Option<Phase> {
        let slot = self.slot_mut(socket)?;
        let phase = slot.phase;
        let early: usize = slot.early.iter().map(|early| cost(early)).sum();
        slot.leave(to);
        self.early -= early;
        if phase == Phase::Flushing {
            self.news.retain(|news| match news {
                News::Flush(key) => *key != socket,
                News::Replay(early) => early.subject.is_none_or(|subject| subject.socket() != socket),
                _ => true,
            });
        }
        let partial = self.partial.as_deref_mut().filter(|partial| partial.is_waiting());
        if let Some(partial) = partial.filter(|partial| partial.subject.is_some_and(|for_| for_.socket() == socket)) {
            partial.discard();
        }
        Some(phase)
    }

    /// Says what it means to a socket to be taken from the connection in this phase.
    fn tell_parted(&mut self, socket: SocketKey, phase: Phase, reason: DisconnectReason) {
        match phase {
            Phase::Connected => {
                self.news.push(News::Disconnect(socket, reason));
                let acks = self.slot_mut(socket).map(|slot| slot.acks.drain());
                for id in acks.into_iter().flatten() {
                    self.news.push(News::AckFailed(socket, id, AckError::Disconnected));
                }
                self.fail_try(socket, AckError::Disconnected);
            }
            _ if reason == DisconnectReason::IoClientDisconnect => {}
            phase if phase.is_pending() || reason == DisconnectReason::IoServerDisconnect => {
                self.news.push(News::ConnectError(socket, ConnectFailure::Closed(reason)));
            }
            _ => {}
        }
    }

    /// Drops what a socket has buffered.
    fn discard(&mut self, socket: SocketKey) {
        for id in self.slot_mut(socket).map(Slot::clear).unwrap_or_default() {
            self.news.push(News::AckFailed(socket, id, AckError::Disconnected));
        }
    }

    /// Closes the connection from this side, for good.
    fn shut(&mut self) {
        if matches!(self.link, Link::Opening { .. } | Link::Open) {
            self.closing = Some(CloseReason::ForcedClose);
        }
        if self.link != Link::Closed {
            self.news.push(News::Closed(CloseReason::ForcedClose));
        }
        self.link = Link::Closed;
        self.attempts = 0;
        self.forget_connection();
    }

    /// Closes the connection from this side; the next attempt follows.
    fn break_off(&mut self, reason: CloseReason) {
        if self.link == Link::Open {
            self.closing = Some(reason);
            self.lose(reason);
        }
    }

    /// The open connection is over.
    fn lose(&mut self, reason: CloseReason) {
        if self.link != Link::Open {
            return;
        }
        self.forget_connection();
        for socket in self.keys() {
            if self.is_active(socket)
                && let Some(phase) = self.part(socket, Phase::Wanted)
            {
                self.tell_parted(socket, phase, DisconnectReason::Connection(reason));
            }
        }
        self.news.push(News::Closed(reason));
        self.reconnect();
    }

    /// Nothing more comes of what was asked for or had begun to arrive.
    fn forget_connection(&mut self) {
        self.partial = None;
        self.slots.iter_mut().for_each(|slot| slot.unanswered = 0);
    }

    /// Prepares the next attempt to open the connection, if there is to be one.
    fn reconnect(&mut self) {
        self.link = Link::Closed;
        if !self.config.reconnection {
            return;
        }
        if self.config.reconnection_attempts.is_some_and(|max| self.attempts >= max) {
            self.attempts = 0;
            self.news.push(News::ReconnectFailed);
            return;
        }
        let until = self.now + delay(&self.config, self.attempts, &mut self.random);
        self.link = Link::Delayed { until };
        self.attempts = self.attempts.saturating_add(1);
    }

    fn keys(&self) -> Vec<SocketKey> {
        let taken = (0..).zip(&self.slots).filter(|(_, slot)| slot.phase != Phase::Free);
        taken.map(|(index, slot)| slot.key(index)).collect()
    }

    fn find_active(&self, namespace: &str) -> Option<SocketKey> {
        let is_it = |slot: &Slot| slot.phase.is_active() && slot.is(namespace);
        (0..).zip(&self.slots).find(|(_, slot)| is_it(slot)).map(|(index, slot)| slot.key(index))
    }

    fn slot(&self, key: SocketKey) -> Option<&Slot> {
        let is_it = |slot: &&Slot| slot.generation == key.generation && slot.phase != Phase::Free;
        self.slots.get(key.index()).filter(is_it)
    }

    fn slot_mut(&mut self, key: SocketKey) -> Option<&mut Slot> {
        find(&mut self.slots, key)
    }
}

fn find(slots: &mut [Slot], key: SocketKey) -> Option<&mut Slot> {
    let is_it = |slot: &&mut Slot| slot.generation == key.generation && slot.phase != Phase::Free;
    slots.get_mut(key.index()).filter(is_it)
}

/// Awaits an answer of a socket.
fn expect(slot: &mut Slot, ack: Option<ExpectedAck>, config: &Config) -> Result<(), EmitError> {
    let Some(ExpectedAck { id, deadline }) = ack else { return Ok(()) };
    slot.acks.insert(id, deadline.unwrap_or(NEVER), config.max_acks).map_err(|_| EmitError::TooManyAcks)
}

impl News {
    fn into_next(self) -> Next<'static> {
        Next::Event(match self {
            Self::Transmit(packet) => return Next::Transmit(packet),
            Self::Authenticate(socket, turn) => Event::Authenticate(AuthRequest { socket, turn }),
            Self::Connect { socket, recovered } => Event::Connect { socket, recovered },
            Self::ConnectError(socket, error) => Event::ConnectError { socket, error },
            Self::Disconnect(socket, reason) => Event::Disconnect { socket, reason },
            Self::AckFailed(socket, id, error) => Event::AckFailed { socket, id, error },
            Self::Opened => Event::Opened,
            Self::Error(error) => Event::Error(error),
            Self::Closed(reason) => Event::Closed(reason),
            Self::ReconnectAttempt(attempt) => Event::ReconnectAttempt(attempt),
            Self::ReconnectError(error) => Event::ReconnectError(error),
            Self::ReconnectFailed => Event::ReconnectFailed,
            Self::Reconnect(attempt) => Event::Reconnect(attempt),
            // They never get here: `told` handles them.
            Self::Replay(_) | Self::Flush(_) => return Next::Wait(None),
        })
    }
}

/// What an event that came early counts towards [`Config::max_early`].
fn cost(event: &Partial<Subject>) -> usize {
    event.bytes.saturating_add(Packet::OVERHEAD)
}

/// The answer of a namespace that lets this side in.
struct Reply {
    sid: Option<Box<str>>,
    pid: Option<Box<str>>,
}

impl Reply {
    /// The longest id that is kept, in bytes.
    const MAX_ID: usize = 256;

    /// `None` if it is no JSON, or an id too long. Servers of version 2 send nothing, or no `sid`.
    fn parse(payload: &str) -> Option<Self> {
        #[derive(Default, Deserialize)]
        struct Fields {
            #[serde(default)]
            sid: serde_json::Value,
            #[serde(default)]
            pid: serde_json::Value,
        }
        if !payload.is_empty() && !de::is_json(payload) {
            return None;
        }
        let Fields { sid, pid } = serde_json::from_str(payload).unwrap_or_default();
        let [sid, pid] = [sid, pid].map(|id| id.as_str().map(Box::from));
        let fits = |id: &Option<Box<str>>| id.as_ref().is_none_or(|id| id.len() <= Self::MAX_ID);
        (fits(&sid) && fits(&pid)).then_some(Self { sid, pid })
    }
}

#[cfg(test)]
mod tests;
