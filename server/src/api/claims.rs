//! The request IDs in use in this process: only one call at a time may use an ID.
//!
//! The work itself holds a claim, in its own task, rather than the call that requested it: if the
//! caller disconnects, the same work must not start a second time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::problem::Problem;
use crate::domain::Reason;

/// How long a retry waits for the end of the first call. The caller gets the last outcome shortly
/// before its work releases the claim.
const HAND_OVER: Duration = Duration::from_millis(500);

/// The request IDs in use. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Claims(Arc<Mutex<HashMap<Uuid, CancellationToken>>>);

/// The right to use an ID; released when dropped.
#[derive(Debug)]
pub struct Claim {
    _running: DropGuard,
}

impl Claims {
    /// Claims an ID. Waits a moment for a call that is about to end, then fails with
    /// REQUEST_IN_PROGRESS.
    pub async fn claim(&self, id: Uuid) -> Result<Claim, Problem> {
        let give_up = Instant::now() + HAND_OVER;
        loop {
            let ended = match self.try_claim(id) {
                Ok(claim) => return Ok(claim),
                Err(ended) => ended,
            };
            if timeout_at(give_up, ended.cancelled()).await.is_err() {
                return Err(in_progress(id));
            }
        }
    }

    /// Fails with a token that is cancelled when the call in progress ends.
    fn try_claim(&self, id: Uuid) -> Result<Claim, CancellationToken> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, ended| !ended.is_cancelled());
        if let Some(ended) = running.get(&id) {
            return Err(ended.clone());
        }
        let ended = CancellationToken::new();
        running.insert(id, ended.clone());
        Ok(Claim { _running: ended.drop_guard() })
    }
}

fn in_progress(id: Uuid) -> Problem {
    let message = format!("the call with request ID {id} is still in progress; retry later");
    Problem::new(Reason::RequestInProgress, message)
}

/// The response if an ID was already used for another request.
pub fn reused(id: Uuid) -> Problem {
    Problem::new(
        Reason::RequestIdReused,
        format!("request ID {id} belongs to another request; use a new ID for each request"),
    )
}
