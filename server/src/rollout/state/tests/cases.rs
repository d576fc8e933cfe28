use super::super::*;
use super::values::*;
use crate::domain::Reason;
use crate::rollout::model::*;
use crate::rollout::spec::Policy;

fn begun(work: Work, attempt: u32) -> HostEvent {
    HostEvent::Begun { work, attempt }
}

fn ended(end: HostEnd) -> HostEvent {
    HostEvent::Ended { end }
}

fn failed() -> HostEvent {
    let trouble = Trouble::new(Reason::RolloutGateFailed, "unhealthy");
    HostEvent::Failed { step: Some(Step::Gate), trouble, log_tail: vec!["bye".to_owned()] }
}

fn paused(cause: PauseCause, resume_to: Phase, since: u64) -> Event {
    phase(Phase::Paused { cause, resume_to: Box::new(resume_to), since: Millis(since) })
}

/// A rollout over two waves whose images are pulled, ten milliseconds a record.
fn running() -> (RolloutState, u64) {
    let mut state =
        RolloutState::from_created(&created(plan(&[&["a1"], &["b1"]]), Policy::default())).unwrap();
    let mut at = 1_000;
    for name in ["a1", "b1"] {
        let image_id = "sha256:2".to_owned();
        for event in [
            begun(Work::Pull, 1),
            HostEvent::Pulled { image_id, digest: None },
            ended(HostEnd::Pulled),
        ] {
            at += 10;
            state.apply(&record(at, happened(name, event))).unwrap();
        }
    }
    at += 10;
    state.apply(&record(at, phase(Phase::Running { wave: 0 }))).unwrap();
    (state, at)
}

fn take(state: &mut RolloutState, at: &mut u64, event: Event) {
    *at += 10;
    state.apply(&record(*at, event)).unwrap();
}

fn refused(state: &RolloutState, at: u64, event: Event) -> Illegal {
    let mut copy = state.clone();
    let error = copy.apply(&record(at, event)).unwrap_err();
    assert_eq!(copy, *state, "an illegal record changes nothing");
    error
}

#[test]
fn a_journal_begins_with_its_creation() {
    let first = record(1, phase(Phase::Pulling));
    assert_eq!(RolloutState::from_created(&first), Err(Illegal::NotCreated));
    assert_eq!(RolloutState::replay([]), Err(Illegal::NotCreated));
    let (state, at) = running();
    let again = created(plan(&[&["a1"]]), Policy::default()).event;
    assert_eq!(refused(&state, at, again), Illegal::CreatedTwice);
}

#[test]
fn a_failure_turns_the_work_round_and_counts_once() {
    let (mut state, mut at) = running();
    take(&mut state, &mut at, happened("a1", begun(Work::Forward, 1)));
    let did = HostEvent::Did { step: Step::Create, id: Some("new".to_owned()) };
    take(&mut state, &mut at, happened("a1", HostEvent::Intent { step: Step::Create }));
    take(&mut state, &mut at, happened("a1", did));
    assert_eq!(state.hosts[&host("a1")].direction(), Some(Direction::Forward));
    let restored = || happened("a1", ended(HostEnd::Restored));
    assert_eq!(refused(&state, at, restored()), Illegal::End(host("a1")));
    take(&mut state, &mut at, happened("a1", failed()));
    assert_eq!(state.failed(), 1, "the budget knows at once");
    let host_state = &state.hosts[&host("a1")];
    assert_eq!(host_state.direction(), Some(Direction::Restore));
    assert_eq!(host_state.progress.new_id.as_deref(), Some("new"));
    let committed = happened("a1", ended(HostEnd::Committed));
    assert_eq!(refused(&state, at, committed), Illegal::End(host("a1")));
    take(&mut state, &mut at, restored());
    assert_eq!(state.failed(), 1);
    let host_state = &state.hosts[&host("a1")];
    assert_eq!(host_state.end, Some(HostEnd::Restored));
    assert_eq!(host_state.failure.as_ref().unwrap().log_tail, ["bye"]);
    assert_eq!(host_state.attempt_of(Work::Forward), 2);
}

#[test]
fn work_that_a_crash_cut_off_goes_on_with_all_that_is_known() {
    let (mut state, mut at) = running();
    take(&mut state, &mut at, happened("a1", begun(Work::Forward, 1)));
    take(&mut state, &mut at, happened("a1", HostEvent::Intent { step: Step::Gate }));
    let deadline = Millis(77_000);
    take(&mut state, &mut at, happened("a1", HostEvent::Gate { deadline }));
    let before = state.hosts.clone();
    take(&mut state, &mut at, happened("a1", begun(Work::Forward, 1)));
    assert_eq!(state.hosts, before, "neither the deadline nor the attempt is reset");
    let wrong = refused(&state, at, happened("a1", begun(Work::Forward, 2)));
    assert_eq!(wrong, Illegal::Attempt { host: host("a1"), attempt: 2 });
    let other = refused(&state, at, happened("a1", begun(Work::Pull, 1)));
    assert!(matches!(other, Illegal::Begin { .. }), "{other}");
}

