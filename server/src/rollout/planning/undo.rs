//! The plan of the way back: on every host that a rollout took to the new version, the
//! container that was there before, retained where it is still there, else made again from
//! what the rollout wrote down of it. A host that somebody changed since is left as it is.

use std::collections::BTreeMap;

use serde_json::Value;

use super::old_image::{self, OldImage};
use super::{HostBodies, Planned, Snapshot, dependents, facts_of, refuse_active, sealed};
use crate::domain::{ContainerRef, HostName};
use crate::engine::Inspection;
use crate::rollout::hosts::Hosts;
use crate::rollout::journal::{Journal, JournalError, SecretKind};
use crate::rollout::model::{
    DependentPlan, HostEnd, HostPlan, NewBody, OldFacts, TargetKind, Trouble,
};
use crate::rollout::plan::{self, HostFacts, Input, NewContainer, Present, Replacement};
use crate::rollout::reason;
use crate::rollout::recreate;
use crate::rollout::requests::{Refusal, RolloutError, UndoOrder};
use crate::rollout::spec::{Dependents, PullWhen};
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
    let is_host = |host: &HostName| state.hosts.contains_key(host);
    refuse_active(journal, &state.plan.container, is_host).await?;
    let (mut facts, mut bodies, mut left) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (mut hanging, mut gone) = (BTreeMap::new(), Vec::new());
    for (name, host) in &state.hosts {
        let done = matches!(host.end, Some(HostEnd::Committed));
        let Some(was) = state.plan.hosts.get(name).filter(|_| done) else {
            left.insert(
                name.clone(),
                HostPlan::skipped("the rollout left it as it was".to_owned()),
            );
            continue;
        };
        let way = Way { hosts, journal, order, state: &state, name };
        match way.back(was, host).await? {
            Back::To(present, sealed, dependents) => {
                facts.insert(name.clone(), *present);
                hanging.insert(name.clone(), dependents);
                bodies.extend(sealed.map(|sealed| (name.clone(), sealed)));
            }
            Back::Left(why) => {
                gone.push(Refusal {
                    host: Some(name.clone()),
                    reason: reason::NOTHING_TO_DO,
                    message: why.clone(),
                });
                left.insert(name.clone(), HostPlan::skipped(why));
            }
        }
    }
    if facts.is_empty() {
        if gone.is_empty() {
            let message = "the rollout changed no host, so that there is nothing to undo";
            let (reason, message) = (reason::NOTHING_TO_DO, message.to_owned());
            gone.push(Refusal { host: None, reason, message });
        }
        return Err(RolloutError::PlanRefused(gone));
    }
    // What was replaced last goes back first.
    let first: Vec<_> = state.plan.waves.iter().flatten().rev().cloned().collect();
    let input = Input {
        container: &state.plan.container,
        policy: &order.policy,
        image: None,
        hosts: &facts,
        first: &first,
    };
    let mut plan = plan::plan(&input)
        .map_err(|found| RolloutError::PlanRefused(super::assemble::refusals(found)))?;
    plan.hosts.extend(left);
    dependents::attach(&mut plan, hanging);
    Ok(Planned { plan, bodies })
}

/// The way back on one host.
struct Way<'a> {
    hosts: &'a dyn Hosts,
    journal: &'a dyn Journal,
    order: &'a UndoOrder,
    state: &'a RolloutState,
    name: &'a HostName,
}

/// A container that was retained.
struct Retained {
    /// Its name now.
    name: String,
    has_health_check: bool,
}

/// What an undo finds on a host.
enum Back {
    /// A way back, with what is sealed of it, and what is made anew with the container.
    To(Box<HostFacts>, Option<HostBodies>, Vec<DependentPlan>),
    /// Nothing to do, for this reason.
    Left(String),
}

