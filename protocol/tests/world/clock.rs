//! The time of one side, and how much it works.

use std::time::Duration;

use socketio_protocol::Instant;

/// A point in the world's time, in milliseconds.
pub(crate) type Time = u64;

pub(crate) const NEVER: Time = Time::MAX;

/// A clock that may be ahead, or behind, and that jumps.
#[derive(Default)]
pub(crate) struct Clock {
    ahead: i64,
    shown: Instant,
}

impl Clock {
    /// What it shows, which may be less than before.
    pub(crate) fn read(&mut self, now: Time) -> Instant {
        self.shown = Instant::from_epoch(Duration::from_millis(now.saturating_add_signed(self.ahead)));
        self.shown
    }

    /// What it has shown when it was read last.
    pub(crate) fn shown(&self) -> Instant {
        self.shown
    }

    /// When it will show this.
    pub(crate) fn when(&self, shown: Instant) -> Time {
        let ms = shown.since_epoch().as_nanos().div_ceil(1_000_000);
        u64::try_from(ms).unwrap_or(NEVER).saturating_add_signed(-self.ahead)
    }

    pub(crate) fn jump(&mut self, ms: i64) {
        self.ahead += ms;
    }
}

/// How often a machine was asked what is next, and how much of what happened to it explains that.
#[derive(Debug)]
pub(crate) struct Work {
    calls: u64,
    causes: u64,
    since: Time,
}

impl Work {
    /// Calls that a happening, a byte or a moment explains.
    const EACH: u64 = 4;
    /// A timer may run out as often as this without anything else happening (ms).
    const MOMENT: Time = 100;

    pub(crate) fn new(since: Time) -> Self {
        Self { calls: 0, causes: 16, since }
    }

    /// Something happened to the machine, or bytes were taken from it or given to it.
    pub(crate) fn explain(&mut self, causes: usize) {
        self.causes += causes as u64;
    }

    pub(crate) fn call(&mut self, now: Time) {
        self.calls += 1;
        let allowed = Self::EACH * (self.causes + (now - self.since) / Self::MOMENT);
        assert!(self.calls <= allowed, "endless work: {self:?} until {now}");
    }
}
