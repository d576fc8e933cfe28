//! Random records: whatever comes, a state is the fold of what it took in.

use proptest::prelude::*;

use super::super::*;
use super::values::*;
use crate::domain::Reason;
use crate::rollout::model::*;
use crate::rollout::spec::Policy;

fn simple_phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        Just(Phase::Pulling),
        (0..3_usize).prop_map(|wave| Phase::Running { wave }),
        (0..3_usize).prop_map(|wave| Phase::Baking { wave, until: Millis(9_000) }),
        Just(Phase::RollingBack),
        Just(Phase::Aborting),
        Just(Phase::Succeeded),
        Just(Phase::Failed),
        Just(Phase::RolledBack),
        Just(Phase::Aborted),
    ]
}

fn any_phase() -> impl Strategy<Value = Phase> {
    let cause = prop_oneof![
        Just(PauseCause::User),
        Just(PauseCause::Budget),
        Just(PauseCause::Promotion),
        Just(PauseCause::Progress),
    ];
    prop_oneof![
        3 => simple_phase(),
        1 => (cause, simple_phase()).prop_map(|(cause, resume_to)| Phase::Paused {
            cause,
            resume_to: Box::new(resume_to),
            since: Millis(2_000),
        }),
    ]
}

fn any_happened() -> impl Strategy<Value = HostEvent> {
    let work = prop_oneof![
        3 => Just(Work::Pull),
        3 => Just(Work::Forward),
        1 => Just(Work::Watch),
        1 => Just(Work::RollBack),
    ];
    let step = prop_oneof![Just(Step::Create), Just(Step::Gate), Just(Step::StopNew)];
    let trouble = || Trouble::new(Reason::Internal, "any");
    let end = prop_oneof![
        3 => Just(HostEnd::Pulled),
        3 => Just(HostEnd::Committed),
        1 => Just(HostEnd::Restored),
        1 => Just(HostEnd::RolledBack),
        1 => Just(HostEnd::Unchanged),
        1 => Just(HostEnd::Skipped { reason: "any".to_owned() }),
        1 => Just(HostEnd::NeedsAttention { trouble: trouble() }),
    ];
    prop_oneof![
        4 => (work, 1..3_u32).prop_map(|(work, attempt)| HostEvent::Begun { work, attempt }),
        1 => step.clone().prop_map(|step| HostEvent::Intent { step }),
        1 => step.prop_map(|step| HostEvent::Did { step, id: Some("id".to_owned()) }),
        2 => Just(HostEvent::Pulled { image_id: "sha256:1".to_owned(), digest: None }),
        1 => Just(HostEvent::Gate { deadline: Millis(7_000) }),
        1 => Just(HostEvent::Passed { monitor_until: Millis(8_000) }),
        1 => Just(HostEvent::Failed { step: None, trouble: trouble(), log_tail: Vec::new() }),
        1 => Just(HostEvent::Unreachable { trouble: trouble() }),
        4 => end.prop_map(|end| HostEvent::Ended { end }),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let control_of = prop_oneof![
        Just(Control::Pause),
        Just(Control::Resume { retry_failed: true }),
        Just(Control::Resume { retry_failed: false }),
        Just(Control::Promote),
        Just(Control::Abort),
    ];
    let name = prop_oneof![4 => Just("a1"), 4 => Just("b1"), 1 => Just("x1")];
    prop_oneof![
        2 => any_phase().prop_map(phase),
        1 => control_of.prop_map(control),
        9 => (name, any_happened()).prop_map(|(name, what)| happened(name, what)),
    ]
}

proptest! {
    #[test]
    fn a_state_is_the_fold_of_what_it_took(events in prop::collection::vec(any_event(), 0..120)) {
        let first = created(plan(&[&["a1"], &["b1"]]), Policy::default());
        let mut state = RolloutState::from_created(&first).unwrap();
        let mut taken = vec![first];
        for (number, event) in events.into_iter().enumerate() {
            let record = record(1_010 + 10 * number as u64, event);
            let before = state.clone();
            if state.apply(&record).is_ok() {
                prop_assert!(!before.phase.is_terminal());
                taken.push(record);
            } else {
                prop_assert_eq!(&before, &state);
            }
            prop_assert!(!state.phase.is_terminal() || !state.is_at_work());
        }
        for cut in 1..=taken.len() {
            let mut halves = RolloutState::replay(&taken[..cut]).unwrap();
            for record in &taken[cut..] {
                halves.apply(record).unwrap();
            }
            prop_assert_eq!(&halves, &state);
        }
    }

    #[test]
    fn a_record_survives_its_storage(event in any_event()) {
        let record = record(1, event);
        let text = serde_json::to_string(&record).unwrap();
        prop_assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
