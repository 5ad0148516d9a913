use core::any::Any;
use core::mem;
use core::panic::AssertUnwindSafe;
use core::pin::Pin;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, Stream as _};
use socketio_protocol::Instant;
use socketio_protocol::engine::{CloseReason, Message, Packet};
use socketio_protocol::socket::{
    self, ConnectError, ConnectRequest, DisconnectReason, Event, Next, Payload, SocketKey,
};

use crate::application::{Connection, Turn};
use crate::error::{AckError, HandlerError};
use crate::extract::EventContext;
use crate::handler::{Finished, Outcome, Slots, Started, Waiting};
use crate::handshake::Handshake;
use crate::lane::{Held, Lane, MAX_WAITING};
use crate::mailbox::Mailbox;
use crate::namespace::{BoxFuture, Handlers};
use crate::server::Shared;
use crate::socket::Socket;

/// What is done with the answer to an event.
pub(crate) type Reply = Box<dyn FnOnce(Result<Payload<'_>, AckError>) + Send>;

/// What a [`Socket`] hands to the task of its session.
pub struct SocketMail(pub(crate) Order);

pub(crate) enum Order {
    Emit {
        socket: SocketKey,
        packet: Packet,
    },
    /// Boxed, so that the frequent orders stay small.
    EmitWithAck(Box<Question>),
    Disconnect {
        socket: SocketKey,
        close: bool,
    },
}

/// An event whose answer is waited for.
pub(crate) struct Question {
    pub(crate) socket: SocketKey,
    pub(crate) packet: Packet,
    pub(crate) id: u64,
    pub(crate) timeout: Duration,
    pub(crate) reply: Reply,
}

/// The sockets of one session: their machine, and what the application does about its events.
pub struct Sockets {
    machine: socket::Sockets,
    dispatch: Dispatch,
}

/// The application's side of a connection's sockets.
struct Dispatch {
    shared: Arc<Shared>,
    handshake: Arc<Handshake>,
    mailbox: Mailbox<SocketMail>,
    locals: Vec<Local>,
    next_serial: u32,
    /// What waits for something; nothing is kept while nothing waits.
    work: Option<Box<FuturesUnordered<Work>>>,
    /// Some of it was not polled yet, and wakes nobody.
    has_new_work: bool,
    /// More is held or waits than when it was last checked against the limits.
    has_grown: bool,
    /// Decisions for the machine, which cannot be told while an event borrows it.
    verdicts: Vec<Verdict>,
}

enum Verdict {
    Accept(u32),
    Reject(ConnectRequest, ConnectError),
    Disconnect(SocketKey),
}

/// A socket that is connected, or about to be.
struct Local {
    /// Tells it from every other socket of this connection.
    serial: u32,
    /// `None` until the client is let in.
    key: Option<SocketKey>,
    request: Option<ConnectRequest>,
    socket: Socket,
    handlers: Arc<Handlers>,
    events: Lane<Socket>,
    replies: BTreeMap<u64, Reply>,
}

/// Something of the application that waits.
struct Work {
    serial: u32,
    future: WorkFuture,
}

/// What middleware decided, or what it panicked with.
type Admitted = Result<Result<(), ConnectError>, Box<dyn Any + Send>>;

enum WorkFuture {
    Middleware(BoxFuture<Admitted>),
    Connect(BoxFuture<Finished>),
    Event(Socket, Box<str>, Waiting),
    Disconnect(Socket, BoxFuture<Finished>),
}

enum Done {
    Middleware(Admitted),
    Connect(Finished),
    Event(Socket, Box<str>, Finished),
    Disconnect(Socket, Finished),
}

impl Future for Work {
    type Output = (u32, Done);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let serial = self.serial;
        let done = match &mut self.future {
            WorkFuture::Middleware(future) => Done::Middleware(core::task::ready!(future.as_mut().poll(cx))),
            WorkFuture::Connect(future) => Done::Connect(core::task::ready!(future.as_mut().poll(cx))),
            WorkFuture::Event(socket, event, future) => {
                let finished = core::task::ready!(future.as_mut().poll(cx));
                Done::Event(socket.clone(), mem::take(event), finished)
            }
            WorkFuture::Disconnect(socket, future) => {
                Done::Disconnect(socket.clone(), core::task::ready!(future.as_mut().poll(cx)))
            }
        };
        Poll::Ready((serial, done))
    }
}

