//! A body as a flat list of settings, each under the name to set and unset it. Shared by the
//! comparison of two bodies and that of a body with an inspection.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::json::{entries, is_empty, items, text, texts};
use super::storage::{bind_target, clean};

/// Keys of the body and of its `HostConfig` under another name than their own.
const NAMES: [(&str, &str); 42] = [
    ("AutoRemove", "auto_remove"),
    ("CapAdd", "cap_add"),
    ("CapDrop", "cap_drop"),
    ("Cmd", "command"),
    ("CpuShares", "cpu_shares"),
    ("CpusetCpus", "cpuset_cpus"),
    ("Devices", "devices"),
    ("Dns", "dns"),
    ("Domainname", "domainname"),
    ("Entrypoint", "entrypoint"),
    ("ExposedPorts", "expose"),
    ("ExtraHosts", "extra_hosts"),
    ("GroupAdd", "group_add"),
    ("Healthcheck", "health_check"),
    ("Hostname", "hostname"),
    ("Image", "image"),
    ("Init", "init"),
    ("IpcMode", "ipc_mode"),
    ("Labels", "labels"),
    ("Links", "links"),
    ("Memory", "memory_bytes"),
    ("MemorySwap", "memory_swap_bytes"),
    ("NanoCpus", "nano_cpus"),
    ("NetworkMode", "network"),
    ("OpenStdin", "open_stdin"),
    ("PidMode", "pid_mode"),
    ("PidsLimit", "pids_limit"),
    ("PortBindings", "ports"),
    ("Privileged", "privileged"),
    ("PublishAllPorts", "publish_all_ports"),
    ("ReadonlyRootfs", "read_only"),
    ("RestartPolicy", "restart_policy"),
    ("SecurityOpt", "security_opt"),
    ("ShmSize", "shm_size_bytes"),
    ("StopSignal", "stop_signal"),
    ("StopTimeout", "stop_timeout"),
    ("Sysctls", "sysctls"),
    ("Tmpfs", "tmpfs"),
    ("Tty", "tty"),
    ("User", "user"),
    ("VolumesFrom", "volumes_from"),
    ("WorkingDir", "working_dir"),
];

/// Keys for which the empty value has a meaning.
const EMPTY_COUNTS: [&str; 7] = [
    "Entrypoint",
    "Init",
    "MaskedPaths",
    "MemorySwappiness",
    "OomKillDisable",
    "ReadonlyPaths",
    "StopTimeout",
];

/// The settings by name. Values are the Engine's JSON, normalized if it has several forms.
pub(super) fn of(body: &Value) -> BTreeMap<String, Value> {
    let mut settings = BTreeMap::new();
    for (key, value) in entries(body) {
        match key.as_str() {
            "HostConfig" => {
                for (key, value) in entries(value) {
                    add(&mut settings, "HostConfig.", key, value);
                }
            }
            "NetworkingConfig" => {
                for (name, endpoint) in entries(&value["EndpointsConfig"]) {
                    settings.insert(format!("networks.{name}"), json!({}));
                    for (key, value) in entries(endpoint).filter(|(_, value)| !is_empty(value)) {
                        settings.insert(format!("networks.{name}.{key}"), value.clone());
                    }
                }
            }
            _ => add(&mut settings, "", key, value),
        }
    }
    settings
}

fn add(settings: &mut BTreeMap<String, Value>, section: &str, key: &str, value: &Value) {
    let counts = EMPTY_COUNTS.contains(&key) && !value.is_null();
    if is_empty(value) && !counts {
        return;
    }
    let name = name(section, key);
    let mut put = |entry: &str, value: Value| {
        settings.insert(format!("{name}.{entry}"), value);
    };
    match key {
        "Env" => {
            for entry in texts(value) {
                let (variable, value) = entry.split_once('=').unwrap_or((entry, ""));
                put(variable, value.into());
            }
        }
        "Volumes" => {
            for (path, _) in entries(value) {
                settings.insert(format!("volumes.{}", clean(path)), "anonymous".into());
            }
        }
        "Binds" => {
            for bind in texts(value) {
                settings.insert(format!("volumes.{}", bind_target(bind)), bind.into());
            }
        }
        "Mounts" => {
            for mount in items(value) {
                let target = clean(text(&mount["Target"]));
                settings.insert(format!("mounts.{target}"), without_empty(mount));
            }
        }
        "Ulimits" => {
            for limit in items(value) {
                put(text(&limit["Name"]), without_empty(limit));
            }
        }
        "PortBindings" => {
            for (port, bindings) in entries(value) {
                put(port, bindings_text(bindings));
            }
        }
        "ExposedPorts" => {
            for (port, _) in entries(value) {
                put(port, json!({}));
            }
        }
        "LogConfig" => {
            if !is_empty(&value["Type"]) {
                settings.insert("log_driver".to_owned(), value["Type"].clone());
            }
            for (option, value) in entries(&value["Config"]) {
                settings.insert(format!("log_options.{option}"), value.clone());
            }
        }
        "RestartPolicy" => {
            let policy = restart_policy(value);
            if policy != "no" {
                settings.insert(name, policy.into());
            }
        }
        "CapAdd" | "CapDrop" => {
            let mut list: Vec<String> = texts(value).map(super::unset::capability).collect();
            list.sort();
            settings.insert(name, list.into());
        }
        "Links" => {
            let mut list: Vec<String> = texts(value).map(super::identity::link).collect();
            list.sort();
            settings.insert(name, list.into());
        }
        _ => match value {
            Value::Object(object) => {
                for (entry, value) in object {
                    put(entry, value.clone());
                }
            }
            value => {
                settings.insert(name, value.clone());
            }
        },
    }
}

fn name(section: &str, key: &str) -> String {
    match key {
        "Env" => "env".to_owned(),
        "Ulimits" => "ulimits".to_owned(),
        _ => NAMES
            .iter()
            .find(|(own, _)| *own == key)
            .map_or_else(|| format!("{section}{key}"), |(_, name)| (*name).to_owned()),
    }
}

fn restart_policy(policy: &Value) -> String {
    let name = text(&policy["Name"]);
    match policy["MaximumRetryCount"].as_i64().unwrap_or_default() {
        0 if name.is_empty() => "no".to_owned(),
        0 => name.to_owned(),
        count => format!("{name}:{count}"),
    }
}

/// Bindings as `ADDRESS:PORT`, as the command line has them.
fn bindings_text(bindings: &Value) -> Value {
    let one = |binding: &Value| {
        let (address, port) = (text(&binding["HostIp"]), text(&binding["HostPort"]));
        let port = if port == "0" { "" } else { port };
        if address.is_empty() { port.to_owned() } else { format!("{address}:{port}") }
    };
    items(bindings).map(one).collect::<Vec<_>>().into()
}

/// The object without what the Engine treats as unset.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| (key.clone(), without_empty(value)))
            .filter(|(_, value)| !is_empty(value))
            .collect(),
        other => other.clone(),
    }
}
