//! The calls about networks.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::HttpEngine;
use super::link::{Call, bad_answer};
use crate::domain::{ContainerRef, NetworkRef};
use crate::engine::operation::{
    CONNECT_NETWORK, CREATE_NETWORK, DISCONNECT_NETWORK, INSPECT_NETWORK, LIST_NETWORKS,
    PRUNE_NETWORKS, REMOVE_NETWORK,
};
use crate::engine::wire::{Identified, NetworkCreation, NetworkPrune};
use crate::engine::{
    Change, Created, EngineDocument, Filters, Listing, NetworkEngine, NetworkListing,
    NetworkSummary, Result,
};

#[async_trait]
impl NetworkEngine for HttpEngine {
    async fn list_networks(&self, listing: &NetworkListing) -> Result<Listing<NetworkSummary>> {
        let call = Call::new(&LIST_NETWORKS, &["networks"]).with_filters(&listing.filters);
        self.link.list(call, listing.keep_json).await
    }

    async fn inspect_network(&self, network: &NetworkRef) -> Result<EngineDocument> {
        let call = Call::new(&INSPECT_NETWORK, &["networks", network.as_str()]);
        self.link.document(call).await
    }

    async fn create_network(&self, body: &Value) -> Result<Created> {
        let call = Call::new(&CREATE_NETWORK, &["networks", "create"]).with_json(body.to_string());
        Ok(self.link.send(call).await?.json::<NetworkCreation>().await?.into())
    }

    async fn remove_network(&self, network: &NetworkRef) -> Result<()> {
        let mut name = network.as_str().to_owned();
        // Podman compares the text of the call with the names of networks that containers use: by
        // ID, it would take away a network that is in use.
        if !self.link.negotiated(&REMOVE_NETWORK).await?.is_exact {
            let found: Identified = self
                .inspect_network(network)
                .await?
                .parse()
                .map_err(|error| bad_answer(&INSPECT_NETWORK, &error.to_string()))?;
            name = found.name;
        }
        self.link.send(Call::new(&REMOVE_NETWORK, &["networks", &name])).await.map(drop)
    }

    async fn prune_networks(&self, filters: &Filters) -> Result<Vec<String>> {
        let call = Call::new(&PRUNE_NETWORKS, &["networks", "prune"]).with_filters(filters);
        Ok(self.link.send(call).await?.json::<NetworkPrune>().await?.names)
    }

    async fn connect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        endpoint: &Value,
    ) -> Result<Change> {
        let body = json!({ "Container": container.as_str(), "EndpointConfig": endpoint });
        let call = Call::new(&CONNECT_NETWORK, &["networks", network, "connect"])
            .with_json(body.to_string());
        let Err(error) = self.link.send(call).await else { return Ok(Change::Made) };
        if error.is_connected_already() { Ok(Change::Already) } else { Err(error) }
    }

    async fn disconnect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        force: bool,
    ) -> Result<Change> {
        let body = json!({ "Container": container.as_str(), "Force": force });
        let call = Call::new(&DISCONNECT_NETWORK, &["networks", network, "disconnect"])
            .with_json(body.to_string());
        let Err(error) = self.link.send(call).await else { return Ok(Change::Made) };
        if error.is_not_connected() { Ok(Change::Already) } else { Err(error) }
    }
}
