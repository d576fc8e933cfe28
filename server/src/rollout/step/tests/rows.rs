//! The table of the recovery, row by row.

use super::super::*;
use super::model::*;
use crate::engine::inspection::Status;
use crate::rollout::model::{Order, RestartPolicy};

struct Row {
    old: Option<ContainerFacts>,
    new: Option<ContainerFacts>,
    did: &'static [Step],
}

fn replace() -> HostPlan {
    plan(TargetKind::Replace, Order::StopFirst, true, false)
}

fn fenced(facts: ContainerFacts) -> ContainerFacts {
    ContainerFacts { restart: RestartPolicy::default(), ..facts }
}

fn ask(plan: &HostPlan, row: Row, direction: Direction) -> Next {
    let host = Host([row.old, row.new].into_iter().flatten().collect());
    let progress = HostProgress {
        intended: row.did.iter().copied().collect(),
        did: row.did.iter().map(|step| (*step, 1)).collect(),
        ..HostProgress::default()
    };
    next(&names(), plan, &Policy::default(), &host.observe(plan), direction, &progress)
}

#[test]
fn forward_rows() {
    let names = names();
    let up = |name: &str| Some(container(OLD, name, Status::Running));
    let down = |name: &str| Some(container(OLD, name, Status::Exited));
    let put_by = || Some(fenced(container(OLD, &names.backup, Status::Exited)));
    let created = |name: &str| Some(ours(NEW, name, Status::Created));
    const CREATED: &[Step] = &[Step::Create];
    const COMPARED: &[Step] = &[Step::Create, Step::StartNew, Step::Compare];
    const GATED: &[Step] = &[Step::Create, Step::StartNew, Step::Compare, Step::Gate];
    let rows = [
        (up("web"), None, &[][..], Step::Create),
        (up("web"), created(&names.candidate), &[][..], Step::Create),
        (up("web"), created(&names.candidate), CREATED, Step::StopOld),
        (down("web"), created(&names.candidate), CREATED, Step::FenceOld),
        (
            Some(fenced(container(OLD, "web", Status::Exited))),
            created(&names.candidate),
            CREATED,
            Step::RenameOld,
        ),
        (put_by(), created(&names.candidate), CREATED, Step::RenameNew),
        (put_by(), created("web"), CREATED, Step::StartNew),
        (put_by(), Some(ours(NEW, "web", Status::Running)), CREATED, Step::Compare),
        (put_by(), Some(ours(NEW, "web", Status::Running)), COMPARED, Step::Gate),
        (put_by(), Some(ours(NEW, "web", Status::Running)), GATED, Step::Monitor),
        // Somebody, or an Engine that came back, started the old one again.
        (up(&names.backup), created(&names.candidate), CREATED, Step::StopOld),
        (down(&names.backup), created("web"), CREATED, Step::FenceOld),
    ];
    for (old, new, did, expected) in rows {
        let context = format!("{old:?} {new:?} {did:?}");
        let next = ask(&replace(), Row { old, new, did }, Direction::Forward);
        assert_eq!(next, Next::Do(expected), "{context}");
    }
}

#[test]
fn a_failed_start_is_tried_again_and_a_container_that_ended_is_not() {
    let names = names();
    let old = || Some(fenced(container(OLD, &names.backup, Status::Exited)));
    let failed = ContainerFacts {
        exit_code: 128,
        start_error: "port is already allocated".to_owned(),
        ..ours(NEW, "web", Status::Created)
    };
    let row = Row { old: old(), new: Some(failed), did: &[Step::Create] };
    assert_eq!(ask(&replace(), row, Direction::Forward), Next::Do(Step::StartNew));
    let ended = Some(ours(NEW, "web", Status::Exited));
    let did = &[Step::Create, Step::StartNew, Step::Compare];
    let row = Row { old: old(), new: ended.clone(), did };
    assert_eq!(ask(&replace(), row, Direction::Forward), Next::Do(Step::Gate));
    let did = &[Step::Create, Step::StartNew, Step::Gate];
    let row = Row { old: old(), new: ended, did };
    let Next::Fail(trouble) = ask(&replace(), row, Direction::Forward) else {
        panic!("it is down");
    };
    assert_eq!(trouble.reason, Reason::RolloutGateFailed);
}

#[test]
fn a_candidate_from_another_body_is_made_anew_when_it_never_ran() {
    let names = names();
    let old = || Some(container(OLD, "web", Status::Running));
    let other = |status| Some(of_body("other", container(NEW, &names.candidate, status)));
    let row = Row { old: old(), new: other(Status::Created), did: &[] };
    assert_eq!(ask(&replace(), row, Direction::Forward), Next::Do(Step::RemoveNew));
    let row = Row { old: old(), new: other(Status::Exited), did: &[] };
    assert!(matches!(ask(&replace(), row, Direction::Forward), Next::Attention(_)));
}

