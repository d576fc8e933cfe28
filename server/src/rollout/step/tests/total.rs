//! Every combination of what can be seen, in every direction.

use super::super::*;
use super::model::*;
use crate::engine::inspection::Status;
use crate::rollout::model::{Order, RestartPolicy};

const STATUSES: [Status; 5] =
    [Status::Created, Status::Running, Status::Restarting, Status::Exited, Status::Removing];
const DIRECTIONS: [Direction; 4] =
    [Direction::Forward, Direction::Watch, Direction::Restore, Direction::RollBack];

fn places() -> [String; 5] {
    let names = names();
    [names.target, names.candidate, names.backup, names.reject, "elsewhere".to_owned()]
}

fn olds() -> Vec<Option<ContainerFacts>> {
    let mut all = vec![None];
    for name in places() {
        for status in STATUSES {
            for restart in [always(), RestartPolicy::default()] {
                all.push(Some(ContainerFacts { restart, ..container(OLD, &name, status) }));
            }
        }
    }
    all
}

fn news(id: &str) -> Vec<Option<ContainerFacts>> {
    let mut all = vec![None];
    for name in places() {
        for status in STATUSES {
            for sha in ["sha", "other"] {
                all.push(Some(of_body(sha, container(id, &name, status))));
            }
        }
    }
    all
}

fn progresses() -> Vec<HostProgress> {
    let orders: [&[Step]; 6] = [
        &[],
        &[Step::Create, Step::CreateTwin],
        &[Step::Create, Step::CreateTwin, Step::Drain, Step::StopOld],
        &[Step::Create, Step::StartNew, Step::Gate],
        &[Step::Create, Step::StopOld, Step::StartNew, Step::Gate, Step::Verify, Step::Monitor],
        &[Step::Create, Step::StopOld, Step::StartOld, Step::GateOld],
    ];
    orders
        .iter()
        .map(|steps| HostProgress {
            intended: steps.iter().copied().collect(),
            did: steps.iter().map(|step| (*step, 1)).collect(),
            ..HostProgress::default()
        })
        .collect()
}

fn holder_of(name: &str, seen: &Observed) -> Option<String> {
    [&seen.old, &seen.new, &seen.twin]
        .into_iter()
        .flatten()
        .find(|container| container.name == name)
        .map(|container| container.id.clone())
}

/// Containers of one host never share a name.
fn same_name(containers: &[&Option<ContainerFacts>]) -> bool {
    let names: Vec<_> = containers.iter().filter_map(|facts| Some(&facts.as_ref()?.name)).collect();
    (1..names.len()).any(|at| names[..at].contains(&names[at]))
}

fn each(mut check: impl FnMut(&HostPlan, &Observed, Direction, &HostProgress, Next)) {
    let names = names();
    let policy = policy();
    let mut plans = vec![plan(TargetKind::Create, Order::StopFirst, true, false)];
    for order in [Order::StopFirst, Order::StartFirst] {
        plans.push(plan(TargetKind::Replace, order, true, false));
        plans.push(plan(TargetKind::Replace, order, true, true));
        plans.push(plan(TargetKind::Replace, order, false, false));
    }
    plans.push(plan(adopt(), Order::StopFirst, true, false));
    let twins = [
        None,
        Some(ours(TWIN, &names.backup, Status::Created)),
        Some(ours(TWIN, &names.target, Status::Running)),
    ];
    for plan in &plans {
        let id = if plan.kind == adopt() { KEPT } else { NEW };
        for old in olds() {
            if plan.old.is_none() && old.is_some() {
                continue;
            }
            for new in news(id) {
                for twin in &twins {
                    let vanishes = plan.old.as_ref().is_some_and(|old| old.auto_remove);
                    if same_name(&[&old, &new, twin]) || (twin.is_some() && !vanishes) {
                        continue;
                    }
                    let mut seen = Observed {
                        old: old.clone(),
                        new: new.clone(),
                        twin: twin.clone(),
                        ..Observed::default()
                    };
                    seen.holder = holder_of(&names.target, &seen);
                    seen.candidate_holder = holder_of(&names.candidate, &seen);
                    seen.backup_holder = holder_of(&names.backup, &seen);
                    seen.reject_holder = holder_of(&names.reject, &seen);
                    for progress in progresses() {
                        for direction in DIRECTIONS {
                            let next = next(&names, plan, &policy, &seen, direction, &progress);
                            check(plan, &seen, direction, &progress, next);
                        }
                    }
                }
            }
        }
    }
}

