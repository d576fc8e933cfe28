//! The plan of the way back: on every host that a rollout took to the new version, the
//! container that was there before, retained where it is still there, else made again from
//! what the rollout wrote down of it.

use std::collections::BTreeMap;

use super::assemble::{skip, waves};
use super::{HostBodies, Planned, Snapshot, facts_of};
use crate::domain::{ContainerRef, HostName};
use crate::rollout::executor::{Bodies, container_facts};
use crate::rollout::hosts::Hosts;
use crate::rollout::journal::{Journal, JournalError, SecretKind};
use crate::rollout::model::{HostEnd, HostPlan, Order, Plan, RestartPolicy, RolloutId, TargetKind};
use crate::rollout::recreate;
use crate::rollout::requests::{Refusal, RolloutError, UndoOrder};
use crate::rollout::state::{HostState, RolloutState};

/// Plans the way back of a rollout that has ended.
pub async fn plan_undo(
    hosts: &dyn Hosts,
    journal: &dyn Journal,
    order: &UndoOrder,
) -> Result<Planned, RolloutError> {
    let entries = journal.records(order.of).await?;
    if entries.is_empty() {
        return Err(JournalError::NotFound(order.of).into());
    }
    let state = RolloutState::replay(entries.iter().map(|entry| &entry.record))
        .map_err(|error| JournalError::Store(Box::new(error)))?;
    if !state.phase.is_terminal() {
        return Err(RolloutError::WrongState(
            "the rollout has not ended; abort it first, or let it roll back".to_owned(),
        ));
    }
    let (mut plans, mut bodies) = (BTreeMap::new(), BTreeMap::new());
    let mut refusals = Vec::new();
    for (name, host) in &state.hosts {
        let done = matches!(host.end, Some(HostEnd::Committed));
        let Some(was) = state.plan.hosts.get(name).filter(|_| done) else {
            plans.insert(name.clone(), skip("the rollout left it as it was".to_owned()));
            continue;
        };
        let way = Way { hosts, journal, of: order.of, state: &state, name };
        match way.back(was, host).await? {
            Ok((plan, sealed)) => {
                plans.insert(name.clone(), plan);
                bodies.extend(sealed.map(|sealed| (name.clone(), sealed)));
            }
            Err(message) => refusals.push(Refusal { host: Some(name.clone()), message }),
        }
    }
    if refusals.is_empty() && plans.values().all(|it| matches!(it.kind, TargetKind::Skip { .. })) {
        let message = "the rollout changed no host, so that there is nothing to undo".to_owned();
        refusals.push(Refusal { host: None, message });
    }
    if !refusals.is_empty() {
        return Err(RolloutError::PlanRefused(refusals));
    }
    let mut waves = waves(&order.policy, &plans);
    // What came last goes back first.
    for wave in &mut waves {
        wave.reverse();
    }
    let container = state.plan.container.clone();
    let plan = Plan { container, image: None, waves, hosts: plans, warnings: Vec::new() };
    Ok(Planned { plan, bodies })
}

/// The way back on one host.
struct Way<'a> {
    hosts: &'a dyn Hosts,
    journal: &'a dyn Journal,
    of: RolloutId,
    state: &'a RolloutState,
    name: &'a HostName,
}

type Back = Result<(HostPlan, Option<HostBodies>), String>;

impl Way<'_> {
    async fn back(&self, was: &HostPlan, host: &HostState) -> Result<Back, RolloutError> {
        let container = &self.state.plan.container;
        let Some(old) = &was.old else {
            return Ok(Ok((
                skip("the rollout created it; remove it with `wharf rm`".to_owned()),
                None,
            )));
        };
        let facts = match facts_of(self.hosts, self.name, container).await {
            Ok(facts) => facts,
            Err(trouble) => return Ok(Err(format!("it does not answer: {}", trouble.message))),
        };
        let Some(current) = &facts.old else {
            return Ok(Err(format!("there is no container {container} any more")));
        };
        let current_facts = recreate::old_facts(&current.inspect);
        let expected = match &was.kind {
            TargetKind::Adopt { id, .. } => Some(id),
            _ => host.progress.new_id.as_ref(),
        };
        if expected.is_some_and(|expected| *expected != current_facts.id) {
            return Ok(Err(format!(
                "{container} is not the container that the rollout made; somebody changed it since"
            )));
        }
        let mut plan = HostPlan {
            kind: TargetKind::Replace,
            start: old.running,
            diff: vec![format!("image: {} -> {}", current_facts.image, old.image)],
            risks: Vec::new(),
            spec_sha: String::new(),
            order: Order::StopFirst,
            unhealthy: false,
            old: Some(current_facts),
        };
        if let Some(name) = self.retained(&old.id).await {
            let restart = RestartPolicy { ..old.restart.clone() };
            plan.kind = TargetKind::Adopt { id: old.id.clone(), name, restart };
            return Ok(Ok((plan, None)));
        }
        let snapshot = self.journal.secret(self.of, Some(self.name), SecretKind::Snapshot).await?;
        let snapshot = snapshot.and_then(|text| serde_json::from_str::<Snapshot>(&text).ok());
        let Some(snapshot) = snapshot else {
            return Ok(Err("the old container is gone and was not written down".to_owned()));
        };
        plan.spec_sha.clone_from(&snapshot.spec_sha);
        plan.risks.push("the old container is gone; one like it is made anew".to_owned());
        let old_snapshot = serde_json::to_string(&snapshot).ok();
        let bodies = Bodies { new: Some(snapshot.new), twin: None };
        let bodies =
            serde_json::to_string(&bodies).map_err(|error| JournalError::Store(Box::new(error)))?;
        Ok(Ok((plan, Some(HostBodies { bodies, old: old_snapshot }))))
    }

    /// The name of the retained container, if it is there and does not run.
    async fn retained(&self, id: &str) -> Option<String> {
        let engine = self.hosts.engine(self.name).ok()?;
        let reference = ContainerRef::parse(id).ok()?;
        let document = engine.inspect_container(&reference, false).await.ok()?;
        let facts = container_facts(&document).ok()?;
        (facts.id == id && !facts.running && !facts.is_going()).then_some(facts.name)
    }
}
