//! Creates the body of `POST /containers/{id}/update` from a request.
//!
//! Like [`super::create`]: the Engine's own JSON is the base, the typed fields override it, and
//! what the Engine would silently ignore is refused. Called by the container service.

use serde_json::Value;
use wharf::v1::UpdateContainersRequest;

use super::create::document::{ENGINE_JSON, Section, parse};
use super::create::resources::Limits;
use super::create::restart::restart_policy;
use super::violation::{FieldViolation, Violations};

/// Keys of the body that are read or merged into.
const KEYS: [&str; 10] = [
    "RestartPolicy",
    "Memory",
    "MemorySwap",
    "MemoryReservation",
    "NanoCpus",
    "CpuShares",
    "CpusetCpus",
    "PidsLimit",
    "CpuPeriod",
    "CpuQuota",
];

/// The Engine's body for a change of existing containers, or all problems of the request. Does not
/// check the hosts and the names of the containers.
pub fn update_body(request: &UpdateContainersRequest) -> Result<Value, Vec<FieldViolation>> {
    let mut violations = Violations::default();
    let parsed = parse(request.engine.as_ref(), &mut violations);
    let body_usable = parsed.is_some();
    let mut body = Section::new("", parsed.unwrap_or_default(), &KEYS, &mut violations);

    let limits = Limits {
        prefix: "",
        update: true,
        memory: request.memory_bytes,
        memory_swap: request.memory_swap_bytes,
        memory_reservation: request.memory_reservation_bytes,
        nano_cpus: request.nano_cpus,
        cpu_shares: request.cpu_shares,
        cpuset_cpus: &request.cpuset_cpus,
        pids_limit: request.pids_limit,
    };
    limits.apply(&mut body, &mut violations);
    if let Some(policy) = &request.restart_policy {
        if let Some(policy) = restart_policy(policy, "restart_policy", &mut violations) {
            body.set("RestartPolicy", policy);
        }
    } else if body.is_empty() && body_usable {
        let field = if request.engine.is_some() { ENGINE_JSON } else { "memory_bytes" };
        violations.add(field, "nothing to change; set a limit, a restart policy, or `engine`");
    }
    violations.or(Value::Object(body.into_fields()))
}

#[cfg(test)]
mod tests;
