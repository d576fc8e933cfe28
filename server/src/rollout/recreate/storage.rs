//! Data of the old container: its anonymous volumes, and the files in its writable layer (C24,
//! C25).

use std::collections::BTreeSet;

use serde_json::{Value, json};

pub(super) use wharf::settings::{clean, target as bind_target};

use super::json::{Object, entries, get, is_empty, items, object_of, text, texts};
use super::{Notes, Options};
use crate::engine::{FileChange, FileChangeKind, Inspection};
use crate::rollout::facts::{HostFacts, OldContainer};
use crate::rollout::spec::AnonymousVolumes;

/// Paths that the Engine or the kernel's interfaces write, not the application.
const NOT_ITS_OWN: [&str; 9] = [
    "/.dockerenv",
    "/dev",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/mtab",
    "/etc/resolv.conf",
    "/proc",
    "/run/secrets",
    "/sys",
];
/// Where programs store temporary files: listed last.
const OF_THE_MOMENT: [&str; 6] = ["/run", "/tmp", "/var/cache", "/var/log", "/var/run", "/var/tmp"];
/// How many paths a line names.
const NAMED: usize = 5;

/// Names the anonymous volumes in the body, so that the new container gets the same ones. Returns
/// their names, sorted.
pub(super) fn keep(
    config: &mut Object,
    host_config: &mut Object,
    inspect: &Inspection,
    host: &HostFacts,
    options: &Options,
    notes: &mut Notes,
) -> Vec<String> {
    let gone = drop_gone_sources(host_config, host, notes);
    let mut inherited = Vec::new();
    for mount in items(&inspect.json["Mounts"]) {
        let target = text(&mount["Destination"]);
        let is_volume = mount["Type"] == "volume";
        let kept = options.anonymous_volumes == AnonymousVolumes::Keep;
        if bind_targets(host_config).contains(clean(target))
            || from_another(mount, host_config, host)
        {
            continue;
        }
        let name = text(&mount["Name"]);
        if let Some(own) = own_mount(host_config, target) {
            let nameless = own["Type"] == "volume" && is_empty(&own["Source"]);
            if nameless && kept && !name.is_empty() {
                own["Source"] = name.into();
                inherited.push(name.to_owned());
            } else if !kept && own["Type"] == "volume" && is_nameless(text(&own["Source"])) {
                // Anonymous originally, and kept under the name that the Engine generated.
                own.as_object_mut().map(|own| own.shift_remove("Source"));
            }
            continue;
        }
        let of_gone = gone && !is_asked_for(config, target);
        let source = if is_volume { name } else { text(&mount["Source"]) };
        if source.is_empty() || !(is_volume && kept || of_gone) {
            continue;
        }
        if !is_volume && mount["Type"] != "bind" {
            continue;
        }
        take_volume(config, target);
        let list = host_config.entry("Mounts").or_insert(Value::Null);
        if !list.is_array() {
            *list = json!([]);
        }
        let mut added = json!({ "Type": mount["Type"], "Source": source, "Target": target });
        if mount["RW"] == false {
            // An inspection does not show it if it is false, and the body would differ.
            added["ReadOnly"] = true.into();
        }
        list.as_array_mut().into_iter().for_each(|list| list.push(added.clone()));
        if is_volume {
            inherited.push(name.to_owned());
        }
    }
    if let Some(Value::Array(mounts)) = host_config.get_mut("Mounts") {
        mounts.sort_by(|one, other| text(&one["Target"]).cmp(text(&other["Target"])));
    }
    inherited.sort();
    inherited.dedup();
    inherited
}

/// The names that the final body still mounts.
pub(super) fn still_there(names: Vec<String>, body: &Value) -> Vec<String> {
    let mounted: BTreeSet<&str> =
        items(&body["HostConfig"]["Mounts"]).map(|mount| text(&mount["Source"])).collect();
    names.into_iter().filter(|name| mounted.contains(name.as_str())).collect()
}

pub(super) fn warn_of_leaks(names: &[String], notes: &mut Notes) {
    for name in names {
        notes.risk(format!(
            "the new container keeps the anonymous volume {name}, which then counts as named: removing a container no longer removes it"
        ));
    }
}

