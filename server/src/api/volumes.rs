//! `VolumeService`: volumes on many hosts.

use std::sync::Arc;

use serde_json::Value;
use tonic::{Request, Response, Status};
use wharf::v1;
use wharf::v1::create_volume_response::Event as Creation;
use wharf::v1::volume_service_server::VolumeService;

use super::convert;
use super::edge::{Edge, ResponseStream, checked};
use super::in_use::{differs, with_users};
use super::items::ItemDone;
use super::time_limits::{DISK, READ};
use super::views::parse;
use super::{resource_views, size};
use crate::body::volume::{volume_body, volume_differences};
use crate::domain::VolumeName;
use crate::engine::{EngineDocument, EngineError, ErrorKind, VolumeListing, volume_of};
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError};

/// The filters of a prune. All others are refused: older Engines, where the server itself chooses,
/// have no others.
const PRUNE_FILTERS: [&str; 2] = ["label", "label!"];

/// The service.
#[derive(Debug, Clone)]
pub struct Volumes(pub Arc<Edge>);

#[tonic::async_trait]
impl VolumeService for Volumes {
    type ListVolumesStream = ResponseStream<v1::ListVolumesResponse>;
    type CreateVolumeStream = ResponseStream<v1::CreateVolumeResponse>;
    type InspectVolumesStream = ResponseStream<v1::InspectVolumesResponse>;
    type RemoveVolumesStream = ResponseStream<v1::RemoveVolumesResponse>;
    type PruneVolumesStream = ResponseStream<v1::PruneVolumesResponse>;

    async fn list_volumes(
        &self,
        request: Request<v1::ListVolumesRequest>,
    ) -> Result<Response<Self::ListVolumesStream>, Status> {
        use v1::list_volumes_response::Event;
        let listing = checked(&request, |violations, message| {
            let filters = convert::filters(violations, &message.filters);
            Some(VolumeListing { filters, keep_json: message.include_engine_json })
        })?;
        let edge = &self.0;
        edge.each_host(&request, Some(READ), listing, |call, listing| async move {
            let volumes = call.engine.list_volumes(&listing).await?;
            for batch in resource_views::volume_batches(volumes)? {
                call.emit(Event::Batch(batch)).await;
            }
            Ok(Done::UNCHANGED)
        })
        .await
    }

    async fn create_volume(
        &self,
        request: Request<v1::CreateVolumeRequest>,
    ) -> Result<Response<Self::CreateVolumeStream>, Status> {
        let order = checked(&request, |violations, message| volume_body(message, violations))?;
        let edge = &self.0;
        edge.each_host(&request, Some(DISK), order, |call, order| async move {
            create(&call, &order.0, &order.1).await
        })
        .await
    }

    async fn inspect_volumes(
        &self,
        request: Request<v1::InspectVolumesRequest>,
    ) -> Result<Response<Self::InspectVolumesStream>, Status> {
        use v1::inspect_volumes_response::Event;
        let volumes = checked(&request, |violations, message| {
            Some(convert::volume_names(violations, &message.volumes))
        })?;
        let edge = &self.0;
        edge.each_item(&request, Some(READ), volumes, (), |call, volume, _| async move {
            let document = call.engine.inspect_volume(&volume).await?;
            let details = resource_views::volume_details(document)?;
            call.emit(Event::Volume(details)).await;
            Ok(ItemDone { id: volume.to_string(), changed: false })
        })
        .await
    }

