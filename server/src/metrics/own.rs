//! This server: its build, its listeners, its certificate, and its store.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::encode::{NONE, Series};
use crate::domain::Validity;
use crate::listener::Connections;
use crate::store::Store;
use crate::traces::export::SpanCounts;

/// The server and its store.
#[derive(Debug)]
pub(super) struct Own {
    pub store: Store,
    pub listeners: Vec<(String, Connections)>,
    pub certificate: Option<Validity>,
    pub spans: SpanCounts,
}

impl Collector for Own {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut series = Series(encoder);
        series.info(
            "wharf_build",
            "The version of this server.",
            [[("version", env!("CARGO_PKG_VERSION"))]],
        )?;
        series.gauge(
            ("wharf_listener_connections", None),
            "Open connections of a listener.",
            self.listeners.iter().map(|(listener, connections)| {
                ([("listener", listener.as_str())], connections.open())
            }),
        )?;
        series.gauge(
            ("wharf_listener_connections_limit", None),
            "The most connections that a listener takes.",
            self.listeners.iter().map(|(listener, connections)| {
                ([("listener", listener.as_str())], connections.most())
            }),
        )?;
        series.gauge(
            ("wharf_server_certificate_expiry_timestamp", Some(Unit::Seconds)),
            "The last second of the server's own certificate. Absent without TLS.",
            self.certificate.map(|validity| (NONE, validity.not_after)),
        )?;
        series.durations(
            "wharf_store_write_duration",
            "Time of a write to the store, from the wait for its turn until it is on the disk.",
            [(NONE, self.store.writes().done())],
        )?;
        series.counter(
            ("wharf_store_failures", None),
            "Reads and writes that the database refused.",
            [(NONE, self.store.failures())],
        )?;
        series.counter(
            ("wharf_trace_spans", None),
            "Spans of traces, by what became of them.",
            self.spans.by_outcome().map(|(outcome, count)| ([("outcome", outcome)], count)),
        )
    }
}
