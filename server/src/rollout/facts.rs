//! The facts of a host that a plan needs: the container to replace, its image, and everything that
//! may prevent the replacement.
//!
//! [`gather`] queries the Engine and changes nothing; the values are plain data for pure code.
//! Called by the planner and, for the observation before a step, by the executor.

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
    /// The inspection of its image, by the image's ID; `None` if the image is gone.
    pub image: Option<Value>,
    /// ID of the image that the name of its image now points to.
    pub named_image: Option<String>,
    /// Changed files in its writable layer; `None` if the Engine does not report them.
    pub changes: Option<Vec<FileChange>>,
}

/// The environment of the container on its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The version in which the facts were read and the container will be created.
    pub api_version: ApiVersion,
    /// The host name of the Engine.
    pub engine_name: String,
    /// The default log driver; empty if the Engine does not report it.
    pub log_driver: String,
    /// The default runtime; empty if the Engine does not report it.
    pub runtime: String,
    /// The platform of the host.
    pub platform: Platform,
    /// All networks.
    pub networks: Vec<NetworkFacts>,
    /// All containers that could be read, the target included.
    pub containers: Vec<ContainerFacts>,
    /// IDs of containers that could not be read.
    pub unread: Vec<String>,
    /// Whether the Engine cannot change the restart policy of a container: Podman before 5.1.
    pub fixed_restart_policies: bool,
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

/// The target of a legacy link, which an inspection shows as `/db:/web/alias`; `None` for a link of
/// another network, which is shown as requested.
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
