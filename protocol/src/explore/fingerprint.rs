use core::hash::{Hash, Hasher};
use core::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::Instant;

/// Where the clock of a world starts, in nanoseconds: beyond every number of a machine that is no time.
const CLOCK: u64 = 1 << 62;

/// Where the numbers of the client's HTTP requests start: beyond every other number.
pub(crate) const REQUESTS: u64 = 1 << 61;

/// When a world begins.
pub(crate) const START: Instant = Instant::from_epoch(Duration::from_nanos(CLOCK));

/// A hash of 128 bits over the whole state of a world, by which two that go on alike are known to be one.
///
/// - Times count from the world's `now`, as machines look at nothing but differences of times. All that have passed are one:
///   machines ask whether a time has come, and do at once what is due.
/// - The numbers of HTTP requests count from the latest one: they are compared for equality alone.
/// - What chance gives is no part of it ([`Random`](crate::Random) adds nothing, and the network takes off the masks and the
///   nonces of targets): nobody decides by it.
/// - All else enters by `Hash`, derived for every field of every machine. It leaves out what `Eq` leaves out, too: the
///   capacity of buffers.
///
/// That two of a million different states have the same hash has a probability below 10^-26.
pub(crate) struct Fingerprint {
    hasher: SipHasher13,
    now: u64,
    requests: u64,
}

impl Fingerprint {
    /// A hasher at this time, after so many requests.
    pub(crate) fn new(now: Instant, requests: u64) -> Self {
        Self { hasher: SipHasher13::new(), now: nanos(now), requests }
    }

    pub(crate) fn of(mut self, state: &impl Hash) -> u128 {
        state.hash(&mut self);
        self.hasher.finish128().as_u128()
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.hasher.write_u64(match number {
            // The end of time stays where it is.
            u64::MAX => number,
            CLOCK.. => CLOCK + number.saturating_sub(self.now),
            REQUESTS.. => REQUESTS + (self.requests - number),
            _ => number,
        });
    }

    fn finish(&self) -> u64 {
        self.hasher.finish()
    }
}

fn nanos(time: Instant) -> u64 {
    u64::try_from(time.since_epoch().as_nanos()).unwrap()
}

#[test]
fn states_are_told_apart_by_what_matters() {
    let at = |now: u64, requests: u64, state: &dyn Fn(&mut Fingerprint)| {
        let mut fingerprint = Fingerprint::new(START + Duration::from_secs(now), REQUESTS + requests);
        state(&mut fingerprint);
        fingerprint.hasher.finish128().as_u128()
    };
    let time = |seconds: u64| move |hasher: &mut Fingerprint| (START + Duration::from_secs(seconds)).hash(hasher);
    assert_eq!(at(1, 0, &time(3)), at(5, 0, &time(7)), "both in two seconds");
    assert_ne!(at(1, 0, &time(3)), at(1, 0, &time(4)));
    assert_ne!(at(3, 0, &time(3)), at(3, 0, &time(4)), "now and later");
    assert_eq!(at(5, 0, &time(3)), at(5, 0, &time(4)), "both have passed");
    let number = |number: u64| move |hasher: &mut Fingerprint| number.hash(hasher);
    assert_eq!(at(0, 2, &number(REQUESTS + 1)), at(0, 9, &number(REQUESTS + 8)));
    assert_ne!(at(0, 2, &number(REQUESTS + 1)), at(0, 2, &number(REQUESTS + 2)));
    assert_ne!(at(0, 0, &number(1)), at(0, 0, &number(2)));
    assert_ne!(at(0, 0, &number(u64::MAX)), at(0, 0, &time(1 << 30)), "never");
}
