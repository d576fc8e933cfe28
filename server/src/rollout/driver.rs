//! One rollout in progress: the only writer of its journal.
//!
//! The loop: fold the stored records, call `decide`, store its records, start its work, and wait
//! for the next event. Work on hosts runs in separate tasks and writes through an [`EventWriter`]
//! that leads back here, so that the driver's state and the stored state never differ. If the
//! journal fails, everything here ends; the supervisor restarts from the stored records.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::control::{Effect, effect};
use super::decide::{Assignment, Decision, decide};
use super::executor::{Copies, EventWriter, Start, Stopped, Task};
use super::hosts::Hosts;
use super::journal::{Journal, JournalError, NewSecret, SecretKind};
use super::model::{
    Bodies, Control, DependentPlan, Epoch, Event, HostEvent, HostPlan, Millis, Names, Record,
    Revision, RolloutId, Trouble,
};
use super::requests::{PullProgress, RolloutError};
use super::spec::Policy;
use super::state::{Illegal, RolloutState};
use crate::domain::{ContainerName, HostName, Reason, RegistryLogin};

/// Events of hosts that wait to be stored; each host has at most one batch, so this only limits how
/// many hosts are stored in one turn.
const EVENTS: usize = 64;

/// Commands that wait until the driver handles them.
const COMMANDS: usize = 16;

/// What all drivers share.
#[derive(Clone)]
pub struct Shared {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The hosts.
    pub hosts: Arc<dyn Hosts>,
    /// The time.
    pub clock: Clock,
    /// The epoch of this writer.
    pub epoch: Epoch,
    /// Progress of pulls.
    pub pulls: broadcast::Sender<PullProgress>,
    /// Cancelled when the server stops.
    pub stopping: CancellationToken,
}

/// Steers a driver.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
}

/// Why a driver ended before its rollout.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// This version cannot interpret the stored records.
    #[error("the journal of the rollout cannot be read: {0}")]
    Illegal(#[from] Illegal),
}

struct Command {
    control: Control,
    expected: Option<Revision>,
    by: String,
    /// Replaces the credentials of the rollout.
    login: Option<Arc<RegistryLogin>>,
    answer: oneshot::Sender<Result<(), RolloutError>>,
}

/// Events of a host, and the sender that waits until they are stored.
struct HostEvents {
    host: HostName,
    events: Vec<HostEvent>,
    stored: oneshot::Sender<()>,
}

/// Writes the events of one host.
struct HostEventWriter {
    host: HostName,
    events: mpsc::Sender<HostEvents>,
}

/// One rollout in progress.
pub struct Driver {
    id: RolloutId,
    shared: Shared,
    state: RolloutState,
    revision: Revision,
    login: Option<Arc<RegistryLogin>>,
    copies: Arc<Copies>,
    commands: mpsc::Receiver<Command>,
    events: (mpsc::Sender<HostEvents>, mpsc::Receiver<HostEvents>),
    tasks: JoinSet<Result<(), Stopped>>,
    /// The task of each host that is in progress in this process.
    working: BTreeMap<HostName, Id>,
}

#[async_trait]
impl EventWriter for HostEventWriter {
    async fn write(&self, events: Vec<HostEvent>) -> Result<(), Stopped> {
        let (stored, done) = oneshot::channel();
        let said = HostEvents { host: self.host.clone(), events, stored };
        self.events.send(said).await.map_err(|_| Stopped)?;
        done.await.map_err(|_| Stopped)
    }
}

impl Handle {
    /// Sends a command; returns once it is stored together with its immediate consequences.
    pub async fn control(
        &self,
        id: RolloutId,
        control: Control,
        expected: Option<Revision>,
        by: &str,
        login: Option<Arc<RegistryLogin>>,
    ) -> Result<(), RolloutError> {
        let (answer, answered) = oneshot::channel();
        let command = Command { control, expected, by: by.to_owned(), login, answer };
        // A driver is gone if its rollout has ended or the server is stopping.
        self.commands.send(command).await.map_err(|_| RolloutError::Ended(id))?;
        answered.await.unwrap_or(Err(RolloutError::Stopping))
    }
}

impl Driver {
    /// Reads a rollout from the journal.
    pub async fn load(
        id: RolloutId,
        shared: Shared,
        login: Option<Arc<RegistryLogin>>,
    ) -> Result<(Self, Handle), DriverError> {
        let entries = shared.journal.records(id).await?;
        let revision = entries.last().map_or(Revision(0), |entry| entry.revision);
        let state = RolloutState::replay(entries.iter().map(|entry| &entry.record))?;
        let (commands, received) = mpsc::channel(COMMANDS);
        let driver = Self {
            id,
            shared,
            state,
            revision,
            login,
            copies: Arc::default(),
            commands: received,
            events: mpsc::channel(EVENTS),
            tasks: JoinSet::new(),
            working: BTreeMap::new(),
        };
        Ok((driver, Handle { commands }))
    }

