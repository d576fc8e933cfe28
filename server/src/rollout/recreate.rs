//! Converts an inspection and the change of a rollout to the body of `POST /containers/create` for
//! the new container.
//!
//! Pure. Called by the plan, by the executor for the twin of a container with auto-remove,
//! and by the command line's preview. The rules, with the numbers that comments and tests cite
//! (C1 to C36), are in docs/recreate.md. An inspection is not the body of the creation: the Engine
//! merges the image's settings and its own runtime values into it. Each topic has a file that
//! removes settings that the operator did not set: `image_defaults`, `identity`, `networks`,
//! `storage`, `labels`; the rest of the Engine's JSON passes through unchanged, known to us or not.
//! `change` then applies the change (`unset`, then settings, then the merge patch); `check`,
//! `order`, and `dependents` examine the result; `diff` describes the differences, and `compare`
//! checks whether the Engine did what was requested.

mod change;
mod check;
mod compare;
mod dependents;
mod diff;
#[cfg(test)]
mod fuzz;
mod health;
mod identity;
mod image_defaults;
mod joined;
mod labels;
mod mac;
mod mask;
pub mod names;
mod networks;
mod order;
mod removal;
mod settings;
mod storage;
mod unset;

#[cfg(test)]
pub(super) mod tests;

use serde_json::Value;

pub use compare::compare;
pub use dependents::{Dependent, dependents_of, refuse_dependents, retarget};
pub use diff::diff;
pub use health::has_health_check;
pub use joined::{not_joined, tells_networks};
pub use labels::{complete, compose_image, compose_risk};
pub use order::{obstacles, order_where};
pub use removal::being_removed;
pub use unset::check_unset;

pub use super::model::names::OWN_LABELS;

use super::facts::{HostFacts, OldContainer};
use super::model::{OldFacts, Order, Trouble};
use super::spec::{AnonymousVolumes, Change, Dependents, OrderPreference, Policy};
use crate::body::json;
use crate::domain::Reason;
use crate::engine::{CLIENT_MAX, ErrorKind, MANY_ENDPOINTS, in_form_of, unsupported};

/// Options of the operator besides the change itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What to do with anonymous volumes.
    pub anonymous_volumes: AnonymousVolumes,
    /// What to do with containers that share a namespace with it.
    pub dependents: Dependents,
    /// Which of the old and the new container goes first.
    pub order: OrderPreference,
    /// If the old image is missing, treat every current setting as set explicitly, instead of
    /// refusing (C8).
    pub assume_explicit: bool,
    /// Keep the addresses in an overlay network, which may be dynamic (C23).
    pub pin_overlay_addresses: bool,
    /// Start-first although old and new would write to the same volumes (C32).
    pub share_volumes: bool,
}

/// A container to create.
#[derive(Debug, Clone, PartialEq)]
pub struct Recreated {
    /// The Engine's body for `POST /containers/create`. Contains secrets.
    pub body: Value,
    /// Networks to connect after the creation and before the start, with the Engine's JSON of the
    /// endpoint: before API 1.44, a creation accepts only one (C17). Sorted by name.
    pub extra_networks: Vec<(String, Value)>,
    /// Names of the networks that the new container must be in, sorted.
    pub joins: Vec<String>,
    /// Changes, one line for each setting, sorted; without secrets.
    pub diff: Vec<String>,
    /// Changed paths in the old container's writable layer, which are lost: sorted, with likely
    /// temporary files last.
    pub lost_paths: Vec<String>,
    /// Risks, one line each.
    pub risks: Vec<String>,
    /// How it replaces the old one.
    pub order: Order,
    /// Containers that share its namespaces or use its volumes, to recreate after it.
    pub dependents: Vec<Dependent>,
    /// Names of anonymous volumes that the new container keeps, and that removing a container no
    /// longer removes (C24).
    pub inherited_volumes: Vec<String>,
    /// SHA-256, in hex, of the canonical JSON of body and extra networks.
    pub spec_sha: String,
}

/// Risks and refusals collected on the way.
#[derive(Debug, Default)]
struct Notes {
    refusals: Vec<Trouble>,
    risks: Vec<String>,
}

