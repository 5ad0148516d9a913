use core::mem;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::Waker;
use core::time::Duration;
use std::sync::{Mutex, Weak};

use futures_channel::oneshot;
use socketio_protocol::engine::Packet;
use socketio_protocol::socket::manager::{AckRequest, Credentials, SocketOptions};

use super::{AuthSource, ConnectFailure, Inner};
use crate::connection::Reply;
use crate::error::EmitError;
use crate::mailbox::lock;

/// What handles ask of their client's task. Sockets are known by the serial numbers of their handles.
pub(super) enum Order {
    /// There is a new socket.
    Add {
        inner: Weak<Inner>,
        options: Box<SocketOptions>,
        auth: AuthSource,
        /// It is to be connected at once.
        starts: bool,
    },
    /// The last handle of a socket is gone.
    Remove(u32),
    Connect {
        serial: u32,
        timeout: Option<Duration>,
        reply: Option<oneshot::Sender<Result<(), ConnectFailure>>>,
    },
    Disconnect(u32),
    Close(oneshot::Sender<()>),
    SetAuth(u32, Credentials),
    Emit {
        serial: u32,
        packet: Packet,
        volatile: bool,
    },
    /// Boxed, so that the frequent orders stay small.
    Ask(Box<Question>),
    /// Nobody waits for that answer any more.
    Forget(u32, u64),
    Answer(AckRequest, Packet),
    /// A handler was declared, or room was made for events.
    Attend(u32),
}

/// An event whose answer is waited for.
pub(super) struct Question {
    pub(super) serial: u32,
    pub(super) packet: Packet,
    pub(super) id: u64,
    pub(super) timeout: Option<Duration>,
    /// Sent until it is answered.
    pub(super) retried: bool,
    pub(super) reply: Option<Reply>,
}

/// The way to a client's task.
pub(super) struct Mailbox {
    state: Mutex<State>,
    /// Bytes that wait in the machine, as the task last published them.
    queued: AtomicUsize,
    max_queued: usize,
}

struct State {
    orders: Vec<Order>,
    /// Bytes of the packets in `orders`.
    queued: usize,
    waker: Option<Waker>,
    closed: bool,
}

impl Mailbox {
    pub(super) fn new(max_queued: usize) -> Self {
        let state = State { orders: Vec::new(), queued: 0, waker: None, closed: false };
        Self { state: Mutex::new(state), queued: AtomicUsize::new(0), max_queued }
    }

    /// Hands an order to the task. False if the task is gone.
    pub(super) fn push(&self, order: Order) -> bool {
        let mut state = lock(&self.state);
        if state.closed {
            // The order may hold a handle, whose drop comes here again.
            drop(state);
            return false;
        }
        state.orders.push(order);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        true
    }

    /// Hands a packet to the task, unless too much waits already.
    pub(super) fn push_packet(&self, order: Order, cost: usize) -> Result<(), EmitError> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(EmitError::NotConnected);
        }
        let waiting = state.queued + self.queued.load(Ordering::Relaxed);
        if waiting > 0 && waiting + cost > self.max_queued {
            return Err(EmitError::QueueFull);
        }
        state.queued += cost;
        state.orders.push(order);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Swaps the orders out into `into`, which is empty, and keeps wake-ups off until [`Mailbox::sleep`].
    pub(super) fn take(&self, into: &mut Vec<Order>) {
        let mut state = lock(&self.state);
        state.waker = None;
        // Counted until the task publishes what became of them.
        self.queued.fetch_add(mem::take(&mut state.queued), Ordering::Relaxed);
        mem::swap(&mut state.orders, into);
    }

    /// Arms the wake-up. False if there are orders.
    pub(super) fn sleep(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.state);
        if state.orders.is_empty() {
            state.waker = Some(waker.clone());
        }
        state.orders.is_empty()
    }

    /// Publishes how many bytes wait in the machine.
    pub(super) fn publish(&self, queued: usize) {
        self.queued.store(queued, Ordering::Relaxed);
    }

    /// The task ends: what is in the mailbox is dropped, and what still comes as well.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.waker = None;
        let orders = mem::take(&mut state.orders);
        drop(state);
        drop(orders);
    }
}
