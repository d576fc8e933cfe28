//! Networks and volumes in the Engine's JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::items::texts;
use super::{engine_id, null_to_default, parse};
use crate::engine::list::ListItem;
use crate::engine::{
    ApiVersion, Created, EngineDocument, EngineError, ErrorKind, Listing, NetworkEndpoint,
    NetworkPool, NetworkSummary, PrunedVolumes, VolumeList, VolumeSummary,
};

impl ListItem for NetworkSummary {
    fn read(json: &str) -> serde_json::Result<Self> {
        parse::<NetworkItem>(json).map(Into::into)
    }

    fn keep_json(&mut self, json: String) {
        self.json = Some(json);
    }

    fn memory(&self) -> usize {
        let own =
            [&self.id, &self.name, &self.driver, &self.scope, &self.created, &self.ipam_driver];
        let maps = self.labels.iter().chain(&self.options);
        let pools = self.pools.iter().map(|pool| {
            let auxiliary = pool.auxiliary.iter().flat_map(|(name, address)| [name, address]);
            size_of::<NetworkPool>()
                + texts([&pool.subnet, &pool.gateway, &pool.ip_range].into_iter().chain(auxiliary))
        });
        let endpoints = self.endpoints.iter().map(|it| {
            size_of::<NetworkEndpoint>()
                + texts([&it.container_id, &it.name, &it.ipv4, &it.ipv6, &it.mac])
        });
        size_of::<Self>()
            + texts(own.into_iter().chain(maps.flat_map(|(key, value)| [key, value])))
            + pools.sum::<usize>()
            + endpoints.sum::<usize>()
    }
}

/// `GET /networks`, one item, and `GET /networks/{id}`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkItem {
    #[serde(default, deserialize_with = "null_to_default")]
    id: String,
    #[serde(default, deserialize_with = "null_to_default")]
    name: String,
    #[serde(default, deserialize_with = "null_to_default")]
    driver: String,
    #[serde(default, deserialize_with = "null_to_default")]
    scope: String,
    #[serde(default, deserialize_with = "null_to_default")]
    created: String,
    #[serde(default, deserialize_with = "null_to_default")]
    internal: bool,
    #[serde(default, deserialize_with = "null_to_default")]
    attachable: bool,
    #[serde(default, rename = "EnableIPv6", deserialize_with = "null_to_default")]
    ipv6: bool,
    #[serde(default, deserialize_with = "null_to_default")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_to_default")]
    options: BTreeMap<String, String>,
    #[serde(default, rename = "IPAM", deserialize_with = "null_to_default")]
    ipam: Ipam,
    #[serde(default, deserialize_with = "null_to_default")]
    containers: BTreeMap<String, EndpointItem>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    #[serde(default, deserialize_with = "null_to_default")]
    driver: String,
    #[serde(default, deserialize_with = "null_to_default")]
    config: Vec<PoolItem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PoolItem {
    #[serde(default, deserialize_with = "null_to_default")]
    subnet: String,
    #[serde(default, deserialize_with = "null_to_default")]
    gateway: String,
    #[serde(default, rename = "IPRange", deserialize_with = "null_to_default")]
    ip_range: String,
    #[serde(default, rename = "AuxiliaryAddresses", deserialize_with = "null_to_default")]
    auxiliary: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EndpointItem {
    #[serde(default, deserialize_with = "null_to_default")]
    name: String,
    #[serde(default, rename = "IPv4Address", deserialize_with = "null_to_default")]
    ipv4: String,
    #[serde(default, rename = "IPv6Address", deserialize_with = "null_to_default")]
    ipv6: String,
    #[serde(default, rename = "MacAddress", deserialize_with = "null_to_default")]
    mac: String,
}

impl From<NetworkItem> for NetworkSummary {
    fn from(item: NetworkItem) -> Self {
        let pool = |it: PoolItem| NetworkPool {
            subnet: it.subnet,
            gateway: it.gateway,
            ip_range: it.ip_range,
            auxiliary: it.auxiliary,
        };
        let endpoint = |(container_id, it): (String, EndpointItem)| NetworkEndpoint {
            container_id,
            name: it.name,
            ipv4: it.ipv4,
            ipv6: it.ipv6,
            mac: it.mac,
        };
        Self {
            id: item.id,
            name: item.name,
            driver: item.driver,
            scope: item.scope,
            created: item.created,
            internal: item.internal,
            attachable: item.attachable,
            ipv6: item.ipv6,
            labels: item.labels,
            options: item.options,
            ipam_driver: item.ipam.driver,
            pools: item.ipam.config.into_iter().map(pool).collect(),
            endpoints: item.containers.into_iter().map(endpoint).collect(),
            json: None,
        }
    }
}

/// An inspected network, without its own JSON.
pub fn network_of(document: &EngineDocument) -> Result<NetworkSummary, EngineError> {
    let item: NetworkItem =
        document.parse().map_err(|error| unexpected("GET /networks/{id}", &error))?;
    Ok(item.into())
}

/// `POST /networks/create`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkCreation {
    #[serde(deserialize_with = "engine_id")]
    id: String,
    /// A text; for some versions of Podman, a list.
    #[serde(default)]
    warning: Value,
}

impl From<NetworkCreation> for Created {
    fn from(answer: NetworkCreation) -> Self {
        let texts = match answer.warning {
            Value::Array(texts) => texts,
            text => vec![text],
        };
        let text = |text: Value| text.as_str().filter(|it| !it.is_empty()).map(str::to_owned);
        let warnings = texts.into_iter().filter_map(text).collect();
        Self { id: answer.id, warnings }
    }
}

