//! Signing in and out. A token is tried with a call to the services inside, so that wrong ones are refused,
//! delayed, and logged as in any other call.

use std::time::Instant;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, SET_COOKIE, TE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full, Limited};
use tonic::body::Body;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Code, Status};
use tower::{Service, ServiceExt};
use wharf_page::{MOST_SECRET_BYTES, Way, answer};

use super::{PageLayer, bearer, is_own};
use crate::domain::Secret;

/// What every known caller may call, and which changes nothing.
const TRIAL: &str = "/wharf.v1.SystemService/GetServerInfo";

impl PageLayer {
    /// The answer to a request about the session of a browser; `inner` are the services.
    pub(super) async fn session<S>(
        self,
        inner: S,
        request: Request<Body>,
    ) -> Result<Response<Bytes>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        let say = |status, message: &str| answer(status, Way::Server, message, None);
        if request.method() != Method::GET && !is_own(&request) {
            return Ok(say(StatusCode::FORBIDDEN, "other web pages may not sign in or out"));
        }
        let (parts, body) = request.into_parts();
        match parts.method {
            Method::GET if self.token(&parts.headers).is_some() => Ok(say(StatusCode::OK, "")),
            // A browser with a client certificate needs no token.
            Method::GET if has_certificate(&parts) => {
                let status = tried(inner, parts, None).await?;
                let is_known = status.code() == Code::Ok;
                Ok(say(if is_known { StatusCode::OK } else { StatusCode::UNAUTHORIZED }, ""))
            }
            Method::GET => Ok(say(StatusCode::UNAUTHORIZED, "")),
            Method::POST => {
                let body = Limited::new(body, MOST_SECRET_BYTES).collect().await;
                let token =
                    body.ok().and_then(|body| String::from_utf8(body.to_bytes().into()).ok());
                let token = Secret::new(token.as_deref().map(str::trim).unwrap_or_default());
                let Some(header) = bearer(&token).filter(|_| !token.is_empty()) else {
                    return Ok(say(StatusCode::FORBIDDEN, "this is not a token"));
                };
                let status = tried(inner, parts, Some(header)).await?;
                match status.code() {
                    Code::Ok => {}
                    Code::Unauthenticated => {
                        return Ok(say(
                            StatusCode::FORBIDDEN,
                            "the server does not know this token",
                        ));
                    }
                    _ => return Ok(say(StatusCode::FORBIDDEN, status.message())),
                }
                let value = self.sessions().begin(token, Instant::now());
                let mut response = say(StatusCode::OK, "");
                response.headers_mut().insert(SET_COOKIE, self.cookie.set(&value));
                Ok(response)
            }
            Method::DELETE => {
                if let Some(value) = self.cookie.of(&parts.headers) {
                    self.sessions().end(value);
                }
                let mut response = say(StatusCode::OK, "");
                response.headers_mut().insert(SET_COOKIE, self.cookie.clear());
                Ok(response)
            }
            _ => Ok(say(StatusCode::METHOD_NOT_ALLOWED, "use GET, POST, or DELETE")),
        }
    }
}

/// How the services answer to a caller with this token, from the place of a request.
async fn tried<S>(inner: S, parts: Parts, token: Option<HeaderValue>) -> Result<Status, S::Error>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    // A frame around an empty message.
    let mut call = Request::new(Body::new(Full::new(Bytes::from_static(&[0; 5]))));
    *call.method_mut() = Method::POST;
    *call.uri_mut() = TRIAL.parse().expect("a path");
    *call.version_mut() = Version::HTTP_2;
    *call.extensions_mut() = parts.extensions;
    call.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    call.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    if let Some(token) = token {
        call.headers_mut().insert(AUTHORIZATION, token);
    }
    let (head, body) = inner.oneshot(call).await?.into_parts();
    if let Some(status) = Status::from_header_map(&head.headers) {
        return Ok(status);
    }
    let trailers = body.collect().await.ok().and_then(|body| body.trailers().cloned());
    let status = trailers.as_ref().and_then(Status::from_header_map);
    Ok(status.unwrap_or_else(|| Status::unknown("the server gave no status")))
}

fn has_certificate(parts: &Parts) -> bool {
    let info = parts.extensions.get::<TlsConnectInfo<TcpConnectInfo>>();
    info.and_then(TlsConnectInfo::peer_certs).is_some_and(|certificates| !certificates.is_empty())
}
