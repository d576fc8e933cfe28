//! All calls to all Engines together: by the kind of call, which would be too many series for each
//! host.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::encode::{NONE, Series};
use crate::engine::http::Traffic;

/// The calls of the connector.
#[derive(Debug)]
pub(super) struct Engines(pub Traffic);

impl Collector for Engines {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut series = Series(encoder);
        series.durations(
            "wharf_engine_call_duration",
            "Time until Engines begin an answer, by what the calls are.",
            self.0
                .latencies()
                .into_iter()
                .map(|it| ([("access", it.access), ("pace", it.pace)], it.tally)),
        )?;
        series.counter(
            ("wharf_engine_call_failures", None),
            "Calls to Engines that failed, by reason.",
            self.0
                .failures()
                .into_iter()
                .map(|(reason, count)| ([("reason", reason.as_str())], count)),
        )?;
        let (used, most) = self.0.answer_memory();
        series.gauge(
            ("wharf_answer_memory", Some(Unit::Bytes)),
            "Memory that answers of Engines have reserved.",
            [(NONE, used)],
        )?;
        series.gauge(
            ("wharf_answer_memory_limit", Some(Unit::Bytes)),
            "The most memory that answers of Engines may reserve.",
            [(NONE, most)],
        )
    }
}
