//! Cordoned hosts are left alone by whatever changes something, and by nothing else.

use tonic::Code;
use wharf::v1;
use wharf_simulator::Operation;

use crate::support::{Answer, Fleet, all, at, list, name, reason, start};

async fn cordon(
    fleet: &Fleet,
    targets: Option<v1::HostSelector>,
    reason: &str,
) -> Result<v1::CordonHostsResponse, tonic::Status> {
    let reason = reason.to_owned();
    let request = v1::CordonHostsRequest { targets, reason, ..Default::default() };
    fleet.inventory().cordon_hosts(request).await.map(tonic::Response::into_inner)
}

async fn uncordon(fleet: &Fleet, targets: Option<v1::HostSelector>) -> v1::UncordonHostsResponse {
    let request = v1::UncordonHostsRequest { targets, ..Default::default() };
    fleet.inventory().uncordon_hosts(request).await.unwrap().into_inner()
}

fn including(request: v1::StartContainersRequest) -> v1::StartContainersRequest {
    let fanout = Some(v1::FanoutOptions { include_cordoned: true, ..Default::default() });
    v1::StartContainersRequest { fanout, ..request }
}

/// Starts of containers that reached each host.
fn starts(fleet: &Fleet) -> Vec<u64> {
    fleet.hosts().iter().map(|host| host.counters.count(Operation::Start)).collect()
}

/// The hosts of these tests are of the configuration file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_leave_cordoned_hosts_out_and_say_so() {
    let mut fleet = Fleet::new(3).await;
    let done = cordon(&fleet, at(&[1]), " kernel upgrade ").await.unwrap();
    assert_eq!(done.changed, [name(1)]);
    let set = done.hosts[0].cordon.clone().unwrap();
    assert_eq!(set.reason, "kernel upgrade");
    assert!(!set.principal.is_empty() && set.since.is_some(), "{set:?}");
    // The same again keeps who and when.
    let again = cordon(&fleet, at(&[1]), "kernel upgrade").await.unwrap();
    assert_eq!((again.hosts[0].cordon.clone(), again.changed), (Some(set.clone()), vec![]));

    fleet.stop().await;
    fleet.start().await;
    let get = v1::GetHostRequest { name: name(1) };
    let host = fleet.inventory().get_host(get).await.unwrap().into_inner().host.unwrap();
    assert_eq!(host.cordon, Some(set), "it is kept");

    // Selected: left out, and said.
    let mut stream =
        fleet.containers().start_containers(start(all(), "c0")).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    let Some(v1::start_containers_response::Event::Started(started)) = first.event else {
        panic!("{first:?}")
    };
    assert_eq!((started.hosts, started.cordoned), (vec![name(0), name(2)], vec![name(1)]));
    while stream.message().await.unwrap().is_some() {}
    assert_eq!(starts(&fleet), [1, 0, 1]);

    // Named: refused, with the way out, before any host is touched.
    let refused = fleet.containers().start_containers(start(at(&[0, 1]), "c0")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused), "HOST_CORDONED");
    for part in [&name(1), "kernel upgrade", "wharf host uncordon"] {
        assert!(refused.message().contains(part), "{}", refused.message());
    }
    assert_eq!(starts(&fleet), [1, 0, 1]);
    // Asked for: included.
    let request = including(start(at(&[1]), "c0"));
    Answer::of(fleet.containers().start_containers(request)).await.all_succeeded();
    assert_eq!(starts(&fleet), [1, 1, 1]);
    // Reads go there.
    Answer::of(fleet.containers().list_containers(list(all()))).await.all_succeeded();
    Answer::of(fleet.containers().list_containers(list(at(&[1])))).await.all_succeeded();

    // Nothing is left.
    cordon(&fleet, all(), "").await.unwrap();
    let refused = fleet.containers().start_containers(start(all(), "c0")).await.unwrap_err();
    assert_eq!(reason(&refused), "HOST_CORDONED");
    let done = uncordon(&fleet, all()).await;
    assert_eq!(done.changed.len(), 3);
    assert!(done.hosts.iter().all(|host| host.cordon.is_none()));
    assert!(uncordon(&fleet, all()).await.changed.is_empty());
    Answer::of(fleet.containers().start_containers(start(all(), "c0"))).await.all_succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_cordons_are_refused_whole() {
    let fleet = Fleet::new(2).await;
    for text in ["two\nlines", &"x".repeat(501)] {
        let refused = cordon(&fleet, all(), text).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_FIELD");
        assert!(refused.message().starts_with("reason: "), "{}", refused.message());
    }
    let refused = cordon(&fleet, None, "").await.unwrap_err();
    assert_eq!(reason(&refused), "INVALID_FIELD");
    let mut some = at(&[0]).unwrap();
    if let Some(v1::host_selector::Selection::Hosts(hosts)) = &mut some.selection {
        hosts.names.push("nobody".to_owned());
    }
    let refused = cordon(&fleet, Some(some), "").await.unwrap_err();
    assert_eq!(reason(&refused), "HOST_NOT_FOUND");
    assert!(uncordon(&fleet, all()).await.changed.is_empty(), "none was cordoned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_uses_the_hosts_of_the_first_call() {
    let fleet = Fleet::new(2).await;
    let request_id = uuid::Uuid::new_v4().to_string();
    let request = v1::StartContainersRequest { request_id, ..start(all(), "c0") };
    Answer::of(fleet.containers().start_containers(request.clone())).await.all_succeeded();
    cordon(&fleet, at(&[0]), "").await.unwrap();
    let answer = Answer::of(fleet.containers().start_containers(request)).await;
    assert_eq!(answer.outcomes.len(), 2);
    assert!(answer.outcomes.values().all(|outcome| outcome.replayed));
    assert_eq!(starts(&fleet), [1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_list_cordoned_hosts_as_skipped_with_why() {
    let fleet = Fleet::new(3).await;
    cordon(&fleet, at(&[2]), "new disk").await.unwrap();
    let spec = |targets| {
        Some(v1::RolloutSpec {
            container: "c0".to_owned(),
            targets,
            image: "registry.test/app:v2".to_owned(),
            ..Default::default()
        })
    };
    let request = v1::PlanRolloutRequest { spec: spec(all()), ..Default::default() };
    let plan = fleet.rollouts().plan_rollout(request).await.unwrap().into_inner().plan.unwrap();
    let left_out = plan.hosts.iter().find(|host| host.host == name(2)).unwrap();
    assert_eq!(left_out.action(), v1::RolloutAction::Skip);
    assert!(left_out.skip_reason.contains("new disk"), "{left_out:?}");
    assert!(plan.waves.iter().all(|wave| !wave.hosts.contains(&name(2))));
    assert!(plan.warnings.iter().any(|it| it.contains(&name(2))), "{:?}", plan.warnings);

    let request = v1::CreateRolloutRequest { spec: spec(at(&[1, 2])), ..Default::default() };
    let refused = fleet.rollouts().create_rollout(request).await.unwrap_err();
    assert_eq!(reason(&refused), "HOST_CORDONED");
}
