//! Work on a host from its beginning to its end, with up to two faults at every pair of
//! places: a crash before or after the effect of a step, or a failure of it.

use super::super::*;
use super::model::*;
use crate::engine::inspection::Status;
use crate::rollout::model::Order;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// The intent is in the journal, the effect did not happen.
    CrashBefore,
    /// The effect happened, the journal does not know.
    CrashAfter,
    /// The effect did not happen, and the journal says that the work failed.
    FailBefore,
    /// The effect happened, and the journal says that the work failed.
    FailAfter,
}

const FAULTS: [Fault; 4] =
    [Fault::CrashBefore, Fault::CrashAfter, Fault::FailBefore, Fault::FailAfter];

/// More steps than any work takes, with two of them done again.
const MOST: usize = 40;

struct Run<'a> {
    plan: &'a HostPlan,
    host: Host,
    progress: HostProgress,
    steps: Vec<Step>,
}

impl<'a> Run<'a> {
    fn new(plan: &'a HostPlan, host: Host) -> Self {
        Self { plan, host, progress: HostProgress::default(), steps: Vec::new() }
    }

    fn finish(&mut self, mut direction: Direction, faults: &[(usize, Fault)]) -> HostEnd {
        let (names, policy) = (names(), policy());
        while self.steps.len() < MOST {
            let seen = self.host.observe(self.plan);
            let next = next(&names, self.plan, &policy, &seen, direction, &self.progress);
            let step = match next {
                Next::Do(step) => step,
                Next::Finished(end) => return end,
                Next::Fail(trouble) => {
                    assert_eq!(direction, Direction::Forward, "{trouble:?}");
                    direction = Direction::Restore;
                    continue;
                }
                Next::Attention(trouble) => panic!("{trouble:?} after {:?}", self.steps),
            };
            let number = self.steps.len();
            self.steps.push(step);
            self.progress.intended.insert(step);
            let fault = faults.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault);
            if !matches!(fault, Some(Fault::CrashBefore | Fault::FailBefore)) {
                self.host.act(self.plan, step);
                // Of one with auto-remove only a look tells what became of it.
                let stays = self.plan.old.as_ref().is_some_and(|old| !old.auto_remove);
                if let Some(foreseen) = seen.after(step, &names).filter(|_| stays) {
                    assert_eq!(foreseen, self.host.observe(self.plan), "{step:?}");
                }
            }
            match fault {
                None => *self.progress.did.entry(step).or_default() += 1,
                Some(Fault::CrashBefore | Fault::CrashAfter) => {}
                Some(_) if direction == Direction::Forward => direction = Direction::Restore,
                Some(_) => {}
            }
        }
        panic!("no end after {:?}", self.steps);
    }
}

fn plans() -> Vec<HostPlan> {
    let mut plans = Vec::new();
    for order in [Order::StopFirst, Order::StartFirst] {
        for running in [true, false] {
            for auto_remove in [true, false] {
                plans.push(plan(TargetKind::Replace, order, running, auto_remove));
                plans.push(plan(adopt(), order, running, auto_remove));
            }
        }
        plans.push(plan(TargetKind::Create, order, true, false));
    }
    let mut revived = plan(adopt(), Order::StopFirst, false, false);
    revived.start = true;
    plans.push(revived);
    plans
}

fn pairs() -> impl Iterator<Item = Vec<(usize, Fault)>> {
    let single = || (0..25).flat_map(|at| FAULTS.map(|fault| (at, fault)));
    single().flat_map(move |first| {
        let second = single().filter(move |(at, _)| *at > first.0);
        std::iter::once(vec![first]).chain(second.map(move |second| vec![first, second]))
    })
}

/// The old container is as it was and nothing else is left. A twin that stands in for an old
/// container with auto-remove counts as it.
fn assert_as_before(plan: &HostPlan, host: &Host, context: &str) {
    let mut now = host.clone();
    for container in &mut now.0 {
        if container.id == TWIN {
            let before = Host::before(plan);
            let old = before.0.iter().find(|old| old.id == OLD).unwrap();
            container.id.clone_from(&old.id);
            container.labels.clear();
        }
        container.started_at = None;
    }
    let mut before = Host::before(plan);
    for container in &mut before.0 {
        container.started_at = None;
    }
    now.0.sort_by(|left, right| left.id.cmp(&right.id));
    before.0.sort_by(|left, right| left.id.cmp(&right.id));
    assert_eq!(now, before, "{context}");
}

fn assert_committed(plan: &HostPlan, host: &Host, context: &str) {
    let seen = host.observe(plan);
    let new = seen.new.expect("the new container is there");
    assert_eq!(new.name, "web", "{context}");
    assert_eq!(new.running, plan.start, "{context}");
    assert_eq!(new.restart, always(), "{context}");
    assert_eq!(host.0.len(), if plan.old.is_some() { 2 } else { 1 }, "{context}");
    if let Some(backup) = seen.old.or(seen.twin) {
        assert_eq!(backup.name, names().backup, "{context}");
        assert!(!backup.running && backup.restart.is_no(), "{context}: {backup:?}");
    }
}

fn assert_end(run: &Run<'_>, end: &HostEnd, context: &str) {
    match end {
        HostEnd::Committed => assert_committed(run.plan, &run.host, context),
        HostEnd::Restored | HostEnd::Unchanged | HostEnd::RolledBack => {
            assert_as_before(run.plan, &run.host, context);
        }
        other => panic!("{other:?}: {context}"),
    }
}

