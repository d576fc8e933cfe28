//! `NetworkService`: networks on many hosts. The methods are here; creation, which first looks whether
//! the network exists, is in `create`, and what connects containers is in `endpoints`.

mod create;
mod endpoints;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use wharf::v1;
use wharf::v1::network_service_server::NetworkService;

use self::endpoints::Disconnection;
use super::convert;
use super::edge::{Edge, ResponseStream, checked};
use super::in_use::with_users;
use super::items::ItemDone;
use super::time_limits::{READ, SLOW};
use super::{resource_views, size};
use crate::body::network::{connection, network_body};
use crate::domain::{ContainerRef, NetworkRef, quoted};
use crate::engine::{EngineDocument, EngineError, ErrorKind, NetworkListing, network_of};
use crate::fleet::Done;

/// The service.
#[derive(Debug, Clone)]
pub struct Networks(pub Arc<Edge>);

#[tonic::async_trait]
impl NetworkService for Networks {
    type ListNetworksStream = ResponseStream<v1::ListNetworksResponse>;
    type CreateNetworkStream = ResponseStream<v1::CreateNetworkResponse>;
    type InspectNetworksStream = ResponseStream<v1::InspectNetworksResponse>;
    type RemoveNetworksStream = ResponseStream<v1::RemoveNetworksResponse>;
    type PruneNetworksStream = ResponseStream<v1::PruneNetworksResponse>;
    type ConnectNetworkStream = ResponseStream<v1::ConnectNetworkResponse>;
    type DisconnectNetworkStream = ResponseStream<v1::DisconnectNetworkResponse>;

    async fn list_networks(
        &self,
        request: Request<v1::ListNetworksRequest>,
    ) -> Result<Response<Self::ListNetworksStream>, Status> {
        use v1::list_networks_response::Event;
        let listing = checked(&request, |violations, message| {
            let filters = convert::filters(violations, &message.filters);
            Some(NetworkListing { filters, keep_json: message.include_engine_json })
        })?;
        let edge = &self.0;
        edge.each_host(&request, Some(READ), listing, |call, listing| async move {
            let networks = call.engine.list_networks(&listing).await?;
            for batch in resource_views::network_batches(networks)? {
                call.emit(Event::Batch(batch)).await;
            }
            Ok(Done::UNCHANGED)
        })
        .await
    }

    async fn create_network(
        &self,
        request: Request<v1::CreateNetworkRequest>,
    ) -> Result<Response<Self::CreateNetworkStream>, Status> {
        let order = checked(&request, |violations, message| network_body(message, violations))?;
        let edge = &self.0;
        edge.each_host(&request, Some(SLOW), order, |call, order| async move {
            create::create(&call, &order.0, &order.1).await
        })
        .await
    }

    async fn inspect_networks(
        &self,
        request: Request<v1::InspectNetworksRequest>,
    ) -> Result<Response<Self::InspectNetworksStream>, Status> {
        use v1::inspect_networks_response::Event;
        let networks = checked(&request, |violations, message| {
            Some(convert::network_refs(violations, &message.networks))
        })?;
        let edge = &self.0;
        edge.each_item(&request, Some(READ), networks, (), |call, network, _| async move {
            let document = call.engine.inspect_network(&network).await?;
            let details = resource_views::network_details(&network, document)?;
            let id = details.network.as_ref().map(|it| it.id.clone()).unwrap_or_default();
            call.emit(Event::Network(details)).await;
            Ok(ItemDone { id, changed: false })
        })
        .await
    }

