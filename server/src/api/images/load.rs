//! Archives of the caller, loaded on many hosts while they arrive.

use std::sync::Arc;

use tonic::{Request, Status, Streaming};
use wharf::v1;
use wharf::v1::load_images_response::Event;

use super::arrived::arrived;
use crate::api::edge::{Answered, Edge, TRANSFER_LIMIT};
use crate::api::problem::Problem;
use crate::api::transfer::{progress_channel, with_progress};
use crate::api::upload::{self, Content};
use crate::engine::{ARCHIVE_START, Arrival, is_archive, load_archive, platform_of};
use crate::fleet::Done;

pub(super) async fn load(
    edge: &Arc<Edge>,
    request: Request<Streaming<v1::LoadImagesRequest>>,
) -> Answered<v1::LoadImagesRequest> {
    let (request, mut content) = upload::open(request).await?;
    let call = edge.accept(&request, None)?.background_limit(TRANSFER_LIMIT);
    check_start(&mut content).await?;
    let archive = content.store(edge).await?;
    edge.run(call, archive, |call, archive| async move {
        let engine = &*call.engine;
        let host = platform_of(engine).await?;
        let (sink, progress) = progress_channel();
        let load = load_archive(engine, &archive, &sink);
        let images = with_progress(&call, progress, Event::Progress, load).await?;
        let changed = images.iter().any(|image| image.arrival != Arrival::Present);
        for image in images {
            call.emit(Event::Image(arrived(image, &host))).await;
        }
        Ok(Done { changed })
    })
    .await
}

/// Refuses what is no archive before any host is touched.
async fn check_start(content: &mut Content<v1::LoadImagesRequest>) -> Result<(), Status> {
    let start = content.start(ARCHIVE_START).await?;
    let problem = match start {
        [] => "must not be empty; send an archive of `docker save`",
        start if is_archive(start) => return Ok(()),
        _ => "must be an archive of `docker save`: tar, or tar with gzip, bzip2, xz, or zstd",
    };
    Err(Problem::invalid_field("chunk", problem).into())
}
