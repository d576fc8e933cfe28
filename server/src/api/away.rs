//! A host that is away for a while, for streams that follow it: what counts as away, and the wait until
//! it answers again.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::time_limits::READ;
use crate::engine::{Engine, EngineError};
use crate::fleet::HostError;

/// First and longest delay between two attempts to reach a host that is away.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// A call that an Engine answers from memory.
pub async fn quick<T>(call: impl Future<Output = Result<T, EngineError>>) -> Result<T, HostError> {
    match timeout(READ, call).await {
        Ok(result) => result.map_err(HostError::from),
        Err(_) => Err(HostError::Timeout { budget: READ, goes_on: false }),
    }
}

/// Whether the host may be back later.
pub fn is_away(error: &HostError) -> bool {
    match error {
        HostError::Engine(error) => error.kind.is_away(),
        HostError::Timeout { .. } => true,
        _ => false,
    }
}

/// Waits until the Engine answers again, and returns how long that took. Fails if the Engine refuses.
pub async fn until_it_answers(engine: &dyn Engine) -> Result<Duration, EngineError> {
    let (begun, (mut delay, longest)) = (Instant::now(), RETRY);
    loop {
        match timeout(READ, engine.ping()).await {
            Ok(Ok(_)) => return Ok(begun.elapsed()),
            Ok(Err(error)) if !error.kind.is_away() => return Err(error),
            Ok(Err(_)) | Err(_) => sleep(delay).await,
        }
        delay = (delay * 2).min(longest);
    }
}
