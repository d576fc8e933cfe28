//! Requests that are streams of bytes, such as a build context: the first message has the fields of
//! the request, and each has a piece of the content in `chunk`. The content goes to the disk and
//! from there to every host.

use std::sync::Arc;

use tonic::{Request, Status, Streaming};
use wharf::contract::UploadRequest;

use super::edge::Edge;
use super::problem::Problem;
use crate::domain::Reason;
use crate::engine::{Upload, UploadError, UploadWriter};

/// The content of a request on its way in.
#[derive(Debug)]
pub struct Content<T> {
    first: Vec<u8>,
    rest: Streaming<T>,
}

/// Waits for the first message. The request that it is has everything but its content.
pub async fn open<T: UploadRequest>(
    request: Request<Streaming<T>>,
) -> Result<(Request<T>, Content<T>), Status> {
    let (metadata, extensions, mut rest) = request.into_parts();
    let Some(mut message) = rest.message().await? else {
        return Err(Problem::invalid_field("request", "must have at least one message").into());
    };
    let first = message.take_chunk();
    Ok((Request::from_parts(metadata, extensions, message), Content { first, rest }))
}

impl<T: UploadRequest> Content<T> {
    /// Waits for the first `length` bytes, and returns them, or all if there are fewer.
    pub async fn start(&mut self, length: usize) -> Result<&[u8], Status> {
        while self.first.len() < length {
            let Some(mut message) = self.rest.message().await? else { break };
            self.first.append(&mut message.take_chunk());
        }
        Ok(&self.first[..length.min(self.first.len())])
    }

    /// Stores the content while it arrives, in a task of the server. Where that fails, the hosts
    /// that read it fail with the reason.
    pub async fn store(self, edge: &Arc<Edge>) -> Result<Upload, Problem> {
        let (writer, upload) = edge.uploads.create().await.map_err(|error| problem(&error))?;
        let stop = edge.stopping.clone();
        edge.background.spawn(async move {
            let _ = stop.run_until_cancelled(self.write(writer)).await;
        });
        Ok(upload)
    }

    async fn write(mut self, mut writer: UploadWriter) {
        let mut chunk = std::mem::take(&mut self.first);
        loop {
            if !chunk.is_empty()
                && let Err(error) = writer.write(chunk.into()).await
            {
                writer.fail(error);
                return;
            }
            match self.rest.message().await {
                Ok(Some(mut message)) => chunk = message.take_chunk(),
                Ok(None) => return writer.finish(),
                // Whoever sent it has disconnected, or sent what is refused.
                Err(_) => return,
            }
        }
    }
}

fn problem(error: &UploadError) -> Problem {
    Problem::new(Reason::UploadDiskFull, error.to_string())
}
