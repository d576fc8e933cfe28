//! Builds the input of a plan from complete facts. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::sealed::{self, WayBack, body, seal};
use super::{Asked, HostBodies, Planned, dependents};
use crate::engine::Platform;
use crate::rollout::facts::{Facts, OldContainer};
use crate::rollout::model::{DependentPlan, Order as Turn, PlannedImage, Trouble};
use crate::rollout::plan::{self, HostFacts, Input, NewContainer, Present, Replacement};
use crate::rollout::reason;
use crate::rollout::recreate::{self, Options, Recreated};
use crate::rollout::requests::{Order, Refusal};
use crate::rollout::spec::{OrderPreference, PullWhen, Stopped};

/// The plan, or all reasons to refuse it. Hosts that are already on the new version are skipped: a
/// pipeline that runs twice upgrades once.
pub(super) fn assemble(
    order: &Order,
    is_restart: bool,
    image: Option<PlannedImage>,
    platforms: &[Platform],
    asked: Vec<Asked>,
) -> Result<Planned, Vec<Refusal>> {
    let draft = Draft { order, is_restart, image: image.as_ref(), platforms };
    let (mut hosts, mut bodies) = (BTreeMap::new(), BTreeMap::new());
    let mut hanging = BTreeMap::new();
    for asked in asked {
        let name = asked.host.clone();
        let Found { facts, sealed, dependents } = draft.host(asked);
        hosts.insert(name.clone(), facts);
        hanging.insert(name.clone(), dependents);
        bodies.extend(sealed.map(|sealed| (name, sealed)));
    }
    let (container, policy) = (&order.spec.container, &order.spec.policy);
    let input = Input { container, policy, image, hosts: &hosts, first: &[] };
    let mut plan = plan::plan(&input).map_err(refusals)?;
    dependents::attach(&mut plan, hanging);
    Ok(Planned { plan, bodies })
}

/// The reasons to refuse a plan, as shown to callers.
pub(super) fn refusals(found: Vec<plan::Refusal>) -> Vec<Refusal> {
    found
        .into_iter()
        .map(|refusal| Refusal {
            host: refusal.host,
            reason: refusal.trouble.reason,
            message: refusal.trouble.message,
        })
        .collect()
}

struct Draft<'a> {
    order: &'a Order,
    /// Nothing was to change, except possibly to a newer image of the same name: a restart is not
    /// done just because nothing differs.
    is_restart: bool,
    image: Option<&'a PlannedImage>,
    /// Its platform.
    platforms: &'a [Platform],
}

/// The facts of a host, its sealed data, and the dependents of its container.
struct Found {
    facts: HostFacts,
    sealed: Option<HostBodies>,
    dependents: Vec<DependentPlan>,
}

impl From<HostFacts> for Found {
    fn from(facts: HostFacts) -> Self {
        Self { facts, sealed: None, dependents: Vec::new() }
    }
}

