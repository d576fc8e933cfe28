//! Rollouts of a `wharfd` with another store. Nothing keeps them apart from those of this one: what
//! they are doing shows only on the host.

use std::collections::BTreeSet;

use crate::domain::Reason;
use crate::rollout::facts::HostFacts;
use crate::rollout::journal::{Journal, JournalError};
use crate::rollout::model::Trouble;
use crate::rollout::model::names::target_of;

/// Seconds for which a container of an unknown rollout may be in the middle of being replaced: the
/// time of a gate, and as much again.
const UNDER_WAY: i64 = 600;

/// The rollouts that this store knows, as labels have them.
pub(super) async fn known(journal: &dyn Journal) -> Result<BTreeSet<String>, JournalError> {
    Ok(journal.list().await?.into_iter().map(|it| it.id.to_string()).collect())
}

/// Why the container may be in the hands of another `wharfd`; `None` where nothing shows it.
pub(super) fn at_work(
    host: &HostFacts,
    container: &str,
    known: &BTreeSet<String>,
) -> Option<Trouble> {
    let now = host.now?;
    let mut made = host.made.iter().filter(|it| {
        let is_its = it.name == container || target_of(&it.name) == Some(container);
        is_its && !known.contains(&it.rollout) && now - it.created < UNDER_WAY
    });
    let found = made.next()?;
    let minutes = UNDER_WAY / 60;
    let message = format!(
        "{} was created {} seconds ago by rollout {}, which this wharfd does not know: another wharfd \
         may be replacing {container} now. Use that one, or wait until {} is {minutes} minutes old",
        found.name,
        now - found.created,
        found.rollout.get(..8).unwrap_or(&found.rollout),
        found.name,
    );
    Some(Trouble::new(Reason::RolloutActive, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::facts::MadeContainer;
    use crate::rollout::recreate::tests::bodies;

    const OTHER: &str = "1a2b3c4d-0000-4000-8000-000000000000";

    fn found(name: &str, age: i64, known: &[&str]) -> Option<String> {
        let (name, rollout) = (name.to_owned(), OTHER.to_owned());
        let made = vec![MadeContainer { name, rollout, created: 1_000_000 - age }];
        let host = HostFacts { made, now: Some(1_000_000), ..bodies::host(41) };
        let known = known.iter().map(|&it| it.to_owned()).collect();
        at_work(&host, "web", &known).map(|trouble| {
            assert_eq!(trouble.reason, Reason::RolloutActive);
            trouble.message
        })
    }

    #[test]
    fn what_another_wharfd_just_made_is_left_to_it() {
        for name in ["web", "web.new-1a2b3c4d", "web.old-1a2b3c4d", "web.bad-1a2b3c4d"] {
            let why = found(name, 3, &[]).unwrap();
            assert!(why.starts_with(&format!("{name} was created 3 seconds ago")), "{why}");
            assert!(why.contains("rollout 1a2b3c4d, which this wharfd does not know"), "{why}");
            assert_eq!(found(name, 3, &[OTHER]), None, "it is of this store");
            assert_eq!(found(name, 3600, &[]), None, "its rollout has long ended");
        }
        assert_eq!(found("web2", 3, &[]), None);
        assert_eq!(found("web2.new-1a2b3c4d", 3, &[]), None);
        let silent = HostFacts { now: None, ..bodies::host(41) };
        assert_eq!(at_work(&silent, "web", &BTreeSet::new()), None, "nobody knows how old it is");
    }
}
