//! A response whose trailers are read on their way, because only they tell how a call ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

/// A body that shows its trailers to `read`, which is dropped with it.
struct WithTrailers<F> {
    body: Body,
    read: F,
}

/// Tells `read` the code with which a call ends, once. A caller that leaves before that drops `read`
/// without a call.
pub fn read_code(
    response: Response<Body>,
    mut read: impl FnMut(Code) + Send + Unpin + 'static,
) -> Response<Body> {
    match code(response.headers()) {
        Some(code) => {
            read(code);
            response
        }
        None => response.map(|body| {
            // Without a status, the caller's library reports the same.
            read_trailers(body, move |trailers| read(code(trailers).unwrap_or(Code::Unknown)))
        }),
    }
}

/// The code in headers or trailers.
fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(HeaderValue::as_bytes).map(Code::from_bytes)
}

/// Shows the trailers of `body` to `read`. A caller that leaves before them drops `read` without a call.
pub fn read_trailers(body: Body, read: impl FnMut(&HeaderMap) + Send + Unpin + 'static) -> Body {
    Body::new(WithTrailers { body, read })
}

impl<F: FnMut(&HeaderMap) + Unpin> HttpBody for WithTrailers<F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            (self.read)(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
