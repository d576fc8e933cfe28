//! Second attempts at quick reads, for callers that would rather ask twice than wait: where an Engine
//! has not answered after a while, it is asked once more over another connection, and the first
//! answer counts. Only inside of [`Hedge::of`]; anywhere else, a call is made once.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{self, Either};

use super::Result;
use super::operation::{Access, Operation, Pace};

/// Of so many hosts, one may be asked twice: where everything is slow, asking again makes it slower.
const ONE_OF: usize = 10;

/// The second attempts of one call on many hosts. Clones share them.
#[derive(Debug, Clone)]
pub struct Hedges {
    after: Duration,
    left: Arc<AtomicUsize>,
}

/// The second attempt at one host.
#[derive(Debug, Clone)]
pub struct Hedge {
    hedges: Hedges,
    is_used: Arc<AtomicBool>,
}

tokio::task_local! {
    static HEDGE: Hedge;
}

impl Hedges {
    /// Those of a call on so many hosts: of ten, one is asked again `after` it was first asked, and of
    /// fewer too.
    #[must_use]
    pub fn new(after: Duration, hosts: usize) -> Self {
        Self { after, left: Arc::new(AtomicUsize::new(hosts.div_ceil(ONE_OF))) }
    }

    /// That of one host.
    #[must_use]
    pub fn for_host(&self) -> Hedge {
        Hedge { hedges: self.clone(), is_used: Arc::default() }
    }
}

impl Hedge {
    /// Does `work`, of which one quick read may be attempted twice, if there is a `hedge`.
    pub fn of<F: Future>(hedge: Option<Self>, work: F) -> impl Future<Output = F::Output> {
        match hedge {
            Some(hedge) => Either::Left(HEDGE.scope(hedge, work)),
            None => Either::Right(work),
        }
    }

    /// Whether a second attempt may be made. The next one may not.
    fn take(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        !self.is_used.swap(true, Ordering::AcqRel)
            && self.hedges.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
    }
}

/// The answer to `first`, or to `second` if that is earlier and the task may ask twice. An attempt that
/// gets no answer waits for the other one. Call it inside of the task: it looks there at once.
pub(super) fn race<T, F: Future<Output = Result<T>>>(
    operation: &Operation,
    first: impl Future<Output = Result<T>>,
    second: impl FnOnce() -> F,
) -> impl Future<Output = Result<T>> {
    let is_quick_read = operation.access == Access::Read && operation.pace == Pace::Quick;
    match HEDGE.try_with(Hedge::clone).ok().filter(|_| is_quick_read) {
        // In a box, so that calls that are made once are not as large as two.
        Some(hedge) => Either::Left(Box::pin(race_after(hedge, first, second))),
        None => Either::Right(first),
    }
}

async fn race_after<T, F: Future<Output = Result<T>>>(
    hedge: Hedge,
    first: impl Future<Output = Result<T>>,
    second: impl FnOnce() -> F,
) -> Result<T> {
    let mut first = pin!(first);
    if let Ok(result) = tokio::time::timeout(hedge.hedges.after, &mut first).await {
        return result;
    }
    if !hedge.take() {
        return first.await;
    }
    let second = pin!(second());
    match future::select(first, second).await {
        Either::Left((result, second)) if !is_answer(&result) => second.await,
        Either::Right((result, first)) if !is_answer(&result) => first.await,
        Either::Left((result, _)) | Either::Right((result, _)) => result,
    }
}

/// Whether the Engine said anything, and be it an error.
fn is_answer<T>(result: &Result<T>) -> bool {
    result
        .as_ref()
        .err()
        .is_none_or(|error| !error.kind.is_silence() && !error.kind.is_without_connection())
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::engine::operation::{INFO, PULL_IMAGE};
    use crate::engine::{EngineError, ErrorKind};

    const AFTER: Duration = Duration::from_millis(300);

    fn failed(kind: ErrorKind) -> Result<&'static str> {
        Err(EngineError::new(kind, INFO.name, "failed"))
    }

    async fn late(seconds: u64, result: Result<&'static str>) -> Result<&'static str> {
        sleep(Duration::from_secs(seconds)).await;
        result
    }

    async fn hedged<F: Future<Output = Result<&'static str>>>(
        hedges: &Hedges,
        first: impl Future<Output = Result<&'static str>>,
        second: impl FnOnce() -> F,
    ) -> Result<&'static str> {
        Hedge::of(Some(hedges.for_host()), async { race(&INFO, first, second).await }).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_counts_and_no_answer_waits_for_the_other() {
        let begun = Instant::now();
        let many = Hedges::new(AFTER, 1000);
        let second = || ready(Ok("second"));
        let never = || pending::<Result<&'static str>>();
        assert_eq!(hedged(&many, ready(Ok("first")), second).await, Ok("first"));
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(hedged(&many, pending(), second).await, Ok("second"));
        assert_eq!(begun.elapsed(), AFTER);
        assert_eq!(hedged(&many, late(1, Ok("first")), never).await, Ok("first"));
        let unreachable = || ready(failed(ErrorKind::Unreachable));
        assert_eq!(hedged(&many, late(1, Ok("first")), unreachable).await, Ok("first"));
        let lost = late(1, failed(ErrorKind::ConnectionLost));
        assert_eq!(hedged(&many, lost, || late(2, Ok("second"))).await, Ok("second"));
        // An error of the Engine is an answer.
        let refused = || ready(failed(ErrorKind::Engine));
        assert_eq!(hedged(&many, pending(), refused).await, failed(ErrorKind::Engine));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_asked_twice_once_and_only_some_are_and_only_in_quick_reads() {
        let second = || ready(Ok("second"));
        let first = || late(1, Ok("first"));
        // Of eleven hosts, two.
        let few = Hedges::new(AFTER, 11);
        assert_eq!(hedged(&few, first(), second).await, Ok("second"));
        assert_eq!(hedged(&few, first(), second).await, Ok("second"));
        assert_eq!(hedged(&few, first(), second).await, Ok("first"));
        let one = Hedges::new(AFTER, 1000).for_host();
        let work = async {
            let result = race(&INFO, first(), second).await;
            (result, race(&INFO, first(), second).await)
        };
        assert_eq!(Hedge::of(Some(one), work).await, (Ok("second"), Ok("first")));
        let long = Hedges::new(AFTER, 1000).for_host();
        assert_eq!(
            Hedge::of(Some(long), async { race(&PULL_IMAGE, first(), second).await }).await,
            Ok("first")
        );
        assert_eq!(
            Hedge::of(None, async { race(&INFO, first(), second).await }).await,
            Ok("first")
        );
    }
}
