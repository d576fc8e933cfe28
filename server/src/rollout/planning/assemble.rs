//! The plan itself, of facts that are all there. Pure: the same facts give the same plan.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Asked, HostBodies, Planned, Snapshot};
use crate::domain::HostName;
use crate::rollout::executor::{Bodies, NewBody};
use crate::rollout::facts::Facts;
use crate::rollout::model::{HostPlan, Order as Turn, Plan, PlannedImage, TargetKind};
use crate::rollout::recreate::{self, Options, Recreated};
use crate::rollout::requests::{Order, Refusal};
use crate::rollout::spec::{
    AnonymousVolumes, Change, Dependents, OnUnreachable, OrderWish, Policy,
};

/// The plan, or everything that stands against it.
pub(super) fn assemble(
    order: &Order,
    image: Option<PlannedImage>,
    asked: Vec<Asked>,
) -> Result<Planned, Vec<Refusal>> {
    let mut draft = Draft { order, image: image.as_ref(), refusals: Vec::new(), unreachable: 0 };
    let (mut hosts, mut bodies) = (BTreeMap::new(), BTreeMap::new());
    let total = asked.len();
    let warnings = same_content(image.as_ref(), &asked);
    for host in asked {
        let name = host.host.clone();
        if let Some((plan, sealed)) = draft.host(host) {
            hosts.insert(name.clone(), plan);
            bodies.extend(sealed.map(|sealed| (name, sealed)));
        }
    }
    let policy = &order.spec.policy;
    let allowed = policy.max_unreachable.budget(total);
    if policy.on_unreachable == OnUnreachable::Skip && draft.unreachable > allowed {
        let message = format!(
            "{} hosts do not answer and max_unreachable is {allowed}; raise it, or leave them out \
             with exclude",
            draft.unreachable
        );
        draft.refusals.push(Refusal { host: None, message });
    }
    if !draft.refusals.is_empty() {
        return Err(draft.refusals);
    }
    let waves = waves(policy, &hosts);
    let container = order.spec.container.clone();
    Ok(Planned { plan: Plan { container, image, waves, hosts, warnings }, bodies })
}

/// Hosts in the order in which they are begun: those that are bad already first, because they
/// have nothing to lose; then by name. Skipped ones are in no wave.
pub(super) fn waves(policy: &Policy, hosts: &BTreeMap<HostName, HostPlan>) -> Vec<Vec<HostName>> {
    let active = || hosts.iter().filter(|(_, plan)| !matches!(plan.kind, TargetKind::Skip { .. }));
    let bad = active().filter(|(_, plan)| plan.unhealthy);
    let good = active().filter(|(_, plan)| !plan.unhealthy);
    let mut rest: Vec<HostName> = bad.chain(good).map(|(name, _)| name.clone()).collect();
    let total = rest.len();
    let mut ends: Vec<usize> = policy.batches.iter().map(|part| part.width(total)).collect();
    if let Some(canary) = policy.canary.filter(|_| ends.is_empty()) {
        let first = canary.budget(total);
        // A canary of no host is none; one of a part is at least one host.
        if canary != crate::rollout::spec::Amount::Count(0) {
            ends.push(first.max(1));
        }
    }
    ends.push(total);
    let mut waves = Vec::new();
    let mut taken = 0;
    for end in ends {
        let end = end.min(total);
        if end > taken {
            waves.push(rest.drain(..end - taken).collect());
            taken = end;
        }
    }
    waves
}

struct Draft<'a> {
    order: &'a Order,
    image: Option<&'a PlannedImage>,
    refusals: Vec<Refusal>,
    unreachable: usize,
}

