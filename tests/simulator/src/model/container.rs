//! A container of the model: its configuration, and the state of its process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use wharf_server::engine::{FileChange, FileChangeKind};

use super::behaviour::{Behaviour, HealthScript};
use super::content::string_map;
use super::time::Time;

/// A container.
#[derive(Debug, Clone)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the slash.
    pub name: String,
    /// When it was created.
    pub created: Time,
    /// ID of its image, which may be gone since.
    pub image_id: String,
    /// The Engine's `Config`, the image's defaults merged in; unknown fields are kept.
    pub config: Map<String, Value>,
    /// The Engine's `HostConfig`; unknown fields are kept. Containers with the same one share it.
    pub host_config: Arc<Map<String, Value>>,
    /// Networks by name.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Ports on the host, while it runs.
    pub published: Vec<PublishedPort>,
    /// Volumes, binds and temporary file systems.
    pub mounts: Vec<Mount>,
    /// The state of its process.
    pub state: State,
    /// What its process does.
    pub behaviour: Behaviour,
    /// Restarts by policy since it was last started by a caller.
    pub restart_count: u32,
    /// A caller stopped or killed it: the policy leaves it alone.
    pub manually_stopped: bool,
    /// It ran at least once: only then does an Engine that starts look at its policy.
    pub started_before: bool,
    /// Times that its process ended; what waits for the next exit compares it.
    pub exits: u64,
    /// What it wrote by [`super::Model::write_log`].
    pub(crate) log: Vec<super::LogEntry>,
    /// The archives that were extracted in it, by directory.
    pub(crate) archives: BTreeMap<String, Vec<u8>>,
    /// Its anonymous volumes go with it, once its removal is done.
    pub(crate) remove_volumes: bool,
    pub(crate) due: Due,
}

/// What a container is attached to in one network.
#[derive(Debug, Clone, Default)]
pub struct Endpoint {
    /// `IPAMConfig`, `Aliases`, `Links`, `DriverOpts`, `MacAddress` as the caller gave them.
    pub settings: Map<String, Value>,
    /// While it runs.
    pub address: Option<Address>,
}

/// An address in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// ID of the network.
    pub network_id: String,
    /// ID of the endpoint, new at each start.
    pub endpoint_id: String,
    /// Empty in the networks `host` and `none`.
    pub ip: String,
    /// Of the network.
    pub gateway: String,
    /// Of the interface.
    pub mac: String,
}

/// A port of a container on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishedPort {
    /// Such as `80/tcp`.
    pub private: String,
    /// Address on the host.
    pub ip: String,
    /// Port on the host.
    pub port: u16,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `bind`, `volume` or `tmpfs`.
    pub kind: &'static str,
    /// Name of the volume.
    pub name: String,
    /// Path on the host, for a bind.
    pub source: String,
    /// Path in the container.
    pub destination: String,
    /// As written, such as `ro` or `z`.
    pub mode: String,
    /// Whether it can be written.
    pub writable: bool,
    /// A volume that nobody named.
    pub anonymous: bool,
}

/// What a container's process is at, in the Engine's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Never started.
    Created,
    /// Runs.
    Running,
    /// Frozen.
    Paused,
    /// Ended, and waits for its policy to start it again.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
    /// Its removal was started and failed.
    Dead,
}

/// The state of a container's process.
#[derive(Debug, Clone)]
pub struct State {
    /// What it is at.
    pub status: Status,
    /// 0 when it does not run.
    pub pid: u32,
    /// Of the last run.
    pub exit_code: i64,
    /// Why the last start failed.
    pub error: String,
    /// Of the last run.
    pub started_at: Option<Time>,
    /// Of the last run that ended.
    pub finished_at: Option<Time>,
    /// Of the health check, where there is one and it ran once.
    pub health: Option<Health>,
}

/// What a health check found.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: &'static str,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last probes, five at most.
    pub log: Vec<Probe>,
}

/// One run of a health check.
#[derive(Debug, Clone)]
pub struct Probe {
    /// When.
    pub at: Time,
    /// 0 is healthy.
    pub exit_code: i64,
    /// What it printed.
    pub output: String,
}

/// What will happen to a container by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Due {
    /// The process ends with this status.
    pub exit: Option<(Time, i64)>,
    /// The Engine loses patience and kills.
    pub kill: Option<Time>,
    /// The policy starts it again.
    pub restart: Option<Time>,
    /// It is gone.
    pub removal: Option<Time>,
    /// Its health turns to what is said.
    pub healthy: Option<Time>,
    pub unhealthy: Option<Time>,
    /// Since when it is frozen.
    pub frozen: Option<Time>,
    /// It is started again once it has ended: a caller's restart.
    pub start_after_exit: bool,
    /// What the policy waits before the next restart.
    pub backoff: Duration,
    /// The policy does nothing at the next exit.
    pub cancelled: bool,
}

/// The kinds of event in [`Due`], in the order in which they happen at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Exit,
    Kill,
    Healthy,
    Unhealthy,
    Restart,
    Removal,
}