    /// Drives the rollout to its end, or until the server stops.
    pub async fn run(mut self) -> Result<(), DriverError> {
        loop {
            let decision = self.write(Vec::new()).await?;
            for assignment in decision.begin {
                if !self.working.contains_key(&assignment.host) {
                    self.begin(assignment).await?;
                }
            }
            if self.state.phase.is_terminal() && self.working.is_empty() {
                return Ok(());
            }
            let clock = self.shared.clock;
            let alarm = async {
                match decision.wake_at {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.shared.stopping.cancelled() => return Ok(()),
                Some(command) = self.commands.recv() => self.handle(command).await?,
                Some(said) = self.events.1.recv() => self.record_events(said).await?,
                Some(ended) = self.tasks.join_next_with_id() => {
                    let (id, panicked) = match ended {
                        Ok((id, _)) => (id, false),
                        Err(error) => (error.id(), error.is_panic()),
                    };
                    self.ended(id, panicked).await?;
                }
                () = alarm => {}
            }
        }
    }

    /// Stores events with all their consequences, all or nothing, and returns the next decision.
    /// Readers therefore never see a state that the next decision is about to change.
    async fn write(&mut self, events: Vec<Event>) -> Result<Decision, DriverError> {
        let at = self.shared.clock.now();
        let mut records = Vec::new();
        self.fold(events, at, &mut records)?;
        let decision = loop {
            let mut decision = decide(&self.state, at);
            if decision.records.is_empty() {
                break decision;
            }
            self.fold(std::mem::take(&mut decision.records), at, &mut records)?;
        };
        self.store(&records).await?;
        Ok(decision)
    }

    /// Folds events before they are stored: illegal ones must not get into the journal. If one is
    /// illegal, or the journal fails, the driver ends and discards its state.
    fn fold(
        &mut self,
        events: Vec<Event>,
        at: Millis,
        records: &mut Vec<Record>,
    ) -> Result<(), Illegal> {
        for event in events {
            let record = Record { at, event };
            self.state.apply(&record)?;
            records.push(record);
        }
        Ok(())
    }

    async fn store(&mut self, records: &[Record]) -> Result<(), DriverError> {
        if records.is_empty() {
            return Ok(());
        }
        self.revision = self.shared.journal.append(self.shared.epoch, self.id, records).await?;
        records.iter().for_each(|record| self.log(&record.event));
        Ok(())
    }

    /// For the log, which operators read first. Text from hosts is escaped.
    fn log(&self, event: &Event) {
        let (rollout, container) = (self.id, &self.state.plan.container);
        match event {
            Event::Phase { to, reason: Some(reason) } => {
                let why = &reason.message;
                tracing::warn!(%rollout, %container, phase = to.name(), ?why, "new phase of a rollout");
            }
            Event::Phase { to, reason: None } => {
                tracing::info!(%rollout, %container, phase = to.name(), "new phase of a rollout");
            }
            Event::Host { host, happened: HostEvent::Failed { trouble, .. } } => {
                let why = &trouble.message;
                tracing::warn!(%rollout, %container, %host, ?why, "the host failed");
            }
            _ => {}
        }
    }

    async fn begin(&mut self, assignment: Assignment) -> Result<(), DriverError> {
        let Assignment { host, work, attempt, begun } = assignment;
        if !begun {
            let happened = HostEvent::Begun { work, attempt };
            let at = self.shared.clock.now();
            let record = Record { at, event: Event::Host { host: host.clone(), happened } };
            self.state.apply(&record)?;
            self.store(&[record]).await?;
        }
        let Some(task) = self.task(&host).await? else { return Ok(()) };
        let writer = HostEventWriter { host: host.clone(), events: self.events.0.clone() };
        let spawned = self.tasks.spawn(async move { task.run(work, &writer).await });
        self.working.insert(host, spawned.id());
        Ok(())
    }

    async fn task(&self, host: &HostName) -> Result<Option<Task>, DriverError> {
        let (Some(plan), Some(state)) =
            (self.state.plan.hosts.get(host), self.state.hosts.get(host))
        else {
            return Ok(None);
        };
        let journal = &self.shared.journal;
        let bodies = journal.secret(self.id, Some(host), SecretKind::Body).await?;
        let bodies = match bodies {
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| DriverError::Journal(JournalError::Store(Box::new(error))))?,
            None => Bodies::default(),
        };
        let Bodies { new, twin, dependents: bodies } = bodies;
        let task =
            |name: &ContainerName, plan: &HostPlan, policy: &Arc<Policy>, bodies, start| Task {
                rollout: self.id,
                host: host.clone(),
                plan: plan.clone(),
                policy: Arc::clone(policy),
                names: Names::of(name, self.id),
                image: None,
                hosts: Arc::clone(&self.shared.hosts),
                clock: self.shared.clock,
                bodies,
                login: None,
                copies: Arc::clone(&self.copies),
                pulls: self.shared.pulls.clone(),
                start,
                dependents: Vec::new(),
                hangs_on: None,
            };
        let of_dependents = Arc::new(self.state.policy.of_dependents());
        let mut bodies = bodies.into_iter();
        let dependent = |(number, planned): (usize, &DependentPlan)| {
            let known = state.dependents.get(&number).cloned().unwrap_or_default();
            let start = Start {
                progress: known.progress,
                gate_deadline: known.gate_deadline,
                good_since: known.good_since,
                monitor_until: known.monitor_until,
                ..Start::default()
            };
            let body = bodies.next().unwrap_or_default();
            let hangs_on = plan.old.as_ref().map(|old| old.id.clone());
            Task { hangs_on, ..task(&planned.name, &planned.plan, &of_dependents, body, start) }
        };
        let dependents = plan.dependents.iter().enumerate().map(dependent).collect();
        let start = Start {
            progress: state.progress.clone(),
            failed: state.restoring,
            gate_deadline: state.gate_deadline,
            good_since: state.good_since,
            monitor_until: state.monitor_until,
            image_id: state.pulled.as_ref().map(|pulled| pulled.image_id.clone()),
        };
        let bodies = Bodies { new, twin, dependents: Vec::new() };
        let image = plan.image.clone().or_else(|| self.state.plan.image.clone());
        let (name, policy) = (&self.state.plan.container, &self.state.policy);
        let target = task(name, plan, policy, bodies, start);
        Ok(Some(Task { image, login: self.login.clone(), dependents, ..target }))
    }

