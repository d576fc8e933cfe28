//! A requested rollout: checked values with the defaults of docs/rollout.md. [`Policy`] is stored
//! in the journal and visible to everybody; [`Change`] may contain secrets and is stored sealed.

mod amount;
mod check;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf::v1;

use crate::domain::{ContainerName, HostName, ImageReference};

pub use amount::InvalidAmount;

/// A requested rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutSpec {
    /// The container, by the same name on every host.
    pub container: ContainerName,
    /// The change.
    pub change: Change,
    /// How it is carried out.
    pub policy: Policy,
}

/// The change. If nothing is set, the container is recreated with its current settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// The new image; `None` keeps that of each host.
    pub image: Option<ImageReference>,
    /// The host that hosts without the image get it from; `None`: its registry.
    pub image_from: Option<HostName>,
    /// Settings to set, merged with the current ones like in `CreateContainer`.
    pub set: v1::ContainerSpec,
    /// Settings to remove, such as `env.DEBUG`, `labels.tier`, `ports.80/tcp`, `volumes./data`,
    /// `command`, `memory_bytes`.
    pub unset: Vec<String>,
    /// RFC 7396 over the Engine's body, last of all.
    pub merge_patch: Option<Value>,
    /// The whole body of the container: no setting of the old one is kept, and a missing container
    /// is created.
    pub whole: Option<Value>,
}

/// How a rollout is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Hosts in progress at the same time: a sliding window; a percentage is of all hosts, at least
    /// 1.
    pub max_parallel: Amount,
    /// Waves, as cumulative amounts that rise to 100 %; empty: one wave of all hosts.
    pub batches: Vec<Amount>,
    /// A first wave of its own before all others; `None`: none.
    pub canary: Option<Amount>,
    /// What to do after the canary.
    pub promote: Promote,
    /// Start a host only while fewer hosts are in progress or unhealthy; `None`: like
    /// `max_parallel`.
    pub max_unavailable: Option<Amount>,
    /// Which of the old and the new container goes first.
    pub order: OrderPreference,
    /// Pause between one host and the next, for each place of the window.
    pub delay: Duration,
    /// Watch after each wave; failures during it count.
    pub bake: Duration,
    /// How to decide whether a new container is healthy.
    pub gate: Gate,
    /// How long it must be healthy without interruption.
    pub min_healthy_time: Duration,
    /// Watch of a host after its gate.
    pub monitor: Duration,
    /// From the start of the new container to the end of the gate; pulls do not count.
    pub healthy_deadline: Duration,
    /// Longest standstill of a pull.
    pub pull_timeout: Duration,
    /// Grace period of a stop; `None`: the container's own.
    pub stop_timeout: Option<Duration>,
    /// No host finished for this long: the action of [`Policy::on_failure`] that stops.
    pub progress_deadline: Duration,
    /// Number of failed hosts to tolerate; a percentage is of all hosts, rounded down.
    pub max_failures: Amount,
    /// What to do if more hosts fail.
    pub on_failure: OnFailure,
    /// Which hosts a rollback restores.
    pub rollback_scope: RollbackScope,
    /// Hosts in progress at the same time in a rollback; `None`: like `max_parallel`.
    pub rollback_parallel: Option<Amount>,
    /// What to do with a host that does not answer before its work starts.
    pub on_unreachable: OnUnreachable,
    /// Hosts that may be skipped for that.
    pub max_unreachable: Amount,
    /// When images are pulled.
    pub pull: PullWhen,
    /// Number of old containers to keep, stopped, for an undo, after the rollout has ended.
    pub keep_old: u32,
    /// For how long, from then on.
    pub keep_old_for: Duration,
    /// What to do with anonymous volumes.
    pub anonymous_volumes: AnonymousVolumes,
    /// What to do with containers that share a namespace with this one.
    pub dependents: Dependents,
    /// What to do with a container that is not running.
    #[serde(default)]
    pub stopped: Stopped,
    /// Command to run in the old container before it is stopped; must exit with 0.
    pub drain: Option<Vec<String>>,
    /// Command in the new container after its gate; must end with 0.
    pub verify: Option<Vec<String>>,
    /// Fail a host if the new container's settings differ from the requested ones.
    pub strict: bool,
    /// If the image of the old container is missing, treat every current setting as set explicitly,
    /// instead of refusing.
    #[serde(default)]
    pub assume_explicit: bool,
    /// Keep the addresses in overlay networks, which may be dynamic.
    #[serde(default)]
    pub pin_overlay_addresses: bool,
    /// Start-first although old and new would write to the same volumes for a while.
    #[serde(default)]
    pub share_volumes: bool,
}

/// A number of hosts, or a part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// So many.
    Count(u32),
    /// So many of a hundred; 0 to 100.
    Percent(u32),
}

