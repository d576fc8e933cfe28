//! The work on one host: observe, call [`next_of`](super::step::next_of), record the intent, do one
//! step, record its outcome, observe again. It makes no decisions; because it observes before every
//! step, or knows the state from the Engine's response, it continues after a crash as if nothing
//! had happened.
//!
//! A call with a lost response is not a failure: the next observation shows its result. If a host
//! stops answering in the middle, the work waits, because only completion or rollback leads to a
//! safe end.

mod act;
mod clear;
mod compare;
mod copies;
mod copy;
mod dependents;
mod gate;
mod look;
mod pull;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::clock::Clock;
use super::hosts::Hosts;
use super::model::{
    Bodies, HostEnd, HostEvent, HostPlan, HostProgress, Millis, Names, PlannedImage, RolloutId,
    Step, Trouble, Work,
};
use super::requests::PullProgress;
use super::spec::Policy;
use super::step::{Direction, Next, Observed};
use crate::domain::{ContainerRef, HostName, Reason, RegistryLogin};
use crate::engine::{ContainerFacts, Engine, EngineError, ErrorKind, Inspection};

use dependents::DependentEventWriter;

pub use clear::remove_left;
pub use copies::Copies;

/// Delay before a host that did not answer is contacted again: initial and maximum.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How long to retry a host before it counts as unreachable: a broken connection or a restart of
/// the Engine must not exclude a host.
const PATIENCE: Duration = Duration::from_secs(5);

/// A step of the way back that fails this often in a row needs manual repair.
const MOST_FAILURES_BACK: u32 = 3;

/// For calls that an Engine answers immediately. Taking longer means that it hangs.
const CALL: Duration = Duration::from_secs(30);

/// How often a pull whose connection breaks is begun again at once.
const PULLS_AGAIN: u32 = 3;

/// Steps during the downtime whose effect every observation shows: their completion is stored
/// together with the next intent, which saves a disk flush each. If it is lost in a crash, the
/// observation shows it.
const IS_SEEN: [Step; 8] = [
    Step::StopOld,
    Step::FenceOld,
    Step::RenameOld,
    Step::RenameNew,
    Step::StopNew,
    Step::RenameBad,
    Step::RenameBack,
    Step::UnfenceOld,
];

/// Log lines of the new container that are kept for a failure.
const LOG_LINES: u32 = 20;

/// Records events of the host before the work continues.
#[async_trait]
pub trait EventWriter: Send + Sync {
    /// Returns once they are stored, all or none; an error ends the work immediately.
    async fn write(&self, events: Vec<HostEvent>) -> Result<(), Stopped>;
}

/// The driver writes no more: the server stops, or another one took over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// Everything that the work on one host needs.
pub struct Task {
    /// The rollout.
    pub rollout: RolloutId,
    /// The host.
    pub host: HostName,
    /// The work to do.
    pub plan: HostPlan,
    /// How.
    pub policy: Arc<Policy>,
    /// The names that the rollout uses.
    pub names: Names,
    /// The image that the new container gets.
    pub image: Option<PlannedImage>,
    /// The hosts.
    pub hosts: Arc<dyn Hosts>,
    /// The time.
    pub clock: Clock,
    /// Bodies of containers.
    pub bodies: Bodies,
    /// Credentials of the rollout; `None`: those stored in the server.
    pub login: Option<Arc<RegistryLogin>>,
    /// Copies of the image from the host that it comes from, if it comes from one.
    pub copies: Arc<Copies>,
    /// Receives the progress of pulls and copies.
    pub pulls: broadcast::Sender<PullProgress>,
    /// State according to the journal.
    pub start: Start,
    /// The dependents of the target, in the order of the plan, with their own tasks.
    pub dependents: Vec<Task>,
    /// For a dependent: full ID of the old container that it depends on.
    pub hangs_on: Option<String>,
}

/// State according to the journal at the start of the work, or at its restart after a crash.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Steps so far.
    pub progress: HostProgress,
    /// Whether the way back has already started.
    pub failed: bool,
    /// When the gate times out; `None` before it starts.
    pub gate_deadline: Option<Millis>,
    /// Start of the uninterrupted healthy time.
    pub good_since: Option<Millis>,
    /// Until when it is watched after its gate.
    pub monitor_until: Option<Millis>,
    /// ID of the image on this host, if it was pulled.
    pub image_id: Option<String>,
}

/// Why a step was not done.
enum StepError {
    /// The journal refuses further records.
    Stopped,
    /// The response was lost, or the host does not answer: observe again later.
    Lost(Trouble),
    /// Refused, or not healthy: the work fails.
    Failed(Trouble),
}

/// The work in progress.
struct Run<'a> {
    task: &'a Task,
    writer: &'a dyn EventWriter,
    engine: Arc<dyn Engine>,
    state: Start,
    /// Events to store with the next ones.
    held: Vec<HostEvent>,
    /// For a dependent: full ID of the new container to depend on, as of the last observation.
    parent: Option<String>,
}

