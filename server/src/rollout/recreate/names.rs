//! The names that containers have while one takes the place of another.
//!
//! For the target `N` and the rollout `R` (its first eight digits): candidate `N.new-R`, backup
//! `N.old-R`, reject `N.bad-R`. A name that ends so is ours, and never a target: prefixes would
//! pile up (C16).

use serde_json::Value;

use super::Notes;
use super::json::text;
use crate::domain::{ContainerName, Reason};
use crate::rollout::facts::HostFacts;

/// The name of the new container until it takes the place of the old one.
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

/// The target that a name of ours belongs to; `None` for all other names.
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

/// Why no rollout can replace the container of a name: the names that it would have meanwhile, which
/// are all of one length, would be too long.
#[must_use]
pub fn too_long(target: &str) -> Option<String> {
    let longest = ContainerName::LONGEST - candidate("", "00000000").len();
    (target.len() > longest).then(|| {
        format!(
            "a rollout needs names such as NAME.new-1a2b3c4d, which would be longer than {} \
             characters here: rename the container to at most {longest} characters",
            ContainerName::LONGEST
        )
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leaves_room_for_those_of_a_rollout() {
        for (length, fits) in [(2, true), (242, true), (243, false), (255, false)] {
            let target = "n".repeat(length);
            let made = [candidate, backup, reject].map(|name| name(&target, "1a2b3c4d"));
            assert!(made.iter().all(|it| ContainerName::parse(it).is_ok() == fits), "{length}");
            assert_eq!(too_long(&target).is_none(), fits, "{length}");
        }
        let why = too_long(&"n".repeat(250)).unwrap();
        assert!(why.contains("at most 242") && !why.contains("nnn"), "{why}");
    }
}
