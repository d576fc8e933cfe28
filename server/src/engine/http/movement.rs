//! Whether an upload moves: the Engine takes it, or waits for its source.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When something last moved; shared by who moves it and who watches.
#[derive(Debug, Clone)]
pub(super) struct Movement(Arc<(Instant, AtomicU64)>);

/// What a [`Movement`] that waits for its source has in place of a time.
const WAITS: u64 = u64::MAX;

impl Movement {
    /// It moved now.
    pub(super) fn new() -> Self {
        Self(Arc::new((Instant::now(), AtomicU64::new(0))))
    }

    /// It moves.
    pub(super) fn moved(&self) {
        let (start, moved) = &*self.0;
        let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(WAITS);
        moved.store(millis, Ordering::Relaxed);
    }

    /// It cannot move before its source does.
    pub(super) fn waits(&self) {
        self.0.1.store(WAITS, Ordering::Relaxed);
    }

    /// How long it has stood still, although there was something to move.
    pub(super) fn still(&self) -> Duration {
        let (start, moved) = &*self.0;
        // While it waits, this is zero.
        start.elapsed().saturating_sub(Duration::from_millis(moved.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_pauses_is_no_standstill() {
        let start = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
        let movement = Movement(Arc::new((start, AtomicU64::new(0))));
        assert!(movement.still() >= Duration::from_secs(100));
        movement.waits();
        assert_eq!(movement.still(), Duration::ZERO);
        movement.moved();
        assert!(movement.still() < Duration::from_secs(100));
    }
}
