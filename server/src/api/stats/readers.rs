//! One stream of samples for each running container of a host. Each stream keeps only its latest
//! sample, so neither a slow caller nor many containers fill the memory or keep the Engine waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::domain::ContainerRef;
use crate::engine::{ContainerSummary, Engine, StatsSample};
use crate::fleet::HostError;

/// The streams of one host, by the full IDs of the containers.
pub struct Readers {
    engine: Arc<dyn Engine>,
    streams: BTreeMap<String, Stream>,
}

struct Stream {
    latest: watch::Receiver<Option<StatsSample>>,
    /// Ends when this is dropped.
    task: AbortOnDropHandle<Result<(), HostError>>,
}

impl Readers {
    /// None so far.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, streams: BTreeMap::new() }
    }

    /// Closes all streams.
    pub fn clear(&mut self) {
        self.streams.clear();
    }

    /// Has a stream for each of these containers that runs, and no other.
    pub fn follow(&mut self, containers: &[ContainerSummary]) {
        let mut streams = BTreeMap::new();
        for container in containers.iter().filter(|container| is_running(container)) {
            let Ok(id) = ContainerRef::parse(&container.id) else { continue };
            let stream = self.streams.remove(id.as_str()).unwrap_or_else(|| self.open(id.clone()));
            streams.insert(id.to_string(), stream);
        }
        self.streams = streams;
    }

    /// The latest sample of a container.
    pub fn latest(&self, id: &str) -> Option<StatsSample> {
        self.streams.get(id)?.latest.borrow().clone()
    }

    /// Removes the streams that have ended, with the reasons of those that failed.
    pub async fn ended(&mut self) -> Vec<(String, HostError)> {
        let ended: Vec<String> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.task.is_finished())
            .map(|(id, _)| id.clone())
            .collect();
        let mut failed = Vec::new();
        for id in ended {
            let Some(stream) = self.streams.remove(&id) else { continue };
            match stream.task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failed.push((id, error)),
                Err(_) => failed.push((id, HostError::Panicked)),
            }
        }
        failed
    }

    /// Waits until each stream has a sample that is `ready` or has ended, or for so long.
    pub async fn until(&self, limit: Duration, ready: fn(&StatsSample) -> bool) {
        let each = self.streams.values().map(|stream| {
            let mut latest = stream.latest.clone();
            async move {
                // An error: the stream has ended.
                let _ = latest.wait_for(|sample| sample.as_ref().is_some_and(ready)).await;
            }
        });
        let _ = timeout(limit, join_all(each)).await;
    }

    fn open(&self, id: ContainerRef) -> Stream {
        let (sink, latest) = watch::channel(None);
        let engine = Arc::clone(&self.engine);
        let reading = async move { engine.read_stats(&id, &sink).await.map_err(HostError::from) };
        // A task of its own, so that it reads on while the caller is slow.
        Stream { latest, task: AbortOnDropHandle::new(tokio::spawn(reading)) }
    }
}

fn is_running(container: &ContainerSummary) -> bool {
    matches!(container.state.as_str(), "running" | "paused")
}
