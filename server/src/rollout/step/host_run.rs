//! The order among a container and its dependents. Each of them follows [`next`](super::next); this
//! module decides which one may continue. The executor calls it before every step.
//!
//! Forward, all are created before anything stops. Then the dependents stop, last one first,
//! because what they share ends with the target; the target is replaced up to its gate; then the
//! dependents follow, first one first. On the way back, the dependents stop first and start last,
//! once their target is restored.
//!
//! A namespace ends with the run of the target that created it. Containers that joined it keep
//! running without it, which the Engine does not report: here, they count as down.

use std::time::SystemTime;

use super::super::model::{HostEnd, HostPlan, Step, Trouble};
use super::super::reason;
use super::super::spec::Policy;
use super::back::TOUCHES_OLD;
use super::{ContainerFacts, Direction, HostProgress, Names, Next, Observed, next};

/// A container of a host's work, and its state.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The names that it uses.
    pub names: &'a Names,
    /// Its plan.
    pub plan: &'a HostPlan,
    /// How.
    pub policy: &'a Policy,
    /// Its observed state.
    pub seen: &'a Observed,
    /// Its state according to the journal.
    pub progress: &'a HostProgress,
    /// For a dependent: whether it runs in a namespace of the target, rather than only using its
    /// volumes.
    pub in_namespace: bool,
}

/// What to do next, and for which member: 0 is the target, the others are its dependents.
#[must_use]
pub fn next_of<'a>(members: &[Member<'a>], direction: Direction) -> (usize, Next) {
    let mut nexts: Vec<Next> = members
        .iter()
        .map(|it| next(it.names, it.plan, it.policy, it.seen, direction, it.progress))
        .collect();
    let chosen = match direction {
        _ if nexts.len() < 2 => 0,
        Direction::Forward | Direction::Watch => {
            let new = |member: &Member<'a>| member.seen.new.as_ref();
            for number in outlived(members, new) {
                if matches!(nexts[number], Next::Finished(_) | Next::Do(Step::Monitor)) {
                    nexts[number] = Next::Fail(is_outlived(members[0].names));
                }
            }
            if direction == Direction::Forward { forward(&nexts) } else { watch(&nexts, members) }
        }
        Direction::Restore | Direction::RollBack => {
            for number in left_behind(&nexts[0], members, direction) {
                nexts[number] = Next::Do(Step::StopOld);
            }
            back(&nexts)
        }
    };
    let back = matches!(direction, Direction::Restore | Direction::RollBack);
    let next = nexts.swap_remove(chosen);
    match next {
        // Its dependents may have been touched even if the target was not.
        Next::Finished(HostEnd::Unchanged) if back => {
            let restored = |next: &Next| *next == Next::Finished(HostEnd::Restored);
            let end =
                if nexts.iter().any(restored) { HostEnd::Restored } else { HostEnd::Unchanged };
            (chosen, Next::Finished(end))
        }
        next => (chosen, next),
    }
}

/// Dependents that run, in a namespace of a run of the target that is not its run now.
fn outlived<'a>(
    members: &[Member<'a>],
    one: impl Fn(&Member<'a>) -> Option<&'a ContainerFacts>,
) -> Vec<usize> {
    let begun = |number: usize| {
        let container = one(&members[number]).filter(|container| container.running)?;
        begun_at(container)
    };
    let Some(target) = begun(0) else { return Vec::new() };
    let is_older = |number: usize| begun(number).is_some_and(|at| at < target);
    let dependents = 1..members.len();
    dependents.filter(|number| members[*number].in_namespace && is_older(*number)).collect()
}

/// Old dependents that keep running although their target ended, for example through a drain
/// command. They are restarted once it is up.
fn left_behind<'a>(next: &Next, members: &[Member<'a>], direction: Direction) -> Vec<usize> {
    let old = |member: &Member<'a>| member.seen.old.as_ref();
    if *next == Next::Do(Step::StartOld) {
        let runs = |number: &usize| old(&members[*number]).is_some_and(|old| old.running);
        return (1..members.len()).filter(runs).collect();
    }
    let intended = &members[0].progress.intended;
    let touched = TOUCHES_OLD.iter().any(|step| intended.contains(step));
    if touched || direction == Direction::RollBack { outlived(members, old) } else { Vec::new() }
}

/// When the run started; `None` if the Engine does not report it.
fn begun_at(container: &ContainerFacts) -> Option<SystemTime> {
    humantime::parse_rfc3339(container.started_at.as_deref()?).ok()
}

