//! The plans of dependents: recreated with their settings, on the container that replaces the old
//! one (C14). Pure.

use std::collections::BTreeMap;

use super::sealed::body;
use crate::domain::{ContainerName, HostName, Reason};
use crate::engine::ContainerFacts;
use crate::rollout::facts::{HostFacts, OldContainer};
use crate::rollout::model::{
    Bodies, DependentPlan, HostPlan, Plan, RolloutId, TargetKind, Trouble,
};
use crate::rollout::recreate::{self, Options};
use crate::rollout::spec::Change;

/// The dependents of a container, and their sealed data.
#[derive(Default)]
pub(super) struct Planned {
    /// In the order of creation.
    pub(super) plans: Vec<DependentPlan>,
    /// In the same order.
    pub(super) bodies: Vec<Bodies>,
}

/// Plans them, or returns the reasons to refuse.
pub(super) fn plan(
    target: &OldContainer,
    dependents: &[OldContainer],
    host: &HostFacts,
    rollout: RolloutId,
) -> Result<Planned, Vec<Trouble>> {
    if !dependents.is_empty() && target.inspect.auto_remove {
        let message = "it has auto-remove, and other containers depend on it: remove those, \
                       or recreate it without auto-remove";
        return Err(vec![Trouble::new(Reason::DependentContainer, message)]);
    }
    let (mut planned, mut troubles) = (Planned::default(), Vec::new());
    for dependent in dependents {
        match one(&target.inspect, dependent, host, rollout) {
            Ok((plan, bodies)) => {
                planned.plans.push(plan);
                planned.bodies.push(bodies);
            }
            Err(found) => troubles.extend(found.into_iter().map(|trouble| Trouble {
                message: format!("its dependent {}: {}", dependent.inspect.name, trouble.message),
                ..trouble
            })),
        }
    }
    if troubles.is_empty() { Ok(planned) } else { Err(troubles) }
}

fn one(
    target: &ContainerFacts,
    dependent: &OldContainer,
    host: &HostFacts,
    rollout: RolloutId,
) -> Result<(DependentPlan, Bodies), Vec<Trouble>> {
    let refuse = |message: String| Err(vec![Trouble::new(Reason::DependentContainer, message)]);
    let facts = &dependent.inspect;
    let Ok(name) = ContainerName::parse(&facts.name) else {
        return refuse("its name is not valid".to_owned());
    };
    if let Some(problem) = recreate::names::too_long(&facts.name) {
        return Err(vec![Trouble::new(Reason::InvalidField, problem)]);
    }
    if facts.paused {
        return refuse("it is paused; unpause it".to_owned());
    }
    if let Some((taken, _)) = recreate::names::taken(host, &facts.name, &rollout.short()).first() {
        let message = format!("the name {taken} is taken");
        return Err(vec![Trouble::new(Reason::NameInUse, message)]);
    }
    let old = recreate::old_facts(dependent, host);
    if old.running && facts.is_bad() {
        return refuse(
            "it is unhealthy or does not stay up, so it would not pass its gate; repair or remove it"
                .to_owned(),
        );
    }
    if old.auto_remove {
        return refuse("it has auto-remove; remove it, and run it again later".into());
    }
    let mut followers = recreate::dependents_of(dependent, host).into_iter();
    if let Some(follower) = followers.next() {
        return refuse(format!(
            "{} depends on it, and indirect dependents are not supported: remove {} first",
            follower.name, follower.name
        ));
    }
    let as_it_is = Options::as_it_is();
    let mut made = recreate::recreate(dependent, host, &Change::default(), &as_it_is)?;
    // By its full ID, however it was specified: that ID is replaced later.
    made.body = recreate::retarget(&made.body, target, &target.id);
    let new = body(&made, Some(old.image_id.clone()));
    let plan = HostPlan {
        kind: TargetKind::Replace,
        start: old.running,
        old: Some(old),
        risks: made.risks.clone(),
        lost_paths: made.lost_paths.clone(),
        spec_sha: made.spec_sha.clone(),
        ..HostPlan::skipped(String::new())
    };
    Ok((DependentPlan { name, plan }, Bodies { new: Some(new), ..Bodies::default() }))
}

