//! The plan of all hosts: in which order and wave they come, with which warnings; or why there is none.
//!
//! Pure: the same facts give the same plan, byte for byte.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::host::{self, Found};
use crate::domain::{ContainerName, HostName, Reason};
use crate::rollout::model::{HostPlan, Plan, PlannedImage, TargetKind};
use crate::rollout::requests::Refusal;
use crate::rollout::spec::{Gate, OnUnreachable, Policy};

/// Hosts that a warning names; the plan has a line for each.
const MOST_NAMES: usize = 6;

/// Everything that a plan depends on.
#[derive(Debug, Clone)]
pub(super) struct Input<'a> {
    /// The container, by the same name on every host.
    pub container: &'a ContainerName,
    /// How it is to be carried out.
    pub policy: &'a Policy,
    /// The new image, resolved; `None` keeps that of each host.
    pub image: Option<PlannedImage>,
    /// The facts of each selected host.
    pub hosts: &'a BTreeMap<HostName, Found>,
    /// Hosts that come first, in this order; the others follow by name. An undo starts with the
    /// host that was replaced last.
    pub first: &'a [HostName],
}

/// The plan, or all reasons to refuse it.
pub(super) fn plan(input: &Input<'_>) -> Result<Plan, Vec<Refusal>> {
    let mut hosts = BTreeMap::new();
    let mut refusals = Vec::new();
    for (name, facts) in input.hosts {
        match host::plan(input.container, input.policy, facts) {
            Ok(planned) => drop(hosts.insert(name.clone(), planned)),
            Err(troubles) => {
                refusals.extend(troubles.into_iter().map(|it| Refusal::of(Some(name), it)));
            }
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
        waves: waves(input.policy, ordered(input.first, &hosts)),
        warnings: warnings(input, &hosts),
        hosts,
    })
}

fn too_many_silent(input: &Input<'_>) -> Option<Refusal> {
    let policy = input.policy;
    let mut any_answered = false;
    let mut silent = Vec::new();
    for (name, facts) in input.hosts {
        match facts {
            Found::Silent(trouble) if host::is_answer(trouble) => {
                any_answered = true;
                silent.push(format!("{name} ({})", trouble.message));
            }
            Found::Silent(_) => silent.push(name.to_string()),
            _ => {}
        }
    }
    let allowed = policy.max_unreachable.budget(input.hosts.len());
    let counts = policy.on_unreachable == OnUnreachable::Skip && silent.len() > allowed;
    counts.then(|| {
        let how_many = match (silent.len(), any_answered) {
            (1, false) => "1 host doesn't answer".to_owned(),
            (1, true) => "1 host can't be queried".to_owned(),
            (many, false) => format!("{many} hosts don't answer"),
            (many, true) => format!("{many} hosts don't answer or can't be queried"),
        };
        let what = if any_answered { "repair them" } else { "make them reachable" };
        let message = format!(
            "{how_many}, but max_unreachable allows {allowed}: {}; {what}, exclude them, or raise max_unreachable",
            first_of(&silent)
        );
        Refusal { host: None, reason: Reason::RolloutTooManyUnreachable, message }
    })
}

/// The first names of many.
pub(super) fn first_of(names: &[String]) -> String {
    let (first, more) = names.split_at(names.len().min(MOST_NAMES));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{more}", first.join(", "))
}

/// A rollout that would change no host has a mistake in its name or its selection; unless a host is
/// already up to date, because a pipeline that runs twice must succeed twice.
fn nothing_to_do(input: &Input<'_>, hosts: &BTreeMap<HostName, HostPlan>) -> Vec<Refusal> {
    let is_current = input.hosts.values().any(|facts| *facts == Found::Current);
    let mut refusals = Vec::new();
    for (name, host) in hosts {
        let TargetKind::Skip { reason: why } = &host.kind else { return Vec::new() };
        let (host, message) = (Some(name.clone()), why.clone());
        refusals.push(Refusal { host, reason: Reason::RolloutNothingToDo, message });
    }
    if is_current { Vec::new() } else { refusals }
}

fn warnings(input: &Input<'_>, hosts: &BTreeMap<HostName, HostPlan>) -> Vec<String> {
    let mut warnings = Vec::new();
    let skipped = || hosts.iter().filter(|(_, host)| matches!(host.kind, TargetKind::Skip { .. }));
    // Up-to-date hosts are no reason for a warning.
    let left_out: Vec<_> = skipped()
        .filter(|(name, _)| input.hosts.get(*name) != Some(&Found::Current))
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
    if size > 1 && largest_step(policy, size) >= size {
        warnings.push("all hosts are replaced at the same time".to_owned());
    }
    if policy.gate == Gate::None {
        warnings.push(
            "without a health gate, a container that does not work goes unnoticed".to_owned(),
        );
    }
    if input.image.as_ref().is_some_and(|image| image.digest.is_none() && image.from.is_none()) {
        warnings.push(
            "the image was not looked up in its registry: hosts may have different images by that \
             name"
                .to_owned(),
        );
    }
    warnings
}

/// Hosts with work: unhealthy ones first, then in the given order, then by name.
fn ordered(first: &[HostName], hosts: &BTreeMap<HostName, HostPlan>) -> Vec<HostName> {
    let place = |name: &HostName| first.iter().position(|other| other == name);
    let mut order: Vec<_> = hosts
        .iter()
        .filter(|(_, host)| !matches!(host.kind, TargetKind::Skip { .. }))
        .map(|(name, host)| (!host.unhealthy, place(name).unwrap_or(usize::MAX), name.clone()))
        .collect();
    order.sort();
    order.into_iter().map(|(_, _, name)| name).collect()
}

/// Cuts the hosts into waves; none is empty.
fn waves(policy: &Policy, hosts: Vec<HostName>) -> Vec<Vec<HostName>> {
    let ends = ends(policy, hosts.len());
    let mut rest = hosts.into_iter();
    let mut begun = 0;
    let mut waves = Vec::new();
    for end in ends {
        let wave: Vec<_> = rest.by_ref().take(end.saturating_sub(begun)).collect();
        begun = begun.max(end);
        if !wave.is_empty() {
            waves.push(wave);
        }
    }
    waves
}

/// The maximum number of hosts in progress at the same time.
fn largest_step(policy: &Policy, size: usize) -> usize {
    let mut begun = 0;
    let largest = ends(policy, size).into_iter().map(|end| {
        let step = end.saturating_sub(begun);
        begun = begun.max(end);
        step
    });
    largest.max().unwrap_or(0).min(policy.max_parallel.width(size))
}

/// After how many hosts each wave ends; the last with all.
fn ends(policy: &Policy, size: usize) -> Vec<usize> {
    let amounts: Vec<_> = if policy.batches.is_empty() {
        policy.canary.into_iter().collect()
    } else {
        policy.batches.clone()
    };
    amounts.into_iter().map(|amount| amount.width(size).min(size)).chain([size]).collect()
}
