//! Durations, counted by size.

/// Steps within each power of two.
const STEPS: u64 = 32;

/// Counts durations with an error of at most 1 in 32.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; place(u64::MAX) + 1], total: 0 }
    }
}

impl Histogram {
    /// Counts a duration in nanoseconds `times` times.
    pub fn add(&mut self, nanoseconds: u64, times: u64) {
        self.counts[place(nanoseconds)] += times;
        self.total += times;
    }

    /// Adds all that `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
    }

    /// The duration in nanoseconds that `share` of all, between 0 and 1, do not exceed; 0 if there are none.
    pub fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.map_or(0.0, |place| start(place as u64) as f64)
    }
}

fn place(value: u64) -> usize {
    let shift = (64 - value.leading_zeros()).saturating_sub(STEPS.ilog2() + 1);
    (u64::from(shift) * STEPS + (value >> shift)) as usize
}

/// The least duration at `place`.
fn start(place: u64) -> u64 {
    let shift = (place / STEPS).saturating_sub(1);
    (place - shift * STEPS) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_ascend_and_are_narrow() {
        for value in [0, 1, 31, 32, 63, 64, 65, 1_000, 123_456_789, u64::MAX] {
            let least = start(place(value) as u64);
            assert!(least <= value && value - least <= value / STEPS, "{value} is counted as {least}");
            assert!(place(value.saturating_add(value / 8)) >= place(value));
        }
    }

    #[test]
    fn quantiles_are_the_right_ones() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0.0);
        (1..=20).for_each(|value| histogram.add(value, 1));
        histogram.add(40, 1);
        let mut more = Histogram::default();
        more.add(40, 19);
        histogram.merge(&more);
        assert_eq!((histogram.quantile(0.25), histogram.quantile(0.5), histogram.quantile(0.9)), (10.0, 20.0, 40.0));
    }
}