    async fn remove_networks(
        &self,
        request: Request<v1::RemoveNetworksRequest>,
    ) -> Result<Response<Self::RemoveNetworksStream>, Status> {
        let networks = checked(&request, |violations, message| {
            let networks = convert::network_refs(violations, &message.networks);
            for (index, name) in message.networks.iter().enumerate() {
                if NetworkRef::parse(name).is_ok_and(|it| it.is_predefined()) {
                    let problem = format!(
                        "{} is a predefined network of every Engine, which cannot be removed",
                        quoted(name)
                    );
                    violations.add(format!("networks[{index}]"), problem);
                }
            }
            Some(networks)
        })?;
        let (edge, allow_missing) = (&self.0, request.get_ref().allow_missing);
        let order = allow_missing;
        edge.each_item(&request, Some(SLOW), networks, order, |call, network, order| async move {
            let missing_is_fine =
                |error: &EngineError| *order && error.kind == ErrorKind::NetworkNotFound;
            let found = match call.engine.inspect_network(&network).await {
                Ok(document) => Found::read(&document)?,
                Err(error) if missing_is_fine(&error) => {
                    return Ok(ItemDone { id: String::new(), changed: false });
                }
                Err(error) => return Err(error.into()),
            };
            match call.engine.remove_network(&found.reference).await {
                Ok(()) => Ok(ItemDone { id: found.id, changed: true }),
                Err(error) if missing_is_fine(&error) => {
                    Ok(ItemDone { id: found.id, changed: false })
                }
                Err(error) => {
                    let host = call.host_name();
                    let way_out = |user: &str| {
                        format!(
                            "remove the containers, or run `wharf network disconnect {host}/{} {user}`",
                            found.shown
                        )
                    };
                    Err(with_users(&call, ("network", &found.id), way_out, error).await)
                }
            }
        })
        .await
    }

    async fn prune_networks(
        &self,
        request: Request<v1::PruneNetworksRequest>,
    ) -> Result<Response<Self::PruneNetworksStream>, Status> {
        use v1::prune_networks_response::Event;
        let filters = checked(&request, |violations, message| {
            Some(convert::filters(violations, &message.filters))
        })?;
        let edge = &self.0;
        edge.each_host(&request, Some(SLOW), filters, |call, filters| async move {
            let names = call.engine.prune_networks(&filters).await?;
            let changed = !names.is_empty();
            for names in size::batches_or_none(names, String::len) {
                call.emit(Event::Pruned(v1::PrunedNetworks { names })).await;
            }
            Ok(Done { changed })
        })
        .await
    }

    async fn connect_network(
        &self,
        request: Request<v1::ConnectNetworkRequest>,
    ) -> Result<Response<Self::ConnectNetworkStream>, Status> {
        let order = checked(&request, |violations, message| connection(message, violations))?;
        let edge = &self.0;
        edge.each_host(&request, Some(SLOW), order, |call, order| async move {
            endpoints::connect(&call, &order).await
        })
        .await
    }

    async fn disconnect_network(
        &self,
        request: Request<v1::DisconnectNetworkRequest>,
    ) -> Result<Response<Self::DisconnectNetworkStream>, Status> {
        let order = checked(&request, |violations, message| {
            let network = violations.check("network", NetworkRef::parse(&message.network));
            let container = violations.check("container", ContainerRef::parse(&message.container));
            Some(Disconnection { network: network?, container: container?, force: message.force })
        })?;
        let edge = &self.0;
        edge.each_host(&request, Some(SLOW), order, |call, order| async move {
            endpoints::disconnect(&call, &order).await
        })
        .await
    }
}

/// A network that was looked up. A name can be that of another network's ID, and can move between two
/// calls; so a network is used by its full ID.
struct Found {
    id: String,
    name: String,
    shown: NetworkRef,
    reference: NetworkRef,
}

impl Found {
    fn read(document: &EngineDocument) -> Result<Self, EngineError> {
        let network = network_of(document)?;
        let reference = NetworkRef::parse(&network.id).map_err(|error| {
            EngineError::new(ErrorKind::BadAnswer, "GET /networks/{id}", error.to_string())
        })?;
        // For commands in messages; what an Engine sends may be anything.
        let shown = NetworkRef::parse(&network.name).unwrap_or_else(|_| reference.clone());
        Ok(Self { id: network.id, name: network.name, shown, reference })
    }
}
