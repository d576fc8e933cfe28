//! One container on three Engines, a registry with its versions, and a `wharfd` that upgrades it.
//!
//! Every host has a directory that its container sees as `/gate`: a test opens a gate there, or
//! breaks the next start, and so controls when something happens.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use testbed::{Engine, Output, WharfdOptions, eventually, unique};
use tonic::{Code, Status};
use wharf::v1::{
    CreateRolloutRequest, GetRolloutRequest, HealthGate, HealthProbe, Rollout, RolloutPolicy,
    RolloutSpec, RolloutState,
};

use super::engines::{Found, containers, create, remove};
use super::versions::repository;
use crate::support::{HOSTS, World, all, reason};

/// The container of one test, by the same name on the three Engines.
pub struct Scene {
    pub world: Arc<World>,
    pub name: String,
    gates: PathBuf,
}

impl Scene {
    /// A container of version 1 runs on each of the three Engines.
    pub async fn start() -> anyhow::Result<Scene> {
        Scene::start_as("v1", |_, _| {}).await
    }

    /// A container of this version, its body changed for each host.
    pub async fn start_as(
        version: &str,
        change: impl Fn(&str, &mut Value),
    ) -> anyhow::Result<Scene> {
        let scene = Scene::empty().await?;
        scene.run(version, change).await?;
        Ok(scene)
    }

    /// No container yet.
    pub async fn empty() -> anyhow::Result<Scene> {
        Scene::on(Arc::new(World::start().await?))
    }

    /// A container of version 1 under another name, with the same server.
    pub async fn another(&self) -> anyhow::Result<Scene> {
        let scene = Scene::on(Arc::clone(&self.world))?;
        scene.run("v1", |_, _| {}).await?;
        Ok(scene)
    }

    /// As [`Scene::another`], without a container.
    pub fn another_empty(&self) -> anyhow::Result<Scene> {
        Scene::on(Arc::clone(&self.world))
    }

    /// As [`Scene::start`], with a server of these options.
    pub async fn start_with(options: WharfdOptions) -> anyhow::Result<Scene> {
        let scene = Scene::on(Arc::new(World::start_with(options).await?))?;
        scene.run("v1", |_, _| {}).await?;
        Ok(scene)
    }

    fn on(world: Arc<World>) -> anyhow::Result<Scene> {
        let name = unique("web");
        let gates = world.cli.home().join(&name);
        for host in HOSTS {
            fs::create_dir_all(gates.join(host))?;
        }
        Ok(Scene { world, name, gates })
    }

    /// The reference of a version in the registry. `v1` and `v2` serve, and `v2` does not start on
    /// a host with `/gate/broken`; `v3` ends at once; `v4` is unhealthy; `v5` is `v2` with a health
    /// check, unhealthy on a host with `/gate/sick`.
    pub async fn image(&self, version: &str) -> anyhow::Result<String> {
        Ok(format!("{}:{version}", repository().await?))
    }

    /// Runs the container on all three Engines.
    pub async fn run(
        &self,
        version: &str,
        change: impl Fn(&str, &mut Value),
    ) -> anyhow::Result<()> {
        let image = self.image(version).await?;
        let run = HOSTS.iter().zip(self.world.engines()).map(|(host, engine)| {
            let mut body = self.body(host, &image);
            change(host, &mut body);
            create(engine, &self.name, body)
        });
        try_join_all(run).await?;
        Ok(())
    }

    /// The body of a container on a host.
    pub fn body(&self, host: &str, image: &str) -> Value {
        json!({
            "Image": image,
            "HostConfig": {
                "NetworkMode": "none",
                "RestartPolicy": {"Name": "unless-stopped"},
                "Binds": [format!("{}:/gate:ro", self.gates.join(host).display())],
            },
        })
    }

