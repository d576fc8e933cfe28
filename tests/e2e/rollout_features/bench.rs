//! One container by the same name on one to three real Engines, and a `wharfd` that rolls out
//! there.

use anyhow::{Context, ensure};
use prost::Message;
use serde_json::Value;
use testbed::{Engine, Fleet, Image, Output, Wharfd, eventually};
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::pb;
use wharf::v1::rollout_service_client::RolloutServiceClient;
use wharf::v1::{
    CreateRolloutRequest, GetRolloutRequest, Rollout, RolloutPlan, RolloutPolicy, RolloutSpec,
    RolloutState, RolloutStep, UndoRolloutRequest,
};

use crate::recreate::scene::Scene;
use crate::support::{HOSTS, Server, all};

/// Flags that let a container pass as soon as it runs.
pub const QUICK: [&str; 4] = ["--min-healthy-time", "0s", "--monitor", "0s"];

/// A container on each of some hosts, and a server that may replace it.
pub struct Bench {
    pub wharfd: Wharfd,
    pub server: Server,
    /// One for each host, all with the same name; the hosts are the first of [`HOSTS`].
    pub scenes: Vec<Scene>,
}

impl Bench {
    /// So many hosts, without a container so far.
    pub async fn new(hosts: usize) -> anyhow::Result<Bench> {
        Bench::on(Fleet::shared().await?.engines.iter().take(hosts)).await
    }

    /// On these Engines.
    pub async fn on(engines: impl IntoIterator<Item = &'static Engine>) -> anyhow::Result<Bench> {
        let wharfd = Wharfd::start().await?;
        let server = Server::of(&wharfd).await?;
        let mut scenes: Vec<Scene> = Vec::new();
        for (host, engine) in HOSTS.iter().zip(engines) {
            server.add(host, engine.address()).await?;
            let mut scene = Scene::on(engine)?;
            if let Some(first) = scenes.first() {
                scene.name.clone_from(&first.name);
            }
            scenes.push(scene);
        }
        Ok(Bench { wharfd, server, scenes })
    }

    /// The name of the container.
    pub fn name(&self) -> &str {
        &self.scenes[0].name
    }

    /// Makes an image on every host; returns its reference.
    pub async fn image(&self, tag: &str, image: &Image) -> anyhow::Result<String> {
        let mut reference = String::new();
        for scene in &self.scenes {
            reference = scene.image(tag, image.clone()).await?;
        }
        Ok(reference)
    }

    /// Runs the container on every host.
    pub async fn run(&self, body: &Value) -> anyhow::Result<()> {
        for scene in &self.scenes {
            scene.run(body.clone()).await?;
        }
        Ok(())
    }

    /// What each Engine says of the container now.
    pub async fn current(&self) -> anyhow::Result<Vec<Value>> {
        self.inspect(self.name()).await
    }

    /// What each Engine says of a container by this name.
    pub async fn inspect(&self, name: &str) -> anyhow::Result<Vec<Value>> {
        let mut found = Vec::new();
        for scene in &self.scenes {
            found.push(scene.inspect(name).await?);
        }
        Ok(found)
    }

    /// A client of its own: one that was connected before a restart of the server takes a moment
    /// to notice that.
    pub async fn rollouts(&self) -> anyhow::Result<RolloutServiceClient<Channel>> {
        Ok(Server::of(&self.wharfd).await?.rollouts())
    }

