//! A server with two hosts and a container that is upgraded repeatedly: `a` behind a proxy that
//! cuts connections, `b` without one.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use testbed::{Engine, Image, Wharfd, eventually, unique};
use tonic::Code;
use tonic::transport::Channel;
use wharf::v1::rollout_service_client::RolloutServiceClient;
use wharf::v1::{
    CreateRolloutRequest, GetRolloutRequest, ListRolloutsRequest, Rollout, RolloutPolicy,
    RolloutSpec, RolloutState,
};

use crate::support::cut::{Proxy, Side};
use crate::support::{Server, hosts};

/// Writes of an upgrade on a host: create, stop, fence, twice a name, start.
pub const UPGRADE_WRITES: usize = 6;

pub struct Lane<'a> {
    pub wharfd: Arc<Wharfd>,
    pub proxy: Proxy,
    pub name: String,
    /// `a`, and `b` where there is one.
    engines: Vec<&'a Engine>,
    images: String,
}

/// A container as an Engine shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub name: String,
    pub id: String,
    pub image: String,
    pub running: bool,
    pub restart: String,
}

impl<'a> Lane<'a> {
    /// With `v1` of the container, which restarts always, on both hosts, and `v2` at hand.
    pub async fn start(engines: &[&'a Engine]) -> anyhow::Result<Lane<'a>> {
        let wharfd = Arc::new(Wharfd::start().await?);
        let proxy = Proxy::start(engines[0]).await?;
        let server = Server::of(&wharfd).await?;
        server.add("a", proxy.address()).await?;
        for engine in &engines[1..] {
            server.add("b", engine.address()).await?;
        }
        let (name, images) = (unique("web"), unique("app"));
        for engine in engines {
            for version in ["v1", "v2"] {
                let reference = format!("{images}:{version}");
                engine.import(&reference, &Image::new(version)).await?;
            }
            let body = json!({
                "Image": format!("{images}:v1"),
                "HostConfig": {"NetworkMode": "none", "RestartPolicy": {"Name": "always"}},
            });
            let path = format!("/containers/create?name={name}");
            let created = engine.post(&path, Some(body)).await?;
            let id = created["Id"].as_str().context("an ID")?;
            engine.post(&format!("/containers/{id}/start"), None).await?;
        }
        Ok(Lane { wharfd, proxy, name, engines: engines.to_vec(), images })
    }

    pub fn image(&self, version: &str) -> String {
        format!("{}:{version}", self.images)
    }

    /// Lets `wharfd` be killed around a write of the next rollout.
    pub fn arm_kill(&self, number: usize, side: Side) {
        let wharfd = Arc::clone(&self.wharfd);
        self.proxy.arm(number, side, move || wharfd.kill());
    }

    /// One rollout to its end, with whatever was armed. `after` is called when that happened.
    pub async fn roll<F>(
        &self,
        version: &str,
        policy: RolloutPolicy,
        after: F,
    ) -> anyhow::Result<Rollout>
    where
        F: AsyncFnOnce() -> anyhow::Result<()>,
    {
        let id = self.begin(version, policy).await?;
        tokio::select! {
            ended = self.end_of(&id) => {
                // Old containers are removed after the end; nothing may happen unheard then.
                if !self.proxy.disarm() {
                    return ended;
                }
                self.proxy.fired().await;
            }
            () = self.proxy.fired() => {}
        }
        after().await?;
        self.end_of(&id).await
    }

    /// Begins a rollout. Its ID; empty where the server was killed before it answered.
    pub async fn begin(&self, version: &str, policy: RolloutPolicy) -> anyhow::Result<String> {
        let names = if self.engines.len() > 1 { &["a", "b"][..] } else { &["a"] };
        let spec = RolloutSpec {
            container: self.name.clone(),
            targets: hosts(names),
            image: self.image(version),
            policy: Some(policy),
            ..Default::default()
        };
        let request = CreateRolloutRequest { spec: Some(spec), ..Default::default() };
        match self.client().await?.create_rollout(request).await {
            Ok(created) => Ok(created.into_inner().rollout.context("a rollout")?.id),
            Err(status) if status.code() == Code::Unavailable => Ok(String::new()),
            Err(status) => Err(status.into()),
        }
    }

    /// Waits for the end of a rollout, by its ID or as the newest of the container.
    pub async fn end_of(&self, id: &str) -> anyhow::Result<Rollout> {
        eventually("the end of the rollout", async || {
            let mut client = self.client().await?;
            let rollout = if id.is_empty() {
                let container = self.name.clone();
                let request = ListRolloutsRequest { container, ..Default::default() };
                let listed = client.list_rollouts(request).await?.into_inner();
                listed.rollouts.into_iter().next()
            } else {
                let request = GetRolloutRequest { id: id.to_owned(), ..Default::default() };
                client.get_rollout(request).await?.into_inner().rollout
            };
            let rollout = rollout.context("a rollout")?;
            let ended = [
                RolloutState::Succeeded,
                RolloutState::Failed,
                RolloutState::RolledBack,
                RolloutState::Aborted,
            ];
            ensure!(ended.contains(&rollout.state()), "{:?}: {rollout:#?}", rollout.state());
            Ok(rollout)
        })
        .await
    }

    pub async fn client(&self) -> anyhow::Result<RolloutServiceClient<Channel>> {
        Ok(RolloutServiceClient::new(Server::of(&self.wharfd).await?.0))
    }

    /// All containers of the lane on a host, by name: the one with the name first.
    pub async fn seen(&self, host: usize) -> anyhow::Result<Vec<Seen>> {
        let engine = self.engines[host];
        let listed = engine.get("/containers/json?all=1").await?;
        let all = match listed {
            Value::Array(all) => all,
            one => vec![one],
        };
        let mut seen = Vec::new();
        for id in all.iter().filter_map(|it| it["Id"].as_str()) {
            let Some(found) = engine.container(id).await? else { continue };
            let text = |pointer: &str| {
                let value = found.pointer(pointer).and_then(Value::as_str);
                value.unwrap_or_default().trim_start_matches('/').to_owned()
            };
            if !text("/Name").starts_with(&self.name) {
                continue;
            }
            seen.push(Seen {
                name: text("/Name"),
                id: text("/Id"),
                image: text("/Config/Image"),
                running: found["State"]["Running"] == true,
                restart: text("/HostConfig/RestartPolicy/Name"),
            });
        }
        seen.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(seen)
    }

    /// That a host has the new container, which runs, and the old one as its backup, which does
    /// not and will not; and nothing else, once the backup of the rollout before is removed.
    pub async fn check_upgraded(
        &self,
        host: usize,
        version: &str,
        old: &str,
    ) -> anyhow::Result<String> {
        let what = "the new container and its backup";
        eventually(what, async || self.is_upgraded(host, version, old).await).await
    }

    async fn is_upgraded(&self, host: usize, version: &str, old: &str) -> anyhow::Result<String> {
        let seen = self.seen(host).await?;
        let [new, backup] = &seen[..] else { bail!("host {host}: {seen:#?}") };
        let image = self.image(version);
        ensure!(
            new.name == self.name
                && new.image == image
                && new.running
                && new.restart == "always"
                && new.id != old,
            "host {host}: {seen:#?}"
        );
        ensure!(
            backup.name.starts_with(&format!("{}.old-", self.name))
                && backup.id == old
                && !backup.running
                && backup.restart == "no",
            "host {host}: {seen:#?}, and {old} was replaced"
        );
        Ok(new.id.clone())
    }
}

/// A policy that comes to its end quickly.
pub fn quick() -> RolloutPolicy {
    let millis =
        |millis: i32| Some(prost_types::Duration { seconds: 0, nanos: millis * 1_000_000 });
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    RolloutPolicy {
        pull_policy: wharf::v1::PullPolicy::Never.into(),
        min_healthy_time: millis(200),
        monitor: millis(100),
        healthy_deadline: seconds(60),
        progress_deadline: seconds(300),
        on_failure: wharf::v1::FailureAction::Abort.into(),
        ..Default::default()
    }
}
