//! The bare calls, over one connection that is kept.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use testbed::{Engine, Method};

pub struct Bare {
    client: reqwest::Client,
}

impl Bare {
    pub fn new(engine: &Engine) -> anyhow::Result<Bare> {
        let socket = engine.address().strip_prefix("unix://").context("a unix socket")?.to_owned();
        let client = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .timeout(Duration::from_secs(60))
            .unix_socket(socket)
            .build()?;
        Ok(Bare { client })
    }

    /// Create beforehand; then stop, rename, rename, start.
    pub async fn replace(&self, name: &str, body: &Value) -> anyhow::Result<()> {
        let (candidate, backup) = (format!("{name}.bare-new"), format!("{name}.bare-old"));
        self.create(&candidate, body).await?;
        self.post(&format!("/containers/{name}/stop")).await?;
        self.post(&format!("/containers/{name}/rename?name={backup}")).await?;
        self.post(&format!("/containers/{candidate}/rename?name={name}")).await?;
        self.start(name).await?;
        self.call(Method::DELETE, &format!("/containers/{backup}"), None).await
    }

    pub async fn create(&self, name: &str, body: &Value) -> anyhow::Result<()> {
        let path = format!("/containers/create?name={name}");
        self.call(Method::POST, &path, Some(body)).await
    }

    pub async fn start(&self, name: &str) -> anyhow::Result<()> {
        self.post(&format!("/containers/{name}/start")).await
    }

    async fn post(&self, path: &str) -> anyhow::Result<()> {
        self.call(Method::POST, path, None).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<()> {
        let mut request = self.client.request(method, format!("http://docker{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{path}: {status}: {text}");
        Ok(())
    }
}
