//! The one reader of what an Engine shows of a container: `GET /containers/{id}/json`.
//!
//! Parsed once and leniently, since Engines of different ages leave fields out or send null for
//! them: what is missing or of another type has its default. What Podman shows is put into the
//! words of a Docker Engine first, so that nobody else needs to know of it. The JSON stays, for
//! what the Engine has and this reader does not name. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EngineDocument, EngineError, ErrorKind, podman};

const OPERATION: &str = "GET /containers/{id}/json";

/// An inspection: what is read of it, and all of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inspection {
    /// What is read of it.
    pub facts: ContainerFacts,
    /// All of it, in the words of a Docker Engine.
    pub json: Value,
    /// Whether Podman made the container.
    pub is_podman: bool,
}

/// A container as its inspection shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Full ID.
    pub id: String,
    /// Name, without the leading slash of the Engine.
    pub name: String,
    /// The image as it was given at the creation.
    pub image: String,
    /// ID of its image.
    pub image_id: String,
    /// `State.Status`.
    pub status: Status,
    /// Whether it runs: also while it is paused or waits for its next restart.
    pub running: bool,
    /// `State.Paused`.
    pub paused: bool,
    /// `State.StartedAt` as the Engine reports it; `None` if it was never started. A change means
    /// that it was restarted.
    pub started_at: Option<String>,
    /// `RestartCount`.
    pub restart_count: i64,
    /// `State.ExitCode`; 128 with a start error if a start failed.
    pub exit_code: i64,
    /// `State.Error`; empty if the last start succeeded.
    pub start_error: String,
    /// `State.Health`; `None` without a health check.
    pub health: Option<Health>,
    /// `HostConfig.RestartPolicy`.
    pub restart: RestartPolicy,
    /// Whether the Engine removes it when it stops.
    pub auto_remove: bool,
    /// Its own grace period in seconds; `None` where it sets none.
    pub stop_timeout: Option<i64>,
    /// Labels whose values are texts.
    pub labels: BTreeMap<String, String>,
    /// `container:ID` if it shares one.
    pub network_mode: String,
    /// `container:ID` if it shares one.
    pub ipc_mode: String,
    /// `container:ID` if it shares one.
    pub pid_mode: String,
    /// Containers whose volumes it took, as `NAME[:MODE]`.
    pub volumes_from: Vec<String>,
    /// Names of the containers that it has legacy links to, in the default bridge. Links in other
    /// networks are only names, and resolve to the current owner of the name.
    pub links: Vec<String>,
    /// Its mounts.
    pub mounts: Vec<MountFacts>,
}

/// A mount of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountFacts {
    /// Of the volume; empty for others.
    pub name: String,
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Whether it can write there.
    pub writable: bool,
}

/// A restart policy as the Engine has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// `no`, `always`, `unless-stopped`, `on-failure`; empty counts as `no`.
    pub name: String,
    /// Of `on-failure`.
    pub maximum_retry_count: i64,
}

/// `State.Status` of the Engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Status {
    /// Never started, or its start failed.
    Created,
    /// Runs.
    Running,
    /// Runs, frozen.
    Paused,
    /// Ended, and the Engine is about to start it again.
    Restarting,
    /// Ended.
    Exited,
    /// Its removal failed.
    Dead,
    /// It is being removed.
    Removing,
    /// None that a Docker Engine has.
    #[default]
    Unknown,
}

/// `State.Health.Status` of the Engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// No result counts yet.
    Starting,
    /// Healthy.
    Healthy,
    /// Unhealthy.
    Unhealthy,
}

impl Inspection {
    /// Reads an answer of an Engine.
    ///
    /// # Errors
    /// [`ErrorKind::BadAnswer`] where it is no JSON.
    pub fn read(document: &EngineDocument) -> Result<Self, EngineError> {
        let json = document.parse();
        json.map(Self::of).map_err(|error| bad(format!("unexpected JSON: {error}")))
    }

    /// Reads the JSON of one.
    #[must_use]
    pub fn of(json: Value) -> Self {
        let is_podman = podman::made(&json);
        let json = podman::as_docker(json);
        Self { facts: ContainerFacts::read(&json), json, is_podman }
    }