fn is_outlived(target: &Names) -> Trouble {
    let message =
        format!("it runs in a namespace that no longer exists: {} was restarted", target.target);
    Trouble::new(reason::GATE_FAILED, message)
}

fn forward(nexts: &[Next]) -> usize {
    let dependents = 1..nexts.len();
    let step_of = |number: &usize| match nexts[*number] {
        Next::Do(step) => Some(step),
        _ => None,
    };
    let is_one_of = |steps: &'static [Step]| {
        move |number: &usize| step_of(number).is_some_and(|step| steps.contains(&step))
    };
    let target = step_of(&0);
    bad(nexts)
        .or_else(|| {
            let creates = is_one_of(&[Step::Create, Step::CreateTwin, Step::RemoveNew]);
            (0..nexts.len()).find(creates)
        })
        .or_else(|| (target == Some(Step::Drain)).then_some(0))
        .or_else(|| dependents.clone().rev().find(is_one_of(&[Step::StopOld, Step::FenceOld])))
        .or_else(|| {
            let proven = matches!(target, None | Some(Step::Monitor));
            (!proven).then_some(0)
        })
        .or_else(|| dependents.clone().find(|number| step_of(number).is_some()))
        .unwrap_or(0)
}

/// The target is watched; of the others it only counts whether they are still up.
fn watch(nexts: &[Next], members: &[Member<'_>]) -> usize {
    let down = bad(nexts).filter(|number| *number == 0 || members[*number].plan.start);
    down.unwrap_or(0)
}

fn back(nexts: &[Next]) -> usize {
    let dependents = 1..nexts.len();
    let makes_room = |number: &usize| match nexts[*number] {
        Next::Do(step) => !matches!(step, Step::UnfenceOld | Step::StartOld | Step::GateOld),
        _ => false,
    };
    let works = |number: &usize| matches!(nexts[*number], Next::Do(_));
    bad(nexts)
        .or_else(|| dependents.clone().rev().find(makes_room))
        .or_else(|| works(&0).then_some(0))
        .or_else(|| dependents.clone().find(works))
        .unwrap_or(0)
}

/// The first that cannot continue.
fn bad(nexts: &[Next]) -> Option<usize> {
    nexts.iter().position(|next| matches!(next, Next::Fail(_) | Next::Attention(_)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::model::*;
    use super::*;
    use crate::rollout::model::{Order, RestartPolicy, TargetKind, Trouble};
    use crate::rollout::step::Status;
    use Step::{
        CreateTwin, Drain, FenceOld, Gate, GateOld, Monitor, RemoveNew, RenameBack, RenameNew,
        RenameOld, StartNew, StartOld, StopNew, StopOld, UnfenceOld,
    };

    const END: HostEnd = HostEnd::Committed;

    fn of(steps: &[Option<Step>]) -> Vec<Next> {
        steps.iter().map(|step| step.map_or(Next::Finished(END), Next::Do)).collect()
    }

    #[test]
    fn forward_all_are_created_then_stop_from_the_last_and_follow_the_target() {
        let rows: [(&[Option<Step>], usize); 14] = [
            (&[Some(Step::Create), Some(Step::Create), Some(Step::Create)], 0),
            (&[Some(Drain), Some(Step::Create), Some(StopOld)], 1),
            (&[Some(StopOld), Some(StopOld), Some(CreateTwin)], 2),
            // Created for a container that is no longer the new one.
            (&[Some(StopOld), Some(RemoveNew), Some(StopOld)], 1),
            (&[Some(Drain), Some(StopOld), Some(StopOld)], 0),
            (&[Some(StopOld), Some(StopOld), Some(StopOld)], 2),
            (&[Some(StopOld), Some(StopOld), Some(FenceOld)], 2),
            (&[Some(StopOld), Some(StopOld), Some(RenameOld)], 1),
            (&[Some(StopOld), Some(RenameOld), Some(RenameOld)], 0),
            // The Engine started it again: the target waits.
            (&[Some(StartNew), Some(StopOld), Some(RenameOld)], 1),
            (&[Some(Gate), Some(RenameOld), Some(RenameOld)], 0),
            (&[Some(Monitor), Some(RenameNew), Some(RenameOld)], 1),
            (&[Some(Monitor), None, Some(Gate)], 2),
            (&[Some(Monitor), None, None], 0),
        ];
        for (nexts, expected) in rows {
            assert_eq!(forward(&of(nexts)), expected, "{nexts:?}");
        }
    }

    #[test]
    fn back_the_dependents_make_room_first_and_start_last() {
        let rows: [(&[Option<Step>], usize); 7] = [
            (&[Some(StopNew), Some(StopNew), Some(StopNew)], 2),
            (&[Some(StopNew), Some(StopNew), Some(RenameBack)], 2),
            (&[Some(StopNew), Some(StopNew), Some(UnfenceOld)], 1),
            (&[Some(StopNew), Some(StartOld), Some(UnfenceOld)], 0),
            (&[Some(RemoveNew), Some(StartOld), Some(GateOld)], 0),
            (&[None, Some(StartOld), Some(UnfenceOld)], 1),
            (&[None, None, Some(GateOld)], 2),
        ];
        for (nexts, expected) in rows {
            assert_eq!(back(&of(nexts)), expected, "{nexts:?}");
        }
    }

    const EARLIER: &str = "2025-12-31T23:59:59.9Z";

    /// A target and its dependents, with their observed states.
    struct Pair {
        plan: HostPlan,
        seen: [Observed; 2],
        progress: [HostProgress; 2],
        in_namespace: bool,
    }

    impl Pair {
        fn next(&self, direction: Direction) -> (usize, Next) {
            let (names, policy) = (names(), Policy::default());
            let member = |number: usize| Member {
                names: &names,
                plan: &self.plan,
                policy: &policy,
                seen: &self.seen[number],
                progress: &self.progress[number],
                in_namespace: self.in_namespace && number > 0,
            };
            next_of(&[member(0), member(1)], direction)
        }
    }

    fn replacement() -> HostPlan {
        plan(TargetKind::Replace, Order::StopFirst, true, false)
    }

    #[test]
    fn what_runs_in_a_namespace_that_ended_is_down() {
        let committed = || {
            let old = ContainerFacts {
                restart: RestartPolicy::default(),
                ..container(OLD, &names().backup, Status::Exited)
            };
            Host(vec![old, ours(NEW, "web", Status::Running)])
        };
        let plan = replacement();
        let mut older = committed();
        older.at(NEW).started_at = Some(EARLIER.to_owned());
        let mut done = HostProgress::default();
        for step in [Step::Create, Step::StartNew, Step::Compare, Step::Gate, Step::Monitor] {
            done.done(step, None);
        }
        let mut pair = Pair {
            seen: [committed().observe(&plan), older.observe(&plan)],
            plan,
            progress: [done.clone(), done],
            in_namespace: true,
        };
        for direction in [Direction::Forward, Direction::Watch] {
            let (number, next) = pair.next(direction);
            let Next::Fail(trouble) = next else { panic!("{next:?}") };
            assert_eq!(number, 1);
            assert!(trouble.message.contains("web was restarted"), "{trouble:?}");
        }
        pair.in_namespace = false;
        assert_eq!(pair.next(Direction::Forward), (0, Next::Finished(END)), "only volumes");
        pair.in_namespace = true;
        pair.seen.swap(0, 1);
        assert_eq!(pair.next(Direction::Forward), (0, Next::Finished(END)), "begun after it");
    }

    #[test]
    fn what_hung_on_a_run_that_a_drain_ended_is_started_again() {
        let plan = replacement();
        let (mut target, mut dependent) = (Host::before(&plan), Host::before(&plan));
        target.set(OLD, Status::Exited);
        let mut pair = Pair {
            seen: [target.observe(&plan), dependent.observe(&plan)],
            plan: plan.clone(),
            progress: Default::default(),
            in_namespace: true,
        };
        pair.progress[0].intended.insert(Drain);
        assert_eq!(pair.next(Direction::Restore), (1, Next::Do(StopOld)));
        // Or its policy started it again meanwhile.
        target.set(OLD, Status::Running);
        dependent.at(OLD).started_at = Some(EARLIER.to_owned());
        pair.seen = [target.observe(&plan), dependent.observe(&plan)];
        assert_eq!(pair.next(Direction::Restore), (1, Next::Do(StopOld)));
        pair.progress[0].intended.clear();
        let untouched = (0, Next::Finished(HostEnd::Unchanged));
        assert_eq!(pair.next(Direction::Restore), untouched, "it was so before");
    }

    #[test]
    fn what_cannot_go_on_is_heard_first() {
        let trouble = Trouble::new(reason::GATE_FAILED, "it is down");
        let mut nexts = of(&[Some(StopOld), Some(StopOld), None]);
        nexts[2] = Next::Fail(trouble.clone());
        assert_eq!(forward(&nexts), 2);
        nexts[2] = Next::Attention(trouble);
        assert_eq!(back(&nexts), 2);
    }
}