/// What would make a host lose a container that it needs.
fn assert_harmless(plan: &HostPlan, seen: &Observed, direction: Direction, step: Step) {
    let standing = seen.old.as_ref().or(seen.twin.as_ref());
    let context = || format!("{direction:?} {step:?} {seen:?} {plan:?}");
    match step {
        Step::RemoveNew => {
            let new = seen.new.as_ref().unwrap();
            assert!(!new.running, "{}", context());
            assert_ne!(plan.kind, adopt(), "{}", context());
            let useless = new.started_at.is_none() && direction == Direction::Forward;
            let replaced =
                new.is_going() || standing.is_some_and(|standing| standing.name == "web");
            assert!(plan.old.is_none() || useless || replaced, "{}", context());
        }
        Step::RemoveOld => panic!("not on the way of a host: {}", context()),
        Step::RemoveTwin => {
            assert!(seen.old.is_some() && !seen.twin.as_ref().unwrap().running, "{}", context());
        }
        Step::StopOld if direction == Direction::Forward => {
            assert!(seen.new.is_some(), "{}", context());
        }
        Step::StartNew | Step::Gate => {
            let stop_first = plan.order == Order::StopFirst;
            let both = stop_first && standing.is_some_and(|standing| standing.running);
            assert!(seen.new.is_some() && !both, "{}", context());
        }
        Step::RenameNew | Step::RenameBack => {
            assert_eq!(seen.holder, None, "{}", context());
        }
        Step::RenameOld => assert_eq!(seen.backup_holder, None, "{}", context()),
        Step::RenameBad if plan.kind != adopt() => {
            assert_eq!(seen.reject_holder, None, "{}", context());
        }
        _ => {}
    }
}

#[test]
fn every_combination_has_an_answer_that_loses_nothing() {
    let mut answers = 0_u64;
    each(|plan, seen, direction, _, next| {
        answers += 1;
        match next {
            Next::Do(step) => assert_harmless(plan, seen, direction, step),
            Next::Fail(trouble) => {
                let forward = matches!(direction, Direction::Forward | Direction::Watch);
                assert!(forward, "a way back cannot fail over: {trouble:?}");
            }
            Next::Finished(HostEnd::Committed) => {
                assert_eq!(seen.new.as_ref().unwrap().name, "web", "{direction:?} {seen:?}");
            }
            Next::Finished(_) => {
                let standing = seen.old.as_ref().or(seen.twin.as_ref());
                if let Some(old) = &plan.old {
                    let standing = standing.unwrap();
                    assert_eq!(standing.name, "web", "{direction:?} {seen:?}");
                    assert!(standing.restart.same_as(&old.restart), "{direction:?} {seen:?}");
                    let is_up = standing.running || !old.running;
                    assert!(is_up, "it ran and is down: {direction:?} {seen:?}");
                }
            }
            Next::Attention(trouble) => assert!(!trouble.message.contains('\n')),
        }
    });
    assert!(answers > 100_000, "{answers}");
}

#[test]
fn a_name_that_a_stranger_has_stops_everything() {
    let names = names();
    for plan in [
        plan(TargetKind::Replace, Order::StopFirst, true, false),
        plan(TargetKind::Create, Order::StopFirst, true, false),
    ] {
        for old in olds().into_iter().filter(|old| old.as_ref().is_none_or(|old| old.name != "web"))
        {
            for new in
                news(NEW).into_iter().filter(|new| new.as_ref().is_none_or(|new| new.name != "web"))
            {
                let seen = Observed {
                    old: old.clone(),
                    new,
                    holder: Some(FOREIGN.to_owned()),
                    ..Observed::default()
                };
                for direction in DIRECTIONS {
                    let progress = HostProgress::default();
                    let next = next(&names, &plan, &policy(), &seen, direction, &progress);
                    assert!(matches!(next, Next::Attention(_)), "{direction:?} {seen:?}: {next:?}");
                }
            }
        }
    }
}