#[test]
fn every_work_comes_to_its_end_whatever_goes_wrong_twice() {
    for plan in plans() {
        for faults in std::iter::once(Vec::new()).chain(pairs()) {
            let mut run = Run::new(&plan, Host::before(&plan));
            let end = run.finish(Direction::Forward, &faults);
            let context = format!("{faults:?} {:?} {:?}", run.steps, plan.kind);
            assert_end(&run, &end, &context);
            let failed = faults.iter().any(|(at, fault)| {
                matches!(fault, Fault::FailBefore | Fault::FailAfter) && *at < run.steps.len()
            });
            assert_eq!(end == HostEnd::Committed, !failed, "{context}");
        }
    }
}

#[test]
fn every_rollback_comes_to_its_end_whatever_goes_wrong_twice() {
    for plan in plans() {
        let mut forward = Run::new(&plan, Host::before(&plan));
        assert_eq!(forward.finish(Direction::Forward, &[]), HostEnd::Committed);
        for faults in std::iter::once(Vec::new()).chain(pairs()) {
            let mut run = Run::new(&plan, forward.host.clone());
            let end = run.finish(Direction::RollBack, &faults);
            let context = format!("{faults:?} {:?} {plan:?}", run.steps);
            assert_eq!(end, HostEnd::RolledBack, "{context}");
            assert_end(&run, &end, &context);
        }
    }
}

#[test]
fn a_failure_while_a_wave_bakes_is_restored() {
    for plan in plans().into_iter().filter(|plan| plan.start) {
        let mut forward = Run::new(&plan, Host::before(&plan));
        forward.finish(Direction::Forward, &[]);
        let mut watch = Run::new(&plan, forward.host.clone());
        assert_eq!(watch.finish(Direction::Watch, &[]), HostEnd::Committed);
        assert_eq!(watch.steps, [Step::Monitor]);
        let mut failed = Run::new(&plan, forward.host);
        let end = failed.finish(Direction::Restore, &[]);
        assert_eq!(end, HostEnd::Restored);
        assert_end(&failed, &end, &format!("{:?}", failed.steps));
    }
}

#[test]
fn the_usual_course_is_that_of_the_documentation() {
    let forward = |plan: &HostPlan| {
        let mut run = Run::new(plan, Host::before(plan));
        run.finish(Direction::Forward, &[]);
        run.steps
    };
    let stop_first = plan(TargetKind::Replace, Order::StopFirst, true, false);
    assert_eq!(
        forward(&stop_first),
        [
            Step::Create,
            Step::Drain,
            Step::StopOld,
            Step::FenceOld,
            Step::RenameOld,
            Step::RenameNew,
            Step::StartNew,
            Step::Compare,
            Step::Gate,
            Step::Verify,
            Step::Monitor,
        ]
    );
    let start_first = plan(TargetKind::Replace, Order::StartFirst, true, false);
    assert_eq!(
        forward(&start_first),
        [
            Step::Create,
            Step::StartNew,
            Step::Compare,
            Step::Gate,
            Step::Verify,
            Step::RenameOld,
            Step::RenameNew,
            Step::Drain,
            Step::StopOld,
            Step::FenceOld,
            Step::Monitor,
        ]
    );
    let down = plan(TargetKind::Replace, Order::StopFirst, false, false);
    assert_eq!(
        forward(&down),
        [Step::Create, Step::FenceOld, Step::RenameOld, Step::RenameNew, Step::Compare,]
    );
    let vanishing = plan(TargetKind::Replace, Order::StopFirst, true, true);
    assert_eq!(
        forward(&vanishing)[..6],
        [
            Step::Create,
            Step::CreateTwin,
            Step::Drain,
            Step::StopOld,
            Step::RenameNew,
            Step::StartNew
        ]
    );
    let adopted = plan(adopt(), Order::StopFirst, true, false);
    assert_eq!(
        forward(&adopted)[..7],
        [
            Step::Drain,
            Step::StopOld,
            Step::FenceOld,
            Step::RenameOld,
            Step::RenameNew,
            Step::UnfenceNew,
            Step::StartNew
        ]
    );
}

#[test]
fn the_way_back_stops_the_new_container_first() {
    let plan = plan(TargetKind::Replace, Order::StopFirst, true, false);
    let mut run = Run::new(&plan, Host::before(&plan));
    let end = run.finish(Direction::Forward, &[(8, Fault::FailBefore)]);
    assert_eq!(end, HostEnd::Restored);
    assert_eq!(
        run.steps[9..],
        [
            Step::StopNew,
            Step::RenameBad,
            Step::RenameBack,
            Step::UnfenceOld,
            Step::StartOld,
            Step::GateOld,
            Step::RemoveNew,
        ]
    );
}

#[test]
fn a_failure_before_the_old_one_stops_removes_the_candidate_only() {
    let plan = plan(TargetKind::Replace, Order::StopFirst, true, false);
    let mut run = Run::new(&plan, Host::before(&plan));
    assert_eq!(run.finish(Direction::Forward, &[(0, Fault::FailAfter)]), HostEnd::Unchanged);
    assert_eq!(run.steps, [Step::Create, Step::RemoveNew]);
}

#[test]
fn an_old_container_that_ends_while_the_new_one_is_proven_is_started_again() {
    let plan = plan(TargetKind::Replace, Order::StartFirst, true, false);
    let mut run = Run::new(&plan, Host::before(&plan));
    for step in [Step::Create, Step::StartNew, Step::Gate] {
        run.host.act(&plan, step);
        run.progress.intended.insert(step);
        run.progress.done(step, None);
    }
    run.host.set(OLD, Status::Exited);
    let end = run.finish(Direction::Restore, &[]);
    assert_eq!(run.steps, [Step::StopNew, Step::StartOld, Step::GateOld, Step::RemoveNew]);
    assert_eq!(end, HostEnd::Restored);
    assert_end(&run, &end, "the old one had ended");
}
