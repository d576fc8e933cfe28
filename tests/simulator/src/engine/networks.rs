//! Networks of the model.

use async_trait::async_trait;
use serde_json::Value;
use wharf_server::domain::ContainerRef;
use wharf_server::engine::{Change, Listing, NetworkEngine, NetworkSummary, Result};

use super::SimEngine;
use crate::answers;
use crate::operation::Operation;

#[async_trait]
impl NetworkEngine for SimEngine {
    async fn list_networks(&self) -> Result<Listing<NetworkSummary>> {
        self.at_once(Operation::ListNetworks, "", |model, _, version| {
            let items = model.list_networks();
            let items = items.iter().map(answers::network).collect();
            Ok(Listing { items, api_version: version })
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
}