impl Sockets {
    pub(crate) fn new(
        shared: Arc<Shared>,
        handshake: Arc<Handshake>,
        mailbox: Mailbox<SocketMail>,
        now: Instant,
    ) -> Self {
        Self {
            machine: socket::Sockets::new(Arc::clone(&shared.config), now),
            dispatch: Dispatch {
                shared,
                handshake,
                mailbox,
                locals: Vec::new(),
                next_serial: 0,
                work: None,
                has_new_work: false,
                has_grown: false,
                verdicts: Vec::new(),
            },
        }
    }

    /// Moves the machine until it waits for something.
    fn advance(&mut self, turn: &mut Turn<'_, '_>) {
        loop {
            if !self.dispatch.verdicts.is_empty() {
                for verdict in mem::take(&mut self.dispatch.verdicts) {
                    self.carry_out(verdict, turn);
                }
            }
            match self.machine.advance(turn.now()) {
                Next::Event(event) => self.dispatch.handle(event, &mut turn.wishes.slots),
                Next::Transmit(packet) => turn.send(packet),
                Next::Close(reason) => turn.close(reason),
                Next::Wait(deadline) if self.dispatch.verdicts.is_empty() => {
                    if let Some(deadline) = deadline {
                        turn.wake_at(deadline);
                    }
                    break;
                }
                Next::Wait(_) => {}
            }
        }
        self.dispatch.has_grown = false;
        if self.dispatch.is_full() {
            turn.pause();
        }
    }

    fn emit(&mut self, socket: SocketKey, packet: Packet, turn: &mut Turn<'_, '_>) {
        if self.machine.is_clear(socket) {
            turn.send(packet);
        } else {
            self.machine.emit(socket, packet);
        }
    }

    /// Hands on what the machine sends. No handler is called before: what it sends must come behind.
    fn transmit(&mut self, turn: &mut Turn<'_, '_>) {
        while let Some(packet) = self.machine.transmit() {
            turn.send(packet);
        }
    }

    fn carry_out(&mut self, verdict: Verdict, turn: &mut Turn<'_, '_>) {
        let dispatch = &mut self.dispatch;
        match verdict {
            Verdict::Accept(serial) => {
                let Some(local) = dispatch.locals.iter_mut().find(|local| local.serial == serial) else { return };
                let Some(request) = local.request.take() else { return };
                match self.machine.accept(request, local.socket.socket_id()) {
                    Some(key) => {
                        local.key = Some(key);
                        local.socket.enter(key);
                        self.transmit(turn);
                        self.dispatch.start_connect(serial, &mut turn.wishes.slots);
                    }
                    None => dispatch.forget(serial),
                }
            }
            Verdict::Reject(request, error) => self.machine.reject(request, &error),
            Verdict::Disconnect(key) => {
                dispatch.by_key(key).into_iter().for_each(|local| local.socket.silence());
                self.machine.disconnect(key);
            }
        }
    }
}

impl Connection for Sockets {
    type Mail = SocketMail;

    fn handle_message(&mut self, turn: &mut Turn<'_, '_>, message: Message<'_>) {
        if let Some(event) = self.machine.receive(turn.now(), message) {
            self.dispatch.handle(event, &mut turn.wishes.slots);
        }
        // Its deadlines are asked for in `poll`, which follows.
        if self.machine.has_news() || !self.dispatch.verdicts.is_empty() || self.dispatch.has_grown {
            self.advance(turn);
        }
    }