/// The container that replaces `old`, or all reasons to refuse it.
pub fn recreate(
    old: &OldContainer,
    host: &HostFacts,
    change: &Change,
    options: &Options,
) -> Result<Recreated, Vec<Trouble>> {
    let mut notes = Notes::default();
    removal::refuse(&old.inspect, &mut notes);
    labels::refuse_swarm(&old.inspect, &mut notes);
    notes.risks.extend(labels::compose_risk(&old.inspect));
    notes.risks.extend(restart_risk(&old_facts(old, host)));
    names::refuse_retained(&old.inspect, &mut notes);
    let lost_paths = storage::warn_of_lost_files(old, &mut notes);
    let base = if change.whole.is_some() {
        // Only to describe the changes: unclear points do not matter here.
        let lenient = Options { assume_explicit: true, ..*options };
        Base::of(old, host, &lenient, &mut Notes::default())
    } else {
        Base::of(old, host, options, &mut notes)
    };
    labels::warn_of_compose(&base.body, change, &mut notes);
    let body = change::apply(base.body.clone(), change, &mut notes);
    let body = match body {
        Some(body) if notes.refusals.is_empty() => body,
        _ => return Err(notes.refusals),
    };
    check::check(&body, &mut notes);
    let before = Base::of(
        old,
        host,
        &Options { anonymous_volumes: AnonymousVolumes::Keep, assume_explicit: true, ..*options },
        &mut Notes::default(),
    );
    let dependents = dependents::find(old, host, options, &mut notes);
    let order = order::choose(old, &body, &dependents, options, &mut notes);
    order::warn_of_ports(&body, &mut notes);
    let inherited_volumes = if change.whole.is_some() {
        Vec::new()
    } else {
        storage::still_there(base.inherited, &body)
    };
    storage::warn_of_leaks(&inherited_volumes, &mut notes);
    let diff = diff(&before.body, &body);
    let joins = joined::expected(Some(&old.inspect), &before.body, &body, host);
    let made = Made { body, joins, diff, lost_paths, order, dependents, inherited_volumes };
    let shown = unsupported(&before.body, host.api_version);
    made.finish(host, &shown, notes)
}

/// The container that a change creates if there is none. The change must have a whole body, or an
/// image and settings.
pub fn fresh(host: &HostFacts, change: &Change) -> Result<Recreated, Vec<Trouble>> {
    let mut notes = Notes::default();
    let body = change::apply(Value::Object(json::Object::new()), change, &mut notes);
    let body = match body {
        Some(body) if notes.refusals.is_empty() => body,
        _ => return Err(notes.refusals),
    };
    check::check(&body, &mut notes);
    networks::refuse_missing(&body, host, &mut notes);
    order::warn_of_ports(&body, &mut notes);
    let diff = diff(&Value::Null, &body);
    let joins = joined::expected(None, &Value::Null, &body, host);
    let made = Made {
        body,
        joins,
        diff,
        lost_paths: Vec::new(),
        order: Order::StopFirst,
        dependents: Vec::new(),
        inherited_volumes: Vec::new(),
    };
    made.finish(host, &[], notes)
}

/// The stopped twin of a container with auto-remove: the same container without auto-remove, on the
/// same volumes (C30).
pub fn twin(old: &OldContainer, host: &HostFacts) -> Result<Recreated, Vec<Trouble>> {
    let mut notes = Notes::default();
    let mut base = Base::of(old, host, &Options::as_it_is(), &mut notes);
    if !notes.refusals.is_empty() {
        return Err(notes.refusals);
    }
    base.body["HostConfig"]["AutoRemove"] = Value::Bool(false);
    let shown = unsupported(&base.body, host.api_version);
    let made = Made {
        joins: joined::expected(Some(&old.inspect), &base.body, &base.body, host),
        body: base.body,
        diff: Vec::new(),
        lost_paths: Vec::new(),
        order: Order::StopFirst,
        dependents: Vec::new(),
        inherited_volumes: base.inherited,
    };
    made.finish(host, &shown, notes)
}

/// The facts of the old container for the plan.
#[must_use]
pub fn old_facts(old: &OldContainer, on: &HostFacts) -> OldFacts {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let digests = old.image.as_ref().and_then(|image| image["RepoDigests"].as_array());
    let facts = &old.inspect;
    OldFacts {
        id: facts.id.clone(),
        image: facts.image.clone(),
        image_id: facts.image_id.clone(),
        running: facts.running,
        restart: facts.restart.clone(),
        auto_remove: facts.auto_remove,
        digests: digests.into_iter().flatten().map(text).collect(),
        compose_project: labels::compose_project(facts).map(str::to_owned),
        fixed_restart: on.fixed_restart_policies,
    }
}

