//! Settings to remove: `env.DEBUG`, `labels.tier`, `ports.80/tcp`, `volumes./data`, `command`,
//! `memory_bytes`. The names are those of `ContainerSpec`; the text after the first dot names one
//! entry, and without it all entries are removed.

use serde_json::Value;

use super::json::{Object, take_entry, text};
use super::storage::{bind_target, clean};
use super::{Notes, networks};
use crate::body::violation::FieldViolation;
use crate::domain::{Reason, quoted};

/// Settings that are one key of the body.
const TOP: [(&str, &str); 14] = [
    ("command", "Cmd"),
    ("domainname", "Domainname"),
    ("entrypoint", "Entrypoint"),
    ("env", "Env"),
    ("expose", "ExposedPorts"),
    ("health_check", "Healthcheck"),
    ("hostname", "Hostname"),
    ("labels", "Labels"),
    ("open_stdin", "OpenStdin"),
    ("stop_signal", "StopSignal"),
    ("stop_timeout", "StopTimeout"),
    ("tty", "Tty"),
    ("user", "User"),
    ("working_dir", "WorkingDir"),
];

/// Those of its `HostConfig`.
const HOST: [(&str, &str); 30] = [
    ("auto_remove", "AutoRemove"),
    ("cap_add", "CapAdd"),
    ("cap_drop", "CapDrop"),
    ("cpu_shares", "CpuShares"),
    ("cpuset_cpus", "CpusetCpus"),
    ("devices", "Devices"),
    ("dns", "Dns"),
    ("extra_hosts", "ExtraHosts"),
    ("group_add", "GroupAdd"),
    ("init", "Init"),
    ("ipc_mode", "IpcMode"),
    ("log_driver", "LogConfig"),
    ("memory_bytes", "Memory"),
    ("memory_swap_bytes", "MemorySwap"),
    ("nano_cpus", "NanoCpus"),
    ("pid_mode", "PidMode"),
    ("pids_limit", "PidsLimit"),
    ("ports", "PortBindings"),
    ("privileged", "Privileged"),
    ("publish_all_ports", "PublishAllPorts"),
    ("read_only", "ReadonlyRootfs"),
    ("restart_policy", "RestartPolicy"),
    ("security_opt", "SecurityOpt"),
    ("shm_size_bytes", "ShmSize"),
    ("sysctls", "Sysctls"),
    ("tmpfs", "Tmpfs"),
    ("ulimits", "Ulimits"),
    ("volumes_from", "VolumesFrom"),
    ("mounts", "Mounts"),
    ("volumes", "Binds"),
];

/// Settings that need more than a key.
const OTHERS: [&str; 4] = ["log_options", "network", "network_aliases", "networks"];

/// Settings whose entries can be named.
const WITH_ENTRIES: [&str; 20] = [
    "cap_add",
    "cap_drop",
    "devices",
    "dns",
    "env",
    "expose",
    "extra_hosts",
    "group_add",
    "labels",
    "log_options",
    "mounts",
    "network_aliases",
    "networks",
    "ports",
    "security_opt",
    "sysctls",
    "tmpfs",
    "ulimits",
    "volumes",
    "volumes_from",
];

/// The violations of a list of settings to be taken away; needs no host.
#[must_use]
pub fn check_unset(paths: &[String]) -> Vec<FieldViolation> {
    paths
        .iter()
        .enumerate()
        .filter_map(|(index, path)| {
            let description = read(path).err()?;
            Some(FieldViolation { field: format!("change.unset[{index}]"), description })
        })
        .collect()
}

/// Removes the settings from the body. A missing one is a risk, not an error: other hosts of the
/// fleet may have it.
pub(super) fn apply(body: &mut Object, paths: &[String], notes: &mut Notes) {
    for violation in check_unset(paths) {
        notes.refuse(Reason::InvalidField, violation.to_string());
    }
    for (path, (setting, entry)) in paths.iter().filter_map(|path| Some((path, read(path).ok()?))) {
        let taken = match entry {
            Some(entry) => take_one(body, setting, entry),
            None => take_all(body, setting),
        };
        if !taken {
            notes.risk(format!(
                "unset {path}: the container does not set it (what its image sets cannot be unset)"
            ));
        }
    }
}

