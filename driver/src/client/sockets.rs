use core::future::ready;
use core::mem;
use core::panic::AssertUnwindSafe;
use core::pin::Pin;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll, Waker};
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::{Arc, Weak};

use futures_channel::oneshot;
use futures_util::stream::{FuturesUnordered, Stream as _};
use socketio_protocol::Instant;
use socketio_protocol::client::Client as Machine;
use socketio_protocol::socket::manager::{
    self, Auth, AuthRequest, Credentials, Event, ExpectedAck, OpenError, SocketOptions,
};
use socketio_protocol::socket::{DisconnectReason, EncodeError, Payload, SocketKey};

use super::event::Queued;
use super::mailbox::{Order, Question};
use super::{AuthSource, Client, ClientEvent, ConnectFailure, Handlers, Inner, ManagerEvent, Status};
use crate::connection::{Reply, caught, panicked};
use crate::error::{AckError, HandlerError};
use crate::extract::EventContext;
use crate::handler::{Finished, Slots, Started, Waiting};
use crate::lane::{Held, Lane};
use crate::mailbox::lock;
use crate::namespace::BoxFuture;

/// The sockets of a client as its task knows them, and the application's work for them.
pub(super) struct Sockets {
    locals: Vec<Local>,
    /// Whether lost connections are opened again.
    reconnection: bool,
    /// Why the connection could not be opened when that was tried last.
    last_error: Option<OpenError>,
    work: FuturesUnordered<Work>,
    /// Some of it was not polled yet, and wakes nobody.
    has_new_work: bool,
    /// Whether a socket is active may have changed.
    has_changed: bool,
    /// Who waits for the end of the connection with this number.
    closers: Vec<(u64, oneshot::Sender<()>)>,
    /// Credentials that are being asked for: one attempt for each socket.
    auths: Vec<(AuthRequest, BoxFuture<Authenticated>)>,
}

/// One socket.
struct Local {
    serial: u32,
    key: SocketKey,
    inner: Weak<Inner>,
    handlers: Arc<Handlers>,
    /// The [`Inner::version`] of `handlers`.
    version: usize,
    auth: AuthSource,
    events: Lane<Client>,
    replies: BTreeMap<u64, Reply>,
    waiters: Vec<Waiter>,
}

/// Who waits for the socket to be connected.
struct Waiter {
    deadline: Option<Instant>,
    reply: oneshot::Sender<Result<(), ConnectFailure>>,
}

/// Something of the application that waits.
struct Work {
    serial: u32,
    kind: Kind,
    /// What its errors are told as.
    event: Box<str>,
    future: Waiting,
}

/// What the end of a handler has to be followed by.
#[derive(Copy, Clone)]
enum Kind {
    /// It was `on_connect`: events need not be held any more.
    Connect,
    /// It was an event's: another one may start.
    Event,
    Other,
}

type Authenticated = Result<Credentials, EncodeError>;

impl Future for Work {
    type Output = (u32, Kind, Box<str>, Finished);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let finished = core::task::ready!(self.future.as_mut().poll(cx));
        Poll::Ready((self.serial, self.kind, mem::take(&mut self.event), finished))
    }
}

/// For the task.
impl Sockets {
    pub(super) fn new(reconnection: bool) -> Self {
        Self {
            locals: Vec::new(),
            reconnection,
            last_error: None,
            work: FuturesUnordered::new(),
            has_new_work: false,
            has_changed: false,
            closers: Vec::new(),
            auths: Vec::new(),
        }
    }

    /// Whether there is no handle any more.
    pub(super) fn is_empty(&self) -> bool {
        self.locals.is_empty()
    }

    /// Whether so much is held or waits that reading has to stop.
    pub(super) fn is_full(&self, max_held: usize) -> bool {
        self.locals.iter().any(|local| {
            local.events.held_bytes() > max_held || local.inner.upgrade().is_some_and(|inner| inner.is_full())
        })
    }

