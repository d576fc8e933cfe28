//! One Engine, one container on it, and a `wharfd` that rolls out there.

use anyhow::{Context, ensure};
use serde_json::Value;
use testbed::{Engine, Fleet, Wharfd, eventually};
use tonic::Status;
use wharf::v1::rollout_service_client::RolloutServiceClient;
use wharf::v1::{
    AbortRolloutRequest, CreateRolloutRequest, GetRolloutRequest, HealthGate, HostState,
    PullPolicy, ResumeRolloutRequest, Rollout, RolloutPlanHost, RolloutPolicy, RolloutSpec,
    RolloutState, UndoRolloutRequest,
};
use wharf_server::domain::ContainerRef;

use crate::recreate::scene::Scene;
use crate::support::{Server, hosts, reason};

/// The names of the hosts.
const HOST: &str = "alpha";
const NEIGHBOUR: &str = "beta";

/// A container, and a server that may replace it.
pub struct Stage {
    pub scene: Scene,
    server: Server,
    targets: Vec<&'static str>,
    _wharfd: Wharfd,
}

impl Stage {
    pub async fn new() -> anyhow::Result<Stage> {
        Stage::on(&Fleet::shared().await?.engines[0]).await
    }

    /// On another Engine than those of the fleet.
    pub async fn on(engine: &'static Engine) -> anyhow::Result<Stage> {
        let scene = Scene::on(engine)?;
        let wharfd = Wharfd::start().await?;
        let server = Server::of(&wharfd).await?;
        server.add(HOST, engine.address()).await?;
        Ok(Stage { scene, server, targets: vec![HOST], _wharfd: wharfd })
    }

    /// A second host that takes part, for a container of the same name.
    pub async fn neighbour(&mut self) -> anyhow::Result<Scene> {
        let engine = &Fleet::shared().await?.engines[1];
        self.server.add(NEIGHBOUR, engine.address()).await?;
        self.targets.push(NEIGHBOUR);
        let mut scene = Scene::on(engine)?;
        scene.name.clone_from(&self.scene.name);
        Ok(scene)
    }

    /// What a rollout to this image would do on the host.
    pub async fn plan(
        &self,
        image: &str,
        policy: RolloutPolicy,
    ) -> Result<RolloutPlanHost, Status> {
        let mut request = self.request(image, policy);
        request.validate_only = true;
        let plan = self.rollouts().create_rollout(request).await?.into_inner().plan;
        let host = plan.and_then(|plan| plan.hosts.into_iter().next());
        host.ok_or_else(|| Status::internal("a plan without a host"))
    }

    /// The lines for which a plan is refused.
    pub async fn refusals(&self, image: &str, policy: RolloutPolicy) -> anyhow::Result<String> {
        let planned = self.plan(image, policy).await;
        let status = planned.err().context("the plan is not refused")?;
        ensure!(reason(&status) == "PLAN_REFUSED", "{status:?}");
        Ok(status.message().to_owned())
    }

    /// Begins a rollout to this image; returns its ID.
    pub async fn begin(&self, image: &str, policy: RolloutPolicy) -> anyhow::Result<String> {
        let request = self.request(image, policy);
        let answer = self.rollouts().create_rollout(request).await?.into_inner();
        Ok(answer.rollout.context("an answer without a rollout")?.id)
    }

    /// Rolls this image out, until the rollout has ended or pauses.
    pub async fn roll(&self, image: &str, policy: RolloutPolicy) -> anyhow::Result<Rollout> {
        let id = self.begin(image, policy).await?;
        self.rest(&id).await
    }

    /// Takes a rollout back, until that has ended or pauses.
    pub async fn undo(&self, of: &Rollout) -> anyhow::Result<Rollout> {
        self.undo_with(of, quick()).await
    }

    pub async fn undo_with(&self, of: &Rollout, policy: RolloutPolicy) -> anyhow::Result<Rollout> {
        let request = UndoRolloutRequest {
            id: of.id.clone(),
            policy: Some(policy),
            ..UndoRolloutRequest::default()
        };
        let answer = self.rollouts().undo_rollout(request).await?.into_inner();
        self.rest(&answer.rollout.context("an answer without a rollout")?.id).await
    }

    /// The rollout, once nothing continues in it by itself.
    pub async fn rest(&self, id: &str) -> anyhow::Result<Rollout> {
        eventually("the rollout to rest", async || {
            let found = self.get(id).await?;
            let goes_on = matches!(
                found.state(),
                RolloutState::Pulling
                    | RolloutState::Running
                    | RolloutState::Baking
                    | RolloutState::RollingBack
                    | RolloutState::Aborting
            );
            // A rollout pauses while a host that failed is still being restored.
            let at_work = found.counts.is_some_and(|counts| counts.active > 0);
            ensure!(!goes_on && !at_work, "{found:#?}");
            Ok(found)
        })
        .await
    }

