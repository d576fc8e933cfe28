//! The facts of a host that a plan needs: the container to replace, its image, and everything that
//! may prevent the replacement.
//!
//! [`gather`] queries the Engine and changes nothing; the values are plain data for pure code.
//! Called by the planner and, for the observation before a step, by the executor.

mod ask;

use serde_json::Value;

pub use ask::{Facts, container, gather};

use crate::engine::{ApiVersion, ContainerFacts, FileChange, Inspection, NetworkSummary, Platform};

/// The container that is to be replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct OldContainer {
    /// The Engine's inspection.
    pub inspect: Inspection,
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
    pub networks: Vec<NetworkSummary>,
    /// All containers that could be read, the target included.
    pub containers: Vec<ContainerFacts>,
    /// IDs of containers that could not be read.
    pub unread: Vec<String>,
    /// Whether the Engine cannot change the restart policy of a container: Podman before 5.1.
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
