//! Pauses between attempts to reach a host.

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
    let random = u32::try_from(Uuid::new_v4().as_u128() % 1000).unwrap_or_default();
    whole + whole * random / 1000
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
