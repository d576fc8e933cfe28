//! Settings that a rollout removes from what is there.

use super::Notes;
use super::json::Object;
use crate::body::unset::{read, remove};
use crate::body::violation::FieldViolation;
use crate::domain::Reason;

/// The violations of a list of settings to be removed; needs no host.
#[must_use]
pub fn check_unset(paths: &[String]) -> Vec<FieldViolation> {
    paths
        .iter()
        .enumerate()
        .filter_map(|(index, path)| {
            let description = read(path).err()?;
            Some(FieldViolation { field: format!("change.unset[{index}]"), description })
        })
        .collect()
}

/// Removes the settings from the body. A missing one is a risk, not an error: other hosts of the
/// fleet may have it.
pub(super) fn apply(body: &mut Object, paths: &[String], notes: &mut Notes) {
    for violation in check_unset(paths) {
        notes.refuse(Reason::InvalidField, violation.to_string());
    }
    for path in paths {
        if let Ok((setting, entry)) = read(path)
            && !remove(body, setting, entry)
        {
            notes.risk(format!(
                "unset {path}: the container does not set it (what its image sets cannot be unset)"
            ));
        }
    }
}