/// Adds them to the plan of their host, with their warnings.
pub(super) fn attach(plan: &mut Plan, dependents: BTreeMap<HostName, Vec<DependentPlan>>) {
    for (host, dependents) in dependents {
        let Some(planned) = plan.hosts.get_mut(&host) else { continue };
        if !matches!(planned.kind, TargetKind::Skip { .. }) {
            planned.risks.extend(risks(&dependents));
            planned.risks.sort();
            planned.risks.dedup();
            for DependentPlan { name, plan } in &dependents {
                let lost = plan.lost_paths.iter().map(|path| format!("{name}:{path}"));
                planned.lost_paths.extend(lost);
            }
            planned.dependents = dependents;
        }
    }
}

fn risks(plans: &[DependentPlan]) -> impl Iterator<Item = String> {
    plans.iter().flat_map(|DependentPlan { name, plan }| {
        let own = plan.risks.iter().map(move |risk| format!("{name}: {risk}"));
        let first = if plan.start { "is stopped, recreated, and started" } else { "is recreated" };
        std::iter::once(format!("{name} depends on it and {first} with it")).chain(own)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::rollout::recreate::tests::bodies;

    /// Reasons not to recreate a container with these host settings and this state that uses the
    /// volumes of the target; empty if it can be recreated.
    fn said(host_config: Value, state: &Value, others: &[Value]) -> Vec<String> {
        let side = side(host_config, state);
        let mut host = bodies::host(41);
        host.containers.extend(others.iter().map(ContainerFacts::read));
        host.containers.push(side.inspect.facts.clone());
        let target = bodies::old(json!({}), Value::Null);
        match plan(&target, &[side], &host, RolloutId(Uuid::from_u128(7))) {
            Ok(planned) => {
                assert_eq!((planned.plans.len(), planned.bodies.len()), (1, 1));
                Vec::new()
            }
            Err(troubles) => troubles.into_iter().map(|trouble| trouble.message).collect(),
        }
    }

    fn side(mut host_config: Value, state: &Value) -> OldContainer {
        host_config["VolumesFrom"] = json!(["web"]);
        let own = json!({
            "Id": "d".repeat(64), "Name": "/side", "HostConfig": host_config, "State": state,
        });
        bodies::old(own, Value::Null)
    }

    #[test]
    fn what_cannot_be_made_anew_is_refused_with_its_name() {
        let runs = || json!({"Status": "running", "Running": true});
        assert_eq!(said(json!({}), &runs(), &[]), Vec::<String>::new());
        let one = |said: Vec<String>, expected: &str| {
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].starts_with("its dependent side: "), "{said:?}");
            assert!(said[0].contains(expected), "{said:?}");
        };
        one(said(json!({"AutoRemove": true}), &runs(), &[]), "auto-remove");
        let paused = json!({"Status": "paused", "Running": true, "Paused": true});
        one(said(json!({}), &paused, &[]), "it is paused");
        let mut sick = runs();
        sick["Health"] = json!({"Status": "unhealthy"});
        one(said(json!({}), &sick, &[]), "it is unhealthy");
        let follower = json!({
            "Id": "e".repeat(64), "Name": "/third",
            "HostConfig": {"IpcMode": format!("container:{}", "d".repeat(64))},
        });
        one(said(json!({}), &runs(), &[follower]), "third depends on it");
        let holder = json!({"Id": "f".repeat(64), "Name": "/side.old-00000000"});
        one(said(json!({}), &runs(), &[holder]), "side.old-00000000 is taken");
        // A container that ended with an error is not started, and so has no gate to pass.
        let ended = json!({"Status": "exited", "Running": false, "ExitCode": 1});
        assert_eq!(said(json!({}), &ended, &[]), Vec::<String>::new());
    }

    #[test]
    fn one_whose_name_leaves_no_room_is_refused() {
        let target = bodies::old(json!({}), Value::Null);
        let name = format!("/{}", "s".repeat(250));
        let own = json!({
            "Id": "d".repeat(64), "Name": name, "HostConfig": {"VolumesFrom": ["web"]},
        });
        let side = bodies::old(own, Value::Null);
        let rollout = RolloutId(Uuid::from_u128(7));
        let planned = plan(&target, &[side], &bodies::host(41), rollout);
        assert!(planned.err().unwrap()[0].message.contains("at most 242 characters"));
    }

    #[test]
    fn nothing_can_hang_on_what_removes_itself() {
        let target = bodies::old(json!({"HostConfig": {"AutoRemove": true}}), Value::Null);
        let side = side(json!({}), &json!({}));
        let rollout = RolloutId(Uuid::from_u128(7));
        let planned = plan(&target, &[side], &bodies::host(41), rollout);
        assert!(planned.err().unwrap()[0].message.contains("it has auto-remove"));
        assert!(plan(&target, &[], &bodies::host(41), rollout).is_ok());
    }
}
