//! Time for rollouts: wall-clock times for storage, advanced by the monotonic clock, so that a jump
//! of the wall clock moves no deadline while the server is running.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::model::Millis;

/// The clock of one process.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Millis,
    instant: Instant,
}

impl Clock {
    /// A clock that shows `wall` now.
    #[must_use]
    pub fn starting_at(wall: Millis) -> Self {
        Self { wall, instant: Instant::now() }
    }

    /// A clock that shows this machine's time.
    #[must_use]
    pub fn of_system() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.wall + self.instant.elapsed()
    }

    /// Waits until `time`; returns immediately if it has passed.
    pub async fn sleep_until(&self, time: Millis) {
        let wait = Duration::from_millis(time.0.saturating_sub(self.wall.0));
        tokio::time::sleep_until(self.instant + wait).await;
    }
}