    /// When the next of those who wait for a connection waits no longer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.locals.iter().flat_map(|local| &local.waiters).filter_map(|waiter| waiter.deadline).min()
    }

    /// Carries out what a handle asks for.
    pub(super) fn obey(&mut self, order: Order, machine: &mut Machine, now: Instant, slots: &mut Slots) {
        self.has_changed |=
            !matches!(order, Order::Emit { .. } | Order::Ask(_) | Order::Forget(..) | Order::Answer(..));
        match order {
            Order::Add { inner, options, auth, starts } => {
                let key = self.add(inner, *options, auth, machine);
                key.filter(|_| starts).into_iter().for_each(|key| machine.connect(now, key));
            }
            Order::Remove(serial) => self.remove(serial, machine),
            Order::Connect { serial, timeout, reply } => {
                let Some(local) = self.local(serial) else { return };
                let deadline = timeout.map(|timeout| now + timeout);
                local.waiters.retain(|waiter| !waiter.reply.is_canceled());
                local.waiters.extend(reply.map(|reply| Waiter { deadline, reply }));
                machine.connect(now, local.key);
                // At once: who has waited for the connection may ask for events.
                local.update(|status| status.over = false);
                let is_told = local.inner.upgrade().is_some_and(|inner| Client(inner).is_connected());
                if is_told && machine.manager().is_connected(local.key) {
                    local.resolve(&Ok(()));
                }
            }
            Order::Disconnect(serial) => {
                let Some(local) = self.local(serial) else { return };
                machine.disconnect(local.key);
                local.resolve(&Err(ConnectFailure::Closed(DisconnectReason::IoClientDisconnect)));
            }
            Order::Close(closer) => {
                machine.close();
                for local in &mut self.locals {
                    local.resolve(&Err(ConnectFailure::Closed(DisconnectReason::IoClientDisconnect)));
                }
                self.closers.push((machine.connections(), closer));
            }
            Order::SetAuth(serial, auth) => {
                let Some(local) = self.local(serial) else { return };
                match &mut local.auth {
                    // Who was asked already is to have them, too.
                    Some(source) => *source = Arc::new(move || Box::pin(ready(Ok(auth.clone())))),
                    None => machine.set_auth(local.key, Auth::Given(auth)),
                }
            }
            Order::Emit { serial, packet, volatile } => {
                let Some(local) = self.local(serial) else { return };
                // Without an ack and without limits of the machine's nothing can fail.
                let _ = match volatile {
                    false => machine.emit(local.key, packet, None).map(|()| true),
                    true => machine.emit_volatile(local.key, packet, None),
                };
            }
            Order::Ask(question) => self.ask(*question, machine, now),
            Order::Forget(serial, id) => {
                let Some(local) = self.local(serial) else { return };
                local.replies.remove(&id);
                machine.forget_ack(local.key, id);
            }
            Order::Answer(request, packet) => _ = machine.answer(request, packet),
            Order::Attend(serial) => self.attend(serial, slots),
        }
    }

    fn add(
        &mut self,
        inner: Weak<Inner>,
        options: SocketOptions,
        auth: AuthSource,
        machine: &mut Machine,
    ) -> Option<SocketKey> {
        let handle = inner.upgrade()?;
        // The name was checked when the handle was made.
        let key = machine.socket(&handle.namespace, options).ok()?;
        self.locals.push(Local {
            serial: handle.serial,
            key,
            handlers: Arc::clone(&lock(&handle.handlers)),
            version: handle.version.load(Ordering::Acquire),
            inner,
            auth,
            events: Lane::new(false),
            replies: BTreeMap::new(),
            waiters: Vec::new(),
        });
        Some(key)
    }

    fn remove(&mut self, serial: u32, machine: &mut Machine) {
        let Some(at) = self.locals.iter().position(|local| local.serial == serial) else { return };
        let mut local = self.locals.swap_remove(at);
        machine.remove(local.key);
        self.auths.retain(|(request, _)| request.socket() != local.key);
        local.resolve(&Err(ConnectFailure::Closed(DisconnectReason::IoClientDisconnect)));
        for reply in local.replies.into_values() {
            reply(Err(AckError::Disconnected));
        }
    }

    fn ask(&mut self, question: Question, machine: &mut Machine, now: Instant) {
        let Question { serial, packet, id, timeout, retried, reply } = question;
        let Some(local) = self.local(serial) else {
            reply.into_iter().for_each(|reply| reply(Err(AckError::Disconnected)));
            return;
        };
        let asked = if retried {
            machine.emit_with_retries(now, local.key, packet, id, timeout)
        } else {
            let deadline = timeout.map(|timeout| now + timeout);
            machine.emit(local.key, packet, Some(ExpectedAck { id, deadline }))
        };
        match (asked, reply) {
            (Ok(()), Some(reply)) => _ = local.replies.insert(id, reply),
            (Err(manager::EmitError::TooManyAcks), Some(reply)) => reply(Err(AckError::TooMany)),
            (Err(_), Some(reply)) => reply(Err(AckError::Disconnected)),
            (_, None) => {}
        }
    }

    /// A handler was declared, or room was made: hands on what may be by now.
    fn attend(&mut self, serial: u32, slots: &mut Slots) {
        let Some(client) = self.local(serial).and_then(|local| local.refresh()) else { return };
        let Some(local) = self.local(serial) else { return };
        let handlers = Arc::clone(&local.handlers);
        let mut status = lock(&client.0.status);
        let mut found = Vec::new();
        if !status.pulled {
            let is_handled =
                |queued: &Queued| matches!(queued, Queued::Event(held) if handlers.find(&held.event).is_some());
            let (handled, left): (Vec<_>, Vec<_>) = mem::take(&mut status.events).into_iter().partition(is_handled);
            status.bytes = left.iter().map(Queued::size).sum();
            (status.events, found) = (left.into(), handled);
        }
        drop(status);
        for queued in found {
            let (Queued::Event(Held { event, args, ack }), Some(local)) = (queued, self.local(serial)) else {
                continue;
            };
            if let Some(started) = local.take(&event, args.payload(), ack, slots) {
                self.started(serial, &event, started);
            }
        }
        self.release(serial, slots);
    }

    /// Lets time pass for those who wait for a connection.
    pub(super) fn tick(&mut self, now: Instant) {
        for local in &mut self.locals {
            let is_late = |waiter: &mut Waiter| waiter.deadline.is_some_and(|deadline| deadline <= now);
            for waiter in local.waiters.extract_if(.., is_late) {
                let _ = waiter.reply.send(Err(ConnectFailure::Deadline(self.last_error.clone())));
            }
        }
    }

    /// Polls those who are asked for credentials.
    pub(super) fn poll_auths(&mut self, machine: &mut Machine, now: Instant, cx: &mut Context<'_>) {
        let mut at = 0;
        while let Some((_, future)) = self.auths.get_mut(at) {
            let credentials = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(Poll::Pending) => {
                    at += 1;
                    continue;
                }
                Ok(Poll::Ready(credentials)) => credentials.map_err(HandlerError::from),
                Err(panic) => Err(panicked(&*panic)),
            };
            let (request, _) = self.auths.swap_remove(at);
            match credentials {
                Ok(auth) => machine.authenticate(now, request, &auth),
                Err(error) => self.no_credentials(request, &error, machine),
            }
        }
    }

    fn no_credentials(&mut self, request: AuthRequest, error: &HandlerError, machine: &mut Machine) {
        let Some(local) = self.by_key(request.socket()) else { return };
        let serial = local.serial;
        if machine.decline(request) {
            local.resolve(&Err(ConnectFailure::Invalid(format!("no credentials: {error}"))));
            self.has_changed = true;
        }
        self.tell(serial, "auth", error);
    }

    /// Tells those who have waited for the end of a connection.
    pub(super) fn tell_closed(&mut self, machine: &Machine) {
        let is_over = |number: u64| machine.transport().is_none() || machine.connections() != number;
        for (_, closer) in self.closers.extract_if(.., |(number, _)| is_over(*number)) {
            let _ = closer.send(());
        }
    }

    /// What the handles see follows the machine.
    pub(super) fn publish(&mut self, machine: &Machine) {
        if !mem::take(&mut self.has_changed) {
            return;
        }
        for local in &self.locals {
            let active = machine.manager().is_active(local.key);
            let over = !active || machine.manager().is_dormant();
            local.update(|status| (status.active, status.over) = (active, over));
        }
    }

    /// The task ends: nothing more comes.
    pub(super) fn end(&mut self) {
        for local in &self.locals {
            local.update(|status| (status.id, status.active, status.over) = (None, false, true));
        }
    }
}

