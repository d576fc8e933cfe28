//! The dependents of the target: their events have their number, and they are recreated to depend
//! on the container that replaces the target.

use std::borrow::Cow;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde_json::Value;

use super::{EventWriter, HostRun, Run, StepError, Stopped, Task};
use crate::engine::{ContainerFacts, EngineError};
use crate::rollout::model::{HostEnd, HostEvent, HostPlan, Step, Trouble};
use crate::rollout::recreate;
use crate::rollout::step::{self, Direction, Member, Next, Observed};

/// Records events of a dependent.
pub(super) struct DependentEventWriter<'a> {
    writer: &'a dyn EventWriter,
    number: usize,
    name: &'a str,
}

impl<'a> DependentEventWriter<'a> {
    /// One for each dependent.
    pub(super) fn all(writer: &'a dyn EventWriter, tasks: &'a [Task]) -> Vec<Self> {
        let named =
            |(number, task): (usize, &'a Task)| Self { writer, number, name: &task.names.target };
        tasks.iter().enumerate().map(named).collect()
    }
}

#[async_trait]
impl EventWriter for DependentEventWriter<'_> {
    async fn write(&self, events: Vec<HostEvent>) -> Result<(), Stopped> {
        let of_this = |event| {
            let event = match event {
                // They are stored beside those of the target.
                HostEvent::Differs { differences } => {
                    let lines = differences.iter().map(|line| format!("{}: {line}", self.name));
                    HostEvent::Differs { differences: lines.collect() }
                }
                event => event,
            };
            HostEvent::Dependent { number: self.number, happened: Box::new(event) }
        };
        self.writer.write(events.into_iter().map(of_this).collect()).await
    }
}

impl<'a> HostRun<'a> {
    /// Observes all of them, the target first.
    pub(super) async fn look(&mut self) -> Result<Vec<Observed>, EngineError> {
        let seen = try_join_all(self.all().map(Run::look)).await?;
        let parent = seen.first().and_then(|target| target.new.as_ref()).map(|new| new.id.clone());
        for dependent in &mut self.dependents {
            dependent.parent.clone_from(&parent);
        }
        Ok(seen)
    }

    pub(super) fn next(&self, seen: &[Observed], direction: Direction) -> (usize, Next) {
        let plans: Vec<_> = self.all().map(Run::plan_now).collect();
        let members: Vec<Member<'_>> = self
            .all()
            .zip(&plans)
            .zip(seen)
            .map(|((run, plan), seen)| Member {
                names: &run.task.names,
                plan,
                policy: &run.task.policy,
                seen,
                progress: &run.state.progress,
                in_namespace: run.is_in_namespace(),
            })
            .collect();
        step::next_of(&members, direction)
    }

    pub(super) async fn step(
        &mut self,
        number: usize,
        step: Step,
        seen: &[Observed],
    ) -> Result<(), StepError> {
        // Events of the other containers are stored before the next one continues.
        for (other, run) in self.all_mut().enumerate() {
            if other != number {
                run.flush().await.map_err(|Stopped| StepError::Stopped)?;
            }
        }
        let run = match number.checked_sub(1) {
            Some(dependent) => &mut self.dependents[dependent],
            None => &mut self.target,
        };
        run.step(step, &seen[number]).await
    }

    /// Stores pending events.
    pub(super) async fn flush(&mut self) -> Result<(), Stopped> {
        for run in self.all_mut() {
            run.flush().await?;
        }
        Ok(())
    }

    pub(super) async fn end(&mut self, end: HostEnd) -> Result<(), Stopped> {
        for run in &mut self.dependents {
            run.flush().await?;
        }
        self.target.end(end).await
    }

    /// The target and its dependents.
    fn all(&self) -> impl Iterator<Item = &Run<'a>> {
        std::iter::once(&self.target).chain(&self.dependents)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Run<'a>> {
        std::iter::once(&mut self.target).chain(&mut self.dependents)
    }

    pub(super) fn run(&self, number: usize) -> &Run<'a> {
        match number.checked_sub(1) {
            Some(dependent) => &self.dependents[dependent],
            None => &self.target,
        }
    }

    /// Whether nothing has started in this attempt.
    pub(super) fn is_untouched(&self) -> bool {
        self.all().all(|run| run.state.progress.intended.is_empty())
    }

    /// The trouble, with the name of the dependent that it is about.
    pub(super) fn of_member(&self, number: usize, trouble: Trouble) -> Trouble {
        if number == 0 {
            return trouble;
        }
        let message =
            format!("its dependent {}: {}", self.run(number).task.names.target, trouble.message);
        Trouble { message, ..trouble }
    }
}

impl Run<'_> {
    /// The plan, with the identity of the new container as of the last observation.
    fn plan_now(&self) -> Cow<'_, HostPlan> {
        let (planned, spec_sha) = (&self.task.plan, self.spec_sha());
        if spec_sha == planned.spec_sha {
            return Cow::Borrowed(planned);
        }
        Cow::Owned(HostPlan { spec_sha, ..planned.clone() })
    }

    /// Identifies the body of the new container. For a dependent, the container that it depends on
    /// is part of it: one created for another container is created again.
    pub(super) fn spec_sha(&self) -> String {
        let sha = &self.task.plan.spec_sha;
        match (&self.task.hangs_on, &self.parent) {
            (Some(_), Some(parent)) => format!("{sha}-{}", parent.get(..12).unwrap_or(parent)),
            _ => sha.clone(),
        }
    }

    /// Of a dependent: whether it joins a namespace of the target.
    fn is_in_namespace(&self) -> bool {
        let Some(new) = self.task.bodies.new.as_ref().filter(|_| self.task.hangs_on.is_some())
        else {
            return false;
        };
        let host_config = &new.body["HostConfig"];
        let joins = |key: &str| {
            host_config[key].as_str().is_some_and(|mode| mode.starts_with("container:"))
        };
        ["NetworkMode", "IpcMode", "PidMode"].into_iter().any(joins)
    }

    /// The body, which depends on the new container instead of the old one.
    pub(super) fn body(&self, body: &Value) -> Value {
        let (Some(old), Some(new)) = (&self.task.hangs_on, &self.parent) else {
            return body.clone();
        };
        let old = ContainerFacts { id: old.clone(), ..ContainerFacts::default() };
        recreate::retarget(body, &old, new)
    }
}
