use core::any::Any;
use core::future::Future;
use core::marker::PhantomData;
use core::panic::AssertUnwindSafe;
use core::task::{Context, Poll, Waker};
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::HandlerError;
use crate::extract::{EventContext, Extract, Receiver};
use crate::socket::Socket;

/// Slots for the futures of handlers, by the handler's address, so that one that finishes at once allocates nothing.
/// Each is an `Option<Slot<..>>` of the handler's own type.
#[derive(Debug, Default)]
pub(crate) struct Slots(Vec<(usize, Box<dyn Any>)>);

impl Slots {
    /// Handlers for which a slot is kept.
    const MAX: usize = 64;
}

/// How a handler ended.
pub(crate) type Outcome = Result<(), HandlerError>;
/// How a handler ended, or what it panicked with.
pub(crate) type Finished = Result<Outcome, Box<dyn Any + Send>>;
/// A handler that waits for something.
pub(crate) type Waiting = Pin<Box<dyn Future<Output = Finished> + Send>>;

/// What a handler's future may give: nothing, or a `Result` with anything that is an error.
#[diagnostic::on_unimplemented(
    message = "a handler cannot give `{Self}`",
    note = "it gives `()`, or a `Result<(), E>` with an error or a `HandlerError`"
)]
pub trait IntoOutcome {
    /// The result in one type.
    fn into_outcome(self) -> Result<(), HandlerError>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Ok(())
    }
}

impl<E: Into<HandlerError>> IntoOutcome for Result<(), E> {
    fn into_outcome(self) -> Outcome {
        self.map_err(Into::into)
    }
}

/// A function that handles an event: `async |socket: Socket, (room, text): (String, String)| { .. }`.
///
/// Each of its up to six parameters is an [`Extract`]: [`Socket`] (a client's: [`Client`](crate::Client)),
/// [`State`](crate::State), [`Ack`](crate::Ack), [`EventName`](crate::EventName), [`Args`](crate::Args), or the event's
/// arguments as a type of yours. An async closure that captures is no `Fn`: take [`State`](crate::State), or return an
/// `async move` block.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no event handler",
    note = "a handler is an async function whose parameters implement `Extract` (owned, deserializable types do), which \
            gives `()` or a `Result<(), E>`, whose future is `Send`, and which captures nothing by reference"
)]
pub trait Handler<P, S: Receiver = Socket>: Send + Sync + 'static {
    /// What it waits for.
    type Future: Future<Output: IntoOutcome> + Send + 'static;

    /// Extracts the parameters and calls the function.
    ///
    /// # Errors
    ///
    /// A parameter cannot be extracted: the function was not called.
    fn call(&self, context: &mut EventContext<'_, '_, S>) -> Result<Self::Future, HandlerError>;
}

macro_rules! handler {
    ($($name:ident),*) => {
        impl<F, Fut, S, $($name),*> Handler<($($name,)*), S> for F
        where
            F: Fn($($name),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: IntoOutcome> + Send + 'static,
            S: Receiver,
            $($name: Extract<S>,)*
        {
            type Future = Fut;

            #[allow(non_snake_case, unused_variables)]
            fn call(&self, context: &mut EventContext<'_, '_, S>) -> Result<Fut, HandlerError> {
                $(let $name = $name::extract(context)?;)*
                Ok(self($($name),*))
            }
        }
    };
}

handler!();
handler!(A);
handler!(A, B);
handler!(A, B, C);
handler!(A, B, C, D);
handler!(A, B, C, D, E);
handler!(A, B, C, D, E, G);

/// A [`Handler`] of any type.
pub(crate) type Erased<S = Socket> = Arc<dyn Start<S>>;

pub(crate) trait Start<S: Receiver>: Send + Sync {
    /// Calls the handler and polls it once.
    fn start(&self, context: &mut EventContext<'_, '_, S>, slots: &mut Slots) -> Started;
}

pub(crate) enum Started {
    /// The parameters were not to be had.
    Refused(HandlerError),
    /// It finished at once.
    Finished(Finished),
    /// It waits, and is to be polled again.
    Waiting(Waiting),
}

pub(crate) fn erase<P: 'static, S: Receiver>(handler: impl Handler<P, S>) -> Erased<S> {
    Arc::new(Typed { handler, parameters: PhantomData::<fn(P, S)> })
}

