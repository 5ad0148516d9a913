use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;

use crate::Instant;

/// As many answers are awaited already as the limit allows.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct TooManyAcks;

impl fmt::Display for TooManyAcks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many acks are awaited")
    }
}

impl core::error::Error for TooManyAcks {}

/// The answers that a socket awaits. Takes no memory while there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Acks(pub(super) Option<Box<Awaited>>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Awaited {
    deadlines: BTreeMap<u64, Instant>,
    by_deadline: BTreeSet<(Instant, u64)>,
}

impl Acks {
    pub(super) fn insert(&mut self, id: u64, deadline: Instant, max: usize) -> Result<(), TooManyAcks> {
        let awaited = self.0.get_or_insert_default();
        if awaited.deadlines.len() >= max && !awaited.deadlines.contains_key(&id) {
            return Err(TooManyAcks);
        }
        if let Some(earlier) = awaited.deadlines.insert(id, deadline) {
            awaited.by_deadline.remove(&(earlier, id));
        }
        awaited.by_deadline.insert((deadline, id));
        Ok(())
    }

    pub(super) fn remove(&mut self, id: u64) {
        let Some(awaited) = &mut self.0 else { return };
        if let Some(deadline) = awaited.deadlines.remove(&id) {
            awaited.by_deadline.remove(&(deadline, id));
        }
        if awaited.deadlines.is_empty() {
            self.0 = None;
        }
    }

    /// Whether `id` is awaited at `now`; then it is so no more.
    pub(super) fn answer(&mut self, id: u64, now: Instant) -> bool {
        let deadline = self.0.as_ref().and_then(|awaited| awaited.deadlines.get(&id));
        let awaited = deadline.is_some_and(|deadline| *deadline > now);
        if awaited {
            self.remove(id);
        }
        awaited
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.0.as_ref()?.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Forgets the ack that is due first.
    pub(super) fn expire(&mut self) -> Option<u64> {
        let (_, id) = *self.0.as_ref()?.by_deadline.first()?;
        self.remove(id);
        Some(id)
    }

    /// Forgets all, and gives them by their ids.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = u64> + use<> {
        self.0.take().into_iter().flat_map(|awaited| awaited.deadlines.into_keys())
    }
}