/// What to do after the canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promote {
    /// The next wave starts.
    Auto,
    /// The rollout pauses until it is promoted.
    Manual,
}

/// Which of the old and the new container goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderPreference {
    /// The old one stops, then the new one starts.
    StopFirst,
    /// The new one starts first; a plan error if that is impossible.
    StartFirst,
    /// The new one first if possible; the plan shows where it is not.
    Auto,
}

/// How to decide whether a container is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum Gate {
    /// Docker's health check if it has one, otherwise that it is running.
    Auto,
    /// Docker's health check; a plan error if there is none.
    Docker,
    /// That it runs, without a restart.
    Running,
    /// An HTTP request is answered as expected.
    Http {
        /// Port in the container.
        port: u16,
        /// Path, with its slash.
        path: String,
        /// Status that is expected; `None`: any from 200 to 399.
        status: Option<u16>,
        /// Text that the body must contain; empty: any body.
        body: String,
        /// Whether to probe the published port of the host or the container's own address.
        through: Through,
    },
    /// A TCP connection to the container's own address succeeds.
    Tcp {
        /// Port in the container.
        port: u16,
    },
    /// A command in the container ends with 0.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// No check except that it started.
    None,
}

/// How a probe reaches a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Through {
    /// The host port on which the container's port is published; with host networking, the port
    /// itself.
    PublishedPort,
    /// The container's own address.
    ContainerAddress,
}

/// What to do if more hosts fail than the budget allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Pause and wait for a person.
    Pause,
    /// Restore the replaced containers.
    Rollback,
    /// Continue; the rollout ends as failed.
    Continue,
    /// Stop and leave the mix.
    Abort,
}

/// Which hosts a rollback restores. A failed host is always restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackScope {
    /// None but the failed ones.
    Failed,
    /// Those of the wave that failed.
    Wave,
    /// All.
    All,
}

/// What to do with a host that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnreachable {
    /// It is tried again until it answers or the progress deadline passes.
    Wait,
    /// It is left out.
    Skip,
    /// It counts as failed.
    Fail,
}

/// When images are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullWhen {
    /// On every host.
    Always,
    /// If the image is missing.
    Missing,
    /// Never; a plan error if it is missing.
    Never,
}

/// What to do with anonymous volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnonymousVolumes {
    /// The new container gets those of the old one.
    Keep,
    /// The new container gets new ones.
    Renew,
}

/// What to do with containers that share a namespace with the replaced one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependents {
    /// A plan error if there are any.
    Refuse,
    /// Recreate them after it.
    Recreate,
}

/// What to do with a container that is not running: created or exited. A paused one is always
/// skipped, and a dead one, which can only be removed, is a plan error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// The new container is started and must pass the gate. If it fails, the old one is restored
    /// and stays stopped.
    #[default]
    Start,
    /// Create the new container without starting it; nothing verifies that it works.
    Keep,
    /// The host is left out.
    Skip,
    /// A plan error.
    Refuse,
}

impl Policy {
    /// The policy for a dependent: hooks and probes apply only to the container itself.
    #[must_use]
    pub fn of_dependents(&self) -> Self {
        Self {
            gate: if self.gate == Gate::None { Gate::None } else { Gate::Auto },
            monitor: Duration::ZERO,
            order: OrderPreference::StopFirst,
            anonymous_volumes: AnonymousVolumes::Keep,
            drain: None,
            verify: None,
            ..self.clone()
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        const fn seconds(seconds: u64) -> Duration {
            Duration::from_secs(seconds)
        }
        Self {
            max_parallel: Amount::Count(1),
            batches: Vec::new(),
            canary: None,
            promote: Promote::Auto,
            max_unavailable: None,
            order: OrderPreference::StopFirst,
            delay: Duration::ZERO,
            bake: Duration::ZERO,
            gate: Gate::Auto,
            min_healthy_time: seconds(10),
            monitor: seconds(30),
            healthy_deadline: seconds(300),
            pull_timeout: seconds(900),
            stop_timeout: None,
            progress_deadline: seconds(900),
            max_failures: Amount::Count(0),
            on_failure: OnFailure::Pause,
            rollback_scope: RollbackScope::All,
            rollback_parallel: None,
            on_unreachable: OnUnreachable::Wait,
            max_unreachable: Amount::Count(0),
            pull: PullWhen::Missing,
            keep_old: 1,
            keep_old_for: seconds(24 * 3600),
            anonymous_volumes: AnonymousVolumes::Keep,
            dependents: Dependents::Refuse,
            stopped: Stopped::Start,
            drain: None,
            verify: None,
            strict: false,
            assume_explicit: false,
            pin_overlay_addresses: false,
            share_volumes: false,
        }
    }
}
