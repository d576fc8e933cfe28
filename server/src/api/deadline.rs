//! The caller's deadline, read from the `grpc-timeout` header.
//!
//! tonic enforces it only until the response headers and then returns CANCELLED; a fan-out is a
//! stream that outlives its headers, so the time is split among the hosts here. Every other call
//! ends shortly before its caller stops waiting, with a reason: the caller's own library would only
//! report that the time is up.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tower::{Layer, Service};

use super::problem::Problem;
use crate::domain::Reason;

/// Minimum time reserved for the response: two local round trips with some margin.
const LEAST_RESERVE: Duration = Duration::from_millis(50);
/// Maximum time reserved, for any deadline.
const MOST_RESERVE: Duration = Duration::from_secs(1);

/// When the work on hosts must end so that the caller still gets every outcome: the deadline minus
/// a tenth of it, at least 50 ms and at most 1 s. `None` without a deadline.
pub fn work_deadline(metadata: &MetadataMap, now: Instant) -> Option<Instant> {
    let timeout = parse(metadata.get("grpc-timeout")?.to_str().ok()?)?;
    now.checked_add(timeout.saturating_sub(reserve(timeout)))
}

/// Reserved time of a deadline.
fn reserve(timeout: Duration) -> Duration {
    (timeout / 10).clamp(LEAST_RESERVE, MOST_RESERVE)
}

/// Ends calls at the deadline of their caller: DEADLINE_EXCEEDED with a reason.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeadlineLayer;

/// A service whose calls end at the deadline of their caller.
#[derive(Debug, Clone)]
pub struct WithDeadline<S>(S);

/// When a call with a deadline ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    /// If the response has not started.
    unanswered: Instant,
    /// If the response is a stream. Later, because a fan-out ends by itself, with an outcome of
    /// every host.
    streaming: Instant,
}

impl Ends {
    /// `None` without a deadline.
    fn of(headers: &HeaderMap, now: Instant) -> Option<Self> {
        let timeout = parse(headers.get("grpc-timeout")?.to_str().ok()?)?;
        // At least half of a short time belongs to the call.
        let at = |kept: Duration| now.checked_add(timeout - kept.min(timeout / 2));
        let reserve = reserve(timeout);
        Some(Self { unanswered: at(reserve)?, streaming: at(reserve / 5)? })
    }
}

/// The end of a call whose caller is about to stop waiting.
pub fn passed() -> Problem {
    Problem::new(
        Reason::DeadlineExceeded,
        "the deadline of the call expired before its response was complete; a write in progress \
         continues; to get its result, send the same request with the same `request_id` again",
    )
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = WithDeadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithDeadline(inner)
    }
}

impl<S, B> Service<Request<B>> for WithDeadline<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let ends = Ends::of(request.headers(), Instant::now());
        let answer = self.0.call(request);
        let Some(Ends { unanswered, streaming }) = ends else { return Box::pin(answer) };
        Box::pin(async move {
            tokio::select! {
                biased;
                response = answer => Ok(response?.map(|body| Bounded::body(body, streaming))),
                () = sleep_until(unanswered) => Ok(Status::from(passed()).into_http()),
            }
        })
    }
}

/// An answer that ends at a time.
struct Bounded {
    /// `None` when it has ended.
    body: Option<Body>,
    end: Pin<Box<Sleep>>,
}

impl Bounded {
    fn body(body: Body, end: Instant) -> Body {
        if body.is_end_stream() {
            return body;
        }
        Body::new(Self { body: Some(body), end: Box::pin(sleep_until(end)) })
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        if self.end.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        // Dropped, so that a read ends with its call.
        self.body = None;
        let mut trailers = HeaderMap::new();
        let status = Status::from(passed());
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

/// Up to eight digits and a unit, as the gRPC protocol requires. `None` for anything else, which
/// counts as no deadline, as in other servers.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("4S", Some(Duration::from_secs(4))),
            ("500m", Some(Duration::from_millis(500))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("1n", Some(Duration::from_nanos(1))),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("1s", None),
            ("1€", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_reserve_is_kept_for_the_answer() {
        let now = Instant::now();
        for (timeout, left_ms) in [("500m", 450), ("100m", 50), ("5S", 4500), ("60S", 59_000)] {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", timeout.parse().unwrap());
            let left = work_deadline(&metadata, now).unwrap() - now;
            assert_eq!(left, Duration::from_millis(left_ms), "{timeout}");
        }
        assert_eq!(work_deadline(&MetadataMap::new(), now), None);
    }

    #[test]
    fn a_call_ends_before_its_caller_stops_waiting() {
        let now = Instant::now();
        let millis = |end: Instant| (end - now).as_millis();
        for (timeout, unanswered, streaming) in
            [("10m", 5, 5), ("100m", 50, 90), ("1S", 900, 980), ("60S", 59_000, 59_800)]
        {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-timeout"),
                timeout.parse().unwrap(),
            )]);
            let ends = Ends::of(&headers, now).unwrap();
            let ends = (millis(ends.unanswered), millis(ends.streaming));
            assert_eq!(ends, (unanswered, streaming), "{timeout}");
        }
        assert_eq!(Ends::of(&HeaderMap::new(), now), None);
    }
}