#[test]
fn what_is_lost_is_restored_or_shown() {
    let names = names();
    let new = || Some(ours(NEW, "web", Status::Running));
    let row = Row { old: None, new: new(), did: &[Step::Create] };
    let Next::Attention(trouble) = ask(&replace(), row, Direction::Forward) else {
        panic!("the old one is gone");
    };
    assert!(trouble.message.contains("nothing was deleted"), "{}", trouble.message);
    let row = Row { old: None, new: new(), did: &[Step::Create] };
    assert!(matches!(ask(&replace(), row, Direction::Restore), Next::Attention(_)));
    let old = Some(fenced(container(OLD, &names.backup, Status::Exited)));
    let row = Row { old: old.clone(), new: None, did: &[Step::Create] };
    assert!(matches!(ask(&replace(), row, Direction::Forward), Next::Fail(_)));
    let row = Row { old, new: None, did: &[] };
    assert_eq!(ask(&replace(), row, Direction::Restore), Next::Do(Step::RenameBack));
}

#[test]
fn a_rejected_container_means_that_the_way_back_goes_on() {
    let names = names();
    for name in ["web", names.backup.as_str()] {
        let old = Some(container(OLD, name, Status::Exited));
        let new = Some(ours(NEW, &names.reject, Status::Exited));
        let row = Row { old, new, did: &[Step::Create] };
        assert!(matches!(ask(&replace(), row, Direction::Forward), Next::Fail(_)), "{name}");
    }
}

#[test]
fn names_that_strangers_have_are_found_before_anything_is_touched() {
    let plan = replace();
    let names = names();
    for field in 0..3 {
        let mut seen = Host::before(&plan).observe(&plan);
        let stranger = Some(FOREIGN.to_owned());
        let taken = match field {
            0 => {
                seen.candidate_holder = stranger;
                &names.candidate
            }
            1 => {
                seen.backup_holder = stranger;
                &names.backup
            }
            _ => {
                seen.reject_holder = stranger;
                &names.reject
            }
        };
        let progress = HostProgress::default();
        let ask = |direction| next(&names, &plan, &Policy::default(), &seen, direction, &progress);
        let Next::Fail(trouble) = ask(Direction::Forward) else { panic!("{taken} is taken") };
        assert_eq!(trouble.reason, Reason::NameInUse);
        assert!(trouble.message.contains(taken.as_str()), "{}", trouble.message);
        assert_eq!(ask(Direction::Restore), Next::Finished(HostEnd::Unchanged));
    }
}

#[test]
fn a_container_without_the_label_is_never_taken_for_the_new_one() {
    let stranger = Some(container(NEW, &names().candidate, Status::Created));
    for direction in [Direction::Forward, Direction::Restore, Direction::RollBack] {
        let old = Some(container(OLD, "web", Status::Running));
        let row = Row { old, new: stranger.clone(), did: &[Step::Create] };
        assert!(matches!(ask(&replace(), row, direction), Next::Attention(_)), "{direction:?}");
    }
}

#[test]
fn a_target_that_was_started_since_the_plan_is_left_running() {
    let plan = plan(TargetKind::Replace, Order::StopFirst, false, false);
    let old = || Some(container(OLD, "web", Status::Running));
    let row = Row { old: old(), new: None, did: &[] };
    let Next::Fail(trouble) = ask(&plan, row, Direction::Forward) else { panic!("it runs now") };
    assert_eq!(trouble.reason, Reason::RolloutContainerChanged);
    let row = Row { old: old(), new: None, did: &[] };
    assert_eq!(ask(&plan, row, Direction::Restore), Next::Finished(HostEnd::Unchanged));
}

#[test]
fn an_old_container_on_its_way_out_is_waited_for() {
    let plan = plan(TargetKind::Replace, Order::StopFirst, true, true);
    let mut host = Host::before(&plan);
    host.act(&plan, Step::Create);
    host.act(&plan, Step::CreateTwin);
    host.set(OLD, Status::Removing);
    let mut progress = HostProgress::default();
    for step in [Step::Create, Step::CreateTwin] {
        progress.intended.insert(step);
        progress.did.insert(step, 1);
    }
    progress.intended.insert(Step::StopOld);
    for direction in [Direction::Forward, Direction::Restore] {
        let seen = host.observe(&plan);
        let next = next(&names(), &plan, &Policy::default(), &seen, direction, &progress);
        assert_eq!(next, Next::Do(Step::StopOld), "{direction:?}");
    }
}
