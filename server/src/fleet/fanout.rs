//! The fan-out: one piece of work on many hosts, in parallel, one outcome per host.
//!
//! Called by the gRPC edge with the hosts from [`super::select`]. A driver task works on up to
//! `max_parallel` hosts at a time and forwards their messages through a bounded channel, so that a
//! slow reader slows down the hosts instead of filling the memory.
//!
//! If the reader disconnects, waiting hosts do not start. [Detached](FanoutOptions::detached) work
//! in progress is finished anyway, because an Engine that loses its client in the middle of a stop
//! or a pull behaves badly, unless its first change still [waits](crate::engine::Turn); all other
//! work is dropped, which closes its connection.

mod driver;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::driver::{Begun, HostWork, Work};
use super::budget::Budget;
use super::outcome::{Done, HostError, HostEvent, HostOutcome};
use super::pool::EnginePool;
use super::trace::CallTrace;
use super::view::View;
use super::view::host::ViewNote;
use crate::domain::{Host, HostAddress, HostName};
use crate::engine::Engine;

/// Messages that may wait for the reader: enough that a quick reader never waits, and few enough
/// that a slow one uses no memory.
const CHANNEL_CAPACITY: usize = 16;

/// Added to the default time limit of hosts over ssh, because the first call waits for a login.
const SSH_LOGIN: Duration = Duration::from_secs(20);

/// How a fan-out is carried out.
#[derive(Debug, Clone)]
pub struct FanoutOptions {
    /// Longest time for one host, from when its work starts. `None`: no limit.
    pub host_timeout: Option<Duration>,
    /// Whether that was requested, and is not the default of the method.
    pub is_requested: bool,
    /// When the caller stops listening, less a reserve for the answer.
    pub caller_deadline: Option<Instant>,
    /// Hosts at the same time; at least 1.
    pub max_parallel: usize,
    /// Work in progress is finished even if nobody is listening.
    pub detached: bool,
    /// Work also begins on hosts that are known to be unreachable.
    pub try_unreachable: bool,
    /// Maximum time of detached work; a guard against Engines that hang.
    pub background_limit: Duration,
    /// Where the work may change something: the views, of which outcomes then tell the generation.
    pub changes: Option<View>,
    /// After which time some hosts that have not answered a quick read are asked once more.
    pub hedge_after: Option<Duration>,
    /// Told of the work on each host.
    pub trace: Option<CallTrace>,
}

impl FanoutOptions {
    fn limit(&self, host: &Host) -> Option<Duration> {
        match host.address {
            HostAddress::Ssh(_) if !self.is_requested => {
                self.host_timeout.map(|limit| limit + SSH_LOGIN)
            }
            _ => self.host_timeout,
        }
    }
}

/// The context of the work on one host.
pub struct HostCall<P> {
    /// The host.
    pub host: Arc<Host>,
    /// Its Engine.
    pub engine: Arc<dyn Engine>,
    budget: Arc<Budget>,
    /// Held by the driver until the host has its outcome: work that continues after that sends
    /// nothing, and does not keep the channel open.
    sender: Weak<mpsc::Sender<HostEvent<P>>>,
    observe: Option<Observer<P>>,
    earlier: Vec<P>,
    note: Arc<OnceLock<ViewNote>>,
}

/// Receives every payload before it is sent.
type Observer<P> = Box<dyn Fn(&P) + Send + Sync>;

/// Starts `work` on every host and returns the messages of the hosts, in the order of sending. Each
/// host has exactly one [`HostEvent::Outcome`]. The channel stays open after the last one while
/// work with a used-up budget continues, and such work may still send messages: the reader must
/// stop at the last outcome, and ignore messages of a host after its outcome.
pub fn start<P, W>(
    hosts: Vec<Arc<Host>>,
    options: FanoutOptions,
    pool: Arc<EnginePool>,
    background: &TaskTracker,
    work: W,
) -> mpsc::Receiver<HostEvent<P>>
where
    P: Send + 'static,
    W: Fn(HostCall<P>) -> BoxFuture<'static, Result<Done, HostError>> + Send + Sync + 'static,
{
    let (sender, receiver) = mpsc::channel(CHANNEL_CAPACITY);
    let work = ChannelWork { work, sender };
    driver::start(hosts, options, pool, background.clone(), Box::new(work));
    receiver
}

/// Work whose payloads go through the channel of its call.
struct ChannelWork<P, W> {
    work: W,
    sender: mpsc::Sender<HostEvent<P>>,
}

impl<P, W> Work for ChannelWork<P, W>
where
    P: Send + 'static,
    W: Fn(HostCall<P>) -> BoxFuture<'static, Result<Done, HostError>> + Send + Sync + 'static,
{
    fn begin(&self, host: HostWork) -> Begun {
        let sender = Arc::new(self.sender.clone());
        let HostWork { host, engine, budget, note } = host;
        let call = HostCall {
            host,
            engine,
            budget,
            sender: Arc::downgrade(&sender),
            observe: None,
            earlier: Vec::new(),
            note,
        };
        Begun { work: (self.work)(call), _channel: sender }
    }

    fn report(&self, host: HostName, outcome: HostOutcome) -> BoxFuture<'_, ()> {
        // Nobody is listening: the driver is about to end.
        self.sender.send(HostEvent::Outcome(host, outcome)).map(drop).boxed()
    }

    fn abandoned(&self) -> BoxFuture<'_, ()> {
        self.sender.closed().boxed()
    }
}

