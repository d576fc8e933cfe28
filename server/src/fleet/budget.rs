//! The time that the work on one host may take.
//!
//! The clock stops while the work waits for the caller to read: a slow reader must not turn a quick
//! host into one that timed out.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How often to check a used-up budget again while its clock is stopped.
const PAUSE_POLL: Duration = Duration::from_millis(50);

/// The time that the work on one host may take.
#[derive(Debug)]
pub struct Budget {
    started: Instant,
    state: Mutex<State>,
}

/// The clock of the budget is stopped while this exists.
#[derive(Debug)]
pub struct Pause<'a>(&'a Budget);

#[derive(Debug)]
struct State {
    /// From the limit of the call; moves when the clock stood still.
    deadline: Option<Instant>,
    /// When the caller stops waiting; never changes.
    caller: Option<Instant>,
    paused_at: Option<Instant>,
    /// Number of waiting payloads; the clock continues when the last one is delivered.
    pauses: u32,
}

impl Budget {
    /// A budget that ends after `limit` or at `caller`, whichever is first.
    #[must_use]
    pub fn new(limit: Option<Duration>, caller: Option<Instant>) -> Self {
        let started = Instant::now();
        let deadline = limit.and_then(|limit| started.checked_add(limit));
        let state = State { deadline, caller, paused_at: None, pauses: 0 };
        Self { started, state: Mutex::new(state) }
    }

    /// Whether no time is left.
    pub fn is_spent(&self) -> bool {
        self.lock().end().is_some_and(|end| end <= Instant::now())
    }

    /// Stops the clock until the guard is dropped.
    pub fn pause(&self) -> Pause<'_> {
        let mut state = self.lock();
        state.pauses += 1;
        state.paused_at.get_or_insert_with(Instant::now);
        drop(state);
        Pause(self)
    }

    /// Moves the end to at least `duration` from now; the caller's deadline does not change.
    pub fn extend(&self, duration: Duration) {
        let mut state = self.lock();
        let wanted = Instant::now().checked_add(duration);
        state.deadline = match (state.deadline, wanted) {
            (Some(deadline), Some(wanted)) => Some(deadline.max(wanted)),
            _ => None,
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is a single assignment; a panic leaves nothing inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&self) -> Option<Instant> {
        // While the clock is stopped, the limit moves ahead.
        let deadline = match (self.deadline, self.paused_at) {
            (Some(deadline), Some(since)) => Some(deadline + since.elapsed() + PAUSE_POLL),
            (deadline, _) => deadline,
        };
        match (deadline, self.caller) {
            (Some(deadline), Some(caller)) => Some(deadline.min(caller)),
            (deadline, caller) => deadline.or(caller),
        }
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.pauses -= 1;
        if state.pauses == 0
            && let Some(since) = state.paused_at.take()
        {
            state.deadline = state.deadline.map(|deadline| deadline + since.elapsed());
        }
    }
}

/// Runs `work` until it ends or the budget is used up; in that case, returns the time limit.
pub async fn within<F: Future>(budget: &Budget, work: F) -> Result<F::Output, Duration> {
    tokio::pin!(work);
    loop {
        let end = budget.lock().end();
        let Some(end) = end else { return Ok(work.await) };
        tokio::select! {
            biased;
            output = &mut work => return Ok(output),
            () = sleep_until(end) => if budget.is_spent() {
                return Err(budget.started.elapsed());
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_shorter_of_limit_and_caller_counts() {
        let caller = Instant::now() + Duration::from_secs(2);
        let budget = Budget::new(Some(Duration::from_secs(5)), Some(caller));
        let spent = within(&budget, std::future::pending::<()>()).await;
        assert_eq!(spent, Err(Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_reader_does_not_count() {
        let budget = Budget::new(Some(Duration::from_secs(1)), None);
        let work = async {
            let pause = budget.pause();
            tokio::time::sleep(Duration::from_secs(10)).await;
            drop(pause);
            tokio::time::sleep(Duration::from_millis(900)).await;
            "done"
        };
        assert_eq!(within(&budget, work).await, Ok("done"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_extension_counts_from_now_and_not_beyond_the_caller() {
        let caller = Instant::now() + Duration::from_secs(30);
        let budget = Budget::new(Some(Duration::from_secs(1)), Some(caller));
        budget.extend(Duration::from_secs(60));
        let spent = within(&budget, std::future::pending::<()>()).await;
        assert_eq!(spent, Err(Duration::from_secs(30)));
    }
}