    async fn record_events(&mut self, said: HostEvents) -> Result<(), DriverError> {
        let HostEvents { host, events, stored } = said;
        let event = |happened| Event::Host { host: host.clone(), happened };
        self.write(events.into_iter().map(event).collect()).await?;
        // The receiver is gone if the work was dropped; stored events count anyway.
        let _ = stored.send(());
        Ok(())
    }

    async fn handle(&mut self, command: Command) -> Result<(), DriverError> {
        let Command { control, expected, by, login, answer } = command;
        if let Some(expected) = expected.filter(|expected| *expected != self.revision) {
            let (expected, actual) = (expected.0, self.revision.0);
            let _ = answer.send(Err(RolloutError::RevisionChanged { expected, actual }));
            return Ok(());
        }
        let received = match effect(&self.state.phase, control) {
            Ok(Effect::Nothing) => Ok(()),
            Ok(Effect::Changes) => {
                // Before the command: pulls that follow from it need them.
                if let Some(login) = login {
                    self.take_login(login).await?;
                }
                self.write(vec![Event::Control { control, by }]).await?;
                Ok(())
            }
            Err(refused) => Err(RolloutError::refused(self.id, refused)),
        };
        let _ = answer.send(received);
        Ok(())
    }

    async fn take_login(&mut self, login: Arc<RegistryLogin>) -> Result<(), DriverError> {
        let Shared { journal, epoch, .. } = &self.shared;
        let secret = NewSecret::login(&login);
        journal.replace_secret(*epoch, self.id, secret).await?;
        self.login = Some(login);
        Ok(())
    }

    /// Work that ends without an outcome is a bug: the host counts as failed, and its rollback
    /// starts from the observed state.
    async fn ended(&mut self, id: Id, panicked: bool) -> Result<(), DriverError> {
        let found = self.working.iter().find(|(_, task)| **task == id);
        let Some(host) = found.map(|(host, _)| host.clone()) else { return Ok(()) };
        // Store its last events before its slot is released.
        while let Ok(said) = self.events.1.try_recv() {
            self.record_events(said).await?;
        }
        self.working.remove(&host);
        if panicked {
            tracing::error!(rollout = %self.id, %host, "work on a host panicked");
            let trouble = Trouble::new(Reason::Internal, "internal error; see the wharfd log");
            let happened = HostEvent::Failed { step: None, trouble, log_tail: Vec::new() };
            self.write(vec![Event::Host { host, happened }]).await?;
        }
        Ok(())
    }
}
