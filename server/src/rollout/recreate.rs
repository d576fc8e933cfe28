//! What a container would have to be created with to be what it is, and to differ in what a
//! rollout changes: the body of `POST /containers/create` from an inspection.
//!
//! Pure. Called by the plan, by the executor for the twin of a container that removes itself,
//! and by the command line's preview. The rules, with the numbers that tests name, are section C
//! of the rollout sheet. An inspection is not what a container was created with: the Engine mixes
//! the image's settings and its own run-time values into it. So every theme has a file that takes
//! away what is not the operator's: `image_defaults`, `identity`, `networks`, `storage`, `labels`;
//! the rest of the Engine's JSON goes through untouched, known to us or not. On that base `change`
//! puts what is asked for (`unset`, then settings, then the merge patch); `check`, `order` and
//! `dependents` look at what came out; `diff` says what became different, `compare` whether the
//! Engine did what it was asked.

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
pub use labels::{OWN_LABELS, complete, compose_image, compose_risk};
pub use removal::being_removed;
pub use unset::check_unset;

use crate::body::json;

use super::facts::{HostFacts, OldContainer};
use super::model::{OldFacts, Order, RestartPolicy, Trouble};
use super::reason::Reason;
use super::spec::{AnonymousVolumes, Change, Dependents, OrderPreference, Policy};
use crate::engine::{CLIENT_MAX, ErrorKind, in_form_of, unsupported};

/// What the operator allows or wants, besides the change itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What becomes of anonymous volumes.
    pub anonymous_volumes: AnonymousVolumes,
    /// What becomes of containers that share a namespace with it.
    pub dependents: Dependents,
    /// Which of old and new goes first.
    pub order: OrderPreference,
    /// Where the old image is gone: take everything that the container has as set by its
    /// operator, rather than refuse (C8).
    pub assume_explicit: bool,
    /// Keep the addresses that an overlay network shows, which may be dynamic (C23).
    pub pin_overlay_addresses: bool,
    /// Start-first although old and new would write to the same volumes (C32).
    pub share_volumes: bool,
}

/// A container as it is to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct Recreated {
    /// The Engine's body for `POST /containers/create`. Holds secrets.
    pub body: Value,
    /// Networks to connect after the creation and before the start, with the Engine's JSON of the
    /// endpoint: before API 1.44 a creation takes one only (C17). Sorted by name.
    pub extra_networks: Vec<(String, Value)>,
    /// Names of the networks that the new container must be in, sorted.
    pub joins: Vec<String>,
    /// What becomes different, a line a setting, sorted; secrets are not in it.
    pub diff: Vec<String>,
    /// Paths that were changed in the old container's own layer and go with it: those of files
    /// that are likely to be of the moment last, otherwise sorted.
    pub lost_paths: Vec<String>,
    /// What may go wrong or be lost, a line each.
    pub risks: Vec<String>,
    /// How it takes the place of the old one.
    pub order: Order,
    /// Containers that share its namespaces or take its volumes; to be made anew after it.
    pub dependents: Vec<Dependent>,
    /// Names of anonymous volumes that the new container takes over and that no removal of a
    /// container removes any more (C24).
    pub inherited_volumes: Vec<String>,
    /// SHA-256, in hex, of the canonical JSON of body and extra networks.
    pub spec_sha: String,
}

/// What is found on the way.
#[derive(Debug, Default)]
struct Notes {
    refusals: Vec<Trouble>,
    risks: Vec<String>,
}

/// The container that replaces `old`, or everything that stands against it.
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
        // Only to tell what becomes different: what is unclear about it does not matter.
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
    let joins = joined::expected(&old.inspect, &before.body, &body, host);
    let made = Made { body, joins, diff, lost_paths, order, dependents, inherited_volumes };
    let shown = unsupported(&before.body, host.api_version);
    made.finish(host, &shown, notes)
}

/// The container that a change makes where there is none. The change must have a whole body, or
/// an image and settings.
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
    let joins = joined::expected(&Value::Null, &Value::Null, &body, host);
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

/// The stopped stand-in for a container that removes itself when it stops: the same container
/// without that, on the same volumes (C30).
pub fn twin(old: &OldContainer, host: &HostFacts) -> Result<Recreated, Vec<Trouble>> {
    let mut notes = Notes::default();
    let mut base = Base::of(old, host, &Options::as_it_is(), &mut notes);
    if !notes.refusals.is_empty() {
        return Err(notes.refusals);
    }
    base.body["HostConfig"]["AutoRemove"] = Value::Bool(false);
    let shown = unsupported(&base.body, host.api_version);
    let made = Made {
        joins: joined::expected(&old.inspect, &base.body, &base.body, host),
        body: base.body,
        diff: Vec::new(),
        lost_paths: Vec::new(),
        order: Order::StopFirst,
        dependents: Vec::new(),
        inherited_volumes: base.inherited,
    };
    made.finish(host, &shown, notes)
}

/// What the plan keeps of the old container.
#[must_use]
pub fn old_facts(old: &OldContainer, on: &HostFacts) -> OldFacts {
    let inspect = &old.inspect;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let digests = old.image.as_ref().and_then(|image| image["RepoDigests"].as_array());
    let (state, host) = (&inspect["State"], &inspect["HostConfig"]);
    let policy = &host["RestartPolicy"];
    OldFacts {
        id: text(&inspect["Id"]),
        image: text(&inspect["Config"]["Image"]),
        image_id: text(&inspect["Image"]),
        running: state["Running"] == true || state["Restarting"] == true,
        restart: RestartPolicy {
            name: text(&policy["Name"]),
            maximum_retry_count: policy["MaximumRetryCount"].as_i64().unwrap_or_default(),
        },
        auto_remove: host["AutoRemove"] == true,
        digests: digests.into_iter().flatten().map(text).collect(),
        compose_project: labels::compose_project(inspect).map(str::to_owned),
        fixed_restart: on.fixed_restart_policies,
    }
}

/// What to know before a container is replaced whose restart policy cannot be changed.
#[must_use]
pub fn restart_risk(old: &OldFacts) -> Option<String> {
    (old.fixed_restart && old.restart.is_for_boot()).then(|| {
        format!(
            "Podman before 5.1 cannot change a restart policy, and podman-restart.service would start \
             the old container, which has the policy {}, with the machine: the old one is removed at \
             the end, whatever keep_old says, and an undo creates it again from what is stored",
            old.restart.name
        )
    })
}

/// Whether a container is paused: it counts as running, and a stop would end the pause (C27).
#[must_use]
pub fn is_paused(inspect: &Value) -> bool {
    inspect["State"]["Paused"] == true
}

impl Options {
    /// For a container that is made again as it is, whatever its operator wants for another.
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

/// The old container as it would have to be created: all its endpoints in the body.
struct Base {
    body: Value,
    inherited: Vec<String>,
}

impl Base {
    fn of(old: &OldContainer, host: &HostFacts, options: &Options, notes: &mut Notes) -> Self {
        let inspect = &old.inspect;
        let mut config = json::object_of(&inspect["Config"]);
        let mut host_config = json::object_of(&inspect["HostConfig"]);
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

/// What was decided of a new container.
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
    /// The container in the form in which it is sent to the host, or what stands against it.
    /// `shown` is what the Engine shows of the old container and its version does not know.
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
            // What an Engine shows in its own highest version it also takes: podman names an old
            // one.
            unknown.retain(|line| !shown.contains(line));
        }
        if !unknown.is_empty() {
            let refusal = |line: String| {
                let message = format!("{line}; leave it out on this host, or upgrade its Engine");
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
