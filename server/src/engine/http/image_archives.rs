//! Archives of images, from an Engine and to it.

use std::sync::Arc;

use super::link::{Call, Link, Opened, bad_answer};
use super::transfer::read_progress;
use crate::domain::ImageName;
use crate::engine::image_archive::{ArchiveEnd, invalid_archive};
use crate::engine::operation::{LOAD_IMAGES, SAVE_IMAGES};
use crate::engine::{ArchiveSink, EngineError, ErrorKind, ProgressSink, Result, Upload};

/// Passes the archive of some images on.
pub(super) async fn save(link: &Arc<Link>, images: &[ImageName], sink: &ArchiveSink) -> Result<()> {
    let call = Call::new(&SAVE_IMAGES, &["images", "get"]);
    let call = images.iter().fold(call, |call, image| call.with("names", image.to_string()));
    link.open(&call, |opened| pass_on(opened, sink)).await
}

async fn pass_on(mut opened: Opened, sink: &ArchiveSink) -> Result<()> {
    let mut end = ArchiveEnd::default();
    while let Some(chunk) = opened.chunk().await? {
        end.add(&chunk);
        if sink.send(chunk).await.is_err() {
            return Ok(());
        }
    }
    if !opened.has_an_end() {
        let message = "the archive ended with the connection and may be incomplete; check for an HTTP/1.0 proxy";
        return Err(EngineError::new(ErrorKind::ConnectionLost, SAVE_IMAGES.name, message));
    }
    // An Engine that fails in the middle ends its answer as if nothing had happened.
    end.check().map_err(|problem| invalid_archive(&problem))
}

/// Sends an archive, and returns what the Engine says it loaded.
pub(super) async fn load(
    link: &Arc<Link>,
    archive: &Upload,
    progress: &ProgressSink,
) -> Result<Vec<ImageName>> {
    let call = Call::new(&LOAD_IMAGES, &["images", "load"])
        .with("quiet", "0")
        .with_upload(archive)
        .with_progress(progress);
    let lines = link.open(&call, |opened| read_progress(opened, progress)).await?;
    let loaded = lines.into_loaded();
    if loaded.is_empty() {
        let message = "the Engine reports no image that it loaded";
        return Err(EngineError::new(ErrorKind::LoadFailed, LOAD_IMAGES.name, message));
    }
    let names = loaded.iter().map(|name| ImageName::parse(name));
    let names: std::result::Result<_, _> = names.collect();
    names.map_err(|error| bad_answer(&LOAD_IMAGES, &error.to_string()))
}
