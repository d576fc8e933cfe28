//! The testbed's own requests to an Engine, so that tests verify results without Wharf.

use std::fs;

use anyhow::{Context, bail, ensure};
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};

use super::Engine;
use crate::image::Image;
use crate::{LIMIT, tools, until_it_can_stop};

impl Engine {
    /// One request, straight to the Engine. `path` is sent as it is: with or without a version,
    /// with its query. The answer is JSON, or several lines of JSON as an array, or text, or null
    /// for an empty body.
    pub async fn api(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let request = self.request(method, path)?;
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        answer(request).await.with_context(|| format!("asking {} for {path}", self.address))
    }

    /// `GET`, where everything but 2xx is an error.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.expect_success(Method::GET, path, None).await
    }

    /// `POST`, where everything but 2xx is an error.
    pub async fn post(&self, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        self.expect_success(Method::POST, path, body).await
    }

    /// `DELETE`, where everything but 2xx is an error.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.expect_success(Method::DELETE, path, None).await
    }

    /// The whole inspection of a container; none where there is no such container.
    pub async fn container(&self, name: &str) -> anyhow::Result<Option<Value>> {
        self.find(&format!("/containers/{name}/json")).await
    }

    /// The whole inspection of an image; none where there is no such image.
    pub async fn image(&self, reference: &str) -> anyhow::Result<Option<Value>> {
        self.find(&format!("/images/{reference}/json")).await
    }

    /// Makes an image under the reference `name:tag`. Returns its ID.
    pub async fn import(&self, reference: &str, image: &Image) -> anyhow::Result<String> {
        let (repository, tag) = split_tag(reference);
        let mut query = vec![("fromSrc", "-"), ("repo", repository), ("tag", tag)];
        // Podman takes no health check here, and Docker builds no image from nothing.
        let (imported, built): (Vec<&String>, Vec<&String>) = image
            .changes()
            .iter()
            .partition(|it| !self.kind().is_podman() || !it.starts_with("HEALTHCHECK"));
        query.extend(imported.iter().map(|change| ("changes", change.as_str())));
        let request = self
            .request(Method::POST, "/images/create")?
            .query(&query)
            .header("Content-Type", "application/x-tar")
            .body(image.archive()?);
        let lines = stream(request).await.with_context(|| format!("importing {reference}"))?;
        let id = lines.last().and_then(|line| line["status"].as_str());
        let id = id.context("the import ended without an ID")?.to_owned();
        if self.kind().is_podman() {
            // Podman 4 takes every tag for `latest`.
            self.post(&format!("/images/{id}/tag?repo={repository}&tag={tag}"), None).await?;
        }
        if built.is_empty() {
            return Ok(id);
        }
        let built = built.iter().map(|it| it.as_str()).collect::<Vec<_>>().join("\n");
        self.build(reference, &format!("FROM {id}\n{built}\n")).await
    }

    /// Makes an image by a Dockerfile that needs no other file; returns its ID.
    async fn build(&self, reference: &str, dockerfile: &str) -> anyhow::Result<String> {
        let mut context = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(dockerfile.len() as u64);
        header.set_mode(0o644);
        context.append_data(&mut header, "Dockerfile", dockerfile.as_bytes())?;
        let request = self
            .request(Method::POST, "/build")?
            .query(&[("t", reference)])
            .header("Content-Type", "application/x-tar")
            .body(context.into_inner()?);
        let lines = stream(request).await.with_context(|| format!("building {reference}"))?;
        let id = lines.iter().find_map(|line| line["aux"]["ID"].as_str());
        Ok(id.context("the build ended without an ID")?.to_owned())
    }

    /// Creates a container that runs `image` without a network, and starts it. Returns its ID.
    pub async fn run(&self, name: &str, image: &str) -> anyhow::Result<String> {
        let body = json!({ "Image": image, "HostConfig": { "NetworkMode": "none" } });
        let created = self.post(&format!("/containers/create?name={name}"), Some(body)).await?;
        let id = created["Id"].as_str().context("an answer without an ID")?.to_owned();
        self.post(&format!("/containers/{id}/start"), None).await?;
        let running = self.container(&id).await?.context("a container that was started")?;
        until_it_can_stop(running["State"]["Pid"].as_u64().unwrap_or_default()).await?;
        Ok(id)
    }

    /// Pushes `name:tag`, with the header that [`crate::registry_auth`] makes, or `None` for an
    /// anonymous push. Returns the lines of the answer; an error among them is an error.
    pub async fn push(&self, reference: &str, auth: Option<&str>) -> anyhow::Result<Vec<Value>> {
        let (repository, tag) = split_tag(reference);
        let request = self
            .request(Method::POST, &format!("/images/{repository}/push"))?
            .query(&[("tag", tag)])
            // Required; this is base64 of `{}`.
            .header("X-Registry-Auth", auth.unwrap_or("e30="));
        stream(request).await.with_context(|| format!("pushing {reference}"))
    }

    /// Pulls `name:tag`; otherwise like [`Engine::push`].
    pub async fn pull(&self, reference: &str, auth: Option<&str>) -> anyhow::Result<Vec<Value>> {
        let (repository, tag) = split_tag(reference);
        let request = self
            .request(Method::POST, "/images/create")?
            .query(&[("fromImage", repository), ("tag", tag)])
            .header("X-Registry-Auth", auth.unwrap_or("e30="));
        stream(request).await.with_context(|| format!("pulling {reference}"))
    }

    async fn expect_success(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let (status, answer) = self.api(method.clone(), path, body).await?;
        ensure!((200..300).contains(&status), "{method} {path}: {status}: {answer}");
        Ok(answer)
    }

    async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.api(Method::GET, path, None).await? {
            (200, found) => Ok(Some(found)),
            (404, _) => Ok(None),
            (status, answer) => bail!("GET {path}: {status}: {answer}"),
        }
    }

    fn request(&self, method: Method, path: &str) -> anyhow::Result<reqwest::RequestBuilder> {
        let base = match (&self.tls, self.address.strip_prefix("tcp://")) {
            (Some(_), Some(authority)) => format!("https://{authority}"),
            (None, Some(authority)) => format!("http://{authority}"),
            (_, None) => "http://docker".to_owned(),
        };
        let url = Url::parse(&format!("{base}{path}"))?;
        Ok(self.client()?.request(method, url))
    }

    /// A client for one request: a connection that is kept would belong to the runtime of the
    /// test that happened to open it.
    fn client(&self) -> anyhow::Result<Client> {
        tools::install_crypto();
        let mut client = Client::builder()
            .no_proxy()
            .http1_only()
            .pool_max_idle_per_host(0)
            .timeout(LIMIT)
            .tls_certs_only([]);
        if let Some(tls) = &self.tls {
            let identity = [fs::read(&tls.key)?, fs::read(&tls.cert)?].concat();
            client = client
                .tls_certs_only([reqwest::Certificate::from_pem(&fs::read(&tls.ca)?)?])
                .identity(reqwest::Identity::from_pem(&identity)?);
        }
        if let Some(socket) = self.address.strip_prefix("unix://") {
            client = client.unix_socket(socket);
        }
        Ok(client.build()?)
    }
}

/// Answers of an Engine that are not worth a type.
async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<(u16, Value)> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    if text.is_empty() {
        return Ok((status, Value::Null));
    }
    let lines: Result<Vec<Value>, _> =
        serde_json::Deserializer::from_str(&text).into_iter().collect();
    let value = match lines {
        Ok(mut lines) if lines.len() == 1 => lines.remove(0),
        Ok(lines) => Value::Array(lines),
        Err(_) => Value::String(text),
    };
    Ok((status, value))
}

/// An answer that is a stream of lines, where an error may come after the status 200.
async fn stream(request: reqwest::RequestBuilder) -> anyhow::Result<Vec<Value>> {
    let (status, value) = answer(request).await?;
    let lines = match value {
        Value::Array(lines) => lines,
        other => vec![other],
    };
    let failed = lines.iter().find(|line| line.get("error").is_some());
    match failed {
        Some(line) => bail!("{status}: {}", line["error"]),
        None if status != 200 => bail!("{status}: {lines:?}"),
        None => Ok(lines),
    }
}

/// `name:tag` taken apart; without a tag, `latest`.
fn split_tag(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}
