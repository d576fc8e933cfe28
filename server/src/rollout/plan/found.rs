//! What is found on each host, and what would take the place of its container. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::gather::Asked;
use super::given::Given;
use super::host::{Found, NewContainer, Present, Replacement};
use super::resolve::Resolved;
use super::sealed::{self, WayBack, body, seal};
use super::{Planned, dependents, fleet, foreign};
use crate::domain::{ContainerName, HostName, Reason};
use crate::engine::Platform;
use crate::rollout::facts::{Facts, OldContainer};
use crate::rollout::journal::NewSecret;
use crate::rollout::model::{DependentPlan, PlannedImage, Trouble};
use crate::rollout::recreate::{self, Options, Recreated};
use crate::rollout::requests::{Order, Refusal};
use crate::rollout::spec::{Policy, PullWhen, Stopped};

/// The plan, or all reasons to refuse it. Hosts that are already on the new version are skipped: a
/// pipeline that runs twice upgrades once.
pub(super) fn plan(
    order: &Order,
    is_restart: bool,
    image: Option<Resolved>,
    asked: Vec<Asked>,
    known: &BTreeSet<String>,
) -> Result<Planned, Vec<Refusal>> {
    let (image, platforms, given) = match image {
        Some(Resolved { image, platforms, given }) => (Some(image), platforms, given),
        None => (None, Vec::new(), None),
    };
    let (image_of_plan, given) = (image.as_ref(), given.as_ref());
    let platforms = &platforms;
    let draft = Draft { order, is_restart, image: image_of_plan, platforms, given, known };
    let mut drafts = Drafts::default();
    for asked in asked {
        let found = match &asked.facts {
            Ok(facts) => draft.reachable(&asked, facts),
            Err(trouble) => Found::Silent(trouble.clone()).into(),
        };
        drafts.add(asked.host, found);
    }
    drafts.plan(&order.spec.container, &order.spec.policy, image, &[])
}

/// What was found on all hosts.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) hosts: BTreeMap<HostName, Found>,
    dependents: BTreeMap<HostName, Vec<DependentPlan>>,
    secrets: Vec<NewSecret>,
}

/// What is found on a host, what is sealed of it, and what is made anew with its container.
pub(super) struct HostDraft {
    pub(super) found: Found,
    pub(super) secrets: Vec<NewSecret>,
    pub(super) dependents: Vec<DependentPlan>,
}

impl From<Found> for HostDraft {
    fn from(found: Found) -> Self {
        Self { found, secrets: Vec::new(), dependents: Vec::new() }
    }
}

impl Drafts {
    pub(super) fn add(&mut self, host: HostName, draft: HostDraft) {
        self.dependents.insert(host.clone(), draft.dependents);
        self.secrets.extend(draft.secrets);
        self.hosts.insert(host, draft.found);
    }

    /// The plan that follows; `first` are hosts that come before others.
    pub(super) fn plan(
        self,
        container: &ContainerName,
        policy: &Policy,
        image: Option<PlannedImage>,
        first: &[HostName],
    ) -> Result<Planned, Vec<Refusal>> {
        let input = fleet::Input { container, policy, image, hosts: &self.hosts, first };
        let mut plan = fleet::plan(&input)?;
        dependents::attach(&mut plan, self.dependents);
        Ok(Planned { plan, secrets: self.secrets })
    }
}

struct Draft<'a> {
    order: &'a Order,
    /// Nothing was to change, except possibly to a newer image of the same name: a restart is not
    /// done just because nothing differs.
    is_restart: bool,
    image: Option<&'a PlannedImage>,
    /// Its platforms.
    platforms: &'a [Platform],
    /// The image on its source, if it comes from a host.
    given: Option<&'a Given>,
    /// The rollouts of this store.
    known: &'a BTreeSet<String>,
}

/// What takes the place of a container, what is sealed of it, and what is made anew with it.
type Replacing = (NewContainer, Vec<NewSecret>, Vec<DependentPlan>);

