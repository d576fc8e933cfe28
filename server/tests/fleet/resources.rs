//! Networks and volumes: what is refused before a host is touched, what a host refuses, and that a
//! second call changes nothing.

use tonic::Code;
use tonic_types::StatusExt;
use wharf::v1;
use wharf::v1::list_volumes_response::Event as Volumes;
use wharf::v1::{
    ConnectNetworkRequest, CreateNetworkRequest, CreateVolumeRequest, DisconnectNetworkRequest,
    HostSelector, NetworkAttachment, NetworkPool, RemoveNetworksRequest, RemoveVolumesRequest,
};
use wharf_server::engine::ApiVersion;
use wharf_simulator::{EngineOptions, HttpFault, Operation, When};

use crate::support::{Answer, Fleet, FleetOptions, all, at, name, start};

fn front() -> CreateNetworkRequest {
    CreateNetworkRequest {
        targets: all(),
        name: "front".to_owned(),
        labels: [("env".to_owned(), "prod".to_owned())].into(),
        pools: vec![NetworkPool { subnet: "10.9.0.0/16".to_owned(), ..Default::default() }],
        internal: Some(true),
        ..Default::default()
    }
}

fn data(targets: Option<HostSelector>) -> CreateVolumeRequest {
    CreateVolumeRequest {
        targets,
        name: "data".to_owned(),
        labels: [("env".to_owned(), "prod".to_owned())].into(),
        ..Default::default()
    }
}

fn attachment(network: &str) -> Option<NetworkAttachment> {
    Some(NetworkAttachment { name: network.to_owned(), ..Default::default() })
}

fn connect(network: &str, container: &str) -> ConnectNetworkRequest {
    ConnectNetworkRequest {
        targets: at(&[0]),
        network: attachment(network),
        container: container.to_owned(),
        ..Default::default()
    }
}

