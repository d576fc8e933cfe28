//! The requests to one Engine, as few as there can be.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// One host and the client of all.
pub struct Host {
    client: Client,
    base: String,
}

/// The fields of wharfd's typed view. It is built from these; nothing is built here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "reading them is what is measured")]
struct Item {
    id: String,
    names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: i64,
    state: String,
    status: String,
    ports: Option<Vec<Port>>,
    labels: Option<BTreeMap<String, String>>,
    network_settings: Option<NetworkSettings>,
    size_rw: Option<i64>,
    size_root_fs: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "reading them is what is measured")]
struct Port {
    private_port: i64,
    public_port: Option<i64>,
    r#type: String,
    #[serde(rename = "IP")]
    ip: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "reading them is what is measured")]
struct NetworkSettings {
    networks: Option<BTreeMap<String, IgnoredAny>>,
}

/// Lists all containers of a host; with `keep`, the JSON of each is kept beside the fields.
pub async fn containers(host: &Host, keep: bool) -> anyhow::Result<()> {
    let body = host.get("/containers/json?all=true").await?;
    let found = if keep {
        let texts: Vec<Box<RawValue>> = serde_json::from_slice(&body)?;
        let items: Result<Vec<(Item, Box<RawValue>)>, _> =
            texts.into_iter().map(|text| Ok((serde_json::from_str(text.get())?, text))).collect();
        let items: Result<_, serde_json::Error> = items;
        items?.len()
    } else {
        serde_json::from_slice::<Vec<Item>>(&body)?.len()
    };
    ensure!(found > 0, "no containers");
    Ok(())
}

impl Host {
    /// `base` is the address with the version of the API.
    pub fn new(client: Client, base: String) -> Self {
        Self { client, base }
    }

    /// One container. Nothing is read of it.
    pub async fn inspect(&self, container: &str) -> anyhow::Result<()> {
        self.get(&format!("/containers/{container}/json")).await.map(drop)
    }

    /// Pulls to the end; the last line says whether it worked.
    pub async fn pull(&self, tag: &str) -> anyhow::Result<()> {
        let body = self
            .post(&format!("/images/create?fromImage=registry.sim:5000/app&tag={tag}"), None)
            .await?;
        ensure!(!body.windows(7).any(|bytes| bytes == b"\"error\""), "the pull failed");
        Ok(())
    }

    /// Runs a command to its end.
    pub async fn exec(&self, container: &str, command: &[&str]) -> anyhow::Result<()> {
        let body = json!({"AttachStdout": true, "AttachStderr": true, "Cmd": command});
        let made = self.post(&format!("/containers/{container}/exec"), Some(&body)).await?;
        let made: Value = serde_json::from_slice(&made)?;
        let id = made["Id"].as_str().context("Id")?;
        let body = json!({"Detach": false, "Tty": false});
        self.post(&format!("/exec/{id}/start"), Some(&body)).await?;
        let ended: Value = serde_json::from_slice(&self.get(&format!("/exec/{id}/json")).await?)?;
        ensure!(ended["ExitCode"] == 0, "{ended}");
        Ok(())
    }

    /// The last lines of a log, as they are framed.
    pub async fn logs(&self, container: &str) -> anyhow::Result<()> {
        let query = "stdout=1&stderr=1&timestamps=1&tail=100";
        let log = self.get(&format!("/containers/{container}/logs?{query}")).await?;
        ensure!(!log.is_empty(), "no log");
        Ok(())
    }

    /// What a script does: pull, stop, remove, create, start.
    pub async fn upgrade(&self, container: &str, tag: &str) -> anyhow::Result<()> {
        self.pull(tag).await?;
        self.post(&format!("/containers/{container}/stop"), None).await?;
        self.send(self.request(Method::DELETE, &format!("/containers/{container}"))).await?;
        let body = json!({
            "Image": format!("registry.sim:5000/app:{tag}"),
            "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}},
        });
        self.post(&format!("/containers/create?name={container}"), Some(&body)).await?;
        self.post(&format!("/containers/{container}/start"), None).await?;
        Ok(())
    }

    async fn get(&self, path: &str) -> anyhow::Result<bytes::Bytes> {
        self.send(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: Option<&Value>) -> anyhow::Result<bytes::Bytes> {
        let request = self.request(Method::POST, path);
        self.send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<bytes::Bytes> {
        let response = request.send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}
