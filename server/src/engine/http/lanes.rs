//! Which calls to one host go at the same time, so that racing calls share one connection.
//!
//! hyper's pool opens a connection for every call that finds none idle, so a burst on a cold host
//! opens as many as there are calls. Here, short calls take turns on a *lane*: a call releases it
//! when it is done or a moment ([`GRACE`]) after it was sent, so a hung call delays the others only
//! for that moment. Long calls release it as soon as they have a connection.
//!
//! The pool gets a connection back shortly *after* the end of a response, and the next call must
//! not open another one in between. [`PacingLayer`] in the connector ensures that: an attempt to
//! connect waits while a connection is due back, and is cancelled if the call gets that one.
//!
//! What it is for is the cold burst. Measured with 50 calls at once on one host over TLS (keys of
//! RSA 4096, an Engine that answers at once): one connection takes 41 ms and 20 ms of processor
//! on both sides; a plain limit of 8 calls takes 151 ms and 149 ms. On 1,000 hosts, each with few
//! calls, they need a tenth less processor time and up to two fifths more time. The price: short calls to one host follow each other, so where an
//! answer takes 10 ms, 50 of them take 0.6 s instead of 0.1 s.
//!
//! Called by [`super::link`] for every request.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Layer, Service};

use crate::engine::operation::{Access, Operation, Pace};
use crate::engine::{EngineError, ErrorKind, turn};

/// How long a sent short call delays the others, as long as no other call is overdue; each overdue
/// call shortens it, so that all hung calls together cost a second.
const GRACE: Duration = Duration::from_millis(250);
/// How long a connection may take to return to the pool. It takes microseconds unless the machine
/// is overloaded; a host that closed it costs the next call this much.
const RETURN: Duration = Duration::from_millis(400);
/// Concurrent calls of one kind to one host, where the Engine determines how long they take: a hung
/// host must not use up the process's file descriptors.
const MOST_CALLS: usize = 32;
/// The same where the caller determines it: sessions, waits, logs that are read slowly. They are
/// idle most of the time, and cost one file descriptor each.
const MOST_OPEN: usize = 512;
/// The same for followed streams, of which every container of the host may have several.
const MOST_FOLLOWED: usize = 2048;

/// The turns of one host.
#[derive(Debug)]
pub(super) struct Lanes {
    lane: Semaphore,
    /// Followed streams on their way to the lane: hundreds of them must not stand in it before a short
    /// call.
    opening: Semaphore,
    /// Calls at the same time, by [`Pace`] and [`Access`]: long calls do not block short ones, and
    /// what callers read, or leave unread, blocks no change.
    calls: [[Semaphore; 2]; Pace::ALL.len()],
    state: Mutex<State>,
    /// Short calls that were not done when they gave up the lane.
    overdue: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    /// Until when a connection is due back in the pool.
    returning_until: Option<Instant>,
    /// Number of failed connection attempts, and the last error: everyone who waited for the
    /// attempt shares its result.
    failures: u64,
    last_failure: Option<EngineError>,
}

/// Communication between one call and the connector.
#[derive(Debug)]
pub(super) struct Ticket {
    lanes: Arc<Lanes>,
    connecting: AtomicBool,
    connects: AtomicU32,
    connecting_changed: Notify,
    served: CancellationToken,
    whole: AtomicBool,
}

