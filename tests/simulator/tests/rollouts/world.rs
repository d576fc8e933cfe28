//! A world to roll out in: model hosts, a journal, and a process that drives a rollout and can
//! be killed. Time is the paused clock of tokio.

mod hosts;
mod setup;
mod watch;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wharf_server::domain::{
    Annotations, ContainerName, Host, HostAddress, HostName, HostSource, ImageReference, Labels,
    Transport,
};
use wharf_server::rollout::clock::Clock;
use wharf_server::rollout::driver::{Driver, DriverError, Handle, Shared};
use wharf_server::rollout::journal::{Journal, NewRollout};
use wharf_server::rollout::model::{Control, Millis, RolloutId};
use wharf_server::rollout::plan::{self, Planned};
use wharf_server::rollout::requests::{Order, RequestText, RolloutError, Terms, UndoOrder};
use wharf_server::rollout::spec::{Change, OnFailure, OrderPreference, Policy, RolloutSpec};
use wharf_simulator::{MemoryJournal, PowerState, Registries, SimEngine, SimHost};

use crate::recorder::Recorder;

pub use hosts::{SimHosts, Wrap};
pub use setup::{Hangs, New, Old, Setting, hangs, publish, set_up};
pub use watch::{Chaos, Cut, Watch};

/// The container that is upgraded.
pub const TARGET: &str = "web";
const BEGINNING: Millis = Millis(1_800_000_000_000);
pub const REGISTRY: &str = "r.sim";
pub const SECOND_NETWORK: &str = "back";
/// No rollout of these takes so long.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// How long an Engine that crashed stays away.
const DOWN: Duration = Duration::from_secs(3);

pub struct World {
    pub id: RolloutId,
    pub engines: BTreeMap<HostName, SimEngine>,
    pub settings: BTreeMap<HostName, Setting>,
    /// The names of the containers that a host had before the rollout.
    pub before: BTreeMap<HostName, Vec<String>>,
    pub recorder: Recorder,
    pub watch: Arc<Mutex<Watch>>,
    hosts: Arc<SimHosts>,
    _keepers: JoinSet<()>,
    process: Option<Process>,
    pub kills: usize,
}

struct Process {
    task: JoinHandle<Result<(), DriverError>>,
    handle: Handle,
}

/// What became of a rest that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// The rollout has ended, or waits for a person.
    Quiet,
    /// The process hangs in the call or append that was cut.
    Hung,
    /// The time was up.
    TimeUp,
}

pub fn host(number: usize) -> HostName {
    HostName::parse(&format!("h{number:03}")).expect("a name of a host")
}

pub fn rollout_id(number: u64) -> RolloutId {
    // The names of containers have the first digits.
    RolloutId(Uuid::from_u128(u128::from(number + 1) << 96 | 7))
}

/// A policy that ends soon and still goes through every step.
pub fn policy() -> Policy {
    let seconds = Duration::from_secs;
    Policy { min_healthy_time: seconds(4), monitor: seconds(2), ..Policy::default() }
}

/// The new image everywhere.
pub fn upgrade() -> Change {
    let image = ImageReference::parse(&format!("{REGISTRY}/app:v2")).expect("a reference");
    Change { image: Some(image), ..Change::default() }
}

/// The new image everywhere, from the first host and not from the registry.
pub fn from_first() -> Change {
    Change { image_from: Some(host(0)), ..upgrade() }
}

/// A container that is created where there is none.
pub fn whole() -> Change {
    let body = json!({
        "Image": format!("{REGISTRY}/app:v2"),
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}},
    });
    Change { whole: Some(body), ..upgrade() }
}

impl World {
    pub async fn new(settings: &[Setting]) -> Self {
        let journal = MemoryJournal::new(Uuid::from_u128(1));
        Self::with_journal(settings, Arc::new(journal)).await
    }

