//! OpenTelemetry traces: a span for each call, in the trace of its caller, and below it one for each
//! host that it worked on. docs/tracing.md says what they contain.
//!
//! - [`calls`]: the spans of calls, a layer around all services.
//! - `hosts`: the spans of hosts, made from what `fleet/trace.rs` tells at their end.
//! - [`export`]: the way to the collector. Bounded: what finds no room, or no collector, is counted and
//!   lost, and no call waits for it.
//!
//! Created by the composition root if a collector is configured. Without one, nothing is measured, and
//! no call has a span.

pub mod calls;
pub mod export;
mod hosts;

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::config::Collector;
use calls::TraceLayer;
use export::{SpanCounts, processor};

/// How long a stop waits for the last spans.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// The traces of this server.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Starts to export to `collector`, and counts what becomes of the spans. Does not wait for a
    /// connection. Which calls have spans, and what else describes this server, say the variables of
    /// OpenTelemetry (`OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`).
    ///
    /// # Errors
    /// If the exporter cannot be created.
    pub fn start(collector: &Collector, counts: SpanCounts) -> anyhow::Result<Self> {
        let processor = processor(collector, counts)
            .with_context(|| format!("cannot send traces to {collector}"))?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_span_processor(processor)
            .build();
        let tracer = provider.tracer("wharfd");
        Ok(Self { provider, tracer })
    }

    /// Gives calls their spans.
    #[must_use]
    pub fn layer(&self) -> TraceLayer {
        TraceLayer::new(self.tracer.clone())
    }

    /// Sends what is left, for no longer than a moment.
    pub async fn stop(self) {
        let stopped = move || self.provider.shutdown_with_timeout(LAST_SPANS);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(stopped).await {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// What describes this server.
fn resource() -> Resource {
    let name = Resource::builder().build().get(&Key::from_static_str("service.name"));
    let is_named = name.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    if is_named { builder.build() } else { builder.with_service_name("wharfd").build() }
}
