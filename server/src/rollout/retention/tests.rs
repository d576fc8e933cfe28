use uuid::Uuid;

use super::*;
use crate::domain::Reason;
use crate::rollout::model::{
    Control, DependentPlan, Event, HostEvent, HostPlan, OldFacts, PauseCause, Phase, RestartPolicy,
    Step, Work,
};
use crate::rollout::spec::Policy;
use crate::rollout::state::tests::values::*;

const HOUR: Duration = Duration::from_secs(3600);

/// A rollout on one host that replaced `old` and ended at `at`.
struct Ended {
    number: u128,
    kind: TargetKind,
    old: &'static str,
    keep: u32,
    at: u64,
    end: HostEnd,
    /// The old container of `side`, which was recreated with it.
    side: Option<&'static str>,
    compose: Option<&'static str>,
}

impl Ended {
    fn new(number: u128, old: &'static str, at: u64) -> Self {
        let (kind, end) = (TargetKind::Replace, HostEnd::Committed);
        Self { number, kind, old, keep: 1, at, end, side: None, compose: None }
    }

    fn take_in(self, retained: &mut RetainedContainers) {
        let Self { number, kind, old, keep, at, end, side, compose } = self;
        let mut plan = plan(&[&["a"]]);
        plan.image = None;
        let facts = |id: &str| OldFacts {
            id: id.to_owned(),
            image: "app:v1".to_owned(),
            image_id: "sha256:1".to_owned(),
            running: true,
            restart: RestartPolicy::default(),
            auto_remove: false,
            compose_project: compose.map(str::to_owned),
            ..OldFacts::default()
        };
        let of = |id| HostPlan { old: Some(facts(id)), ..host_plan(TargetKind::Replace) };
        let side = side.map(|id| DependentPlan { name: "side".parse().unwrap(), plan: of(id) });
        let dependents = side.into_iter().collect();
        plan.hosts.insert(host("a"), HostPlan { kind, dependents, ..of(old) });
        let policy = Policy { keep_old: keep, keep_old_for: HOUR, ..Policy::default() };
        let mut state = RolloutState::from_created(&created(plan, policy)).unwrap();
        let mut take = |event: Event| state.apply(&record(at, event)).unwrap();
        take(phase(Phase::Running { wave: 0 }));
        take(happened("a", HostEvent::Begun { work: Work::Forward, attempt: 1 }));
        let to = if end == HostEnd::Committed {
            Phase::Succeeded
        } else {
            let trouble = crate::rollout::model::Trouble::new(Reason::Internal, "x");
            let failed =
                HostEvent::Failed { step: Some(Step::Gate), trouble, log_tail: Vec::new() };
            take(happened("a", failed));
            Phase::Failed
        };
        take(happened("a", HostEvent::Ended { end }));
        take(phase(to));
        retained.take_in(RolloutId(Uuid::from_u128(number << 96)), &state);
    }
}

fn due(retained: &RetainedContainers, now: u64) -> BTreeSet<String> {
    let due = retained.due(Millis(now));
    due.into_values().flatten().map(|kept| format!("{} {}", kept.name, kept.id)).collect()
}

fn set<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.map(str::to_owned).into()
}

#[test]
fn one_is_kept_for_its_time_and_then_due() {
    let mut retained = RetainedContainers::default();
    Ended::new(1, "one", 5_000).take_in(&mut retained);
    assert_eq!(due(&retained, 3_604_999), set([]));
    assert_eq!(retained.next(Millis(5_000)), Some(Millis(3_605_000)));
    assert_eq!(due(&retained, 3_605_000), set(["web.old-00000001 one"]));
    assert_eq!(retained.next(Millis(3_605_000)), None);
    let gone = retained.due(Millis(3_605_000)).into_values().flatten().next().unwrap();
    retained.forget(&gone);
    assert_eq!(due(&retained, 9_999_999), set([]));
}

#[test]
fn a_rollout_is_needed_while_its_old_container_is_kept() {
    let mut retained = RetainedContainers::default();
    Ended::new(1, "one", 1_000).take_in(&mut retained);
    Ended { end: HostEnd::Restored, ..Ended::new(2, "two", 2_000) }.take_in(&mut retained);
    let first = RolloutId(Uuid::from_u128(1 << 96));
    assert_eq!(retained.rollouts(), BTreeSet::from([first]));
    let gone = retained.due(Millis(u64::MAX)).into_values().flatten().next().unwrap();
    retained.forget(&gone);
    assert_eq!(retained.rollouts(), BTreeSet::new());
}

#[test]
fn those_beyond_the_number_are_due_at_once_and_those_of_the_newest_are_not() {
    let mut retained = RetainedContainers::default();
    Ended { keep: 2, ..Ended::new(1, "one", 1_000) }.take_in(&mut retained);
    Ended { keep: 2, ..Ended::new(2, "two", 2_000) }.take_in(&mut retained);
    assert_eq!(due(&retained, 3_000), set([]));
    Ended { keep: 2, ..Ended::new(3, "three", 3_000) }.take_in(&mut retained);
    assert_eq!(due(&retained, 3_000), set(["web.old-00000001 one"]));
    Ended { keep: 1, ..Ended::new(4, "four", 4_000) }.take_in(&mut retained);
    let three = ["web.old-00000001 one", "web.old-00000002 two", "web.old-00000003 three"];
    assert_eq!(due(&retained, 4_000), set(three));
    Ended { keep: 0, ..Ended::new(5, "five", 5_000) }.take_in(&mut retained);
    assert!(due(&retained, 5_000).contains("web.old-00000005 five"));
}

