//! Pauses between attempts.

use std::time::Duration;

use uuid::Uuid;

/// The first pause and the longest one.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The pause after so many failures: twice as long each time, and between half of it and all.
pub(super) fn pause(failures: u32) -> Duration {
    let whole = PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE) / 2;
    let random = u32::try_from(Uuid::new_v4().as_u128() % 1000).unwrap_or_default();
    whole + whole * random / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        assert!(pause(0) >= PAUSE / 2 && pause(0) <= PAUSE);
        for failures in 0..40 {
            let pauses: Vec<_> = (0..20).map(|_| pause(failures)).collect();
            assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
        assert!(pause(20) >= LONGEST_PAUSE / 2);
    }
}
