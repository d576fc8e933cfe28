//! Calls that take time: each is a step on the model, a wait, and a check of the result. Used by
//! the in-process Engine and by the HTTP front; a caller that disconnects in the middle leaves the
//! same state as with a real Engine.

use serde_json::{Value, json};
use wharf_server::engine::{Change, WaitCondition};

use crate::host::SimHost;
use crate::model::{Model, Refusal};

/// A wait that has begun.
pub(crate) struct Wait {
    id: String,
    exits: u64,
    running: bool,
}

impl SimHost {
    /// `stop`: answers when the process is gone.
    pub(crate) async fn stop(&self, name: &str, timeout: Option<i64>) -> Result<Change, Refusal> {
        let (id, change) = self.with(|model, now| {
            let id = model.resolve(name)?;
            Ok::<_, Refusal>((id, model.stop(now, name, timeout)?))
        })?;
        self.until(|model, _| ended(model, &id).then_some(())).await;
        Ok(change)
    }

    /// `restart`: answers when the process is there again, or could not be started.
    pub(crate) async fn restart(&self, name: &str, timeout: Option<i64>) -> Result<(), Refusal> {
        let id = self.with(|model, now| {
            let id = model.resolve(name)?;
            model.restart(now, name, timeout)?;
            Ok::<_, Refusal>(id)
        })?;
        let failure = self
            .until(|model, _| match model.container(&id) {
                Some(container) if container.restart_pending() => None,
                _ => Some(model.restart_error(name, &id)),
            })
            .await;
        failure.map_or(Ok(()), Err)
    }

    /// `wait`: answers with the exit status.
    pub(crate) async fn wait(
        &self,
        name: &str,
        condition: WaitCondition,
    ) -> Result<Value, Refusal> {
        let wait = self.begin_wait(name)?;
        Ok(self.end_wait(wait, condition).await)
    }

    /// The first half of `wait`: what it waits for is about a container as it is now.
    pub(crate) fn begin_wait(&self, name: &str) -> Result<Wait, Refusal> {
        self.with(|model, _| {
            let container = model.found(name)?;
            let running = container.state.status.counts_as_running();
            Ok(Wait { id: container.id.clone(), exits: container.exits, running })
        })
    }

    /// The second half: what the Engine sends at the end.
    pub(crate) async fn end_wait(&self, wait: Wait, condition: WaitCondition) -> Value {
        let Wait { id, exits, running } = wait;
        let mut code = 0;
        let code = self
            .until(|model, _| {
                let container = match model.container(&id) {
                    Some(container) => container,
                    None => return Some(model.exit_code_of_removed(&id).unwrap_or(code)),
                };
                code = container.state.exit_code;
                let met = match condition {
                    WaitCondition::NotRunning => !running || container.exits > exits,
                    WaitCondition::NextExit => container.exits > exits,
                    WaitCondition::Removed => false,
                };
                met.then_some(code)
            })
            .await;
        json!({"Error": null, "StatusCode": code})
    }

    /// `remove`: answers when the container is gone.
    pub(crate) async fn remove(
        &self,
        name: &str,
        force: bool,
        remove_volumes: bool,
    ) -> Result<(), Refusal> {
        let id = self.with(|model, now| {
            let id = model.resolve(name)?;
            model.remove(now, name, force, remove_volumes)?;
            Ok::<_, Refusal>(id)
        })?;
        self.gone(&id).await;
        Ok(())
    }

    /// Ends when there is no such container any longer.
    pub(crate) async fn gone(&self, id: &str) {
        self.until(|model, _| model.container(id).is_none().then_some(())).await;
    }
}

fn ended(model: &Model, id: &str) -> bool {
    model.container(id).is_none_or(|container| !container.state.status.has_process())
}