impl Way<'_> {
    async fn back(&self, was: &HostPlan, host: &HostState) -> Result<Back, RolloutError> {
        let container = &self.state.plan.container;
        let Some(old) = &was.old else {
            let reason = "the rollout created it; remove it with `wharf rm`";
            return Ok(Back::Left(reason.to_owned()));
        };
        let (facts, hanging) = match facts_of(self.hosts, self.name, container).await {
            Ok(found) => found,
            Err(trouble) => {
                return Ok(Back::To(Box::new(HostFacts::Silent(trouble)), None, Vec::new()));
            }
        };
        let against = |troubles| Back::To(Box::new(HostFacts::Refused(troubles)), None, Vec::new());
        let refused =
            |message: String| Ok(against(vec![Trouble::new(reason::CONTAINER_CHANGED, message)]));
        let Some(current) = &facts.old else {
            let reason = format!("it has no container {container} any more");
            return Ok(Back::Left(reason));
        };
        let current_facts = recreate::old_facts(current, &facts.host);
        let expected = match &was.kind {
            TargetKind::Adopt { id, .. } => Some(id),
            _ => host.progress.new_id.as_ref(),
        };
        if current_facts.id == old.id {
            return Ok(Back::Left("what was there before the rollout is there again".to_owned()));
        }
        if expected.is_some_and(|expected| *expected != current_facts.id) {
            return Ok(Back::Left(format!(
                "its {container} is not the one that the rollout made: it was taken back or \
                 changed since"
            )));
        }
        if let Some(trouble) = recreate::being_removed(&current.inspect) {
            return Ok(against(vec![trouble]));
        }
        // What is there now is replaced in its turn, and may have to come back.
        let back = match sealed::way_back(current, &facts.host) {
            Ok(back) => back,
            Err(troubles) => return Ok(against(troubles)),
        };
        if self.order.policy.dependents == Dependents::Refuse && !hanging.is_empty() {
            return Ok(against(recreate::refuse_dependents(current, &facts.host)));
        }
        let dependents = dependents::plan(current, &hanging, &facts.host, self.order.id);
        let dependents::Planned { plans, bodies: of_dependents } = match dependents {
            Ok(planned) => planned,
            Err(troubles) => return Ok(against(troubles)),
        };
        let kind = SecretKind::Snapshot;
        let written = self.journal.secret(self.order.of, Some(self.name), kind).await?;
        let written = written.as_deref().and_then(|it| serde_json::from_str::<Snapshot>(it).ok());
        let bodies = back.snapshot.as_ref().zip(written.as_ref());
        let mut new = NewContainer {
            diff: differences(&current_facts, old, bodies.map(|(now, then)| (&now.new, &then.new))),
            risks: recreate::compose_risk(&current.inspect)
                .into_iter()
                .chain(recreate::restart_risk(&current_facts))
                .collect(),
            ..NewContainer::default()
        };
        let (replacement, body) = if let Some(kept) = self.retained(&old.id).await {
            let name = kept.name;
            new.health_check = Some(kept.has_health_check);
            let (id, restart, running) = (old.id.clone(), old.restart.clone(), old.running);
            (Replacement::Retained { id, name, restart, running, new }, None)
        } else {
            let Some(Snapshot { new: mut body, spec_sha }) = written else {
                return refused("the old container is gone and was not written down".to_owned());
            };
            let image = old_image::find(self.hosts, self.name, old).await;
            new.spec_sha = spec_sha;
            new.risks.push("the old container is gone; one like it is created".to_owned());
            match image {
                OldImage::There { document, name } => {
                    let id = document["Id"].as_str().unwrap_or(&old.image_id).to_owned();
                    new.health_check = recreate::has_health_check(&body.body, Some(&document));
                    body.body["Image"] = name.unwrap_or_else(|| id.clone()).into();
                    body.image_id = Some(id);
                }
                OldImage::InRegistry(image) if self.order.policy.pull != PullWhen::Never => {
                    new.health_check = recreate::has_health_check(&body.body, None);
                    new.risks.push(format!(
                        "its image is gone from the host and is pulled again: {} ({})",
                        image.reference,
                        image.digest.as_deref().unwrap_or_default()
                    ));
                    body.body["Image"] = image.reference.as_str().into();
                    // That of the pull.
                    body.image_id = None;
                    new.image = Some(image);
                }
                OldImage::InRegistry(image) => {
                    return refused(format!(
                        "the image {} of the old container is gone from the host, and pull_policy \
                         never pulls it; pull it there before, or choose missing",
                        image.reference
                    ));
                }
                OldImage::Gone => {
                    return refused(format!(
                        "the old container and its image {} ({}) are gone from the host, and the \
                         image came from no registry; load it there again",
                        old.image, old.image_id
                    ));
                }
            }
            (Replacement::New(new), Some(body))
        };
        let present = Present {
            paused: current.inspect.paused,
            unhealthy: false,
            no_start_first: plans
                .iter()
                .map(|it| format!("the container {} hangs on it", it.name))
                .collect(),
            new: Ok(replacement),
            old: current_facts,
        };
        let sealed = sealed::seal(body, back, of_dependents);
        Ok(Back::To(Box::new(HostFacts::Present(Box::new(present))), sealed, plans))
    }

    /// The retained container, if it is there and does not run.
    async fn retained(&self, id: &str) -> Option<Retained> {
        let engine = self.hosts.engine(self.name).ok()?;
        let reference = ContainerRef::parse(id).ok()?;
        let document = engine.inspect_container(&reference, false).await.ok()?;
        let found = Inspection::read(&document).ok()?.with_status().ok()?;
        let config = &found.json["Config"];
        let has_health_check = recreate::has_health_check(config, None).unwrap_or(false);
        let is_it = found.id == id && !found.running && !found.is_going();
        is_it.then_some(Retained { name: found.facts.name, has_health_check })
    }
}

/// What becomes different, with names of images instead of IDs.
fn differences(
    now: &OldFacts,
    then: &OldFacts,
    bodies: Option<(&NewBody, &NewBody)>,
) -> Vec<String> {
    let named = |facts: &OldFacts, other: &OldFacts| match facts.image == other.image {
        true if facts.image_id != other.image_id => {
            let id = facts.image_id.trim_start_matches("sha256:");
            format!("{} ({})", facts.image, id.get(..12).unwrap_or(id))
        }
        _ => facts.image.clone(),
    };
    let whole = |facts: &OldFacts, other: &OldFacts, new: Option<&NewBody>| {
        let mut body = new.map_or(Value::Null, NewBody::with_all_networks);
        body["Image"] = named(facts, other).into();
        body
    };
    let before = whole(now, then, bodies.map(|(now, _)| now));
    recreate::diff(&before, &whole(then, now, bodies.map(|(_, then)| then)))
}
