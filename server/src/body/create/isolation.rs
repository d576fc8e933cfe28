//! The isolation of a container from its host: capabilities, namespaces, kernel parameters,
//! devices.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf::v1::{ContainerSpec, DeviceRequest};

use super::{Draft, checks};
use crate::domain::quoted;

pub(super) fn apply(spec: &ContainerSpec, draft: &mut Draft) {
    security_options(&spec.security_opt, draft);
    kernel_parameters(&spec.sysctls, draft);
    devices(&spec.devices, draft);
    device_requests(&spec.device_requests, draft);
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

fn kernel_parameters(sysctls: &BTreeMap<String, String>, draft: &mut Draft) {
    let host_network = draft.host.text("NetworkMode") == Some("host");
    for key in sysctls.keys() {
        let field = format!("spec.sysctls[{}]", quoted(key));
        if !is_namespaced(key) {
            let problem = "is not a kernel parameter of a container; use net.*, fs.mqueue.*, or the message, semaphore, and memory limits of kernel.*";
            draft.violations.add(field, problem);
        } else if host_network && key.starts_with("net.") {
            let problem = "cannot be set in network \"host\", where it would change the host";
            draft.violations.add(field, problem);
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

/// In the form in which docker sends and shows them.
fn device_requests(requests: &[DeviceRequest], draft: &mut Draft) {
    for (index, request) in requests.iter().enumerate() {
        let field = format!("spec.device_requests[{index}]");
        let named = !request.device_ids.is_empty();
        let problem = match request.count {
            0 if !named => Some("names no device; set count or device_ids"),
            count if count != 0 && named => {
                Some("cannot go with device_ids; leave one of them out")
            }
            count if count < -1 => Some("must be -1 for all, or a number of devices"),
            _ => None,
        };
        if let Some(problem) = problem {
            draft.violations.add(format!("{field}.count"), problem);
        }
        if request.capabilities.is_empty() {
            draft.violations.add(format!("{field}.capabilities"), "is missing, such as gpu");
        }
    }
    let body = |request: &DeviceRequest| {
        let ids = Some(&request.device_ids).filter(|ids| !ids.is_empty());
        json!({
            "Driver": request.driver,
            "Count": request.count,
            "DeviceIDs": ids,
            "Capabilities": [request.capabilities],
            "Options": request.options,
        })
    };
    if !requests.is_empty() {
        draft.host.set("DeviceRequests", requests.iter().map(body).collect::<Vec<_>>());
    }
}
