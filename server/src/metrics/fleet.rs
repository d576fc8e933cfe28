//! The hosts of the inventory. A host costs at most 18 series; docs/metrics.md says so.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::encode::{NONE, Series};
use crate::domain::{Host, HostName};
use crate::engine::Health;
use crate::fleet::inventory::Inventory;
use crate::fleet::pool::EnginePool;
use crate::fleet::view::View;
use crate::fleet::view::host::SyncState;

/// The hosts, as they are at a scrape.
#[derive(Debug)]
pub(super) struct Hosts {
    pub inventory: Inventory,
    pub pool: Arc<EnginePool>,
    pub view: View,
}

/// Time in seconds since 1970, as Prometheus has timestamps.
pub(super) fn timestamp(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Collector for Hosts {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut series = Series(encoder);
        let snapshot = self.inventory.snapshot();
        let hosts: Vec<&Arc<Host>> = snapshot.hosts().collect();
        let health = self.pool.health(hosts.iter().copied());
        let label = |host: &HostName| [("host", host.as_str().to_owned())];
        // Those that were called.
        let known: Vec<(_, &Health)> = hosts
            .iter()
            .zip(&health)
            .filter_map(|(host, health)| Some((label(&host.name), health.as_ref()?)))
            .collect();
        // Those whose view is kept up to date.
        let views = self.view.states();
        let results =
            || known.iter().filter_map(|(label, health)| Some((label.clone(), health.last?)));
        series.gauge(
            ("wharf_hosts", None),
            "Hosts in the inventory.",
            [(NONE, u64::try_from(snapshot.len()).unwrap_or(u64::MAX))],
        )?;
        series.gauge(
            ("wharf_host_up", None),
            "Whether the Engine answered the last call that showed it. Absent before the first.",
            results().map(|(label, last)| (label, u32::from(last.is_up))),
        )?;
        series.gauge(
            ("wharf_host_unreachable", None),
            "Whether reads of the host fail at once, because it did not answer before.",
            hosts.iter().map(|host| {
                (label(&host.name), u32::from(self.pool.unreachable(&host.name).is_some()))
            }),
        )?;
        series.gauge(
            ("wharf_host_last_result_timestamp", Some(Unit::Seconds)),
            "When the last call showed whether the Engine answers.",
            results().map(|(label, last)| (label, timestamp(last.at))),
        )?;
        series.counter(
            ("wharf_host_unanswered_calls", None),
            "Calls to the Engine that got no answer.",
            known.iter().map(|(label, health)| (label.clone(), health.unanswered)),
        )?;
        series.durations(
            "wharf_host_answer_duration",
            "Time until the Engine begins an answer, of calls that need no work there.",
            known.iter().map(|(label, health)| (label.clone(), health.answers.clone())),
        )?;
        series.info(
            "wharf_host_engine",
            "What the Engine says it is, and the version of its API that is spoken with it.",
            known.iter().filter_map(|(label, health)| {
                let [(host, name)] = label.clone();
                let software = health.software.as_ref()?;
                let api_version = health.api_version.map(|it| it.to_string()).unwrap_or_default();
                Some([
                    (host, name),
                    ("kind", software.kind.as_str().to_owned()),
                    ("version", software.version.clone()),
                    ("api_version", api_version),
                ])
            }),
        )?;
        series.gauge(
            ("wharf_host_client_certificate_expiry_timestamp", Some(Unit::Seconds)),
            "The last second of the certificate with which this server connects to the host.",
            hosts.iter().filter_map(|host| {
                let validity = host.tls.as_ref()?.material.client_validity()?;
                Some((label(&host.name), validity.not_after))
            }),
        )?;
        series.gauge(
            ("wharf_host_view_live", None),
            "Whether the events of the Engine are read and the view has what they told.",
            views.iter().map(|view| {
                let is_live = view.note.sync == Some(SyncState::Live);
                (label(&view.host), u32::from(is_live))
            }),
        )?;
        let now = SystemTime::now();
        series.gauge(
            ("wharf_host_view_heard_timestamp", Some(Unit::Seconds)),
            "When the Engine last said anything to the server that keeps the view.",
            views.iter().map(|view| {
                let heard = now.checked_sub(view.silent).unwrap_or(SystemTime::UNIX_EPOCH);
                (label(&view.host), timestamp(heard))
            }),
        )?;
        series.gauge(
            ("wharf_host_cordoned", None),
            "Whether the host is cordoned.",
            hosts.iter().map(|host| {
                (label(&host.name), u32::from(snapshot.cordon_of(&host.name).is_some()))
            }),
        )
    }
}
