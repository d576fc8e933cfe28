//! What a container uses.

use serde_json::{Value, json};

use super::container::Status;
use super::{Model, Refusal, Time};

/// Processors of a simulated host.
const CPUS: u64 = 2;
/// Memory of a simulated host, in bytes.
const HOST_MEMORY: u64 = 8 << 30;

impl Model {
    /// One sample of `GET /containers/{id}/stats`, beside `precpu_stats`: a running container uses a
    /// quarter of one processor, 10 MiB of memory and 2 MiB of cache. One that does not run has no time
    /// and uses nothing.
    pub fn sample(&self, now: Time, name: &str) -> Result<Value, Refusal> {
        let container = self.found(name)?;
        let identity = json!({"id": container.id, "name": format!("/{}", container.name)});
        let mut sample = identity.as_object().cloned().unwrap_or_default();
        let runs = matches!(container.state.status, Status::Running | Status::Paused);
        let elapsed = u64::try_from(now.since(Time::BEGINNING).as_nanos()).unwrap_or(u64::MAX);
        let values = if runs {
            json!({
                "read": now.rfc3339_nanos(),
                "cpu_stats": {
                    "cpu_usage": {"total_usage": elapsed / 4},
                    "system_cpu_usage": elapsed.saturating_mul(CPUS),
                    "online_cpus": CPUS,
                },
                "memory_stats": {
                    "usage": 12 << 20, "limit": HOST_MEMORY, "stats": {"inactive_file": 2 << 20},
                },
                "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 500}},
                "blkio_stats": {"io_service_bytes_recursive": [
                    {"op": "read", "value": 4096}, {"op": "write", "value": 8192},
                ]},
                "pids_stats": {"current": 3},
            })
        } else {
            json!({
                "read": "0001-01-01T00:00:00Z", "cpu_stats": {"cpu_usage": {"total_usage": 0}},
                "memory_stats": {}, "pids_stats": {}, "blkio_stats": null,
            })
        };
        sample.extend(values.as_object().cloned().unwrap_or_default());
        Ok(Value::Object(sample))
    }
}
