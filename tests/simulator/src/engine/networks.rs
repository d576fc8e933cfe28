//! Networks of the model.

use async_trait::async_trait;
use serde_json::Value;
use wharf_server::domain::{ContainerRef, NetworkRef};
use wharf_server::engine::{
    ApiVersion, Change, Created, EngineDocument, Filters, Listing, NetworkEngine, NetworkListing,
    NetworkSummary, Result, network_of,
};

use super::{SimEngine, filters};
use crate::operation::Operation;

#[async_trait]
impl NetworkEngine for SimEngine {
    async fn list_networks(&self, listing: &NetworkListing) -> Result<Listing<NetworkSummary>> {
        self.at_once(Operation::ListNetworks, "", |model, _, version| {
            let items = model.list_networks(&filters(&listing.filters))?;
            let read = |item: &Value| {
                let json = item.to_string();
                let document = EngineDocument { json: json.clone(), api_version: version };
                let found = network_of(&document).expect("the model writes networks");
                NetworkSummary { json: listing.keep_json.then_some(json), ..found }
            };
            Ok(Listing { items: items.iter().map(read).collect(), api_version: version })
        })
        .await
    }

    async fn inspect_network(&self, network: &NetworkRef) -> Result<EngineDocument> {
        let name = network.as_str();
        self.document(Operation::InspectNetwork, name, |model, _| model.inspect_network(name)).await
    }

    async fn create_network(&self, body: &Value) -> Result<Created> {
        let name = body["Name"].as_str().unwrap_or_default();
        self.at_once(Operation::CreateNetwork, name, |model, now, _| {
            Ok(Created { id: model.create_network(now, body)?, warnings: Vec::new() })
        })
        .await
    }

    async fn remove_network(&self, network: &NetworkRef) -> Result<()> {
        let name = network.as_str();
        self.at_once(Operation::RemoveNetwork, name, |model, _, _| model.delete_network(name)).await
    }

    async fn prune_networks(&self, wanted: &Filters) -> Result<Vec<String>> {
        self.require(Operation::PruneNetworks, ApiVersion::new(1, 25), "a prune")?;
        self.at_once(Operation::PruneNetworks, "", |model, _, _| {
            model.prune_networks(&filters(wanted))
        })
        .await
    }

    async fn connect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        endpoint: &Value,
    ) -> Result<Change> {
        let name = container.as_str();
        self.at_once(Operation::ConnectNetwork, name, |model, _, _| {
            match model.connect_network(network, name, endpoint) {
                Ok(()) => Ok(Change::Made),
                Err(refusal) if refusal.message.contains("already exists in network") => {
                    Ok(Change::Already)
                }
                Err(refusal) => Err(refusal),
            }
        })
        .await
    }

    async fn disconnect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        _force: bool,
    ) -> Result<Change> {
        let name = container.as_str();
        self.at_once(Operation::DisconnectNetwork, name, |model, _, _| {
            match model.disconnect_network(network, name) {
                Ok(()) => Ok(Change::Made),
                Err(refusal) if refusal.message.contains("is not connected to") => {
                    Ok(Change::Already)
                }
                Err(refusal) => Err(refusal),
            }
        })
        .await
    }
}
