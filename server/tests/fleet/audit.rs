//! The audit log: one line for every call that changes something and for every refusal.

use tonic::Code;
use wharf::v1;
use wharf::v1::host_service_client::HostServiceClient;
use wharf::v1::rollout_service_client::RolloutServiceClient;

use crate::access::{TOKENS, call, secured};
use crate::support::{Answer, Fleet, Log, all, list, start, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_has_its_line_and_no_read_has() {
    let log = Log::take_down();
    let fleet = Fleet::new(1).await;
    let uid = format!("principal=\"uid:{}\"", rustix::process::geteuid().as_raw());
    let peer = format!("peer=\"pid:{},uid:", std::process::id());
    // What this test alone does: its names stand in the subjects.
    let mut hosts = HostServiceClient::new(fleet.channel.clone());
    let host = v1::AddHostRequest {
        name: "audited".to_owned(),
        address: "tcp://127.0.0.1:1".to_owned(),
        ..Default::default()
    };
    hosts.add_host(host.clone()).await.unwrap();
    let wrong = v1::AddHostRequest { address: "tcp://127.0.0.1:2".to_owned(), ..host };
    hosts.add_host(wrong).await.unwrap_err();
    let label = v1::UpdateHostLabelsRequest {
        targets: all(),
        set: [("a".to_owned(), "b".to_owned())].into(),
        ..Default::default()
    };
    hosts.update_host_labels(label).await.unwrap_err();
    let remove = v1::RemoveHostRequest { name: "audited".to_owned(), ..Default::default() };
    hosts.remove_host(remove).await.unwrap();
    let registry = "audited.test:5000".to_owned();
    let logout = v1::LogoutRequest { registry, ..Default::default() };
    fleet.registry().logout(logout).await.unwrap_err();
    let id = "a0d17ed0-0000-4000-8000-000000000001".to_owned();
    let pause = v1::PauseRolloutRequest { id, ..Default::default() };
    let mut rollouts = RolloutServiceClient::new(fleet.channel.clone());
    rollouts.pause_rollout(pause).await.unwrap_err();
    Answer::of(fleet.containers().start_containers(start(all(), "audited"))).await;
    Answer::of(fleet.containers().list_containers(list(all()))).await;
    fleet.warm().await;

    let service = |name: &str| format!("method=\"/wharf.v1.{name}\"");
    for (method, subject, outcome) in [
        ("HostService/AddHost", "host=audited", "outcome=\"OK\" reason=\"\""),
        ("HostService/AddHost", "host=", "outcome=\"ALREADY_EXISTS\" reason=\"HOST_EXISTS\""),
        ("HostService/UpdateHostLabels", "hosts=", "outcome=\"FAILED_PRECONDITION\""),
        ("HostService/RemoveHost", "audited", "outcome=\"OK\" reason=\"\""),
        ("RegistryService/Logout", "registry=audited.test:5000", "reason=\"LOGIN_NOT_FOUND\""),
        (
            "RolloutService/PauseRollout",
            "rollout=a0d17ed0-0000-4000-8000-000000000001 Pause",
            "reason=\"ROLLOUT_NOT_FOUND\"",
        ),
        (
            "ContainerService/StartContainers",
            "hosts=host-0000 operation=",
            "outcome=\"NOT_FOUND\" reason=\"CONTAINER_NOT_FOUND\"",
        ),
    ] {
        let method = service(method);
        let parts = [&*uid, &*peer, &*method, subject, outcome, "elapsed_ms="];
        until(&format!("{parts:?} in {:#?}", log.audit(&[&method])), || {
            !log.audit(&parts).is_empty()
        })
        .await;
    }
    let reads = log.audit(&[&service("ContainerService/ListContainers"), "outcome=\"OK\""]);
    assert!(reads.is_empty(), "{reads:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_has_its_line_with_the_address() {
    let log = Log::take_down();
    let secured = secured().await;
    let path = "/wharf.v1.ContainerService/PauseContainers";
    let peer = "peer=\"127.0.0.1:";
    assert_eq!(call(&secured.channel, path, None).await, Code::Unauthenticated);
    let reader = Some(TOKENS[0].0);
    assert_eq!(call(&secured.channel, path, reader).await, Code::PermissionDenied);
    let method = format!("method=\"{path}\"");
    let of_nobody = ["principal=\"unknown\"", "outcome=\"UNAUTHENTICATED\""];
    let of_reader = ["principal=\"token:reader\"", "reason=\"ROLE_REQUIRED\""];
    for parts in [of_nobody, of_reader] {
        let parts = [&parts[..], &[peer, &method]].concat();
        until(&format!("{parts:?}"), || !log.audit(&parts).is_empty()).await;
    }
    secured.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_wrong_tokens_waits_and_leaves_the_log_short() {
    let log = Log::take_down();
    let secured = secured().await;
    let path = "/wharf.v1.ContainerService/UnpauseContainers";
    let calls = (0..200).map(|_| call(&secured.channel, path, Some("a-wrong-token-0123456789")));
    let flood = futures_util::future::join_all(calls);
    tokio::pin!(flood);
    // Callers with a certificate or another address go on; this address is held up for a moment.
    let codes = flood.await;
    let count = |code: Code| codes.iter().filter(|it| **it == code).count();
    assert_eq!(count(Code::Unauthenticated) + count(Code::ResourceExhausted), 200, "{codes:?}");
    assert!(count(Code::ResourceExhausted) > 100, "{codes:?}");
    let method = format!("method=\"{path}\"");
    assert!(log.audit(&[&method]).len() <= 20, "{:#?}", log.audit(&[&method]));
    // What was held up is over, and the right token is let in again.
    assert_eq!(
        call(&secured.channel, "/wharf.v1.HostService/ListHosts", Some(TOKENS[0].0)).await,
        Code::Ok
    );
    secured.server.stop().await;
}
