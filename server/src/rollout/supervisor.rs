//! All rollouts of a server: starts them, controls them, and at startup resumes those of an earlier
//! process.
//!
//! Taking over starts a new epoch, so that a `wharfd` that is wrongly considered dead can no longer
//! write. A driver whose journal failed is restarted later from the stored records: a full disk
//! delays a rollout, but does not end it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{RwLock, broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock::Clock;
use super::control::Refused;
use super::driver::{Driver, DriverError, Handle, Shared};
use super::hosts::Hosts;
use super::journal::{Journal, JournalError, NewRollout, NewSecret, SecretKind, read_login};
use super::model::{Control, Plan, Revision, RolloutId};
use super::plan::{self, Planned};
use super::requests::{Order, PullProgress, RequestText, RolloutError, Rollouts, Terms, UndoOrder};
use super::spec::Policy;
use super::sweeper::Sweeper;
use crate::domain::{HostName, RegistryLogin};

/// Number of pull reports that a slow watcher may lag behind; older ones are useless to it.
const PULL_REPORTS: usize = 256;

/// Number of ended rollouts that the sweeper has not processed; more wait.
const ENDINGS: usize = 256;

/// How often to plan a rollout again if other rollouts of its containers end meanwhile.
const PLANS: usize = 5;

/// Delay before a driver whose journal failed is restarted.
const RETRY: Duration = Duration::from_secs(10);

/// All rollouts of a server. Clones share them.
#[derive(Clone)]
pub struct Supervisor {
    shared: Shared,
    handles: Arc<Mutex<HashMap<RolloutId, Handle>>>,
    /// Those without a driver at the moment, and why.
    stuck: Arc<Mutex<HashMap<RolloutId, Arc<JournalError>>>>,
    tasks: TaskTracker,
    /// Receives the rollouts that have ended.
    ended: mpsc::Sender<RolloutId>,
    /// Held for reading from the plan of an undo to its record, and for writing while old
    /// containers are removed: what an undo relies on is not removed meanwhile.
    sweep_lock: Arc<RwLock<()>>,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Supervisor").field("driven", &self.handles().len()).finish()
    }
}

impl Supervisor {
    /// Takes over the journal and resumes every open rollout. `history` is the number of ended
    /// rollouts to keep.
    pub async fn start(
        journal: Arc<dyn Journal>,
        hosts: Arc<dyn Hosts>,
        clock: Clock,
        stopping: CancellationToken,
        history: usize,
    ) -> Result<Self, JournalError> {
        let epoch = journal.take_over().await?;
        let (pulls, _) = broadcast::channel(PULL_REPORTS);
        let shared = Shared { journal, hosts, clock, epoch, pulls, stopping };
        let (ended, heard) = mpsc::channel(ENDINGS);
        let (handles, stuck, sweep_lock) = (Arc::default(), Arc::default(), Arc::default());
        let tasks = TaskTracker::new();
        let sweeper = Sweeper::new(shared.clone(), Arc::clone(&sweep_lock), heard, history);
        let supervisor = Self { shared, handles, stuck, tasks, ended, sweep_lock };
        supervisor.tasks.spawn(sweeper.run());
        for id in supervisor.shared.journal.open().await? {
            tracing::info!(rollout = %id, "resumed");
            supervisor.drive(id).await;
        }
        Ok(supervisor)
    }

    /// Waits until no driver runs; to be called after `stopping` was cancelled.
    pub async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Starts the driver of a rollout in the journal.
    async fn drive(&self, id: RolloutId) {
        match self.load(id).await {
            Ok((driver, handle)) => {
                self.handles().insert(id, handle);
                let supervisor = self.clone();
                self.tasks.spawn(async move { supervisor.attend(id, driver).await });
            }
            Err(error) => {
                tracing::error!(rollout = %id, error = &error as &dyn std::error::Error, "cannot start the driver");
                self.is_stuck(id, error);
            }
        }
    }

