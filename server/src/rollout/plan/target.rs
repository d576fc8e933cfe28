//! The plan of one host.

use super::super::model::{HostPlan, Order, TargetKind, Trouble};
use super::super::reason;
use super::super::spec::{Gate, OnUnreachable, OrderPreference, Policy, Stopped};
use super::{HostFacts, Input, NewContainer, Present, Replacement};

pub(super) fn plan(input: &Input<'_>, facts: &HostFacts) -> Result<HostPlan, Vec<Trouble>> {
    match facts {
        HostFacts::Silent(trouble) => match input.policy.on_unreachable {
            OnUnreachable::Skip => Ok(HostPlan::skipped(format!("no answer: {}", trouble.message))),
            OnUnreachable::Wait | OnUnreachable::Fail => Err(vec![Trouble {
                reason: trouble.reason,
                message: format!(
                    "{}; make it reachable, or exclude it, or set \
                     on_unreachable to skip and max_unreachable",
                    trouble.message
                ),
            }]),
        },
        HostFacts::Current => Ok(HostPlan::skipped("already on this version".to_owned())),
        HostFacts::Refused(troubles) => Err(troubles.clone()),
        HostFacts::Missing { new: None } => Ok(HostPlan::skipped(format!(
            "it has no container {}; a whole spec can create it",
            input.container
        ))),
        HostFacts::Missing { new: Some(new) } => alone(input.policy, new),
        HostFacts::Present(present) => replaced(input, present),
    }
}

/// Why a container without a health check cannot pass a gate that uses it.
pub(in crate::rollout) fn no_health_check() -> Trouble {
    Trouble::new(
        reason::NO_HEALTH_CHECK,
        "health: docker uses the health check of the new container, but neither it nor its \
         image has one; add one, or use another gate, such as auto or http",
    )
}

fn alone(policy: &Policy, new: &Replacement) -> Result<HostPlan, Vec<Trouble>> {
    let (kind, container, start) = match new {
        Replacement::New(container) => (TargetKind::Create, container, true),
        Replacement::Retained { running, new: container, .. } => {
            (adoption(new), container, *running)
        }
    };
    needs_health_check(policy, container, start)?;
    // A missing container is as bad as one that is down.
    Ok(with(
        container,
        HostPlan { start, unhealthy: true, kind, ..HostPlan::skipped(String::new()) },
    ))
}

/// A container that is not started passes no gate.
fn needs_health_check(
    policy: &Policy,
    container: &NewContainer,
    start: bool,
) -> Result<(), Vec<Trouble>> {
    if policy.gate == Gate::Docker && start && container.health_check == Some(false) {
        return Err(vec![no_health_check()]);
    }
    Ok(())
}

fn replaced(input: &Input<'_>, present: &Present) -> Result<HostPlan, Vec<Trouble>> {
    let name = input.container;
    if present.paused {
        return Ok(HostPlan::skipped(format!("{name} is paused; unpause it to take part")));
    }
    let stopped = (!present.old.running).then_some(input.policy.stopped);
    match stopped {
        Some(Stopped::Skip) => {
            return Ok(HostPlan::skipped(format!("{name} is not running, and `stopped` is skip")));
        }
        Some(Stopped::Refuse) => {
            let message = format!(
                "{name} is not running, and `stopped` is refuse; start it, or set `stopped` to start, \
                 keep, or skip"
            );
            return Err(vec![Trouble::new(reason::CONTAINER_STOPPED, message)]);
        }
        None | Some(Stopped::Start | Stopped::Keep) => {}
    }
    let new = present.new.as_ref().map_err(Clone::clone)?;
    let runs = present.old.running || stopped == Some(Stopped::Start);
    let (kind, container, start) = match new {
        Replacement::New(container) => (TargetKind::Replace, container, runs),
        Replacement::Retained { running, new: container, .. } => {
            (adoption(new), container, runs || *running)
        }
    };
    needs_health_check(input.policy, container, start)?;
    let mut planned = with(
        container,
        HostPlan {
            old: Some(present.old.clone()),
            start,
            unhealthy: present.unhealthy,
            kind,
            ..HostPlan::skipped(String::new())
        },
    );
    let obstacles = obstacles(present, &planned.kind);
    match input.policy.order {
        OrderPreference::StopFirst => {}
        // Without a running container there is no order.
        _ if !present.old.running => {}
        OrderPreference::StartFirst if obstacles.is_empty() => planned.order = Order::StartFirst,
        OrderPreference::Auto if obstacles.is_empty() => planned.order = Order::StartFirst,
        OrderPreference::StartFirst => {
            let message = format!(
                "start-first is not possible: {}; use stop-first or auto",
                obstacles.join("; ")
            );
            return Err(vec![Trouble::new(reason::START_FIRST_IMPOSSIBLE, message)]);
        }
        OrderPreference::Auto => {
            planned
                .risks
                .push(format!("stops before the new one starts: {}", obstacles.join("; ")));
        }
    }
    if stopped.is_some() {
        planned.risks.push(match start {
            true => format!(
                "{name} is not running; the new container is started and must pass its gate \
                 (stopped: keep creates it without starting it)"
            ),
            false => format!(
                "{name} is not running; the new container is not started, so nothing verifies that \
                 it works"
            ),
        });
    }
    if present.old.running && planned.order == Order::StopFirst && present.old.auto_remove {
        planned.risks.push(
            "the Engine removes the old container when it stops; a copy is kept for a \
             rollback, with its volumes but without other files that it wrote, and does not remove \
             itself"
                .to_owned(),
        );
    }
    planned.risks.sort();
    planned.risks.dedup();
    Ok(planned)
}

/// Why the new container cannot start beside the old one.
fn obstacles(present: &Present, kind: &TargetKind) -> Vec<String> {
    let mut obstacles = present.no_start_first.clone();
    if matches!(kind, TargetKind::Adopt { .. }) {
        obstacles.push("it restores a retained container".to_owned());
    }
    if present.old.auto_remove {
        obstacles.push("the old container has auto-remove".to_owned());
    }
    obstacles.sort();
    obstacles.dedup();
    obstacles
}

fn adoption(new: &Replacement) -> TargetKind {
    match new {
        Replacement::Retained { id, name, restart, .. } => {
            TargetKind::Adopt { id: id.clone(), name: name.clone(), restart: restart.clone() }
        }
        Replacement::New(_) => TargetKind::Replace,
    }
}

fn with(container: &NewContainer, planned: HostPlan) -> HostPlan {
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines.dedup();
        lines
    };
    HostPlan {
        spec_sha: container.spec_sha.clone(),
        diff: sorted(&container.diff),
        risks: sorted(&container.risks),
        lost_paths: container.lost_paths.clone(),
        image: container.image.clone(),
        ..planned
    }
}
