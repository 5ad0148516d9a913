use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use self::join::Unanswered;
use self::link::Link;
use self::news::News;
use self::receive::Arrival;
use super::slot::{NEVER, Phase, Slot, Subject};
use super::{
    AckError, AckRequest, Auth, AuthRequest, Config, ConnectFailure, Credentials, EmitError, ExpectedAck,
    InvalidNamespace, Next, SocketOptions,
};
use crate::engine::{CloseReason, Message, Packet};
use crate::socket::DisconnectReason;
use crate::socket::key::{SocketKey, number};
use crate::socket::partial::Partial;
use crate::socket::queue::Queue;
use crate::{Instant, Random, SocketId};

mod join;
mod link;
mod news;
mod receive;

/// The Socket.IO sockets of one client on one connection, which is opened again when it is lost.
///
/// See the [module's documentation](super) for how to drive it.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Manager {
    config: Arc<Config>,
    random: Random,
    /// The latest time that was told: time never runs backwards.
    now: Instant,
    link: Link,
    /// How often the connection was opened again without a namespace letting this side in.
    attempts: u32,
    slots: Vec<Slot>,
    /// One at most for each namespace.
    unanswered: Vec<Unanswered>,
    /// Namespaces that were left on this connection, and until when they are not asked again. What comes from them before
    /// they have answered again was sent to the socket that has left.
    left: Vec<(Box<str>, Instant)>,
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
            unanswered: Vec::new(),
            left: Vec::new(),
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
        InvalidNamespace::check(namespace)?;
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
    /// again, for a socket that was refused twice in a row, and while an earlier CONNECT is unanswered, that takes its time.
    pub fn connect(&mut self, now: Instant, socket: SocketKey) {
        self.now = self.now.max(now);
        let Some(slot) = self.slot_mut(socket) else { return };
        if slot.phase == Phase::Inactive {
            slot.phase = Phase::Wanted;
        }
        slot.opens = slot.held.is_some();
        if !slot.opens {
            self.start(socket);
        }
    }

    /// Disconnects a socket: `io client disconnect`. With the last one the connection is closed. What is buffered stays,
    /// for the next [`Manager::connect`].
    pub fn disconnect(&mut self, socket: SocketKey) {
        let Some(slot) = self.slot_mut(socket).filter(|slot| slot.phase.is_active()) else { return };
        if matches!(slot.phase, Phase::Flushing | Phase::Connected) {
            let leave = News::Leave(slot.namespace.clone());
            self.news.push(leave);
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

    /// There are no credentials for a socket: it is disconnected. False, and nothing happens, if the request is void by now.
    pub fn decline(&mut self, request: AuthRequest) -> bool {
        let asked = |slot: &&Slot| slot.phase == Phase::Asked && slot.turn == request.turn;
        let is_current = self.slot(request.socket).filter(asked).is_some();
        if is_current {
            self.disconnect(request.socket);
        }
        is_current
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
    /// `ack` is the answer that it awaits: exactly one [`Event::Ack`](super::Event::Ack) or
    /// [`Event::AckFailed`](super::Event::AckFailed) follows. An event that is late before it was sent is not sent.
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

    /// Nobody waits for an answer any more: neither [`Event::Ack`](super::Event::Ack) nor
    /// [`Event::AckFailed`](super::Event::AckFailed) follows. The event is sent all the same. Does nothing to an event with
    /// retries, which is sent until it is answered, or given up.
    pub fn forget_ack(&mut self, socket: SocketKey, id: u64) {
        if let Some(slot) = self.slot_mut(socket) {
            slot.acks.remove(id);
        }
        let is_it = |of: SocketKey, failed: u64| of == socket && failed == id;
        self.news.retain(|news| !matches!(news, News::AckFailed(of, failed, _) if is_it(*of, *failed)));
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
    /// A try ends after `timeout`, without it after [`SocketOptions::ack_timeout`], or with the connection. The answer to any
    /// of them counts. Exactly one [`Event::Ack`](super::Event::Ack) or [`Event::AckFailed`](super::Event::AckFailed)
    /// follows.
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
        self.now = self.now.max(now);
        find(&mut self.slots, socket).ok_or(EmitError::Gone)?.enqueue(packet, id, timeout, &self.config)?;
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

    /// What the events of all sockets cost that wait to be sent, or with retries to be answered, in bytes.
    pub fn buffered_bytes(&self) -> usize {
        self.slots.iter().map(Slot::buffered_bytes).sum()
    }

    /// Whether the connection is open.
    pub fn is_open(&self) -> bool {
        self.link == Link::Open
    }

    /// Whether there is no connection, and none to come by itself: nobody wants one, or all attempts were made.
    pub fn is_dormant(&self) -> bool {
        self.link == Link::Closed
    }

    /// Whether nothing is kept, awaited, timed or to be said, and no connection wanted.
    pub fn is_idle(&self) -> bool {
        self.link == Link::Closed
            && self.slots.iter().all(Slot::is_idle)
            && self.unanswered.capacity() == 0
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
                    News::Leave(namespace) => {
                        self.note_leave(&namespace);
                        return Step::Next(News::Leave(namespace).into_next());
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
                Phase::Connecting(deadline) => Some((deadline, Due::Connecting(key))),
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
                    slot.phase = Phase::Late;
                    self.news.push(News::ConnectError(socket, ConnectFailure::Timeout));
                }
                self.break_off_if_useless();
            }
            Due::Held(socket) => {
                if let Some(slot) = self.slot_mut(socket) {
                    slot.held = None;
                    // What was tried meanwhile, was so for this socket, too.
                    if mem::take(&mut slot.opens) || self.is_open() {
                        self.start(socket);
                    }
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
}

/// Looking up.
impl Manager {
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

#[cfg(test)]
mod tests;
