//! Networks and volumes.

use std::collections::BTreeSet;

use wharf::v1;

use super::id;
use crate::support::{Answer, Fleet, at, name};

pub async fn of_networks_and_volumes(fleet: &Fleet, done: &mut BTreeSet<&'static str>) {
    let front = || "front".to_owned();
    let request = v1::CreateNetworkRequest { name: front(), ..Default::default() };
    twice_on_a_host!(
        done,
        fleet,
        networks,
        create_network,
        "NetworkService/CreateNetwork",
        request
    );
    let network = v1::NetworkAttachment { name: front(), ..Default::default() };
    let request = v1::ConnectNetworkRequest {
        network: Some(network),
        container: "c1".to_owned(),
        ..Default::default()
    };
    twice_on_a_host!(
        done,
        fleet,
        networks,
        connect_network,
        "NetworkService/ConnectNetwork",
        request
    );
    let request = v1::DisconnectNetworkRequest {
        network: front(),
        container: "c1".to_owned(),
        ..Default::default()
    };
    twice_on_a_host!(
        done,
        fleet,
        networks,
        disconnect_network,
        "NetworkService/DisconnectNetwork",
        request
    );
    let request = v1::RemoveNetworksRequest { networks: vec![front()], ..Default::default() };
    twice_on_a_host!(
        done,
        fleet,
        networks,
        remove_networks,
        "NetworkService/RemoveNetworks",
        request
    );
    let request = v1::PruneNetworksRequest::default();
    twice_on_a_host!(
        done,
        fleet,
        networks,
        prune_networks,
        "NetworkService/PruneNetworks",
        request
    );
    let request = v1::CreateVolumeRequest { name: "data".to_owned(), ..Default::default() };
    twice_on_a_host!(done, fleet, volumes, create_volume, "VolumeService/CreateVolume", request);
    let request =
        v1::RemoveVolumesRequest { volumes: vec!["data".to_owned()], ..Default::default() };
    twice_on_a_host!(done, fleet, volumes, remove_volumes, "VolumeService/RemoveVolumes", request);
    let request = v1::PruneVolumesRequest::default();
    twice_on_a_host!(done, fleet, volumes, prune_volumes, "VolumeService/PruneVolumes", request);
}