/// What happens.
impl Sockets {
    /// Something happened. Gives a socket that is connected, to be told with [`Sockets::connected`]: the machine has its id.
    pub(super) fn handle(&mut self, event: Event<'_>, slots: &mut Slots) -> Option<(SocketKey, bool)> {
        self.has_changed |= !matches!(event, Event::Message { .. } | Event::Ack { .. });
        match event {
            Event::Connect { socket, recovered } => return Some((socket, recovered)),
            Event::Authenticate(request) => self.authenticate(request),
            Event::ConnectError { socket, error } => self.not_connected(socket, error.into(), slots),
            Event::Disconnect { socket, reason } => self.disconnected(socket, reason, slots),
            Event::Message { socket, payload, ack } => {
                // What waits for a handler that was declared just now comes first.
                if let Some(serial) = self.by_key(socket).filter(|local| local.is_stale()).map(|local| local.serial) {
                    self.attend(serial, slots);
                }
                let local = self.by_key(socket)?;
                let name = payload.event();
                if let Some(started) = local.take(&name, payload, ack, slots) {
                    let serial = local.serial;
                    self.started(serial, &name, started);
                }
            }
            Event::Ack { socket, id, payload } => {
                if let Some(reply) = self.by_key(socket).and_then(|local| local.replies.remove(&id)) {
                    reply(Ok(payload));
                }
            }
            Event::AckFailed { socket, id, error } => {
                if let Some(reply) = self.by_key(socket).and_then(|local| local.replies.remove(&id)) {
                    reply(Err(match error {
                        manager::AckError::Timeout => AckError::Timeout,
                        _ => AckError::Disconnected,
                    }));
                }
            }
            event => {
                if let Some(event) = manager_event(event) {
                    self.tell_all(&event);
                }
            }
        }
        None
    }

