//! `ImageService`: images on many hosts.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tonic::{Request, Response, Status};
use wharf::v1;
use wharf::v1::image_service_server::ImageService;

use super::convert;
use super::edge::{Edge, ResponseStream, TRANSFER_LIMIT};
use super::items::{ItemDone, each_item};
use super::problem::Finish;
use super::problem::Problem;
use super::transfer::{self, PullOrder, with_progress};
use super::views;
use crate::body::violation::Violations;
use crate::domain::{ImageName, ImageReference};
use crate::engine::{Change, EngineDocument, ErrorKind, ImageListing};
use crate::fleet::{Done, HostError};

/// For calls that an Engine answers from memory.
const QUICK: Duration = Duration::from_secs(30);

/// For removals and prunes, which delete layers from disk.
const DISK: Duration = Duration::from_secs(300);

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
    type PullImageStream = ResponseStream<v1::PullImageResponse>;
    type PushImageStream = ResponseStream<v1::PushImageResponse>;
    type TagImageStream = ResponseStream<v1::TagImageResponse>;
    type RemoveImagesStream = ResponseStream<v1::RemoveImagesResponse>;
    type InspectImagesStream = ResponseStream<v1::InspectImagesResponse>;
    type GetImageHistoryStream = ResponseStream<v1::GetImageHistoryResponse>;
    type PruneImagesStream = ResponseStream<v1::PruneImagesResponse>;

    async fn list_images(
        &self,
        request: Request<v1::ListImagesRequest>,
    ) -> Result<Response<Self::ListImagesStream>, Status> {
        use v1::list_images_response::Event;
        let mut violations = Violations::default();
        let message = request.get_ref();
        let listing = Arc::new(ImageListing {
            all: message.all,
            filters: convert::filters(&mut violations, &message.filters),
            keep_json: message.include_engine_json,
        });
        violations.finish()?;
        let call = self.0.accept("/wharf.v1.ImageService/ListImages", &request, Some(QUICK))?;
        self.0
            .run(call, move |call| {
                let listing = Arc::clone(&listing);
                async move {
                    let images = call.engine.list_images(&listing).await?;
                    for batch in views::image_batches(images)? {
                        call.emit(Event::Batch(batch)).await;
                    }
                    Ok(Done::UNCHANGED)
                }
            })
            .await
    }

    async fn pull_image(
        &self,
        request: Request<v1::PullImageRequest>,
    ) -> Result<Response<Self::PullImageStream>, Status> {
        use v1::pull_image_response::Event;
        let mut violations = Violations::default();
        let message = request.get_ref();
        let reference = violations.check("reference", ImageReference::parse(&message.reference));
        let platform = transfer::platform(&mut violations, &message.platform);
        violations.finish()?;
        let reference = valid(reference)?.with_default_tag();
        let call = self.0.accept("/wharf.v1.ImageService/PullImage", &request, None)?;
        let login = transfer::login_for(&self.0, &reference, message.credentials.as_ref()).await?;
        let order = Arc::new(PullOrder { reference, platform, login });
        let call = call
            .cancelled_with_caller(message.cancel_on_disconnect)
            .background_limit(TRANSFER_LIMIT);
        self.0
            .run(call, move |call| {
                let order = Arc::clone(&order);
                async move {
                    let pulled = order.pull(&call, Event::Progress).await?;
                    let changed = pulled.newer.unwrap_or(true);
                    let image =
                        views::pulled_image(&order.reference, pulled).map_err(HostError::Engine)?;
                    call.emit(Event::Image(image)).await;
                    Ok(Done { changed })
                }
            })
            .await
    }

    async fn push_image(
        &self,
        request: Request<v1::PushImageRequest>,
    ) -> Result<Response<Self::PushImageStream>, Status> {
        use v1::push_image_response::Event;
        let mut violations = Violations::default();
        let message = request.get_ref();
        let reference = violations.check("reference", ImageReference::parse(&message.reference));
        if reference.as_ref().is_some_and(|reference| reference.digest().is_some()) {
            violations.add("reference", "must not have a digest; only tags can be pushed");
        }
        violations.finish()?;
        let reference = valid(reference)?.with_default_tag();
        let call = self.0.accept("/wharf.v1.ImageService/PushImage", &request, None)?;
        let login = transfer::login_for(&self.0, &reference, message.credentials.as_ref()).await?;
        let order = Arc::new((reference, login));
        let call = call
            .cancelled_with_caller(message.cancel_on_disconnect)
            .background_limit(TRANSFER_LIMIT);
        self.0
            .run(call, move |call| {
                let order = Arc::clone(&order);
                async move {
                    let (reference, login) = &*order;
                    let (sink, progress) = transfer::progress_channel();
                    let push = call.engine.push_image(reference, login.as_deref(), &sink);
                    let pushed = with_progress(&call, progress, Event::Progress, push).await;
                    let pushed = pushed
                        .map_err(|error| HostError::at_registry(&reference.registry(), error))?;
                    let image = v1::PushedImage {
                        reference: reference.to_string(),
                        digest: pushed.digest.unwrap_or_default(),
                        size_bytes: pushed.size,
                    };
                    call.emit(Event::Image(image)).await;
                    Ok(Done::CHANGED)
                }
            })
            .await
    }

    async fn tag_image(
        &self,
        request: Request<v1::TagImageRequest>,
    ) -> Result<Response<Self::TagImageStream>, Status> {
        let mut violations = Violations::default();
        let message = request.get_ref();
        let source = violations.check("source", ImageName::parse(&message.source));
        let target = violations.check("target", ImageReference::parse(&message.target));
        if target.as_ref().is_some_and(|target| target.digest().is_some()) {
            violations
                .add("target", "must not have a digest; digests are computed from the content");
        }
        violations.finish()?;
        let names = Arc::new((valid(source)?, valid(target)?.with_default_tag()));
        let call = self.0.accept("/wharf.v1.ImageService/TagImage", &request, Some(QUICK))?;
        self.0
            .run(call, move |call| {
                let names = Arc::clone(&names);
                async move {
                    let (source, target) = &*names;
                    let change = call.engine.tag_image(source, target).await?;
                    Ok(Done { changed: change == Change::Made })
                }
            })
            .await
    }

    async fn remove_images(
        &self,
        request: Request<v1::RemoveImagesRequest>,
    ) -> Result<Response<Self::RemoveImagesStream>, Status> {
        use v1::remove_images_response::Event;
        let mut violations = Violations::default();
        let message = request.get_ref();
        let images = convert::image_names(&mut violations, "images", &message.images);
        let (force, keep_parents) = (message.force, message.keep_parents);
        let allow_missing = message.allow_missing;
        violations.finish()?;
        let images = Arc::new(images);
        let call = self.0.accept("/wharf.v1.ImageService/RemoveImages", &request, Some(DISK))?;
        self.0
            .run(call, move |call| {
                let images = Arc::clone(&images);
                async move {
                    let call = &call;
                    each_item(call, &images, Event::Item, |image| async move {
                        let id = match call.engine.inspect_image(&image).await {
                            Ok(document) => image_id(&document),
                            Err(error)
                                if error.kind == ErrorKind::ImageNotFound && allow_missing =>
                            {
                                return Ok(ItemDone { id: String::new(), changed: false });
                            }
                            Err(error) => return Err(error.into()),
                        };
                        let removal = call.engine.remove_image(&image, force, keep_parents).await?;
                        let removed = v1::RemovedImages {
                            untagged: removal.untagged,
                            deleted: removal.deleted,
                        };
                        call.emit(Event::Removed(removed)).await;
                        Ok(ItemDone { id, changed: true })
                    })
                    .await
                }
            })
            .await
    }

    async fn inspect_images(
        &self,
        request: Request<v1::InspectImagesRequest>,
    ) -> Result<Response<Self::InspectImagesStream>, Status> {
        use v1::inspect_images_response::Event;
        let mut violations = Violations::default();
        let images = convert::image_names(&mut violations, "images", &request.get_ref().images);
        violations.finish()?;
        let images = Arc::new(images);
        let call = self.0.accept("/wharf.v1.ImageService/InspectImages", &request, Some(QUICK))?;
        self.0
            .run(call, move |call| {
                let images = Arc::clone(&images);
                async move {
                    let call = &call;
                    each_item(call, &images, Event::Item, |image| async move {
                        let document = call.engine.inspect_image(&image).await?;
                        let details = views::image_details(&image, document)?;
                        let id = details.id.clone();
                        call.emit(Event::Image(details)).await;
                        Ok(ItemDone { id, changed: false })
                    })
                    .await
                }
            })
            .await
    }

    async fn get_image_history(
        &self,
        request: Request<v1::GetImageHistoryRequest>,
    ) -> Result<Response<Self::GetImageHistoryStream>, Status> {
        use v1::get_image_history_response::Event;
        let mut violations = Violations::default();
        let image = violations.check("image", ImageName::parse(&request.get_ref().image));
        violations.finish()?;
        let image = Arc::new(valid(image)?);
        let call =
            self.0.accept("/wharf.v1.ImageService/GetImageHistory", &request, Some(QUICK))?;
        self.0
            .run(call, move |call| {
                let image = Arc::clone(&image);
                async move {
                    let layers = call.engine.image_history(&image).await?;
                    for part in views::image_history(layers) {
                        call.emit(Event::History(part)).await;
                    }
                    Ok(Done::UNCHANGED)
                }
            })
            .await
    }

    async fn prune_images(
        &self,
        request: Request<v1::PruneImagesRequest>,
    ) -> Result<Response<Self::PruneImagesStream>, Status> {
        use v1::prune_images_response::Event;
        let mut violations = Violations::default();
        let message = request.get_ref();
        let mut filters = convert::filters(&mut violations, &message.filters);
        if filters.contains_key("dangling") {
            violations.add("filters", "must not have `dangling`; use `all`");
        }
        // The Engine's name for "only images without a name".
        filters.insert("dangling".to_owned(), vec![(!message.all).to_string()]);
        violations.finish()?;
        let filters = Arc::new(filters);
        let call = self.0.accept("/wharf.v1.ImageService/PruneImages", &request, Some(DISK))?;
        self.0
            .run(call, move |call| {
                let filters = Arc::clone(&filters);
                async move {
                    let pruned = call.engine.prune_images(&filters).await?;
                    let changed =
                        !pruned.removal.untagged.is_empty() || !pruned.removal.deleted.is_empty();
                    let pruned = v1::PrunedImages {
                        untagged: pruned.removal.untagged,
                        deleted: pruned.removal.deleted,
                        space_reclaimed_bytes: pruned.space_reclaimed,
                    };
                    call.emit(Event::Pruned(pruned)).await;
                    Ok(Done { changed })
                }
            })
            .await
    }
}

/// A value whose check has passed already.
fn valid<T>(value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::invalid_field("request", "must be complete"))
}

fn image_id(document: &EngineDocument) -> String {
    document.parse::<Identified>().map(|image| image.id).unwrap_or_default()
}
