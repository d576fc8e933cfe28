//! What to read after the log of a container has ended while it is followed. Pure.
//!
//! A rollout stops `web`, renames it to `web.old-…`, and gives its name to `web.new-…`; in between, no
//! container has the name. Other tools remove a container before they create the next one.

use std::time::Duration;

use crate::engine::{ContainerSummary, Inspection};

/// How long an Engine may take to apply a restart policy.
const RESTART: Duration = Duration::from_secs(5);
/// How long a name may belong to no container while one replaces the other.
const NAMELESS: Duration = Duration::from_secs(10);
/// How long a replacement may stand still that seems to be in progress: a pull, a gate, a pause.
const REPLACEMENT: Duration = Duration::from_secs(24 * 3600);

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The same container runs: read on.
    Same,
    /// Another container has the name: read its log.
    Other {
        /// Its full ID.
        id: String,
    },
    /// Nothing runs; give up after this time.
    Wait(Duration),
}

/// Decides what follows a container with this ID, which is followed by `name` unless it was requested
/// by ID. `found`: its inspection, if it still exists. `family`: the containers whose names begin with
/// the name, running or not.
pub fn next(
    id: &str,
    name: Option<&str>,
    found: Option<&Inspection>,
    family: &[ContainerSummary],
) -> Next {
    if found.is_some_and(|found| found.running) {
        return Next::Same;
    }
    let mut longest = Duration::ZERO;
    if found.is_some_and(restarts) {
        longest = RESTART;
    }
    let Some(name) = name else { return Next::Wait(longest) };
    let named = |wanted: &str| {
        family.iter().find(|container| container.names.iter().any(|given| given == wanted))
    };
    match named(name) {
        Some(holder) if holder.id != id && holder.state != "created" => {
            return Next::Other { id: holder.id.clone() };
        }
        // The other one is about to be started.
        Some(holder) if holder.id != id => longest = REPLACEMENT,
        Some(_) => {}
        None => longest = longest.max(NAMELESS),
    }
    let candidate =
        |given: &String| given.strip_prefix(name).is_some_and(|ending| ending.starts_with(".new-"));
    if family.iter().any(|container| container.names.iter().any(candidate)) {
        longest = REPLACEMENT;
    }
    Next::Wait(longest)
}

/// Whether the Engine may start it again by itself.
fn restarts(found: &Inspection) -> bool {
    !matches!(found.restart.name.as_str(), "" | "no")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container(id: &str, name: &str, state: &str) -> ContainerSummary {
        ContainerSummary {
            id: id.to_owned(),
            names: vec![name.to_owned()],
            state: state.to_owned(),
            ..ContainerSummary::default()
        }
    }

    fn inspected(running: bool, policy: &str) -> Inspection {
        Inspection::of(json!({
            "Id": "old", "Name": "/web", "State": {"Running": running},
            "HostConfig": {"RestartPolicy": {"Name": policy}},
        }))
    }

    #[test]
    fn a_rollout_is_followed_from_step_to_step() {
        let stopped = inspected(false, "no");
        let next = |family: &[ContainerSummary]| next("old", Some("web"), Some(&stopped), family);
        let old = |name: &str| container("old", name, "exited");
        // Stopped, renamed, and its name given to the candidate, which is then started.
        assert_eq!(
            next(&[old("web"), container("new", "web.new-1a2b3c4d", "created")]),
            Next::Wait(REPLACEMENT)
        );
        assert_eq!(
            next(&[old("web.old-1a2b3c4d"), container("new", "web.new-1a2b3c4d", "created")]),
            Next::Wait(REPLACEMENT)
        );
        assert_eq!(
            next(&[old("web.old-1a2b3c4d"), container("new", "web", "created")]),
            Next::Wait(REPLACEMENT)
        );
        assert_eq!(
            next(&[old("web.old-1a2b3c4d"), container("new", "web", "running")]),
            Next::Other { id: "new".to_owned() }
        );
        assert_eq!(next(&[container("x", "web2", "running")]), Next::Wait(NAMELESS));
    }

    #[test]
    fn a_container_that_stopped_ends_its_log_and_one_that_restarts_does_not() {
        let family = [container("old", "web", "exited")];
        let next = |name, found: &Inspection| next("old", name, Some(found), &family);
        assert_eq!(next(Some("web"), &inspected(false, "no")), Next::Wait(Duration::ZERO));
        assert_eq!(next(Some("web"), &inspected(false, "always")), Next::Wait(RESTART));
        assert_eq!(next(Some("web"), &inspected(true, "no")), Next::Same);
        assert_eq!(next(None, &inspected(false, "no")), Next::Wait(Duration::ZERO));
    }

    #[test]
    fn one_that_was_requested_by_id_has_no_successor() {
        let family = [container("new", "web", "running")];
        assert_eq!(next("old", None, None, &family), Next::Wait(Duration::ZERO));
        assert_eq!(next("old", Some("web"), None, &family), Next::Other { id: "new".to_owned() });
    }
}
