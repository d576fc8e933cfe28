//! What operators watch: everything that is measured, in the text formats of Prometheus and
//! OpenMetrics. docs/metrics.md lists every metric.
//!
//! The other modules measure in plain values and know nothing of this one; it reads them when it is
//! asked. Only [`calls`] measures itself, as a layer around all services. Labels come from the
//! contract, the inventory, the configuration, and from enumerations, so their number is bounded;
//! the series of a host are made from the inventory each time, and end with the host.
//!
//! - [`calls`]: the calls of the contract.
//! - `fleet`: the hosts; `engines`: all calls to them; `rollouts`; `own`: this server and its store;
//!   `process`: this process.
//! - [`serve`]: the listener. `encode`: how values become series.
//!
//! Created by the composition root if a listener for metrics is configured.

pub mod calls;
mod encode;
mod engines;
mod fleet;
mod own;
mod process;
pub mod rollouts;
pub mod serve;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

use crate::domain::Validity;
use crate::engine::http::Traffic;
use crate::fleet::inventory::Inventory;
use crate::fleet::pool::EnginePool;
use crate::fleet::view::View;
use crate::listener::Connections;
use crate::store::Store;
use crate::traces::export::SpanCounts;
use calls::Calls;
use rollouts::RolloutWatch;

/// Where the values come from.
#[derive(Debug)]
pub struct Sources {
    /// The hosts.
    pub inventory: Inventory,
    /// What is known of their Engines.
    pub pool: Arc<EnginePool>,
    /// What is known of their containers.
    pub view: View,
    /// All calls to Engines.
    pub traffic: Traffic,
    /// The store.
    pub store: Store,
    /// The rollouts.
    pub rollouts: Arc<RolloutWatch>,
    /// The connections of each listener, by its address.
    pub listeners: Vec<(String, Connections)>,
    /// The validity of the server's own certificate, if it has one.
    pub certificate: Option<Validity>,
    /// The calls of the contract.
    pub calls: Arc<Calls>,
    /// The spans of traces.
    pub spans: SpanCounts,
}

/// All metrics of this server.
#[derive(Debug)]
pub struct Metrics(Registry);

/// The text format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text, version 0.0.4.
    Prometheus,
    /// OpenMetrics text, version 1.0.0.
    OpenMetrics,
}

impl Metrics {
    /// The metrics of these sources.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let mut registry = Registry::default();
        let Sources {
            inventory,
            pool,
            view,
            traffic,
            store,
            rollouts,
            listeners,
            certificate,
            calls,
            spans,
        } = sources;
        calls.register(&mut registry);
        registry.register_collector(Box::new(fleet::Hosts { inventory, pool, view }));
        registry.register_collector(Box::new(engines::Engines(traffic)));
        registry.register_collector(Box::new(rollouts));
        registry.register_collector(Box::new(own::Own { store, listeners, certificate, spans }));
        registry.register_collector(Box::new(process::Process::of_self()));
        Self(registry)
    }

    /// All values as they are now. Takes a moment with thousands of hosts.
    ///
    /// # Errors
    /// Never with a text in memory.
    pub fn text(&self, format: Format) -> Result<String, fmt::Error> {
        let mut text = String::new();
        match format {
            Format::Prometheus => prometheus_text::encode(&mut text, &self.0)?,
            Format::OpenMetrics => text::encode(&mut text, &self.0)?,
        }
        Ok(text)
    }
}

impl Format {
    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format that an `Accept` header prefers: OpenMetrics only if it is named, and not with a
    /// lower weight than plain text.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let weight = |wanted: &str| {
            let ranges = header.split(',').filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let media_type = parts.next()?;
                let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
                media_type.eq_ignore_ascii_case(wanted).then(|| weight.unwrap_or(1.0))
            });
            ranges.fold(0.0, f32::max)
        };
        let open_metrics = weight("application/openmetrics-text");
        if open_metrics > 0.0 && open_metrics >= weight("text/plain") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        let of_prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for (header, expected) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Prometheus),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; version=1.0.0", Format::OpenMetrics),
            (of_prometheus, Format::OpenMetrics),
            ("text/plain, application/openmetrics-text;q=0.5", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(header), expected, "{header}");
        }
    }
}
