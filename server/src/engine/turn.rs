//! Whether work on a host is still wanted when its first change is about to be sent.
//!
//! Calls to one host wait for their turn ([`super::http`]). Work that continues without its caller, so
//! that a change which was sent is finished, must not start with a change that nobody waits for.

use std::sync::Arc;

use tokio::sync::watch;

use super::{EngineError, ErrorKind};

/// The turn of one piece of work on one host.
#[derive(Debug, Clone)]
pub struct Turn(Arc<watch::Sender<State>>);

/// Gives the turn up when it is dropped.
#[derive(Debug)]
pub struct TurnGuard(Turn);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No change was sent.
    Waits,
    /// A change was sent, or is about to be.
    Begun,
    /// No change will be sent.
    GivenUp,
}

tokio::task_local! {
    static TURN: Turn;
}

impl Turn {
    /// Nothing was sent yet.
    #[expect(clippy::new_without_default, reason = "a turn is nothing that a type has by default")]
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::Waits)))
    }

    /// Work whose changes need this turn.
    pub fn of<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        TURN.scope(self.clone(), work)
    }

    /// Gives it up when the guard is dropped: nobody waits for the work any more.
    #[must_use]
    pub fn guard(&self) -> TurnGuard {
        TurnGuard(self.clone())
    }

    /// Nothing will be sent from now on, unless something was. Returns whether nothing was.
    #[must_use]
    pub fn give_up(&self) -> bool {
        self.leave_waiting(State::GivenUp) != State::Begun
    }

    fn leave_waiting(&self, next: State) -> State {
        self.0.send_if_modified(|state| {
            let waits = *state == State::Waits;
            if waits {
                *state = next;
            }
            waits
        });
        *self.0.borrow()
    }
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        let _ = self.0.give_up();
    }
}

/// Waits for the turn of a change; it has begun then. `turn`: what it waits for.
///
/// # Errors
///
/// [`ErrorKind::GivenUp`] if nobody waits for it any more.
pub(super) async fn begin<T>(
    operation: &'static str,
    turn: impl Future<Output = T>,
) -> Result<T, EngineError> {
    let given_up = || {
        let message = "its caller is gone, or its time was over, before its turn came";
        EngineError::new(ErrorKind::GivenUp, operation, message)
    };
    let Ok(own) = TURN.try_with(Turn::clone) else { return Ok(turn.await) };
    let mut state = own.0.subscribe();
    tokio::select! {
        biased;
        _ = state.wait_for(|state| *state == State::GivenUp) => Err(given_up()),
        result = turn => match own.leave_waiting(State::Begun) {
            State::Begun => Ok(result),
            State::Waits | State::GivenUp => Err(given_up()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn what_was_given_up_does_not_begin() {
        let turn = Turn::new();
        let waiting = tokio::spawn(turn.of(begin("POST /x", pending::<()>())));
        tokio::task::yield_now().await;
        drop(turn.guard());
        assert_eq!(waiting.await.unwrap().unwrap_err().kind, ErrorKind::GivenUp);
        assert_eq!(
            turn.of(begin("POST /x", ready(()))).await.unwrap_err().kind,
            ErrorKind::GivenUp
        );
        assert!(turn.give_up(), "nothing was sent");
    }

    #[tokio::test]
    async fn what_has_begun_goes_on() {
        let turn = Turn::new();
        turn.of(begin("POST /x", ready(()))).await.unwrap();
        assert!(!turn.give_up());
        turn.of(begin("POST /y", ready(()))).await.unwrap();
    }
}
