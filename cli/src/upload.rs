//! Sends a local file or stream as the content of a request, in the messages that the contract has
//! for it. A source that cannot be read to its end cancels the call, so that no host takes a part
//! for the whole.

use futures_util::stream::{self, Stream};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::oneshot;
use wharf::contract::UploadRequest;

use crate::exit::Failure;

/// Bytes of one message.
const CHUNK: usize = 256 << 10;

/// Tells when the source failed.
#[derive(Debug)]
pub struct Source(oneshot::Receiver<Failure>);

/// The messages of a request: `first`, which has its fields, and then the content of `reader`.
/// `name` is that of the source in errors.
pub fn messages<T: UploadRequest>(
    first: T,
    name: String,
    reader: impl AsyncRead + Send + Unpin + 'static,
) -> (impl Stream<Item = T> + Send + 'static, Source) {
    let (failed, source) = oneshot::channel();
    let state = (Some(first), reader, Some(failed));
    let messages = stream::unfold(state, move |(first, mut reader, mut failed)| {
        let name = name.clone();
        async move {
            if let Some(first) = first {
                return Some((first, (None, reader, failed)));
            }
            let mut chunk = Vec::with_capacity(CHUNK);
            match (&mut reader).take(CHUNK as u64).read_to_end(&mut chunk).await {
                Ok(0) => None,
                Ok(_) => Some((T::of_chunk(chunk), (None, reader, failed))),
                Err(error) => {
                    if let Some(failed) = failed.take() {
                        let _ = failed.send(Failure::usage(format!("cannot read {name}: {error}")));
                    }
                    // The end of the messages would mean that this was all.
                    std::future::pending().await
                }
            }
        }
    });
    (messages, Source(source))
}

impl Source {
    /// Reads the responses of the call, unless the source fails: that ends the call.
    pub async fn watch<T>(
        self,
        responses: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            result = responses => result,
            Ok(failure) = self.0 => Err(failure),
        }
    }
}