impl Status {
    /// In the Engine's words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        }
    }

    /// Whether the Engine says `Running: true`, which it does while it waits to restart too.
    pub fn counts_as_running(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }

    /// Whether there is a process.
    pub fn has_process(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

impl Container {
    /// Its labels, the image's among them.
    pub fn labels(&self) -> BTreeMap<String, String> {
        string_map(self.config.get("Labels"))
    }

    /// The policy's name; empty is `no`.
    pub fn restart_policy(&self) -> &str {
        self.host_config["RestartPolicy"]["Name"].as_str().unwrap_or_default()
    }

    /// Whether the policy restarts it, after an exit or as the Engine starts.
    pub(crate) fn policy_restarts(&self) -> bool {
        let most = self.host_config["RestartPolicy"]["MaximumRetryCount"].as_u64().unwrap_or(0);
        match self.restart_policy() {
            "always" => true,
            "unless-stopped" => !self.manually_stopped,
            "on-failure" => {
                self.state.exit_code != 0 && (most == 0 || u64::from(self.restart_count) < most)
            }
            _ => false,
        }
    }

    /// Whether a caller's restart has stopped it and not yet started it.
    pub(crate) fn restart_pending(&self) -> bool {
        self.due.start_after_exit
    }

    /// Whether it goes when it ends.
    pub fn auto_remove(&self) -> bool {
        self.host_config["AutoRemove"].as_bool().unwrap_or(false)
    }

    /// The network it was created with; `default` is the bridge.
    pub fn network_mode(&self) -> &str {
        self.host_config["NetworkMode"].as_str().unwrap_or("default")
    }

    /// Seconds that a stop waits; `None` where it does not say, negative forever.
    pub(crate) fn stop_timeout(&self) -> Option<i64> {
        self.config.get("StopTimeout").and_then(Value::as_i64)
    }

    /// Entry point and command, one list.
    pub fn argv(&self) -> Vec<String> {
        let mut argv = super::content::strings(self.config.get("Entrypoint"));
        argv.extend(super::content::strings(self.config.get("Cmd")));
        argv
    }

    /// What it changed in its file system.
    pub fn changes(&self) -> Vec<FileChange> {
        if !self.started_before {
            return Vec::new();
        }
        let mut changes: Vec<FileChange> = Vec::new();
        let mut add = |kind, path: &str| {
            if !changes.iter().any(|change| change.path == path) {
                changes.push(FileChange { kind, path: path.to_owned() });
            }
        };
        for path in &self.behaviour.writes {
            if let Some((parent, _)) =
                path.rsplit_once('/').filter(|(parent, _)| !parent.is_empty())
            {
                add(FileChangeKind::Modified, parent);
            }
            add(FileChangeKind::Added, path);
        }
        for mount in &self.mounts {
            add(FileChangeKind::Added, &mount.destination);
        }
        changes
    }

    /// The health check's command, unless there is none or it is switched off.
    pub(crate) fn health_test(&self) -> Option<Vec<String>> {
        let test = super::content::strings(self.config.get("Healthcheck")?.get("Test"));
        (!test.is_empty() && test[0] != "NONE").then_some(test)
    }

    /// What the health check will find: as scripted, or by its command (`false` and `exit N`
    /// fail, all else succeeds) after one interval, or as many as there are retries.
    pub(crate) fn health_script(&self) -> HealthScript {
        if let Some(script) = self.behaviour.health {
            return script;
        }
        let check = &self.config["Healthcheck"];
        let interval = match check["Interval"].as_u64() {
            None | Some(0) => Duration::from_secs(30),
            Some(nanoseconds) => Duration::from_nanos(nanoseconds),
        };
        let retries = check["Retries"].as_u64().filter(|&retries| retries > 0).unwrap_or(3);
        let test = self.health_test().unwrap_or_default();
        let fails = test.last().is_some_and(|last| {
            last.ends_with("/false")
                || last == "false"
                || last.starts_with("exit ") && last != "exit 0"
        });
        if fails {
            let after = interval * u32::try_from(retries).unwrap_or(u32::MAX);
            HealthScript { unhealthy_after: Some(after), ..HealthScript::default() }
        } else {
            HealthScript { healthy_after: Some(interval), ..HealthScript::default() }
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            status: Status::Created,
            pid: 0,
            exit_code: 0,
            error: String::new(),
            started_at: None,
            finished_at: None,
            health: None,
        }
    }
}

impl Due {
    /// What happens first.
    pub fn first(&self) -> Option<(Time, Event)> {
        let frozen = self.frozen.is_some();
        [
            (self.exit.map(|(at, _)| at).filter(|_| !frozen), Event::Exit),
            (self.kill, Event::Kill),
            (self.healthy.filter(|_| !frozen), Event::Healthy),
            (self.unhealthy.filter(|_| !frozen), Event::Unhealthy),
            (self.restart, Event::Restart),
            (self.removal, Event::Removal),
        ]
        .into_iter()
        .filter_map(|(at, event)| Some((at?, event)))
        .min()
    }
}