/// C25: the container's writable layer is lost. Returns the changed paths, with likely temporary
/// files last.
pub(super) fn warn_of_lost_files(old: &OldContainer, notes: &mut Notes) -> Vec<String> {
    let Some(changes) = &old.changes else {
        notes.risk(
            "the Engine does not report which files it wrote to its own layer; those are lost",
        );
        return Vec::new();
    };
    let targets: Vec<&str> = old.inspect.mounts.iter().map(|mount| clean(&mount.target)).collect();
    let mut lost = lost_files(changes, &targets);
    if lost.is_empty() {
        return Vec::new();
    }
    // Stable: each group stays sorted by path.
    lost.sort_by_key(|path| OF_THE_MOMENT.iter().any(|top| below(path, top)));
    let named = lost.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = if lost.len() > NAMED { ", …" } else { "" };
    let (files, are) = if lost.len() == 1 { ("path", "is") } else { ("paths", "are") };
    let count = lost.len();
    notes.risk(format!("{count} {files} changed in its own layer {are} lost: {named}{more}"));
    lost.into_iter().map(str::to_owned).collect()
}

/// Whether a path is that of a directory or in it.
fn below(path: &str, top: &str) -> bool {
    path == top || path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'))
}

fn lost_files<'a>(changes: &'a [FileChange], targets: &[&str]) -> Vec<&'a str> {
    let mut own: Vec<&FileChange> = changes
        .iter()
        .filter(|change| {
            let path = change.path.as_str();
            let engine = NOT_ITS_OWN.iter().any(|top| below(path, top));
            let mounted = targets.iter().any(|target| below(path, target) || below(target, path));
            !engine && !mounted
        })
        .collect();
    own.sort_by(|one, other| one.path.cmp(&other.path));
    let is_parent = |change: &FileChange| {
        let of_another =
            |other: &&FileChange| other.path != change.path && below(&other.path, &change.path);
        own.iter().any(of_another)
    };
    // A directory counts as changed when something in it changes, even by the Engine.
    let only_touched = |change: &FileChange| {
        change.kind == FileChangeKind::Modified
            && changes
                .iter()
                .any(|other| other.path != change.path && below(&other.path, &change.path))
    };
    own.iter()
        .filter(|change| !is_parent(change) && !only_touched(change))
        .map(|change| change.path.as_str())
        .collect()
}

fn bind_targets(host_config: &Object) -> BTreeSet<&str> {
    texts(get(host_config, "Binds")).map(bind_target).collect()
}

/// Whether a volume has a generated name.
fn is_nameless(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn own_mount<'a>(host_config: &'a mut Object, target: &str) -> Option<&'a mut Value> {
    let mounts = host_config.get_mut("Mounts")?.as_array_mut()?;
    mounts.iter_mut().find(|mount| clean(text(&mount["Target"])) == clean(target))
}

/// Whether the mount comes from another container.
fn from_another(mount: &Value, host_config: &Object, host: &HostFacts) -> bool {
    texts(get(host_config, "VolumesFrom")).any(|from| {
        let source = host.containers.iter().find(|other| other.is(source_of(from)));
        source.is_some_and(|source| {
            source.mounts.iter().any(|other| {
                clean(&other.target) == clean(text(&mount["Destination"]))
                    && (other.name == text(&mount["Name"]))
                    && (!other.name.is_empty() || other.source == text(&mount["Source"]))
            })
        })
    })
}

/// Removes missing containers from `VolumesFrom`: their volumes are in the container's own mounts.
fn drop_gone_sources(host_config: &mut Object, host: &HostFacts, notes: &mut Notes) -> bool {
    let Some(Value::Array(list)) = host_config.get_mut("VolumesFrom") else { return false };
    let before = list.len();
    list.retain(|from| {
        let source = source_of(text(from));
        let there = host.containers.iter().any(|other| other.is(source));
        if !there {
            notes.risk(format!(
                "the container {source}, whose volumes it uses, is gone; the volumes are mounted by name instead"
            ));
        }
        there
    });
    list.len() < before
}

/// The container of an entry of `VolumesFrom`.
pub(super) fn source_of(entry: &str) -> &str {
    entry.split(':').next().unwrap_or(entry)
}

/// Whether the operator or the image requested a new volume at the target.
fn is_asked_for(config: &Object, target: &str) -> bool {
    entries(get(config, "Volumes")).any(|(path, _)| clean(path) == clean(target))
}

fn take_volume(config: &mut Object, target: &str) {
    let mut volumes = object_of(get(config, "Volumes"));
    volumes.retain(|path, _| clean(path) != clean(target));
    if volumes.is_empty() {
        config.shift_remove("Volumes");
    } else {
        config.insert("Volumes".to_owned(), volumes.into());
    }
}
