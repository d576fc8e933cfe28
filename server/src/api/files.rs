//! `FileService`: files in containers, as tar archives.

use std::sync::Arc;

use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};
use wharf::v1;
use wharf::v1::file_service_server::FileService;

use super::convert;
use super::edge::{Edge, ResponseStream, TRANSFER_LIMIT, checked};
use super::time_limits::READ;
use super::transfer::{progress_channel, with_progress};
use super::upload;
use crate::body::violation::Violations;
use crate::domain::ContainerRef;
use crate::engine::{ArchivePart, EngineError, ErrorKind, FileKind, PathStat};
use crate::fleet::{Done, HostError};

/// Pieces of an archive that wait for their way to the caller, for each host.
const WAITING: usize = 2;

/// The service.
#[derive(Debug, Clone)]
pub struct Files(pub Arc<Edge>);

#[tonic::async_trait]
impl FileService for Files {
    type StatPathStream = ResponseStream<v1::StatPathResponse>;
    type DownloadArchiveStream = ResponseStream<v1::DownloadArchiveResponse>;
    type UploadArchiveStream = ResponseStream<v1::UploadArchiveResponse>;

    async fn stat_path(
        &self,
        request: Request<v1::StatPathRequest>,
    ) -> Result<Response<Self::StatPathStream>, Status> {
        use v1::stat_path_response::Event;
        let place = checked(&request, |violations, message| {
            place(violations, &message.container, &message.path)
        })?;
        self.0
            .each_host(&request, Some(READ), place, |call, place| async move {
                let found = call.engine.stat_path(&place.0, &place.1).await?;
                call.emit(Event::Stat(stat(found))).await;
                Ok(Done::UNCHANGED)
            })
            .await
    }

    async fn download_archive(
        &self,
        request: Request<v1::DownloadArchiveRequest>,
    ) -> Result<Response<Self::DownloadArchiveStream>, Status> {
        use v1::download_archive_response::Event;
        let place = checked(&request, |violations, message| {
            place(violations, &message.container, &message.path)
        })?;
        // The connection watches for standstill itself.
        self.0
            .each_host(&request, None, place, |call, place| async move {
                let (sink, mut parts) = mpsc::channel(WAITING);
                let engine = Arc::clone(&call.engine);
                let read = async move {
                    // Owned: its end is that of the parts.
                    let sink = sink;
                    engine.download_archive(&place.0, &place.1, &sink).await
                };
                let pass_on = async {
                    while let Some(part) = parts.recv().await {
                        call.emit_unrecorded(match part {
                            ArchivePart::Stat(found) => Event::Stat(stat(found)),
                            ArchivePart::Chunk(chunk) => Event::Chunk(chunk.into()),
                        })
                        .await;
                    }
                };
                let (read, ()) = tokio::join!(read, pass_on);
                read?;
                Ok(Done::UNCHANGED)
            })
            .await
    }

    async fn upload_archive(
        &self,
        request: Request<Streaming<v1::UploadArchiveRequest>>,
    ) -> Result<Response<Self::UploadArchiveStream>, Status> {
        use v1::upload_archive_response::Event;
        let (request, content) = upload::open(request).await?;
        let (container, path) = checked(&request, |violations, message| {
            place(violations, &message.container, &message.path)
        })?;
        let call = self.0.accept(&request, None)?.background_limit(TRANSFER_LIMIT);
        let archive = content.store(&self.0).await?;
        self.0
            .run(call, (container, path, archive), |call, order| async move {
                let (container, path, archive) = &*order;
                let (sink, progress) = progress_channel();
                let upload = call.engine.upload_archive(container, path, archive, &sink);
                with_progress(&call, progress, Event::Progress, upload).await?;
                // An Engine may stop reading at what it takes for the end of the archive.
                let size_bytes = archive.complete().await.map_err(|error| {
                    HostError::Engine(EngineError::new(
                        ErrorKind::from(&error),
                        "PUT /containers/{id}/archive",
                        error.to_string(),
                    ))
                })?;
                let archive = v1::UploadedArchive {
                    container: container.to_string(),
                    path: path.clone(),
                    size_bytes,
                };
                call.emit(Event::Archive(archive)).await;
                Ok(Done::CHANGED)
            })
            .await
    }
}

/// The container and the path of a request.
fn place(
    violations: &mut Violations,
    container: &str,
    path: &str,
) -> Option<(ContainerRef, String)> {
    let container = violations.check("container", ContainerRef::parse(container));
    if path.is_empty() {
        violations.add("path", "must be set, such as /etc/app.conf");
    } else if path.contains('\0') {
        violations.add("path", "must not contain NUL characters");
    }
    Some((container?, path.to_owned()))
}

fn stat(found: PathStat) -> v1::PathStat {
    let kind = match found.kind {
        FileKind::Regular => v1::FileKind::Regular,
        FileKind::Directory => v1::FileKind::Directory,
        FileKind::Symlink => v1::FileKind::Symlink,
        FileKind::Special => v1::FileKind::Special,
    };
    v1::PathStat {
        name: found.name,
        kind: kind.into(),
        size_bytes: found.size,
        mode: found.mode,
        modified_at: convert::timestamp_from_text(&found.modified_at),
        link_target: found.link_target,
    }
}
