use core::fmt;
use core::future::{Future, ready};
use core::mem;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Waker;
use std::pin::Pin;
use std::sync::{Arc, Mutex, RwLock};

use serde::Serialize;
use socketio_protocol::engine::Packet;
use socketio_protocol::rooms::{Rooms, Slot, Target};
use socketio_protocol::socket::{ConnectError, DisconnectReason, SocketKey};
use socketio_protocol::{Random, Seed};

use crate::broadcast::Broadcast;
use crate::connection::{Order, SocketMail};
use crate::error::{EmitError, HandlerError};
use crate::extract::{ExtractConnect, ExtractDisconnect, Receiver};
use crate::handler::{Handler, IntoOutcome, Outcome, Table, erase};
use crate::mailbox::{Mailbox, lock};
use crate::outbox;
use crate::socket::Socket;

/// A namespace: a channel of its own on its clients' connections. Cloning it counts a reference.
///
/// Its handlers are one per event, and one each of `on_connect`, `on_disconnect` and `on_error`: a second one takes the
/// place of the first. A socket has those that were there when it came. [`Server::of`](crate::Server::of) makes one.
#[derive(Clone)]
pub struct Namespace(Arc<Inner>);

struct Inner {
    name: Box<str>,
    handlers: RwLock<Arc<Handlers>>,
    index: Mutex<Index>,
    next_ack: AtomicU64,
}

/// What is done about a namespace's sockets. A connecting socket takes the handlers as they are then.
#[derive(Clone, Default)]
pub(crate) struct Handlers {
    pub(crate) middleware: Vec<ConnectHandler<Result<(), ConnectError>>>,
    pub(crate) connect: Option<ConnectHandler<Outcome>>,
    pub(crate) disconnect: Option<DisconnectHandler>,
    pub(crate) error: Option<ErrorHandler>,
    pub(crate) events: Table,
}

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(crate) type ConnectHandler<T, S = Socket> = Arc<dyn Fn(&S) -> Result<BoxFuture<T>, HandlerError> + Send + Sync>;
pub(crate) type ErrorHandler<S = Socket> = Arc<dyn Fn(&S, &str, &HandlerError) + Send + Sync>;
pub(crate) type DisconnectHandler<S = Socket, R = DisconnectReason> =
    Arc<dyn Fn(S, R) -> BoxFuture<Outcome> + Send + Sync>;

/// Who is connected, and in which rooms.
struct Index {
    rooms: Rooms,
    /// By the index of their slots.
    sockets: Vec<Option<Member>>,
    /// Buffers of a broadcast.
    slots: Vec<Slot>,
    wakers: Vec<Waker>,
}

struct Member {
    socket: Socket,
    /// Beside the socket, so that a broadcast need not look into it.
    recipient: Recipient,
}

/// Where a socket's packets go.
pub(crate) struct Recipient {
    pub(crate) mailbox: Mailbox<SocketMail>,
    pub(crate) key: SocketKey,
}

/// A function that is called at a socket's CONNECT; see [`Namespace::on_connect`] and [`Namespace::middleware`].
pub trait ConnectFunction<P, T, S: Receiver = Socket>: Send + Sync + 'static {
    /// Extracts the parameters and calls the function.
    ///
    /// # Errors
    ///
    /// A parameter cannot be extracted.
    fn call(&self, socket: &S) -> Result<Pin<Box<dyn Future<Output = T> + Send>>, HandlerError>;
}

macro_rules! connect_function {
    ($($name:ident),*) => {
        impl<F, Fut, T, S, $($name),*> ConnectFunction<($($name,)*), T, S> for F
        where
            F: Fn($($name),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = T> + Send + 'static,
            S: Receiver,
            $($name: ExtractConnect<S>,)*
        {
            #[allow(unused_variables)]
            fn call(&self, socket: &S) -> Result<BoxFuture<T>, HandlerError> {
                Ok(Box::pin(self($($name::extract(socket)?),*)))
            }
        }
    };
}

connect_function!();
connect_function!(A);
connect_function!(A, B);
connect_function!(A, B, C);
connect_function!(A, B, C, D);

/// A function that is called when a socket is gone, see [`Namespace::on_disconnect`], or when a client was not let in, see
/// [`ClientBuilder::on_connect_error`](crate::ClientBuilder::on_connect_error).
pub trait DisconnectFunction<P, S: Receiver = Socket, R = DisconnectReason>: Send + Sync + 'static {
    /// Extracts the parameters and calls the function.
    ///
    /// # Errors
    ///
    /// A parameter cannot be extracted.
    fn call(&self, socket: &S, reason: R) -> Result<BoxFuture<Outcome>, HandlerError>;
}

