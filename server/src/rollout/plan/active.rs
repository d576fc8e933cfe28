//! A plan during another rollout would see containers in the middle of their replacement.

use crate::domain::{ContainerName, HostName};
use crate::rollout::journal::{Journal, JournalError, OpenRollout, open_rollouts};
use crate::rollout::requests::RolloutError;

/// [`JournalError::Locked`] if a rollout that has not ended claims `container` on one of the
/// hosts, including hosts that its later waves have not reached.
pub async fn refuse_active(
    journal: &dyn Journal,
    container: &ContainerName,
    is_host: impl Fn(&HostName) -> bool,
) -> Result<(), RolloutError> {
    for OpenRollout { id: by, plan, .. } in open_rollouts(journal).await? {
        let meets =
            |(host, name): &(&HostName, &ContainerName)| *name == container && is_host(host);
        if let Some((host, _)) = plan.containers().find(meets) {
            let (host, container) = (host.clone(), container.clone());
            return Err(JournalError::Locked { host, container, by }.into());
        }
    }
    Ok(())
}
