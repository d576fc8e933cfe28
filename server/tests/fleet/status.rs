//! How a call ends when some or all of its hosts failed.

use tonic::Code;
use tonic_types::StatusExt;
use wharf::v1;
use wharf_simulator::Operation;
use wharf_simulator::When;
use wharf_simulator::http::HttpFault;

use crate::support::{Answer, Fleet, all, list, name, start};

/// Three hosts, of which the ones at these places answer this with status 500 or 503.
async fn failing(operation: Operation, statuses: &[(usize, u16)]) -> Fleet {
    let fleet = Fleet::new(3).await;
    for &(place, status) in statuses {
        let fault = HttpFault::Refuse { status, message: "as the script says".to_owned() };
        fleet.host(place).faults.add(When::on(operation), fault);
    }
    fleet
}

fn partial(allow_partial: bool) -> Option<v1::FanoutOptions> {
    Some(v1::FanoutOptions { allow_partial: Some(allow_partial), ..Default::default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_with_failures_ends_ok_and_counts_them() {
    let fleet = failing(Operation::ListContainers, &[(1, 500)]).await;
    let listed = Answer::of(fleet.containers().list_containers(list(all()))).await;
    assert!(listed.status.is_ok());
    let expected = v1::FanoutSummary { succeeded: 2, failed: 1, unchanged: 0 };
    assert_eq!(listed.summary, Some(expected));
    assert_eq!(listed.code_and_reason(&name(1)), (Code::Unknown, "ENGINE_ERROR".to_owned()));
    assert!(listed.refused(&name(1)).message.contains("as the script says"));

    let strict = v1::ListContainersRequest { fanout: partial(false), ..list(all()) };
    let listed = Answer::of(fleet.containers().list_containers(strict)).await;
    assert_eq!(listed.failure(), (Code::Aborted, "SOME_HOSTS_FAILED".to_owned()));
    assert_eq!(listed.summary, Some(expected), "every outcome comes before the status");
    let message = listed.status.unwrap_err().message().to_owned();
    assert!(message.contains("1 of 3") && message.contains(&name(1)), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_with_failures_ends_aborted_after_every_outcome() {
    let fleet = failing(Operation::Start, &[(1, 500)]).await;
    let started = Answer::of(fleet.containers().start_containers(start(all(), "c0"))).await;
    assert_eq!(started.failure(), (Code::Aborted, "SOME_HOSTS_FAILED".to_owned()));
    assert_eq!(started.succeeded(), [name(0), name(2)]);
    assert_eq!(started.summary, Some(v1::FanoutSummary { succeeded: 2, failed: 1, unchanged: 0 }));

    let lenient = v1::StartContainersRequest { fanout: partial(true), ..start(all(), "c0") };
    let started = Answer::of(fleet.containers().start_containers(lenient)).await;
    assert!(started.status.is_ok());
    // The two that run were told again, and had nothing to do.
    assert_eq!(started.summary, Some(v1::FanoutSummary { succeeded: 2, failed: 1, unchanged: 2 }));
    assert!(!started.outcomes[&name(0)].changed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_hosts_all_failed_has_the_reason_that_they_share() {
    let fleet = failing(Operation::Start, &[(0, 503), (1, 503), (2, 503)]).await;
    for allow_partial in [true, false] {
        let request =
            v1::StartContainersRequest { fanout: partial(allow_partial), ..start(all(), "c0") };
        let started = Answer::of(fleet.containers().start_containers(request)).await;
        let shared = (Code::Unavailable, "ENGINE_UNAVAILABLE".to_owned());
        assert_eq!(started.code_and_reason(&name(2)), shared);
        assert_eq!(started.failure(), shared);
        let status = started.status.unwrap_err();
        let message = status.message();
        for part in ["all 3 hosts failed", &name(0), &name(2), "as the script says"] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
    let fleet = failing(Operation::ListContainers, &[(0, 503), (1, 500), (2, 503)]).await;
    let listed = Answer::of(fleet.containers().list_containers(list(all()))).await;
    assert_eq!(listed.failure(), (Code::Aborted, "ALL_HOSTS_FAILED".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_on_one_host_fails_as_that_host_does() {
    let fleet = Fleet::new(1).await;
    let started = Answer::of(fleet.containers().start_containers(start(all(), "nobody"))).await;
    let reason = (Code::NotFound, "CONTAINER_NOT_FOUND".to_owned());
    assert_eq!(started.code_and_reason(&name(0)), reason);
    assert_eq!(started.failure(), reason);
    let said = started.refused(&name(0)).message;
    let status = started.status.unwrap_err();
    assert_eq!(status.message(), format!("{}: {said}", name(0)));
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata["host"], name(0));
    assert_eq!(info.metadata["http_status"], "404");
    assert_eq!((&*info.metadata["failed"], &*info.metadata["total"]), ("1", "1"));

    // A read tells of it too: nothing was read.
    let fault = HttpFault::Refuse { status: 503, message: "as the script says".to_owned() };
    fleet.host(0).faults.add(When::on(Operation::ListContainers), fault);
    let listed = Answer::of(fleet.containers().list_containers(list(all()))).await;
    assert_eq!(listed.failure(), (Code::Unavailable, "ENGINE_UNAVAILABLE".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_that_the_server_does_not_know_is_refused() {
    let fleet = Fleet::new(1).await;
    for condition in [99, -1] {
        let containers = vec!["c0".to_owned()];
        let request = v1::WaitContainersRequest {
            targets: all(),
            containers,
            condition,
            ..Default::default()
        };
        let status = fleet.containers().wait_containers(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with("condition: "), "{}", status.message());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selection_that_is_wrong_fails_before_any_host_is_touched() {
    use v1::host_selector::Selection;
    let fleet = Fleet::new(2).await;
    let selector = |selection: Option<Selection>, exclude: &[&str]| {
        let exclude = exclude.iter().map(|&name| name.to_owned()).collect();
        Some(v1::HostSelector { selection, exclude })
    };
    let hosts = |names: &[&str]| {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Some(Selection::Hosts(v1::HostNames { names }))
    };
    let labels = |text: &str| Some(Selection::Labels(text.to_owned()));
    for (targets, code, reason) in [
        (None, Code::InvalidArgument, "INVALID_FIELD"),
        (selector(None, &[]), Code::InvalidArgument, "INVALID_FIELD"),
        (selector(hosts(&["host-0000", "nobody"]), &[]), Code::NotFound, "HOST_NOT_FOUND"),
        (selector(hosts(&["a/../b"]), &[]), Code::InvalidArgument, "INVALID_FIELD"),
        (selector(labels("place in ("), &[]), Code::InvalidArgument, "INVALID_FIELD"),
        (selector(labels("place=77"), &[]), Code::NotFound, "NO_HOSTS_MATCHED"),
        (selector(labels("place"), &["nobody"]), Code::NotFound, "HOST_NOT_FOUND"),
    ] {
        let request = start(targets, "c0");
        let refused = fleet.containers().start_containers(request.clone()).await;
        let refused = refused.map(drop).expect_err("refused at once");
        assert_eq!(
            (refused.code(), &*crate::support::reason(&refused)),
            (code, reason),
            "{request:?}"
        );
    }
    for host in fleet.hosts() {
        assert_eq!(host.counters.snapshot().accepted, 0, "nothing was sent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_hosts_that_matches_none_is_an_empty_page() {
    use v1::host_selector::Selection;
    let fleet = Fleet::new(1).await;
    let list = async |selection: Selection| {
        let targets = v1::HostSelector { selection: Some(selection), exclude: Vec::new() };
        let request = v1::ListHostsRequest { targets: Some(targets), ..Default::default() };
        fleet.inventory().list_hosts(request).await.map(tonic::Response::into_inner)
    };
    let none = list(Selection::Labels("place=77".to_owned())).await.unwrap();
    assert_eq!((none.hosts.len(), none.next_page_token.as_str()), (0, ""));
    let names = v1::HostNames { names: vec!["nobody".to_owned()] };
    let unknown = list(Selection::Hosts(names)).await.unwrap_err();
    assert_eq!(
        (unknown.code(), &*crate::support::reason(&unknown)),
        (Code::NotFound, "HOST_NOT_FOUND")
    );
}
