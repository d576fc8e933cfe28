//! A client of the API of `wharfd`: what it asks for, and when it gets it.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::time::Instant;
use tonic::Streaming;
use tonic::transport::Channel;
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1;
use wharf::v1::container_service_client::ContainerServiceClient;
use wharf::v1::exec_service_client::ExecServiceClient;
use wharf::v1::image_service_client::ImageServiceClient;
use wharf::v1::log_service_client::LogServiceClient;
use wharf::v1::rollout_service_client::RolloutServiceClient;

use super::Measure;
use super::record::{Round, Work};

/// More than the largest message of a list with Engine JSON.
const MESSAGE: usize = 64 << 20;

pub struct Client {
    channel: Channel,
    parallel: usize,
    timeout: Duration,
    hosts: usize,
}

impl Client {
    pub fn new(channel: Channel, measure: &Measure) -> Self {
        let hosts = measure.addresses().map_or(0, |addresses| addresses.len());
        let timeout = Duration::from_secs(measure.timeout);
        Self { channel, parallel: measure.parallel, timeout, hosts }
    }

    /// Does it once. Times are from `begun` on.
    pub async fn round(&mut self, work: Work, tag: &str, begun: Instant) -> anyhow::Result<Round> {
        let channel = self.channel.clone();
        let (targets, fanout) = (Some(everywhere()), Some(self.fanout()));
        let (container, containers) = ("web".to_owned(), vec!["web".to_owned()]);
        let reference = format!("registry.sim:5000/app:{tag}");
        let round = match work {
            Work::List | Work::ListJson | Work::ListView => {
                let request = list(work, fanout);
                let mut client = ContainerServiceClient::new(channel);
                read(client.list_containers(request).await?.into_inner(), begun).await?
            }
            Work::Inspect => {
                let request =
                    v1::InspectContainersRequest { targets, fanout, containers, size: false };
                let client = ContainerServiceClient::new(channel);
                let mut client = client.max_decoding_message_size(MESSAGE);
                read(client.inspect_containers(request).await?.into_inner(), begun).await?
            }
            Work::Pull => {
                let request =
                    v1::PullImageRequest { targets, fanout, reference, ..Default::default() };
                let mut client = ImageServiceClient::new(channel);
                read(client.pull_image(request).await?.into_inner(), begun).await?
            }
            Work::Exec => {
                let command =
                    v1::CommandSpec { command: vec!["true".to_owned()], ..Default::default() };
                let command = Some(command);
                let request = v1::RunCommandRequest {
                    targets,
                    fanout,
                    container,
                    command,
                    ..Default::default()
                };
                let mut client = ExecServiceClient::new(channel);
                read(client.run_command(request).await?.into_inner(), begun).await?
            }
            Work::Logs => {
                let request = v1::StreamLogsRequest {
                    targets,
                    fanout,
                    containers,
                    tail: Some(100),
                    ..Default::default()
                };
                let mut client = LogServiceClient::new(channel);
                read(client.stream_logs(request).await?.into_inner(), begun).await?
            }
            Work::Upgrade => self.upgrade(reference, begun).await?,
        };
        ensure!(round.ok + round.failed == self.hosts, "{round:?} of {} hosts", self.hosts);
        Ok(round)
    }

    fn fanout(&self) -> v1::FanoutOptions {
        v1::FanoutOptions {
            host_timeout: prost_types::Duration::try_from(self.timeout).ok(),
            max_parallel: u32::try_from(self.parallel).unwrap_or_default(),
            ..Default::default()
        }
    }

    /// A rollout without time for a gate to watch: from the request to its end.
    async fn upgrade(&self, image: String, begun: Instant) -> anyhow::Result<Round> {
        let nothing = Some(prost_types::Duration::default());
        let policy = v1::RolloutPolicy {
            max_parallel: self.parallel.to_string(),
            health: v1::HealthGate::Running.into(),
            min_healthy_time: nothing,
            monitor: nothing,
            pull_policy: v1::PullPolicy::Always.into(),
            on_failure: v1::FailureAction::Abort.into(),
            ..Default::default()
        };
        let spec = v1::RolloutSpec {
            container: "web".to_owned(),
            image,
            targets: Some(everywhere()),
            policy: Some(policy),
            ..Default::default()
        };
        let mut client =
            RolloutServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE);
        let request = v1::CreateRolloutRequest { spec: Some(spec), ..Default::default() };
        let created = client.create_rollout(request).await?.into_inner();
        let id = created.rollout.context("a rollout")?.id;
        let request = v1::WatchRolloutsRequest { id, ..Default::default() };
        let mut watch = client.watch_rollouts(request).await?.into_inner();
        while let Some(message) = watch.message().await? {
            use v1::watch_rollouts_response::Event;
            let rollouts = match message.event {
                Some(Event::Rollout(rollout)) => vec![rollout],
                Some(Event::Snapshot(snapshot)) => snapshot.rollouts,
                _ => continue,
            };
            for rollout in rollouts {
                match rollout.state() {
                    v1::RolloutState::Succeeded => {
                        let wall = begun.elapsed();
                        let all = self.hosts;
                        let first = Duration::ZERO;
                        let round =
                            Round { wall, healthy: wall, first, ok: all, failed: 0, asked: all };
                        return Ok(round);
                    }
                    state @ (v1::RolloutState::Failed
                    | v1::RolloutState::Aborted
                    | v1::RolloutState::Paused
                    | v1::RolloutState::RolledBack) => bail!("the rollout is {state:?}"),
                    _ => {}
                }
            }
        }
        bail!("the watch ended before the rollout")
    }
}

/// The request of a list.
pub fn list(work: Work, fanout: Option<v1::FanoutOptions>) -> v1::ListContainersRequest {
    let consistency = match work {
        Work::ListView => v1::Consistency::View,
        _ => v1::Consistency::Fresh,
    };
    v1::ListContainersRequest {
        targets: Some(everywhere()),
        fanout,
        all: true,
        include_engine_json: work == Work::ListJson,
        consistency: consistency.into(),
        ..Default::default()
    }
}

pub fn everywhere() -> v1::HostSelector {
    let all = v1::host_selector::Selection::All(v1::AllHosts {});
    v1::HostSelector { selection: Some(all), exclude: Vec::new() }
}

/// Reads a stream to its end.
pub async fn read<R: FanoutResponse>(
    mut stream: Streaming<R>,
    begun: Instant,
) -> anyhow::Result<Round> {
    let mut round = Round::default();
    let mut complete = false;
    loop {
        let message = match stream.message().await {
            Ok(Some(message)) => message,
            Ok(None) => break,
            // After the summary it says only that some hosts failed.
            Err(_) if complete => break,
            Err(status) => return Err(status.into()),
        };
        match message.into_envelope().1.context("an event")? {
            Envelope::Payload(_) if round.first.is_zero() => round.first = begun.elapsed(),
            Envelope::Outcome(outcome) => {
                round.asked += usize::from(outcome.view.is_none_or(|view| view.fresh));
                if outcome.status.is_none_or(|status| status.code == 0) {
                    round.ok += 1;
                    round.healthy = begun.elapsed();
                } else {
                    round.failed += 1;
                }
            }
            Envelope::Summary(_) => complete = true,
            _ => {}
        }
    }
    ensure!(complete, "the stream ended before its summary");
    round.wall = begun.elapsed();
    Ok(round)
}
