//! The page on a TLS listener: its files, and browsers that have signed in with a token. A layer around all
//! others, which makes of a call with the cookie of a session one with the token behind it. Whether that
//! token may do what the call asks is decided where it is for every caller, in `api/auth.rs`.
//!
//! A cookie is sent by the browser whoever makes it call, so it counts only in requests that come from
//! the page itself ([`origin`]). A token in a header does not need that: no other page can have it sent.

mod sign_in;

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, ORIGIN};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use tonic::body::Body;
use tower::{Layer, Service};
use wharf_page::session::{Cookie, Sessions};
use wharf_page::{SESSION_PATH, files, origin};

use crate::domain::Secret;

/// A session ends with the process, by request, or after this time: a working day.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Puts [`Page`] around the services of one listener. Clones share the sessions.
#[derive(Debug, Clone)]
pub struct PageLayer {
    cookie: Cookie,
    /// Behind each cookie, the token that the browser signed in with.
    sessions: Arc<Mutex<Sessions<Secret>>>,
}

/// The page, and the services that its calls go to.
#[derive(Debug, Clone)]
pub struct Page<S> {
    inner: S,
    layer: PageLayer,
}

impl Default for PageLayer {
    fn default() -> Self {
        let sessions = Arc::new(Mutex::new(Sessions::new(LIFETIME)));
        Self { cookie: Cookie::of_https("wharf", LIFETIME), sessions }
    }
}

impl PageLayer {
    fn token(&self, headers: &HeaderMap) -> Option<Secret> {
        let value = self.cookie.of(headers)?;
        self.sessions().get(value, Instant::now()).cloned()
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions<Secret>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a call of the page itself the credential of its session. Everything else stays as it is.
    fn identify<B>(&self, request: &mut Request<B>) {
        if !is_own(request) {
            return;
        }
        // The page is no foreign one, which the operator would have to allow.
        request.headers_mut().remove(ORIGIN);
        if request.headers().contains_key(AUTHORIZATION) {
            return;
        }
        if let Some(header) = self.token(request.headers()).and_then(|token| bearer(&token)) {
            request.headers_mut().insert(AUTHORIZATION, header);
        }
    }
}

impl<S> Layer<S> for PageLayer {
    type Service = Page<S>;

    fn layer(&self, inner: S) -> Page<S> {
        Page { inner, layer: self.clone() }
    }
}

impl<S> Service<Request<Body>> for Page<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if request.uri().path() == SESSION_PATH {
            let (layer, inner) = (self.layer.clone(), self.inner.clone());
            return Box::pin(async move { layer.session(inner, request).await.map(whole) });
        }
        if let Some(file) = files::answer(&request) {
            return Box::pin(std::future::ready(Ok(whole(file))));
        }
        self.layer.identify(&mut request);
        Box::pin(self.inner.call(request))
    }
}

/// Whether a request comes from a page of this server.
fn is_own<B>(request: &Request<B>) -> bool {
    origin::authority(request).is_some_and(|it| origin::is_own(request.headers(), "https", &it))
}

/// The header with a token; `None` if it cannot stand in one.
fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn whole(response: Response<Bytes>) -> Response<Body> {
    response.map(|content| Body::new(Full::new(content)))
}