macro_rules! disconnect_function {
    ($($name:ident),*) => {
        impl<F, Fut, S, R, $($name),*> DisconnectFunction<($($name,)*), S, R> for F
        where
            F: Fn($($name),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: IntoOutcome> + Send + 'static,
            S: Receiver,
            $($name: ExtractDisconnect<S, R>,)*
        {
            #[allow(unused_variables)]
            fn call(&self, socket: &S, reason: R) -> Result<BoxFuture<Outcome>, HandlerError> {
                let future = self($($name::extract(socket, &reason)?),*);
                Ok(Box::pin(async move { future.await.into_outcome() }))
            }
        }
    };
}

disconnect_function!();
disconnect_function!(A);
disconnect_function!(A, B);
disconnect_function!(A, B, C);
disconnect_function!(A, B, C, D);

impl Namespace {
    pub(crate) fn new(name: &str, mut random: Random) -> Self {
        let rooms = Rooms::new(Seed::new(random.bytes()));
        let index = Index { rooms, sockets: Vec::new(), slots: Vec::new(), wakers: Vec::new() };
        Self(Arc::new(Inner {
            name: name.into(),
            handlers: RwLock::default(),
            index: Mutex::new(index),
            next_ack: AtomicU64::new(0),
        }))
    }

    /// Its name, which begins with a slash.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Has `middleware` decide about each client before it is let in (the official server's `use`), in the order of these
    /// calls: an `Err` refuses it, and the client finds the error's message and data in `connect_error`. So it does when a
    /// parameter cannot be taken, such as an `Auth<T>` of another shape.
    ///
    /// The socket can join rooms and declare handlers there, but emits nothing yet.
    pub fn middleware<P: 'static>(&self, middleware: impl ConnectFunction<P, Result<(), ConnectError>>) -> &Self {
        self.change(|handlers| handlers.middleware.push(Arc::new(move |socket| middleware.call(socket))));
        self
    }

    /// Has `handler` called for each socket that was let in (the official server's event `connection`). An `Err`
    /// disconnects it.
    ///
    /// Until it has finished, events that have no handler yet are held, so that it can declare handlers with
    /// [`Socket::on`].
    pub fn on_connect<P: 'static, T: IntoOutcome + 'static>(&self, handler: impl ConnectFunction<P, T>) -> &Self {
        self.change(|handlers| handlers.connect = Some(connect_handler(handler)));
        self
    }

    /// Has `handler` called for each `event` of each socket that connects from now on, unless the socket has a handler of
    /// its own.
    ///
    /// The handlers of one socket start in the order of its events, and the next one does not wait for one that waits.
    /// They run to their end even if the socket is gone meanwhile.
    ///
    /// `connect`, `connect_error`, `disconnect` and `disconnecting` are no events of clients: a handler of theirs is never
    /// called. They have [`Namespace::on_connect`] and [`Namespace::on_disconnect`].
    pub fn on<P: 'static>(&self, event: &str, handler: impl Handler<P>) -> &Self {
        self.change(|handlers| _ = handlers.events.set(event, erase(handler)));
        self
    }

    /// Has `handler` called for each socket that is gone, unless the socket has a handler of its own. It takes the
    /// [`Socket`], the [`DisconnectReason`] and [`State`](crate::State), as it likes.
    ///
    /// The socket has left its rooms by then. Who was never let in is not told of.
    pub fn on_disconnect<P: 'static>(&self, handler: impl DisconnectFunction<P>) -> &Self {
        self.change(|handlers| handlers.disconnect = Some(disconnect_handler(handler)));
        self
    }

    /// Has `handler` told of each event whose handler failed or panicked, or whose arguments have another shape than the
    /// handler takes; those of `on_connect` and `on_disconnect` are called `connect` and `disconnect`. Nothing is sent to
    /// the client. Without it, they are logged by `tracing`.
    pub fn on_error(&self, handler: impl Fn(&Socket, &str, &HandlerError) + Send + Sync + 'static) -> &Self {
        self.change(|handlers| handlers.error = Some(Arc::new(handler)));
        self
    }

    /// Emits an event to everybody in the namespace; see [`Broadcast::emit`].
    ///
    /// # Errors
    ///
    /// The event cannot be encoded.
    pub fn emit(&self, event: &str, args: impl Serialize) -> Result<(), EmitError> {
        Broadcast::new(self.clone()).emit(event, args)
    }

    /// Everybody in `room`; see [`Broadcast::to`].
    pub fn to(&self, room: &str) -> Broadcast {
        Broadcast::new(self.clone()).to(room)
    }

    /// Everybody who is not in `room`.
    pub fn except(&self, room: &str) -> Broadcast {
        Broadcast::new(self.clone()).except(room)
    }

    /// The connected sockets, in no particular order.
    pub fn sockets(&self) -> Vec<Socket> {
        lock(&self.0.index).sockets.iter().flatten().map(|member| member.socket.clone()).collect()
    }

    /// The connected socket of an id.
    pub fn socket(&self, id: &str) -> Option<Socket> {
        let index = lock(&self.0.index);
        let slot = index.rooms.find(id)?;
        index.sockets.get(slot.index())?.as_ref().map(|member| member.socket.clone())
    }

    pub(crate) fn handlers(&self) -> Arc<Handlers> {
        Arc::clone(&self.0.handlers.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Handlers)) {
        let mut handlers = self.0.handlers.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut changed = Handlers::clone(&handlers);
        change(&mut changed);
        let old = mem::replace(&mut *handlers, Arc::new(changed));
        drop(handlers);
        // What was replaced may drop values of the application, which may come here again.
        drop(old);
    }

    /// The id of the next ack: one counter for all sockets, so that a broadcast has the same for everybody.
    pub(crate) fn next_ack(&self) -> u64 {
        self.0.next_ack.fetch_add(1, Ordering::Relaxed)
    }

    /// Enters a connected socket, with the rooms that it joined before.
    pub(crate) fn enter(&self, socket: &Socket, recipient: Recipient, rooms: &[Box<str>]) -> Slot {
        let mut index = lock(&self.0.index);
        let slot = index.rooms.insert(socket.socket_id());
        for room in rooms {
            index.rooms.join(slot, room);
        }
        if index.sockets.len() <= slot.index() {
            index.sockets.resize_with(slot.index() + 1, || None);
        }
        index.sockets[slot.index()] = Some(Member { socket: socket.clone(), recipient });
        slot
    }

    pub(crate) fn remove(&self, slot: Slot) {
        let mut index = lock(&self.0.index);
        let removed = index.rooms.remove(slot).then(|| index.sockets.get_mut(slot.index())?.take());
        if index.rooms.is_empty() {
            (index.sockets, index.slots, index.wakers) = (Vec::new(), Vec::new(), Vec::new());
        }
        drop(index);
        // Dropped outside the lock: the last reference may run the drops of the application's own values.
        drop(removed);
    }

    pub(crate) fn with_rooms<T>(&self, work: impl FnOnce(&mut Rooms) -> T) -> T {
        work(&mut lock(&self.0.index).rooms)
    }

    /// Queues a packet for all recipients of `target`.
    pub(crate) fn broadcast(&self, target: &Target<'_, Box<str>>, packet: &Packet) {
        let mut index = lock(&self.0.index);
        let Index { rooms, sockets, slots, wakers } = &mut *index;
        let mut wakers = mem::take(wakers);
        let (owner, mut own) = (outbox::owner(), None);
        let cost = packet.cost();
        rooms.resolve(target, slots);
        for slot in slots.drain(..) {
            let Some(Member { socket, recipient }) = sockets.get(slot.index()).and_then(Option::as_ref) else {
                continue;
            };
            if recipient.mailbox.address() == owner {
                own = Some(socket.clone());
                continue;
            }
            // Who is gone or for whom too much waits misses it, and who is to be disconnected: that is in the mailbox
            // before.
            let mail = || SocketMail(Order::Emit { socket: recipient.key, packet: packet.clone() });
            let (_, waker) = recipient.mailbox.put_packet(mail, cost);
            wakers.extend(waker);
        }
        drop(index);
        // An executor may run a task in the middle of a wake-up.
        wakers.drain(..).for_each(Waker::wake);
        let _ = own.map(|own| own.send(packet.clone()));
        let mut index = lock(&self.0.index);
        // Another broadcast at the same time may have put its own back.
        if wakers.capacity() > index.wakers.capacity() && !index.rooms.is_empty() {
            mem::swap(&mut index.wakers, &mut wakers);
        }
    }

    /// Sockets and rooms.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let index = lock(&self.0.index);
        (index.rooms.len(), index.rooms.room_count())
    }
}

pub(crate) fn connect_handler<P, T: IntoOutcome + 'static, S: Receiver>(
    handler: impl ConnectFunction<P, T, S>,
) -> ConnectHandler<Outcome, S> {
    Arc::new(move |socket| {
        let future = handler.call(socket)?;
        Ok(Box::pin(async move { future.await.into_outcome() }))
    })
}

pub(crate) fn disconnect_handler<P, S: Receiver, R>(
    handler: impl DisconnectFunction<P, S, R>,
) -> DisconnectHandler<S, R> {
    Arc::new(move |socket, reason| match handler.call(&socket, reason) {
        Ok(future) => future,
        Err(error) => Box::pin(ready(Err(error))),
    })
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Namespace").field(&self.name()).finish()
    }
}
