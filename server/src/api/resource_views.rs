//! Converts networks and volumes of an Engine to messages of the API. Pure.

use prost::Message;
use wharf::v1;

use super::convert::{self, timestamp_from_text};
use super::size::batches;
use super::views::{fits, kept_json};
use crate::domain::NetworkRef;
use crate::engine::{
    ApiVersion, EngineDocument, EngineError, Listing, NetworkSummary, VolumeList, VolumeSummary,
    network_of, volume_of,
};

/// Networks of a listing, in messages of bounded size.
pub fn network_batches(
    listing: Listing<NetworkSummary>,
) -> Result<impl Iterator<Item = v1::NetworkBatch>, EngineError> {
    let version = listing.api_version;
    let networks: Vec<_> = listing.items.into_iter().map(|each| network(each, version)).collect();
    fits(&networks, "GET /networks", "network", |network| &network.name)?;
    Ok(batches(networks, Message::encoded_len).map(|networks| v1::NetworkBatch { networks }))
}

/// An inspection of a network.
pub fn network_details(
    asked: &NetworkRef,
    document: EngineDocument,
) -> Result<v1::NetworkDetails, EngineError> {
    let mut found = network_of(&document)?;
    let endpoints = std::mem::take(&mut found.endpoints);
    let mut network = network(found, document.api_version);
    network.engine = Some(convert::engine_json(document));
    let endpoint = |it: crate::engine::NetworkEndpoint| v1::NetworkEndpoint {
        container_id: it.container_id,
        container_name: it.name,
        ipv4_address: it.ipv4,
        ipv6_address: it.ipv6,
        mac_address: it.mac,
    };
    Ok(v1::NetworkDetails {
        name_in_request: asked.to_string(),
        network: Some(network),
        endpoints: endpoints.into_iter().map(endpoint).collect(),
    })
}

/// Volumes of a listing, in messages of bounded size. The first one has the warnings.
pub fn volume_batches(
    list: VolumeList,
) -> Result<impl Iterator<Item = v1::VolumeBatch>, EngineError> {
    let VolumeList { volumes: listing, mut warnings } = list;
    let version = listing.api_version;
    let volumes: Vec<_> = listing.items.into_iter().map(|each| volume(each, version)).collect();
    fits(&volumes, "GET /volumes", "volume", |volume| &volume.name)?;
    let alone = (volumes.is_empty() && !warnings.is_empty()).then(Vec::new);
    let parts = alone.into_iter().chain(batches(volumes, Message::encoded_len));
    Ok(parts
        .map(move |volumes| v1::VolumeBatch { volumes, warnings: std::mem::take(&mut warnings) }))
}

/// An inspection of a volume.
pub fn volume_details(document: EngineDocument) -> Result<v1::Volume, EngineError> {
    let mut volume = volume(volume_of(&document)?, document.api_version);
    volume.engine = Some(convert::engine_json(document));
    Ok(volume)
}

fn network(network: NetworkSummary, version: ApiVersion) -> v1::Network {
    let pool = |pool: crate::engine::NetworkPool| v1::NetworkPool {
        subnet: pool.subnet,
        gateway: pool.gateway,
        ip_range: pool.ip_range,
        auxiliary_addresses: pool.auxiliary,
    };
    v1::Network {
        id: network.id,
        name: network.name,
        driver: network.driver,
        scope: network.scope,
        created_at: timestamp_from_text(&network.created),
        internal: network.internal,
        attachable: network.attachable,
        enable_ipv6: network.ipv6,
        labels: network.labels,
        options: network.options,
        ipam_driver: network.ipam_driver,
        pools: network.pools.into_iter().map(pool).collect(),
        engine: network.json.map(|json| kept_json(json, version)),
    }
}

fn volume(volume: VolumeSummary, version: ApiVersion) -> v1::Volume {
    v1::Volume {
        name: volume.name,
        driver: volume.driver,
        mountpoint: volume.mountpoint,
        scope: volume.scope,
        created_at: timestamp_from_text(&volume.created),
        labels: volume.labels,
        options: volume.options,
        engine: volume.json.map(|json| kept_json(json, version)),
    }
}
