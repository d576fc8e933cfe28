//! The messages of a request that is a stream of them: each is checked as the one message of other
//! requests is, and passed on as a whole. The first must come in time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;

use super::super::methods::Method;
use super::{HEAD, check, end, incomplete};

/// The state of a stream.
struct Messages {
    method: Method,
    body: Body,
    received: BytesMut,
    /// The time for the first message, until it has come.
    time: Option<Duration>,
    failed: bool,
}

/// The same stream, which ends with an error at the first message that does not pass.
pub(super) fn checked(method: Method, body: Body, time: Duration) -> Body {
    let messages =
        Messages { method, body, received: BytesMut::new(), time: Some(time), failed: false };
    Body::new(StreamBody::new(stream::unfold(messages, |mut messages| async move {
        let next = messages.in_time().await.transpose()?;
        messages.failed = next.is_err();
        Some((next, messages))
    })))
}

impl Messages {
    async fn in_time(&mut self) -> Result<Option<Frame<Bytes>>, Status> {
        if self.failed {
            return Ok(None);
        }
        let Some(time) = self.time else { return self.next().await };
        let first = timeout(time, self.next()).await.map_err(|_| incomplete(time))?;
        self.time = None;
        first
    }

    /// The next message, or what follows the last one.
    async fn next(&mut self) -> Result<Option<Frame<Bytes>>, Status> {
        loop {
            if let Some(message) = self.received_message() {
                check(&self.method, &message)?;
                return Ok(Some(Frame::data(message)));
            }
            match self.body.frame().await.transpose()? {
                Some(frame) => match frame.into_data() {
                    Ok(data) => self.received.extend_from_slice(&data),
                    Err(trailers) => return Ok(Some(trailers)),
                },
                None if self.received.is_empty() => return Ok(None),
                // The decoder refuses a message that is cut off.
                None => return Ok(Some(Frame::data(self.received.split().freeze()))),
            }
        }
    }

    /// A whole message, or an oversized one as far as it has come: the decoder refuses it by its
    /// head.
    fn received_message(&mut self) -> Option<Bytes> {
        let head: &[u8; HEAD] = self.received.first_chunk()?;
        let end = end(head);
        let oversized = end == HEAD && head[1..] != [0; 4];
        let length = if oversized { self.received.len() } else { end };
        (self.received.len() >= length).then(|| self.received.split_to(length).freeze())
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tonic_types::StatusExt;
    use wharf::contract::Request;
    use wharf::v1;
    use wharf::v1::exec_request::Event;

    use super::super::super::methods::Methods;
    use super::*;

    fn encoded(event: Event) -> Vec<u8> {
        let message = v1::ExecRequest { event: Some(event) }.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0][..], &length, &message].concat()
    }

    async fn read(chunks: Vec<Vec<u8>>) -> (Vec<u8>, Option<Status>) {
        let method = Methods::load().get(v1::ExecRequest::METHOD.path).unwrap().clone();
        let frames = chunks.into_iter().map(|chunk| Ok::<_, Status>(Frame::data(chunk.into())));
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        let mut body = checked(method, body, Duration::from_secs(60));
        let mut passed = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => passed.extend_from_slice(&frame.into_data().unwrap()),
                Err(status) => return (passed, Some(status)),
            }
        }
        (passed, None)
    }

    #[tokio::test]
    async fn messages_pass_unchanged_however_they_are_cut() {
        let resize = Event::Resize(v1::TerminalSize { columns: 80, rows: 24 });
        let whole = [
            encoded(Event::Stdin(b"hello".to_vec())),
            encoded(resize),
            encoded(Event::CloseStdin(v1::CloseStdin {})),
        ]
        .concat();
        for size in [1, 3, 7, whole.len()] {
            let chunks = whole.chunks(size).map(<[u8]>::to_vec).collect();
            assert_eq!(read(chunks).await.0, whole, "{size}");
        }
    }

    #[tokio::test]
    async fn a_message_that_does_not_pass_ends_the_stream() {
        let fine = encoded(Event::Stdin(b"hello".to_vec()));
        let start = v1::ExecStart { host: "h".repeat(5000), ..v1::ExecStart::default() };
        let (passed, status) = read(vec![fine.clone(), encoded(Event::Start(start))]).await;
        assert_eq!(passed, fine);
        let details = status.unwrap().get_error_details();
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "start.host");
        // Field 99, which nobody knows.
        let unknown = vec![0, 0, 0, 0, 3, 0x98, 0x06, 1];
        let (passed, status) = read(vec![fine.clone(), unknown]).await;
        assert_eq!(passed, fine);
        let details = status.unwrap().get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "UNKNOWN_FIELD");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_does_not_begin_is_given_up() {
        let method = Methods::load().get(v1::ExecRequest::METHOD.path).unwrap().clone();
        let silent = Body::new(StreamBody::new(stream::pending::<Result<Frame<Bytes>, Status>>()));
        let mut body = checked(method, silent, Duration::from_secs(60));
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.code(), tonic::Code::DeadlineExceeded, "{error:?}");
    }
}
