//! Archives of images of one host, on their way to the caller. A slow caller slows down the host.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use wharf::v1;
use wharf::v1::save_images_response::Event;

use crate::api::answer::stopping;
use crate::api::audit::Subject;
use crate::api::convert;
use crate::api::edge::{Edge, checked};
use crate::api::table::host_problem;
use crate::domain::{HostName, ImageName};
use crate::engine::Engine;

/// Messages that may wait for the caller.
const WAITING: usize = 4;
/// Longest piece of an archive in a message, in bytes.
const LONGEST: usize = 256 << 10;
/// Silence after which a heartbeat is sent; below the idle limits of common proxies.
const HEARTBEAT_AFTER: Duration = Duration::from_secs(15);

type Answers = mpsc::Sender<Result<v1::SaveImagesResponse, Status>>;

/// The caller has disconnected.
struct Gone;

pub(super) fn save(
    edge: &Arc<Edge>,
    request: &Request<v1::SaveImagesRequest>,
) -> Result<Response<ReceiverStream<Result<v1::SaveImagesResponse, Status>>>, Status> {
    let (host, images) = checked(request, |violations, message| {
        let host = violations.check("host", HostName::parse(&message.host));
        let images = convert::image_names(violations, &message.images);
        Some((host?, images))
    })?;
    Subject::of(request).say(format_args!("host={host} images={}", images.len()));
    let engine = edge.engine(&host)?;
    let (answers, response) = mpsc::channel(WAITING);
    let stop = edge.stopping.clone();
    edge.background.spawn(async move {
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                let _ = answers.try_send(Err(stopping().into()));
            }
            () = answers.closed() => {}
            _ = run(&*engine, &host, &images, &answers) => {}
        }
    });
    Ok(Response::new(ReceiverStream::new(response)))
}

async fn run(
    engine: &dyn Engine,
    host: &HostName,
    images: &[ImageName],
    answers: &Answers,
) -> Result<(), Gone> {
    let (sink, mut pieces) = mpsc::channel(1);
    let save = async move { engine.save_images(images, &sink).await };
    let pass_on = async {
        loop {
            tokio::select! {
                biased;
                piece = pieces.recv() => match piece {
                    Some(piece) => {
                        for part in piece.chunks(LONGEST) {
                            send(answers, Event::Chunk(part.to_vec())).await?;
                        }
                    }
                    None => return Ok(()),
                },
                // An Engine may prepare the whole archive before it sends any of it.
                () = sleep(HEARTBEAT_AFTER) => {
                    send(answers, Event::Heartbeat(v1::Heartbeat {})).await?;
                }
            }
        }
    };
    let (saved, passed_on) = tokio::join!(save, pass_on);
    passed_on?;
    if let Err(error) = saved {
        let problem = host_problem(host, &error.into());
        answers.send(Err(problem.into())).await.map_err(|_| Gone)?;
    }
    Ok(())
}

async fn send(answers: &Answers, event: Event) -> Result<(), Gone> {
    let message = v1::SaveImagesResponse { event: Some(event) };
    answers.send(Ok(message)).await.map_err(|_| Gone)
}