    /// Tells all sockets something about the connection.
    pub(super) fn tell_all(&mut self, event: &ManagerEvent) {
        match event {
            ManagerEvent::Open => self.last_error = None,
            ManagerEvent::Error(error) => self.last_error = Some(error.clone()),
            ManagerEvent::ReconnectFailed => {
                let error = self.last_error.clone().unwrap_or(OpenError::Timeout);
                self.locals.iter_mut().for_each(|local| local.resolve(&Err(ConnectFailure::Open(error.clone()))));
            }
            _ => {}
        }
        for local in &mut self.locals {
            if let Some(client) = local.refresh() {
                if let Some(handler) = &local.handlers.manager
                    && catch_unwind(AssertUnwindSafe(|| handler(event))).is_err()
                {
                    tracing::error!("the handler of `on_manager` panicked");
                }
                local.offer(&client, Queued::Other(ClientEvent::Manager(event.clone())));
            }
        }
    }

    fn authenticate(&mut self, request: AuthRequest) {
        let key = request.socket();
        // Who was asked for an earlier connection is asked no more.
        self.auths.retain(|(earlier, _)| earlier.socket() != key);
        // Only who has a source is asked.
        if let Some(auth) = self.by_key(key).and_then(|local| local.auth.clone()) {
            self.auths.push((request, Box::pin(async move { auth().await })));
        }
    }

    /// A socket is connected.
    pub(super) fn connected(&mut self, key: SocketKey, recovered: bool, machine: &Machine, slots: &mut Slots) {
        let Some(local) = self.by_key(key) else { return };
        let Some(client) = local.refresh() else { return };
        let id = machine.id(key).cloned();
        local.update(|status| {
            (status.id, status.recovered) = (id, recovered);
            (status.active, status.over) = (true, false);
        });
        local.resolve(&Ok(()));
        local.offer(&client, Queued::Other(ClientEvent::Connect { recovered }));
        let Some(handler) = local.handlers.connect.clone() else { return };
        local.events.connecting = true;
        let serial = local.serial;
        let future = caught(move || handler(&client));
        self.begin(serial, Kind::Connect, "connect", future, slots);
    }