    fn handle_mail(&mut self, turn: &mut Turn<'_, '_>, mail: SocketMail) {
        match mail.0 {
            Order::Emit { socket, packet } => self.emit(socket, packet, turn),
            Order::EmitWithAck(question) => {
                let Question { socket, packet, id, timeout, reply } = *question;
                let Some(local) = self.dispatch.by_key(socket) else { return reply(Err(AckError::Disconnected)) };
                match self.machine.expect_ack(socket, id, turn.now() + timeout) {
                    Ok(()) => {
                        local.replies.insert(id, reply);
                        self.emit(socket, packet, turn);
                    }
                    Err(_) => reply(Err(AckError::TooMany)),
                }
            }
            Order::Disconnect { close: true, .. } => {
                self.dispatch.locals.iter().for_each(|local| local.socket.silence());
                self.machine.disconnect_all();
            }
            Order::Disconnect { socket, close: false } => self.machine.disconnect(socket),
        }
    }

    fn handle_close(&mut self, turn: &mut Turn<'_, '_>, reason: CloseReason) {
        self.machine.handle_close(reason);
        self.advance(turn);
        // Who waited for middleware was not let in and is not told.
        self.dispatch.locals.retain(|local| {
            if local.key.is_none() {
                local.socket.remove();
            }
            local.key.is_some()
        });
    }

    fn poll(&mut self, turn: &mut Turn<'_, '_>) {
        self.transmit(turn);
        // What ends may begin something else: middleware lets a client in, a panic disconnects.
        loop {
            self.dispatch.poll_work(turn.context, &mut turn.wishes.slots);
            self.advance(turn);
            if !self.dispatch.has_new_work {
                break;
            }
        }
    }

    fn rest(&mut self) {
        self.machine.rest();
    }

    fn is_busy(&self) -> bool {
        self.dispatch.work.is_some()
    }
}

impl Dispatch {
    fn local(&mut self, serial: u32) -> Option<&mut Local> {
        self.locals.iter_mut().find(|local| local.serial == serial)
    }

    fn by_key(&mut self, key: SocketKey) -> Option<&mut Local> {
        self.locals.iter_mut().find(|local| local.key == Some(key))
    }

    /// Drops a client that was not let in, with what middleware declared for it.
    fn forget(&mut self, serial: u32) {
        if let Some(at) = self.locals.iter().position(|local| local.serial == serial) {
            self.locals.remove(at).socket.remove();
        }
    }

    /// Whether so much is held for a socket, or waits for sockets that are gone, that reading has to stop.
    fn is_full(&self) -> bool {
        let waiting = self.work.as_ref().map_or(0, |work| work.len());
        // One share more than the sockets need: handlers of sockets that left still wait.
        waiting > (self.locals.len() + 1) * MAX_WAITING
            || self.locals.iter().any(|local| local.events.held_bytes() > self.shared.max_payload)
    }

    fn handle(&mut self, event: Event<'_>, slots: &mut Slots) {
        match event {
            Event::Connect { request, namespace, auth } => self.connect(request, namespace, &auth),
            Event::Message { socket, payload, ack } => self.message(socket, payload, ack, slots),
            Event::Ack { socket, id, payload } => {
                if let Some(reply) = self.by_key(socket).and_then(|local| local.replies.remove(&id)) {
                    reply(Ok(payload));
                }
            }
            Event::AckTimeout { socket, id } => {
                if let Some(reply) = self.by_key(socket).and_then(|local| local.replies.remove(&id)) {
                    reply(Err(AckError::Timeout));
                }
            }
            Event::Disconnect { socket, reason } => self.disconnected(socket, reason),
            // The core may learn to say more than this driver knows.
            _ => {}
        }
    }

    /// Begins to let a client in.
    fn connect(&mut self, request: ConnectRequest, namespace: &str, auth: &Payload<'_>) {
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        let Some(known) = self.shared.namespace(namespace) else {
            return self.verdicts.push(Verdict::Reject(request, ConnectError::new("Invalid namespace")));
        };
        let handlers = known.handlers();
        let socket = Socket::new(known, &self.shared, self.mailbox.clone(), Arc::clone(&self.handshake), auth.json());
        // Most connections have one socket.
        self.locals.reserve_exact(1);
        self.locals.push(Local {
            serial,
            key: None,
            request: Some(request),
            socket: socket.clone(),
            handlers: Arc::clone(&handlers),
            events: Lane::new(true),
            replies: BTreeMap::new(),
        });
        if handlers.middleware.is_empty() {
            self.verdicts.push(Verdict::Accept(serial));
            return;
        }
        let future = async move {
            for middleware in &handlers.middleware {
                let admitted = middleware(&socket).map_err(|error| ConnectError::new(error.to_string()))?;
                admitted.await?;
            }
            Ok(())
        };
        self.wait(serial, WorkFuture::Middleware(Box::pin(AssertUnwindSafe(future).catch_unwind())));
    }

