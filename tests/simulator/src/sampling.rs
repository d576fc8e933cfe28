//! Samples of what a container uses, for both forms of the Engine.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::host::SimHost;
use crate::model::Refusal;

/// Time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// The samples of one container, until it is removed.
pub(crate) struct Sampling {
    host: Arc<SimHost>,
    /// By ID: the name may become that of another container.
    id: String,
    /// The processor time of the last sample.
    earlier: Option<Value>,
}

impl Sampling {
    /// Finds the container.
    pub(crate) fn new(host: Arc<SimHost>, name: &str) -> Result<Self, Refusal> {
        let id = host.with(|model, _| model.found(name).map(|found| found.id.clone()))?;
        Ok(Self { host, id, earlier: None })
    }

    /// The next sample as JSON: the first at once, the others a second apart. `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        if self.earlier.is_some() {
            tokio::time::sleep(INTERVAL).await;
        }
        let mut sample = self.host.with(|model, now| model.sample(now, &self.id)).ok()?;
        sample["precpu_stats"] =
            self.earlier.take().unwrap_or_else(|| json!({"cpu_usage": {"total_usage": 0}}));
        self.earlier = Some(sample["cpu_stats"].clone());
        Some(sample)
    }
}