/// The setting and the entry that a path names.
fn read(path: &str) -> Result<(&str, Option<&str>), String> {
    let (setting, entry) = match path.split_once('.') {
        Some((setting, entry)) => (setting, Some(entry)),
        None => (path, None),
    };
    if setting == "image" {
        return Err("a container requires an image; set another one instead".to_owned());
    }
    let known = || TOP.iter().chain(&HOST).map(|(name, _)| *name).chain(OTHERS);
    if !known().any(|name| name == setting) {
        let near = known().max_by(|one, other| {
            strsim::jaro_winkler(one, setting).total_cmp(&strsim::jaro_winkler(other, setting))
        });
        return Err(format!(
            "{} is not a setting; did you mean {}?",
            quoted(setting),
            quoted(near.unwrap_or_default())
        ));
    }
    match entry {
        Some("") => Err(format!("{} has no entry name; write {setting}.NAME", quoted(path))),
        Some(_) if !WITH_ENTRIES.contains(&setting) => {
            Err(format!("{setting} has no entries; write {setting} alone"))
        }
        None if setting == "networks" => {
            Err("networks requires the name of a network; write networks.NAME".to_owned())
        }
        entry => Ok((setting, entry)),
    }
}

fn take_all(body: &mut Object, setting: &str) -> bool {
    match setting {
        "network" => {
            let other = host(body).is_some_and(|host| host.shift_remove("NetworkMode").is_some());
            body.shift_remove("NetworkingConfig").is_some() || other
        }
        "network_aliases" => {
            own_endpoint(body).is_some_and(|endpoint| endpoint.shift_remove("Aliases").is_some())
        }
        "log_options" => host(body)
            .and_then(|host| host.get_mut("LogConfig")?.as_object_mut())
            .is_some_and(|log| log.shift_remove("Config").is_some()),
        "ports" => {
            let ports: Vec<String> = host(body)
                .and_then(|host| host.get("PortBindings")?.as_object())
                .map(|ports| ports.keys().cloned().collect())
                .unwrap_or_default();
            for port in &ports {
                take_one(body, "ports", port);
            }
            !ports.is_empty()
        }
        "volumes" => {
            let anonymous = body.shift_remove("Volumes").is_some();
            take_key(body, "Binds", true) || anonymous
        }
        "memory_bytes" => {
            let derived = host(body).is_some_and(|host| {
                let number = |key: &str| host.get(key).and_then(Value::as_i64).unwrap_or_default();
                number("MemorySwap") == number("Memory").saturating_mul(2)
            });
            if derived {
                take_key(body, "MemorySwap", true);
            }
            take_key(body, "Memory", true)
        }
        _ => {
            let find = |table: &[(&str, &'static str)]| {
                table.iter().find(|(name, _)| *name == setting).map(|(_, key)| *key)
            };
            match (find(&TOP), find(&HOST)) {
                (Some(key), _) => take_key(body, key, false),
                (None, Some(key)) => take_key(body, key, true),
                (None, None) => false,
            }
        }
    }
}

fn take_one(body: &mut Object, setting: &str, entry: &str) -> bool {
    let port = if entry.contains('/') { entry.to_owned() } else { format!("{entry}/tcp") };
    let is_text = |value: &Value| text(value) == entry;
    match setting {
        "env" => retain(body, "Env", |value| text(value).split('=').next() != Some(entry)),
        "labels" => take_entry(body, "Labels", entry),
        "expose" => take_entry(body, "ExposedPorts", &port),
        "ports" => {
            let exposed = take_entry(body, "ExposedPorts", &port);
            host(body).is_some_and(|host| take_entry(host, "PortBindings", &port)) || exposed
        }
        "volumes" | "mounts" | "tmpfs" => take_target(body, clean(entry)),
        "networks" => {
            endpoints(body).is_some_and(|endpoints| endpoints.shift_remove(entry).is_some())
        }
        "network_aliases" => own_endpoint(body)
            .is_some_and(|endpoint| retain(endpoint, "Aliases", |value| !is_text(value))),
        _ => host(body).is_some_and(|host| match setting {
            "sysctls" => take_entry(host, "Sysctls", entry),
            "log_options" => host
                .get_mut("LogConfig")
                .and_then(Value::as_object_mut)
                .is_some_and(|log| take_entry(log, "Config", entry)),
            "ulimits" => retain(host, "Ulimits", |value| text(&value["Name"]) != entry),
            "devices" => retain(host, "Devices", |value| text(&value["PathOnHost"]) != entry),
            "extra_hosts" => {
                retain(host, "ExtraHosts", |value| text(value).split(':').next() != Some(entry))
            }
            "cap_add" => {
                retain(host, "CapAdd", |value| capability(text(value)) != capability(entry))
            }
            "cap_drop" => {
                retain(host, "CapDrop", |value| capability(text(value)) != capability(entry))
            }
            "dns" => retain(host, "Dns", |value| !is_text(value)),
            "group_add" => retain(host, "GroupAdd", |value| !is_text(value)),
            "security_opt" => retain(host, "SecurityOpt", |value| !is_text(value)),
            "volumes_from" => retain(host, "VolumesFrom", |value| {
                !is_text(value) && text(value).split(':').next() != Some(entry)
            }),
            _ => false,
        }),
    }
}

/// Removes whatever is mounted at the target, like setting a mount there does.
fn take_target(body: &mut Object, target: &str) -> bool {
    let mut taken = false;
    if let Some(Value::Object(volumes)) = body.get_mut("Volumes") {
        let before = volumes.len();
        volumes.retain(|path, _| clean(path) != target);
        taken |= volumes.len() < before;
    }
    if let Some(host) = host(body) {
        taken |= retain(host, "Binds", |value| bind_target(text(value)) != target);
        taken |= retain(host, "Mounts", |value| clean(text(&value["Target"])) != target);
        if let Some(Value::Object(tmpfs)) = host.get_mut("Tmpfs") {
            let before = tmpfs.len();
            tmpfs.retain(|path, _| clean(path) != target);
            taken |= tmpfs.len() < before;
        }
    }
    taken
}

/// A capability in the one spelling that all Engines agree on.
pub(super) fn capability(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

fn take_key(body: &mut Object, key: &str, of_host: bool) -> bool {
    let object = if of_host { host(body) } else { Some(body) };
    let value = object.and_then(|object| object.shift_remove(key));
    value.is_some_and(|value| !super::json::is_empty(&value))
}

fn retain(object: &mut Object, key: &str, keep: impl Fn(&Value) -> bool) -> bool {
    let Some(Value::Array(list)) = object.get_mut(key) else { return false };
    let before = list.len();
    list.retain(keep);
    list.len() < before
}

fn host(body: &mut Object) -> Option<&mut Object> {
    body.get_mut("HostConfig")?.as_object_mut()
}

fn endpoints(body: &mut Object) -> Option<&mut Object> {
    body.get_mut("NetworkingConfig")?.get_mut("EndpointsConfig")?.as_object_mut()
}

fn own_endpoint(body: &mut Object) -> Option<&mut Object> {
    let mode = host(body).map(|host| text(super::json::get(host, "NetworkMode")).to_owned())?;
    let endpoints = endpoints(body)?;
    let key = endpoints
        .keys()
        .find(|key| **key == mode || (networks::is_bridge(key) && networks::is_bridge(&mode)))?
        .clone();
    endpoints.get_mut(&key)?.as_object_mut()
}