    fn not_connected(&mut self, key: SocketKey, error: ConnectFailure, slots: &mut Slots) {
        let reconnection = self.reconnection;
        let Some(local) = self.by_key(key) else { return };
        let Some(client) = local.refresh() else { return };
        let has_left = matches!(error, ConnectFailure::Refused(_))
            || matches!(error, ConnectFailure::Closed(DisconnectReason::IoServerDisconnect));
        local.update(|status| status.active &= !has_left);
        if has_left || !reconnection {
            local.resolve(&Err(error.clone()));
        }
        local.offer(&client, Queued::Other(ClientEvent::ConnectError(error.clone())));
        let (serial, handler) = (local.serial, local.handlers.connect_error.clone());
        if let Some(handler) = handler {
            let future = caught(move || Ok(handler(client, error)));
            self.begin(serial, Kind::Other, "connect_error", future, slots);
        }
    }

    fn disconnected(&mut self, key: SocketKey, reason: DisconnectReason, slots: &mut Slots) {
        let Some(local) = self.by_key(key) else { return };
        let Some(client) = local.refresh() else { return };
        let has_left = matches!(reason, DisconnectReason::IoServerDisconnect | DisconnectReason::IoClientDisconnect);
        local.update(|status| (status.id, status.active) = (None, status.active && !has_left));
        local.offer(&client, Queued::Other(ClientEvent::Disconnect(reason)));
        let (serial, handler) = (local.serial, local.handlers.disconnect.clone());
        if let Some(handler) = handler {
            let future = caught(move || Ok(handler(client, reason)));
            self.begin(serial, Kind::Other, "disconnect", future, slots);
        }
    }

    /// Starts a handler at once, so that what happens is told in its order, the manager's events among it, and `on_connect`
    /// starts before the handler of any event does. Whoever waits is polled again, with a waker.
    fn begin(&mut self, serial: u32, kind: Kind, event: &str, mut future: Waiting, slots: &mut Slots) {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(finished) => self.done(serial, kind, event, finished, slots),
            Poll::Pending => self.wait(serial, kind, event, future),
        }
    }

    /// Starts what was held, as far as it may.
    fn release(&mut self, serial: u32, slots: &mut Slots) {
        while let Some(local) = self.local(serial) {
            let Some(client) = local.refresh() else { return };
            let Local { handlers, events, .. } = local;
            let Some((held, handler)) = events.release(|event| handlers.find(event).cloned()) else { return };
            let Some(handler) = handler else {
                local.offer(&client, Queued::Event(held));
                continue;
            };
            let Held { event, args, ack } = held;
            let context = EventContext { socket: &client, event: &event, payload: Some(args.payload()), ack };
            let started = events.start(context, &handler, slots);
            self.started(serial, &event, started);
        }
    }

    fn started(&mut self, serial: u32, event: &str, started: Started) {
        match started {
            Started::Finished(finished) => self.finished(serial, event, finished),
            Started::Refused(error) => self.tell(serial, event, &error),
            Started::Waiting(future) => self.wait(serial, Kind::Event, event, future),
        }
    }

    fn wait(&mut self, serial: u32, kind: Kind, event: &str, future: Waiting) {
        self.work.push(Work { serial, kind, event: event.into(), future });
        self.has_new_work = true;
    }

    /// Polls what waits.
    pub(super) fn poll_work(&mut self, cx: &mut Context<'_>, slots: &mut Slots) {
        loop {
            self.has_new_work = false;
            while let Poll::Ready(Some((serial, kind, event, finished))) = Pin::new(&mut self.work).poll_next(cx) {
                self.done(serial, kind, &event, finished, slots);
            }
            if !self.has_new_work {
                return;
            }
        }
    }

    fn done(&mut self, serial: u32, kind: Kind, event: &str, finished: Finished, slots: &mut Slots) {
        match (self.local(serial), kind) {
            (Some(local), Kind::Connect) => local.events.connecting = false,
            (Some(local), Kind::Event) => local.events.waiting -= 1,
            _ => {}
        }
        self.finished(serial, event, finished);
        self.release(serial, slots);
    }

    /// Tells of a failure.
    fn finished(&mut self, serial: u32, event: &str, finished: Finished) {
        match finished {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.tell(serial, event, &error),
            Err(panic) => self.tell(serial, event, &panicked(&*panic)),
        }
    }

    fn tell(&mut self, serial: u32, event: &str, error: &HandlerError) {
        let client = self.local(serial).and_then(|local| Some((local.refresh()?, local.handlers.error.clone())));
        match client {
            Some((client, Some(handler))) => {
                if catch_unwind(AssertUnwindSafe(|| handler(&client, event, error))).is_err() {
                    tracing::error!(event, "the error handler panicked");
                }
            }
            _ => tracing::warn!(event, %error, "a handler failed"),
        }
    }

    fn local(&mut self, serial: u32) -> Option<&mut Local> {
        self.locals.iter_mut().find(|local| local.serial == serial)
    }

    fn by_key(&mut self, key: SocketKey) -> Option<&mut Local> {
        self.locals.iter_mut().find(|local| local.key == key)
    }
}