    async fn load(&self, id: RolloutId) -> Result<(Driver, Handle), DriverError> {
        let login = self.shared.journal.secret(id, None, SecretKind::Login).await?;
        let login = login.as_deref().and_then(read_login).map(Arc::new);
        Driver::load(id, self.shared.clone(), login).await
    }

    /// Runs a driver, and if it breaks off, another one from the journal.
    async fn attend(self, id: RolloutId, mut driver: Driver) {
        loop {
            let ended = driver.run().await;
            self.handles().remove(&id);
            match ended {
                Ok(()) => return self.has_ended(id).await,
                Err(DriverError::Journal(JournalError::Fenced)) => {
                    tracing::error!(rollout = %id, "another wharfd has taken over");
                    return;
                }
                Err(error) => {
                    tracing::error!(rollout = %id, error = &error as &dyn std::error::Error, "the driver ended early");
                    self.is_stuck(id, error);
                }
            }
            driver = loop {
                tokio::select! {
                    () = self.shared.stopping.cancelled() => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
                match self.load(id).await {
                    Ok((driver, handle)) => {
                        self.handles().insert(id, handle);
                        self.why_stuck().remove(&id);
                        break driver;
                    }
                    Err(error) => {
                        tracing::error!(rollout = %id, error = &error as &dyn std::error::Error, "cannot continue");
                        self.is_stuck(id, error);
                    }
                }
            };
        }
    }

    /// Processes what the rollout left, unless the server is stopping.
    async fn has_ended(&self, id: RolloutId) {
        // The sweeper is gone when the server stops.
        let _ = self.ended.send(id).await;
    }

    /// A plan of containers that no other rollout is changing.
    async fn planned(&self, order: &Order) -> Result<Planned, RolloutError> {
        self.refuse_active(order).await?;
        let Shared { hosts, journal, .. } = &self.shared;
        let planned = plan::plan(&**hosts, &**journal, order).await;
        if planned.is_err() {
            // The obstacle may be the work of a rollout that has just started.
            self.refuse_active(order).await?;
        }
        planned
    }

    async fn refuse_active(&self, order: &Order) -> Result<(), RolloutError> {
        let is_host = |name: &HostName| order.hosts.iter().any(|host| host.name == *name);
        plan::refuse_active(&*self.shared.journal, &order.spec.container, is_host).await
    }

    /// Starts what `plan` returns. Plans again if another rollout that was in progress when the
    /// hosts were queried ended before the plan was stored: the plan is then outdated.
    async fn begin_up_to_date<F>(
        &self,
        head: Head<'_>,
        plan: impl Fn() -> F,
    ) -> Result<(), RolloutError>
    where
        F: Future<Output = Result<Planned, RolloutError>> + Send,
    {
        let mut attempt = 1;
        loop {
            let planned_at = *self.shared.journal.changes().borrow();
            match self.begin(&head, plan().await?, planned_at).await {
                Err(RolloutError::Journal(JournalError::Outdated { .. })) if attempt < PLANS => {
                    attempt += 1;
                }
                begun => return begun,
            }
        }
    }

    /// Stores a planned rollout and starts it.
    async fn begin(
        &self,
        head: &Head<'_>,
        planned: Planned,
        planned_at: Revision,
    ) -> Result<(), RolloutError> {
        if self.shared.stopping.is_cancelled() {
            return Err(RolloutError::Stopping);
        }
        let Planned { plan, mut secrets } = planned;
        head.terms.check(&plan, head.policy)?;
        let of_all = |kind, text| NewSecret { host: None, kind, text };
        secrets.push(of_all(SecretKind::Request, head.request.0.clone()));
        secrets.extend(head.login.map(NewSecret::login));
        let (id, is_done) = (head.id, plan.waves.iter().all(Vec::is_empty));
        let rollout = NewRollout {
            id,
            created_at: self.shared.clock.now(),
            plan,
            policy: head.policy.clone(),
            by: head.by.to_owned(),
            undo_of: head.undo_of,
            annotations: head.terms.annotations.clone(),
            secrets,
            planned_at,
        };
        self.shared.journal.create(self.shared.epoch, rollout).await?;
        // Every host is up to date: the caller sees that the rollout has ended.
        if is_done
            && let Ok((driver, _)) = self.load(id).await
            && driver.run().await.is_ok()
        {
            self.has_ended(id).await;
            return Ok(());
        }
        self.drive(id).await;
        Ok(())
    }

    fn is_stuck(&self, id: RolloutId, error: DriverError) {
        let why = match error {
            DriverError::Journal(error) => error,
            illegal @ DriverError::Illegal(_) => JournalError::Store(Box::new(illegal)),
        };
        self.why_stuck().insert(id, Arc::new(why));
    }

    fn why_stuck(&self) -> MutexGuard<'_, HashMap<RolloutId, Arc<JournalError>>> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handles(&self) -> MutexGuard<'_, HashMap<RolloutId, Handle>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a rollout has besides its plan.
struct Head<'a> {
    id: RolloutId,
    policy: &'a Policy,
    by: &'a str,
    undo_of: Option<RolloutId>,
    request: &'a RequestText,
    login: Option<&'a RegistryLogin>,
    terms: &'a Terms,
}

#[async_trait]
impl Rollouts for Supervisor {
    async fn plan(&self, order: &Order) -> Result<Plan, RolloutError> {
        let planned = self.planned(order).await?;
        // It may have started while the hosts were queried.
        self.refuse_active(order).await?;
        order.terms.check(&planned.plan, &order.spec.policy)?;
        Ok(planned.plan)
    }

