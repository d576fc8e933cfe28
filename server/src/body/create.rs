//! Creates the body of `POST /containers/create` from a request.
//!
//! There are two inputs: the typed [`ContainerSpec`] and the Engine's own JSON, which is the base.
//! The spec overrides it; unknown parts stay unchanged and in place. Problems that the Engine would
//! find only at the start of the container, or silently ignore, are refused here with the path of
//! the field. Called by the container service; pure, so that a rollout can preview a spec.
//!
//! The parts, one file each: `image`, `process`, and `health` (which an image has too),
//! `resources`, `network`, `storage` with `mount`, `isolation`, `restart`; below them `document`,
//! the JSON, and `checks`.

mod checks;
pub(in crate::body) mod document;
mod health;
mod image;
mod isolation;
mod mount;
mod network;
mod process;
pub(in crate::body) mod resources;
pub(in crate::body) mod restart;
mod storage;

use serde_json::{Map, Value};
use wharf::v1::{ContainerSpec, EngineJson};

use self::document::{ENGINE_JSON, Section};
use super::violation::{FieldViolation, Violations};

const SPEC_IMAGE: &str = "spec.image";

/// Keys of the body that are read or merged into.
const KEYS: [&str; 19] = [
    "Image",
    "Tag",
    "Cmd",
    "Entrypoint",
    "Env",
    "Labels",
    "User",
    "WorkingDir",
    "Hostname",
    "Domainname",
    "ExposedPorts",
    "Volumes",
    "Healthcheck",
    "StopSignal",
    "StopTimeout",
    "Tty",
    "OpenStdin",
    "HostConfig",
    "NetworkingConfig",
];

/// Those of its `HostConfig`.
const HOST_KEYS: [&str; 36] = [
    "AutoRemove",
    "Binds",
    "CapAdd",
    "CapDrop",
    "CpuPeriod",
    "CpuQuota",
    "CpuShares",
    "CpusetCpus",
    "Devices",
    "Dns",
    "ExtraHosts",
    "GroupAdd",
    "Init",
    "IpcMode",
    "LogConfig",
    "MaskedPaths",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "Mounts",
    "NanoCpus",
    "NetworkMode",
    "PidMode",
    "PidsLimit",
    "PortBindings",
    "Privileged",
    "PublishAllPorts",
    "ReadonlyPaths",
    "ReadonlyRootfs",
    "RestartPolicy",
    "SecurityOpt",
    "ShmSize",
    "Sysctls",
    "Tmpfs",
    "Ulimits",
    "VolumesFrom",
];

/// The body under construction.
struct Draft {
    top: Section,
    host: Section,
    violations: Violations,
    /// Whether the JSON could be read: if not, nothing can be reported as missing.
    body_usable: bool,
}

/// The Engine's body for a new container, or all problems of the request.
///
/// Environment, labels, log options and kernel parameters replace the entry of the same key,
/// ports that of the same `port/protocol`, volumes, mounts and tmpfs that of the same target;
/// all other values replace.
pub fn container_body(
    spec: Option<&ContainerSpec>,
    engine: Option<&EngineJson>,
) -> Result<Value, Vec<FieldViolation>> {
    let nothing = ContainerSpec::default();
    let spec = spec.unwrap_or(&nothing);
    let mut draft = Draft::new(engine);

    image::apply(&spec.image, &mut draft);
    process::apply(spec, &mut draft);
    health::apply(spec.health_check.as_ref(), &mut draft);
    resources::apply(spec, &mut draft);
    // Before checks of the resulting network.
    network::apply(spec, &mut draft);
    storage::apply(spec, &mut draft);
    isolation::apply(spec, &mut draft);
    if let Some(policy) = &spec.restart_policy {
        let field = "spec.restart_policy";
        if let Some(policy) = restart::restart_policy(policy, field, &mut draft.violations) {
            draft.host.set("RestartPolicy", policy);
        }
    }
    let in_spec = match (spec.auto_remove, &spec.restart_policy) {
        (Some(_), _) => Some("spec.auto_remove"),
        (None, Some(_)) => Some("spec.restart_policy"),
        (None, None) => None,
    };
    restart::against_auto_remove(in_spec, &mut draft);
    draft.finish()
}

impl Draft {
    fn new(engine: Option<&EngineJson>) -> Self {
        let mut violations = Violations::default();
        let parsed = document::parse(engine, &mut violations);
        let body_usable = parsed.is_some();
        let mut top = Section::new("", parsed.unwrap_or_default(), &KEYS, &mut violations);
        // The remaining object keeps its position among the other keys.
        let host = match top.get_mut("HostConfig").map(Value::take) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(host)) => host,
            Some(_) => {
                violations.add(ENGINE_JSON, "HostConfig must be an object");
                Map::new()
            }
        };
        let host = Section::new("HostConfig.", host, &HOST_KEYS, &mut violations);
        Self { top, host, violations, body_usable }
    }

    fn finish(mut self) -> Result<Value, Vec<FieldViolation>> {
        let had_one = self.top.get_mut("HostConfig").is_some();
        if had_one || !self.host.is_empty() {
            self.top.set("HostConfig", self.host.into_fields());
        }
        self.violations.or(Value::Object(self.top.into_fields()))
    }
}

#[cfg(test)]
mod tests;
