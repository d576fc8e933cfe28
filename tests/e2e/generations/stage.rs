//! One Engine of a kind, and a `wharfd` with it as host `one`.

use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;
use testbed::{Engine, EngineKind, Image, Output, Wharf, Wharfd, unique};

use crate::support::Server;

pub struct Stage {
    pub engine: &'static Engine,
    pub cli: Wharf,
    /// The name of the container.
    pub name: String,
    wharfd: Wharfd,
}

impl Stage {
    pub async fn of(kind: EngineKind) -> anyhow::Result<Stage> {
        let engine = Engine::shared(kind).await?.context("the kind is available")?;
        let wharfd = Wharfd::start().await?;
        let server = Server::of(&wharfd).await?;
        server.add("one", engine.address()).await?;
        let cli = wharfd.cli()?;
        Ok(Stage { engine, cli, name: unique("web"), wharfd })
    }

    /// The server.
    pub fn wharfd(&self) -> &Wharfd {
        &self.wharfd
    }

    /// Makes an image on the Engine; returns its reference.
    pub async fn image(&self, tag: &str, image: &Image) -> anyhow::Result<String> {
        let reference = format!("{}:{tag}", self.name);
        self.engine.import(&reference, image).await?;
        Ok(reference)
    }

    /// A name that belongs to the container.
    pub fn other(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    /// Makes the container of this body and starts it.
    pub async fn run(&self, body: Value) -> anyhow::Result<()> {
        let path = format!("/containers/create?name={}", self.name);
        self.engine.post(&path, Some(body)).await?;
        self.engine.post(&format!("/containers/{}/start", self.name), None).await.map(drop)
    }

    /// The names of the container and of what rollouts kept of it, sorted.
    pub async fn names(&self) -> anyhow::Result<Vec<String>> {
        let list = self.engine.get("/containers/json?all=1").await?;
        let names = list.as_array().into_iter().flatten();
        let names = names.filter_map(|it| Some(it["Names"][0].as_str()?.trim_start_matches('/')));
        let mut names: Vec<String> =
            names.filter(|name| name.starts_with(&self.name)).map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    pub async fn inspect(&self) -> anyhow::Result<Value> {
        self.engine.container(&self.name).await?.context("the container is there")
    }

    /// `wharf rollout start` of the container; `more` after it.
    pub async fn roll(&self, image: &str, more: &[&str]) -> anyhow::Result<Output> {
        let start = ["rollout", "start", &self.name, "-A", "--image", image];
        let quick = ["--min-healthy-time", "300ms", "--monitor", "300ms"];
        self.cli.run(&[&start[..], &quick, more].concat()).await
    }

    /// Runs the docker command line of the newest release on the Engine; returns what it prints.
    pub fn docker(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command: Command = EngineKind::Docker28.program("docker")?;
        command
            .arg("--host")
            .arg(self.engine.address())
            .args(arguments)
            .env_clear()
            .env("HOME", self.cli.home());
        let output = command.output().context("starting docker")?;
        ensure!(output.status.success(), "docker {arguments:?}: {output:?}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Removes the container and what a rollout kept of it.
    pub async fn clear(&self) -> anyhow::Result<()> {
        let list = self.engine.get("/containers/json?all=1").await?;
        for container in list.as_array().into_iter().flatten() {
            if container["Names"].to_string().contains(&self.name) {
                let id = container["Id"].as_str().unwrap_or_default();
                self.engine.delete(&format!("/containers/{id}?force=1&v=1")).await?;
            }
        }
        Ok(())
    }
}