    async fn create(&self, order: Order) -> Result<(), RolloutError> {
        let Order { id, spec, login, by, request, terms, .. } = &order;
        let (id, policy, login) = (*id, &spec.policy, login.as_deref());
        let head = Head { id, policy, by, undo_of: None, request, login, terms };
        self.begin_up_to_date(head, || self.planned(&order)).await
    }

    async fn plan_undo(&self, order: &UndoOrder) -> Result<Plan, RolloutError> {
        let Shared { hosts, journal, .. } = &self.shared;
        let plan = plan::plan_undo(&**hosts, &**journal, order).await?.plan;
        order.terms.check(&plan, &order.policy)?;
        Ok(plan)
    }

    async fn undo(&self, order: UndoOrder) -> Result<(), RolloutError> {
        let UndoOrder { id, of, policy, by, request, terms, .. } = &order;
        let (id, undo_of) = (*id, Some(*of));
        let head = Head { id, policy, by, undo_of, request, login: None, terms };
        let Shared { hosts, journal, .. } = &self.shared;
        let _no_sweep = self.sweep_lock.read().await;
        self.begin_up_to_date(head, || plan::plan_undo(&**hosts, &**journal, &order)).await
    }

    async fn control(
        &self,
        id: RolloutId,
        control: Control,
        expected: Option<Revision>,
        by: &str,
        login: Option<Arc<RegistryLogin>>,
    ) -> Result<(), RolloutError> {
        let handle = self.handles().get(&id).cloned();
        match handle {
            Some(handle) => handle.control(id, control, expected, by, login).await,
            None if self.shared.journal.open().await?.contains(&id) => {
                Err(RolloutError::WrongState(Refused::Stuck))
            }
            None if self.shared.journal.records(id).await?.is_empty() => {
                Err(JournalError::NotFound(id).into())
            }
            None => Err(RolloutError::Ended(id)),
        }
    }

    fn stuck(&self, id: RolloutId) -> Option<Arc<JournalError>> {
        self.why_stuck().get(&id).cloned()
    }

    fn pulls(&self) -> broadcast::Receiver<PullProgress> {
        self.shared.pulls.subscribe()
    }
}