    async fn remove_volumes(
        &self,
        request: Request<v1::RemoveVolumesRequest>,
    ) -> Result<Response<Self::RemoveVolumesStream>, Status> {
        let volumes = checked(&request, |violations, message| {
            Some(convert::volume_names(violations, &message.volumes))
        })?;
        let message = request.get_ref();
        let order = (message.force, message.force || message.allow_missing);
        let edge = &self.0;
        edge.each_item(&request, Some(DISK), volumes, order, |call, volume, order| async move {
            let (force, allow_missing) = *order;
            let missing_is_fine =
                |error: &EngineError| allow_missing && error.kind == ErrorKind::VolumeNotFound;
            // With force, the Engine does not report whether there was one.
            let existed = match call.engine.inspect_volume(&volume).await {
                Ok(_) => true,
                Err(error) if missing_is_fine(&error) => false,
                // Its driver does not answer, and force makes the Engine forget it.
                Err(error) if force && error.kind != ErrorKind::VolumeNotFound => true,
                Err(error) => return Err(error.into()),
            };
            let done = |changed| ItemDone { id: volume.to_string(), changed };
            if !existed {
                return Ok(ItemDone { id: String::new(), changed: false });
            }
            match call.engine.remove_volume(&volume, force).await {
                Ok(()) => Ok(done(true)),
                Err(error) if missing_is_fine(&error) => Ok(done(false)),
                Err(error) => {
                    let way_out = |_: &str| "remove these containers first".to_owned();
                    Err(with_users(&call, ("volume", volume.as_str()), way_out, error).await)
                }
            }
        })
        .await
    }

    async fn prune_volumes(
        &self,
        request: Request<v1::PruneVolumesRequest>,
    ) -> Result<Response<Self::PruneVolumesStream>, Status> {
        use v1::prune_volumes_response::Event;
        let order = checked(&request, |violations, message| {
            let filters = convert::filters(violations, &message.filters);
            if filters.contains_key("all") {
                violations.add("filters", "must not have `all`; use the field `all`");
            } else if let Some(key) =
                filters.keys().find(|key| !PRUNE_FILTERS.contains(&key.as_str()))
            {
                let known = PRUNE_FILTERS.join("` and `");
                let key = crate::domain::quoted(key);
                violations.add("filters", format!("{key} is unknown; there are `{known}`"));
            }
            Some((filters, message.all))
        })?;
        let edge = &self.0;
        edge.each_host(&request, Some(DISK), order, |call, order| async move {
            let pruned = call.engine.prune_volumes(&order.0, order.1).await?;
            let changed = !pruned.names.is_empty();
            let parts = size::batches_or_none(pruned.names, String::len);
            let last = parts.len() - 1;
            for (index, names) in parts.into_iter().enumerate() {
                let space_reclaimed_bytes = pruned.space_reclaimed.filter(|_| index == last);
                let part = v1::PrunedVolumes { names, space_reclaimed_bytes };
                call.emit(Event::Pruned(part)).await;
            }
            match pruned.failure {
                Some(error) => Err(HostError::Partly(error)),
                None => Ok(Done { changed }),
            }
        })
        .await
    }
}

/// Creates a volume on one host, unless it has one of the name. An Engine would return an existing
/// one whatever its options and labels, so it is looked up before, and compared after.
async fn create(
    call: &HostCall<Creation>,
    name: &VolumeName,
    body: &Value,
) -> Result<Done, HostError> {
    let (document, created) = match call.engine.inspect_volume(name).await {
        Ok(document) => (document, false),
        Err(error) if error.kind == ErrorKind::VolumeNotFound => {
            (call.engine.create_volume(body).await?, true)
        }
        Err(error) => return Err(error.into()),
    };
    // Also if it was created just now: someone else may have been faster.
    agree(name, body, &document)?;
    let mountpoint = volume_of(&document)?.mountpoint;
    let volume = v1::CreatedVolume { name: name.to_string(), mountpoint, created };
    call.emit(Creation::Volume(volume)).await;
    Ok(Done { changed: created })
}

fn agree(name: &VolumeName, body: &Value, document: &EngineDocument) -> Result<(), HostError> {
    let differences = volume_differences(body, &parse(document, "GET /volumes/{name}")?);
    if differences.is_empty() {
        return Ok(());
    }
    let what = format!("a volume named {name} exists and differs");
    let way_out = "remove it with its data, or choose another name";
    Err(differs(ErrorKind::NameInUse, "POST /volumes/create", &what, &differences, way_out))
}