    /// The names of all containers of a host that begin with the container's, sorted.
    pub async fn names(&self, host: usize) -> anyhow::Result<Vec<String>> {
        let list = self.scenes[host].engine.get("/containers/json?all=1").await?;
        let names = list.as_array().into_iter().flatten().filter_map(|it| it["Names"][0].as_str());
        let names = names.map(|name| name.trim_start_matches('/'));
        let mut names: Vec<_> =
            names.filter(|name| name.starts_with(self.name())).map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    /// Runs `wharf rollout ARGUMENTS`.
    pub async fn cli(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.wharfd.cli()?.run(&[&["rollout"], arguments].concat()).await
    }

    /// A rollout of the container to an image on all hosts, in a hurry.
    pub fn spec(&self, image: &str) -> RolloutSpec {
        RolloutSpec {
            container: self.name().to_owned(),
            targets: all(),
            image: image.to_owned(),
            policy: Some(quick()),
            ..RolloutSpec::default()
        }
    }

    pub async fn plan(&self, spec: RolloutSpec) -> Result<RolloutPlan, Status> {
        let request =
            CreateRolloutRequest { spec: Some(spec), validate_only: true, ..Default::default() };
        let plan = self.server.rollouts().create_rollout(request).await?.into_inner().plan;
        plan.ok_or_else(|| Status::internal("an answer without a plan"))
    }

    pub async fn begin(&self, spec: RolloutSpec) -> Result<Rollout, Status> {
        let request = CreateRolloutRequest { spec: Some(spec), ..Default::default() };
        let answer = self.server.rollouts().create_rollout(request).await?.into_inner();
        answer.rollout.ok_or_else(|| Status::internal("an answer without a rollout"))
    }

    /// Carries a rollout out, until it has ended or pauses.
    pub async fn roll(&self, spec: RolloutSpec) -> anyhow::Result<Rollout> {
        let begun = self.begin(spec).await?;
        self.rest(&begun.id).await
    }

    /// Carries a rollout out, which must succeed.
    pub async fn upgrade(&self, image: &str) -> anyhow::Result<Rollout> {
        let rollout = self.roll(self.spec(image)).await?;
        ensure!(rollout.state() == RolloutState::Succeeded, "{}", told(&rollout));
        Ok(rollout)
    }

    /// Takes a rollout back, until that has ended or pauses.
    pub async fn undo(&self, of: &Rollout) -> anyhow::Result<Rollout> {
        let policy = Some(quick());
        let request = UndoRolloutRequest { id: of.id.clone(), policy, ..Default::default() };
        let answer = self.server.rollouts().undo_rollout(request).await?.into_inner();
        self.rest(&answer.rollout.context("an answer without a rollout")?.id).await
    }

    pub async fn get(&self, id: &str) -> anyhow::Result<Rollout> {
        let request = GetRolloutRequest { id: id.to_owned(), ..Default::default() };
        let answer = self.server.rollouts().get_rollout(request).await?.into_inner();
        answer.rollout.context("an answer without a rollout")
    }

    /// The rollout, once nothing continues in it by itself.
    pub async fn rest(&self, id: &str) -> anyhow::Result<Rollout> {
        eventually("the rollout to rest", async || {
            let rollout = self.get(id).await?;
            let active = rollout.counts.is_some_and(|counts| counts.active > 0);
            let paused = rollout.state() == RolloutState::Paused && !active;
            ensure!(paused || rollout.state() >= RolloutState::Succeeded, "{}", told(&rollout));
            Ok(rollout)
        })
        .await
    }
}

/// A policy in a hurry: a container passes as soon as it runs.
pub fn quick() -> RolloutPolicy {
    let zero = Some(prost_types::Duration::default());
    RolloutPolicy { min_healthy_time: zero, monitor: zero, ..RolloutPolicy::default() }
}

/// `ErrorInfo.reason` of what a host has to say.
pub fn reason_of(step: &RolloutStep) -> String {
    let details = step.status.iter().flat_map(|status| &status.details);
    let infos = details.filter_map(|detail| pb::ErrorInfo::decode(&*detail.value).ok());
    infos.map(|info| info.reason).next().unwrap_or_default()
}

/// `N.old-R`, the backup of a rollout.
pub fn backup(rollout: &Rollout) -> String {
    format!("{}.old-{}", rollout.container, &rollout.id[..8])
}

/// A rollout in short, for the messages of tests.
pub fn told(rollout: &Rollout) -> String {
    let why = rollout.reason.as_ref().map(|it| it.message.clone()).unwrap_or_default();
    let mut text = format!("{:?} {:?} {why}", rollout.state(), rollout.pause_cause());
    for step in &rollout.steps {
        let status = step.status.as_ref().map(|it| it.message.clone()).unwrap_or_default();
        text += &format!("\n{}: {:?} {:?} {status}", step.host, step.state(), step.step());
    }
    text
}
