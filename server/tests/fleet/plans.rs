//! Plans that a program reviews and then starts.

use std::collections::BTreeMap;

use tonic::{Code, Status};
use wharf::v1;
use wharf::v1::rollout_service_client::RolloutServiceClient;
use wharf_simulator::Operation;

use crate::support::{Answer, Fleet, all, reason};

fn spec(image: &str) -> Option<v1::RolloutSpec> {
    Some(v1::RolloutSpec {
        container: "c0".to_owned(),
        targets: all(),
        image: image.to_owned(),
        policy: Some(v1::RolloutPolicy {
            health: v1::HealthGate::Running.into(),
            ..Default::default()
        }),
        ..Default::default()
    })
}

async fn plan(fleet: &Fleet) -> v1::RolloutPlan {
    let spec = spec("registry.test/app:v2");
    let request = v1::PlanRolloutRequest { spec, ..Default::default() };
    let mut rollouts = RolloutServiceClient::new(fleet.channel.clone());
    rollouts.plan_rollout(request).await.unwrap().into_inner().plan.unwrap()
}

/// Asks for a rollout that follows this plan.
async fn create(fleet: &Fleet, expected_plan: &str) -> Result<v1::Rollout, Status> {
    let request = v1::CreateRolloutRequest {
        spec: spec("registry.test/app:v2"),
        expected_plan: expected_plan.to_owned(),
        annotations: [("commit".to_owned(), "4f2a1c".to_owned())].into(),
        ..Default::default()
    };
    let mut rollouts = RolloutServiceClient::new(fleet.channel.clone());
    rollouts.create_rollout(request).await.map(|answer| answer.into_inner().rollout.unwrap())
}

async fn list(fleet: &Fleet, annotations: &str) -> Vec<v1::Rollout> {
    let annotations = annotations.to_owned();
    let request = v1::ListRolloutsRequest { annotations, ..Default::default() };
    let mut rollouts = RolloutServiceClient::new(fleet.channel.clone());
    rollouts.list_rollouts(request).await.unwrap().into_inner().rollouts
}

/// Requests that change something on a host.
fn writes(fleet: &Fleet) -> BTreeMap<Operation, u64> {
    let reads = [
        Operation::Ping,
        Operation::Version,
        Operation::Info,
        Operation::ListContainers,
        Operation::ListNetworks,
        Operation::ListImages,
        Operation::Inspect,
        Operation::InspectImage,
        Operation::Changes,
        Operation::Distribution,
    ];
    let all = fleet.hosts().iter().flat_map(|host| host.counters.snapshot().requests);
    all.filter(|(operation, _)| !reads.contains(operation)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_changes_nothing_and_is_the_same_until_the_fleet_changes() {
    let fleet = Fleet::new(3).await;
    let first = plan(&fleet).await;
    assert_eq!((first.hosts.len(), first.fingerprint.len()), (3, 64));
    assert_eq!(plan(&fleet).await, first);
    assert_eq!(writes(&fleet), BTreeMap::new());
    assert!(list(&fleet, "").await.is_empty());

    // One of the containers is another one now.
    let remove = v1::RemoveContainersRequest {
        targets: crate::support::at(&[1]),
        containers: vec!["c0".to_owned()],
        force: true,
        ..Default::default()
    };
    Answer::of(fleet.containers().remove_containers(remove)).await.all_succeeded();
    let create_again = v1::CreateContainerRequest {
        targets: crate::support::at(&[1]),
        name: "c0".to_owned(),
        spec: Some(v1::ContainerSpec {
            image: crate::support::IMAGE.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    Answer::of(fleet.containers().create_container(create_again)).await.all_succeeded();
    let refused = create(&fleet, &first.fingerprint).await.unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "PLAN_CHANGED"));
    assert!(list(&fleet, "").await.is_empty());

    let second = plan(&fleet).await;
    assert_ne!(second.fingerprint, first.fingerprint);
    assert!(refused.message().contains(&second.fingerprint), "{refused}");
    let rollout = create(&fleet, &second.fingerprint).await.unwrap();
    assert_eq!(rollout.plan.unwrap().fingerprint, second.fingerprint);
    let ids = |found: Vec<v1::Rollout>| found.into_iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ids(list(&fleet, "commit=4f2a1c").await), [rollout.id]);
    assert!(list(&fleet, "commit!=4f2a1c").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_noted_outlives_the_server() {
    let mut fleet = Fleet::new(1).await;
    let expected = plan(&fleet).await.fingerprint;
    let rollout = create(&fleet, &expected).await.unwrap();
    fleet.stop().await;
    fleet.start().await;
    let found = list(&fleet, "commit").await;
    assert_eq!((found[0].id.as_str(), found[0].annotations.len()), (rollout.id.as_str(), 1));
    let mut rollouts = RolloutServiceClient::new(fleet.channel.clone());
    let get = v1::GetRolloutRequest { id: rollout.id, ..Default::default() };
    let got = rollouts.get_rollout(get).await.unwrap().into_inner().rollout.unwrap();
    assert_eq!(got.plan.unwrap().fingerprint, expected);
}