/// The work on the target and its dependents.
struct HostRun<'a> {
    target: Run<'a>,
    dependents: Vec<Run<'a>>,
}

impl Task {
    /// Does the work until its end. Every outcome except `Stopped` is recorded first.
    pub async fn run(self, work: Work, writer: &dyn EventWriter) -> Result<(), Stopped> {
        let engine = match self.hosts.engine(&self.host) {
            Ok(engine) => engine,
            Err(trouble) if work == Work::Clear => {
                return clear::left(&self, writer, trouble).await;
            }
            Err(trouble) => return writer.write(vec![HostEvent::Unreachable { trouble }]).await,
        };
        let way = match work {
            Work::Pull => return Run::new(&self, writer, engine).pull().await,
            Work::Clear => return Run::new(&self, writer, engine).clear().await,
            Work::Forward => Direction::Forward,
            Work::Watch => Direction::Watch,
            Work::RollBack => Direction::RollBack,
        };
        let writers = DependentEventWriter::all(writer, &self.dependents);
        let dependents = self.dependents.iter().zip(&writers);
        let dependents =
            dependents.map(|(task, writer)| Run::new(task, writer, engine.clone())).collect();
        HostRun { target: Run::new(&self, writer, engine), dependents }.walk(way).await
    }
}

impl HostRun<'_> {
    /// Step after step until the end.
    async fn walk(&mut self, way: Direction) -> Result<(), Stopped> {
        let mut wait = BACKOFF.0;
        let mut failures_back = 0;
        let mut last = None;
        let mut silent_since = None;
        let mut known: Option<Vec<Observed>> = None;
        loop {
            let direction = match (way, self.target.state.failed) {
                (Direction::RollBack, _) => Direction::RollBack,
                (_, true) => Direction::Restore,
                (way, false) => way,
            };
            let asked = Instant::now();
            let looked = match known.take() {
                Some(known) => Ok(known),
                None => self.look().await,
            };
            let seen = match looked {
                Ok(seen) => seen,
                Err(error) if never_asks(&error) => {
                    let trouble = self.target.trouble(&error);
                    if !self.is_untouched() || direction != Direction::Forward {
                        return self.end(HostEnd::NeedsAttention { trouble }).await;
                    }
                    let log_tail = Vec::new();
                    self.target.held.push(HostEvent::Failed { step: None, trouble, log_tail });
                    return self.end(HostEnd::Unchanged).await;
                }
                Err(error) => {
                    let trouble = self.target.trouble(&error);
                    let is_silent = silent_since.get_or_insert(asked).elapsed() >= PATIENCE;
                    if self.is_untouched() && is_silent && direction == Direction::Forward {
                        return self.target.note(HostEvent::Unreachable { trouble }).await;
                    }
                    self.flush().await?;
                    let host = &self.target.task.host;
                    tracing::warn!(%host, error = %trouble.message, "waiting for the host");
                    self.target.pause(&mut wait).await;
                    continue;
                }
            };
            silent_since = None;
            let (number, next) = self.next(&seen, direction);
            let error = match next {
                Next::Finished(end) => return self.end(end).await,
                Next::Attention(trouble) => {
                    let trouble = self.of_member(number, trouble);
                    return self.end(HostEnd::NeedsAttention { trouble }).await;
                }
                Next::Fail(trouble) => (None, StepError::Failed(trouble)),
                Next::Do(step) => match self.step(number, step, &seen).await {
                    Ok(()) => {
                        failures_back = 0;
                        // The step was done but has to be repeated: somebody works against it.
                        // Wait, to avoid a flood.
                        if last.replace((number, step)) == Some((number, step)) {
                            self.flush().await?;
                            self.target.pause(&mut wait).await;
                        } else {
                            wait = BACKOFF.0;
                            known = self.foreseen(direction, step, &seen);
                        }
                        continue;
                    }
                    Err(error) => (Some(step), error),
                },
            };
            match error {
                (_, StepError::Stopped) => return Err(Stopped),
                (_, StepError::Lost(trouble)) => {
                    let host = &self.target.task.host;
                    tracing::info!(%host, error = %trouble.message, "looking again");
                    self.target.pause(&mut wait).await;
                }
                (step, StepError::Failed(trouble)) => {
                    let trouble = self.of_member(number, trouble);
                    match direction {
                        Direction::Forward | Direction::Watch => {
                            let log_tail = self.run(number).log_of_new(&seen[number]).await;
                            let failed = HostEvent::Failed { step, trouble, log_tail };
                            self.flush().await?;
                            self.target.note(failed).await?;
                            self.target.state.failed = true;
                        }
                        Direction::Restore | Direction::RollBack => {
                            failures_back += 1;
                            if failures_back >= MOST_FAILURES_BACK {
                                return self.end(HostEnd::NeedsAttention { trouble }).await;
                            }
                            self.target.pause(&mut wait).await;
                        }
                    }
                }
            }
        }
    }

    /// Derives the state after a step without an observation, because observing prolongs the
    /// downtime.
    fn foreseen(
        &self,
        direction: Direction,
        step: Step,
        seen: &[Observed],
    ) -> Option<Vec<Observed>> {
        // Its dependents end with it, in their own ways.
        let [target] = seen else { return None };
        let Task { names, plan, .. } = self.target.task;
        // A container with auto-remove disappears when it stops, and its twin appears.
        let stays = plan.old.as_ref().is_some_and(|old| !old.auto_remove);
        let is_sure = direction == Direction::Forward && stays;
        is_sure.then(|| target.after(step, names)).flatten().map(|after| vec![after])
    }
}