/// The risk of replacing a container whose restart policy cannot be changed.
#[must_use]
pub fn restart_risk(old: &OldFacts) -> Option<String> {
    (old.fixed_restart && old.restart.is_for_boot()).then(|| {
        format!(
            "Podman before 5.1 cannot change a restart policy, and podman-restart.service would start \
             the old container, which has the policy {}, at boot: the old one is removed at \
             the end, regardless of keep_old, and an undo recreates it from stored data",
            old.restart.name
        )
    })
}

impl Options {
    /// For a container that is recreated with its settings, regardless of the options for another
    /// one.
    #[must_use]
    pub fn as_it_is() -> Self {
        Self {
            anonymous_volumes: AnonymousVolumes::Keep,
            dependents: Dependents::Recreate,
            order: OrderPreference::StopFirst,
            assume_explicit: true,
            pin_overlay_addresses: false,
            share_volumes: false,
        }
    }
}

impl From<&Policy> for Options {
    fn from(policy: &Policy) -> Self {
        Self {
            anonymous_volumes: policy.anonymous_volumes,
            dependents: policy.dependents,
            order: policy.order,
            assume_explicit: policy.assume_explicit,
            pin_overlay_addresses: policy.pin_overlay_addresses,
            share_volumes: policy.share_volumes,
        }
    }
}

impl Notes {
    fn refuse(&mut self, reason: Reason, message: impl Into<String>) {
        self.refusals.push(Trouble::new(reason, message));
    }

    fn risk(&mut self, line: impl Into<String>) {
        self.risks.push(line.into());
    }
}

/// The old container as a body to create: with all its endpoints.
struct Base {
    body: Value,
    inherited: Vec<String>,
}

impl Base {
    fn of(old: &OldContainer, host: &HostFacts, options: &Options, notes: &mut Notes) -> Self {
        let inspect = &old.inspect;
        let mut config = json::object_of(&inspect.json["Config"]);
        let mut host_config = json::object_of(&inspect.json["HostConfig"]);
        image_defaults::subtract(&mut config, old, options, notes);
        image_defaults::pin(&mut config, old, notes);
        labels::drop_own(&mut config);
        identity::forget(&mut config, &mut host_config, inspect, host, notes);
        identity::warn_of_frozen_defaults(&host_config, host, notes);
        let endpoints =
            networks::endpoints(&mut config, &mut host_config, inspect, host, options, notes);
        let inherited = storage::keep(&mut config, &mut host_config, inspect, host, options, notes);
        let mut body = config;
        body.insert("HostConfig".to_owned(), host_config.into());
        if !endpoints.is_empty() {
            let networking = serde_json::json!({ "EndpointsConfig": endpoints });
            body.insert("NetworkingConfig".to_owned(), networking);
        }
        Self { body: body.into(), inherited }
    }
}

/// The decisions about a new container.
struct Made {
    body: Value,
    joins: Vec<String>,
    diff: Vec<String>,
    lost_paths: Vec<String>,
    order: Order,
    dependents: Vec<Dependent>,
    inherited_volumes: Vec<String>,
}

impl Made {
    /// The body as sent to the host, or the reasons to refuse it. `shown` contains settings that
    /// the Engine shows for the old container but that its API version does not know.
    fn finish(
        self,
        host: &HostFacts,
        shown: &[String],
        mut notes: Notes,
    ) -> Result<Recreated, Vec<Trouble>> {
        if !notes.refusals.is_empty() {
            return Err(notes.refusals);
        }
        let Self { body, joins, diff, lost_paths, order, dependents, inherited_volumes } = self;
        let body = in_form_of(host.api_version, body);
        let mut unknown = unsupported(&body, host.api_version);
        if host.api_version < CLIENT_MAX {
            // An Engine also accepts what it shows in its highest version: podman reports an old
            // one.
            unknown.retain(|line| !shown.contains(line));
        }
        if !unknown.is_empty() {
            let refusal = |line: String| {
                let message = format!("{line}; remove it for this host, or upgrade its Engine");
                Trouble::new(ErrorKind::Unsupported.reason(), message)
            };
            return Err(unknown.into_iter().map(refusal).collect());
        }
        let (body, extra_networks) = joined::split(body, host);
        let spec_sha = json::sha256(&serde_json::json!([body, extra_networks]));
        notes.risks.sort();
        notes.risks.dedup();
        let risks = notes.risks;
        Ok(Recreated {
            body,
            extra_networks,
            joins,
            diff,
            lost_paths,
            risks,
            order,
            dependents,
            inherited_volumes,
            spec_sha,
        })
    }
}
