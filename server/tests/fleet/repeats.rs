//! Writes with a `request_id`: what a retry does and does not do.

use std::time::Duration;

use tonic::{Code, Request};
use uuid::Uuid;
use wharf::v1;
use wharf_simulator::{HttpFault, Operation, When};

use crate::support::{
    Answer, Fleet, FleetOptions, IMAGE, Reader, all, at, max_parallel, name, reason, start, until,
};

fn create(id: &str) -> v1::CreateContainerRequest {
    // Maps have no order of their own: a request is the same in whatever order they come.
    let labels = (0..20).map(|number| (format!("label-{number}"), number.to_string())).collect();
    let spec = v1::ContainerSpec { image: IMAGE.to_owned(), labels, ..Default::default() };
    v1::CreateContainerRequest {
        targets: all(),
        request_id: id.to_owned(),
        name: "web".to_owned(),
        spec: Some(spec),
        start: true,
        ..Default::default()
    }
}

fn id() -> String {
    Uuid::new_v4().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_is_answered_as_the_first_time_and_does_nothing() {
    let fleet = Fleet::new(3).await;
    let fault = HttpFault::Refuse { status: 500, message: "disk full".to_owned() };
    fleet.host(1).faults.add(When::on(Operation::Create), fault);
    let request = create(&id());
    let first = Answer::of(fleet.containers().create_container(request.clone())).await;
    assert_eq!(first.failure(), (Code::Aborted, "SOME_HOSTS_FAILED".to_owned()));
    fleet.host(1).faults.clear();
    for _ in 0..3 {
        let again = Answer::of(fleet.containers().create_container(request.clone())).await;
        assert_eq!(again.failure(), (Code::Aborted, "SOME_HOSTS_FAILED".to_owned()));
        assert_eq!(again.summary, first.summary);
        assert!(again.refused(&name(1)).message.contains("disk full"));
        let sorted = |answer: &Answer<v1::create_container_response::Event>| {
            let mut payloads = answer.payloads.clone();
            payloads.sort_by(|one, other| one.0.cmp(&other.0));
            payloads
        };
        // Whose call made it is the one thing that differs.
        let mut expected = sorted(&first);
        for (_, event) in &mut expected {
            if let v1::create_container_response::Event::Container(container) = event {
                assert!(container.created);
                container.created = false;
            }
        }
        assert_eq!(sorted(&again), expected);
        assert!(again.outcomes.values().all(|outcome| outcome.replayed));
    }
    for host in fleet.hosts() {
        assert_eq!(host.counters.count(Operation::Create), 1);
    }
    let other = v1::CreateContainerRequest { name: "other".to_owned(), ..request };
    let refused = fleet.containers().create_container(other).await.map(drop).unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_uuid_is_refused() {
    let fleet = Fleet::new(1).await;
    for id in ["1", "not-a-uuid", "00000000-0000-0000-0000-000000000000"] {
        let refused = fleet.containers().create_container(create(id)).await.map(drop).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{id}");
        assert!(refused.message().contains("request_id"), "{id}");
    }
    assert_eq!(fleet.host(0).counters.snapshot().accepted, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_while_the_first_is_at_work_is_sent_away() {
    let fleet = Fleet::new(1).await;
    fleet.warm().await;
    fleet.host(0).host().set_hung(true);
    let request = create(&id());
    let first = Reader::begin(fleet.containers().create_container(request.clone())).await;
    let again = fleet.containers().create_container(request).await.map(drop).unwrap_err();
    assert_eq!((again.code(), &*reason(&again)), (Code::Aborted, "REQUEST_IN_PROGRESS"));
    fleet.host(0).host().set_hung(false);
    first.finish().await.all_succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_does_what_was_not_begun_and_hears_of_what_was_done_meanwhile() {
    let fleet = Fleet::new(2).await;
    fleet.warm().await;
    fleet.host(0).host().set_hung(true);
    let write = v1::StartContainersRequest {
        fanout: max_parallel(1),
        request_id: id(),
        ..start(all(), "c0")
    };
    let mut request = Request::new(write.clone());
    request.set_timeout(Duration::from_millis(400));
    let first = Answer::of(fleet.containers().start_containers(request)).await;
    assert_eq!(first.code_and_reason(&name(0)).1, "HOST_TIMEOUT");
    assert_eq!(first.code_and_reason(&name(1)).1, "HOST_SKIPPED");
    fleet.host(0).host().set_hung(false);
    let again = loop {
        match fleet.containers().start_containers(write.clone()).await {
            Ok(answer) => break Answer::of(async { Ok(answer) }).await,
            // The work on the first host has not heard yet that it may go on.
            Err(status) => assert_eq!(reason(&status), "REQUEST_IN_PROGRESS"),
        }
    };
    again.all_succeeded();
    assert!(again.outcomes.values().all(|outcome| outcome.changed));
    for host in fleet.hosts() {
        assert_eq!(host.counters.count(Operation::Start), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_says_that_it_was_changed_where_one_of_its_items_failed() {
    let fleet = Fleet::new(1).await;
    let mut write = v1::StartContainersRequest { request_id: id(), ..start(all(), "c0") };
    write.containers.push("missing".to_owned());
    for _ in 0..2 {
        let answer = Answer::of(fleet.containers().start_containers(write.clone())).await;
        assert_eq!(answer.code_and_reason(&name(0)).1, "SOME_ITEMS_FAILED");
        assert!(answer.outcomes[&name(0)].changed);
    }
    // The repetition is answered from the record.
    assert_eq!(fleet.host(0).counters.count(Operation::Start), 1);
}

/// Begins a write, lets the server die in the middle of it, and repeats it at a new one.
async fn across_a_crash<A, B>(begin: impl FnOnce(Fleet) -> A, repeat: impl FnOnce(Fleet) -> B)
where
    A: Future<Output = Fleet> + Send + 'static,
    B: Future<Output = ()>,
{
    // The simulated hosts live on; the server has a runtime that ends with it, as at SIGKILL.
    let fleet = Fleet::new(1).await;
    let mut fleet = fleet.in_a_runtime_of_its_own().await;
    fleet.host(0).host().set_hung(true);
    fleet = begin(fleet).await;
    fleet.kill().await;
    fleet.host(0).host().set_hung(false);
    fleet.start().await;
    repeat(fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_what_does_no_harm_twice_is_done_again() {
    let write = v1::StartContainersRequest { request_id: id(), ..start(at(&[0]), "c0") };
    let again = write.clone();
    across_a_crash(
        |fleet| async move {
            let _reader = Reader::begin(fleet.containers().start_containers(write)).await;
            until("it has begun", || fleet.host(0).counters.snapshot().in_flight == 1).await;
            fleet
        },
        |fleet| async move {
            let answer = Answer::of(fleet.containers().start_containers(again)).await;
            answer.all_succeeded();
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_what_might_do_harm_twice_is_left_and_said_to_be_unknown() {
    let write = v1::KillContainersRequest {
        targets: at(&[0]),
        request_id: id(),
        containers: vec!["c0".to_owned()],
        signal: "HUP".to_owned(),
        ..Default::default()
    };
    let again = write.clone();
    across_a_crash(
        |fleet| async move {
            let _reader = Reader::begin(fleet.containers().kill_containers(write)).await;
            until("it has begun", || fleet.host(0).counters.snapshot().in_flight == 1).await;
            fleet
        },
        |fleet| async move {
            let answer = Answer::of(fleet.containers().kill_containers(again)).await;
            assert_eq!(answer.failure(), (Code::Unknown, "RESULT_UNKNOWN".to_owned()));
            let refused = answer.refused(&name(0));
            assert_eq!((refused.code, &*refused.reason), (Code::Unknown, "RESULT_UNKNOWN"));
            assert_eq!(fleet.host(0).counters.count(Operation::Kill), 0);
        },
    )
    .await;
}

fn refuse(status: u16) -> HttpFault {
    HttpFault::Refuse { status, message: "not now".to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_on_which_nothing_was_done_is_worked_on_by_the_repetition() {
    let fleet = Fleet::new(2).await;
    fleet.host(1).faults.add(When::on(Operation::Create), refuse(503));
    let request = create(&id());
    let first = Answer::of(fleet.containers().create_container(request.clone())).await;
    assert_eq!(first.code_and_reason(&name(1)), (Code::Unavailable, "ENGINE_UNAVAILABLE".into()));
    fleet.host(1).faults.clear();
    let again = Answer::of(fleet.containers().create_container(request.clone())).await;
    again.all_succeeded();
    assert!(again.outcomes[&name(0)].replayed);
    assert!(!again.outcomes[&name(1)].replayed);
    assert_eq!(fleet.host(0).counters.count(Operation::Create), 1);
    // What was done by the second try stands for the third.
    let third = Answer::of(fleet.containers().create_container(request)).await;
    assert!(third.outcomes.values().all(|outcome| outcome.replayed));
    assert_eq!(fleet.host(1).counters.count(Operation::Create), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_containers_only_those_are_worked_on_again_that_were_not_begun() {
    let fleet = Fleet::with(FleetOptions { containers: 2, ..FleetOptions::of(1) }).await;
    let fault = When::on(Operation::Kill);
    fleet.host(0).faults.add(fault.after(1), refuse(503));
    fleet.warm().await;
    let started = start(all(), "c0");
    let started = v1::StartContainersRequest {
        containers: vec!["c0".to_owned(), "c1".to_owned()],
        ..started
    };
    Answer::of(fleet.containers().start_containers(started)).await.all_succeeded();
    let write = v1::KillContainersRequest {
        targets: all(),
        request_id: id(),
        containers: vec!["c0".to_owned(), "c1".to_owned()],
        signal: "HUP".to_owned(),
        ..Default::default()
    };
    let first = Answer::of(fleet.containers().kill_containers(write.clone())).await;
    assert_eq!(first.code_and_reason(&name(0)).1, "SOME_ITEMS_FAILED");
    // One of the two was changed.
    assert!(first.outcomes[&name(0)].changed);
    fleet.host(0).faults.clear();
    let again = Answer::of(fleet.containers().kill_containers(write.clone())).await;
    again.all_succeeded();
    let names: Vec<_> = again
        .payloads
        .iter()
        .filter_map(|(_, event)| match event {
            v1::kill_containers_response::Event::Item(item) => Some(item.name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["c0", "c1"]);
    // Two at the first try, one of them refused, and that one again.
    assert_eq!(fleet.host(0).counters.count(Operation::Kill), 3);
    Answer::of(fleet.containers().kill_containers(write)).await.all_succeeded();
    assert_eq!(fleet.host(0).counters.count(Operation::Kill), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_was_created_and_not_started_is_not_created_again() {
    let fleet = Fleet::new(1).await;
    fleet.host(0).faults.add(When::on(Operation::Start), refuse(503));
    let request = create(&id());
    let first = Answer::of(fleet.containers().create_container(request.clone())).await;
    // UNAVAILABLE would say that nothing was done.
    assert_eq!(first.code_and_reason(&name(0)), (Code::Unknown, "ENGINE_ERROR".into()));
    assert!(first.outcomes[&name(0)].changed);
    fleet.host(0).faults.clear();
    let again = Answer::of(fleet.containers().create_container(request)).await;
    assert_eq!(again.code_and_reason(&name(0)), first.code_and_reason(&name(0)));
    assert_eq!(fleet.host(0).counters.count(Operation::Create), 1);
}
