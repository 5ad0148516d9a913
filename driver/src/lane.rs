use core::mem;
use std::collections::VecDeque;

use socketio_protocol::socket::{Payload, RawArgs};

use crate::extract::{EventContext, Receiver};
use crate::handler::{Erased, Slots, Started};

/// Handlers of one socket that may wait at once; events that come then are held.
pub(crate) const MAX_WAITING: usize = 64;

/// The events of one socket, whose handlers start in their order.
pub(crate) struct Lane<S: Receiver> {
    /// `on_connect` has not finished: events without a handler may get one.
    pub(crate) connecting: bool,
    /// Handlers that wait.
    pub(crate) waiting: usize,
    held: VecDeque<Held<S>>,
    held_bytes: usize,
}

/// An event whose handler may not start yet.
pub(crate) struct Held<S: Receiver> {
    pub(crate) event: Box<str>,
    pub(crate) args: RawArgs,
    pub(crate) ack: Option<S::AckRequest>,
}

impl<S: Receiver> Lane<S> {
    pub(crate) fn new(connecting: bool) -> Self {
        Self { connecting, waiting: 0, held: VecDeque::new(), held_bytes: 0 }
    }

    /// Whether the next event has to be held.
    pub(crate) fn holds(&self, handler: Option<&Erased<S>>) -> bool {
        !self.held.is_empty() || self.waiting >= MAX_WAITING || (self.connecting && handler.is_none())
    }

    /// Holds an event.
    pub(crate) fn hold(&mut self, event: &str, payload: Payload<'_>, ack: Option<S::AckRequest>) {
        if let Some(held) = Held::new(event, payload, ack) {
            self.held_bytes += held.size();
            self.held.push_back(held);
        }
    }

    /// Starts the handler of an event that need not be held.
    pub(crate) fn start(
        &mut self,
        mut context: EventContext<'_, '_, S>,
        handler: &Erased<S>,
        slots: &mut Slots,
    ) -> Started {
        let started = handler.start(&mut context, slots);
        self.waiting += usize::from(matches!(started, Started::Waiting(_)));
        started
    }

    /// The event that is held first and its handler, unless it has to go on being held.
    pub(crate) fn release(
        &mut self,
        find: impl FnOnce(&str) -> Option<Erased<S>>,
    ) -> Option<(Held<S>, Option<Erased<S>>)> {
        let event = &self.held.front().filter(|_| self.waiting < MAX_WAITING)?.event;
        let handler = find(event);
        if handler.is_none() && self.connecting {
            return None;
        }
        let held = self.held.pop_front()?;
        self.held_bytes -= held.size();
        Some((held, handler))
    }

    /// What the held events cost.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

impl<S: Receiver> Held<S> {
    /// `None` for what is no JSON: that closes the connection, and is not worth holding.
    pub(crate) fn new(event: &str, payload: Payload<'_>, ack: Option<S::AckRequest>) -> Option<Self> {
        Some(Self { event: event.into(), args: payload.into_raw().ok()?, ack })
    }

    pub(crate) fn size(&self) -> usize {
        let args = &self.args;
        mem::size_of::<Self>()
            + self.event.len()
            + args.json().len()
            + args.attachments().iter().map(|attachment| attachment.len()).sum::<usize>()
    }
}