#[test]
fn a_host_that_was_touched_is_not_given_up_as_unreachable() {
    let (mut state, mut at) = running();
    let unreachable = || {
        let trouble = Trouble::new(Reason::HostUnreachable, "refused");
        happened("a1", HostEvent::Unreachable { trouble })
    };
    take(&mut state, &mut at, happened("a1", begun(Work::Forward, 1)));
    take(&mut state, &mut at, unreachable());
    assert_eq!(state.hosts[&host("a1")].unreachable.as_ref().unwrap().tries, 1);
    take(&mut state, &mut at, happened("a1", begun(Work::Forward, 1)));
    take(&mut state, &mut at, unreachable());
    assert_eq!(state.hosts[&host("a1")].unreachable.as_ref().unwrap().tries, 2);
    take(&mut state, &mut at, happened("a1", begun(Work::Forward, 1)));
    take(&mut state, &mut at, happened("a1", HostEvent::Intent { step: Step::Create }));
    assert_eq!(state.hosts[&host("a1")].unreachable, None);
    assert_eq!(refused(&state, at, unreachable()), Illegal::Happened(host("a1")));
}

#[test]
fn deadlines_stand_still_while_it_is_paused() {
    let (mut state, mut at) = running();
    let began = state.last_progress;
    at += 1_000;
    take(&mut state, &mut at, control(Control::Pause));
    assert!(state.asked.pause);
    let since = at + 10;
    take(&mut state, &mut at, paused(PauseCause::User, Phase::Running { wave: 0 }, since));
    assert!(!state.asked.pause);
    let used = Millis(since).since(began);
    at += 1_000_000;
    take(&mut state, &mut at, control(Control::Resume { retry_failed: false }));
    take(&mut state, &mut at, phase(Phase::Running { wave: 0 }));
    assert_eq!(Millis(at).since(state.last_progress), used);
    assert_eq!(state.asked, Asked::default());
}

#[test]
fn only_a_resume_that_tries_again_resets_the_budget() {
    for retry_failed in [false, true] {
        let (mut state, mut at) = running();
        take(&mut state, &mut at, happened("a1", begun(Work::Forward, 1)));
        take(&mut state, &mut at, happened("a1", failed()));
        take(&mut state, &mut at, happened("a1", ended(HostEnd::Restored)));
        let since = at;
        take(&mut state, &mut at, paused(PauseCause::Budget, Phase::Running { wave: 0 }, since));
        take(&mut state, &mut at, control(Control::Resume { retry_failed }));
        take(&mut state, &mut at, phase(Phase::Running { wave: 0 }));
        assert_eq!(state.failed(), usize::from(!retry_failed));
        assert_eq!(state.forgiven.contains(&host("a1")), !retry_failed);
        let again = happened("a1", begun(Work::Forward, 2));
        assert_eq!(state.check(&again).is_ok(), retry_failed);
    }
}

#[test]
fn a_rollback_is_not_rolled_back() {
    let (mut state, mut at) = running();
    take(&mut state, &mut at, happened("a1", begun(Work::Forward, 1)));
    take(&mut state, &mut at, happened("a1", ended(HostEnd::Committed)));
    take(&mut state, &mut at, phase(Phase::RollingBack));
    assert_eq!(state.wave, Some(0));
    take(&mut state, &mut at, happened("a1", begun(Work::RollBack, 1)));
    take(&mut state, &mut at, happened("a1", failed()));
    assert_eq!(state.failed(), 0, "a rollback has no budget");
    assert_eq!(state.hosts[&host("a1")].direction(), Some(Direction::RollBack));
    take(&mut state, &mut at, happened("a1", ended(HostEnd::RolledBack)));
    let again = refused(&state, at, happened("a1", begun(Work::RollBack, 1)));
    assert!(matches!(again, Illegal::Begin { .. }), "{again}");
    let forward = refused(&state, at, phase(Phase::Running { wave: 0 }));
    assert!(matches!(forward, Illegal::Phase { .. }), "{forward}");
}