impl<P> HostCall<P> {
    /// Sends a payload to the caller. The time until the caller reads it does not count against the
    /// budget of the host. Does nothing if nobody is listening.
    pub async fn emit(&self, payload: P) {
        if let Some(observe) = &self.observe {
            observe(&payload);
        }
        self.emit_unrecorded(payload).await;
    }

    /// The same for a payload that a retry of the call does not repeat.
    pub async fn emit_unrecorded(&self, payload: P) {
        let Some(sender) = self.sender.upgrade() else { return };
        let event = HostEvent::Payload(self.host.name.clone(), payload);
        let event = match sender.try_send(event) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return,
            Err(mpsc::error::TrySendError::Full(event)) => event,
        };
        let _waiting = self.budget.pause();
        let _ = sender.send(event).await;
    }

    /// Sends a payload that is made when there is room for it, so that a slow caller gets the latest.
    /// Not recorded; does nothing if nobody is listening.
    pub async fn emit_latest(&self, make: impl FnOnce() -> P) {
        let Some(sender) = self.sender.upgrade() else { return };
        let room = match sender.try_reserve() {
            Err(mpsc::error::TrySendError::Full(())) => {
                let _waiting = self.budget.pause();
                sender.reserve().await.ok()
            }
            room => room.ok(),
        };
        if let Some(room) = room {
            room.send(HostEvent::Payload(self.host.name.clone(), make()));
        }
    }

    /// Passes a payload that may be missed, such as progress: dropped when the caller is slow.
    pub fn emit_lossy(&self, payload: P) {
        if let Some(sender) = self.sender.upgrade() {
            let _ = sender.try_send(HostEvent::Payload(self.host.name.clone(), payload));
        }
    }

    /// Lets `observe` see every payload except those that may be lost or are not recorded.
    #[must_use]
    pub fn with_observer(mut self, observe: impl Fn(&P) + Send + Sync + 'static) -> Self {
        self.observe = Some(Box::new(observe));
        self
    }

    /// Gives the work the valid messages of an earlier call for this host.
    #[must_use]
    pub fn with_earlier(mut self, earlier: Vec<P>) -> Self {
        self.earlier = earlier;
        self
    }

    /// Says how current the answer is, once; part of the outcome.
    pub fn note(&self, note: ViewNote) {
        let _ = self.note.set(note);
    }

    /// The messages of an earlier call for this host; empty for a new work.
    pub fn earlier(&self) -> &[P] {
        &self.earlier
    }

    /// Extends the budget to at least `duration` from now, if it is the default of the method
    /// rather than requested by the caller: a container may need a longer stop than expected.
    pub fn allow_at_least(&self, duration: Duration) {
        self.budget.extend(duration);
    }

    /// The name of the host.
    pub fn host_name(&self) -> &HostName {
        &self.host.name
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::inventory::Snapshot;
    use super::super::pool::Connector;
    use super::*;
    use crate::domain::{HostSource, Labels, Transport};
    use crate::engine::EngineError;
    use crate::engine::http::{ConnectorSettings, HttpConnector};

    /// Engines that nobody calls.
    struct Unused(HttpConnector);

    impl Connector for Unused {
        fn engine(&self, host: &Host) -> Result<Arc<dyn Engine>, EngineError> {
            self.0.engine(&host.address, None)
        }

        fn keep_only(&self, _hosts: &Snapshot) {}
    }

    fn host(name: &str) -> Arc<Host> {
        Arc::new(Host {
            name: HostName::parse(name).unwrap(),
            address: HostAddress::parse("unix:///nowhere.sock", Transport::Plain).unwrap(),
            labels: Labels::default(),
            source: HostSource::Api,
            tls: None,
            insecure: false,
            created_at: Some(SystemTime::UNIX_EPOCH),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_goes_on_says_nothing_after_its_outcome_and_does_not_hold_the_end_up() {
        let options = FanoutOptions {
            host_timeout: Some(Duration::from_secs(5)),
            is_requested: false,
            caller_deadline: None,
            max_parallel: 2,
            detached: true,
            try_unreachable: true,
            background_limit: Duration::from_secs(900),
            changes: None,
            hedge_after: None,
            trace: None,
        };
        let pool = EnginePool::new(Unused(HttpConnector::new(ConnectorSettings::default())));
        let background = TaskTracker::new();
        let work = |call: HostCall<&'static str>| {
            async move {
                let late = if call.host_name().as_str() == "slow" { 60 } else { 1 };
                tokio::time::sleep(Duration::from_secs(late)).await;
                call.emit("payload").await;
                tokio::time::sleep(Duration::from_secs(3)).await;
                Ok(Done { changed: true })
            }
            .boxed()
        };
        let begun = Instant::now();
        let hosts = vec![host("quick"), host("slow")];
        let mut events = start(hosts, options, Arc::new(pool), &background, work);
        let mut said = Vec::new();
        while let Some(event) = events.recv().await {
            said.push(match event {
                HostEvent::Payload(host, payload) => format!("{host}: {payload}"),
                HostEvent::Outcome(host, outcome) => {
                    format!("{host}: {:?}", outcome.result.is_ok())
                }
            });
        }
        assert_eq!(said, ["quick: payload", "quick: true", "slow: false"]);
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        // It was not cut short either.
        background.close();
        background.wait().await;
        assert_eq!(begun.elapsed(), Duration::from_secs(63));
    }
}
