//! Which request IDs are at work in this process: one call at a time may work under one.
//!
//! A claim is held by the work itself, in the task that does it, and not by the call that asked
//! for it: a caller that goes away must not make room for a second beginning of the same work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::problem::Problem;
use crate::domain::Reason;

/// How long a repetition waits for the end of the first call. The caller has the last outcome a
/// moment before the work behind it is put away.
const HAND_OVER: Duration = Duration::from_millis(500);

/// The request IDs at work. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Claims(Arc<Mutex<HashMap<Uuid, CancellationToken>>>);

/// The right to work under an ID; given back when it is dropped.
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

    /// Fails with what is cancelled at the end of the call that is at work.
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

/// The answer to an ID that came with another request before.
pub fn reused(id: Uuid) -> Problem {
    Problem::new(
        Reason::RequestIdReused,
        format!("request ID {id} belongs to another request; use a new ID for each request"),
    )
}
