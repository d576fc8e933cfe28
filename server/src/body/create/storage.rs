//! The mounts of a container: binds, volumes, mounts, tmpfs.
//!
//! The Engine has four places for them, and refuses a container in which two of them have the same
//! target. So an entry of the spec removes the body's entry with its target from all four.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use wharf::settings::target;
use wharf::v1::ContainerSpec;

use super::document::lookup;
use super::{Draft, checks, mount};
use crate::body::violation::Violations;
use crate::domain::quoted;

/// Where an entry goes in the body.
enum Place {
    Bind(String),
    Anonymous(String),
    Mount(Value),
    Tmpfs(String, String),
}

/// The entries of the spec, and the field of each of their targets.
#[derive(Default)]
struct Entries {
    places: Vec<Place>,
    fields: BTreeMap<String, String>,
}

impl Entries {
    fn add(&mut self, field: String, target: String, place: Place, violations: &mut Violations) {
        if let Some(other) = self.fields.get(&target) {
            violations.add(field, format!("{} is already mounted by {other}", quoted(&target)));
            return;
        }
        self.fields.insert(target, field);
        self.places.push(place);
    }
}

pub(super) fn apply(spec: &ContainerSpec, draft: &mut Draft) {
    let entries = entries(spec, &mut draft.violations);
    if !entries.places.is_empty() {
        take_away(&entries.fields, draft);
        put(entries.places, draft);
    }
}

fn entries(spec: &ContainerSpec, violations: &mut Violations) -> Entries {
    let mut entries = Entries::default();
    for (index, text) in spec.volumes.iter().enumerate() {
        let field = format!("spec.volumes[{index}]");
        match mount::parse_bind(text) {
            Ok((target, true)) => {
                let place = Place::Anonymous(target.clone());
                entries.add(field, target, place, violations);
            }
            Ok((target, false)) => {
                entries.add(field, target, Place::Bind(text.clone()), violations);
            }
            Err(problem) => violations.add(field, problem),
        }
    }
    for (index, mount) in spec.mounts.iter().enumerate() {
        let field = format!("spec.mounts[{index}]");
        let body = mount::body(mount, &field, violations);
        match checks::mount_target(&mount.target) {
            Ok(target) => entries.add(field, target, Place::Mount(body), violations),
            Err(problem) => violations.add(format!("{field}.target"), problem),
        }
    }
    for (path, options) in &spec.tmpfs {
        let field = format!("spec.tmpfs[{}]", quoted(path));
        if let Err(problem) = mount::check_tmpfs_options(options) {
            violations.add(field.as_str(), problem);
        }
        match checks::mount_target(path) {
            Ok(target) => {
                let place = Place::Tmpfs(target.clone(), options.clone());
                entries.add(field, target, place, violations);
            }
            Err(problem) => violations.add(field, problem),
        }
    }
    entries
}

fn take_away(targets: &BTreeMap<String, String>, draft: &mut Draft) {
    let taken = |path: &str| path.starts_with('/') && targets.contains_key(&checks::clean(path));
    if let Some(Value::Array(binds)) = draft.host.get_mut("Binds") {
        binds.retain(|bind| !bind.as_str().is_some_and(|bind| taken(target(bind))));
    }
    if let Some(Value::Array(mounts)) = draft.host.get_mut("Mounts") {
        let at = |mount: &Map<String, Value>| lookup(mount, "Target")?.as_str().map(taken);
        mounts.retain(|mount| mount.as_object().and_then(at) != Some(true));
    }
    if let Some(Value::Object(tmpfs)) = draft.host.get_mut("Tmpfs") {
        tmpfs.retain(|path, _| !taken(path));
    }
    if let Some(Value::Object(volumes)) = draft.top.get_mut("Volumes") {
        volumes.retain(|path, _| !taken(path));
    }
}

fn put(places: Vec<Place>, draft: &mut Draft) {
    let violations = &mut draft.violations;
    for place in places {
        match place {
            Place::Bind(text) => {
                if let Some(list) = draft.host.list("Binds", violations) {
                    list.push(text.into());
                }
            }
            Place::Mount(mount) => {
                if let Some(list) = draft.host.list("Mounts", violations) {
                    list.push(mount);
                }
            }
            Place::Anonymous(target) => {
                if let Some(object) = draft.top.object("Volumes", &[], violations) {
                    object.insert(target, json!({}));
                }
            }
            Place::Tmpfs(target, options) => {
                if let Some(object) = draft.host.object("Tmpfs", &[], violations) {
                    object.insert(target, options.into());
                }
            }
        }
    }
}
