//! Images on a host after a load or a copy: what is there, and what was done for it.

use std::collections::{BTreeMap, BTreeSet};

use super::operation::{INSPECT_IMAGE, Operation, VERSION};
use super::wire::{ImageFacts, Versions};
use super::{
    Engine, EngineDocument, EngineError, ErrorKind, ImageListing, Platform, ProgressSink, Result,
    Upload,
};
use crate::domain::{ImageName, ImageReference};

/// An image on a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Its ID there.
    pub id: String,
    /// Its name, if it has one.
    pub name: Option<ImageReference>,
    /// What was done for it.
    pub arrival: Arrival,
    /// ID of the image that had the name before.
    pub replaced: Option<String>,
    /// What it is built for.
    pub platform: Platform,
}

/// How an image came to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It was sent.
    Loaded,
    /// It was there and got the name.
    Tagged,
    /// It was there with the name.
    Present,
}

/// What a host has before a load.
#[derive(Default)]
struct Before {
    ids: BTreeSet<String>,
    by_name: BTreeMap<ImageReference, String>,
}

/// Loads an archive, and returns the images that were in it.
///
/// # Errors
///
/// [`ErrorKind::LoadFailed`] if the Engine cannot load it, or does not show what it loaded, and
/// whatever else it fails with.
pub async fn load_archive(
    target: &dyn Engine,
    archive: &Upload,
    progress: &ProgressSink,
) -> Result<Vec<Delivered>> {
    let before = Before::of(target).await?;
    let names = target.load_images(archive, progress).await?;
    let mut images = Vec::new();
    for name in names {
        let document = target.inspect_image(&name).await;
        let facts = document.and_then(|document| facts_of(&document)).map_err(afterwards)?;
        images.push(before.compare(&name, &facts));
    }
    Ok(images)
}

impl Before {
    async fn of(engine: &dyn Engine) -> Result<Self> {
        let mut before = Self::default();
        for image in engine.list_images(&ImageListing::default()).await?.items {
            let names = image.repo_tags.iter().filter_map(|tag| ImageReference::parse(tag).ok());
            before.by_name.extend(names.map(|name| (name, image.id.clone())));
            before.ids.insert(image.id);
        }
        Ok(before)
    }

    /// What the load did for an image.
    fn compare(&self, name: &ImageName, facts: &ImageFacts) -> Delivered {
        let name = match name {
            ImageName::Reference(reference) => Some(reference.clone()),
            ImageName::Id(_) => None,
        };
        let holder = name.as_ref().and_then(|name| self.by_name.get(name));
        let replaced = holder.filter(|id| **id != facts.id).cloned();
        let arrival = if !self.ids.contains(&facts.id) {
            Arrival::Loaded
        } else if name.is_some() && (holder.is_none() || replaced.is_some()) {
            Arrival::Tagged
        } else {
            Arrival::Present
        };
        Delivered { id: facts.id.clone(), name, arrival, replaced, platform: facts.platform() }
    }
}

/// The platform of a host.
///
/// # Errors
///
/// Whatever the Engine fails with.
pub async fn platform_of(engine: &dyn Engine) -> Result<Platform> {
    let version = engine.version().await?;
    let version: Versions =
        version.parse().map_err(|error| invalid(&VERSION, &error.to_string()))?;
    Ok(Platform { os: version.os, architecture: version.arch })
}

/// What an Engine has under a name.
pub(super) async fn find(engine: &dyn Engine, name: &ImageName) -> Result<Option<ImageFacts>> {
    match engine.inspect_image(name).await {
        Ok(document) => facts_of(&document).map(Some),
        Err(error) if error.kind == ErrorKind::ImageNotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn facts_of(document: &EngineDocument) -> Result<ImageFacts> {
    document.parse().map_err(|error| invalid(&INSPECT_IMAGE, &error.to_string()))
}

/// An ID that an Engine gave.
pub(super) fn id_name(id: &str) -> Result<ImageName> {
    ImageName::parse(id).map_err(|error| invalid(&INSPECT_IMAGE, &error.to_string()))
}

fn invalid(operation: &Operation, problem: &str) -> EngineError {
    let message = format!("the response is not valid for a Docker Engine: {problem}");
    EngineError::new(ErrorKind::BadAnswer, operation.name, message)
}

/// An error after a load. Reads, too, are no longer harmless to fail: UNAVAILABLE would mean that
/// nothing was done.
pub(super) fn afterwards(mut error: EngineError) -> EngineError {
    error.is_interrupted |= error.kind.is_without_connection()
        || matches!(error.kind, ErrorKind::ConnectionLost | ErrorKind::Unavailable);
    error.kind = ErrorKind::LoadFailed;
    error.message = format!("the archive was loaded, but: {}", error.message);
    error
}
