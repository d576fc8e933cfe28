//! The same by a rollout.

use anyhow::{Context, ensure};
use testbed::{Engine, Wharfd, eventually};
use tonic::transport::Channel;
use wharf::client::Target;
use wharf::v1::host_selector::Selection;
use wharf::v1::host_service_client::HostServiceClient;
use wharf::v1::rollout_service_client::RolloutServiceClient;
use wharf::v1::{
    AddHostRequest, AllHosts, CreateRolloutRequest, FailureAction, GetRolloutRequest, HealthGate,
    HostSelector, PullPolicy, RolloutPolicy, RolloutSpec, RolloutState,
};

pub struct Rollouts {
    _wharfd: Wharfd,
    client: RolloutServiceClient<Channel>,
}

impl Rollouts {
    pub async fn new(engine: &Engine) -> anyhow::Result<Rollouts> {
        let wharfd = Wharfd::start().await?;
        let channel = Target::parse(&wharfd.address())?.connect().await?;
        let host = AddHostRequest {
            name: "a".to_owned(),
            address: engine.address().to_owned(),
            ..Default::default()
        };
        HostServiceClient::new(channel.clone()).add_host(host).await?;
        Ok(Rollouts { _wharfd: wharfd, client: RolloutServiceClient::new(channel) })
    }

    pub async fn replace(&self, container: &str, image: &str) -> anyhow::Result<()> {
        let nothing = Some(prost_types::Duration::default());
        // The gate comes after the start, and so is no part of what is measured.
        let policy = RolloutPolicy {
            health: HealthGate::Running.into(),
            min_healthy_time: nothing,
            monitor: nothing,
            pull_policy: PullPolicy::Never.into(),
            on_failure: FailureAction::Abort.into(),
            ..Default::default()
        };
        let everywhere = Selection::All(AllHosts {});
        let spec = RolloutSpec {
            container: container.to_owned(),
            image: image.to_owned(),
            targets: Some(HostSelector { selection: Some(everywhere), exclude: Vec::new() }),
            policy: Some(policy),
            ..Default::default()
        };
        let mut client = self.client.clone();
        let request = CreateRolloutRequest { spec: Some(spec), ..Default::default() };
        let created = client.create_rollout(request).await?.into_inner();
        let id = created.rollout.context("a rollout")?.id;
        eventually("the end of the rollout", async || {
            let request = GetRolloutRequest { id: id.clone(), ..Default::default() };
            let rollout = client.clone().get_rollout(request).await?.into_inner().rollout;
            let rollout = rollout.context("a rollout")?;
            ensure!(rollout.state() == RolloutState::Succeeded, "{rollout:#?}");
            Ok(())
        })
        .await
    }
}
