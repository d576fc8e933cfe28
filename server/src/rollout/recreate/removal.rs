//! A container that is being removed: the Engine permits no other operation.

use super::Notes;
use crate::domain::Reason;
use crate::engine::ContainerFacts;
use crate::engine::inspection::Status;
use crate::rollout::model::Trouble;

/// Why a container cannot be replaced while it is being removed, or after its removal failed: it
/// can be neither started nor updated, so a rollback would be impossible.
#[must_use]
pub fn being_removed(old: &ContainerFacts) -> Option<Trouble> {
    let name = &old.name;
    let message = match old.status {
        Status::Dead => format!(
            "{name} is dead: an earlier removal failed, and nothing but removal is possible; remove \
             it (wharf rm --force), or exclude the host"
        ),
        Status::Removing => {
            format!("{name} is being removed; retry when it is gone, or exclude the host")
        }
        _ => return None,
    };
    Some(Trouble::new(Reason::RemovalInProgress, message))
}

pub(super) fn refuse(old: &ContainerFacts, notes: &mut Notes) {
    notes.refusals.extend(being_removed(old));
}
