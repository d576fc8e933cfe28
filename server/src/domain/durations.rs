//! Durations, counted by length. What many tasks measure at once, without waiting for each other, and
//! what is shown of it to those who watch the server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Durations that were measured, counted in buckets.
#[derive(Debug)]
pub struct Durations {
    /// The longest duration of each bucket but the last, in seconds, ascending.
    bounds: &'static [f64],
    /// One more than bounds: the last bucket takes what is longer than all of them.
    counts: Box<[AtomicU64]>,
    nanoseconds: AtomicU64,
}

/// What was counted up to a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// All durations together, in seconds.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
    /// How many there were in each bucket, with its longest duration in seconds; the last is
    /// infinite. Shorter ones are not counted again in longer buckets.
    pub buckets: Vec<(f64, u64)>,
}

impl Durations {
    /// None so far, to be counted in buckets up to these `bounds`, in seconds and ascending, and one
    /// for what is longer.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, nanoseconds: AtomicU64::new(0) }
    }

    /// Counts a duration.
    pub fn add(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let place = self.bounds.partition_point(|bound| *bound < seconds);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted. The sum may have a duration more or less than the buckets, where one is
    /// added at this moment.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        Tally { sum, count, buckets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_first_bucket_that_is_long_enough() {
        let durations = Durations::new(&[0.01, 0.1]);
        for milliseconds in [0, 10, 11, 100, 101, 5000] {
            durations.add(Duration::from_millis(milliseconds));
        }
        let tally = durations.tally();
        assert_eq!(tally.buckets, [(0.01, 2), (0.1, 2), (f64::INFINITY, 2)]);
        assert_eq!(tally.count, 6);
        assert!((tally.sum - 5.222).abs() < 1e-9, "{}", tally.sum);
    }
}