    /// The same where its status is one, for those who act on that.
    ///
    /// # Errors
    /// [`ErrorKind::BadAnswer`] where it is not.
    pub fn with_status(self) -> Result<Self, EngineError> {
        if self.status == Status::Unknown {
            let status = &self.json["State"]["Status"];
            return Err(bad(format!("unknown state {status} of container {}", self.id)));
        }
        Ok(self)
    }

    /// Its own address; `None` where it has none.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        let networks = self.json["NetworkSettings"]["Networks"].as_object()?;
        let addresses = networks.values().filter_map(|network| network["IPAddress"].as_str());
        addresses.into_iter().find(|address| !address.is_empty())
    }

    /// Where its host publishes a TCP port: address, which may be empty, and port.
    #[must_use]
    pub fn published(&self, port: u16) -> Option<(&str, u16)> {
        let bindings = &self.json["NetworkSettings"]["Ports"][format!("{port}/tcp")];
        let binding = bindings.as_array()?.first()?;
        let published = binding["HostPort"].as_str()?.parse().ok()?;
        Some((binding["HostIp"].as_str().unwrap_or_default(), published))
    }

    /// What its last health check ended with, and what it wrote.
    #[must_use]
    pub fn last_check(&self) -> Option<(&Value, &str)> {
        let last = self.json["State"]["Health"]["Log"].as_array()?.last()?;
        Some((&last["ExitCode"], last["Output"].as_str().unwrap_or_default()))
    }
}

impl Deref for Inspection {
    type Target = ContainerFacts;

    fn deref(&self) -> &ContainerFacts {
        &self.facts
    }
}

impl ContainerFacts {
    /// Reads the inspection of a Docker Engine.
    #[must_use]
    pub fn read(inspect: &Value) -> Self {
        let (config, host_config) = (&inspect["Config"], &inspect["HostConfig"]);
        let (state, policy) = (&inspect["State"], &host_config["RestartPolicy"]);
        let number = |value: &Value| value.as_i64().unwrap_or_default();
        let labels = config["Labels"].as_object().into_iter().flatten();
        Self {
            id: text(&inspect["Id"]),
            name: text(&inspect["Name"]).trim_start_matches('/').to_owned(),
            image: text(&config["Image"]),
            image_id: text(&inspect["Image"]),
            status: if state["Dead"] == true {
                Status::Dead
            } else {
                Status::parse(state["Status"].as_str().unwrap_or_default())
            },
            running: state["Running"] == true || state["Restarting"] == true,
            paused: state["Paused"] == true,
            // Go's zero time means "never".
            started_at: Some(text(&state["StartedAt"]))
                .filter(|at| !at.is_empty() && !at.starts_with("0001")),
            restart_count: number(&inspect["RestartCount"]),
            exit_code: number(&state["ExitCode"]),
            start_error: text(&state["Error"]),
            health: Health::parse(state["Health"]["Status"].as_str().unwrap_or_default()),
            restart: RestartPolicy {
                name: text(&policy["Name"]),
                maximum_retry_count: number(&policy["MaximumRetryCount"]),
            },
            auto_remove: host_config["AutoRemove"] == true,
            stop_timeout: config["StopTimeout"].as_i64(),
            labels: labels
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            network_mode: text(&host_config["NetworkMode"]),
            ipc_mode: text(&host_config["IpcMode"]),
            pid_mode: text(&host_config["PidMode"]),
            volumes_from: items(&host_config["VolumesFrom"]).map(text).collect(),
            links: items(&host_config["Links"]).filter_map(linked).collect(),
            mounts: items(&inspect["Mounts"])
                .map(|mount| MountFacts {
                    name: text(&mount["Name"]),
                    source: text(&mount["Source"]),
                    target: text(&mount["Destination"]),
                    writable: mount["RW"] != false,
                })
                .collect(),
        }
    }

    /// The value of a label; `None` where it has no such label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// The ID as people read it.
    #[must_use]
    pub fn short_id(&self) -> &str {
        short_id(&self.id)
    }

    /// Whether it is being removed, or its removal failed: it can no longer be used.
    #[must_use]
    pub fn is_going(&self) -> bool {
        matches!(self.status, Status::Dead | Status::Removing)
    }

    /// Whether it is down after an error or unhealthy, so that it has little to lose.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.health == Some(Health::Unhealthy)
            || self.status == Status::Restarting
            || (self.status == Status::Exited && self.exit_code != 0)
    }

    /// Whether a text in another container's settings refers to this one: its name or ID, or a
    /// prefix of the ID that is too long to be a coincidence.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let text = text.trim_start_matches('/');
        !text.is_empty()
            && (text == self.id
                || text == self.name
                || (text.len() >= 12 && self.id.starts_with(text)))
    }
}

