//! Connects containers to networks, and disconnects them.
//!
//! Both look first: for a stopped container, an Engine accepts a second connection and silently
//! replaces the settings of the first one.

use serde_json::{Value, json};

use super::Found;
use crate::api::in_use::differs;
use crate::api::views::parse;
use crate::body::network::{Connection, endpoint_differences, endpoint_in, has_endpoint_of};
use crate::domain::{ContainerRef, NetworkRef};
use crate::engine::{Change, EngineError, ErrorKind, unsupported};
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError};

const CONNECT: &str = "POST /networks/{id}/connect";

/// A checked request to disconnect a container.
#[derive(Debug)]
pub struct Disconnection {
    /// The network.
    pub network: NetworkRef,
    /// The container.
    pub container: ContainerRef,
    /// Also if the container is gone.
    pub force: bool,
}

/// Connects on one host.
pub async fn connect<P>(call: &HostCall<P>, order: &Connection) -> Result<Done, HostError> {
    let found = match call.engine.inspect_network(&order.network).await {
        Ok(document) => Some(Found::read(&document)?),
        // A network of a Swarm comes to this host with its first container.
        Err(error) if error.kind == ErrorKind::NetworkNotFound => None,
        Err(error) => return Err(error.into()),
    };
    let (name, id) = match &found {
        Some(found) => (found.name.as_str(), Some(found.id.as_str())),
        None => (order.network.as_str(), None),
    };
    let container = container(call, &order.container).await?;
    if let Some(here) = endpoint_in(&container, name, id) {
        return unchanged_or_differs(order, name, here);
    }
    too_new(call, order).await?;
    let change = call
        .engine
        .connect_network(id.unwrap_or(name), &reference(&container)?, &order.endpoint)
        .await?;
    Ok(Done { changed: change == Change::Made })
}

/// Disconnects on one host.
pub async fn disconnect<P>(call: &HostCall<P>, order: &Disconnection) -> Result<Done, HostError> {
    let document = call.engine.inspect_network(&order.network).await?;
    let found = Found::read(&document)?;
    let container = match container(call, &order.container).await {
        Ok(container) => Some(container),
        Err(error) if order.force && error.kind == ErrorKind::ContainerNotFound => None,
        Err(error) => return Err(error.into()),
    };
    let is_in = container
        .as_ref()
        .is_some_and(|it| endpoint_in(it, &found.name, Some(&found.id)).is_some());
    let left = order.force && {
        let network: Value = parse(&document, "GET /networks/{id}")?;
        has_endpoint_of(&network, order.container.as_str())
    };
    if !is_in && !left {
        return Ok(Done::UNCHANGED);
    }
    let target = match &container {
        Some(container) => reference(container)?,
        None => order.container.clone(),
    };
    let change = call.engine.disconnect_network(&found.id, &target, order.force).await?;
    Ok(Done { changed: change == Change::Made })
}

fn unchanged_or_differs(
    order: &Connection,
    network: &str,
    here: &Value,
) -> Result<Done, HostError> {
    let differences = endpoint_differences(&order.endpoint, here);
    if differences.is_empty() {
        return Ok(Done::UNCHANGED);
    }
    let what = format!(
        "container {} is already connected to {network} with other settings",
        order.container
    );
    Err(differs(ErrorKind::Conflict, CONNECT, &what, &differences, "disconnect it first"))
}

/// Refuses settings that the Engine is too old for: it would drop them.
async fn too_new<P>(call: &HostCall<P>, order: &Connection) -> Result<(), EngineError> {
    if order.endpoint.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(());
    }
    let endpoints = json!({ order.network.as_str(): order.endpoint });
    let body = json!({ "NetworkingConfig": { "EndpointsConfig": endpoints } });
    let version = call.engine.ping().await?.api_version;
    let unknown = unsupported(&body, version);
    if unknown.is_empty() {
        return Ok(());
    }
    let message = format!("{}; leave it out, or upgrade the Engine", unknown.join("; "));
    Err(EngineError::new(ErrorKind::Unsupported, CONNECT, message))
}

async fn container<P>(call: &HostCall<P>, name: &ContainerRef) -> Result<Value, EngineError> {
    let document = call.engine.inspect_container(name, false).await?;
    parse(&document, "GET /containers/{id}/json")
}

/// The container by its full ID: a name can move between two calls.
fn reference(container: &Value) -> Result<ContainerRef, EngineError> {
    ContainerRef::parse(container["Id"].as_str().unwrap_or_default()).map_err(|error| {
        EngineError::new(ErrorKind::BadAnswer, "GET /containers/{id}/json", error.to_string())
    })
}