impl Draft<'_> {
    fn host(&self, asked: Asked) -> Found {
        let Asked { facts, dependents, image, .. } = asked;
        match facts {
            Ok(facts) => self.reachable(&facts, &dependents, image.as_ref()),
            Err(trouble) => HostFacts::Silent(trouble).into(),
        }
    }

    fn reachable(&self, facts: &Facts, hanging: &[OldContainer], image: Option<&Value>) -> Found {
        let change = &self.order.spec.change;
        let container = self.order.spec.container.as_str();
        let taken = recreate::names::taken(&facts.host, container, &self.order.id.short());
        if !taken.is_empty() {
            let trouble = |(name, id): &(String, String)| {
                let id = id.get(..12).unwrap_or(id);
                let message = format!("the name {name} is taken by container {id}");
                Trouble::new(reason::NAME_IN_USE, message)
            };
            return HostFacts::Refused(taken.iter().map(trouble).collect()).into();
        }
        let unfit = self.unfit(&facts.host.platform, image);
        let Some(old) = &facts.old else {
            if change.whole.is_none() {
                return HostFacts::Missing { new: None }.into();
            }
            if let Some(trouble) = unfit {
                return HostFacts::Refused(vec![trouble]).into();
            }
            return match recreate::fresh(&facts.host, change) {
                Ok(made) => {
                    let new = container_of(&made, self.new_image(None, image));
                    let new = Some(Replacement::New(new));
                    let sealed = seal(Some(body(&made, None)), WayBack::default(), Vec::new());
                    Found { sealed, ..HostFacts::Missing { new }.into() }
                }
                Err(troubles) => HostFacts::Refused(troubles).into(),
            };
        };
        let options = Options::from(&self.order.spec.policy);
        let mut present = Present {
            unhealthy: is_bad(&old.inspect),
            paused: recreate::is_paused(&old.inspect),
            no_start_first: Vec::new(),
            new: Err(Vec::new()),
            old: recreate::old_facts(old, &facts.host),
        };
        let made = match recreate::recreate(old, &facts.host, change, &options) {
            Ok(made) => made,
            Err(troubles) => {
                present.new = Err(troubles);
                return HostFacts::Present(Box::new(present)).into();
            }
        };
        let same_image = change.image.is_none() || self.is_same(old.image.as_ref(), image);
        let is_as_wanted = made.diff.is_empty() && same_image;
        if !self.is_restart && is_as_wanted && works(&present, self.order.spec.policy.stopped) {
            return HostFacts::Current.into();
        }
        if let Some(trouble) = unfit {
            present.new = Err(vec![trouble]);
            return HostFacts::Present(Box::new(present)).into();
        }
        if options.order == OrderPreference::Auto && made.order == Turn::StopFirst {
            present.no_start_first.push("it cannot run beside the old one".to_owned());
        }
        let hanging = dependents::plan(old, hanging, &facts.host, self.order.id);
        let (back, hanging) = match (sealed::way_back(old, &facts.host), hanging) {
            (Ok(back), Ok(hanging)) => (back, hanging),
            (Err(troubles), _) | (_, Err(troubles)) => {
                present.new = Err(troubles);
                return HostFacts::Present(Box::new(present)).into();
            }
        };
        let new_image = self.new_image(old.image.as_ref(), image);
        present.new = Ok(Replacement::New(container_of(&made, new_image)));
        let image_id = change.image.is_none().then(|| present.old.image_id.clone());
        let dependents::Planned { plans, bodies } = hanging;
        Found {
            facts: HostFacts::Present(Box::new(present)),
            sealed: seal(Some(body(&made, image_id)), back, bodies),
            dependents: plans,
        }
    }

    /// Why the host cannot get the image or cannot run it. An image that it already has was put
    /// there on purpose: it may use an emulator.
    fn unfit(&self, host: &Platform, named: Option<&Value>) -> Option<Trouble> {
        let image = self.image?;
        let is_there = match image.digest {
            Some(_) => self.is_same(named, named),
            None => named.is_some(),
        };
        if is_there {
            return None;
        }
        if self.order.spec.policy.pull == PullWhen::Never {
            let message = format!(
                "it does not have {}, and pull_policy is never; pull the image there first, or \
                 use missing",
                image.reference
            );
            return Some(Trouble::new(reason::IMAGE_NOT_FOUND, message));
        }
        let fits = |platform: &Platform| {
            platform.os == host.os && platform.architecture == host.architecture
        };
        let unknown = host.os.is_empty() || host.architecture.is_empty();
        if unknown || self.platforms.is_empty() || self.platforms.iter().any(fits) {
            return None;
        }
        let name = |it: &Platform| format!("{}/{}", it.os, it.architecture);
        let message = format!(
            "{} is for {}, not for {}: push it for that platform too, or, if the host can emulate \
             it, pull it there first",
            image.reference,
            self.platforms.iter().map(name).collect::<Vec<_>>().join(", "),
            name(host)
        );
        Some(Trouble::new(reason::IMAGE_NOT_FOUND, message))
    }

    /// The image of the new container, if the host has it.
    fn new_image<'a>(&self, old: Option<&'a Value>, named: Option<&'a Value>) -> Option<&'a Value> {
        match self.image {
            Some(_) => named.filter(|_| self.is_same(named, named)),
            // A whole spec may name one.
            None => old.filter(|_| self.order.spec.change.whole.is_none()),
        }
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
}

/// Whether a container that is already on the wanted version can be skipped. One that is unhealthy,
/// or down although it should run, has to pass the gate first: otherwise, the rollout would succeed
/// for a version that works nowhere.
fn works(present: &Present, stopped: Stopped) -> bool {
    let may_be_down = matches!(stopped, Stopped::Keep | Stopped::Skip);
    if present.old.running { !present.unhealthy } else { may_be_down }
}

/// Whether it is down or unhealthy, so that it has little to lose.
pub(super) fn is_bad(inspect: &Value) -> bool {
    let state = &inspect["State"];
    let ended_badly = state["Status"] == "exited" && state["ExitCode"] != 0;
    state["Health"]["Status"] == "unhealthy" || state["Restarting"] == true || ended_badly
}

fn container_of(made: &Recreated, image: Option<&Value>) -> NewContainer {
    NewContainer {
        health_check: recreate::has_health_check(&made.body, image),
        spec_sha: made.spec_sha.clone(),
        diff: made.diff.clone(),
        risks: made.risks.clone(),
        lost_paths: made.lost_paths.clone(),
        image: None,
    }
}
