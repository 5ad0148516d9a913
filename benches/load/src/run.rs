//! One run of a load, and what came of it.

use core::time::Duration;
use std::io;
use std::time::Instant;

use crate::check::Faults;
use crate::histogram::Histogram;

/// How long nothing may arrive before what is missing counts as lost.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// How much is sent.
#[derive(Clone, Copy, Debug)]
pub enum Span {
    /// So many messages on each connection.
    Messages(u64),
    /// Whatever fits; what is in flight in the end is waited for.
    Time(Duration),
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Right answers, deliveries or handshakes.
    pub operations: u64,
    /// From the first message to the last answer.
    pub elapsed: Duration,
    /// Of each operation.
    pub latencies: Histogram,
    /// What was not as it should be.
    pub faults: Faults,
}

/// Connections that can be made busy, again and again.
pub trait Load {
    /// Keeps the server busy.
    ///
    /// # Errors
    ///
    /// A connection fails. Wrong and missing answers are no errors but counted.
    fn run(&mut self, span: Span) -> io::Result<Outcome>;
}

/// Decides whether one more may be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    span: Span,
}

impl Clock {
    pub(crate) fn start(span: Span) -> Self {
        Self { start: Instant::now(), span }
    }

    pub(crate) fn now(&self) -> u64 {
        self.elapsed().as_nanos() as u64
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// How many of `wanted` messages may be sent at `now` on a connection that has sent `sent` in this run.
    pub(crate) fn grant(&self, now: u64, sent: u64, wanted: u64) -> u64 {
        match self.span {
            Span::Messages(count) => wanted.min(count - sent),
            Span::Time(time) if u128::from(now) < time.as_nanos() => wanted,
            Span::Time(_) => 0,
        }
    }
}