impl Local {
    /// Whether handlers were declared that are not known here.
    fn is_stale(&self) -> bool {
        self.inner.upgrade().is_some_and(|inner| inner.version.load(Ordering::Acquire) != self.version)
    }

    /// A handle, if there is one, once the handlers are known that it has now.
    fn refresh(&mut self) -> Option<Client> {
        let inner = self.inner.upgrade()?;
        let version = inner.version.load(Ordering::Acquire);
        if version != self.version {
            let handlers = Arc::clone(&lock(&inner.handlers));
            // The old ones may drop the application's values, which may come here again.
            drop(mem::replace(&mut self.handlers, handlers));
            self.version = version;
        }
        Some(Client(inner))
    }

    /// Hands an event to its handler, holds it, or has it wait for [`Client::next`]. Gives what became of the handler.
    fn take(
        &mut self,
        name: &str,
        payload: Payload<'_>,
        ack: Option<manager::AckRequest>,
        slots: &mut Slots,
    ) -> Option<Started> {
        let client = self.refresh()?;
        let handler = self.handlers.find(name);
        if self.events.holds(handler) {
            self.events.hold(name, payload, ack);
        } else if let Some(handler) = handler {
            let context = EventContext { socket: &client, event: name, payload: Some(payload), ack };
            return Some(self.events.start(context, handler, slots));
        } else if self.is_pulled(&client)
            && let Some(event) = Held::new(name, payload, ack)
        {
            client.0.offer(Queued::Event(event));
        }
        None
    }

    /// Whether what has no handler waits for [`Client::next`]: not if handlers are all that there is.
    fn is_pulled(&self, client: &Client) -> bool {
        !self.handlers.has_events() || lock(&client.0.status).pulled
    }

    fn offer(&self, client: &Client, event: Queued) {
        if self.is_pulled(client) {
            client.0.offer(event);
        }
    }

    fn update(&self, change: impl FnOnce(&mut Status)) {
        if let Some(inner) = self.inner.upgrade() {
            inner.update(change);
        }
    }

    /// Tells those who wait for a connection what came of it.
    fn resolve(&mut self, outcome: &Result<(), ConnectFailure>) {
        for waiter in self.waiters.drain(..) {
            let _ = waiter.reply.send(outcome.clone());
        }
    }
}

/// What is told of the connection.
fn manager_event(event: Event<'_>) -> Option<ManagerEvent> {
    Some(match event {
        Event::Opened => ManagerEvent::Open,
        Event::Ping => ManagerEvent::Ping,
        Event::Error(error) => ManagerEvent::Error(error),
        Event::Closed(reason) => ManagerEvent::Close(reason),
        Event::ReconnectAttempt(attempt) => ManagerEvent::ReconnectAttempt(attempt),
        Event::ReconnectError(error) => ManagerEvent::ReconnectError(error),
        Event::ReconnectFailed => ManagerEvent::ReconnectFailed,
        Event::Reconnect(attempt) => ManagerEvent::Reconnect(attempt),
        // The core may learn to say more than this driver knows.
        _ => return None,
    })
}
