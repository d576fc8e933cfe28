//! A session with the container's own command: how it is found, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::domain::ContainerRef;
use crate::engine::inspection::Status;
use crate::engine::{
    ContainerExit, ContainerFacts, Engine, EngineError, ErrorKind, ExecSession, Inspection, Result,
    TerminalSize, WaitCondition,
};

const OPERATION: &str = "POST /containers/{id}/attach";
/// How long an Engine may take to report the end of a container whose output has ended.
const END: Duration = Duration::from_secs(10);

/// How to attach.
#[derive(Debug, Clone)]
pub(super) struct AttachOrder {
    pub stdin: bool,
    pub before_start: bool,
    pub size: Option<TerminalSize>,
}

/// A container that a session is attached to.
#[derive(Debug)]
pub(super) struct Attached {
    pub container: ContainerRef,
    pub tty: bool,
    /// Waits for its end since before the session began: it may be removed as soon as it ends.
    end: JoinHandle<Result<ContainerExit>>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.end.abort();
    }
}

/// Connects to the streams of a container's own command.
pub(super) async fn attach(
    engine: &Arc<dyn Engine>,
    container: &ContainerRef,
    order: &AttachOrder,
) -> Result<(ExecSession, Attached)> {
    let document = engine.inspect_container(container, false).await?;
    let inspection = Inspection::read(&document)?;
    check(&inspection.facts, order.before_start)?;
    let id = ContainerRef::parse(&inspection.facts.id)
        .map_err(|error| EngineError::new(ErrorKind::BadAnswer, OPERATION, error.to_string()))?;
    let tty = inspection.json["Config"]["Tty"] == true;
    let end = tokio::spawn({
        let (engine, id) = (Arc::clone(engine), id.clone());
        async move { engine.wait_container(&id, WaitCondition::NextExit).await }
    });
    let attached = Attached { container: id, tty, end };
    let session = engine.attach(&attached.container, order.stdin, tty).await?;
    if let Some(size) = order.size.filter(|_| tty && inspection.facts.running) {
        // It may have ended meanwhile; the size is not worth a failure.
        let _ = engine.resize_container(&attached.container, size).await;
    }
    Ok((session, attached))
}

/// Refuses what no Engine can attach to, or what the caller would wait for in vain.
fn check(facts: &ContainerFacts, before_start: bool) -> Result<()> {
    let problem = match facts.status {
        Status::Running => return Ok(()),
        Status::Paused => "the container is paused; unpause it, and retry",
        Status::Restarting => "the container is restarting; retry when it is running",
        Status::Dead | Status::Removing => "the container is being removed",
        Status::Created | Status::Exited | Status::Unknown if before_start => return Ok(()),
        Status::Created | Status::Exited | Status::Unknown => {
            "the container is not running; start it, and retry"
        }
    };
    Err(EngineError::new(ErrorKind::Conflict, OPERATION, problem))
}

impl Attached {
    /// The exit code of the container, whose output has ended.
    pub async fn exit_code(mut self, engine: &dyn Engine) -> Result<i32> {
        if let Ok(Ok(Ok(exit))) = timeout(END, &mut self.end).await {
            return Ok(i32::try_from(exit.exit_code).unwrap_or(i32::MAX));
        }
        // The wait was lost, or began after the end.
        let document = engine.inspect_container(&self.container, false).await?;
        let facts = Inspection::read(&document)?.facts;
        if facts.running {
            let message = "the connection to the container was lost, and it is still running";
            return Err(EngineError::new(ErrorKind::ResultUnknown, OPERATION, message));
        }
        Ok(i32::try_from(facts.exit_code).unwrap_or(i32::MAX))
    }
}
