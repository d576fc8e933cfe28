//! The calls about networks.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::HttpEngine;
use super::link::{Call, is_podman};
use crate::domain::{ContainerRef, NetworkRef};
use crate::engine::operation::{
    CONNECT_NETWORK, CREATE_NETWORK, DISCONNECT_NETWORK, INSPECT_NETWORK, LIST_NETWORKS,
    PRUNE_NETWORKS, REMOVE_NETWORK,
};
use crate::engine::wire::{NetworkCreation, NetworkItem, NetworkPrune};
use crate::engine::{
    Change, Created, EngineDocument, EngineError, ErrorKind, Filters, Listing, NetworkEngine,
    NetworkListing, NetworkSummary, Result,
};

#[async_trait]
impl NetworkEngine for HttpEngine {
    async fn list_networks(&self, listing: &NetworkListing) -> Result<Listing<NetworkSummary>> {
        let call = Call::new(&LIST_NETWORKS, &["networks"]).with_filters(&listing.filters);
        self.link.list::<NetworkItem, _>(call, listing.keep_json).await
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
        let call = Call::new(&REMOVE_NETWORK, &["networks", network.as_str()]);
        let answer = self.link.send(call).await?;
        // Podman 4 answers with success even if the network is in use, and leaves it.
        if is_podman(&answer) && self.inspect_network(network).await.is_ok() {
            let message =
                "the Engine reports success, but the network is still there; it may be in use";
            return Err(EngineError::new(ErrorKind::Conflict, REMOVE_NETWORK.name, message));
        }
        Ok(())
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
