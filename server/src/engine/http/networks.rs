//! The calls about networks.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::HttpEngine;
use super::link::Call;
use crate::domain::ContainerRef;
use crate::engine::operation::{CONNECT_NETWORK, LIST_NETWORKS};
use crate::engine::{Change, Listing, NetworkEngine, NetworkSummary, Result, wire};

#[async_trait]
impl NetworkEngine for HttpEngine {
    async fn list_networks(&self) -> Result<Listing<NetworkSummary>> {
        let call = Call::new(&LIST_NETWORKS, &["networks"]);
        self.link.list::<wire::NetworkItem, _>(call, false).await
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
}