    pub fn engine(&self, host: &str) -> &'static Engine {
        let place = HOSTS.iter().position(|name| *name == host).expect("a host of the fixture");
        &self.world.engines()[place]
    }

    /// Makes a file that the containers of a host see as `/gate/FILE`.
    pub fn put(&self, hosts: &[&str], file: &str) -> anyhow::Result<()> {
        hosts.iter().try_for_each(|host| Ok(fs::write(self.gates.join(host).join(file), "")?))
    }

    /// Takes such a file away.
    pub fn take(&self, hosts: &[&str], file: &str) -> anyhow::Result<()> {
        hosts.iter().try_for_each(|host| Ok(fs::remove_file(self.gates.join(host).join(file))?))
    }

    /// Runs a command in the container of a host, to its end.
    pub async fn exec(&self, host: &str, command: &[&str]) -> anyhow::Result<()> {
        let engine = self.engine(host);
        let body = json!({"Cmd": command, "AttachStdout": true});
        let made = engine.post(&format!("/containers/{}/exec", self.name), Some(body)).await?;
        let id = made["Id"].as_str().context("an answer without an ID")?;
        // The answer ends with the command.
        engine.post(&format!("/exec/{id}/start"), Some(json!({"Detach": false}))).await?;
        let ended = engine.get(&format!("/exec/{id}/json")).await?;
        ensure!(ended["ExitCode"] == 0, "{ended}");
        Ok(())
    }

    /// A rollout of the scene's container to a version, on all hosts, in a hurry.
    pub async fn spec(&self, version: &str) -> anyhow::Result<RolloutSpec> {
        Ok(RolloutSpec {
            container: self.name.clone(),
            targets: all(),
            image: self.image(version).await?,
            policy: Some(quick()),
            ..Default::default()
        })
    }

    /// The same, with another policy.
    pub async fn spec_with(
        &self,
        version: &str,
        policy: RolloutPolicy,
    ) -> anyhow::Result<RolloutSpec> {
        Ok(RolloutSpec { policy: Some(policy), ..self.spec(version).await? })
    }

    /// Runs `wharf rollout ARGUMENTS`.
    pub async fn cli(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.world.cli.run(&[&["rollout"], arguments].concat()).await
    }

    /// The container as each Engine shows it, at these JSON pointers; null where there is none.
    pub async fn read<const N: usize>(
        &self,
        pointers: [&str; N],
    ) -> anyhow::Result<[[Value; N]; 3]> {
        let engines = self.world.engines().iter();
        let found = try_join_all(engines.map(|engine| engine.container(&self.name))).await?;
        let of = |found: Value| pointers.map(|it| found.pointer(it).cloned().unwrap_or_default());
        let values: Vec<_> = found.into_iter().map(|it| of(it.unwrap_or_default())).collect();
        values.try_into().ok().context("three answers")
    }

    /// Begins a rollout; returns it.
    pub async fn begin(&self, spec: RolloutSpec) -> Result<Rollout, Status> {
        let request = CreateRolloutRequest { spec: Some(spec), ..Default::default() };
        let answer = self.world.server.rollouts().create_rollout(request).await?.into_inner();
        answer.rollout.ok_or_else(|| Status::internal("no rollout in the answer"))
    }

    /// Begins a rollout and waits until it has ended.
    pub async fn carry_out(&self, spec: RolloutSpec) -> anyhow::Result<Rollout> {
        let begun = self.begin(spec).await?;
        self.end(&begun.id).await
    }

    pub async fn get(&self, id: &str) -> anyhow::Result<Rollout> {
        let request = GetRolloutRequest { id: id.to_owned(), ..Default::default() };
        let answer = self.world.server.rollouts().get_rollout(request).await?.into_inner();
        answer.rollout.context("no rollout in the answer")
    }

    /// Waits until a rollout is as it should be.
    pub async fn until(
        &self,
        id: &str,
        what: &str,
        is_so: impl Fn(&Rollout) -> bool,
    ) -> anyhow::Result<Rollout> {
        eventually(what, async || {
            let rollout = self.get(id).await?;
            ensure!(is_so(&rollout), "{}", told(&rollout));
            Ok(rollout)
        })
        .await
    }

    /// Waits until a rollout has ended, or waits for somebody with no host in progress.
    pub async fn end(&self, id: &str) -> anyhow::Result<Rollout> {
        self.until(id, "the end of the rollout", |rollout| {
            let active = rollout.counts.is_some_and(|counts| counts.active > 0);
            let paused = rollout.state() == RolloutState::Paused && !active;
            paused || rollout.state() >= RolloutState::Succeeded
        })
        .await
    }

    /// What each Engine has under the name and the names that a rollout makes of it, by name.
    pub async fn found(&self) -> anyhow::Result<[Vec<Found>; 3]> {
        let found = try_join_all(self.world.engines().iter().map(|it| containers(it, &self.name)));
        found.await?.try_into().ok().context("three answers")
    }

    /// The scene's container alone, on each Engine.
    pub async fn alone(&self) -> anyhow::Result<[Found; 3]> {
        let found = self.found().await?;
        ensure!(found.iter().all(|found| found.len() == 1), "{found:#?}");
        Ok(found.map(|mut found| found.remove(0)))
    }

    /// Checks that `hosts` went from the containers of `before` to this version, by this rollout,
    /// and that the others still have theirs, which were not even restarted.
    pub async fn check(
        &self,
        rollout: &Rollout,
        before: &[Found; 3],
        version: &str,
        hosts: &[&str],
    ) -> anyhow::Result<()> {
        let image = self.image(version).await?;
        let backup = format!("{}.old-{}", self.name, &rollout.id[..8]);
        let now = self.found().await?;
        for ((host, found), old) in HOSTS.iter().zip(now).zip(before) {
            let step = rollout.steps.iter().find(|step| step.host == *host);
            let step = step.with_context(|| format!("{host} is not in the rollout"))?;
            if !hosts.contains(host) {
                assert_eq!(found, std::slice::from_ref(old), "{host}: {}", told(rollout));
                continue;
            }
            let [new, kept] = &found[..] else {
                panic!("{host}: {found:#?}\n{}", told(rollout));
            };
            assert_eq!((&new.name, &new.image), (&self.name, &image), "{host}");
            assert_eq!((new.status.as_str(), &new.restart), ("running", &old.restart), "{host}");
            assert_eq!((&step.old_container_id, &step.new_container_id), (&old.id, &new.id));
            assert_eq!((&kept.name, &kept.id), (&backup, &old.id), "{host}");
            assert_eq!((kept.status.as_str(), kept.restart.as_str()), ("exited", "no"), "{host}");
        }
        Ok(())
    }

    /// Checks that every host has the container it had, running under its own restart policy, and
    /// nothing else.
    pub async fn check_restored(&self, before: &[Found; 3]) -> anyhow::Result<()> {
        let now = self.alone().await?;
        for (now, before) in now.into_iter().zip(before) {
            let started_at = before.started_at.clone();
            assert_eq!(Found { started_at, ..now }, *before);
        }
        Ok(())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let prefix = self.name.clone();
        let engines = self.world.engines();
        // The Engines are shared: what stayed would run until the last test has ended.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let Ok(runtime) = runtime else { return };
                runtime.block_on(try_join_all(engines.iter().map(|it| remove(it, &prefix)))).ok();
            });
        });
    }
}