impl Draft<'_> {
    fn reachable(&self, asked: &Asked, facts: &Facts) -> HostDraft {
        let container = self.order.spec.container.as_str();
        let taken = recreate::names::taken(&facts.host, container, &self.order.id.short());
        if !taken.is_empty() {
            let trouble = |(name, id): &(String, String)| {
                let id = id.get(..12).unwrap_or(id);
                let message = format!("the name {name} is taken by container {id}");
                Trouble::new(Reason::NameInUse, message)
            };
            return Found::Refused(taken.iter().map(trouble).collect()).into();
        }
        if let Some(trouble) = foreign::at_work(&facts.host, container, self.known) {
            return Found::Refused(vec![trouble]).into();
        }
        let Some(old) = &facts.old else {
            return self.missing(asked, facts).unwrap_or_else(|them| Found::Refused(them).into());
        };
        let mut present = Present {
            unhealthy: old.inspect.is_bad(),
            paused: old.inspect.paused,
            new: Err(Vec::new()),
            old: recreate::old_facts(old, &facts.host),
        };
        let (new, secrets, dependents) = match self.replacing(asked, facts, old, &present) {
            Ok(None) => return Found::Current.into(),
            Ok(Some((new, secrets, dependents))) => (Ok(new), secrets, dependents),
            Err(troubles) => (Err(troubles), Vec::new(), Vec::new()),
        };
        present.new = new.map(Replacement::New);
        HostDraft { found: Found::Present(Box::new(present)), secrets, dependents }
    }

    /// What is created where there is no container.
    fn missing(&self, asked: &Asked, facts: &Facts) -> Result<HostDraft, Vec<Trouble>> {
        let (change, image) = (&self.order.spec.change, asked.image.as_ref());
        if change.whole.is_none() {
            return Ok(Found::Missing { new: None }.into());
        }
        if let Some(trouble) = self.unfit(&facts.host.platform, image) {
            return Err(vec![trouble]);
        }
        let made = recreate::fresh(&facts.host, change)?;
        let new = Some(Replacement::New(NewContainer::of(&made, self.new_image(None, image))));
        let secrets = seal(&asked.host, Some(body(&made, None)), WayBack::default(), Vec::new());
        Ok(HostDraft { secrets, ..Found::Missing { new }.into() })
    }

    /// What takes the place of the container; `None` where that is as it should be.
    fn replacing(
        &self,
        asked: &Asked,
        facts: &Facts,
        old: &OldContainer,
        present: &Present,
    ) -> Result<Option<Replacing>, Vec<Trouble>> {
        let (spec, image) = (&self.order.spec, asked.image.as_ref());
        let (change, options) = (&spec.change, Options::from(&spec.policy));
        let made = recreate::recreate(old, &facts.host, change, &options)?;
        let same_image = change.image.is_none() || self.is_same(old.image.as_ref(), image);
        let is_as_wanted = made.diff.is_empty() && same_image;
        if !self.is_restart && is_as_wanted && works(present, spec.policy.stopped) {
            return Ok(None);
        }
        if let Some(trouble) = self.unfit(&facts.host.platform, image) {
            return Err(vec![trouble]);
        }
        let back = sealed::way_back(old, &facts.host)?;
        let dependents::Planned { plans, bodies } =
            dependents::plan(old, &asked.dependents, &facts.host, self.order.id)?;
        let new = NewContainer::of(&made, self.new_image(old.image.as_ref(), image));
        let image_id = change.image.is_none().then(|| present.old.image_id.clone());
        let secrets = seal(&asked.host, Some(body(&made, image_id)), back, bodies);
        Ok(Some((new, secrets, plans)))
    }

    /// Why the host cannot get the image or cannot run it. An image that it already has was put
    /// there on purpose: it may use an emulator.
    fn unfit(&self, host: &Platform, named: Option<&Value>) -> Option<Trouble> {
        let image = self.image?;
        let is_there = match image.digest {
            None if self.given.is_none() => named.is_some(),
            _ => self.is_same(named, named),
        };
        if is_there {
            return None;
        }
        if let Some(given) = self.given {
            return given.unfit(&image.reference, host);
        }
        if self.order.spec.policy.pull == PullWhen::Never {
            let message = format!(
                "it does not have {}, and pull_policy is never; pull the image there first, or \
                 use missing",
                image.reference
            );
            return Some(Trouble::new(Reason::ImageNotFound, message));
        }
        let fits = |platform: &Platform| {
            platform.os == host.os && platform.architecture == host.architecture
        };
        let unknown = host.os.is_empty() || host.architecture.is_empty();
        if unknown || self.platforms.is_empty() || self.platforms.iter().any(fits) {
            return None;
        }
        let told = |it: &Platform| format!("{}/{}", it.os, it.architecture);
        let message = format!(
            "{} is for {}, not for {}: push it for that platform too, or, if the host can emulate \
             it, pull it there first",
            image.reference,
            self.platforms.iter().map(told).collect::<Vec<_>>().join(", "),
            told(host)
        );
        Some(Trouble::new(Reason::ImageNotFound, message))
    }

    /// The image of the new container, if it is known before the host has it.
    fn new_image<'a>(
        &'a self,
        old: Option<&'a Value>,
        named: Option<&'a Value>,
    ) -> Option<&'a Value> {
        match self.image {
            Some(_) if self.given.is_some() => self.given.map(|given| &given.document),
            Some(_) => named.filter(|_| self.is_same(named, named)),
            // A whole spec may name one.
            None => old.filter(|_| self.order.spec.change.whole.is_none()),
        }
    }

    /// Whether the old container has the image of the plan already.
    fn is_same(&self, old: Option<&Value>, named: Option<&Value>) -> bool {
        let Some(old) = old else { return false };
        if let Some(given) = self.given {
            return given.identity.is_shown_by(old);
        }
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

impl NewContainer {
    fn of(made: &Recreated, image: Option<&Value>) -> Self {
        Self {
            health_check: recreate::has_health_check(&made.body, image),
            spec_sha: made.spec_sha.clone(),
            order: made.order,
            diff: made.diff.clone(),
            risks: made.risks.clone(),
            lost_paths: made.lost_paths.clone(),
            image: None,
        }
    }
}
