//! Names that a rollout needs and others have, or that an earlier rollout gave (C16).

use super::Notes;
use crate::domain::Reason;
use crate::engine::Inspection;
use crate::rollout::facts::HostFacts;
use crate::rollout::model::names::{backup, candidate, reject, target_of};

/// Which of the names that a rollout needs are taken by containers on the host: name and ID.
#[must_use]
pub fn taken(host: &HostFacts, target: &str, rollout: &str) -> Vec<(String, String)> {
    let needed = [candidate(target, rollout), backup(target, rollout), reject(target, rollout)];
    let on_host = host.containers.iter();
    on_host
        .filter(|container| needed.contains(&container.name))
        .map(|container| (container.name.clone(), container.id.clone()))
        .collect()
}

pub(super) fn refuse_retained(inspect: &Inspection, notes: &mut Notes) {
    let name = &inspect.name;
    if let Some(target) = target_of(name) {
        notes.refuse(
            Reason::RetainedContainer,
            format!(
                "{name} was left by a rollout of {target}; specify {target}, or undo that rollout"
            ),
        );
    }
}