/// What the rollout could not remove before its end, because the host did not answer.
#[test]
fn none_is_kept_that_compose_counts() {
    let mut retained = RetainedContainers::default();
    Ended { compose: Some("shop"), ..Ended::new(1, "one", 1_000) }.take_in(&mut retained);
    assert_eq!(due(&retained, 1_000), set(["web.old-00000001 one"]));
    // Also where the next one, which is no container of Compose any longer, keeps more.
    Ended { keep: 5, ..Ended::new(2, "two", 2_000) }.take_in(&mut retained);
    assert_eq!(due(&retained, 2_000), set(["web.old-00000001 one"]));
}

#[test]
fn one_that_took_its_place_again_is_kept_no_more() {
    let mut retained = RetainedContainers::default();
    Ended::new(1, "one", 1_000).take_in(&mut retained);
    let (id, name) = ("one".to_owned(), "web.old-00000001".to_owned());
    let kind = TargetKind::Adopt { id, name, restart: RestartPolicy::default() };
    Ended { kind, ..Ended::new(2, "two", 2_000) }.take_in(&mut retained);
    assert_eq!(due(&retained, u64::MAX), set(["web.old-00000002 two"]));
    // Replaced once more it is kept again, under another name.
    Ended::new(3, "one", 3_000).take_in(&mut retained);
    assert_eq!(due(&retained, 3_000), set(["web.old-00000002 two"]));
}

/// Its twin took its place when the first attempt failed, and is what the second one replaced.
#[test]
fn a_twin_of_the_first_attempt_is_kept_by_the_second() {
    let mut plan = plan(&[&["a"]]);
    let old = OldFacts {
        id: "one".to_owned(),
        image: "app:v1".to_owned(),
        image_id: "sha256:1".to_owned(),
        running: true,
        restart: RestartPolicy::default(),
        auto_remove: true,
        ..OldFacts::default()
    };
    plan.hosts.insert(host("a"), HostPlan { old: Some(old), ..host_plan(TargetKind::Replace) });
    let pulled = HostEvent::Pulled { image_id: "sha256:2".to_owned(), digest: None };
    let trouble = crate::rollout::model::Trouble::new(Reason::Internal, "x");
    let failed = HostEvent::Failed { step: Some(Step::Gate), trouble, log_tail: Vec::new() };
    let running = Phase::Running { wave: 0 };
    let resume_to = Box::new(running.clone());
    let paused = Phase::Paused { cause: PauseCause::Budget, resume_to, since: Millis(1) };
    let twin = HostEvent::Did { step: Step::CreateTwin, id: Some("twin".to_owned()) };
    let of_a = |event: HostEvent| happened("a", event);
    let ends = |end: HostEnd| of_a(HostEvent::Ended { end });
    let begun = |work, attempt| of_a(HostEvent::Begun { work, attempt });
    let mut state = RolloutState::from_created(&created(plan, Policy::default())).unwrap();
    for event in [
        begun(Work::Pull, 1),
        of_a(pulled.clone()),
        ends(HostEnd::Pulled),
        phase(running.clone()),
        begun(Work::Forward, 1),
        of_a(twin),
        of_a(failed),
        ends(HostEnd::Restored),
        phase(paused),
        control(Control::Resume { retry_failed: true }),
        phase(running),
        begun(Work::Pull, 1),
        of_a(pulled),
        ends(HostEnd::Pulled),
        begun(Work::Forward, 2),
        ends(HostEnd::Committed),
        phase(Phase::Succeeded),
    ] {
        state.apply(&record(2_000, event)).unwrap();
    }
    let mut retained = RetainedContainers::default();
    retained.take_in(RolloutId(Uuid::from_u128(1 << 96)), &state);
    assert_eq!(due(&retained, u64::MAX), set(["web.old-00000001 twin"]));
}

#[test]
fn a_host_that_was_put_back_has_nothing_to_remove() {
    let mut retained = RetainedContainers::default();
    Ended { end: HostEnd::Restored, ..Ended::new(1, "one", 1_000) }.take_in(&mut retained);
    assert_eq!(due(&retained, u64::MAX), set([]));
}

#[test]
fn what_hung_on_it_is_kept_as_long_and_counted_by_itself() {
    let mut retained = RetainedContainers::default();
    Ended { side: Some("joined"), ..Ended::new(1, "one", 5_000) }.take_in(&mut retained);
    assert_eq!(due(&retained, 3_604_999), set([]));
    let both = ["side.old-00000001 joined", "web.old-00000001 one"];
    assert_eq!(due(&retained, 3_605_000), set(both));
    // The undo recreated it once more, and did not take the old one.
    let (id, name) = ("one".to_owned(), "web.old-00000001".to_owned());
    let kind = TargetKind::Adopt { id, name, restart: RestartPolicy::default() };
    let undo = Ended { kind, side: Some("rejoined"), ..Ended::new(2, "two", 6_000) };
    undo.take_in(&mut retained);
    assert_eq!(due(&retained, 6_000), set(["side.old-00000001 joined"]));
    let put_back = Ended { end: HostEnd::Restored, ..Ended::new(3, "three", 7_000) };
    Ended { side: Some("stays"), ..put_back }.take_in(&mut retained);
    assert_eq!(due(&retained, 7_000), set(["side.old-00000001 joined"]));
}