    pub async fn with_journal(settings: &[Setting], journal: Arc<dyn Journal>) -> Self {
        let registries = Registries::default();
        setup::publish(&registries);
        let mut engines = BTreeMap::new();
        let mut by_name = BTreeMap::new();
        for (number, setting) in settings.iter().enumerate() {
            let name = host(number);
            let engine = setup::set_up(&name, setting, &registries).await;
            engines.insert(name.clone(), engine);
            by_name.insert(name, *setting);
        }
        let recorder = Recorder::new(journal);
        let watch = Arc::new(Mutex::new(Watch::default()));
        let mut keepers = JoinSet::new();
        for (name, engine) in &engines {
            engine.script().set_decide(watch::decide(
                name.clone(),
                watch.clone(),
                recorder.clone(),
            ));
            keepers.spawn(keep(engine.host().clone()));
        }
        let hosts = SimHosts::new(engines.clone());
        Self {
            id: rollout_id(0),
            engines,
            settings: by_name,
            before: BTreeMap::new(),
            recorder,
            watch,
            hosts: Arc::new(hosts),
            _keepers: keepers,
            process: None,
            kills: 0,
        }
    }

    /// Gives a host the new image, as a build does. Returns its ID.
    pub fn give(&self, host: &HostName) -> String {
        setup::give(&self.engines[host], &self.settings[host])
    }

    pub fn wrap(&self, wrap: Wrap) {
        self.hosts.wrap(wrap);
    }

    /// Plans a rollout and writes it down. It is started by [`World::boot`].
    pub async fn order(&mut self, change: Change, policy: Policy) {
        let planned = self.planned(&self.recorder, &self.asked(change, policy.clone())).await;
        let planned = planned.unwrap_or_else(|error| panic!("the plan is refused: {error}"));
        self.write_down(planned, policy, None).await;
    }

    /// The same, on all hosts but one.
    pub async fn order_without(&mut self, host: &HostName, change: Change, policy: Policy) {
        let mut order = self.asked(change, policy.clone());
        order.hosts.retain(|it| it.name != *host);
        let planned = self.planned(&self.recorder, &order).await;
        let planned = planned.unwrap_or_else(|error| panic!("the plan is refused: {error}"));
        self.write_down(planned, policy, None).await;
    }

    /// A plan beside what is in a journal.
    pub async fn planned(
        &self,
        journal: &dyn Journal,
        order: &Order,
    ) -> Result<Planned, RolloutError> {
        plan::plan(&*self.hosts, journal, order).await
    }

    /// The order of a rollout on all hosts.
    pub fn asked(&self, change: Change, policy: Policy) -> Order {
        let hosts = self.engines.keys().map(|name| {
            Arc::new(Host {
                name: name.clone(),
                address: HostAddress::parse("tcp://127.0.0.1:2375", Transport::Plain)
                    .expect("an address"),
                labels: Labels::default(),
                source: HostSource::File,
                tls: None,
                insecure: false,
                created_at: None,
            })
        });
        let container = ContainerName::parse(TARGET).expect("a name");
        Order {
            id: self.id,
            spec: RolloutSpec { container, change, policy },
            hosts: hosts.collect(),
            left_out: BTreeMap::new(),
            login: None,
            by: "anna".to_owned(),
            request: RequestText("{}".to_owned()),
            terms: Terms::default(),
        }
    }

    /// Plans the way back of the rollout that has ended, and writes it down.
    pub async fn order_undo(&mut self, policy: Policy) {
        self.kill().await;
        let of = self.id;
        self.id = rollout_id(1);
        let order = UndoOrder {
            id: self.id,
            of,
            left_out: BTreeMap::new(),
            policy: policy.clone(),
            by: "anna".to_owned(),
            request: RequestText("{}".to_owned()),
            terms: Terms::default(),
        };
        let planned = plan::plan_undo(&*self.hosts, &self.recorder, &order).await;
        let planned = planned.unwrap_or_else(|error| panic!("the undo is refused: {error}"));
        self.write_down(planned, policy, Some(of)).await;
    }

    async fn write_down(&mut self, planned: Planned, policy: Policy, undo_of: Option<RolloutId>) {
        let Planned { plan, secrets } = planned;
        let rollout = NewRollout {
            id: self.id,
            created_at: clock().now(),
            plan,
            policy,
            by: "anna".to_owned(),
            undo_of,
            annotations: Annotations::default(),
            secrets,
            planned_at: *self.recorder.changes().borrow(),
        };
        let epoch = self.recorder.take_over().await.expect("the journal is taken over");
        self.recorder.create(epoch, rollout).await.expect("the rollout is written down");
        let names = |host: &HostName| {
            let found = crate::oracle::all_containers(self, host);
            (host.clone(), found.into_iter().map(|container| container.name).collect())
        };
        self.before = self.engines.keys().map(names).collect();
        self.watch().watching = true;
    }

