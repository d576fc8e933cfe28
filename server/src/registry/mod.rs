//! Registries, asked by `wharfd` itself: the tags of a repository, over the distribution API. Called by
//! `api/registries.rs`. Images are pulled by Engines, and not from here.
//!
//! - `place`: where requests may go, which others have a say in: callers, DNS, and registries
//! - `challenge`: what a registry wants to see first (pure)
//! - `order`: versions, the newest first (pure)
//!
//! A client of registries as a crate follows redirects, realms, and addresses by itself; this one has to
//! judge each of them, and needs a single call.

mod challenge;
mod order;
mod place;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, LINK, WWW_AUTHENTICATE};
use reqwest::{Client, Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;
use wharf::causes;

use crate::domain::{Credential, ImageReference, RegistryLogin, Secret};
use challenge::Challenge;

/// Tags to take from a registry; more are not looked at.
pub const MOST_TAGS: usize = 10_000;
/// For all requests of a call together: somebody is waiting.
const LIMIT: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(5);
/// Tags to ask for at a time; more is an error at the registry of Docker.
const PAGE: usize = 1000;
/// A registry decides how long its pages are.
const MOST_PAGES: usize = 100;
/// A tag has at most 128 bytes.
const MOST_BYTES: usize = 1 << 20;

/// The tags of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags {
    /// Versions first, the newest at the beginning; then other names.
    pub names: Vec<String>,
    /// Whether the registry has more of them.
    pub more: bool,
}

/// Why a registry has not told its tags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Nothing was asked there: the text says why.
    #[error("{0}")]
    NotAsked(String),
    /// It wants credentials, or other ones.
    #[error("the registry requires credentials for this repository, or refuses the stored ones")]
    AuthRequired,
    /// It has no such repository, or does not show it to this user.
    #[error("the registry has no such repository")]
    NotFound,
    /// Too many requests.
    #[error("the registry's rate limit is reached")]
    RateLimited,
    /// No answer, or none of a registry.
    #[error("{0}")]
    Unavailable(String),
}

type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// Made when it is first needed: it reads the system's certificates.
static CLIENT: LazyLock<Result<Client>> = LazyLock::new(|| {
    Client::builder()
        .no_proxy()
        // They would take credentials, and the view of this machine on its network, to other places.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .dns_resolver(place::Resolver)
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| RegistryError::Unavailable(error.to_string()))
});

/// The tags of the repository of `image`, with the credentials if the registry asks for some.
pub async fn tags(image: &ImageReference, login: Option<&RegistryLogin>) -> Result<Tags> {
    let late = || RegistryError::Unavailable(format!("no answer within {} s", LIMIT.as_secs()));
    let question = async {
        let client = CLIENT.as_ref().map_err(Clone::clone)?;
        Question { client, image, login, authorization: None }.tags().await
    };
    tokio::time::timeout(LIMIT, question).await.map_err(|_| late())?
}

struct Question<'a> {
    client: &'a Client,
    image: &'a ImageReference,
    login: Option<&'a RegistryLogin>,
    /// Once the registry has asked for it.
    authorization: Option<Secret>,
}

#[derive(Deserialize)]
struct Page {
    // `null` for a repository without tags.
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Question<'_> {
    async fn tags(mut self) -> Result<Tags> {
        let origin = place::of(&self.image.registry())?;
        let path = format!("/v2/{}/tags/list?n={PAGE}", self.image.path());
        let mut next = Some(place::join(&origin, &path)?);
        let (mut names, mut pages) = (Vec::new(), 0);
        while pages < MOST_PAGES
            && names.len() < MOST_TAGS
            && let Some(url) = next.take()
        {
            let response = self.get(&url).await?;
            let following = following(&url, response.headers());
            let page: Page = read(response).await?;
            // What is no tag, no image has; it would only be a text that a registry puts on a screen.
            let tags = page.tags.unwrap_or_default();
            names.extend(tags.into_iter().filter(|tag| self.image.with_tag(tag).is_ok()));
            // A page that names itself would be read again and again.
            next = following.filter(|next| *next != url);
            pages += 1;
        }
        order::newest_first(&mut names);
        names.dedup();
        let more = next.is_some() || names.len() > MOST_TAGS;
        names.truncate(MOST_TAGS);
        Ok(Tags { names, more })
    }

