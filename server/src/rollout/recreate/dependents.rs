//! Containers that depend on the replaced one: they share a namespace with it, use its volumes, or
//! have a legacy link to it. All of these refer to its ID, so they can no longer start when it is
//! gone (C14, C15).

use serde_json::Value;

use super::json::text;
use super::storage::source_of;
use super::{Notes, Options};
use crate::domain::Reason;
use crate::engine::ContainerFacts;
use crate::rollout::facts::{HostFacts, OldContainer};
use crate::rollout::model::Trouble;
use crate::rollout::model::names::target_of;
use crate::rollout::spec::Dependents;

/// What a container with a legacy link shares with its target.
const LINK: &str = "link";

/// A container that depends on the replaced one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependent {
    /// Full ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
    /// What it shares: `network`, `ipc`, `pid`, `volumes`, `link`.
    pub shares: Vec<&'static str>,
}

impl Dependent {
    /// How it depends on the target, for people.
    fn how(&self) -> String {
        let shared: Vec<_> = self.shares.iter().copied().filter(|what| *what != LINK).collect();
        let shares = (!shared.is_empty()).then(|| format!("shares its {}", shared.join(" and ")));
        let links = self.shares.contains(&LINK).then(|| "has a link to it".to_owned());
        shares.into_iter().chain(links).collect::<Vec<_>>().join(" and ")
    }
}

/// The body of a dependent, changed to depend on the new container.
#[must_use]
pub fn retarget(body: &Value, old: &ContainerFacts, new_id: &str) -> Value {
    let mut body = body.clone();
    let host_config = &mut body["HostConfig"];
    for key in ["NetworkMode", "IpcMode", "PidMode"] {
        if text(&host_config[key]).strip_prefix("container:").is_some_and(|of| old.is(of)) {
            host_config[key] = format!("container:{new_id}").into();
        }
    }
    if let Some(Value::Array(list)) = host_config.get_mut("VolumesFrom") {
        for entry in list.iter_mut().filter(|entry| old.is(source_of(text(entry)))) {
            let mode = text(entry).split_once(':').map(|(_, mode)| format!(":{mode}"));
            *entry = format!("{new_id}{}", mode.unwrap_or_default()).into();
        }
    }
    if let Some(Value::Array(list)) = host_config.get_mut("Links") {
        for entry in list {
            // By its ID: the name is that of the old one until it is stopped.
            let parts = text(entry).split_once(':');
            if let Some((_, alias)) = parts.filter(|(target, _)| old.is(target)) {
                *entry = format!("{new_id}:{alias}").into();
            }
        }
    }
    body
}

/// The dependents of a container, by name.
#[must_use]
pub fn dependents_of(old: &OldContainer, host: &HostFacts) -> Vec<Dependent> {
    let target = &old.inspect;
    // The backup of a dependent depends on the backup of the target, and the name that it refers to
    // now belongs to another container.
    let kept = |other: &&ContainerFacts| !other.running && target_of(&other.name).is_some();
    let others = host.containers.iter().filter(|other| other.id != target.id && !kept(other));
    let mut found: Vec<Dependent> = others
        .filter_map(|other| {
            let shares = shares(other, target);
            (!shares.is_empty()).then(|| Dependent {
                id: other.id.clone(),
                name: other.name.clone(),
                running: other.running,
                shares,
            })
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The refusal for each dependent if they are not to be recreated.
#[must_use]
pub fn refuse_dependents(old: &OldContainer, host: &HostFacts) -> Vec<Trouble> {
    let refuse = |dependent: Dependent| {
        let message = format!(
            "the container {} {} and could not start again; recreate it too (dependents: recreate), or remove it first",
            dependent.name,
            dependent.how()
        );
        Trouble::new(Reason::DependentContainer, message)
    };
    dependents_of(old, host).into_iter().map(refuse).collect()
}

pub(super) fn find(
    old: &OldContainer,
    host: &HostFacts,
    options: &Options,
    notes: &mut Notes,
) -> Vec<Dependent> {
    let found = dependents_of(old, host);
    if options.dependents == Dependents::Refuse {
        notes.refusals.extend(refuse_dependents(old, host));
    }
    if !host.unread.is_empty() {
        notes.risk(format!(
            "{} containers could not be inspected, so whether they depend on it is unknown: {}",
            host.unread.len(),
            host.unread.join(", ")
        ));
    }
    found
}

fn shares(other: &ContainerFacts, target: &ContainerFacts) -> Vec<&'static str> {
    let of_target = |mode: &str| mode.strip_prefix("container:").is_some_and(|of| target.is(of));
    let modes = [
        ("network", other.network_mode.as_str()),
        ("ipc", other.ipc_mode.as_str()),
        ("pid", other.pid_mode.as_str()),
    ];
    let mut shares: Vec<_> =
        modes.into_iter().filter(|(_, mode)| of_target(mode)).map(|(what, _)| what).collect();
    if other.volumes_from.iter().any(|entry| target.is(source_of(entry))) {
        shares.push("volumes");
    }
    if other.links.iter().any(|link| target.is(link)) {
        shares.push(LINK);
    }
    shares
}
