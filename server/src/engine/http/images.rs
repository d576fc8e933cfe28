//! The calls about images on the host.

use std::sync::Arc;

use super::link::{Call, Link, bad_answer};
use crate::domain::{ImageName, ImageReference};
use crate::engine::operation::{
    IMAGE_HISTORY, INSPECT_IMAGE, LIST_IMAGES, Operation, PRUNE_IMAGES, REMOVE_IMAGE, TAG_IMAGE,
};
use crate::engine::wire::{self, HistoryItem, ImageFacts, ImageItem, ImagePrune, RemovalItem};
use crate::engine::{
    Change, EngineDocument, EngineError, ErrorKind, Filters, HistoryLayer, ImageListing,
    ImageRemoval, ImageSummary, Listing, PrunedImages, Result,
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
    link.document(on(&INSPECT_IMAGE, image, &["json"])).await
}

pub(super) async fn history(link: &Arc<Link>, image: &ImageName) -> Result<Vec<HistoryLayer>> {
    let answer = link.send(on(&IMAGE_HISTORY, image, &["history"])).await?;
    let items: Option<Vec<HistoryItem>> = answer.json().await?;
    Ok(items.unwrap_or_default().into_iter().map(Into::into).collect())
}

/// Tags an image. Looks first: the Engine does not say whether the name was there.
pub(super) async fn tag(
    link: &Arc<Link>,
    source: &ImageName,
    target: &ImageReference,
) -> Result<Change> {
    if target.digest().is_some() {
        let message =
            format!("{target} has a digest, which cannot be given to an image; write it without");
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

/// A call on an image. The name goes into the path as Docker's own client does it, with its
/// slashes: proxies in front of Engines do not all pass `%2F` on.
fn on(operation: &'static Operation, image: &ImageName, rest: &[&str]) -> Call {
    let name = image.to_string();
    let mut segments = vec!["images"];
    segments.extend(name.split('/'));
    segments.extend(rest);
    Call::new(operation, &segments)
}
