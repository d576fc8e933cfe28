//! `POST /containers/{id}/update`: limits and the restart policy, the only settings of a
//! container that change after its creation.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Model;
use super::container::Status;
use super::create::check_restart_policy;
use super::refusal::Refusal;

/// The least memory limit of Engines of that time.
const LEAST_MEMORY: i64 = 6 * 1024 * 1024;

/// What an update may set besides the restart policy.
const RESOURCES: [&str; 22] = [
    "CpuShares",
    "Memory",
    "CgroupParent",
    "BlkioWeight",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "KernelMemory",
    "MemoryReservation",
    "MemorySwap",
    "NanoCpus",
    "PidsLimit",
    "OomKillDisable",
    "MemorySwappiness",
];

impl Model {
    /// Applies the fields that are set; gives the answer with the warnings.
    pub fn update(&mut self, name: &str, body: &Value) -> Result<Value, Refusal> {
        check_restart_policy(&body["RestartPolicy"])?;
        check_memory(body)?;
        let id = self.resolve(name)?;
        let container = self.at(&id);
        let cannot =
            |why: &str| Err(Refusal::conflict(format!("Cannot update container {id}: {why}")));
        if matches!(container.state.status, Status::Removing | Status::Dead) {
            return cannot("Container is marked for removal and cannot be \"update\".");
        }
        let policy = body["RestartPolicy"]["Name"].as_str().unwrap_or_default();
        if container.auto_remove() && !policy.is_empty() {
            return cannot(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            );
        }
        let number = |value: &Value| value.as_i64().unwrap_or(0);
        let (memory, swap) = (number(&body["Memory"]), number(&body["MemorySwap"]));
        let old_swap = number(&container.host_config["MemorySwap"]);
        // A limit without swap was given twice itself as swap when it was created.
        let old_swap = match (old_swap, number(&container.host_config["Memory"])) {
            (0, limit) => limit * 2,
            (swap, _) => swap,
        };
        if memory > 0 && swap == 0 && old_swap > 0 && memory > old_swap {
            return cannot(
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            );
        }
        let host_config = Arc::make_mut(&mut container.host_config);
        for key in RESOURCES {
            let value = &body[key];
            let unset =
                value.is_null() || value == &json!(0) || value == &json!("") || value == &json!([]);
            if !unset {
                host_config.insert(key.to_owned(), value.clone());
            }
        }
        if !policy.is_empty() {
            let retries = number(&body["RestartPolicy"]["MaximumRetryCount"]);
            host_config.insert(
                "RestartPolicy".to_owned(),
                json!({"Name": policy, "MaximumRetryCount": retries}),
            );
        }
        Ok(json!({"Warnings": null}))
    }
}

/// The rule for a memory limit, at creation and later.
pub(super) fn check_memory(host_config: &Value) -> Result<(), Refusal> {
    match host_config["Memory"].as_i64() {
        Some(limit) if limit > 0 && limit < LEAST_MEMORY => {
            Err(Refusal::bad_request("Minimum memory limit allowed is 6MB"))
        }
        _ => Ok(()),
    }
}
