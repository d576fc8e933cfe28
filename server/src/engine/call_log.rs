//! The calls to an Engine that one piece of work makes, for those who trace it. Kept only inside of
//! [`CallLog::of`]; anywhere else, a call looks at one variable of its task and goes on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::Either;

use super::operation::Operation;
use super::{EngineError, ErrorKind};

/// Calls to keep; the others are counted. Work on many items makes several for each.
const MOST_CALLS: usize = 100;

/// A call to an Engine that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineCall {
    /// Its method and path, such as `GET /containers/json`.
    pub operation: &'static str,
    /// When it began; it may have waited for its turn.
    pub begun: SystemTime,
    /// Until its answer was read, or for a stream, until it began.
    pub elapsed: Duration,
    /// How it ended.
    pub end: CallEnd,
}

/// How a call to an Engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// With an answer.
    Answered,
    /// Without a usable one.
    Failed(ErrorKind),
    /// Nobody waited for it any longer: the work was done, given up, or had no time left.
    Abandoned,
}

/// The calls of one piece of work, in the order of their ends. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct CallLog(Arc<Mutex<Calls>>);

#[derive(Debug, Default)]
struct Calls {
    kept: Vec<EngineCall>,
    left_out: u32,
}

/// A call in progress. Dropped before [`Begun::ended`], it was abandoned.
#[derive(Debug)]
pub(super) struct Begun {
    log: CallLog,
    clock: Instant,
    call: EngineCall,
}

tokio::task_local! {
    static LOG: CallLog;
}

impl CallLog {
    /// Does `work`, and notes the calls that its task makes, in `log` if there is one.
    pub fn of<F: Future>(log: Option<Self>, work: F) -> impl Future<Output = F::Output> {
        match log {
            Some(log) => Either::Left(LOG.scope(log, work)),
            None => Either::Right(work),
        }
    }

    /// The calls so far, and how many more there were.
    #[must_use]
    pub fn take(&self) -> (Vec<EngineCall>, u32) {
        let Calls { kept, left_out } = std::mem::take(&mut *self.calls());
        (kept, left_out)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that begins; `None` if nobody keeps a log.
pub(super) fn begin(operation: &Operation) -> Option<Begun> {
    let log = LOG.try_with(CallLog::clone).ok()?;
    let (begun, elapsed, end) = (SystemTime::now(), Duration::ZERO, CallEnd::Abandoned);
    let call = EngineCall { operation: operation.name, begun, elapsed, end };
    Some(Begun { log, clock: Instant::now(), call })
}

impl Begun {
    /// The call has ended, with this error if any.
    pub(super) fn ended(mut self, error: Option<&EngineError>) {
        self.call.end = error.map_or(CallEnd::Answered, |error| CallEnd::Failed(error.kind));
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut calls = self.log.calls();
        if calls.kept.len() < MOST_CALLS {
            calls.kept.push(EngineCall { elapsed: self.clock.elapsed(), ..self.call.clone() });
        } else {
            calls.left_out += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::operation::INFO;

    #[tokio::test]
    async fn a_log_has_the_calls_of_its_work_and_how_they_ended() {
        assert!(begin(&INFO).is_none());
        let log = CallLog::default();
        let work = async {
            begin(&INFO).unwrap().ended(None);
            let error = EngineError::new(ErrorKind::Unreachable, INFO.name, "gone");
            begin(&INFO).unwrap().ended(Some(&error));
            drop(begin(&INFO));
            for _ in 0..MOST_CALLS {
                begin(&INFO).unwrap().ended(None);
            }
        };
        CallLog::of(Some(log.clone()), work).await;
        CallLog::of(None, async { assert!(begin(&INFO).is_none()) }).await;
        let (calls, left_out) = log.take();
        let ends: Vec<_> = calls.iter().take(3).map(|call| call.end).collect();
        let failed = CallEnd::Failed(ErrorKind::Unreachable);
        assert_eq!(ends, [CallEnd::Answered, failed, CallEnd::Abandoned]);
        assert_eq!((calls.len(), left_out), (MOST_CALLS, 3));
        assert!(calls.iter().all(|call| call.operation == "GET /info"), "{calls:?}");
    }
}
