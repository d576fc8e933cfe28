//! The order of the hosts, and their waves.

use std::collections::BTreeMap;

use crate::domain::HostName;

use super::super::model::{HostPlan, TargetKind};
use super::super::spec::Policy;

/// Hosts with work: unhealthy ones first, then in the given order, then by name.
pub(super) fn ordered(first: &[HostName], hosts: &BTreeMap<HostName, HostPlan>) -> Vec<HostName> {
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
pub(super) fn waves(policy: &Policy, hosts: Vec<HostName>) -> Vec<Vec<HostName>> {
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
pub(super) fn largest_step(policy: &Policy, size: usize) -> usize {
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