    /// Starts a process that takes the rollout up.
    pub async fn boot(&mut self) {
        assert!(self.process.is_none(), "a process is there");
        let epoch = self.recorder.take_over().await.expect("the journal is taken over");
        let (pulls, _) = broadcast::channel(16);
        let shared = Shared {
            journal: Arc::new(self.recorder.clone()),
            hosts: self.hosts.clone(),
            clock: clock(),
            epoch,
            pulls,
            stopping: CancellationToken::new(),
        };
        let (driver, handle) =
            Driver::load(self.id, shared, None).await.expect("the journal can be read");
        self.process = Some(Process { task: tokio::spawn(driver.run()), handle });
    }

    /// Ends the process as SIGKILL does.
    pub async fn kill(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.kills += 1;
        process.task.abort();
        match process.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.watch().errors.push(format!("the driver ended: {error}")),
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.watch().errors.push(format!("the driver panicked: {error}")),
        }
        self.recorder.process_died().await;
    }

    /// What the write or append of that number meets.
    pub fn cut(&self, number: usize, cut: Cut) {
        self.watch().cut = Some((number, cut));
    }

    pub async fn control(&self, control: Control) -> Result<(), RolloutError> {
        let handle = self.process.as_ref().expect("a process").handle.clone();
        handle.control(self.id, control, None, "anna", None).await
    }

    /// Waits until the rollout rests, a call hangs, or the time is up.
    pub async fn rest(&self, at_most: Duration) -> Rest {
        let mut hangs = JoinSet::new();
        for engine in self.engines.values() {
            let engine = engine.clone();
            hangs.spawn(async move { engine.script().hung().await });
        }
        tokio::select! {
            biased;
            _ = hangs.join_next() => Rest::Hung,
            () = self.recorder.hung() => Rest::Hung,
            () = self.recorder.at_rest() => Rest::Quiet,
            () = tokio::time::sleep(at_most) => Rest::TimeUp,
        }
    }

    /// Lets the rollout come to rest; a process that hangs is killed and started again.
    pub async fn settle(&mut self) {
        for _ in 0..16 {
            if self.process.is_none() {
                self.boot().await;
            }
            match self.rest(LONGEST).await {
                Rest::Hung => self.kill().await,
                Rest::Quiet => return self.kill().await,
                Rest::TimeUp => {
                    let seen = self.recorder.seen();
                    let last: Vec<_> = seen.records.iter().rev().take(6).collect();
                    panic!("no rest in {LONGEST:?}; phase {:?}, last {last:#?}", seen.phase());
                }
            }
        }
        panic!("it hangs again and again");
    }

    /// Kills the process again and again, so many times, and lets it then come to rest.
    pub async fn settle_restlessly(&mut self, every: Duration, times: usize) {
        for _ in 0..times {
            if self.process.is_none() {
                self.boot().await;
            }
            let rest = self.rest(every).await;
            self.kill().await;
            if rest == Rest::Quiet {
                return;
            }
        }
        self.settle().await;
    }

    /// Lets Engines come back that are away.
    pub async fn calm(&self) {
        self.watch().chaos = None;
        tokio::time::sleep(DOWN * 2).await;
    }

    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    pub fn watch(&self) -> std::sync::MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    static BEGUN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The time of a process; it does not start again with the next one.
pub fn clock() -> Clock {
    let begun = BEGUN.get().unwrap_or_else(Instant::now);
    BEGUN.set(Some(begun));
    Clock::starting_at(BEGINNING + begun.elapsed())
}

/// Another simulation begins on this thread.
pub fn new_time() {
    BEGUN.set(None);
}

/// Starts an Engine again that crashed.
pub async fn keep(host: Arc<SimHost>) {
    let mut power = host.watch_power();
    let mut crashes = 0;
    loop {
        let crashed = power
            .wait_for(|power| power.state == PowerState::Down && power.crashes > crashes)
            .await
            .map(|power| power.crashes);
        let Ok(count) = crashed else { return };
        crashes = count;
        tokio::time::sleep(DOWN).await;
        host.boot();
    }
}

/// Policies by what they are for.
pub fn start_first(policy: Policy) -> Policy {
    Policy { order: OrderPreference::StartFirst, ..policy }
}

pub fn rolls_back(policy: Policy) -> Policy {
    Policy { on_failure: OnFailure::Rollback, ..policy }
}
