//! The content of a plan. Immutable once it is stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{ContainerName, HostName};
use crate::engine::RestartPolicy;

/// Everything that a rollout will do. Immutable once it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The container that is replaced, the same name on every host.
    pub container: ContainerName,
    /// The image of the new containers; `None` if the image does not change.
    pub image: Option<PlannedImage>,
    /// Hosts in the order in which they start, wave by wave; skipped hosts are in none.
    pub waves: Vec<Vec<HostName>>,
    /// The plan of each host, including skipped hosts.
    pub hosts: BTreeMap<HostName, HostPlan>,
    /// Warnings for the operator that are not about one host.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The containers that the rollout replaces: on each host the target and its dependents.
    pub fn containers(&self) -> impl Iterator<Item = (&HostName, &ContainerName)> {
        self.waves.iter().flatten().flat_map(move |host| {
            let planned = self.hosts.get(host).into_iter();
            let dependents = planned.flat_map(|planned| &planned.dependents);
            let names = dependents.map(|dependent| &dependent.name);
            std::iter::once(&self.container).chain(names).map(move |name| (host, name))
        })
    }
}

/// The image that the new containers get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedImage {
    /// As the operator wrote it, with its tag.
    pub reference: String,
    /// The digest of the reference at the time of the plan; `None` if no registry was queried,
    /// because the hosts have the image and nothing is pulled.
    pub digest: Option<String>,
    /// The host that hosts without the image get it from; `None`: its registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ImageSource>,
}

/// A host that gives its image to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSource {
    /// The host. It may be one of the rollout or not.
    pub host: HostName,
    /// ID of the image on that host when the plan was made. The name may refer to another image now.
    pub image_id: String,
}

/// The plan of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPlan {
    /// What to do.
    pub kind: TargetKind,
    /// The current container; `None` if there is none.
    pub old: Option<OldFacts>,
    /// Changes, one line for each setting, sorted, secrets masked.
    pub diff: Vec<String>,
    /// Risks, one line each.
    pub risks: Vec<String>,
    /// Lost paths in the old container's writable layer, in the order of display; those of a
    /// dependent follow as `NAME:/path`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_paths: Vec<String>,
    /// Identifies the body of the new container: SHA-256, in hex, of its canonical JSON.
    pub spec_sha: String,
    /// How the new container replaces the old one.
    pub order: Order,
    /// Whether the new container is started and gated. Otherwise nothing verifies that it works.
    pub start: bool,
    /// Whether the target was already unhealthy or down; such hosts start first.
    pub unhealthy: bool,
    /// Dependents that are recreated with the target, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<DependentPlan>,
    /// The image for this host only, which has to be pulled before the container is created: in an
    /// undo whose image is no longer on the host. `None`: that of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<PlannedImage>,
}

impl HostPlan {
    /// Old containers that must be gone when the rollout ends: that of the target as `None`, those
    /// of dependents by their place.
    pub fn must_go(&self) -> impl Iterator<Item = Option<usize>> {
        let target = std::iter::once((None, self));
        let dependents = self.dependents.iter().enumerate();
        let dependents = dependents.map(|(number, dependent)| (Some(number), &dependent.plan));
        let must_go = |plan: &Self| plan.old.as_ref().is_some_and(OldFacts::must_go);
        target.chain(dependents).filter(move |(_, plan)| must_go(plan)).map(|(member, _)| member)
    }

    /// Do nothing, for this reason.
    #[must_use]
    pub fn skipped(reason: String) -> Self {
        Self {
            kind: TargetKind::Skip { reason },
            old: None,
            diff: Vec::new(),
            risks: Vec::new(),
            lost_paths: Vec::new(),
            spec_sha: String::new(),
            order: Order::StopFirst,
            start: false,
            unhealthy: false,
            dependents: Vec::new(),
            image: None,
        }
    }
}

/// A container that shares a namespace of the target or uses its volumes, by its ID, and so cannot
/// start again without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependentPlan {
    /// Its name, which does not change.
    pub name: ContainerName,
    /// Its plan: always a replacement, stop-first.
    pub plan: HostPlan,
}

/// What to do on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TargetKind {
    /// Replace the old container with a new one.
    Replace,
    /// There is none; one is created.
    Create,
    /// Restore a retained container.
    Adopt {
        /// Full ID of the retained container.
        id: String,
        /// Its current name, which it gets back if the adoption is undone.
        name: String,
        /// The restart policy that it had before it was retained.
        restart: RestartPolicy,
    },
    /// Nothing.
    Skip {
        /// Why not.
        reason: String,
    },
}

/// How the new container replaces the old one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The old one stops, then the new one starts.
    #[default]
    StopFirst,
    /// Start the new container and wait for its gate, then stop the old one.
    StartFirst,
}

/// The container to replace, as of the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldFacts {
    /// Full ID. Everything uses IDs, because names change.
    pub id: String,
    /// Image reference at its creation.
    pub image: String,
    /// ID of its image.
    pub image_id: String,
    /// Whether it was running. Only then is it started when it is restored.
    pub running: bool,
    /// Its restart policy, which is restored with it.
    pub restart: RestartPolicy,
    /// Whether the Engine removes it when it stops.
    pub auto_remove: bool,
    /// Its image in registries, as `REPOSITORY@DIGEST`: to pull it if it is gone from the host, and
    /// to recognize it in another image store, which has other IDs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<String>,
    /// The project, if it is a Compose container. Compose counts every container with its labels,
    /// even a stopped one with another name, and labels cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose_project: Option<String>,
    /// Whether its restart policy stays, because the Engine cannot change it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fixed_restart: bool,
}

impl OldFacts {
    /// Whether it must be removed before the rollout ends: because Compose would count it, or
    /// because it would start at boot beside the new one, and that cannot be prevented.
    #[must_use]
    pub fn must_go(&self) -> bool {
        self.compose_project.is_some() || (self.fixed_restart && self.restart.is_for_boot())
    }
}
