//! The plan of an undo: on every host that a rollout took to the new version, restores the previous
//! container, or recreates it from the rollout's stored data. A host that somebody has changed
//! since stays unchanged.

use std::collections::BTreeMap;

use serde_json::Value;

use super::found::{Drafts, HostDraft};
use super::gather::facts_of;
use super::host::{Found, NewContainer, Present, Replacement};
use super::old_image::{self, OldImage};
use super::sealed::{self, Snapshot};
use super::{Planned, dependents, refuse_active};
use crate::domain::{ContainerRef, HostName, Reason};
use crate::engine::Inspection;
use crate::rollout::control::check_undo;
use crate::rollout::hosts::Hosts;
use crate::rollout::journal::{Journal, JournalError, SecretKind};
use crate::rollout::model::{HostEnd, HostPlan, NewBody, OldFacts, TargetKind, Trouble};
use crate::rollout::recreate;
use crate::rollout::requests::{Refusal, RolloutError, UndoOrder};
use crate::rollout::spec::{Dependents, Policy, PullWhen};
use crate::rollout::state::{HostState, RolloutState};

/// Plans the undo of a rollout that has ended.
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
    check_undo(&state.phase).map_err(RolloutError::WrongState)?;
    let is_host = |host: &HostName| state.hosts.contains_key(host);
    refuse_active(journal, &state.plan.container, is_host).await?;
    let (mut drafts, mut left, mut gone) = (Drafts::default(), BTreeMap::new(), Vec::new());
    for (name, host) in &state.hosts {
        let done = matches!(host.end, Some(HostEnd::Committed));
        let Some(was) = state.plan.hosts.get(name).filter(|_| done) else {
            left.insert(
                name.clone(),
                HostPlan::skipped("the rollout did not change it".to_owned()),
            );
            continue;
        };
        if let Some(why) = order.left_out.get(name) {
            let (host, reason) = (Some(name.clone()), Reason::HostCordoned);
            gone.push(Refusal { host, reason, message: why.clone() });
            left.insert(name.clone(), HostPlan::skipped(why.clone()));
            continue;
        }
        let way = Way { hosts, journal, order, state: &state, name };
        match way.back(was, host).await? {
            Back::To(draft) => drafts.add(name.clone(), *draft),
            Back::Left(why) => {
                gone.push(Refusal {
                    host: Some(name.clone()),
                    reason: Reason::RolloutNothingToDo,
                    message: why.clone(),
                });
                left.insert(name.clone(), HostPlan::skipped(why));
            }
        }
    }
    if drafts.hosts.is_empty() {
        if gone.is_empty() {
            let message = "the rollout changed no host, so there is nothing to undo";
            let (reason, message) = (Reason::RolloutNothingToDo, message.to_owned());
            gone.push(Refusal { host: None, reason, message });
        }
        return Err(RolloutError::PlanRefused(gone));
    }
    // The host that was replaced last is restored first.
    let first: Vec<_> = state.plan.waves.iter().flatten().rev().cloned().collect();
    let planned = drafts.plan(&state.plan.container, &order.policy, None, &first);
    let mut planned = planned.map_err(RolloutError::PlanRefused)?;
    planned.plan.hosts.extend(left);
    Ok(planned)
}

/// The undo of one host.
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
    /// A way back, or what stands against it.
    To(Box<HostDraft>),
    /// Nothing to do, for this reason.
    Left(String),
}