/// The fields that a refusal names.
macro_rules! fields {
    ($call:expr) => {{
        let status = $call.await.expect_err("it is refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        let details = status.get_error_details();
        let violations = details.bad_request().map(|it| it.field_violations.clone());
        violations.unwrap_or_default().into_iter().map(|it| it.field).collect::<Vec<_>>()
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_fields_are_refused_before_a_host_is_touched() {
    let fleet = Fleet::new(1).await;
    let heard = fleet.host(0).counters.snapshot().total;
    let (mut networks, mut volumes) = (fleet.networks(), fleet.volumes());
    let pool = NetworkPool { subnet: "10.9.0.0".to_owned(), ..Default::default() };
    let wrong = CreateNetworkRequest { name: "none".to_owned(), pools: vec![pool], ..front() };
    assert_eq!(fields!(networks.create_network(wrong)), ["name", "pools[0].subnet"]);
    let predefined = RemoveNetworksRequest {
        targets: all(),
        networks: vec!["front".to_owned(), "bridge".to_owned(), "a/b".to_owned()],
        ..Default::default()
    };
    assert_eq!(fields!(networks.remove_networks(predefined)), ["networks[2]", "networks[1]"]);
    let nothing = v1::InspectNetworksRequest { targets: all(), ..Default::default() };
    assert_eq!(fields!(networks.inspect_networks(nothing)), ["networks"]);
    assert_eq!(fields!(networks.connect_network(connect("host", "web"))), ["network.name"]);
    let nobody = DisconnectNetworkRequest { targets: all(), ..Default::default() };
    assert_eq!(fields!(networks.disconnect_network(nobody)), ["network", "container"]);

    let wrong = CreateVolumeRequest { name: "d".to_owned(), ..data(all()) };
    assert_eq!(fields!(volumes.create_volume(wrong)), ["name"]);
    let wrong = RemoveVolumesRequest {
        targets: all(),
        volumes: vec!["../x".to_owned()],
        ..Default::default()
    };
    assert_eq!(fields!(volumes.remove_volumes(wrong)), ["volumes[0]"]);
    for key in ["all", "dangling", "name"] {
        let filter = v1::Filter { key: key.to_owned(), values: vec!["true".to_owned()] };
        let prune =
            v1::PruneVolumesRequest { targets: all(), filters: vec![filter], ..Default::default() };
        assert_eq!(fields!(volumes.prune_volumes(prune)), ["filters"], "{key}");
    }
    // Unset targets are no hosts at all.
    let everywhere = CreateNetworkRequest { targets: None, ..front() };
    assert_eq!(fields!(networks.create_network(everywhere)), ["targets"]);
    assert_eq!(fleet.host(0).counters.snapshot().total, heard);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_is_made_once_and_one_that_differs_is_named() {
    let fleet = Fleet::new(3).await;
    // The last host has another one.
    fleet.host(2).host().with(|model, _| model.add_network("front"));
    let first = Answer::of(fleet.networks().create_network(front())).await;
    assert_eq!(first.succeeded(), [name(0), name(1)]);
    assert!(first.outcomes[&name(0)].changed);
    let refused = first.refused(&name(2));
    assert_eq!((refused.code, &*refused.reason), (Code::AlreadyExists, "NAME_IN_USE"));
    for part in
        ["internal: here false, asked true", "asked 10.9.0.0/16", "label env: here unset, asked"]
    {
        assert!(refused.message.contains(part), "{part}: {refused:?}");
    }
    assert_eq!(first.failure(), (Code::Aborted, "SOME_HOSTS_FAILED".to_owned()));

    let again = CreateNetworkRequest { targets: at(&[0, 1]), ..front() };
    let again = Answer::of(fleet.networks().create_network(again)).await;
    again.all_succeeded();
    assert_eq!(again.summary.unwrap().unchanged, 2);
    assert!(!again.outcomes[&name(0)].changed);
    // Less is asked for.
    let bare =
        CreateNetworkRequest { targets: all(), name: "front".to_owned(), ..Default::default() };
    let bare = Answer::of(fleet.networks().create_network(bare)).await;
    bare.all_succeeded();
    assert_eq!(bare.summary.unwrap().unchanged, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_networks_of_one_name_are_told_apart_by_their_ids() {
    let fleet = Fleet::new(1).await;
    let ids: Vec<String> =
        fleet.host(0).host().with(|model, _| (0..2).map(|_| model.add_network("front")).collect());
    let refused = Answer::of(fleet.networks().create_network(front())).await.refused(&name(0));
    assert_eq!((refused.code, &*refused.reason), (Code::AlreadyExists, "NAME_IN_USE"));
    for id in &ids {
        assert!(refused.message.contains(&id[..12]), "{refused:?}");
    }
    let remove = |network: &str| RemoveNetworksRequest {
        targets: all(),
        networks: vec![network.to_owned()],
        ..Default::default()
    };
    let refused =
        Answer::of(fleet.networks().remove_networks(remove("front"))).await.refused(&name(0));
    assert_eq!((refused.code, &*refused.reason), (Code::FailedPrecondition, "ENGINE_CONFLICT"));
    assert!(refused.message.contains("ambiguous"), "{refused:?}");
    Answer::of(fleet.networks().remove_networks(remove(&ids[0]))).await.all_succeeded();
    let bare =
        CreateNetworkRequest { targets: all(), name: "front".to_owned(), ..Default::default() };
    Answer::of(fleet.networks().create_network(bare)).await.all_succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_use_is_kept_and_its_users_are_named() {
    let fleet = Fleet::with(FleetOptions { containers: 2, ..FleetOptions::of(1) }).await;
    let (mut networks, mut volumes) = (fleet.networks(), fleet.volumes());
    Answer::of(networks.create_network(front())).await.all_succeeded();
    Answer::of(fleet.containers().start_containers(start(all(), "c1"))).await.all_succeeded();
    let first = Answer::of(networks.connect_network(connect("front", "c1"))).await;
    first.all_succeeded();
    assert!(first.outcomes[&name(0)].changed);
    let again = Answer::of(networks.connect_network(connect("front", "c1"))).await;
    again.all_succeeded();
    assert!(!again.outcomes[&name(0)].changed);
    // Connected, and not as asked for.
    let mut other = connect("front", "c1");
    other.network.as_mut().unwrap().aliases = vec!["www".to_owned()];
    let refused = Answer::of(networks.connect_network(other)).await.refused(&name(0));
    assert_eq!((refused.code, &*refused.reason), (Code::FailedPrecondition, "ENGINE_CONFLICT"));
    assert!(refused.message.contains("alias: here unset, asked www"), "{refused:?}");

    let remove = RemoveNetworksRequest {
        targets: all(),
        networks: vec!["front".to_owned()],
        ..Default::default()
    };
    let refused = Answer::of(networks.remove_networks(remove.clone())).await.refused(&name(0));
    assert_eq!((refused.code, &*refused.reason), (Code::FailedPrecondition, "ENGINE_CONFLICT"));
    let way_out = format!(
        "used by c1; remove the containers, or run `wharf network disconnect {}/front c1`",
        name(0)
    );
    assert!(refused.message.contains("has active endpoints"), "{refused:?}");
    assert!(refused.message.ends_with(&way_out), "{refused:?}");

    let disconnect = DisconnectNetworkRequest {
        targets: all(),
        network: "front".to_owned(),
        container: "c1".to_owned(),
        ..Default::default()
    };
    for changed in [true, false] {
        let answer = Answer::of(networks.disconnect_network(disconnect.clone())).await;
        answer.all_succeeded();
        assert_eq!(answer.outcomes[&name(0)].changed, changed);
    }
    Answer::of(networks.remove_networks(remove.clone())).await.all_succeeded();
    let gone = Answer::of(networks.remove_networks(remove.clone())).await.refused(&name(0));
    assert_eq!((gone.code, &*gone.reason), (Code::NotFound, "NETWORK_NOT_FOUND"));
    let fine = RemoveNetworksRequest { allow_missing: true, ..remove };
    Answer::of(networks.remove_networks(fine)).await.all_succeeded();
    let missing = Answer::of(networks.connect_network(connect("back", "c1"))).await;
    assert_eq!(missing.code_and_reason(&name(0)).1, "NETWORK_NOT_FOUND");
    let missing = Answer::of(networks.connect_network(connect("bridge", "none"))).await;
    assert_eq!(missing.code_and_reason(&name(0)).1, "CONTAINER_NOT_FOUND");

    let spec = v1::ContainerSpec {
        image: crate::support::IMAGE.to_owned(),
        mounts: vec![v1::Mount {
            r#type: "volume".to_owned(),
            source: "data".to_owned(),
            target: "/data".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let create = v1::CreateContainerRequest {
        targets: all(),
        name: "store".to_owned(),
        spec: Some(spec),
        ..Default::default()
    };
    Answer::of(fleet.containers().create_container(create)).await.all_succeeded();
    for force in [false, true] {
        let remove = RemoveVolumesRequest {
            targets: all(),
            volumes: vec!["data".to_owned()],
            force,
            ..Default::default()
        };
        let refused = Answer::of(volumes.remove_volumes(remove)).await.refused(&name(0));
        assert_eq!((refused.code, &*refused.reason), (Code::FailedPrecondition, "ENGINE_CONFLICT"));
        let way_out = "used by store; remove these containers first";
        assert!(refused.message.ends_with(way_out), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_is_made_once_and_one_that_differs_is_named() {
    let fleet = Fleet::new(2).await;
    let mut volumes = fleet.volumes();
    fleet.host(1).host().with(|model, _| model.add_volume("data"));
    let first = Answer::of(volumes.create_volume(data(all()))).await;
    assert_eq!(first.succeeded(), [name(0)]);
    let refused = first.refused(&name(1));
    assert_eq!((refused.code, &*refused.reason), (Code::AlreadyExists, "NAME_IN_USE"));
    assert!(refused.message.contains("label env: here unset, asked \"prod\""), "{refused:?}");
    let again = Answer::of(volumes.create_volume(data(at(&[0])))).await;
    again.all_succeeded();
    assert_eq!(again.summary.unwrap().unchanged, 1);
    let missing = RemoveVolumesRequest {
        targets: all(),
        volumes: vec!["nothing".to_owned()],
        ..Default::default()
    };
    let answer = Answer::of(volumes.remove_volumes(missing.clone())).await;
    assert_eq!(answer.failure(), (Code::NotFound, "VOLUME_NOT_FOUND".to_owned()));
    for fine in [
        RemoveVolumesRequest { force: true, ..missing.clone() },
        RemoveVolumesRequest { allow_missing: true, ..missing },
    ] {
        let answer = Answer::of(volumes.remove_volumes(fine)).await;
        answer.all_succeeded();
        assert_eq!(answer.summary.unwrap().unchanged, 2);
    }
}

/// With older Engines, which remove all, as with newer ones, which keep named ones themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prune_keeps_named_volumes_unless_told_otherwise() {
    let newer = EngineOptions::for_api(&name(1), ApiVersion::new(1, 44));
    let engines = vec![EngineOptions::new(&name(0)), newer];
    let fleet = Fleet::with(FleetOptions { engines, ..FleetOptions::of(2) }).await;
    let anonymous: Vec<String> = [0, 1]
        .map(|place| {
            fleet.host(place).host().with(|model, now| {
                model.add_volume("data");
                let made = model.create_volume(now, ApiVersion::new(1, 41), &serde_json::json!({}));
                made.unwrap()["Name"].as_str().unwrap().to_owned()
            })
        })
        .into();
    let prune = v1::PruneVolumesRequest { targets: all(), ..Default::default() };
    let pruned =
        |answer: &Answer<v1::prune_volumes_response::Event>| -> Vec<(String, Vec<String>)> {
            let of = |(host, event): &(String, v1::prune_volumes_response::Event)| match event {
                v1::prune_volumes_response::Event::Pruned(pruned) => {
                    Some((host.clone(), pruned.names.clone()))
                }
                _ => None,
            };
            let mut found: Vec<_> = answer.payloads.iter().filter_map(of).collect();
            found.sort();
            found
        };
    let answer = Answer::of(fleet.volumes().prune_volumes(prune.clone())).await;
    answer.all_succeeded();
    let expected: Vec<_> =
        anonymous.iter().enumerate().map(|(place, it)| (name(place), vec![it.clone()])).collect();
    assert_eq!(pruned(&answer), expected);
    let listed = Answer::of(
        fleet
            .volumes()
            .list_volumes(v1::ListVolumesRequest { targets: all(), ..Default::default() }),
    )
    .await;
    for (_, event) in &listed.payloads {
        let Volumes::Batch(batch) = event else { continue };
        assert_eq!(batch.volumes.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["data"]);
    }
    assert_eq!(listed.payloads.len(), 2);
    let everything = v1::PruneVolumesRequest { all: true, ..prune };
    let answer = Answer::of(fleet.volumes().prune_volumes(everything)).await;
    let data = |place| (name(place), vec!["data".to_owned()]);
    assert_eq!(pruned(&answer), [data(0), data(1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_one_host_leaves_the_others_alone() {
    let fleet = Fleet::new(4).await;
    fleet.warm().await;
    let refuse = |status| HttpFault::Refuse { status, message: "as the script says".to_owned() };
    for (place, operation, fault) in [
        (0, Operation::CreateNetwork, HttpFault::ResetBefore),
        (1, Operation::CreateNetwork, refuse(500)),
        (2, Operation::ListNetworks, refuse(503)),
        (0, Operation::CreateVolume, HttpFault::ResetBefore),
        (1, Operation::CreateVolume, refuse(500)),
        (2, Operation::InspectVolume, refuse(503)),
    ] {
        fleet.host(place).faults.add(When::on(operation), fault);
    }
    let expected = [
        (Code::Unknown, "RESULT_UNKNOWN"),
        (Code::Unknown, "ENGINE_ERROR"),
        (Code::Unavailable, "ENGINE_UNAVAILABLE"),
    ];
    let networks = Answer::of(fleet.networks().create_network(front())).await;
    let volumes = Answer::of(fleet.volumes().create_volume(data(all()))).await;
    for (place, (code, reason)) in expected.into_iter().enumerate() {
        for refused in [networks.refused(&name(place)), volumes.refused(&name(place))] {
            assert_eq!((refused.code, &*refused.reason), (code, reason), "{place}: {refused:?}");
        }
    }
    assert_eq!(networks.succeeded(), [name(3)]);
    assert_eq!(volumes.succeeded(), [name(3)]);
}
