//! `ImageService`: images on many hosts. Archives of images are in `save`, `load`, and `send`; which
//! image runs where in `used`.

mod arrived;
mod load;
mod save;
mod send;
mod used;

use std::sync::Arc;

use serde::Deserialize;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use wharf::v1;
use wharf::v1::image_service_server::ImageService;

use super::convert;
use super::edge::{Edge, ResponseStream, TRANSFER_LIMIT, checked};
use super::items::ItemDone;
use super::time_limits::{CHANGE, DISK, READ};
use super::transfer::{self, PullOrder, with_progress};
use super::views;
use crate::domain::{ImageName, ImageReference};
use crate::engine::{Change, EngineDocument, ErrorKind, ImageListing};
use crate::fleet::{Done, HostError};

/// The service.
#[derive(Debug, Clone)]
pub struct Images(pub Arc<Edge>);

#[derive(Deserialize)]
struct Identified {
    #[serde(rename = "Id")]
    id: String,
}

#[tonic::async_trait]
impl ImageService for Images {
    type ListImagesStream = ResponseStream<v1::ListImagesResponse>;
    type ListUsedImagesStream = ResponseStream<v1::ListUsedImagesResponse>;
    type PullImageStream = ResponseStream<v1::PullImageResponse>;
    type PushImageStream = ResponseStream<v1::PushImageResponse>;
    type TagImageStream = ResponseStream<v1::TagImageResponse>;
    type RemoveImagesStream = ResponseStream<v1::RemoveImagesResponse>;
    type InspectImagesStream = ResponseStream<v1::InspectImagesResponse>;
    type GetImageHistoryStream = ResponseStream<v1::GetImageHistoryResponse>;
    type PruneImagesStream = ResponseStream<v1::PruneImagesResponse>;
    type SaveImagesStream = ReceiverStream<Result<v1::SaveImagesResponse, Status>>;
    type LoadImagesStream = ResponseStream<v1::LoadImagesResponse>;
    type SendImageStream = ResponseStream<v1::SendImageResponse>;

    async fn list_images(
        &self,
        request: Request<v1::ListImagesRequest>,
    ) -> Result<Response<Self::ListImagesStream>, Status> {
        use v1::list_images_response::Event;
        let listing = checked(&request, |violations, message| {
            Some(ImageListing {
                all: message.all,
                filters: convert::filters(violations, &message.filters),
                keep_json: message.include_engine_json,
            })
        })?;
        let edge = &self.0;
        edge.each_host(&request, Some(READ), listing, |call, listing| async move {
            let images = call.engine.list_images(&listing).await?;
            for batch in views::image_batches(images)? {
                call.emit(Event::Batch(batch)).await;
            }
            Ok(Done::UNCHANGED)
        })
        .await
    }

    async fn list_used_images(
        &self,
        request: Request<v1::ListUsedImagesRequest>,
    ) -> Result<Response<Self::ListUsedImagesStream>, Status> {
        used::list(&self.0, &request).await
    }

    async fn pull_image(
        &self,
        request: Request<v1::PullImageRequest>,
    ) -> Result<Response<Self::PullImageStream>, Status> {
        use v1::pull_image_response::Event;
        let (reference, platform) = checked(&request, |violations, message| {
            let reference =
                violations.check("reference", ImageReference::parse(&message.reference));
            let platform = transfer::platform(violations, &message.platform);
            Some((reference?.with_default_tag(), platform))
        })?;
        let message = request.get_ref();
        let call = self.0.accept(&request, None)?;
        let login = transfer::login_for(&self.0, &reference, message.credentials.as_ref()).await?;
        let call = call
            .cancelled_with_caller(message.cancel_on_disconnect)
            .background_limit(TRANSFER_LIMIT);
        let order = PullOrder { reference, platform, login };
        let edge = &self.0;
        edge.run(call, order, |call, order| async move {
            let pulled = order.pull(&call, Event::Progress).await?;
            let changed = pulled.newer.unwrap_or(true);
            let image = views::pulled_image(&order.reference, pulled).map_err(HostError::Engine)?;
            call.emit(Event::Image(image)).await;
            Ok(Done { changed })
        })
        .await
    }

    async fn push_image(
        &self,
        request: Request<v1::PushImageRequest>,
    ) -> Result<Response<Self::PushImageStream>, Status> {
        use v1::push_image_response::Event;
        let reference = checked(&request, |violations, message| {
            let reference = ImageReference::parse(&message.reference);
            let reference = violations.check("reference", reference)?;
            if reference.digest().is_some() {
                violations.add("reference", "must not have a digest; only tags can be pushed");
            }
            Some(reference.with_default_tag())
        })?;
        let message = request.get_ref();
        let call = self.0.accept(&request, None)?;
        let login = transfer::login_for(&self.0, &reference, message.credentials.as_ref()).await?;
        let call = call
            .cancelled_with_caller(message.cancel_on_disconnect)
            .background_limit(TRANSFER_LIMIT);
        let edge = &self.0;
        edge.run(call, (reference, login), |call, order| async move {
            let (reference, login) = &*order;
            let (sink, progress) = transfer::progress_channel();
            let push = call.engine.push_image(reference, login.as_deref(), &sink);
            let pushed = with_progress(&call, progress, Event::Progress, push).await;
            let pushed =
                pushed.map_err(|error| HostError::at_registry(&reference.registry(), error))?;
            let image = v1::PushedImage {
                reference: reference.to_string(),
                digest: pushed.digest.unwrap_or_default(),
                size_bytes: pushed.size,
            };
            call.emit(Event::Image(image)).await;
            Ok(Done::CHANGED)
        })
        .await
    }