#[test]
fn what_is_asked_at_the_wrong_time_is_refused_in_words() {
    let (mut state, mut at) = running();
    let resume = || control(Control::Resume { retry_failed: false });
    let text = |error: Illegal| error.to_string();
    assert_eq!(text(refused(&state, at, resume())), "a rollout that runs cannot be resumed");
    let promoted = refused(&state, at, control(Control::Promote));
    assert_eq!(text(promoted), "a rollout that runs cannot be promoted");
    let since = at;
    let event = paused(PauseCause::Promotion, Phase::Running { wave: 1 }, since);
    take(&mut state, &mut at, event);
    assert_eq!(refused(&state, at, resume()), Illegal::AwaitsPromotion);
    take(&mut state, &mut at, control(Control::Pause));
    assert!(!state.asked.pause, "it is paused already");
    take(&mut state, &mut at, control(Control::Abort));
    take(&mut state, &mut at, phase(Phase::Aborting));
    assert_eq!(
        text(refused(&state, at, control(Control::Pause))),
        "a rollout that is being aborted cannot be paused"
    );
    take(&mut state, &mut at, phase(Phase::Aborted));
    assert_eq!(text(refused(&state, at, resume())), "the rollout has ended: it was aborted");
}

#[test]
fn it_does_not_end_while_a_host_is_at_work() {
    let (mut state, mut at) = running();
    take(&mut state, &mut at, happened("a1", begun(Work::Forward, 1)));
    take(&mut state, &mut at, phase(Phase::Aborting));
    assert_eq!(refused(&state, at, phase(Phase::Aborted)), Illegal::AtWork(host("a1")));
}

#[test]
fn hosts_that_are_not_of_the_plan_are_refused() {
    let mut planned = plan(&[&["a1"]]);
    let reason = "no such container".to_owned();
    planned.hosts.insert(host("s1"), host_plan(TargetKind::Skip { reason }));
    let state = RolloutState::from_created(&created(planned, Policy::default())).unwrap();
    assert_eq!(state.size(), 1);
    let pull = |name| happened(name, begun(Work::Pull, 1));
    assert_eq!(refused(&state, 1, pull("x1")), Illegal::NoSuchHost(host("x1")));
    assert_eq!(refused(&state, 1, pull("s1")), Illegal::LeftOut(host("s1")));
}

#[test]
fn what_hangs_on_a_target_has_progress_of_its_own() {
    let mut plan = plan(&[&["a1"]]);
    let dependent =
        DependentPlan { name: "side".parse().unwrap(), plan: host_plan(TargetKind::Replace) };
    plan.hosts.get_mut(&host("a1")).unwrap().dependents.push(dependent);
    let mut state = RolloutState::from_created(&created(plan, Policy::default())).unwrap();
    let mut at = 1_000;
    let of =
        |number, event| happened("a1", HostEvent::Dependent { number, happened: Box::new(event) });
    let intent = || HostEvent::Intent { step: Step::Create };
    take(&mut state, &mut at, phase(Phase::Running { wave: 0 }));
    assert_eq!(refused(&state, at, of(0, intent())), Illegal::Idle(host("a1")));
    take(&mut state, &mut at, happened("a1", begun(Work::Forward, 1)));
    for wrong in [of(1, intent()), of(0, ended(HostEnd::Committed)), of(0, failed())] {
        assert_eq!(refused(&state, at, wrong), Illegal::Happened(host("a1")));
    }
    take(&mut state, &mut at, of(0, intent()));
    let unreachable =
        HostEvent::Unreachable { trouble: Trouble::new(Reason::HostUnreachable, "gone") };
    assert_eq!(refused(&state, at, happened("a1", unreachable)), Illegal::Happened(host("a1")));
    take(&mut state, &mut at, of(0, HostEvent::Did { step: Step::Create, id: Some("d".into()) }));
    let known = &state.hosts[&host("a1")];
    assert_eq!(known.step, Some(Step::Create));
    assert_eq!(known.progress, HostProgress::default(), "that of the target");
    assert_eq!(known.dependents[&0].progress.new_id.as_deref(), Some("d"));
    take(&mut state, &mut at, happened("a1", ended(HostEnd::Committed)));

    // A rollback still knows its container, and none of its steps.
    take(&mut state, &mut at, phase(Phase::RollingBack));
    take(&mut state, &mut at, happened("a1", begun(Work::RollBack, 1)));
    let progress = &state.hosts[&host("a1")].dependents[&0].progress;
    assert_eq!(progress.new_id.as_deref(), Some("d"));
    assert!(progress.intended.is_empty() && progress.did.is_empty(), "{progress:?}");
}

#[test]
fn a_rollout_that_an_earlier_version_wrote_down_has_no_notes() {
    let record = created(plan(&[&["a"]]), Policy::default());
    let text = serde_json::to_string(&record).unwrap();
    assert!(!text.contains("annotations"), "{text}");
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
}