    /// The client was let in: calls `on_connect`.
    fn start_connect(&mut self, serial: u32, slots: &mut Slots) {
        let Some(local) = self.local(serial) else { return };
        let socket = local.socket.clone();
        match local.handlers.connect.clone() {
            None => local.events.connecting = false,
            Some(handler) => {
                let mut future = caught(move || handler(&socket));
                // It starts before the handler of any event does. Whoever waits is polled again, with a waker.
                match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(finished) => self.done(serial, Done::Connect(finished), slots),
                    Poll::Pending => self.wait(serial, WorkFuture::Connect(future)),
                }
            }
        }
    }

    fn message(&mut self, key: SocketKey, payload: Payload<'_>, ack: Option<u64>, slots: &mut Slots) {
        let max_payload = self.shared.max_payload;
        // A handler may have disconnected the socket, and the machine not know it yet.
        let Some(local) = self.by_key(key).filter(|local| local.socket.is_connected()) else { return };
        let event = payload.event();
        let own = local.socket.own_handler(&event);
        let handler = own.as_ref().or_else(|| local.handlers.events.get(&event));
        if local.events.holds(handler) {
            local.events.hold(&event, payload, ack);
            if local.events.held_bytes() > max_payload {
                tracing::debug!(socket = local.socket.id(), "reading stops until handlers finish");
            }
            self.has_grown = true;
        } else if let Some(handler) = handler {
            let context = EventContext { socket: &local.socket, event: &event, payload: Some(payload), ack };
            let started = local.events.start(context, handler, slots);
            let serial = local.serial;
            self.started(serial, &event, started);
        }
    }

    /// What became of a handler's start.
    fn started(&mut self, serial: u32, event: &str, started: Started) {
        if let Started::Finished(Ok(Ok(()))) = started {
            return;
        }
        let Some(local) = self.local(serial) else { return };
        let socket = local.socket.clone();
        match started {
            Started::Finished(finished) => self.finished(serial, &socket, event, finished),
            Started::Refused(error) => self.tell(&socket, event, &error),
            Started::Waiting(future) => self.wait(serial, WorkFuture::Event(socket, event.into(), future)),
        }
    }

    /// Starts what was held, as far as it may.
    fn release(&mut self, serial: u32, slots: &mut Slots) {
        while let Some(local) = self.local(serial).filter(|local| local.socket.is_connected()) {
            let Local { socket, handlers, events, .. } = local;
            let find = |event: &str| socket.own_handler(event).or_else(|| handlers.events.get(event).cloned());
            let Some((Held { event, args, ack }, handler)) = events.release(find) else { return };
            if let Some(handler) = handler {
                let context = EventContext { socket, event: &event, payload: Some(args.payload()), ack };
                let started = events.start(context, &handler, slots);
                self.started(serial, &event, started);
            }
        }
    }

    fn wait(&mut self, serial: u32, future: WorkFuture) {
        self.shared.handlers.fetch_add(1, Ordering::Relaxed);
        self.work.get_or_insert_default().push(Work { serial, future });
        (self.has_new_work, self.has_grown) = (true, true);
    }

    /// Polls what waits.
    fn poll_work(&mut self, cx: &mut Context<'_>, slots: &mut Slots) {
        self.has_new_work = false;
        while let Some(work) = &mut self.work {
            match Pin::new(&mut **work).poll_next(cx) {
                Poll::Pending => return,
                Poll::Ready(None) => self.work = None,
                Poll::Ready(Some((serial, done))) => {
                    self.shared.handlers.fetch_sub(1, Ordering::Relaxed);
                    self.done(serial, done, slots);
                }
            }
        }
    }

    fn done(&mut self, serial: u32, done: Done, slots: &mut Slots) {
        match done {
            Done::Middleware(Ok(Ok(()))) => self.verdicts.push(Verdict::Accept(serial)),
            Done::Middleware(Ok(Err(error))) => self.refuse(serial, error),
            Done::Middleware(Err(panic)) => {
                if let Some(socket) = self.local(serial).map(|local| local.socket.clone()) {
                    self.finished(serial, &socket, "connect", Err(panic));
                }
                self.refuse(serial, ConnectError::new("internal server error"));
            }
            Done::Connect(finished) => {
                let Some(local) = self.local(serial) else { return };
                local.events.connecting = false;
                let (socket, key) = (local.socket.clone(), local.key);
                if let Ok(Ok(())) = finished {
                    self.release(serial, slots);
                } else {
                    self.verdicts.extend(key.map(Verdict::Disconnect));
                    self.finished(serial, &socket, "connect", finished);
                }
            }
            Done::Event(socket, event, finished) => {
                if let Some(local) = self.local(serial) {
                    local.events.waiting -= 1;
                }
                let lives = finished.is_ok();
                self.finished(serial, &socket, &event, finished);
                if lives {
                    self.release(serial, slots);
                }
            }
            Done::Disconnect(socket, finished) => self.finished(serial, &socket, "disconnect", finished),
        }
    }

    /// Does not let a client in.
    fn refuse(&mut self, serial: u32, error: ConnectError) {
        if let Some(request) = self.local(serial).and_then(|local| local.request.take()) {
            self.verdicts.push(Verdict::Reject(request, error));
        }
        self.forget(serial);
    }

    /// Tells of a failure. A panic costs the socket.
    fn finished(&mut self, serial: u32, socket: &Socket, event: &str, finished: Finished) {
        match finished {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.tell(socket, event, &error),
            Err(panic) => {
                self.tell(socket, event, &panicked(&*panic));
                let key = self.local(serial).and_then(|local| local.key);
                self.verdicts.extend(key.map(Verdict::Disconnect));
            }
        }
    }

    fn tell(&self, socket: &Socket, event: &str, error: &HandlerError) {
        let known = self.locals.iter().find(|local| local.socket == *socket);
        let handlers = known.map_or_else(|| socket.namespace().handlers(), |local| Arc::clone(&local.handlers));
        match &handlers.error {
            Some(handler) => {
                let told = catch_unwind(AssertUnwindSafe(|| handler(socket, event, error)));
                if told.is_err() {
                    tracing::error!(event, "the error handler panicked");
                }
            }
            None => tracing::warn!(namespace = socket.namespace_name(), event, %error, "a handler failed"),
        }
    }

    fn disconnected(&mut self, key: SocketKey, reason: DisconnectReason) {
        let Some(at) = self.locals.iter().position(|local| local.key == Some(key)) else { return };
        let local = self.locals.remove(at);
        let own = local.socket.remove();
        for reply in local.replies.into_values() {
            reply(Err(AckError::Disconnected));
        }
        if let Some(handler) = own.or_else(|| local.handlers.disconnect.clone()) {
            let socket = local.socket.clone();
            let future = caught(move || Ok(handler(socket, reason)));
            self.wait(local.serial, WorkFuture::Disconnect(local.socket, future));
        }
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        for local in &self.locals {
            local.socket.remove();
        }
        let waiting = self.work.as_ref().map_or(0, |work| work.len());
        self.shared.handlers.fetch_sub(waiting, Ordering::Relaxed);
    }
}

/// Calls an application's function and catches its panics, those of the call included.
pub(crate) fn caught<F>(call: F) -> BoxFuture<Finished>
where
    F: FnOnce() -> Result<BoxFuture<Outcome>, HandlerError> + Send + 'static,
{
    Box::pin(
        AssertUnwindSafe(async move {
            match call() {
                Ok(future) => future.await,
                Err(error) => Err(error),
            }
        })
        .catch_unwind(),
    )
}

/// The error that a panic of a handler is told as.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> HandlerError {
    let why = panic.downcast_ref::<&str>().copied();
    let why = why.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown");
    format!("the handler panicked: {why}").into()
}
