//! Checks whether the Engine created the new container as requested. Engines silently drop settings
//! that they do not know, such as newer ones and typos. Most differences are only warnings. A
//! missing network is always a failure: the container is not reachable there, and its health check
//! may not notice.

use serde_json::{Value, json};

use super::act::{missing, reference};
use super::{CALL, NewBody, Run, StepError};
use crate::domain::ContainerRef;
use crate::rollout::facts::as_docker;
use crate::rollout::model::{HostEvent, Trouble};
use crate::rollout::reason;
use crate::rollout::recreate;
use crate::rollout::step::Observed;

impl Run<'_> {
    /// Records the differences; with a strict policy, they are a failure.
    pub(super) async fn compare(&mut self, seen: &Observed) -> Result<(), StepError> {
        let Some(new) = &self.task.bodies.new else {
            return Err(missing("the body of the new container is missing from the store"));
        };
        let id = reference(&seen.new, "compare")?.to_string();
        let found = self.inspection(&id).await?;
        check_networks(new, &found)?;
        let differences = recreate::compare(&new.whole(self.new_body(new).await?), &found);
        if differences.is_empty() {
            return Ok(());
        }
        let text = differences.join("; ");
        self.write(HostEvent::Differs { differences }).await?;
        if self.task.policy.strict {
            return Err(StepError::Failed(Trouble::new(
                reason::SETTINGS_DIFFER,
                format!("the Engine created it with other settings: {text}"),
            )));
        }
        Ok(())
    }

    /// The Engine's inspection of a container.
    pub(super) async fn inspection(&self, id: &str) -> Result<Value, StepError> {
        let reference = ContainerRef::parse(id).map_err(|error| missing(&error.to_string()))?;
        let document = self.call(CALL, self.engine.inspect_container(&reference, false)).await?;
        document.parse().map(as_docker).map_err(|error| {
            let message = format!("unexpected JSON of a container: {error}");
            StepError::Failed(Trouble::new(reason::SETTINGS_DIFFER, message))
        })
    }
}

/// Whether the container is in all networks that it must be in.
pub(super) fn check_networks(new: &NewBody, found: &Value) -> Result<(), StepError> {
    match recreate::not_joined(&new.joins, found) {
        None => Ok(()),
        Some(missing) => Err(StepError::Failed(Trouble::new(
            reason::SETTINGS_DIFFER,
            format!("{missing}; it would not be reachable there"),
        ))),
    }
}

impl NewBody {
    /// The body with the networks that are connected after the creation.
    #[must_use]
    pub fn with_all_networks(&self) -> Value {
        self.whole(self.body.clone())
    }

    fn whole(&self, mut body: Value) -> Value {
        for (name, endpoint) in &self.networks {
            let endpoint = if endpoint.is_null() { json!({}) } else { endpoint.clone() };
            body["NetworkingConfig"]["EndpointsConfig"][name] = endpoint;
        }
        body
    }
}