    pub async fn get(&self, id: &str) -> anyhow::Result<Rollout> {
        let request = GetRolloutRequest { id: id.to_owned(), ..Default::default() };
        let answer = self.rollouts().get_rollout(request).await?.into_inner();
        answer.rollout.context("an answer without a rollout")
    }

    /// Lets a rollout that pauses try again what failed, until it has ended or pauses.
    pub async fn retry(&self, rollout: &Rollout) -> anyhow::Result<Rollout> {
        let id = rollout.id.clone();
        let request = ResumeRolloutRequest { id, retry_failed: true, ..Default::default() };
        self.rollouts().resume_rollout(request).await?;
        self.rest(&rollout.id).await
    }

    /// Ends a rollout that pauses.
    pub async fn abort(&self, rollout: &Rollout) -> anyhow::Result<()> {
        let request = AbortRolloutRequest { id: rollout.id.clone(), ..Default::default() };
        self.rollouts().abort_rollout(request).await?;
        let ended = self.rest(&rollout.id).await?;
        ensure!(ended.state() == RolloutState::Aborted, "{ended:#?}");
        Ok(())
    }

    /// What a command in the container that has the name says, without the end of its line.
    pub async fn run_inside(&self, command: &str) -> anyhow::Result<String> {
        self.run_in(&self.scene.name, command).await
    }

    /// The same of another container.
    pub async fn run_in(&self, container: &str, command: &str) -> anyhow::Result<String> {
        let container = ContainerRef::parse(container)?;
        let command = ["/bin/sh", "-c", command].map(str::to_owned);
        let result = self.scene.client.run_in_container(&container, &command).await?;
        ensure!(result.exit_code == 0, "{}: {}", result.exit_code, result.output);
        Ok(result.output.trim().to_owned())
    }

    /// What the Engine says of the container that has the name.
    pub async fn current(&self) -> anyhow::Result<Value> {
        self.scene.inspect(&self.scene.name).await
    }

    /// What the Engine says of the container that a rollout left as the backup.
    pub async fn backup(&self, of: &Rollout) -> anyhow::Result<Value> {
        self.scene.inspect(&self.named("old", of)).await
    }

    /// `N.new-R`, `N.old-R`, `N.bad-R`.
    pub fn named(&self, kind: &str, rollout: &Rollout) -> String {
        format!("{}.{kind}-{}", self.scene.name, &rollout.id[..8])
    }

    /// Names of the containers whose names begin as that of this one, sorted.
    pub async fn names(&self) -> anyhow::Result<Vec<String>> {
        let list = self.scene.engine.get("/containers/json?all=1").await?;
        let mut names: Vec<String> = list
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|container| container["Names"][0].as_str())
            .map(|name| name.trim_start_matches('/').to_owned())
            .filter(|name| name.starts_with(&self.scene.name))
            .collect();
        names.sort();
        Ok(names)
    }

    fn rollouts(&self) -> RolloutServiceClient<tonic::transport::Channel> {
        RolloutServiceClient::new(self.server.0.clone())
    }

    fn request(&self, image: &str, policy: RolloutPolicy) -> CreateRolloutRequest {
        let spec = RolloutSpec {
            container: self.scene.name.clone(),
            targets: hosts(&self.targets),
            image: image.to_owned(),
            policy: Some(policy),
            ..RolloutSpec::default()
        };
        CreateRolloutRequest { spec: Some(spec), ..CreateRolloutRequest::default() }
    }
}

/// A policy that proves itself in a moment and asks no registry.
pub fn quick() -> RolloutPolicy {
    let millis = |millis: i32| {
        let (seconds, nanos) = (i64::from(millis / 1000), millis % 1000 * 1_000_000);
        Some(prost_types::Duration { seconds, nanos })
    };
    RolloutPolicy {
        min_healthy_time: millis(600),
        monitor: millis(100),
        healthy_deadline: millis(30_000),
        pull_policy: PullPolicy::Never.into(),
        ..RolloutPolicy::default()
    }
}

/// The same, with a gate that the container never passes.
pub fn failing() -> RolloutPolicy {
    let mut policy = RolloutPolicy { health: HealthGate::Exec.into(), ..quick() };
    policy.probe.get_or_insert_default().command = vec!["/bin/false".to_owned()];
    policy.healthy_deadline = Some(prost_types::Duration { seconds: 2, nanos: 0 });
    policy
}

/// The state of the rollout and that of its host.
pub fn states(rollout: &Rollout) -> (RolloutState, HostState) {
    (rollout.state(), rollout.steps[0].state())
}
