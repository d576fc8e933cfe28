//! The names of containers during a replacement.
//!
//! For the target `N` and the rollout `R` (its first eight digits): candidate `N.new-R`, backup
//! `N.old-R`, reject `N.bad-R`. A name with such a suffix belongs to Wharf and is never a target:
//! suffixes would accumulate (C16).

use serde_json::Value;

use super::Notes;
use super::json::text;
use crate::domain::Reason;
use crate::rollout::facts::HostFacts;

/// The name of the new container until it replaces the old one.
#[must_use]
pub fn candidate(target: &str, rollout: &str) -> String {
    format!("{target}.new-{rollout}")
}

/// The name of the old container from then on.
#[must_use]
pub fn backup(target: &str, rollout: &str) -> String {
    format!("{target}.old-{rollout}")
}

/// The name of a new container that failed.
#[must_use]
pub fn reject(target: &str, rollout: &str) -> String {
    format!("{target}.bad-{rollout}")
}

/// The target of a name of Wharf; `None` for all other names.
#[must_use]
pub fn target_of(name: &str) -> Option<&str> {
    let (target, ending) = name.rsplit_once('.')?;
    let (kind, rollout) = ending.split_once('-')?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let ours = matches!(kind, "new" | "old" | "bad")
        && rollout.len() == 8
        && rollout.bytes().all(hex)
        && !target.is_empty();
    ours.then_some(target)
}

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

pub(super) fn refuse_retained(inspect: &Value, notes: &mut Notes) {
    let name = text(&inspect["Name"]).trim_start_matches('/');
    if let Some(target) = target_of(name) {
        notes.refuse(
            Reason::RetainedContainer,
            format!(
                "{name} was left by a rollout of {target}; specify {target}, or undo that rollout"
            ),
        );
    }
}
