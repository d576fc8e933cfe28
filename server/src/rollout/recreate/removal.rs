//! A container whose removal has begun: the Engine lets nothing else be done with it.

use super::Notes;
use crate::domain::Reason;
use crate::engine::ContainerFacts;
use crate::engine::inspection::Status;
use crate::rollout::model::Trouble;

/// Why a container cannot be replaced that is being removed, or whose removal failed: it can be
/// neither started again nor updated, so there would be no way back.
#[must_use]
pub fn being_removed(old: &ContainerFacts) -> Option<Trouble> {
    let name = &old.name;
    let message = match old.status {
        Status::Dead => format!(
            "{name} is dead: its removal has failed, and its Engine only lets it be removed; remove \
             it (wharf rm --force), or leave the host out"
        ),
        Status::Removing => {
            format!("{name} is being removed; try again when it is gone, or leave the host out")
        }
        _ => return None,
    };
    Some(Trouble::new(Reason::RemovalInProgress, message))
}

pub(super) fn refuse(old: &ContainerFacts, notes: &mut Notes) {
    notes.refusals.extend(being_removed(old));
}
