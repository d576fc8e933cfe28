//! How many rollouts that have ended are remembered. `sweeper` forgets the others, with all that
//! was written down of them.
//!
//! Pure.

use std::collections::BTreeSet;

use super::model::{Millis, RolloutId};

/// A rollout that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub id: RolloutId,
    /// When it ended.
    pub at: Millis,
    /// Whether it changed no host because all were up to date. Pipelines create many of these,
    /// which must not displace rollouts that changed something.
    pub is_idle: bool,
}

/// The rollouts beyond the newest `most`, oldest first, except those that are still needed. Idle
/// ones are counted separately.
#[must_use]
pub fn beyond(
    ended: impl IntoIterator<Item = Ended>,
    most: usize,
    needed: &BTreeSet<RolloutId>,
) -> Vec<RolloutId> {
    let mut ended: Vec<_> = ended.into_iter().collect();
    ended.sort_by_key(|rollout| (rollout.at, rollout.id));
    let all = |is_idle| ended.iter().filter(|rollout| rollout.is_idle == is_idle).count();
    let mut excess = [false, true].map(|is_idle| all(is_idle).saturating_sub(most));
    ended.retain(|rollout| {
        let excess = &mut excess[usize::from(rollout.is_idle)];
        let is_beyond = *excess > 0;
        *excess = excess.saturating_sub(1);
        is_beyond && !needed.contains(&rollout.id)
    });
    ended.into_iter().map(|rollout| rollout.id).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> RolloutId {
        RolloutId(Uuid::from_u128(number))
    }

    fn ended(number: u128, at: u64) -> Ended {
        Ended { id: id(number), at: Millis(at), is_idle: false }
    }

    fn none() -> BTreeSet<RolloutId> {
        BTreeSet::new()
    }

    #[test]
    fn the_newest_by_their_end_stay() {
        let four = [ended(1, 40), ended(2, 10), ended(3, 30), ended(4, 20)];
        assert_eq!(beyond(four, 4, &none()), []);
        assert_eq!(beyond(four, 2, &none()), [id(2), id(4)]);
        assert_eq!(beyond(four, 0, &none()), [id(2), id(4), id(3), id(1)]);
        // Breaks ties between two that ended at the same time.
        assert_eq!(beyond([ended(2, 5), ended(1, 5)], 1, &none()), [id(1)]);
    }

    #[test]
    fn what_is_needed_stays_and_takes_no_place_of_a_newer_one() {
        let four = [ended(1, 10), ended(2, 20), ended(3, 30), ended(4, 40)];
        assert_eq!(beyond(four, 2, &BTreeSet::from([id(1)])), [id(2)]);
        assert_eq!(beyond(four, 2, &BTreeSet::from([id(4)])), [id(1), id(2)]);
    }

    #[test]
    fn idle_ones_push_no_others_out() {
        let idle = |number, at| Ended { is_idle: true, ..ended(number, at) };
        let five = [ended(1, 10), idle(2, 20), idle(3, 30), ended(4, 40), idle(5, 50)];
        assert_eq!(beyond(five, 2, &none()), [id(2)]);
        assert_eq!(beyond(five, 1, &none()), [id(1), id(2), id(3)]);
    }
}