impl fmt::Display for ContainerFacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.short_id(), self.name, self.status.as_str())
    }
}

impl RestartPolicy {
    /// The one with which the Engine never starts it.
    #[must_use]
    pub fn no() -> Self {
        Self { name: "no".to_owned(), maximum_retry_count: 0 }
    }

    /// Whether the Engine never starts it automatically.
    #[must_use]
    pub fn is_no(&self) -> bool {
        matches!(self.name.as_str(), "" | "no")
    }

    /// Whether a container starts at boot. Podman treats both policies the same.
    #[must_use]
    pub fn is_for_boot(&self) -> bool {
        matches!(self.name.as_str(), "always" | "unless-stopped")
    }

    /// Whether two policies have the same effect: the count only matters with `on-failure`.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        (self.is_no() && other.is_no())
            || (self.name == other.name
                && (self.name != "on-failure"
                    || self.maximum_retry_count == other.maximum_retry_count))
    }
}

impl Status {
    fn parse(text: &str) -> Self {
        match text {
            "created" => Self::Created,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "exited" => Self::Exited,
            "dead" => Self::Dead,
            "removing" => Self::Removing,
            _ => Self::Unknown,
        }
    }

    /// As the Engine writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Removing => "removing",
            Self::Unknown => "unknown",
        }
    }
}

impl Health {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "starting" => Self::Starting,
            "healthy" => Self::Healthy,
            "unhealthy" => Self::Unhealthy,
            // `none`, too.
            _ => return None,
        })
    }
}

/// The first twelve digits of an ID.
#[must_use]
pub fn short_id(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// The target of a legacy link, which an inspection shows as `/db:/web/alias`; `None` for a link of
/// another network, which is shown as requested.
fn linked(link: &Value) -> Option<String> {
    let (target, alias) = link.as_str()?.split_once(':')?;
    let legacy = target.starts_with('/') && alias.starts_with('/');
    legacy.then(|| target.trim_start_matches('/').to_owned())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn bad(message: String) -> EngineError {
    EngineError::new(ErrorKind::BadAnswer, OPERATION, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_inspection_leaves_out_has_its_default() {
        let nothing = ContainerFacts::read(&json!({"Config": null, "Mounts": null, "State": 1}));
        assert_eq!(nothing, ContainerFacts::default());
        let found = ContainerFacts::read(&json!({
            "Id": "ab", "Name": "/web", "RestartCount": "many",
            "State": {"Status": "running", "Running": true, "StartedAt": "0001-01-01T00:00:00Z"},
            "Config": {"Labels": {"a": "b", "c": 1}},
            "HostConfig": {"Links": ["/db:/web/alias", "db:alias"]},
        }));
        assert_eq!((&*found.id, &*found.name, found.restart_count), ("ab", "web", 0));
        assert_eq!((found.status, found.running, found.started_at), (Status::Running, true, None));
        assert_eq!(found.labels, BTreeMap::from([("a".to_owned(), "b".to_owned())]));
        assert_eq!(found.links, ["db"]);
    }

    #[test]
    fn one_that_waits_for_its_next_restart_runs() {
        let running = |state: Value| ContainerFacts::read(&json!({ "State": state })).running;
        assert!(running(json!({"Running": true, "Paused": true})));
        assert!(running(json!({"Running": false, "Restarting": true})));
        assert!(!running(json!({"Running": false, "Status": "exited"})));
    }

    #[test]
    fn a_status_that_nobody_knows_is_no_ground_to_act_on() {
        let of = |state: Value| Inspection::of(json!({"State": state})).with_status();
        assert_eq!(of(json!({"Status": "exited"})).unwrap().status, Status::Exited);
        assert!(of(json!({"Status": "melted"})).unwrap_err().message.contains("melted"));
        assert!(of(json!({})).is_err());
    }

    #[test]
    fn a_container_of_podman_is_read_in_the_words_of_docker() {
        let state = json!({"Status": "stopping", "Running": false});
        let found = Inspection::of(json!({"HostConfig": {"Runtime": "oci"}, "State": state}));
        assert!(found.is_podman && found.running && found.status == Status::Running);
    }
}