    async fn tag_image(
        &self,
        request: Request<v1::TagImageRequest>,
    ) -> Result<Response<Self::TagImageStream>, Status> {
        let names = checked(&request, |violations, message| {
            let source = violations.check("source", ImageName::parse(&message.source));
            let target = violations.check("target", ImageReference::parse(&message.target))?;
            if target.digest().is_some() {
                violations
                    .add("target", "must not have a digest; a digest follows from the content");
            }
            Some((source?, target.with_default_tag()))
        })?;
        let edge = &self.0;
        edge.each_host(&request, Some(CHANGE), names, |call, names| async move {
            let change = call.engine.tag_image(&names.0, &names.1).await?;
            Ok(Done { changed: change == Change::Made })
        })
        .await
    }

    async fn remove_images(
        &self,
        request: Request<v1::RemoveImagesRequest>,
    ) -> Result<Response<Self::RemoveImagesStream>, Status> {
        use v1::remove_images_response::Event;
        let images = checked(&request, |violations, message| {
            Some(convert::image_names(violations, &message.images))
        })?;
        let order = request.get_ref().clone();
        let edge = &self.0;
        edge.each_item(&request, Some(DISK), images, order, |call, image, order| async move {
            let id = match call.engine.inspect_image(&image).await {
                Ok(document) => image_id(&document),
                Err(error) if error.kind == ErrorKind::ImageNotFound && order.allow_missing => {
                    return Ok(ItemDone { id: String::new(), changed: false });
                }
                Err(error) => return Err(error.into()),
            };
            let removal = call.engine.remove_image(&image, order.force, order.keep_parents).await?;
            let removed =
                v1::RemovedImages { untagged: removal.untagged, deleted: removal.deleted };
            call.emit(Event::Removed(removed)).await;
            Ok(ItemDone { id, changed: true })
        })
        .await
    }

    async fn inspect_images(
        &self,
        request: Request<v1::InspectImagesRequest>,
    ) -> Result<Response<Self::InspectImagesStream>, Status> {
        use v1::inspect_images_response::Event;
        let images = checked(&request, |violations, message| {
            Some(convert::image_names(violations, &message.images))
        })?;
        let edge = &self.0;
        edge.each_item(&request, Some(READ), images, (), |call, image, _| async move {
            let document = call.engine.inspect_image(&image).await?;
            let details = views::image_details(&image, document)?;
            let id = details.id.clone();
            call.emit(Event::Image(details)).await;
            Ok(ItemDone { id, changed: false })
        })
        .await
    }

    async fn get_image_history(
        &self,
        request: Request<v1::GetImageHistoryRequest>,
    ) -> Result<Response<Self::GetImageHistoryStream>, Status> {
        use v1::get_image_history_response::Event;
        let image = checked(&request, |violations, message| {
            violations.check("image", ImageName::parse(&message.image))
        })?;
        let edge = &self.0;
        edge.each_host(&request, Some(READ), image, |call, image| async move {
            let layers = call.engine.image_history(&image).await?;
            for part in views::image_history(layers) {
                call.emit(Event::History(part)).await;
            }
            Ok(Done::UNCHANGED)
        })
        .await
    }

    async fn prune_images(
        &self,
        request: Request<v1::PruneImagesRequest>,
    ) -> Result<Response<Self::PruneImagesStream>, Status> {
        use v1::prune_images_response::Event;
        let filters = checked(&request, |violations, message| {
            let mut filters = convert::filters(violations, &message.filters);
            if filters.contains_key("dangling") {
                violations.add("filters", "must not have `dangling`; use `all`");
            }
            // The Engine's name for "only images without a name".
            filters.insert("dangling".to_owned(), vec![(!message.all).to_string()]);
            Some(filters)
        })?;
        let edge = &self.0;
        edge.each_host(&request, Some(DISK), filters, |call, filters| async move {
            let pruned = call.engine.prune_images(&filters).await?;
            let changed = !pruned.removal.untagged.is_empty() || !pruned.removal.deleted.is_empty();
            let pruned = v1::PrunedImages {
                untagged: pruned.removal.untagged,
                deleted: pruned.removal.deleted,
                space_reclaimed_bytes: pruned.space_reclaimed,
            };
            call.emit(Event::Pruned(pruned)).await;
            Ok(Done { changed })
        })
        .await
    }

    async fn save_images(
        &self,
        request: Request<v1::SaveImagesRequest>,
    ) -> Result<Response<Self::SaveImagesStream>, Status> {
        save::save(&self.0, &request)
    }

    async fn load_images(
        &self,
        request: Request<Streaming<v1::LoadImagesRequest>>,
    ) -> Result<Response<Self::LoadImagesStream>, Status> {
        load::load(&self.0, request).await
    }

    async fn send_image(
        &self,
        request: Request<v1::SendImageRequest>,
    ) -> Result<Response<Self::SendImageStream>, Status> {
        send::send(&self.0, &request).await
    }
}

fn image_id(document: &EngineDocument) -> String {
    document.parse::<Identified>().map(|image| image.id).unwrap_or_default()
}
