//! Random policies and outcomes. The harness asserts what holds at every moment.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::harness::{Fleet, Outcome, Script};
use crate::domain::HostName;
use crate::rollout::model::*;
use crate::rollout::spec::*;
use crate::rollout::state::tests::values::{host, plan};

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![(0..5_u32).prop_map(Amount::Count), (0..=100_u32).prop_map(Amount::Percent)]
}

fn policies() -> impl Strategy<Value = Policy> {
    let on_failure = prop_oneof![
        Just(OnFailure::Pause),
        Just(OnFailure::Rollback),
        Just(OnFailure::Continue),
        Just(OnFailure::Abort),
    ];
    let scope = prop_oneof![
        Just(RollbackScope::All),
        Just(RollbackScope::Wave),
        Just(RollbackScope::Failed)
    ];
    let on_unreachable = prop_oneof![
        Just(OnUnreachable::Wait),
        Just(OnUnreachable::Skip),
        Just(OnUnreachable::Fail)
    ];
    let amounts =
        (amount(), prop::option::of(amount()), amount(), prop::option::of(amount()), amount());
    let canary = (any::<bool>(), any::<bool>());
    let times = (0..40_u64, prop_oneof![Just(0_u64), 1..90_u64]);
    (amounts, on_failure, scope, on_unreachable, canary, times).prop_map(
        |(amounts, on_failure, rollback_scope, on_unreachable, canary, times)| Policy {
            max_parallel: amounts.0,
            max_unavailable: amounts.1,
            max_failures: amounts.2,
            rollback_parallel: amounts.3,
            max_unreachable: amounts.4,
            on_failure,
            rollback_scope,
            on_unreachable,
            canary: canary.0.then_some(Amount::Count(1)),
            promote: if canary.1 { Promote::Manual } else { Promote::Auto },
            delay: Duration::from_secs(times.0),
            bake: Duration::from_secs(times.1),
            ..Policy::default()
        },
    )
}

fn outcomes() -> impl Strategy<Value = VecDeque<Outcome>> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Good),
        2 => Just(Outcome::Fails),
        2 => Just(Outcome::Silent),
        1 => Just(Outcome::Stuck),
    ];
    prop::collection::vec(outcome, 0..3).prop_map(VecDeque::from)
}

fn scripts() -> impl Strategy<Value = Script> {
    (outcomes(), outcomes(), outcomes(), outcomes())
        .prop_map(|(pull, forward, watch, roll_back)| Script { pull, forward, watch, roll_back })
}

/// An old container that Compose would count.
fn of_compose() -> OldFacts {
    OldFacts { compose_project: Some("shop".to_owned()), ..OldFacts::default() }
}

fn fleets() -> impl Strategy<Value = Fleet> {
    let answer = prop_oneof![
        3 => any::<bool>().prop_map(|retry_failed| Control::Resume { retry_failed }),
        1 => Just(Control::Abort),
    ];
    let answers = prop::collection::vec(answer, 0..6);
    let crash = prop::option::of(2..6_u32);
    let hosts = prop::collection::vec((0..3_usize, any::<bool>(), any::<bool>(), scripts()), 0..9);
    (policies(), hosts, answers, crash, 1..60_u64).prop_map(
        |(policy, hosts, answers, crash_every, takes)| {
            let mut waves: Vec<Vec<HostName>> = vec![Vec::new(); 3];
            let mut known = Vec::new();
            for (number, (wave, unhealthy, compose, script)) in hosts.into_iter().enumerate() {
                let name = host(&format!("h{number}"));
                waves[wave].push(name.clone());
                known.push((name, unhealthy, compose, script));
            }
            waves.retain(|wave| !wave.is_empty());
            let names: Vec<Vec<&str>> =
                waves.iter().map(|wave| wave.iter().map(HostName::as_str).collect()).collect();
            let slices: Vec<&[&str]> = names.iter().map(Vec::as_slice).collect();
            let mut planned = plan(&slices);
            for (name, unhealthy, compose, _) in &known {
                let host = planned.hosts.get_mut(name).unwrap();
                host.unhealthy = *unhealthy;
                host.old = compose.then(of_compose);
            }
            let mut fleet = Fleet::new(planned, policy);
            fleet.scripts = known.into_iter().map(|(name, _, _, script)| (name, script)).collect();
            fleet.answers = answers.into();
            fleet.crash_every = crash_every;
            fleet.takes = takes * 1_000;
            fleet
        },
    )
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:#?} {:?} {:#?}", self.state.policy, self.answers, self.scripts)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_rollout_ends_as_its_policy_says(mut fleet in fleets()) {
        let end = fleet.run();
        let state = &fleet.state;
        let ends = |wanted: fn(&HostEnd) -> bool| {
            state.hosts.values().filter_map(|host| host.end.as_ref()).filter(|end| wanted(end)).count()
        };
        let committed = ends(|end| *end == HostEnd::Committed);
        match end {
            Phase::Succeeded => prop_assert_eq!(committed, state.size()),
            Phase::RolledBack => {
                prop_assert_eq!(committed, 0);
                prop_assert_eq!(state.policy.on_failure, OnFailure::Rollback);
            }
            Phase::Failed => prop_assert!(state.reason.is_some()),
            Phase::Aborted => {}
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
