//! The calls about images on the host.

use std::sync::Arc;

use serde_json::Value;

use super::link::{Call, Link, bad_answer, is_podman};
use super::system::document_of;
use crate::domain::{ImageName, ImageReference};
use crate::engine::operation::{
    IMAGE_HISTORY, INSPECT_IMAGE, INSPECT_IMAGE_OF_PODMAN, LIST_IMAGES, Operation, PRUNE_IMAGES,
    REMOVE_IMAGE, TAG_IMAGE,
};
use crate::engine::wire::{
    self, HistoryItem, ImageFacts, ImageItem, ImageManifests, ImagePrune, RemovalItem,
};
use crate::engine::{
    ApiVersion, Change, EngineDocument, EngineError, ErrorKind, Filters, HistoryLayer,
    ImageListing, ImageRemoval, ImageSummary, Listing, PrunedImages, Result,
};

pub(super) async fn list(
    link: &Arc<Link>,
    listing: &ImageListing,
) -> Result<Listing<ImageSummary>> {
    let call = Call::new(&LIST_IMAGES, &["images", "json"])
        .with_flag("all", listing.all)
        .with_filters(&listing.filters);
    link.list::<ImageItem, _>(call, listing.keep_json).await
}

pub(super) async fn inspect(link: &Arc<Link>, image: &ImageName) -> Result<EngineDocument> {
    let answer = link.send(on(&INSPECT_IMAGE, image, &["json"])).await?;
    let podman = is_podman(&answer);
    let document = document_of(answer)?;
    if podman { with_health_check(link, image, document).await } else { Ok(document) }
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

pub(super) async fn manifest(link: &Arc<Link>, image: &ImageName) -> Result<Option<String>> {
    let agreed = link.negotiated(&INSPECT_IMAGE).await?;
    if agreed.version < ApiVersion::new(1, 48) {
        return Ok(None);
    }
    let call = on(&INSPECT_IMAGE, image, &["json"]).with_flag("manifests", true);
    let found: ImageManifests = link.send(call).await?.json().await?;
    Ok(found.own())
}

pub(super) async fn history(link: &Arc<Link>, image: &ImageName) -> Result<Vec<HistoryLayer>> {
    let answer = link.send(on(&IMAGE_HISTORY, image, &["history"])).await?;
    let items: Option<Vec<HistoryItem>> = answer.json().await?;
    Ok(items.unwrap_or_default().into_iter().map(Into::into).collect())
}

/// Tags an image. Checks first: the Engine does not report whether the name already existed.
pub(super) async fn tag(
    link: &Arc<Link>,
    source: &ImageName,
    target: &ImageReference,
) -> Result<Change> {
    if target.digest().is_some() {
        let message = format!(
            "{target} has a digest, which cannot be assigned to an image; remove the digest"
        );
        return Err(EngineError::new(ErrorKind::BadRequest, TAG_IMAGE.name, message));
    }
    let target = target.clone().with_default_tag();
    let found = inspect(link, source)
        .await
        .map_err(|error| EngineError { operation: TAG_IMAGE.name, ..error })?;
    let facts: ImageFacts =
        found.parse().map_err(|error| bad_answer(&INSPECT_IMAGE, &error.to_string()))?;
    // Compared as references: Docker writes "app:v1" where Podman has docker.io/library/app:v1.
    let is_target = |name: &String| ImageReference::parse(name).is_ok_and(|name| name == target);
    if facts.repo_tags.iter().any(is_target) {
        return Ok(Change::Already);
    }
    let call = on(&TAG_IMAGE, source, &["tag"])
        .with("repo", target.repository())
        .with_some("tag", target.tag());
    link.send(call).await?;
    Ok(Change::Made)
}

pub(super) async fn remove(
    link: &Arc<Link>,
    image: &ImageName,
    force: bool,
    keep_parents: bool,
) -> Result<ImageRemoval> {
    let call =
        on(&REMOVE_IMAGE, image, &[]).with_flag("force", force).with_flag("noprune", keep_parents);
    let items: Option<Vec<RemovalItem>> = link.send(call).await?.json().await?;
    Ok(wire::removal(items))
}

pub(super) async fn prune(link: &Arc<Link>, filters: &Filters) -> Result<PrunedImages> {
    let call = Call::new(&PRUNE_IMAGES, &["images", "prune"]).with_filters(filters);
    Ok(link.send(call).await?.json::<ImagePrune>().await?.into())
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
