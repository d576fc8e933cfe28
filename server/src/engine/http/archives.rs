//! The calls about files in containers.

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue};

use super::HttpEngine;
use super::link::{Call, bad_answer};
use crate::domain::{ContainerRef, quoted};
use crate::engine::archive::ArchiveEnd;
use crate::engine::operation::{DOWNLOAD_ARCHIVE, Operation, STAT_PATH, UPLOAD_ARCHIVE};
use crate::engine::{
    ArchivePart, EngineError, ErrorKind, FileEngine, FileSink, PathStat, ProgressSink, Result,
    Upload,
};

/// The header with what a path is.
const STAT: &str = "x-docker-container-path-stat";

/// Maximum size of a piece of an archive, in bytes: it is passed on in one message.
const LARGEST_CHUNK: usize = 1 << 20;

#[async_trait]
impl FileEngine for HttpEngine {
    async fn stat_path(&self, container: &ContainerRef, path: &str) -> Result<PathStat> {
        match self.link.send(at(&STAT_PATH, container, path)).await {
            Ok(answer) => stat(&STAT_PATH, path, &answer.headers),
            // The answer to HEAD has no text; that to GET says what is missing.
            Err(error) if error.http_status.is_some() => {
                let call = at(&DOWNLOAD_ARCHIVE, container, path);
                let read = self.link.open(&call, |opened| async move {
                    stat(&DOWNLOAD_ARCHIVE, path, opened.response.headers())
                });
                read.await.map_err(|error| with_path(path, error))
            }
            Err(error) => Err(error),
        }
    }

    async fn download_archive(
        &self,
        container: &ContainerRef,
        path: &str,
        sink: &FileSink,
    ) -> Result<()> {
        let call = at(&DOWNLOAD_ARCHIVE, container, path);
        self.link
            .open(&call, |mut opened| async move {
                let stat = stat(&DOWNLOAD_ARCHIVE, path, opened.response.headers())?;
                if sink.send(ArchivePart::Stat(stat)).await.is_err() {
                    return Ok(());
                }
                let mut end = ArchiveEnd::default();
                loop {
                    let chunk = tokio::select! {
                        chunk = opened.chunk() => chunk?,
                        () = sink.closed() => return Ok(()),
                    };
                    let Some(mut chunk) = chunk else { break };
                    end.push(&chunk);
                    while !chunk.is_empty() {
                        let piece = chunk.split_to(chunk.len().min(LARGEST_CHUNK));
                        if sink.send(ArchivePart::Chunk(piece)).await.is_err() {
                            return Ok(());
                        }
                    }
                }
                if end.is_complete() {
                    Ok(())
                } else {
                    let problem = "the archive ends too early; a file may have changed meanwhile";
                    Err(bad_answer(&DOWNLOAD_ARCHIVE, problem))
                }
            })
            .await
            .map_err(|error| with_path(path, error))
    }

    async fn upload_archive(
        &self,
        container: &ContainerRef,
        path: &str,
        archive: &Upload,
        progress: &ProgressSink,
    ) -> Result<()> {
        // Podman would make a directory that does not exist.
        if !self.link.negotiated(&UPLOAD_ARCHIVE).await?.is_exact {
            self.stat_path(container, path).await?;
        }
        let call = at(&UPLOAD_ARCHIVE, container, path)
            .with_flag("noOverwriteDirNonDir", true)
            .with_upload(archive)
            .with_progress(progress);
        self.link.send(call).await.map(drop).map_err(|error| with_path(path, error))
    }
}

fn at(operation: &'static Operation, container: &ContainerRef, path: &str) -> Call {
    Call::new(operation, &["containers", container.as_str(), "archive"]).with("path", path)
}

fn stat(operation: &Operation, path: &str, headers: &HeaderMap) -> Result<PathStat> {
    let header = headers.get(STAT).map(HeaderValue::as_bytes).unwrap_or_default();
    let found = PathStat::read(header);
    let found = found.map_err(|problem| bad_answer(operation, &format!("{STAT}: {problem}")))?;
    // Podman has that of what a link leads to.
    let name = match path.split('/').rfind(|part| !matches!(*part, "" | ".")) {
        None => "/",
        Some("..") => return Ok(found),
        Some(name) => name,
    };
    Ok(PathStat { name: name.to_owned(), ..found })
}

/// Podman's text does not name the path.
fn with_path(path: &str, mut error: EngineError) -> EngineError {
    if error.kind == ErrorKind::PathNotFound && !error.message.contains(path) {
        error.message = format!("{}: {}", quoted(path), error.message);
    }
    error
}