    /// Gets a page; a registry that asks who is there is told, once.
    async fn get(&mut self, url: &Url) -> Result<Response> {
        let response = self.send(url).await?;
        if response.status() != StatusCode::UNAUTHORIZED || self.authorization.is_some() {
            return judged(response);
        }
        let challenges: Vec<_> = response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenge::parse)
            .collect();
        self.authorization = Some(self.authorize(url, &challenges).await?);
        judged(self.send(url).await?)
    }

    async fn send(&self, url: &Url) -> Result<Response> {
        let mut request = self.client.get(url.clone()).header(ACCEPT, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.expose());
        }
        request.send().await.map_err(|error| unavailable(&error))
    }

    /// The `Authorization` for one of the challenges of the registry.
    async fn authorize(&self, asked: &Url, challenges: &[Challenge]) -> Result<Secret> {
        if let Some(bearer) = challenges.iter().find(|it| it.scheme == "bearer") {
            return self.token(asked, bearer).await;
        }
        let basic = challenges.iter().any(|it| it.scheme == "basic");
        self.basic().filter(|_| basic).ok_or(RegistryError::AuthRequired)
    }

    fn basic(&self) -> Option<Secret> {
        use base64::Engine as _;
        let login = self.login?;
        let Credential::Password(password) = login.credential() else { return None };
        let both = Secret::new(format!("{}:{}", login.username(), password.expose()));
        let encoded = base64::engine::general_purpose::STANDARD.encode(both.expose());
        Some(Secret::new(format!("Basic {encoded}")))
    }

    /// Gets a token where the registry says, for this repository alone, and only for reading.
    async fn token(&self, asked: &Url, challenge: &Challenge) -> Result<Secret> {
        let realm = challenge.parameter("realm").ok_or(RegistryError::AuthRequired)?;
        let realm = place::realm(asked, realm)?;
        let scope = format!("repository:{}:pull", self.image.path());
        let mut query = vec![("scope", scope.as_str())];
        query.extend(challenge.parameter("service").map(|service| ("service", service)));
        let identity = self.login.and_then(|login| match login.credential() {
            Credential::IdentityToken(token) => Some(token),
            Credential::Password(_) => None,
        });
        let request = if let Some(identity) = identity {
            query.extend([("grant_type", "refresh_token"), ("client_id", "wharf")]);
            query.push(("refresh_token", identity.expose()));
            let form =
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            let kind = "application/x-www-form-urlencoded";
            self.client.request(Method::POST, realm).header(CONTENT_TYPE, kind).body(form)
        } else {
            let mut realm = realm;
            realm.query_pairs_mut().extend_pairs(query);
            let request = self.client.get(realm);
            match self.basic() {
                Some(basic) => request.header(AUTHORIZATION, basic.expose()),
                None => request,
            }
        };
        let response = request.send().await.map_err(|error| unavailable(&error))?;
        let Token { token, access_token } = read(judged(response)?).await?;
        let token = token.or(access_token).filter(|token| !token.is_empty());
        let token =
            token.ok_or_else(|| strange("no token from where the registry sends for one"))?;
        Ok(Secret::new(format!("Bearer {token}")))
    }
}

/// The page after this one, if it is at the same registry: credentials go nowhere else.
fn following(url: &Url, headers: &HeaderMap) -> Option<Url> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    let is_next = rest.replace([' ', '"'], "").to_ascii_lowercase().contains(";rel=next");
    let next = url.join(target).ok()?;
    (is_next && next.origin() == url.origin()).then_some(next)
}

fn judged(response: Response) -> Result<Response> {
    match response.status() {
        status if status.is_success() => Ok(response),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RegistryError::AuthRequired),
        StatusCode::NOT_FOUND => Err(RegistryError::NotFound),
        StatusCode::TOO_MANY_REQUESTS => Err(RegistryError::RateLimited),
        status if status.is_redirection() => Err(strange("a redirect, which is not followed")),
        status => Err(strange(&format!("status {}", status.as_u16()))),
    }
}

/// Reads an answer, which may not be larger than one of a registry.
async fn read<T: DeserializeOwned>(mut response: Response) -> Result<T> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unavailable(&error))? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(strange("more than a megabyte"));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| strange("something else than JSON of a registry"))
}

fn strange(what: &str) -> RegistryError {
    RegistryError::Unavailable(format!("it answered with {what}"))
}

/// Without the text of the request, which may have credentials.
fn unavailable(error: &reqwest::Error) -> RegistryError {
    if let Some(place::Forbidden(text)) = causes::find::<place::Forbidden>(error) {
        return RegistryError::NotAsked(text.clone());
    }
    RegistryError::Unavailable(causes::innermost(error))
}