impl<'a> Run<'a> {
    fn new(task: &'a Task, writer: &'a dyn EventWriter, engine: Arc<dyn Engine>) -> Self {
        Self { task, writer, engine, state: task.start.clone(), held: Vec::new(), parent: None }
    }

    /// One step between its intent and its record.
    async fn step(&mut self, step: Step, seen: &Observed) -> Result<(), StepError> {
        self.write(HostEvent::Intent { step }).await?;
        self.state.progress.intended.insert(step);
        let id = self.act(step, seen).await?;
        let did = HostEvent::Did { step, id: id.clone() };
        if IS_SEEN.contains(&step) {
            self.held.push(did);
        } else {
            self.write(did).await?;
        }
        self.state.progress.done(step, id.as_deref());
        Ok(())
    }

    /// Last lines of the new container's log, if it ran.
    async fn log_of_new(&self, seen: &Observed) -> Vec<String> {
        match seen.new.as_ref().filter(|new| new.started_at.is_some()) {
            Some(new) => self.log_tail(&new.id).await,
            None => Vec::new(),
        }
    }

    async fn end(&mut self, end: HostEnd) -> Result<(), Stopped> {
        self.note(HostEvent::Ended { end }).await
    }

    async fn write(&mut self, event: HostEvent) -> Result<(), StepError> {
        self.note(event).await.map_err(|Stopped| StepError::Stopped)
    }

    async fn note(&mut self, event: HostEvent) -> Result<(), Stopped> {
        self.held.push(event);
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Stopped> {
        if self.held.is_empty() {
            return Ok(());
        }
        self.writer.write(std::mem::take(&mut self.held)).await
    }

    async fn pause(&self, wait: &mut Duration) {
        tokio::time::sleep(*wait).await;
        *wait = (*wait * 2).min(BACKOFF.1);
    }

    /// Waits for a call no longer than it may take; then its answer counts as lost.
    async fn call<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, StepError> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if is_lost(&error) => Err(StepError::Lost(self.trouble(&error))),
            Ok(Err(error)) => Err(StepError::Failed(self.trouble(&error))),
            Err(_) => Err(StepError::Lost(Trouble::new(
                Reason::HostTimeout,
                format!("{} did not answer within {limit:?}", self.task.host),
            ))),
        }
    }

    /// The container as its Engine shows it now.
    async fn inspect(&self, container: &ContainerRef) -> Result<Inspection, StepError> {
        let read = async {
            let document = self.engine.inspect_container(container, false).await?;
            Inspection::read(&document)?.with_status()
        };
        self.call(CALL, read).await
    }

    fn trouble(&self, error: &EngineError) -> Trouble {
        Trouble::new(error.kind.reason(), format!("{}: {}", error.operation, error.message))
    }
}

/// Whether a question was not sent, and never will be, because it makes no sense: the host is not
/// silent, and waiting for it would not help.
fn never_asks(error: &EngineError) -> bool {
    error.kind == ErrorKind::BadRequest && error.http_status.is_none()
}

/// Whether an error leaves the result of a call unknown, or means that the call was not made.
fn is_lost(error: &EngineError) -> bool {
    error.is_interrupted
        || error.kind.is_without_connection()
        || matches!(
            error.kind,
            ErrorKind::ConnectionLost
                | ErrorKind::ResultUnknown
                | ErrorKind::Unavailable
                | ErrorKind::RemovalInProgress
                | ErrorKind::BadAnswer
        )
}

fn reference(container: &Option<ContainerFacts>, what: &str) -> Result<ContainerRef, StepError> {
    let Some(container) = container else {
        return Err(missing(&format!("the container for the step ({what}) does not exist")));
    };
    ContainerRef::parse(&container.id).map_err(|error| missing(&error.to_string()))
}

fn missing(what: &str) -> StepError {
    StepError::Failed(Trouble::new(Reason::ContainerNotFound, what))
}
