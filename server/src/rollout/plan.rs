//! Plans a rollout: what to do on each host, in which wave, with which risks; or why it is refused.
//! Called before anything is touched; the service shows or stores the plan.
//!
//! Pure: the same facts give the same plan, byte for byte.

mod target;
#[cfg(test)]
mod tests;
mod waves;

use std::collections::BTreeMap;

use crate::domain::{ContainerName, HostName};

use super::model::{HostPlan, OldFacts, Plan, PlannedImage, RestartPolicy, TargetKind, Trouble};
use super::reason;
use super::spec::{Gate, OnUnreachable, Policy};

pub(super) use target::no_health_check;

/// Hosts that a warning names; the plan has a line for each.
const MOST_NAMES: usize = 6;

/// Everything that a plan depends on.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// The container, by the same name on every host.
    pub container: &'a ContainerName,
    /// How it is to be carried out.
    pub policy: &'a Policy,
    /// The new image, resolved; `None` keeps that of each host.
    pub image: Option<PlannedImage>,
    /// The facts of each selected host.
    pub hosts: &'a BTreeMap<HostName, HostFacts>,
    /// Hosts that come first, in this order; the others follow by name. An undo starts with the
    /// host that was replaced last.
    pub first: &'a [HostName],
}

/// The facts of a host.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one for each host of a plan, which is made once")]
pub enum HostFacts {
    /// It does not answer.
    Silent(Trouble),
    /// Its container already has the wanted image and settings.
    Current,
    /// It cannot take part, for these reasons.
    Refused(Vec<Trouble>),
    /// It has no container of that name.
    Missing {
        /// The container to create; `None` if the change does not define one.
        new: Option<Replacement>,
    },
    /// It has one.
    Present(Box<Present>),
}

/// The container that is replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// Facts that the rollout needs on its way.
    pub old: OldFacts,
    /// Its health check reports unhealthy, it restarts repeatedly, or it ended with an error.
    pub unhealthy: bool,
    /// It is paused.
    pub paused: bool,
    /// Why the new one cannot start beside it; empty if it can.
    pub no_start_first: Vec<String>,
    /// Its replacement, or why there is none.
    pub new: Result<Replacement, Vec<Trouble>>,
}

/// The replacement of a container.
#[derive(Debug, Clone, PartialEq)]
pub enum Replacement {
    /// A container that is created.
    New(NewContainer),
    /// A retained container.
    Retained {
        /// Full ID.
        id: String,
        /// Its name now.
        name: String,
        /// The restart policy that it had before it was retained.
        restart: RestartPolicy,
        /// Whether it ran then.
        running: bool,
        /// The differences from the current container.
        new: NewContainer,
    },
}

/// A new container, without its secrets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewContainer {
    /// SHA-256, in hex, of the canonical JSON of its body.
    pub spec_sha: String,
    /// Changes, one line for each setting, secrets masked.
    pub diff: Vec<String>,
    /// Risks, one line each.
    pub risks: Vec<String>,
    /// Lost paths in the old container's writable layer, in the order of display.
    pub lost_paths: Vec<String>,
    /// Whether it has a health check; `None` if that is unknown until its image is pulled.
    pub health_check: Option<bool>,
    /// Its image, if it differs from the plan's and must be pulled.
    pub image: Option<PlannedImage>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The host; `None` if it is about all.
    pub host: Option<HostName>,
    /// Why, and what to do.
    pub trouble: Trouble,
}

/// The plan, or all reasons to refuse it.
pub fn plan(input: &Input<'_>) -> Result<Plan, Vec<Refusal>> {
    let mut hosts = BTreeMap::new();
    let mut refusals = Vec::new();
    for (name, facts) in input.hosts {
        match target::plan(input, facts) {
            Ok(planned) => {
                hosts.insert(name.clone(), planned);
            }
            Err(troubles) => refusals.extend(
                troubles.into_iter().map(|trouble| Refusal { host: Some(name.clone()), trouble }),
            ),
        }
    }
    refusals.extend(too_many_silent(input));
    if refusals.is_empty() {
        refusals.extend(nothing_to_do(input, &hosts));
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    Ok(Plan {
        container: input.container.clone(),
        image: input.image.clone(),
        waves: waves::waves(input.policy, waves::ordered(input.first, &hosts)),
        warnings: warnings(input, &hosts),
        hosts,
    })
}

fn too_many_silent(input: &Input<'_>) -> Option<Refusal> {
    let policy = input.policy;
    let silent: Vec<_> = input
        .hosts
        .iter()
        .filter(|(_, facts)| matches!(facts, HostFacts::Silent(_)))
        .map(|(name, _)| name.to_string())
        .collect();
    let allowed = policy.max_unreachable.budget(input.hosts.len());
    let counts = policy.on_unreachable == OnUnreachable::Skip && silent.len() > allowed;
    counts.then(|| {
        let how_many = match silent.len() {
            1 => "1 host doesn't answer".to_owned(),
            many => format!("{many} hosts don't answer"),
        };
        let message = format!(
            "{how_many}, but max_unreachable allows {allowed}: {}; make them reachable, exclude them, or raise max_unreachable",
            first_of(&silent)
        );
        Refusal { host: None, trouble: Trouble::new(reason::TOO_MANY_UNREACHABLE, message) }
    })
}

/// The first names of many.
fn first_of(names: &[String]) -> String {
    let (first, more) = names.split_at(names.len().min(MOST_NAMES));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{more}", first.join(", "))
}

/// A rollout that would change no host has a mistake in its name or its selection; unless a host is
/// already up to date, because a pipeline that runs twice must succeed twice.
fn nothing_to_do(input: &Input<'_>, hosts: &BTreeMap<HostName, HostPlan>) -> Vec<Refusal> {
    let is_current = input.hosts.values().any(|facts| *facts == HostFacts::Current);
    let mut refusals = Vec::new();
    for (name, host) in hosts {
        let TargetKind::Skip { reason: why } = &host.kind else { return Vec::new() };
        let trouble = Trouble::new(reason::NOTHING_TO_DO, why.clone());
        refusals.push(Refusal { host: Some(name.clone()), trouble });
    }
    if is_current { Vec::new() } else { refusals }
}

fn warnings(input: &Input<'_>, hosts: &BTreeMap<HostName, HostPlan>) -> Vec<String> {
    let mut warnings = Vec::new();
    let skipped = || hosts.iter().filter(|(_, host)| matches!(host.kind, TargetKind::Skip { .. }));
    // Up-to-date hosts are no reason for a warning.
    let left_out: Vec<_> = skipped()
        .filter(|(name, _)| input.hosts.get(*name) != Some(&HostFacts::Current))
        .map(|(name, _)| name.to_string())
        .collect();
    if !left_out.is_empty() {
        warnings.push(format!("skipped: {}", first_of(&left_out)));
    }
    let size = hosts.len() - skipped().count();
    let policy = input.policy;
    if size == 0 {
        return warnings;
    }
    if size > 1 && waves::largest_step(policy, size) >= size {
        warnings.push("all hosts are replaced at the same time".to_owned());
    }
    if policy.gate == Gate::None {
        warnings.push(
            "without a health gate, a container that does not work goes unnoticed".to_owned(),
        );
    }
    if input.image.as_ref().is_some_and(|image| image.digest.is_none()) {
        warnings.push(
            "the image was not looked up in its registry: hosts may have different images by that \
             name"
                .to_owned(),
        );
    }
    warnings
}
