//! What a plan holds. Immutable once it is stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{ContainerName, HostName};
use crate::engine::RestartPolicy;

/// Everything that will be done, before anything is: immutable once it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The container that is replaced, the same name on every host.
    pub container: ContainerName,
    /// The image that the new containers get; `None` where the image stays as it is.
    pub image: Option<PlannedImage>,
    /// Hosts in the order in which they are begun, wave by wave; skipped hosts are in none.
    pub waves: Vec<Vec<HostName>>,
    /// What happens on each host, skipped ones included.
    pub hosts: BTreeMap<HostName, HostPlan>,
    /// What the operator should know before it begins; not about one host.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The containers that the rollout replaces: on each host the target, and what hangs on it.
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
    /// What the reference stood for when the plan was made; `None` where no registry was
    /// asked, because the hosts have the image and nothing is pulled.
    pub digest: Option<String>,
}

/// What happens on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPlan {
    /// What is done.
    pub kind: TargetKind,
    /// The container that is there now; `None` where there is none.
    pub old: Option<OldFacts>,
    /// What changes, a line a setting, secrets masked; sorted.
    pub diff: Vec<String>,
    /// What may go wrong or be lost, a line each.
    pub risks: Vec<String>,
    /// Paths in the old container's own layer that are lost, in the order in which they are told;
    /// those of a dependent follow as `NAME:/path`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_paths: Vec<String>,
    /// Identifies the body of the new container: SHA-256, in hex, of its canonical JSON.
    pub spec_sha: String,
    /// How the new container takes the place of the old one.
    pub order: Order,
    /// Whether the new container is started and gated. Otherwise nothing proves that it works.
    pub start: bool,
    /// Whether the target was unhealthy or down already; such hosts are begun first.
    pub unhealthy: bool,
    /// Containers that hang on the target and are made anew with it, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<DependentPlan>,
    /// The image of this host alone, which has to be pulled before the container is made: in an
    /// undo whose image is gone from the host. `None`: that of the plan.
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

    /// Nothing is done, for this reason.
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

/// A container that shares a namespace of the target or takes its volumes, by its ID, and so
/// cannot start again without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependentPlan {
    /// Its name, which it keeps.
    pub name: ContainerName,
    /// What happens to it: always a replacement, stop-first.
    pub plan: HostPlan,
}

/// What is done on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TargetKind {
    /// A new container takes the place of the old one.
    Replace,
    /// There is none; one is created.
    Create,
    /// A retained container takes its place again.
    Adopt {
        /// Full ID of the retained container.
        id: String,
        /// Its name now; it gets that back where the adoption is taken back.
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

/// How the new container takes the place of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The old one stops, then the new one starts.
    StopFirst,
    /// The new one starts and proves itself, then the old one stops.
    StartFirst,
}

/// The container that is replaced, as it was when the plan was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldFacts {
    /// Full ID. Everything is done by ID; names move.
    pub id: String,
    /// Image as given at its creation.
    pub image: String,
    /// ID of its image.
    pub image_id: String,
    /// Whether it ran. Only then is it started when it is put back.
    pub running: bool,
    /// Its restart policy: put back when it is restored.
    pub restart: RestartPolicy,
    /// Whether the Engine removes it when it stops.
    pub auto_remove: bool,
    /// What its image is in registries, as `REPOSITORY@DIGEST`: what it can be pulled as when it is
    /// gone from the host, and known as when the Engine has another image store, with other IDs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<String>,
    /// The project, where it is a container of Compose. Compose counts every container with its
    /// labels, also one that is stopped and has another name, and labels cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose_project: Option<String>,
    /// Whether its restart policy stays as it is, because the Engine cannot change one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fixed_restart: bool,
}

impl OldFacts {
    /// Whether it must not stay when the rollout ends: because Compose would count it, or because it
    /// would be started with the machine, beside the new one, and nothing can be done about that.
    #[must_use]
    pub fn must_go(&self) -> bool {
        self.compose_project.is_some() || (self.fixed_restart && self.restart.is_for_boot())
    }
}
