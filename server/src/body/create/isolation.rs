//! The isolation of a container from its host: capabilities, namespaces, kernel parameters,
//! devices.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf::v1::ContainerSpec;

use super::{Draft, checks};
use crate::body::violation::Violations;
use crate::domain::quoted;

pub(super) fn apply(spec: &ContainerSpec, draft: &mut Draft) {
    for (key, value) in [
        ("Privileged", spec.privileged),
        ("ReadonlyRootfs", spec.read_only),
        ("Init", spec.init),
        ("AutoRemove", spec.auto_remove),
    ] {
        if let Some(value) = value {
            draft.host.set(key, value);
        }
    }
    for (field, key, list) in
        [("spec.cap_add", "CapAdd", &spec.cap_add), ("spec.cap_drop", "CapDrop", &spec.cap_drop)]
    {
        capabilities(field, list, &mut draft.violations);
        if !list.is_empty() {
            draft.host.set(key, list.as_slice());
        }
    }
    checks::names("spec.group_add", &spec.group_add, &mut draft.violations);
    if !spec.group_add.is_empty() {
        draft.host.set("GroupAdd", spec.group_add.as_slice());
    }
    security_options(&spec.security_opt, draft);
    modes(spec, draft);
    kernel_parameters(&spec.sysctls, draft);
    devices(&spec.devices, draft);
}

fn capabilities(field: &str, list: &[String], violations: &mut Violations) {
    for (index, name) in list.iter().enumerate() {
        let shaped = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        if name.is_empty() || !name.bytes().all(shaped) {
            let problem = format!("{} is not a capability; write NET_ADMIN or ALL", quoted(name));
            violations.add(format!("{field}[{index}]"), problem);
        }
    }
}

fn security_options(options: &[String], draft: &mut Draft) {
    const KEYS: [&str; 6] =
        ["apparmor", "label", "no-new-privileges", "seccomp", "systempaths", "writable-cgroups"];
    let mut kept = Vec::new();
    for (index, option) in options.iter().enumerate() {
        let field = format!("spec.security_opt[{index}]");
        let (key, value) =
            option.split_once('=').or_else(|| option.split_once(':')).unwrap_or((option, ""));
        if !KEYS.contains(&key) || (value.is_empty() && key != "no-new-privileges") {
            let problem = format!(
                "{} is not a security option; write no-new-privileges or KEY=VALUE with one of {}",
                quoted(option),
                KEYS.join(" ")
            );
            draft.violations.add(field, problem);
        } else if key == "systempaths" {
            // A value of docker's command line; the Engine has these two lists instead.
            if value == "unconfined" {
                draft.host.set("MaskedPaths", Vec::<Value>::new());
                draft.host.set("ReadonlyPaths", Vec::<Value>::new());
            } else {
                draft.violations.add(field, "systempaths can only be unconfined");
            }
        } else {
            let profile = |text| matches!(serde_json::from_str(text), Ok(Value::Object(_)));
            if key == "seccomp" && !matches!(value, "unconfined" | "builtin") && !profile(value) {
                draft.violations.add(
                    field,
                    "seccomp must be unconfined, builtin, or the JSON of a profile, not a file name",
                );
            }
            kept.push(Value::from(option.as_str()));
        }
    }
    if !options.is_empty() {
        draft.host.set("SecurityOpt", kept);
    }
}

fn modes(spec: &ContainerSpec, draft: &mut Draft) {
    const PID: [&str; 1] = ["host"];
    const IPC: [&str; 4] = ["private", "shareable", "host", "none"];
    for (field, key, mode, words) in [
        ("spec.pid_mode", "PidMode", &spec.pid_mode, PID.as_slice()),
        ("spec.ipc_mode", "IpcMode", &spec.ipc_mode, IPC.as_slice()),
    ] {
        if mode.is_empty() {
            continue;
        }
        if !words.contains(&mode.as_str()) && !checks::is_container_mode(mode) {
            let (mode, words) = (quoted(mode), words.join(", "));
            let problem = format!("{mode} is not a mode; write {words} or container:NAME");
            draft.violations.add(field, problem);
        }
        draft.host.set(key, mode.as_str());
    }
}

fn kernel_parameters(sysctls: &BTreeMap<String, String>, draft: &mut Draft) {
    if sysctls.is_empty() {
        return;
    }
    let host_network = draft.host.text("NetworkMode") == Some("host");
    let violations = &mut draft.violations;
    for (key, value) in sysctls {
        let field = format!("spec.sysctls[{}]", quoted(key));
        if !is_namespaced(key) {
            let problem = "is not a kernel parameter of a container; use net.*, fs.mqueue.*, or the message, semaphore, and memory limits of kernel.*";
            violations.add(field.as_str(), problem);
        } else if host_network && key.starts_with("net.") {
            let problem = "cannot be set in network \"host\", where it would change the host";
            violations.add(field.as_str(), problem);
        }
        checks::text(&field, value, violations);
    }
    if let Some(object) = draft.host.object("Sysctls", &[], violations) {
        for (key, value) in sysctls {
            object.insert(key.clone(), value.as_str().into());
        }
    }
}

/// Kernel parameters that belong to a namespace; the Engine finds out at the start.
fn is_namespaced(key: &str) -> bool {
    const KERNEL: [&str; 10] = [
        "kernel.domainname",
        "kernel.hostname",
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shm_rmid_forced",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
    ];
    let below = |prefix| key.strip_prefix(prefix).is_some_and(|name: &str| !name.is_empty());
    KERNEL.contains(&key) || below("net.") || below("fs.mqueue.")
}

fn devices(devices: &[String], draft: &mut Draft) {
    let mut list = Vec::with_capacity(devices.len());
    for (index, device) in devices.iter().enumerate() {
        match parse_device(device) {
            Ok((host, container, permissions)) => list.push(json!({
                "PathOnHost": host,
                "PathInContainer": container,
                "CgroupPermissions": permissions,
            })),
            Err(problem) => draft.violations.add(format!("spec.devices[{index}]"), problem),
        }
    }
    if !list.is_empty() {
        draft.host.set("Devices", list);
    }
}

fn parse_device(text: &str) -> Result<(&str, &str, &str), String> {
    let permissions = |text: &str| {
        let once = |letter| text.matches(letter).count() <= 1;
        !text.is_empty() && text.chars().all(|letter| "rwm".contains(letter) && once(letter))
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, access) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, access] if permissions(access) => (*host, *host, *access),
        [host, container] => (*host, *container, "rwm"),
        [host, container, access] => (*host, *container, *access),
        _ => return Err(format!("{} has too many parts", quoted(text))),
    };
    checks::absolute(host)?;
    checks::absolute(container)?;
    if !permissions(access) {
        return Err(format!("{} is not a permission; write one or more of rwm", quoted(access)));
    }
    Ok((host, container, access))
}