/// Where a handler's future lives. It is empty between two calls.
type Slot<Fut> = Pin<Box<Option<Fut>>>;

struct Typed<H, P, S> {
    handler: H,
    parameters: PhantomData<fn(P, S)>,
}

impl<H: Handler<P, S>, P: 'static, S: Receiver> Typed<H, P, S> {
    /// The slot that is kept for the handler, made anew where there is none.
    fn slot<'s>(&self, slots: &'s mut Slots) -> &'s mut Option<Slot<H::Future>> {
        let key = core::ptr::from_ref(self).addr();
        let is_kept = |(known, slot): &(usize, Box<dyn Any>)| *known == key && slot.is::<Option<Slot<H::Future>>>();
        let at = slots.0.iter().position(is_kept).unwrap_or_else(|| {
            // It is the first call on this thread, or an earlier handler was at the same address.
            slots.0.retain(|(known, _)| *known != key);
            slots.0.truncate(Slots::MAX - 1);
            slots.0.insert(0, (key, Box::new(None::<Slot<H::Future>>)));
            0
        });
        slots.0[at].1.downcast_mut().expect("the slot was found by its type")
    }

    /// Calls the handler and polls it once.
    fn begin(
        &self,
        context: &mut EventContext<'_, '_, S>,
        slot: &mut Slot<H::Future>,
    ) -> Poll<Result<Outcome, HandlerError>> {
        match self.handler.call(context) {
            Ok(future) => {
                slot.set(Some(future));
                // Whoever waits is polled again at once, with a waker of its own.
                poll_slot(slot, &mut Context::from_waker(Waker::noop())).map(Ok)
            }
            Err(refused) => Poll::Ready(Err(refused)),
        }
    }
}

impl<H: Handler<P, S>, P: 'static, S: Receiver> Start<S> for Typed<H, P, S> {
    fn start(&self, context: &mut EventContext<'_, '_, S>, slots: &mut Slots) -> Started {
        let kept = self.slot(slots);
        let slot = kept.get_or_insert_with(|| Box::pin(None));
        match catch_unwind(AssertUnwindSafe(|| self.begin(context, slot))) {
            Ok(Poll::Ready(Ok(outcome))) => Started::Finished(Ok(outcome)),
            Ok(Poll::Ready(Err(refused))) => Started::Refused(refused),
            Ok(Poll::Pending) => {
                let mut slot = kept.take();
                Started::Waiting(Box::pin(core::future::poll_fn(move |cx| {
                    let polled = catch_unwind(AssertUnwindSafe(|| match &mut slot {
                        Some(slot) => poll_slot(slot, cx),
                        None => Poll::Ready(Ok(())),
                    }));
                    match polled {
                        Ok(polled) => polled.map(Ok),
                        Err(panic) => Poll::Ready(Err(panic)),
                    }
                })))
            }
            Err(panic) => {
                *kept = None;
                Started::Finished(Err(panic))
            }
        }
    }
}

/// Polls a handler, and empties its slot at the end.
fn poll_slot<Fut: Future<Output: IntoOutcome>>(slot: &mut Slot<Fut>, cx: &mut Context<'_>) -> Poll<Outcome> {
    let Some(future) = slot.as_mut().as_pin_mut() else { return Poll::Ready(Ok(())) };
    let outcome = core::task::ready!(future.poll(cx)).into_outcome();
    slot.set(None);
    Poll::Ready(outcome)
}

/// Handlers by event name, sorted by the names' lengths first: most comparisons end there.
pub(crate) struct Table<S = Socket>(Vec<(Box<str>, Erased<S>)>);

impl<S> Clone for Table<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S: Receiver> Table<S> {
    pub(crate) fn get(&self, event: &str) -> Option<&Erased<S>> {
        let at = self.find(event).ok()?;
        self.0.get(at).map(|(_, handler)| handler)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, event: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| name.len().cmp(&event.len()).then_with(|| (**name).cmp(event)))
    }

    /// Sets the handler of an event, and gives the earlier one: its values are not to be dropped under a lock.
    pub(crate) fn set(&mut self, event: &str, handler: Erased<S>) -> Option<Erased<S>> {
        match self.find(event) {
            Ok(at) => Some(core::mem::replace(&mut self.0[at].1, handler)),
            Err(at) => {
                self.0.insert(at, (event.into(), handler));
                None
            }
        }
    }
}
