//! Plans a rollout: what happens on each host, in which wave, with which risks; or why not.
//! The service asks before anything is touched, and shows the plan or stores it.
//!
//! Pure: the same facts make the same plan, byte for byte.

mod target;
#[cfg(test)]
mod tests;
mod waves;

use std::collections::BTreeMap;

use crate::domain::{ContainerName, HostName, Reason};

use super::model::{HostPlan, OldFacts, Plan, PlannedImage, RestartPolicy, TargetKind, Trouble};
use super::spec::{Gate, OnUnreachable, Policy};

pub(super) use target::no_health_check;

/// Hosts that a warning names; the plan has a line for each.
const MOST_NAMES: usize = 6;

/// Everything that a plan follows from.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// The container, by the same name on every host.
    pub container: &'a ContainerName,
    /// How it is to be carried out.
    pub policy: &'a Policy,
    /// The new image, resolved; `None` keeps that of each host.
    pub image: Option<PlannedImage>,
    /// What is on each host that was selected.
    pub hosts: &'a BTreeMap<HostName, HostFacts>,
    /// Hosts that come first, in this order; the others follow by name. An undo begins with
    /// what was replaced last.
    pub first: &'a [HostName],
}

/// What is on a host.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one for each host of a plan, which is made once")]
pub enum HostFacts {
    /// It does not answer.
    Silent(Trouble),
    /// Its container is what is wanted already: the same image, no difference in settings.
    Current,
    /// It cannot take part, for these reasons.
    Refused(Vec<Trouble>),
    /// It has no container of that name.
    Missing {
        /// What would be put there; `None` where the change does not say.
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
    /// Its health check says unhealthy, it restarts all the time, or it ended with an error.
    pub unhealthy: bool,
    /// It is paused.
    pub paused: bool,
    /// Why the new one cannot start beside it; empty where it can.
    pub no_start_first: Vec<String>,
    /// What takes its place, or why nothing can.
    pub new: Result<Replacement, Vec<Trouble>>,
}

/// What takes the place of a container.
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
        /// How it differs from what is there.
        new: NewContainer,
    },
}

/// A new container, without its secrets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewContainer {
    /// SHA-256, in hex, of the canonical JSON of its body.
    pub spec_sha: String,
    /// What changes, a line a setting, secrets masked.
    pub diff: Vec<String>,
    /// What may go wrong or be lost, a line each.
    pub risks: Vec<String>,
    /// Paths in the old container's own layer that are lost, in the order in which they are told.
    pub lost_paths: Vec<String>,
    /// Whether it has a health check; `None` where that is known once its image is there.
    pub health_check: Option<bool>,
    /// Its image, where that is another one than the plan's and must be pulled.
    pub image: Option<PlannedImage>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where; `None` where it is about all.
    pub host: Option<HostName>,
    /// Why, and what to do.
    pub trouble: Trouble,
}

/// The plan, or everything that speaks against one.
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
            1 => "1 host does not answer".to_owned(),
            many => format!("{many} hosts do not answer"),
        };
        let message = format!(
            "{how_many} and max_unreachable allows {allowed}: {}; bring back, leave out or allow",
            first_of(&silent)
        );
        Refusal { host: None, trouble: Trouble::new(Reason::RolloutTooManyUnreachable, message) }
    })
}

/// The first names of many.
fn first_of(names: &[String]) -> String {
    let (first, more) = names.split_at(names.len().min(MOST_NAMES));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{more}", first.join(", "))
}

/// A rollout that would touch no host is a mistake in its name or its selection; unless a host
/// is where it is to be already, since a pipeline that runs twice succeeds twice.
fn nothing_to_do(input: &Input<'_>, hosts: &BTreeMap<HostName, HostPlan>) -> Vec<Refusal> {
    let is_current = input.hosts.values().any(|facts| *facts == HostFacts::Current);
    let mut refusals = Vec::new();
    for (name, host) in hosts {
        let TargetKind::Skip { reason: why } = &host.kind else { return Vec::new() };
        let trouble = Trouble::new(Reason::RolloutNothingToDo, why.clone());
        refusals.push(Refusal { host: Some(name.clone()), trouble });
    }
    if is_current { Vec::new() } else { refusals }
}

fn warnings(input: &Input<'_>, hosts: &BTreeMap<HostName, HostPlan>) -> Vec<String> {
    let mut warnings = Vec::new();
    let skipped = || hosts.iter().filter(|(_, host)| matches!(host.kind, TargetKind::Skip { .. }));
    // Hosts that are where they are to be are no worry.
    let left_out: Vec<_> = skipped()
        .filter(|(name, _)| input.hosts.get(*name) != Some(&HostFacts::Current))
        .map(|(name, _)| name.to_string())
        .collect();
    if !left_out.is_empty() {
        warnings.push(format!("left out: {}", first_of(&left_out)));
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
        warnings.push("there is no gate: a container that does not work is not noticed".to_owned());
    }
    if input.image.as_ref().is_some_and(|image| image.digest.is_none()) {
        warnings.push(
            "the image was not looked up in its registry: hosts may have different ones by that \
             name"
                .to_owned(),
        );
    }
    warnings
}