impl Way<'_> {
    async fn back(&self, was: &HostPlan, host: &HostState) -> Result<Back, RolloutError> {
        let container = &self.state.plan.container;
        let Some(old) = &was.old else {
            let reason = "the rollout created the container; to remove it, use `wharf rm`";
            return Ok(Back::Left(reason.to_owned()));
        };
        let (facts, hanging) = match facts_of(self.hosts, self.name, container).await {
            Ok(found) => found,
            Err(trouble) => return Ok(Back::To(Box::new(Found::Silent(trouble).into()))),
        };
        let against = |troubles| Back::To(Box::new(Found::Refused(troubles).into()));
        let refused = |message: String| {
            Ok(against(vec![Trouble::new(Reason::RolloutContainerChanged, message)]))
        };
        let Some(current) = &facts.old else {
            let reason = format!("it no longer has a container {container}");
            return Ok(Back::Left(reason));
        };
        let current_facts = recreate::old_facts(current, &facts.host);
        let expected = match &was.kind {
            TargetKind::Adopt { id, .. } => Some(id),
            _ => host.progress.new_id.as_ref(),
        };
        if current_facts.id == old.id {
            return Ok(Back::Left(
                "it already runs the container from before the rollout".to_owned(),
            ));
        }
        if expected.is_some_and(|expected| *expected != current_facts.id) {
            return Ok(Back::Left(format!(
                "its {container} is not the one that the rollout created: it was undone or \
                 changed afterwards"
            )));
        }
        if let Some(trouble) = recreate::being_removed(&current.inspect) {
            return Ok(against(vec![trouble]));
        }
        // The current container is replaced in turn, and may have to be restored.
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
        let (replacement, body, obstacles) = if let Some(kept) = self.retained(&old.id).await {
            let name = kept.name;
            new.health_check = Some(kept.has_health_check);
            let (id, restart, running) = (old.id.clone(), old.restart.clone(), old.running);
            let obstacles = vec!["a retained container takes its place again".to_owned()];
            (Replacement::Retained { id, name, restart, running, new }, None, obstacles)
        } else {
            let Some(Snapshot { new: mut body, spec_sha }) = written else {
                return refused("the old container is gone and was not stored".to_owned());
            };
            let image = old_image::find(self.hosts, self.name, old).await;
            new.spec_sha = spec_sha;
            new.risks.push("the old container is gone; an identical one is created".to_owned());
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
                        "its image is no longer on the host and is pulled again: {} ({})",
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
                        "the image {} of the old container is no longer on the host, and pull_policy \
                         never pulls it; pull it there before, or use missing",
                        image.reference
                    ));
                }
                OldImage::Gone => {
                    return refused(format!(
                        "the old container and its image {} ({}) are no longer on the host, and the \
                         image did not come from a registry; send it there again (wharf image send), or load it",
                        old.image, old.image_id
                    ));
                }
            }
            let hanging = recreate::dependents_of(current, &facts.host);
            let share_volumes = self.order.policy.share_volumes;
            let obstacles = recreate::obstacles(current, &body.body, &hanging, share_volumes);
            (Replacement::New(new), Some(body), obstacles)
        };
        let present = Present {
            paused: current.inspect.paused,
            unhealthy: false,
            new: ordered(&self.order.policy, &current_facts, &obstacles, replacement),
            old: current_facts,
        };
        let found = Found::Present(Box::new(present));
        let secrets = sealed::seal(self.name, body, back, of_dependents);
        Ok(Back::To(Box::new(HostDraft { found, secrets, dependents: plans })))
    }

    /// The retained container, if it exists and is not running.
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

/// With which of old and new goes first. Without a running container there is no order.
fn ordered(
    policy: &Policy,
    old: &OldFacts,
    obstacles: &[String],
    mut replacement: Replacement,
) -> Result<Replacement, Vec<Trouble>> {
    if old.running {
        let decided = recreate::order_where(policy.order, obstacles);
        let (order, risk) = decided.map_err(|trouble| vec![trouble])?;
        let (Replacement::New(new) | Replacement::Retained { new, .. }) = &mut replacement;
        new.order = order;
        new.risks.extend(risk);
    }
    Ok(replacement)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollout::model::Order;
    use crate::rollout::recreate::tests::bodies;
    use crate::rollout::spec::OrderPreference;

    #[test]
    fn what_is_created_again_does_not_start_beside_what_has_its_port() {
        let policy = Policy { order: OrderPreference::Auto, ..Policy::default() };
        let old = OldFacts { running: true, ..OldFacts::default() };
        let order_with = |port: &str| {
            let body = json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": port}]}}});
            let current = bodies::old(body.clone(), Value::Null);
            let obstacles = recreate::obstacles(&current, &body, &[], policy.share_volumes);
            let new = Replacement::New(NewContainer::default());
            match ordered(&policy, &old, &obstacles, new).unwrap() {
                Replacement::New(new) => new.order,
                kept @ Replacement::Retained { .. } => panic!("{kept:?}"),
            }
        };
        assert_eq!(order_with("8080"), Order::StopFirst);
        assert_eq!(order_with(""), Order::StartFirst);
    }
}
