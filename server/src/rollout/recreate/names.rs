//! Names that a rollout needs and others have, or that an earlier rollout gave (C16).

use super::Notes;
use crate::domain::{ContainerName, Reason};
use crate::engine::Inspection;
use crate::rollout::facts::HostFacts;
use crate::rollout::model::names::{backup, candidate, reject, target_of};

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
