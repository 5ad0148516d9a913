use core::mem;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::task::Waker;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;
use hyper::upgrade::OnUpgrade;
use socketio_protocol::engine::{Exchange, ExchangeId, Response};

/// Capacity that the mailbox of a silent session keeps.
const IDLE_CAPACITY: usize = 1;
/// Capacity that a mailbox keeps while its session is busy.
const BUSY_CAPACITY: usize = 64;

/// What a session's task is handed from outside.
pub(crate) enum Mail<M> {
    /// An HTTP request, and where its answer goes.
    Exchange(Exchange, oneshot::Sender<Response>),
    /// The body of an HTTP request that was announced.
    Body(Exchange),
    /// An HTTP request that was announced has its answer.
    Refused(ExchangeId),
    /// The client gave up an HTTP request, or its answer.
    Abort(ExchangeId),
    /// A stream that becomes the session's WebSocket.
    Stream(OnUpgrade),
    /// Something for the application.
    Application(M),
    /// Too much waits for the client: ends the session at once.
    Overflow,
    /// Ends the session and, at the deadline that the server published, what is left of it.
    Shutdown,
}

/// Locks without regard to a panic elsewhere: what the locks of this crate guard is valid at every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way to a session's task. Cloning it counts a reference.
pub struct Mailbox<M>(Arc<Shared<M>>);

struct Shared<M> {
    state: Mutex<State<M>>,
    /// Bytes that wait in the session, as its task last published them.
    queued: AtomicUsize,
    /// Whether there is mail, to be asked without the lock.
    has_mail: AtomicBool,
    max_queued: usize,
}

struct State<M> {
    mail: Vec<Mail<M>>,
    /// What the packets in `mail` count towards the limit.
    queued: usize,
    waker: Option<Waker>,
    next_exchange: u64,
    /// A packet did not fit: the session ends, and nothing more is queued for it.
    overflowed: bool,
    closed: bool,
}

/// What can be told that a request, or its answer, was given up, whatever else it takes.
pub(crate) trait Abort: Send + Sync {
    fn abort(&self, exchange: ExchangeId);
}

impl<M: Send> Abort for Shared<M> {
    fn abort(&self, exchange: ExchangeId) {
        self.push(Mail::Abort(exchange));
    }
}

/// A packet did not fit into what may wait for a client.
#[derive(Debug)]
pub(crate) struct Full;

