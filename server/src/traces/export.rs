//! The way of spans to the collector: OpenTelemetry's batches, exported by a thread of their own, with
//! a bound before them that counts what it refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_otlp::{SpanExporter, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanProcessor,
};
use tonic::transport::{ClientTlsConfig, Endpoint};

use crate::config::Collector;

/// Spans that may wait: those of a call on 10,000 hosts, and of some others. About 1 KiB each.
const MOST_WAITING: usize = 16_384;
/// Spans of one export. Collectors take 4 MiB.
const BATCH: usize = 1024;
/// How long to wait for a connection to the collector, and for its answer.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);

/// What became of the spans. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SpanCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    exported: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicUsize,
    is_failing: AtomicBool,
}

/// Refuses spans beyond [`MOST_WAITING`].
#[derive(Debug)]
struct Bounded {
    inner: BatchSpanProcessor,
    counts: SpanCounts,
}

/// Counts what is exported, and says in the log when that begins to fail and when it works again.
#[derive(Debug)]
struct Counted {
    inner: SpanExporter,
    collector: String,
    counts: SpanCounts,
}

/// Exports spans to `collector` in the background.
pub(super) fn processor(
    collector: &Collector,
    counts: SpanCounts,
) -> anyhow::Result<impl SpanProcessor + use<>> {
    let mut endpoint = Endpoint::from_shared(collector.endpoint().to_owned())?
        .connect_timeout(CONNECT)
        .timeout(ANSWER);
    if collector.is_secured() {
        endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
    }
    let inner = SpanExporter::builder().with_tonic().with_channel(endpoint.connect_lazy());
    let exporter =
        Counted { inner: inner.build()?, collector: collector.to_string(), counts: counts.clone() };
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(MOST_WAITING)
        .with_max_export_batch_size(BATCH)
        .build();
    Ok(Bounded { inner: BatchSpanProcessor::new(exporter, config), counts })
}

impl SpanCounts {
    /// The number of spans by what became of them: `exported`; `failed`, because the collector did not
    /// take them; `dropped`, because too many waited.
    #[must_use]
    pub fn by_outcome(&self) -> [(&'static str, u64); 3] {
        let counts = &*self.0;
        [("exported", &counts.exported), ("failed", &counts.failed), ("dropped", &counts.dropped)]
            .map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }

    /// Whether there is room for one more.
    fn enter(&self) -> bool {
        let has_room = self.0.waiting.fetch_add(1, Ordering::AcqRel) < MOST_WAITING;
        if !has_room {
            self.leave(1);
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    fn leave(&self, count: usize) {
        self.0.waiting.fetch_sub(count, Ordering::AcqRel);
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.counts.enter() {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.counts.leave(count);
        let result = self.inner.export(batch).await;
        let counts = &*self.counts.0;
        let of_result = if result.is_ok() { &counts.exported } else { &counts.failed };
        of_result.fetch_add(count as u64, Ordering::Relaxed);
        let was_failing = counts.is_failing.swap(result.is_err(), Ordering::AcqRel);
        match &result {
            Err(error) if !was_failing => tracing::warn!(
                collector = self.collector, %error,
                "traces cannot be sent and are lost until the collector takes them again"
            ),
            Ok(()) if was_failing => {
                tracing::info!(collector = self.collector, "traces are sent again");
            }
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted() {
        let counts = SpanCounts::default();
        let entered = (0..MOST_WAITING + 3).filter(|_| counts.enter()).count();
        assert_eq!(entered, MOST_WAITING);
        assert_eq!(counts.by_outcome(), [("exported", 0), ("failed", 0), ("dropped", 3)]);
        counts.leave(1);
        assert!(counts.enter() && !counts.enter());
    }
}