/// `POST /networks/prune`.
#[derive(Deserialize)]
pub struct NetworkPrune {
    #[serde(default, rename = "NetworksDeleted", deserialize_with = "null_to_default")]
    pub(in crate::engine) names: Vec<String>,
}

/// `GET /volumes`.
#[derive(Deserialize)]
struct Volumes {
    #[serde(default, rename = "Volumes", deserialize_with = "null_to_default")]
    volumes: Vec<Box<RawValue>>,
    #[serde(default, rename = "Warnings", deserialize_with = "null_to_default")]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeItem {
    #[serde(default, deserialize_with = "null_to_default")]
    name: String,
    #[serde(default, deserialize_with = "null_to_default")]
    driver: String,
    #[serde(default, deserialize_with = "null_to_default")]
    mountpoint: String,
    #[serde(default, deserialize_with = "null_to_default")]
    scope: String,
    #[serde(default, deserialize_with = "null_to_default")]
    created_at: String,
    #[serde(default, deserialize_with = "null_to_default")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_to_default")]
    options: BTreeMap<String, String>,
}

impl From<VolumeItem> for VolumeSummary {
    fn from(item: VolumeItem) -> Self {
        Self {
            name: item.name,
            driver: item.driver,
            mountpoint: item.mountpoint,
            scope: item.scope,
            created: item.created_at,
            labels: item.labels,
            options: item.options,
            json: None,
        }
    }
}

/// The volumes of `GET /volumes`, each with its own JSON if `keep_json` is set.
pub fn volumes_of(
    text: &str,
    api_version: ApiVersion,
    keep_json: bool,
) -> Result<VolumeList, EngineError> {
    let unexpected = |error| unexpected("GET /volumes", &error);
    let answer: Volumes = serde_json::from_str(text).map_err(unexpected)?;
    let mut items = Vec::with_capacity(answer.volumes.len());
    for raw in answer.volumes {
        let item: VolumeItem = serde_json::from_str(raw.get()).map_err(unexpected)?;
        let json = keep_json.then(|| raw.get().to_owned());
        items.push(VolumeSummary { json, ..item.into() });
    }
    Ok(VolumeList { volumes: Listing { items, api_version }, warnings: answer.warnings })
}

/// An inspected volume, without its own JSON.
pub fn volume_of(document: &EngineDocument) -> Result<VolumeSummary, EngineError> {
    let item: VolumeItem =
        document.parse().map_err(|error| unexpected("GET /volumes/{name}", &error))?;
    Ok(item.into())
}

/// `POST /volumes/prune`.
#[derive(Deserialize)]
pub struct VolumePrune {
    #[serde(default, rename = "VolumesDeleted", deserialize_with = "null_to_default")]
    names: Vec<String>,
    #[serde(default, rename = "SpaceReclaimed", deserialize_with = "null_to_default")]
    space_reclaimed: i64,
}

impl From<VolumePrune> for PrunedVolumes {
    fn from(answer: VolumePrune) -> Self {
        let space_reclaimed = Some(u64::try_from(answer.space_reclaimed).unwrap_or(0));
        Self { names: answer.names, space_reclaimed, failure: None }
    }
}

fn unexpected(operation: &'static str, error: &serde_json::Error) -> EngineError {
    EngineError::new(ErrorKind::BadAnswer, operation, format!("unexpected JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(json: &str) -> EngineDocument {
        EngineDocument { json: json.to_owned(), api_version: ApiVersion::new(1, 41) }
    }

    #[test]
    fn a_network_is_read_whatever_is_missing_or_null() {
        let json = r#"{"Id":"01","Name":"front","IPAM":{"Driver":"default","Options":null,"Config":
            [{"Subnet":"10.1.0.0/16","AuxiliaryAddresses":{"a":"10.1.0.2"}}]},"Labels":null,
            "EnableIPv6":true,"Containers":{"77":{"Name":"web","IPv4Address":"10.1.0.3/16"}}}"#;
        let network = network_of(&document(json)).unwrap();
        assert_eq!((network.name.as_str(), network.ipv6), ("front", true));
        assert_eq!(network.pools[0].auxiliary["a"], "10.1.0.2");
        assert_eq!(network.endpoints[0].name, "web");
        for json in ["{}", r#"{"IPAM":null,"Containers":null,"Options":null}"#] {
            assert_eq!(network_of(&document(json)).unwrap(), NetworkSummary::default());
        }
        assert!(network_of(&document("7")).is_err());
    }

    #[test]
    fn volumes_keep_their_own_json_and_null_is_none() {
        let one = r#"{"Name":"data", "Options":null,"x":1}"#;
        let text = format!(r#"{{"Volumes":[{one}],"Warnings":["slow"]}}"#);
        let list = volumes_of(&text, ApiVersion::new(1, 41), true).unwrap();
        assert_eq!(list.volumes.items[0].json.as_deref(), Some(one));
        assert_eq!(list.warnings, ["slow"]);
        let none = volumes_of(r#"{"Volumes":null}"#, ApiVersion::new(1, 41), true).unwrap();
        assert!(none.volumes.items.is_empty());
        assert!(volumes_of("7", ApiVersion::new(1, 41), true).is_err());
    }
}