impl<M> Mailbox<M> {
    pub(crate) fn new(max_queued: usize) -> Self {
        let state =
            State { mail: Vec::new(), queued: 0, waker: None, next_exchange: 0, overflowed: false, closed: false };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            queued: AtomicUsize::new(0),
            has_mail: AtomicBool::new(false),
            max_queued,
        }))
    }

    /// Hands `mail` to the task. It is dropped when the task is gone.
    pub(crate) fn push(&self, mail: Mail<M>) {
        self.0.push(mail);
    }

    /// The mailbox for who knows no application.
    pub(crate) fn as_abort(&self) -> Arc<dyn Abort>
    where
        M: Send + 'static,
    {
        Arc::clone(&self.0) as _
    }

    /// Hands an HTTP request to the task, under a number that it gives it.
    pub(crate) fn push_exchange(
        &self,
        exchange: impl FnOnce(ExchangeId) -> Exchange,
        reply: oneshot::Sender<Response>,
    ) -> ExchangeId {
        let mut state = lock(&self.0.state);
        let id = ExchangeId(state.next_exchange);
        state.next_exchange += 1;
        if !state.closed {
            let waker = self.0.put(&mut state, Mail::Exchange(exchange(id), reply));
            drop(state);
            wake(waker);
        }
        id
    }

    /// Hands the application a packet that costs so much, unless so much waits already that the session has to end.
    pub(crate) fn push_packet(&self, mail: M, cost: usize) -> Result<(), Full> {
        let (put, waker) = self.put_packet(|| mail, cost);
        wake(waker);
        put
    }

    /// As [`Mailbox::push_packet`], but whom it gives is still to be woken, once no lock is held.
    pub(crate) fn put_packet(&self, mail: impl FnOnce() -> M, cost: usize) -> (Result<(), Full>, Option<Waker>) {
        let mut state = lock(&self.0.state);
        if state.closed {
            return (Ok(()), None);
        }
        if state.overflowed {
            return (Err(Full), None);
        }
        let waiting = state.queued + self.0.queued.load(Ordering::Relaxed);
        state.overflowed = waiting > 0 && waiting + cost > self.0.max_queued;
        if state.overflowed {
            return (Err(Full), self.0.put(&mut state, Mail::Overflow));
        }
        state.queued += cost;
        (Ok(()), self.0.put(&mut state, Mail::Application(mail())))
    }

    /// Where the mailbox is: no other one is there while this one lives.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Whether there is mail. If not, a wake-up that was armed is so still.
    pub(crate) fn has_mail(&self) -> bool {
        self.0.has_mail.load(Ordering::Acquire)
    }

    /// Whether a packet that costs so much may pass the mailbox by. To be asked by the session's task, which counts it then.
    pub(crate) fn lets_pass(&self, cost: usize) -> bool {
        let waiting = self.0.queued.load(Ordering::Relaxed);
        let passes = !self.has_mail() && (waiting == 0 || waiting + cost <= self.0.max_queued);
        if passes {
            self.publish(waiting + cost);
        }
        passes
    }

    /// Swaps the mail out into `into`, which is empty, and keeps wake-ups off until [`Mailbox::sleep`].
    pub(crate) fn take(&self, into: &mut Vec<Mail<M>>) {
        let mut state = lock(&self.0.state);
        state.waker = None;
        state.queued = 0;
        self.0.has_mail.store(false, Ordering::Relaxed);
        mem::swap(&mut state.mail, into);
    }

    /// Gives the emptied buffer of [`Mailbox::take`] back, unless it is large.
    pub(crate) fn recycle(&self, buffer: Vec<Mail<M>>) {
        if buffer.capacity() <= BUSY_CAPACITY {
            let mut state = lock(&self.0.state);
            if state.mail.capacity() == 0 {
                state.mail = buffer;
            }
        }
    }

    /// Gives the room of a busy time back, if there is no mail.
    pub(crate) fn rest(&self) {
        let mut state = lock(&self.0.state);
        if state.mail.is_empty() && state.mail.capacity() > IDLE_CAPACITY {
            state.mail = Vec::new();
        }
    }

    /// Arms the wake-up. False if mail has come since [`Mailbox::take`].
    pub(crate) fn sleep(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.0.state);
        if !state.mail.is_empty() {
            return false;
        }
        state.waker = Some(waker.clone());
        true
    }

    /// Publishes how many bytes the session has to send.
    pub(crate) fn publish(&self, queued: usize) {
        self.0.queued.store(queued, Ordering::Relaxed);
    }

    /// The task ends: what is in the mailbox is dropped, and what still comes as well.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.0.state);
        state.closed = true;
        state.waker = None;
        let mail = mem::take(&mut state.mail);
        drop(state);
        drop(mail);
    }
}

impl<M> Shared<M> {
    fn push(&self, mail: Mail<M>) {
        let mut state = lock(&self.state);
        if !state.closed {
            let waker = self.put(&mut state, mail);
            drop(state);
            wake(waker);
        }
    }

    /// Puts the mail in. Whom it gives is to be woken, outside the lock; a task that is awake has no waker here.
    fn put(&self, state: &mut State<M>, mail: Mail<M>) -> Option<Waker> {
        if state.mail.capacity() == 0 {
            state.mail.reserve_exact(IDLE_CAPACITY);
        }
        state.mail.push(mail);
        self.has_mail.store(true, Ordering::Release);
        state.waker.take()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> core::fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Mailbox(..)")
    }
}
