//! Converts hosts of the inventory to messages of the API. Pure.

use wharf::v1;

use super::convert;
use crate::domain::{Host, HostSource};
use crate::fleet::inventory::Snapshot;

/// A host of the inventory.
pub fn view(host: &Host, snapshot: &Snapshot) -> v1::Host {
    v1::Host {
        name: host.name.to_string(),
        address: host.address.to_string(),
        labels: host
            .labels
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
        source: match host.source {
            HostSource::File => v1::HostSource::File,
            HostSource::Api => v1::HostSource::Api,
            HostSource::Local => v1::HostSource::Local,
        }
        .into(),
        tls: host.tls.as_ref().map(|tls| v1::TlsSummary {
            group: tls.group.clone().unwrap_or_default(),
            client_certificate: tls.material.certificate_pem().is_some(),
        }),
        created_at: host.created_at.map(convert::system_time),
        warnings: snapshot.warnings(&host.name).to_vec(),
        cordon: snapshot.cordon_of(&host.name).map(|cordon| v1::HostCordon {
            reason: cordon.reason.as_str().to_owned(),
            principal: cordon.by.clone(),
            since: Some(convert::system_time(cordon.since)),
        }),
        // Changes with every attempt; see `HostService::list_hosts`.
        unreachable: None,
    }
}
