//! Pauses and other durations with a random part, so that hosts do not do everything at the same time.

use std::time::Duration;

use uuid::Uuid;

/// The first pause, at most.
const FIRST: Duration = Duration::from_millis(500);

/// The pause after so many failures: half a second, then twice as long each time up to `longest`. It is
/// a random part of that, at least half, so that hosts that went away together do not come back
/// together.
#[must_use]
pub fn pause(failures: u32, longest: Duration) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.min(10)).min(longest) / 2;
    spread(whole)
}

/// The duration up to twice as long.
#[must_use]
pub fn spread(duration: Duration) -> Duration {
    duration.mul_f64(1.0 + random())
}

/// The duration up to a tenth longer or shorter, for what hosts do regularly.
#[must_use]
pub fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.9 + random() * 0.2)
}

/// From 0 to 1.
fn random() -> f64 {
    let number = u32::try_from(Uuid::new_v4().as_u128() >> 96).unwrap_or_default();
    f64::from(number) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        let longest = Duration::from_secs(60);
        assert!(pause(0, longest) >= FIRST / 2 && pause(0, longest) <= FIRST);
        for failures in 0..40 {
            let pauses: Vec<_> = (0..20).map(|_| pause(failures, longest)).collect();
            assert!(pauses.iter().all(|pause| *pause <= longest));
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
        assert!(pause(20, longest) >= longest / 2);
    }
}