/// A policy in a hurry: all hosts one after the other, passed as soon as they run.
pub fn quick() -> RolloutPolicy {
    RolloutPolicy {
        min_healthy_time: millis(0),
        monitor: millis(0),
        healthy_deadline: millis(30_000),
        progress_deadline: millis(120_000),
        ..Default::default()
    }
}

/// The same for all hosts, on the command line.
pub const QUICK: [&str; 5] = ["-A", "--min-healthy-time", "0s", "--monitor", "0s"];

/// The same as a file; a rollout of nothing, until more is added.
pub const QUICK_FILE: &str = "policy: {min_healthy_time: 0s, monitor: 0s}\n";

/// As [`quick`], and a container passes once its host has `/gate/open`.
pub fn held() -> RolloutPolicy {
    let command = ["test", "-e", "/gate/open"].map(str::to_owned).to_vec();
    RolloutPolicy {
        health: HealthGate::Exec.into(),
        probe: Some(HealthProbe { command, ..Default::default() }),
        ..quick()
    }
}

/// As [`quick`], and nothing passes on a host with `/gate/broken`: however late an Engine notices
/// that a container ended, it was not good before.
pub fn careful() -> RolloutPolicy {
    let command = ["test", "!", "-e", "/gate/broken"].map(str::to_owned).to_vec();
    RolloutPolicy {
        health: HealthGate::Exec.into(),
        probe: Some(HealthProbe { command, ..Default::default() }),
        healthy_deadline: millis(200_000),
        progress_deadline: millis(300_000),
        ..quick()
    }
}

pub fn millis(millis: u32) -> Option<prost_types::Duration> {
    let nanos = (millis % 1000 * 1_000_000).cast_signed();
    Some(prost_types::Duration { seconds: (millis / 1000).into(), nanos })
}

/// Code and reason of a call that was refused, and its message.
pub fn refusal(status: &Status) -> (Code, String, String) {
    (status.code(), reason(status), status.message().to_owned())
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
