//! Checks whether the Engine created the new container as requested. Engines silently drop settings
//! that they do not know, such as newer ones and typos. Most differences are only warnings. A
//! missing network is always a failure: the container is not reachable there, and its health check
//! may not notice.

use super::{Run, StepError, missing, reference};
use crate::domain::Reason;
use crate::engine::Inspection;
use crate::rollout::model::{HostEvent, NewBody, Trouble};
use crate::rollout::recreate;
use crate::rollout::step::Observed;

impl Run<'_> {
    /// Records the differences; with a strict policy, they are a failure.
    pub(super) async fn compare(&mut self, seen: &Observed) -> Result<(), StepError> {
        let Some(new) = &self.task.bodies.new else {
            return Err(missing("the body of the new container is missing from the store"));
        };
        let found = self.inspect(&reference(&seen.new, "compare")?).await?;
        check_networks(new, &found)?;
        let differences = recreate::compare(&new.whole(self.new_body(new).await?), &found.json);
        if differences.is_empty() {
            return Ok(());
        }
        let text = differences.join("; ");
        self.write(HostEvent::Differs { differences }).await?;
        if self.task.policy.strict {
            return Err(StepError::Failed(Trouble::new(
                Reason::RolloutSettingsDiffer,
                format!("the Engine created it with other settings: {text}"),
            )));
        }
        Ok(())
    }
}

/// Whether the container is in all networks that it must be in.
pub(super) fn check_networks(new: &NewBody, found: &Inspection) -> Result<(), StepError> {
    match recreate::not_joined(&new.joins, &found.json) {
        None => Ok(()),
        Some(missing) => Err(StepError::Failed(Trouble::new(
            Reason::RolloutSettingsDiffer,
            format!("{missing}; it would not be reachable there"),
        ))),
    }
}
