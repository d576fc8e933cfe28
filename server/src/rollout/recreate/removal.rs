//! A container that is being removed: the Engine permits no other operation.

use serde_json::Value;

use super::Notes;
use super::json::text;
use crate::domain::Reason;
use crate::rollout::model::Trouble;

/// Why a container cannot be replaced while it is being removed, or after its removal failed: it
/// can be neither started nor updated, so a rollback would be impossible.
#[must_use]
pub fn being_removed(inspect: &Value) -> Option<Trouble> {
    let (state, name) = (&inspect["State"], text(&inspect["Name"]).trim_start_matches('/'));
    let message = if state["Dead"] == true || state["Status"] == "dead" {
        format!(
            "{name} is dead: an earlier removal failed, and nothing but removal is possible; remove \
             it (wharf rm --force), or exclude the host"
        )
    } else if state["Status"] == "removing" {
        format!("{name} is being removed; retry when it is gone, or exclude the host")
    } else {
        return None;
    };
    Some(Trouble::new(Reason::RemovalInProgress, message))
}

pub(super) fn refuse(inspect: &Value, notes: &mut Notes) {
    notes.refusals.extend(being_removed(inspect));
}
