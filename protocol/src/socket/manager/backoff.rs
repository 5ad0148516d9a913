use core::time::Duration;

use super::Config;
use super::slot::MIN_TIMEOUT;
use crate::Random;

/// How long to wait after so many attempts have failed: the formula of the official client (`backo2`), whole milliseconds.
///
/// It differs where the official client's numbers overflow: there a wait may become none. None is shorter than a
/// millisecond.
pub(super) fn delay(config: &Config, attempts: u32, random: &mut Random) -> Duration {
    let max = millis(config.reconnection_delay_max, 5000.0);
    // 64 doublings of a millisecond exceed every delay, whatever chance takes away.
    let mut delay = (0..attempts.min(64)).fold(millis(config.reconnection_delay, 1000.0), |delay, _| delay * 2.0);
    let factor = config.randomization_factor;
    if factor > 0.0 && factor <= 1.0 {
        // One number in 0..1 decides how much, and whether more or less.
        let number = (u64::from_le_bytes(random.bytes()) >> 11) as f64 / (1_u64 << 53) as f64;
        let deviation = floor(number * factor * delay);
        let less = ((number * 10.0) as u64).is_multiple_of(2);
        delay = if less { delay - deviation } else { delay + deviation };
    }
    Duration::from_millis(delay.min(max) as u64).max(MIN_TIMEOUT)
}

fn millis(duration: Duration, instead_of_zero: f64) -> f64 {
    if duration.is_zero() { instead_of_zero } else { duration.as_nanos() as f64 / 1e6 }
}

/// Rounds down what is not negative. A number that is too large is cut off, when it does not matter any more.
fn floor(number: f64) -> f64 {
    number as u64 as f64
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::Seed;

    /// `socket.io-client/lib/contrib/backo2.ts`, read as it stands there, with the number that chance gave.
    fn official(min: f64, max: f64, jitter: f64, attempts: i32, rand: f64) -> u64 {
        let mut ms = min * 2_f64.powi(attempts);
        let jitter = if jitter > 0.0 && jitter <= 1.0 { jitter } else { 0.0 };
        if jitter != 0.0 {
            let deviation = (rand * jitter * ms).floor();
            ms = if ((rand * 10.0).floor() as i64) & 1 == 0 { ms - deviation } else { ms + deviation };
        }
        ms.min(max).trunc() as u64
    }

    fn config(min: u64, max: u64, jitter: f64) -> Config {
        Config {
            reconnection_delay: Duration::from_millis(min),
            reconnection_delay_max: Duration::from_millis(max),
            randomization_factor: jitter,
            ..Config::default()
        }
    }

    #[test]
    fn delays_follow_the_official_formula_for_10_000_seeds() {
        let settings = [
            (1000, 5000, 0.5),
            (1000, 5000, 1.0),
            (1, 86_400_000, 0.01),
            (7, 1_000_000, 0.3),
            (2000, 1000, 0.5),
            (1000, 5000, 0.0),
            (1000, 5000, 1.5),
            (1000, 5000, -0.5),
            (1000, 5000, f64::NAN),
        ];
        let mut more = 0;
        for seed in 0..10_000_u32 {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&seed.to_le_bytes());
            let (min, max, jitter) = settings[seed as usize % settings.len()];
            let config = config(min, max, jitter);
            let mut random = Random::new(Seed::new(bytes));
            let mut same = random.clone();
            for attempts in 0..30 {
                let delay = delay(&config, attempts, &mut random);
                let drawn = jitter > 0.0 && jitter <= 1.0;
                let rand = if drawn { (u64::from_le_bytes(same.bytes()) >> 11) as f64 * 2_f64.powi(-53) } else { 0.0 };
                let expected = official(min as f64, max as f64, jitter, attempts as i32, rand);
                assert_eq!(delay, Duration::from_millis(expected), "seed {seed}, attempt {attempts}");
                more += u32::from(delay > config.reconnection_delay);
            }
            assert_eq!(random, same, "one number for each delay, none without a factor");
        }
        assert!(more > 100_000, "the settings reach beyond the first delay");
    }

    #[test]
    fn no_attempt_overflows() {
        let mut random = Random::new(Seed::new([5; 32]));
        for (min, max) in [(1, 5000), (1000, 5000), (u64::MAX, u64::MAX)] {
            for attempts in [64, 1023, 1024, 2000, u32::MAX] {
                for _ in 0..20 {
                    let delay = delay(&config(min, max, 1.0), attempts, &mut random);
                    assert_eq!(delay, Duration::from_millis(max), "{min} {attempts}");
                }
            }
        }
    }

    #[test]
    fn zero_stands_for_the_default() {
        let mut random = Random::new(Seed::new([5; 32]));
        let config = config(0, 0, 0.0);
        let delays = [0, 1, 2, 3].map(|attempts| delay(&config, attempts, &mut random).as_millis());
        assert_eq!(delays, [1000, 2000, 4000, 5000]);
    }

    #[test]
    fn no_delay_is_none() {
        let mut random = Random::new(Seed::new([5; 32]));
        let nanos = Duration::from_nanos(1);
        for (min, max) in [(nanos, Duration::MAX), (Duration::MAX, nanos), (nanos, nanos)] {
            let config = Config { reconnection_delay: min, reconnection_delay_max: max, ..Config::default() };
            assert_eq!(delay(&config, 0, &mut random), Duration::from_millis(1));
        }
    }
}
