use std::time::Duration;

use super::harness::{Fleet, Outcome};
use crate::domain::Reason;
use crate::rollout::model::*;
use crate::rollout::spec::*;
use crate::rollout::state::tests::values::{host, host_plan, plan};

const SIX: &[&[&str]] = &[&["a1", "a2", "a3", "a4", "a5", "a6"]];
const WAVES: &[&[&str]] = &[&["a1"], &["b1", "b2"], &["c1", "c2", "c3"]];
const STUCK: Outcome = Outcome::Stuck;

fn quick() -> Policy {
    Policy { monitor: Duration::ZERO, ..Policy::default() }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn resume(retry_failed: bool) -> Control {
    Control::Resume { retry_failed }
}

#[test]
fn one_at_a_time_after_all_images_are_there() {
    let mut fleet = Fleet::new(plan(SIX), quick());
    assert_eq!(fleet.run(), Phase::Succeeded);
    assert_eq!(fleet.most_at_work, 1);
    assert_eq!(fleet.order_of(Work::Forward), SIX[0]);
    let works: Vec<_> = fleet.begun.iter().map(|(_, _, work)| *work).collect();
    assert_eq!(works[..6], [Work::Pull; 6]);
    let pulls: Vec<_> = fleet.begun.iter().take(6).map(|(at, _, _)| *at).collect();
    assert!(pulls.iter().all(|at| *at == pulls[0]), "images go to all at once");
}

#[test]
fn the_window_slides() {
    let policy = Policy { max_parallel: Amount::Percent(50), ..quick() };
    let mut fleet = Fleet::new(plan(SIX), policy);
    assert_eq!(fleet.run(), Phase::Succeeded);
    assert_eq!(fleet.most_at_work, 3);
}

#[test]
fn a_wave_begins_when_the_one_before_is_done_and_baked() {
    let bake = seconds(60);
    let policy = Policy { max_parallel: Amount::Percent(100), bake, ..quick() };
    let mut fleet = Fleet::new(plan(WAVES), policy);
    assert_eq!(fleet.run(), Phase::Succeeded);
    let at = |name: &str| {
        let begun =
            fleet.begun.iter().find(|(_, host, work)| host == name && *work == Work::Forward);
        begun.unwrap().0
    };
    assert!(at("b1") >= at("a1") + 20_000 + 60_000);
    assert_eq!(at("b1"), at("b2"));
    assert!(at("c1") >= at("b1") + 20_000 + 60_000);
    let watched = fleet.order_of(Work::Watch);
    assert_eq!(watched.len(), 1 + 3 + 6, "earlier waves are watched too");
}

#[test]
fn a_failure_while_a_wave_bakes_counts() {
    let policy = Policy { bake: seconds(60), ..quick() };
    let mut fleet = Fleet::new(plan(WAVES), policy);
    fleet.script("a1").watch.push_back(Outcome::Fails);
    fleet.answers.push_back(resume(true));
    assert_eq!(fleet.run(), Phase::Succeeded);
    assert_eq!(fleet.pauses, [PauseCause::Budget]);
    assert_eq!(fleet.order_of(Work::Forward)[..3], ["a1", "a1", "b1"]);
}

#[test]
fn the_first_failure_pauses_and_the_host_is_restored() {
    let mut fleet = Fleet::new(plan(SIX), quick());
    fleet.script("a2").forward.push_back(Outcome::Fails);
    assert_eq!(fleet.run(), Phase::Aborted);
    assert_eq!(fleet.pauses, [PauseCause::Budget]);
    assert_eq!(fleet.order_of(Work::Forward), ["a1", "a2"]);
    assert_eq!(*fleet.end_of("a2"), HostEnd::Restored);
}

#[test]
fn a_resume_goes_on_without_the_failed_or_with_them() {
    for retry in [false, true] {
        let mut fleet = Fleet::new(plan(SIX), quick());
        fleet.script("a2").forward.push_back(Outcome::Fails);
        fleet.answers.push_back(resume(retry));
        let end = fleet.run();
        assert_eq!(end, if retry { Phase::Succeeded } else { Phase::Failed });
        assert_eq!(fleet.order_of(Work::Forward).len(), 6 + usize::from(retry));
        let reason = fleet.state.reason.as_ref().map(|trouble| trouble.reason);
        assert_eq!(reason, (!retry).then_some(Reason::RolloutIncomplete));
    }
}

#[test]
fn without_a_new_budget_the_next_failure_pauses_again() {
    let mut fleet = Fleet::new(plan(SIX), Policy { max_failures: Amount::Count(1), ..quick() });
    for name in ["a1", "a2", "a4"] {
        fleet.script(name).forward.push_back(Outcome::Fails);
    }
    fleet.answers.extend([resume(false), resume(false)]);
    assert_eq!(fleet.run(), Phase::Failed);
    assert_eq!(fleet.pauses, [PauseCause::Budget, PauseCause::Budget]);
}

#[test]
fn a_budget_puts_up_with_as_many_as_it_says() {
    let max_failures = Amount::Percent(34);
    let mut fleet = Fleet::new(plan(SIX), Policy { max_failures, ..quick() });
    for name in ["a1", "a2"] {
        fleet.script(name).forward.push_back(Outcome::Fails);
    }
    assert_eq!(fleet.run(), Phase::Failed);
    assert_eq!(fleet.pauses, []);
    assert_eq!(fleet.order_of(Work::Forward).len(), 6);
}

#[test]
fn a_rollback_puts_back_the_last_first() {
    let on_failure = OnFailure::Rollback;
    let mut fleet = Fleet::new(plan(WAVES), Policy { on_failure, ..quick() });
    fleet.script("c2").forward.push_back(Outcome::Fails);
    assert_eq!(fleet.run(), Phase::RolledBack);
    assert_eq!(fleet.order_of(Work::RollBack), ["c1", "b2", "b1", "a1"]);
    assert_eq!(fleet.state.reason.as_ref().unwrap().reason, Reason::RolloutBudgetExceeded);
    assert_eq!(*fleet.end_of("c2"), HostEnd::Restored);
    assert_eq!(fleet.state.hosts[&host("c3")].end, None, "it was never begun");
}

#[test]
fn the_scope_of_a_rollback_is_kept() {
    for (rollback_scope, back, end) in [
        (RollbackScope::Failed, &[][..], Phase::Failed),
        (RollbackScope::Wave, &["c1"][..], Phase::Failed),
        (RollbackScope::All, &["c1", "b2", "b1", "a1"][..], Phase::RolledBack),
    ] {
        let on_failure = OnFailure::Rollback;
        let policy = Policy { on_failure, rollback_scope, ..quick() };
        let mut fleet = Fleet::new(plan(WAVES), policy);
        fleet.script("c2").forward.push_back(Outcome::Fails);
        assert_eq!(fleet.run(), end, "{rollback_scope:?}");
        assert_eq!(fleet.order_of(Work::RollBack), back, "{rollback_scope:?}");
    }
}

#[test]
fn a_rollback_that_fails_waits_for_a_person() {
    for (retry, end) in [(true, Phase::RolledBack), (false, Phase::Failed)] {
        let on_failure = OnFailure::Rollback;
        let mut fleet = Fleet::new(plan(WAVES), Policy { on_failure, ..quick() });
        fleet.script("b2").forward.push_back(Outcome::Fails);
        fleet.script("b1").roll_back.push_back(STUCK);
        fleet.answers.push_back(resume(retry));
        assert_eq!(fleet.run(), end);
        assert_eq!(fleet.pauses, [PauseCause::NeedsAttention]);
        assert_eq!(*fleet.end_of("a1"), HostEnd::RolledBack);
        assert_eq!(*fleet.end_of("b2"), HostEnd::Restored);
    }
}

#[test]
fn an_abort_by_policy_leaves_the_mix() {
    let policy = Policy { on_failure: OnFailure::Abort, max_parallel: Amount::Count(2), ..quick() };
    let mut fleet = Fleet::new(plan(SIX), policy);
    fleet.script("a2").forward.push_back(Outcome::Fails);
    assert_eq!(fleet.run(), Phase::Aborted);
    assert_eq!(*fleet.end_of("a1"), HostEnd::Committed);
    assert_eq!(fleet.state.reason.as_ref().unwrap().reason, Reason::RolloutBudgetExceeded);
}

#[test]
fn with_continue_everything_is_tried() {
    let mut fleet = Fleet::new(plan(SIX), Policy { on_failure: OnFailure::Continue, ..quick() });
    for name in SIX[0] {
        fleet.script(name).forward.push_back(Outcome::Fails);
    }
    assert_eq!(fleet.run(), Phase::Failed);
    assert_eq!(fleet.order_of(Work::Forward).len(), 6);
}

#[test]
fn what_needs_a_person_pauses_whatever_the_policy_says() {
    for on_failure in [OnFailure::Continue, OnFailure::Rollback, OnFailure::Abort] {
        let mut fleet = Fleet::new(plan(SIX), Policy { on_failure, ..quick() });
        fleet.script("a2").forward.push_back(STUCK);
        fleet.answers.push_back(resume(true));
        fleet.run();
        // The failure is known before its restore is, and the policy acts on that.
        let first = fleet.pauses.first().copied();
        assert_eq!(first == Some(PauseCause::NeedsAttention), on_failure != OnFailure::Abort);
    }
}

#[test]
fn a_pause_becomes_one_for_a_person_when_the_way_back_fails() {
    let mut fleet = Fleet::new(plan(SIX), quick());
    fleet.script("a1").forward.push_back(Outcome::Stuck);
    fleet.answers.push_back(resume(true));
    assert_eq!(fleet.run(), Phase::Succeeded);
    assert_eq!(fleet.pauses, [PauseCause::Budget, PauseCause::NeedsAttention]);
}

#[test]
fn the_canary_waits_for_its_promotion() {
    let policy = Policy { canary: Some(Amount::Count(1)), promote: Promote::Manual, ..quick() };
    let mut fleet = Fleet::new(plan(WAVES), policy.clone());
    assert_eq!(fleet.run(), Phase::Succeeded);
    assert_eq!(fleet.pauses, [PauseCause::Promotion]);
    let mut alone = Fleet::new(plan(&[&["a1"]]), policy);
    assert_eq!(alone.run(), Phase::Succeeded);
    assert_eq!(alone.pauses, [], "after it there is nothing to promote to");
}

#[test]
fn delay_keeps_a_place_of_the_window_empty() {
    let delay = seconds(30);
    let policy = Policy { delay, max_parallel: Amount::Count(2), ..quick() };
    let mut fleet = Fleet::new(plan(SIX), policy);
    assert_eq!(fleet.run(), Phase::Succeeded);
    let times: Vec<_> = fleet
        .begun
        .iter()
        .filter(|(_, _, work)| *work == Work::Forward)
        .map(|(at, _, _)| *at)
        .collect();
    let first = times[0];
    let places: Vec<_> = times.iter().map(|at| (at - first) / 1_000).collect();
    assert_eq!(places, [0, 0, 50, 50, 100, 100]);
}

#[test]
fn bad_targets_use_up_what_may_be_unavailable_and_go_first() {
    let mut planned = plan(SIX);
    for name in ["a5", "a6"] {
        planned.hosts.get_mut(&host(name)).unwrap().unhealthy = true;
    }
    let policy = Policy {
        max_parallel: Amount::Count(4),
        max_unavailable: Some(Amount::Count(2)),
        ..quick()
    };
    let mut fleet = Fleet::new(planned.clone(), policy.clone());
    assert_eq!(fleet.run(), Phase::Succeeded);
    assert_eq!(fleet.order_of(Work::Forward), ["a5", "a6", "a1", "a2", "a3", "a4"]);
    assert_eq!(fleet.most_at_work, 2);
    let policy = Policy { max_failures: Amount::Count(2), ..policy };
    let mut fleet = Fleet::new(planned, policy);
    for name in ["a5", "a6"] {
        fleet.script(name).forward.push_back(Outcome::Fails);
    }
    fleet.answers.push_back(resume(false));
    assert_eq!(fleet.run(), Phase::Failed);
    assert_eq!(fleet.pauses, [PauseCause::Progress], "two are still down: no other is touched");
}

#[test]
fn hosts_that_do_not_answer_are_waited_for() {
    let mut fleet = Fleet::new(plan(SIX), quick());
    fleet.script("a1").pull.extend([Outcome::Silent; 3]);
    fleet.script("a2").forward.extend([Outcome::Silent; 3]);
    assert_eq!(fleet.run(), Phase::Succeeded);
    let order = fleet.order_of(Work::Forward);
    assert_eq!(order.first(), Some(&"a1"));
    assert_eq!(order.iter().filter(|name| **name == "a2").count(), 4);
    assert!(order.iter().rposition(|name| *name == "a2").unwrap() > 4, "others go on meanwhile");
}

#[test]
fn a_host_that_never_answers_is_a_standstill() {
    let mut fleet = Fleet::new(plan(SIX), quick());
    fleet.script("a3").forward.extend([Outcome::Silent; 1_000]);
    assert_eq!(fleet.run(), Phase::Aborted);
    assert_eq!(fleet.pauses, [PauseCause::Progress]);
    let mut fleet = Fleet::new(plan(SIX), quick());
    fleet.script("a3").pull.extend([Outcome::Silent; 1_000]);
    assert_eq!(fleet.run(), Phase::Aborted);
    assert_eq!(fleet.pauses, [PauseCause::Progress]);
    assert_eq!(fleet.order_of(Work::Forward), [""; 0], "nothing is touched without all images");
}

#[test]
fn hosts_that_do_not_answer_are_skipped_or_count() {
    let with = |on_unreachable, max_unreachable| {
        let policy = Policy { on_unreachable, max_unreachable, ..quick() };
        let mut fleet = Fleet::new(plan(SIX), policy);
        fleet.script("a1").pull.push_back(Outcome::Silent);
        fleet.script("a2").forward.push_back(Outcome::Silent);
        let end = fleet.run();
        (end, fleet.pauses)
    };
    let (none, two) = (Amount::Count(0), Amount::Count(2));
    assert_eq!(with(OnUnreachable::Skip, two), (Phase::Failed, vec![]));
    let too_many = (Phase::Aborted, vec![PauseCause::Unreachable]);
    assert_eq!(with(OnUnreachable::Skip, none), too_many);
    let failed = (Phase::Aborted, vec![PauseCause::Budget]);
    assert_eq!(with(OnUnreachable::Fail, two), failed);
}

#[test]
fn a_host_with_another_image_is_not_touched() {
    let mut planned = plan(SIX);
    planned.image.as_mut().unwrap().digest = Some("sha256:planned".to_owned());
    let mut fleet = Fleet::new(planned, Policy { max_failures: Amount::Count(1), ..quick() });
    assert_eq!(fleet.run(), Phase::Succeeded, "no digest is told: nothing to compare");
    let state = {
        let mut state = Fleet::new((*fleet.state.plan).clone(), quick()).state;
        for (name, digest) in [("a1", "sha256:planned"), ("a2", "sha256:other")] {
            state.hosts.get_mut(&host(name)).unwrap().pulled =
                Some(crate::rollout::state::Pulled {
                    image_id: "sha256:2".to_owned(),
                    digest: Some(digest.to_owned()),
                });
        }
        state
    };
    let records = super::super::hosts::with_another_image(&state);
    assert_eq!(records.len(), 2, "{records:?}");
    let shown = format!("{records:?}");
    assert!(shown.contains("a2") && shown.contains("RolloutImageDiffers"), "{shown}");
}

#[test]
fn nothing_to_do_succeeds_at_once() {
    let mut empty = plan(&[]);
    let reason = "there already".to_owned();
    empty.hosts.insert(host("s1"), host_plan(TargetKind::Skip { reason }));
    let mut fleet = Fleet::new(empty, quick());
    assert_eq!(fleet.run(), Phase::Succeeded);
    assert_eq!(fleet.begun, []);
}

#[test]
fn without_a_new_image_nothing_is_pulled() {
    let mut planned = plan(SIX);
    planned.image = None;
    let mut fleet = Fleet::new(planned, quick());
    assert_eq!(fleet.run(), Phase::Succeeded);
    assert_eq!(fleet.order_of(Work::Pull), [""; 0]);
}

#[test]
fn a_crash_changes_neither_attempts_nor_the_end() {
    let policy = Policy { bake: seconds(60), max_parallel: Amount::Count(2), ..quick() };
    let mut whole = Fleet::new(plan(WAVES), policy.clone());
    let mut broken = Fleet::new(plan(WAVES), policy);
    broken.crash_every = Some(2);
    for fleet in [&mut whole, &mut broken] {
        fleet.script("b1").forward.push_back(Outcome::Fails);
        fleet.answers.push_back(resume(true));
        assert_eq!(fleet.run(), Phase::Succeeded);
    }
    for (name, host) in &whole.state.hosts {
        assert_eq!(broken.state.hosts[name].attempt, host.attempt, "{name}");
    }
    assert_eq!(whole.pauses, broken.pauses);
}

/// Somebody runs Compose as soon as the rollout has ended.
#[test]
fn what_compose_would_count_is_gone_before_the_end() {
    let compose = |plan: &mut Plan, names: &[&str]| {
        for name in names {
            let old = OldFacts { compose_project: Some("shop".to_owned()), ..OldFacts::default() };
            plan.hosts.get_mut(&host(name)).unwrap().old = Some(old);
        }
    };
    let mut six = plan(SIX);
    compose(&mut six, &["a2", "a5"]);
    let mut fleet = Fleet::new(six, quick());
    assert_eq!(fleet.run(), Phase::Succeeded);
    assert_eq!(fleet.order_of(Work::Clear), ["a2", "a5"]);
    assert_eq!(*fleet.end_of("a2"), HostEnd::Committed);

    // While the way back may still be taken, the old ones are there; what was restored needs none.
    let mut waves = plan(WAVES);
    compose(&mut waves, &["a1", "b1", "c1", "c2"]);
    let (on_failure, rollback_scope) = (OnFailure::Rollback, RollbackScope::Wave);
    let mut fleet = Fleet::new(waves, Policy { on_failure, rollback_scope, ..quick() });
    fleet.script("c2").forward.push_back(Outcome::Fails);
    assert_eq!(fleet.run(), Phase::Failed);
    assert_eq!(fleet.order_of(Work::RollBack), ["c1"]);
    assert_eq!(fleet.order_of(Work::Clear), ["a1", "b1"]);
}

/// Without the old container there is no way back: it ends as it was decided.
#[test]
fn a_wish_that_comes_while_old_containers_are_removed_comes_too_late() {
    for control in [Control::Pause, Control::Abort] {
        let mut one = plan(&[&["a1"]]);
        let old = OldFacts { compose_project: Some("shop".to_owned()), ..OldFacts::default() };
        one.hosts.get_mut(&host("a1")).unwrap().old = Some(old);
        let mut fleet = Fleet::new(one, quick());
        fleet.at_first(Work::Clear, control);
        assert_eq!(fleet.run(), Phase::Succeeded, "{control:?}");
    }
}