tokio::task_local! {
    /// The ticket of the call of the current task. hyper starts to connect within the poll of the
    /// call, and passes only a URL to the connector.
    static TICKET: Arc<Ticket>;
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            lane: Semaphore::new(1),
            opening: Semaphore::new(1),
            calls: Pace::ALL.map(|pace| [(); 2].map(|()| Semaphore::new(most(pace)))),
            state: Mutex::default(),
            overdue: AtomicU32::new(0),
        }
    }

    /// Runs a call when it is its turn. Dropping the future cancels everything.
    pub(super) async fn run<T, F>(
        self: &Arc<Self>,
        operation: &Operation,
        call: impl FnOnce(Arc<Ticket>) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, EngineError>>,
    {
        let grace = if operation.pace == Pace::Quick { GRACE } else { Duration::ZERO };
        let turn = async {
            let call_permit = acquire(self.kind_of(operation)).await;
            let failures_before = self.state().failures;
            let opening = match operation.pace {
                Pace::Followed => acquire(&self.opening).await,
                _ => None,
            };
            let lane = acquire(&self.lane).await;
            (call_permit, failures_before, opening, lane)
        };
        let (_call_permit, failures_before, opening, lane) = match operation.access {
            Access::Read => turn.await,
            Access::Write => turn::begin(operation.name, turn).await?,
        };
        if let Some(error) = self.failure_since(failures_before) {
            return Err(EngineError { operation: operation.name, ..error });
        }
        let ticket = self.ticket();
        let _served_at_the_end = ticket.served.clone().drop_guard();
        let call = TICKET.scope(Arc::clone(&ticket), call(Arc::clone(&ticket)));
        let mut call = pin!(call);
        let give_up = async {
            ticket.has_connection().await;
            sleep(grace / (1 + self.overdue.load(Ordering::Acquire))).await;
        };
        let in_time = tokio::select! {
            biased;
            result = &mut call => Some(result),
            () = give_up => None,
        };
        let result = match in_time {
            Some(result) => result,
            None => {
                let _overdue = (operation.pace == Pace::Quick).then(|| Overdue::new(&self.overdue));
                drop((lane, opening));
                call.await
            }
        };
        self.finished(&ticket, &result);
        result
    }

    /// A ticket for a call, which needs no turn if the connector does not see it.
    pub(super) fn ticket(self: &Arc<Self>) -> Arc<Ticket> {
        Arc::new(Ticket {
            lanes: Arc::clone(self),
            connecting: AtomicBool::new(false),
            connects: AtomicU32::new(0),
            connecting_changed: Notify::new(),
            served: CancellationToken::new(),
            whole: AtomicBool::new(false),
        })
    }

    fn kind_of(&self, operation: &Operation) -> &Semaphore {
        &self.calls[operation.pace as usize][operation.access as usize]
    }

    fn finished<T>(&self, ticket: &Ticket, result: &Result<T, EngineError>) {
        let mut state = self.state();
        if ticket.whole.load(Ordering::Acquire) {
            state.returning_until = Some(Instant::now() + RETURN);
        }
        if let Err(error) = result
            && (error.kind.is_without_connection() || error.kind == ErrorKind::Tls)
            && error.http_status.is_none()
        {
            state.failures += 1;
            state.last_failure = Some(error.clone());
        }
    }

    fn failure_since(&self, failures_before: u64) -> Option<EngineError> {
        let state = self.state();
        if state.failures == failures_before { None } else { state.last_failure.clone() }
    }

    fn returning_until(&self) -> Option<Instant> {
        self.state().returning_until.filter(|until| *until > Instant::now())
    }

    fn nothing_returns(&self) {
        self.state().returning_until = None;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Call this when the response head has arrived: from then on, no other connection is needed.
    pub(super) fn served(&self) {
        self.served.cancel();
    }

    /// To be called when the answer was read to its end and the connection stays open.
    pub(super) fn whole(&self) {
        self.whole.store(true, Ordering::Release);
    }

    /// Whether a connection was opened for this call.
    pub(super) fn connected(&self) -> bool {
        self.connects.load(Ordering::Acquire) > 0
    }

    /// Waits until the call is no longer about to connect. The call must have been polled before:
    /// it then has an idle connection, or has started to connect.
    async fn has_connection(&self) {
        if !self.connecting.load(Ordering::Acquire) {
            self.lanes.nothing_returns();
            return;
        }
        while self.connecting.load(Ordering::Acquire) {
            self.connecting_changed.notified().await;
        }
    }
}

/// Counts a call as overdue while it lives.
struct Overdue<'a>(&'a AtomicU32);

impl<'a> Overdue<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Overdue<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Concurrent calls to one host of each kind.
fn most(pace: Pace) -> usize {
    match pace {
        Pace::Quick | Pace::Long => MOST_CALLS,
        Pace::Streamed | Pace::Endless => MOST_OPEN,
        Pace::Followed => MOST_FOLLOWED,
    }
}

/// The semaphores are never closed.
async fn acquire(semaphore: &Semaphore) -> Option<SemaphorePermit<'_>> {
    semaphore.acquire().await.ok()
}

/// Puts [`Pacing`] around reqwest's connector.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacingLayer;

/// Delays an attempt to connect while a connection of the same host is due back.
#[derive(Debug, Clone)]
pub(super) struct Pacing<S> {
    inner: S,
}

/// Why an attempt to connect was cancelled. Never visible: the call has its connection.
#[derive(Debug, thiserror::Error)]
#[error("another connection was used")]
struct NotNeeded;

/// Marks the ticket as connecting while it lives.
struct Connecting<'a>(&'a Ticket);

impl<S> Layer<S> for PacingLayer {
    type Service = Pacing<S>;

    fn layer(&self, inner: S) -> Pacing<S> {
        Pacing { inner }
    }
}

impl<S, R> Service<R> for Pacing<S>
where
    S: Service<R, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let clone = self.inner.clone();
        // Call the instance that was polled ready.
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let Ok(ticket) = TICKET.try_with(Arc::clone) else {
            return Box::pin(inner.call(target));
        };
        Box::pin(async move {
            let _connecting = Connecting::new(&ticket);
            if let Some(until) = ticket.lanes.returning_until() {
                tokio::select! {
                    biased;
                    () = ticket.served.cancelled() => return Err(NotNeeded.into()),
                    () = sleep_until(until) => ticket.lanes.nothing_returns(),
                }
            }
            let connection = inner.call(target).await?;
            ticket.connects.fetch_add(1, Ordering::AcqRel);
            Ok(connection)
        })
    }
}

impl<'a> Connecting<'a> {
    fn new(ticket: &'a Ticket) -> Self {
        ticket.connecting.store(true, Ordering::Release);
        Self(ticket)
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.connecting.store(false, Ordering::Release);
        self.0.connecting_changed.notify_one();
    }
}
