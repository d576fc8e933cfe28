//! The plan of one host. Pure.

use crate::domain::{ContainerName, Reason};
use crate::rollout::model::{
    HostPlan, OldFacts, Order, PlannedImage, RestartPolicy, TargetKind, Trouble,
};
use crate::rollout::spec::{Gate, OnUnreachable, Policy, Stopped};

/// What is found on a host, and what would take its place.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one for each host of a plan, which is made once")]
pub(super) enum Found {
    /// It does not answer, or fails to answer one of the questions of the plan.
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
pub(super) struct Present {
    /// Facts that the rollout needs on its way.
    pub old: OldFacts,
    /// Its health check reports unhealthy, it restarts repeatedly, or it ended with an error.
    pub unhealthy: bool,
    /// It is paused.
    pub paused: bool,
    /// Its replacement, or why there is none.
    pub new: Result<Replacement, Vec<Trouble>>,
}

/// The replacement of a container.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Replacement {
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
pub(super) struct NewContainer {
    /// SHA-256, in hex, of the canonical JSON of its body.
    pub spec_sha: String,
    /// How it takes the place of the old one, where that runs.
    pub order: Order,
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

/// What is done on the host, or why nothing can be.
pub(super) fn plan(
    name: &ContainerName,
    policy: &Policy,
    found: &Found,
) -> Result<HostPlan, Vec<Trouble>> {
    match found {
        Found::Silent(trouble) => match policy.on_unreachable {
            OnUnreachable::Skip => {
                let what = if is_answer(trouble) { "the query failed" } else { "no answer" };
                Ok(HostPlan::skipped(format!("{what}: {}", trouble.message)))
            }
            OnUnreachable::Wait | OnUnreachable::Fail => {
                let what = if is_answer(trouble) { "repair the host" } else { "make it reachable" };
                let message = format!(
                    "{}; {what}, or exclude it, or set on_unreachable to skip and max_unreachable",
                    trouble.message
                );
                Err(vec![Trouble { reason: trouble.reason, message }])
            }
        },
        Found::Current => Ok(HostPlan::skipped("already on this version".to_owned())),
        Found::Refused(troubles) => Err(troubles.clone()),
        Found::Missing { new: None } => {
            Ok(HostPlan::skipped(format!("it has no container {name}; a whole spec can create it")))
        }
        Found::Missing { new: Some(new) } => alone(policy, new),
        Found::Present(present) => replaced(name, policy, present),
    }
}

/// Whether the host answered, with an error of its own.
pub(super) fn is_answer(trouble: &Trouble) -> bool {
    !matches!(
        trouble.reason,
        Reason::HostUnreachable
            | Reason::HostTimeout
            | Reason::HostConnectionLost
            | Reason::HostTlsFailed
            | Reason::SshHostKeyChanged
            | Reason::SshHostKeyUnknown
            | Reason::SshPermissionDenied
            | Reason::SshNotInstalled
            | Reason::SshSocketUnavailable
            | Reason::ServerExhausted
    )
}

/// Why a container without a health check cannot pass a gate that uses it.
pub(in crate::rollout) fn no_health_check() -> Trouble {
    Trouble::new(
        Reason::RolloutNoHealthCheck,
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

fn replaced(
    name: &ContainerName,
    policy: &Policy,
    present: &Present,
) -> Result<HostPlan, Vec<Trouble>> {
    if present.paused {
        return Ok(HostPlan::skipped(format!("{name} is paused; unpause it to take part")));
    }
    let stopped = (!present.old.running).then_some(policy.stopped);
    match stopped {
        Some(Stopped::Skip) => {
            return Ok(HostPlan::skipped(format!("{name} is not running, and `stopped` is skip")));
        }
        Some(Stopped::Refuse) => {
            let message = format!(
                "{name} is not running, and `stopped` is refuse; start it, or set `stopped` to start, \
                 keep, or skip"
            );
            return Err(vec![Trouble::new(Reason::RolloutContainerStopped, message)]);
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
    needs_health_check(policy, container, start)?;
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
    // Without a running container there is no order.
    if present.old.running {
        planned.order = container.order;
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
