//! The end of a host whose old containers must not stay: they are removed before the rollout ends.
//! A host that does not answer delays the rollout only briefly; its containers are reported as a
//! warning, and the sweeper removes them later.

use std::time::Duration;

use tokio::time::Instant;

use super::{BACKOFF, CALL, EventWriter, Run, Stopped, Task};
use crate::domain::{ContainerRef, Reason};
use crate::engine::{Engine, EngineError, ErrorKind, Inspection};
use crate::rollout::model::{HostEnd, HostEvent, Names, Step, Trouble};

/// How long a host is tried for.
const PATIENCE: Duration = Duration::from_secs(30);

/// An old container as the rollout left it.
struct Left<'a> {
    id: &'a str,
    name: &'a str,
    /// `None` for the target.
    dependent: Option<usize>,
}

/// Ends the work on a host that no longer exists.
pub(super) async fn left(
    task: &Task,
    writer: &dyn EventWriter,
    trouble: Trouble,
) -> Result<(), Stopped> {
    let warning = stays(&task.names.backup, &trouble.message);
    let differs = HostEvent::Differs { differences: vec![warning] };
    writer.write(vec![differs, HostEvent::Ended { end: HostEnd::Committed }]).await
}

impl Run<'_> {
    /// Removes the remaining containers, or reports that they stay.
    pub(super) async fn clear(&mut self) -> Result<(), Stopped> {
        let task = self.task;
        let names: Vec<&Names> = task.dependents.iter().map(|task| &task.names).collect();
        let left = task.plan.must_go().filter_map(|dependent| {
            let Some(number) = dependent else {
                let old = &task.plan.old.as_ref()?.id;
                // A container that the Engine removed at its stop has a twin.
                let id = task.start.progress.twin_id.as_ref().unwrap_or(old);
                return Some(Left { id, name: &task.names.backup, dependent });
            };
            let id = &task.plan.dependents[number].plan.old.as_ref()?.id;
            Some(Left { id, name: &names.get(number)?.backup, dependent })
        });
        let left: Vec<Left<'_>> = left.collect();
        let begun = Instant::now();
        for left in left {
            self.write_of(left.dependent, HostEvent::Intent { step: Step::RemoveOld }).await?;
            match self.remove_old(&left, begun).await {
                None => {
                    let did = HostEvent::Did { step: Step::RemoveOld, id: None };
                    self.write_of(left.dependent, did).await?;
                }
                Some(why) => {
                    let differences = vec![stays(left.name, &why)];
                    self.note(HostEvent::Differs { differences }).await?;
                }
            }
        }
        self.end(HostEnd::Committed).await
    }

    async fn write_of(
        &mut self,
        dependent: Option<usize>,
        happened: HostEvent,
    ) -> Result<(), Stopped> {
        self.note(match dependent {
            None => happened,
            Some(number) => HostEvent::Dependent { number, happened: Box::new(happened) },
        })
        .await
    }

    /// Why it stays, if it does.
    async fn remove_old(&self, left: &Left<'_>, begun: Instant) -> Option<String> {
        let mut wait = BACKOFF.0;
        loop {
            let removed = remove_left(&*self.engine, left.id, left.name);
            let why = match tokio::time::timeout(CALL, removed).await {
                Ok(Ok(found)) => return found,
                Ok(Err(error)) => self.trouble(&error),
                Err(_) => Trouble::new(Reason::HostTimeout, "no answer from the host"),
            };
            if begun.elapsed() >= PATIENCE {
                return Some(why.message);
            }
            tracing::info!(host = %self.task.host, error = %why.message, "removing again");
            self.pause(&mut wait).await;
        }
    }
}

fn stays(name: &str, why: &str) -> String {
    format!(
        "the old container {name} still exists but must be removed, see the risks of the plan: {why}; \
         remove it before you run `docker compose` or reboot the machine"
    )
}

/// Removes a container that a rollout left, by its full ID, unless somebody uses it now: it has
/// another name, or is running. Its volumes stay. Returns why it stays, if it does.
pub async fn remove_left(
    engine: &dyn Engine,
    id: &str,
    name: &str,
) -> Result<Option<String>, EngineError> {
    let Ok(reference) = ContainerRef::parse(id) else { return Ok(None) };
    let document = match engine.inspect_container(&reference, false).await {
        Ok(document) => document,
        Err(error) if error.kind == ErrorKind::ContainerNotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let facts = Inspection::read(&document)?.with_status()?.facts;
    if facts.id != id || facts.name != name {
        return Ok(None);
    }
    if facts.running {
        return Ok(Some(format!("{name} runs")));
    }
    match engine.remove_container(&reference, false, false).await {
        Ok(()) => Ok(None),
        Err(error) if error.kind == ErrorKind::ContainerNotFound => Ok(None),
        Err(error) => Err(error),
    }
}