impl Draft<'_> {
    /// What is done on a host; `None` where that stands against the plan.
    fn host(&mut self, asked: Asked) -> Option<(HostPlan, Option<HostBodies>)> {
        let Asked { host, facts, image } = asked;
        match facts {
            Ok(facts) => self.reachable(&host, &facts, image.as_ref()),
            Err(trouble) => {
                self.unreachable += 1;
                if self.order.spec.policy.on_unreachable == OnUnreachable::Skip {
                    return Some((skip(format!("it does not answer: {}", trouble.message)), None));
                }
                let message = format!(
                    "it does not answer: {}; leave it out with exclude, or with on_unreachable skip",
                    trouble.message
                );
                self.refuse(&host, message);
                None
            }
        }
    }

    fn reachable(
        &mut self,
        host: &HostName,
        facts: &Facts,
        image: Option<&Value>,
    ) -> Option<(HostPlan, Option<HostBodies>)> {
        let change = &self.order.spec.change;
        let container = self.order.spec.container.as_str();
        for (name, id) in recreate::names::taken(&facts.host, container, &self.order.id.short()) {
            let id = id.get(..12).unwrap_or(&id).to_owned();
            self.refuse(host, format!("the name {name} is taken by container {id}"));
        }
        let Some(old) = &facts.old else {
            if change.whole.is_none() {
                let message = format!(
                    "there is no container {container}; leave the host out, or give a whole spec that creates it"
                );
                self.refuse(host, message);
                return None;
            }
            let made = recreate::fresh(&facts.host, change);
            let made = self.made(host, made)?;
            let plan = HostPlan {
                kind: TargetKind::Create,
                old: None,
                diff: made.diff.clone(),
                risks: made.risks.clone(),
                spec_sha: made.spec_sha.clone(),
                order: Turn::StopFirst,
                start: true,
                unhealthy: false,
            };
            return Some((plan, self.seal(host, &made, None, None)));
        };
        if recreate::is_paused(&old.inspect) {
            return Some((skip("it is paused; unpause it to have it upgraded".to_owned()), None));
        }
        let options = options(&self.order.spec.policy);
        let made = recreate::recreate(old, &facts.host, change, &options);
        let made = self.made(host, made)?;
        if !made.dependents.is_empty() {
            let names: Vec<_> = made.dependents.iter().map(|it| it.name.clone()).collect();
            self.refuse(
                host,
                format!(
                    "{} depend on it and would have to be made anew, which rollouts do not do yet",
                    names.join(", ")
                ),
            );
            return None;
        }
        if change.image.is_some() && made.diff.is_empty() && self.is_same(old.image.as_ref(), image)
        {
            return Some((skip("it is on this version already".to_owned()), None));
        }
        let facts_of_old = recreate::old_facts(&old.inspect);
        let unhealthy = old.inspect["State"]["Health"]["Status"] == "unhealthy"
            || old.inspect["State"]["Restarting"] == true
            || old.inspect["RestartCount"].as_i64().unwrap_or(0) > 0;
        let twin = if facts_of_old.auto_remove && facts_of_old.running {
            let twin = recreate::twin(old, &facts.host);
            Some(self.made(host, twin)?)
        } else {
            None
        };
        let as_it_is = Options { assume_explicit: true, ..keep(&options) };
        let before = recreate::recreate(old, &facts.host, &Change::default(), &as_it_is).ok();
        let before = before.map(|mut before| {
            // The name of its image may mean another one by the time that it is made again.
            before.body["Image"] = Value::String(facts_of_old.image_id.clone());
            before
        });
        let plan = HostPlan {
            kind: TargetKind::Replace,
            start: facts_of_old.running,
            old: Some(facts_of_old),
            diff: made.diff.clone(),
            risks: made.risks.clone(),
            spec_sha: made.spec_sha.clone(),
            order: made.order,
            unhealthy,
        };
        let sealed = self.seal(host, &made, twin.as_ref(), before.as_ref());
        Some((plan, sealed))
    }

    /// Whether the old container has the image of the plan already.
    fn is_same(&self, old: Option<&Value>, named: Option<&Value>) -> bool {
        let Some(old) = old else { return false };
        match self.image.and_then(|image| image.digest.as_deref()) {
            Some(digest) => old["RepoDigests"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .any(|found| found.ends_with(digest)),
            None => named.is_some_and(|named| named["Id"] == old["Id"]),
        }
    }

    fn made(
        &mut self,
        host: &HostName,
        made: Result<Recreated, Vec<crate::rollout::model::Trouble>>,
    ) -> Option<Recreated> {
        match made {
            Ok(made) => Some(made),
            Err(troubles) => {
                for trouble in troubles {
                    self.refuse(host, trouble.message);
                }
                None
            }
        }
    }

    fn seal(
        &mut self,
        host: &HostName,
        new: &Recreated,
        twin: Option<&Recreated>,
        before: Option<&Recreated>,
    ) -> Option<HostBodies> {
        let bodies = Bodies { new: Some(body(new)), twin: twin.map(body) };
        let snapshot =
            before.map(|before| Snapshot { new: body(before), spec_sha: before.spec_sha.clone() });
        let written = serde_json::to_string(&bodies).and_then(|bodies| {
            Ok((bodies, snapshot.map(|it| serde_json::to_string(&it)).transpose()?))
        });
        match written {
            Ok((bodies, old)) => Some(HostBodies { bodies, old }),
            Err(error) => {
                self.refuse(host, format!("its body cannot be written down: {error}"));
                None
            }
        }
    }

    fn refuse(&mut self, host: &HostName, message: String) {
        self.refusals.push(Refusal { host: Some(host.clone()), message });
    }
}

fn body(made: &Recreated) -> NewBody {
    NewBody { body: made.body.clone(), networks: made.extra_networks.clone() }
}

pub(super) fn skip(reason: String) -> HostPlan {
    HostPlan {
        kind: TargetKind::Skip { reason },
        old: None,
        diff: Vec::new(),
        risks: Vec::new(),
        spec_sha: String::new(),
        order: Turn::StopFirst,
        start: false,
        unhealthy: false,
    }
}

fn options(policy: &Policy) -> Options {
    Options {
        anonymous_volumes: policy.anonymous_volumes,
        dependents: policy.dependents,
        order: policy.order,
        assume_explicit: false,
        pin_overlay_addresses: false,
        share_volumes: false,
    }
}

fn keep(options: &Options) -> Options {
    Options {
        anonymous_volumes: AnonymousVolumes::Keep,
        dependents: Dependents::Recreate,
        order: OrderWish::StopFirst,
        ..*options
    }
}

/// Warns where hosts have different content under the name and no registry says which is right.
fn same_content(image: Option<&PlannedImage>, asked: &[Asked]) -> Vec<String> {
    let Some(image) = image.filter(|image| image.digest.is_none()) else { return Vec::new() };
    let ids: BTreeSet<_> =
        asked.iter().filter_map(|it| it.image.as_ref()?["Id"].as_str()).collect();
    if ids.len() < 2 {
        return Vec::new();
    }
    vec![format!(
        "{} is not the same image on all hosts, and no registry says which is right",
        image.reference
    )]
}
