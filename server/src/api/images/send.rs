//! One image from one host to others. The server reads it once, and writes it to each.

use std::sync::Arc;

use tonic::Request;
use wharf::v1;
use wharf::v1::send_image_response::Event;

use super::arrived::loaded;
use crate::api::edge::{Answered, Edge, TRANSFER_LIMIT, checked};
use crate::api::table::host_problem;
use crate::api::transfer::{progress_channel, with_progress};
use crate::domain::{HostName, ImageName};
use crate::engine::{Arrival, EngineError, ErrorKind, ImageCopy};
use crate::fleet::{Done, HostError};

pub(super) async fn send(
    edge: &Arc<Edge>,
    request: &Request<v1::SendImageRequest>,
) -> Answered<v1::SendImageRequest> {
    let (host, image) = checked(request, |violations, message| {
        let host = violations.check("source_host", HostName::parse(&message.source_host));
        let image = violations.check("image", ImageName::parse(&message.image));
        Some((host?, image?))
    })?;
    let call = edge.accept(request, None)?;
    let source = edge.engine(&host)?;
    // Refused as a whole: without its source, nothing is done anywhere.
    let (space, background) = (edge.uploads.clone(), edge.background.clone());
    let copy = ImageCopy::new(source, &image, space, background).await;
    let copy = copy.map_err(|error| host_problem(&host, &error.into()))?;
    let call = call
        .cancelled_with_caller(request.get_ref().cancel_on_disconnect)
        .background_limit(TRANSFER_LIMIT);
    edge.run(call, (host, copy), |call, order| async move {
        let (source, copy) = &*order;
        let (sink, progress) = progress_channel();
        let delivery = copy.deliver(&*call.engine, &sink);
        let image = with_progress(&call, progress, Event::Progress, delivery).await;
        let image = image.map_err(|error| HostError::Engine(of_source(source, error)))?;
        let changed = image.arrival != Arrival::Present;
        call.emit(Event::Image(loaded(image))).await;
        Ok(Done { changed })
    })
    .await
}

/// Names the source where it is the reason.
fn of_source(source: &HostName, error: EngineError) -> EngineError {
    match error.kind {
        ErrorKind::UploadInterrupted => {
            let message = format!("the image did not come whole from {source}: {}", error.message);
            EngineError { message, ..error }
        }
        _ => error,
    }
}
