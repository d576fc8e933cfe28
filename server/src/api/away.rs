//! Hosts that are away while a stream goes on, and come back. Used by the logs and the stats.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::engine::{Engine, EngineError, ErrorKind};
use crate::fleet::HostError;

/// Time limit for a call that an Engine answers from memory.
const QUICK: Duration = Duration::from_secs(30);
/// First and longest delay between two attempts to reach a host.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// A call that an Engine answers from memory.
pub async fn quick<T>(call: impl Future<Output = Result<T, EngineError>>) -> Result<T, HostError> {
    match timeout(QUICK, call).await {
        Ok(result) => result.map_err(HostError::from),
        Err(_) => Err(HostError::Timeout { budget: QUICK, goes_on: false }),
    }
}

/// Whether the host may be back later.
pub fn is_away(error: &HostError) -> bool {
    match error {
        HostError::Engine(error) => is_away_kind(error.kind),
        HostError::Timeout { .. } => true,
        _ => false,
    }
}

/// Waits until the Engine answers. An error that is not about the way to it ends the wait.
pub async fn until_it_answers(engine: &dyn Engine) -> Result<(), HostError> {
    let (mut delay, longest) = RETRY;
    loop {
        match timeout(QUICK, engine.ping()).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if !is_away_kind(error.kind) => return Err(error.into()),
            Ok(Err(_)) | Err(_) => sleep(delay).await,
        }
        delay = (delay * 2).min(longest);
    }
}

fn is_away_kind(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unreachable
            | ErrorKind::ConnectionLost
            | ErrorKind::Unavailable
            | ErrorKind::NoResources
    )
}
