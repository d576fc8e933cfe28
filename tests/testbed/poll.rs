//! Waiting for a condition, instead of sleeping and hoping.

use std::time::{Duration, Instant};

use anyhow::anyhow;

/// After this, what has not happened never will. Much more than anything takes on a machine that
/// is busy with other work: what it ends is a hang, and how long something takes no test says.
pub const LIMIT: Duration = Duration::from_secs(300);

/// Asks `probe` again and again until it succeeds; its last error is part of the error that is
/// returned after [`LIMIT`]. An attempt that hangs is given up at the same moment.
pub async fn eventually<T, F>(what: &str, mut probe: F) -> anyhow::Result<T>
where
    F: AsyncFnMut() -> anyhow::Result<T>,
{
    let deadline = Instant::now() + LIMIT;
    let mut last = anyhow!("no attempt came to an end");
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(last.context(format!("waited {} s for {what}", LIMIT.as_secs())));
        }
        match tokio::time::timeout(left, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = error,
            Err(_) => continue,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
