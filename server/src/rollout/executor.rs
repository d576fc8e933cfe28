//! The work on one host: look, ask [`next_of`](super::step::next_of), write the intent, do that
//! one step, write what came of it, look again. It decides nothing; and since it looks before
//! every step, or knows from the Engine's answer what it would see, it goes on after a crash as
//! if there had been none.
//!
//! Calls whose answer is lost are not failures: the next look tells what became of them. A
//! host that stops answering in the middle is waited for, because only the way on or the way
//! back leads to a safe end.

mod act;
mod clear;
mod compare;
mod dependents;
mod gate;
mod look;
mod pull;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::clock::Clock;
use super::hosts::Hosts;
use super::model::{
    HostEnd, HostEvent, HostPlan, Millis, PlannedImage, RolloutId, Step, Trouble, Work,
};
use super::requests::PullProgress;
use super::spec::Policy;
use super::step::{Direction, HostProgress, Names, Next, Observed};
use crate::domain::{HostName, Reason, RegistryLogin};
use crate::engine::{Engine, EngineError, ErrorKind};

use dependents::DependentEventWriter;

pub use clear::remove_left;
pub use look::container_facts;

/// Wait before a host that did not answer is asked again: at first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How long a host is asked again before it counts as one that does not answer: one connection that
/// breaks, or an Engine that is started again, must leave no host out.
const PATIENCE: Duration = Duration::from_secs(5);

/// A step of the way back that fails this often in a row needs a person.
const MOST_FAILURES_BACK: u32 = 3;

/// For calls that an Engine answers at once. Longer means that it hangs.
const CALL: Duration = Duration::from_secs(30);

/// How often a pull whose connection breaks is begun again at once.
const PULLS_AGAIN: u32 = 3;

/// Steps while nothing answers, whose effect every look shows: that they are done is written
/// together with the next intent, which saves a flush to disk each. Lost in a crash, it is seen.
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

/// Lines of the new container's log that are kept of a failure.
const LOG_LINES: u32 = 20;

/// Writes down what happens on the host, before anything further is done.
#[async_trait]
pub trait EventWriter: Send + Sync {
    /// Returns once they are stored, all or none; an error ends the work at once.
    async fn write(&self, events: Vec<HostEvent>) -> Result<(), Stopped>;
}

/// The driver writes no more: the server stops, or another one took over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// Everything that the work on one host needs to know.
pub struct Task {
    /// The rollout.
    pub rollout: RolloutId,
    /// The host.
    pub host: HostName,
    /// What is to be done there.
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
    /// Credentials that came with the rollout; `None`: those that the server keeps.
    pub login: Option<Arc<RegistryLogin>>,
    /// Hears where a pull stands.
    pub pulls: broadcast::Sender<PullProgress>,
    /// Where the journal stands.
    pub start: Start,
    /// What hangs on the target, in the order of the plan; with tasks of its own.
    pub dependents: Vec<Task>,
    /// Of a dependent: full ID of the old container that it hangs on.
    pub hangs_on: Option<String>,
}

/// Where the journal stands when the work begins, or begins again after a crash.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Steps so far.
    pub progress: HostProgress,
    /// Whether the way back was taken already.
    pub failed: bool,
    /// When the gate gives up; `None` before it began.
    pub gate_deadline: Option<Millis>,
    /// Since when the gate has seen it good.
    pub good_since: Option<Millis>,
    /// Until when it is watched after its gate.
    pub monitor_until: Option<Millis>,
    /// ID of the image on this host, where it was pulled.
    pub image_id: Option<String>,
}

/// Bodies of the containers of one host, as they are sent to the Engine.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Bodies {
    /// Of the new container; `None` where none is created.
    pub new: Option<NewBody>,
    /// Of the twin of the old one; `None` where it needs none.
    pub twin: Option<NewBody>,
    /// Of what hangs on the target, in the order of the plan; they name the old one by its ID.
    #[serde(default)]
    pub dependents: Vec<Bodies>,
}

/// A container that is to be created.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewBody {
    /// `POST /containers/create`.
    pub body: serde_json::Value,
    /// Networks to connect before the start, with their endpoints: what Engines before API
    /// 1.44 do not take at creation.
    pub networks: Vec<(String, serde_json::Value)>,
    /// Names of the networks that the container must be in; empty where nobody wrote them down.
    #[serde(default)]
    pub joins: Vec<String>,
    /// ID of the image that it is made from, where it is known before the pull: the name of the
    /// image may mean another one by the time that it is made. `None` for the rollout's image.
    #[serde(default)]
    pub image_id: Option<String>,
}

/// Why a step was not done.
enum StepError {
    /// The journal takes no more.
    Stopped,
    /// The answer is lost, or the host does not answer: look again later.
    Lost(Trouble),
    /// It was refused, or did not prove itself: the work fails.
    Failed(Trouble),
}

/// The work at work.
struct Run<'a> {
    task: &'a Task,
    writer: &'a dyn EventWriter,
    engine: Arc<dyn Engine>,
    state: Start,
    /// Written with what comes next.
    held: Vec<HostEvent>,
    /// Of a dependent: full ID of the new container that it is to hang on, as of the last look.
    parent: Option<String>,
}

/// The work on the target and on what hangs on it.
struct HostRun<'a> {
    target: Run<'a>,
    dependents: Vec<Run<'a>>,
}

impl Task {
    /// Does the work to its end. Every way out is written down first, but for `Stopped`.
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
                        // Done, and to be done again: somebody works against it. No flood.
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

    /// What is there after a step, without a look: each costs time in which nothing answers.
    fn foreseen(
        &self,
        direction: Direction,
        step: Step,
        seen: &[Observed],
    ) -> Option<Vec<Observed>> {
        // What hangs on it ends with it, in ways of its own.
        let [target] = seen else { return None };
        let Task { names, plan, .. } = self.target.task;
        // One with auto-remove goes when it stops, and its twin comes.
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

    /// The end of the new container's log, where it ran.
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

    fn trouble(&self, error: &EngineError) -> Trouble {
        Trouble::new(error.kind.reason(), format!("{}: {}", error.operation, error.message))
    }
}

/// Whether a question was not sent, and never will be, because it makes no sense: the host is not
/// silent, and waiting for it would not help.
fn never_asks(error: &EngineError) -> bool {
    error.kind == ErrorKind::BadRequest && error.http_status.is_none()
}

/// Whether an error leaves it open what became of a call, or says that it was not begun.
fn is_lost(error: &EngineError) -> bool {
    error.is_interrupted
        || matches!(
            error.kind,
            ErrorKind::Unreachable
                | ErrorKind::NoResources
                | ErrorKind::ConnectionLost
                | ErrorKind::ResultUnknown
                | ErrorKind::Unavailable
                | ErrorKind::RemovalInProgress
                | ErrorKind::BadAnswer
        )
}
