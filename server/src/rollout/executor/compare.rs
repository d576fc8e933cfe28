//! Whether the Engine made of the new container what it was asked for. Engines take settings
//! that they do not know and drop them without a word: those of a newer version, and slips.
//! Most of them are told and go on. A network that is missing is a failure whatever the policy
//! says: nothing reaches such a container there, and its health check may not notice.

use super::{Run, StepError, missing, reference};
use crate::engine::Inspection;
use crate::rollout::model::{HostEvent, NewBody, Trouble};
use crate::rollout::reason;
use crate::rollout::recreate;
use crate::rollout::step::Observed;

impl Run<'_> {
    /// Writes the differences down; where the policy is strict, they are a failure.
    pub(super) async fn compare(&mut self, seen: &Observed) -> Result<(), StepError> {
        let Some(new) = &self.task.bodies.new else {
            return Err(missing("the body of the new container is not in the store"));
        };
        let found = self.inspect(&reference(&seen.new, "compare")?).await?;
        check_networks(new, &found)?;
        let differences = recreate::compare(&new.whole(self.new_body(new).await?), &found.json);
        if differences.is_empty() {
            return Ok(());
        }
        let told = differences.join("; ");
        self.write(HostEvent::Differs { differences }).await?;
        if self.task.policy.strict {
            return Err(StepError::Failed(Trouble::new(
                reason::SETTINGS_DIFFER,
                format!("the Engine made something else of it: {told}"),
            )));
        }
        Ok(())
    }
}

/// Whether the container is in all networks that it must be in.
pub(super) fn check_networks(new: &NewBody, found: &Inspection) -> Result<(), StepError> {
    match recreate::not_joined(&new.joins, &found.json) {
        None => Ok(()),
        Some(told) => Err(StepError::Failed(Trouble::new(
            reason::SETTINGS_DIFFER,
            format!("{told}; nothing would reach it there"),
        ))),
    }
}
