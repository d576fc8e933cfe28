//! The calls about images on the host.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::link::bad_answer;
use super::link::{Call, Link, is_podman};
use super::system::document_of;
use super::{HttpEngine, image_archives, transfer};
use crate::domain::{ImageName, ImageReference, RegistryLogin};
use crate::engine::operation::{
    IMAGE_HISTORY, INSPECT_IMAGE, INSPECT_IMAGE_OF_PODMAN, LIST_IMAGES, Operation, PRUNE_IMAGES,
    REMOVE_IMAGE, TAG_IMAGE,
};
use crate::engine::wire::{self, HistoryItem, ImageFacts, ImageManifests, ImagePrune, RemovalItem};
use crate::engine::{
    ApiVersion, ArchiveSink, Change, EngineDocument, EngineError, ErrorKind, Filters, HistoryLayer,
    ImageEngine, ImageListing, ImageRemoval, ImageSummary, Listing, ProgressSink, PrunedImages,
    Pulled, Pushed, RemoteImage, Result, Upload,
};

#[async_trait]
impl ImageEngine for HttpEngine {
    async fn list_images(&self, listing: &ImageListing) -> Result<Listing<ImageSummary>> {
        let call = Call::new(&LIST_IMAGES, &["images", "json"])
            .with_flag("all", listing.all)
            .with_filters(&listing.filters);
        self.link.list(call, listing.keep_json).await
    }

    async fn inspect_image(&self, image: &ImageName) -> Result<EngineDocument> {
        let answer = self.link.send(on(&INSPECT_IMAGE, image, &["json"])).await?;
        let podman = is_podman(&answer);
        let document = document_of(answer)?;
        if podman { with_health_check(&self.link, image, document).await } else { Ok(document) }
    }

    async fn image_manifest(&self, image: &ImageName) -> Result<Option<String>> {
        let agreed = self.link.negotiated(&INSPECT_IMAGE).await?;
        if agreed.version < ApiVersion::new(1, 48) {
            return Ok(None);
        }
        let call = on(&INSPECT_IMAGE, image, &["json"]).with_flag("manifests", true);
        let found: ImageManifests = self.link.send(call).await?.json().await?;
        Ok(found.own())
    }

    async fn image_history(&self, image: &ImageName) -> Result<Vec<HistoryLayer>> {
        let answer = self.link.send(on(&IMAGE_HISTORY, image, &["history"])).await?;
        let items: Option<Vec<HistoryItem>> = answer.json().await?;
        Ok(items.unwrap_or_default().into_iter().map(Into::into).collect())
    }

    // Tags an image. Looks first: the Engine does not say whether the name was there.
    async fn tag_image(&self, source: &ImageName, target: &ImageReference) -> Result<Change> {
        if target.digest().is_some() {
            let message = format!(
                "{target} has a digest, which cannot be given to an image; write it without"
            );
            return Err(EngineError::new(ErrorKind::BadRequest, TAG_IMAGE.name, message));
        }
        let target = target.clone().with_default_tag();
        let found = self
            .inspect_image(source)
            .await
            .map_err(|error| EngineError { operation: TAG_IMAGE.name, ..error })?;
        let facts: ImageFacts =
            found.parse().map_err(|error| bad_answer(&INSPECT_IMAGE, &error.to_string()))?;
        if facts.has_name(&target) {
            return Ok(Change::Already);
        }
        let call = on(&TAG_IMAGE, source, &["tag"])
            .with("repo", target.repository())
            .with_some("tag", target.tag());
        self.link.send(call).await?;
        Ok(Change::Made)
    }

    async fn remove_image(
        &self,
        image: &ImageName,
        force: bool,
        keep_parents: bool,
    ) -> Result<ImageRemoval> {
        let call = on(&REMOVE_IMAGE, image, &[])
            .with_flag("force", force)
            .with_flag("noprune", keep_parents);
        let items: Option<Vec<RemovalItem>> = self.link.send(call).await?.json().await?;
        Ok(wire::removal(items))
    }

    async fn prune_images(&self, filters: &Filters) -> Result<PrunedImages> {
        let call = Call::new(&PRUNE_IMAGES, &["images", "prune"]).with_filters(filters);
        Ok(self.link.send(call).await?.json::<ImagePrune>().await?.into())
    }

    async fn pull_image(
        &self,
        reference: &ImageReference,
        platform: Option<&str>,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pulled> {
        transfer::pull(self, reference, platform, login, progress).await
    }

    async fn push_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
        progress: &ProgressSink,
    ) -> Result<Pushed> {
        transfer::push(&self.link, reference, login, progress).await
    }

    async fn save_images(&self, images: &[ImageName], sink: &ArchiveSink) -> Result<()> {
        image_archives::save(&self.link, images, sink).await
    }

    async fn load_images(
        &self,
        archive: &Upload,
        progress: &ProgressSink,
    ) -> Result<Vec<ImageName>> {
        image_archives::load(&self.link, archive, progress).await
    }

    async fn resolve_image(
        &self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
    ) -> Result<RemoteImage> {
        transfer::resolve(&self.link, reference, login).await
    }
}

/// Adds the health check of the image, which Podman has in its own inspection only.
async fn with_health_check(
    link: &Arc<Link>,
    image: &ImageName,
    document: EngineDocument,
) -> Result<EngineDocument> {
    let mut json: Value =
        document.parse().map_err(|error| bad_answer(&INSPECT_IMAGE, &error.to_string()))?;
    let own = on(&INSPECT_IMAGE_OF_PODMAN, image, &["json"]).below("libpod");
    let own: Value = link.send(own).await?.json().await?;
    let (check, config) = (&own["Healthcheck"], &mut json["Config"]);
    if !check.is_object() || !config.is_object() || config["Healthcheck"].is_object() {
        return Ok(document);
    }
    config["Healthcheck"] = check.clone();
    Ok(EngineDocument { json: json.to_string(), ..document })
}

/// A call on an image. Like in Docker's own client, the path contains the name with its slashes:
/// not all proxies in front of Engines pass on `%2F`.
fn on(operation: &'static Operation, image: &ImageName, rest: &[&str]) -> Call {
    let name = image.to_string();
    let mut segments = vec!["images"];
    segments.extend(name.split('/'));
    segments.extend(rest);
    Call::new(operation, &segments)
}
