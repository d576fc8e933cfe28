//! What is on a host, as far as a plan needs to know: the container that is to be replaced, its
//! image, and everything that may stand in its way.
//!
//! [`gather`] asks the Engine and changes nothing; the values are plain, and what is pure works on
//! them. Called by the planner and, for the look before a step, by the executor.

mod ask;
mod podman;

use serde_json::Value;

pub use ask::{Facts, container, gather};
pub use podman::as_docker;

use crate::engine::{ApiVersion, FileChange, Platform};

/// The container that is to be replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct OldContainer {
    /// The Engine's inspection.
    pub inspect: Value,
    /// The inspection of its image, by the image's ID; `None` where that is gone.
    pub image: Option<Value>,
    /// ID of the image that the name of its image stands for now.
    pub named_image: Option<String>,
    /// What it wrote into its own layer; `None` where the Engine does not say.
    pub changes: Option<Vec<FileChange>>,
}

/// What is around it on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The version in which the facts were read and the container will be created.
    pub api_version: ApiVersion,
    /// The host name of the Engine.
    pub engine_name: String,
    /// Where logs go by default; empty where the Engine does not say.
    pub log_driver: String,
    /// What runs containers by default; empty where the Engine does not say.
    pub runtime: String,
    /// What it runs.
    pub platform: Platform,
    /// All networks.
    pub networks: Vec<NetworkFacts>,
    /// All containers that could be read, the target included.
    pub containers: Vec<ContainerFacts>,
    /// IDs of those that could not.
    pub unread: Vec<String>,
    /// Whether it cannot change the restart policy of a container: Podman before 5.1.
    pub fixed_restart_policies: bool,
    /// Containers that rollouts made, of any `wharfd`.
    pub made: Vec<MadeContainer>,
    /// The clock of the host, in Unix seconds; `None` where the Engine does not say.
    pub now: Option<i64>,
}

/// A container that a rollout made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeContainer {
    /// Its name.
    pub name: String,
    /// The rollout, as its label has it.
    pub rollout: String,
    /// When it was made, in Unix seconds of its host.
    pub created: i64,
}

/// A network of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkFacts {
    /// Full ID.
    pub id: String,
    /// Its name; not always the only one of that name.
    pub name: String,
    /// Such as `bridge` or `overlay`.
    pub driver: String,
    /// `local`, `swarm` or `global`.
    pub scope: String,
}

/// A container of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Full ID.
    pub id: String,
    /// Its name without the leading slash.
    pub name: String,
    /// ID of its image.
    pub image_id: String,
    /// Whether it runs.
    pub running: bool,
    /// `container:ID` where it shares one.
    pub network_mode: String,
    /// `container:ID` where it shares one.
    pub ipc_mode: String,
    /// `container:ID` where it shares one.
    pub pid_mode: String,
    /// Containers whose volumes it took, as `NAME[:MODE]`.
    pub volumes_from: Vec<String>,
    /// Names of the containers that it has legacy links to, those of the default bridge. Links in
    /// other networks are no more than names there, and lead to whatever has the name.
    pub links: Vec<String>,
    /// What is mounted into it.
    pub mounts: Vec<MountFacts>,
}

/// Something that is mounted into a container.
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

/// The target of a legacy link, which an inspection shows as `/db:/web/alias`; `None` for a link of
/// another network, which it shows as it was given.
fn linked(link: &Value) -> Option<String> {
    let (target, alias) = link.as_str()?.split_once(':')?;
    let legacy = target.starts_with('/') && alias.starts_with('/');
    legacy.then(|| target.trim_start_matches('/').to_owned())
}

impl ContainerFacts {
    /// Reads an inspection.
    #[must_use]
    pub fn read(inspect: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let host_config = &inspect["HostConfig"];
        Self {
            id: text(&inspect["Id"]),
            name: text(&inspect["Name"]).trim_start_matches('/').to_owned(),
            image_id: text(&inspect["Image"]),
            running: inspect["State"]["Running"] == true,
            network_mode: text(&host_config["NetworkMode"]),
            ipc_mode: text(&host_config["IpcMode"]),
            pid_mode: text(&host_config["PidMode"]),
            volumes_from: list(&host_config["VolumesFrom"]).iter().map(text).collect(),
            links: list(&host_config["Links"]).iter().filter_map(linked).collect(),
            mounts: list(&inspect["Mounts"])
                .iter()
                .map(|mount| MountFacts {
                    name: text(&mount["Name"]),
                    source: text(&mount["Source"]),
                    target: text(&mount["Destination"]),
                    writable: mount["RW"] != false,
                })
                .collect(),
        }
    }

    /// Whether a text of another container's settings means this one: its name or ID, or a
    /// beginning of the ID that nobody has by chance.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let text = text.trim_start_matches('/');
        !text.is_empty()
            && (text == self.id
                || text == self.name
                || (text.len() >= 12 && self.id.starts_with(text)))
    }
}
