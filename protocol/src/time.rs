use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point in time, as the time since an epoch that the caller picks.
///
/// The machines never read a clock: whoever drives them passes the time in. They clamp it, so that time that runs
/// backwards counts as time that stands still.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// One number, since times are compared for every message. It lasts for 584 years.
    nanos: u64,
}

impl Instant {
    /// The epoch itself.
    pub const EPOCH: Self = Self { nanos: 0 };

    /// The instant that lies `elapsed` after the epoch, or the end of time, 584 years after it.
    pub const fn from_epoch(elapsed: Duration) -> Self {
        Self { nanos: nanos(elapsed) }
    }

    /// Time passed since the epoch.
    pub const fn since_epoch(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// Time passed since `earlier`, zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of time.
    fn add(self, duration: Duration) -> Self {
        Self { nanos: self.nanos.saturating_add(nanos(duration)) }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

/// The nanoseconds of a duration, as many as a number holds.
const fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_ends_and_does_not_wrap_around() {
        for elapsed in [Duration::ZERO, Duration::from_nanos(1), Duration::new(12, 345_678_901)] {
            let instant = Instant::from_epoch(elapsed);
            assert_eq!(instant.since_epoch(), elapsed);
            assert_eq!(instant, Instant::EPOCH + elapsed);
            assert_eq!((instant - Instant::EPOCH, Instant::EPOCH - instant), (elapsed, Duration::ZERO));
        }
        let end = Instant::from_epoch(Duration::MAX);
        assert_eq!(end.since_epoch(), Duration::from_nanos(u64::MAX));
        assert_eq!(end + Duration::from_nanos(1), end);
    }
}
