//! Samples to the messages of a frame. Pure.

use prost::Message;
use wharf::v1;

use crate::api::size;
use crate::engine::{ContainerSummary, StatsSample};

/// What a host has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Capacity {
    /// Processors; 0 if unknown.
    pub cpus: u32,
    /// Bytes; 0 if unknown.
    pub memory: u64,
}

/// One container with its latest sample. An Engine sends samples without a time for containers that
/// do not run.
pub fn container(found: &ContainerSummary, sample: Option<&StatsSample>) -> v1::ContainerStats {
    v1::ContainerStats {
        container_id: found.id.clone(),
        name: found.names.first().cloned().unwrap_or_default(),
        state: found.state.clone(),
        usage: sample.filter(|sample| sample.time.is_some()).map(usage),
    }
}

/// The messages of a frame, at least one.
pub fn parts(mut containers: Vec<v1::ContainerStats>, capacity: Capacity) -> Vec<v1::StatsFrame> {
    containers.sort_by(|left, right| {
        (&left.name, &left.container_id).cmp(&(&right.name, &right.container_id))
    });
    let total = total(&containers, capacity);
    let mut parts: Vec<v1::StatsFrame> = size::batches_or_none(containers, Message::encoded_len)
        .into_iter()
        .map(|containers| v1::StatsFrame { containers, total: None, continues: true })
        .collect();
    if let Some(last) = parts.last_mut() {
        (last.total, last.continues) = (Some(total), false);
    }
    parts
}

fn usage(sample: &StatsSample) -> v1::ResourceUsage {
    v1::ResourceUsage {
        cpu_percent: sample.cpu_percent,
        memory_bytes: sample.memory,
        memory_limit_bytes: sample.memory_limit,
        network_received_bytes: sample.received,
        network_sent_bytes: sample.sent,
        block_read_bytes: sample.read,
        block_written_bytes: sample.written,
        pids: sample.pids,
        sampled_at: sample.time.map(|time| prost_types::Timestamp {
            seconds: i64::try_from(time.seconds).unwrap_or(i64::MAX),
            nanos: i32::try_from(time.nanos).unwrap_or(0),
        }),
    }
}

fn total(containers: &[v1::ContainerStats], capacity: Capacity) -> v1::HostStats {
    let mut sum = v1::ResourceUsage::default();
    let mut measured = 0_u32;
    for usage in containers.iter().filter_map(|container| container.usage.as_ref()) {
        measured = measured.saturating_add(1);
        if let Some(percent) = usage.cpu_percent {
            sum.cpu_percent = Some(sum.cpu_percent.unwrap_or(0.0) + percent);
        }
        let fields = [
            (&mut sum.memory_bytes, usage.memory_bytes),
            (&mut sum.network_received_bytes, usage.network_received_bytes),
            (&mut sum.network_sent_bytes, usage.network_sent_bytes),
            (&mut sum.block_read_bytes, usage.block_read_bytes),
            (&mut sum.block_written_bytes, usage.block_written_bytes),
            (&mut sum.pids, usage.pids),
        ];
        for (field, value) in fields {
            *field = field.saturating_add(value);
        }
    }
    sum.memory_limit_bytes = capacity.memory;
    v1::HostStats { containers: measured, usage: Some(sum), cpus: capacity.cpus }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::LogTime;

    fn sampled(cpu_percent: Option<f64>, memory: u64) -> StatsSample {
        let time = Some(LogTime { seconds: 1, nanos: 2 });
        StatsSample { time, cpu_percent, memory, received: 10, pids: 2, ..StatsSample::default() }
    }

    fn named(name: &str, sample: Option<&StatsSample>) -> v1::ContainerStats {
        let found = ContainerSummary {
            id: format!("id of {name}"),
            names: vec![name.to_owned()],
            ..ContainerSummary::default()
        };
        container(&found, sample)
    }

    #[test]
    fn a_frame_is_sorted_and_has_the_sum_of_what_was_measured() {
        let (one, other) = (sampled(Some(1.5), 100), sampled(None, u64::MAX));
        let stopped = StatsSample { time: None, ..sampled(Some(7.0), 5) };
        let containers = vec![
            named("web", Some(&one)),
            named("new", Some(&other)),
            named("old", Some(&stopped)),
            named("db", None),
        ];
        let parts = parts(containers, Capacity { cpus: 4, memory: 1000 });
        let [frame] = &*parts else { panic!("{parts:?}") };
        let names: Vec<&str> = frame.containers.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["db", "new", "old", "web"]);
        assert!(frame.containers[2].usage.is_none(), "it does not run");
        let total = frame.total.as_ref().unwrap();
        let usage = total.usage.as_ref().unwrap();
        assert_eq!((total.containers, total.cpus), (2, 4));
        assert_eq!((usage.cpu_percent, usage.memory_bytes), (Some(1.5), u64::MAX));
        assert_eq!((usage.network_received_bytes, usage.pids), (20, 4));
        assert_eq!(usage.memory_limit_bytes, 1000);
    }

    #[test]
    fn a_large_frame_has_parts_and_an_empty_one_has_one() {
        let sample = sampled(Some(1.0), 1);
        let long = "x".repeat(1000);
        let containers = (0..3000).map(|number| named(&format!("{long}{number}"), Some(&sample)));
        let parts = parts(containers.collect(), Capacity::default());
        assert!(parts.len() > 3, "{}", parts.len());
        assert_eq!(parts.iter().map(|part| part.containers.len()).sum::<usize>(), 3000);
        assert!(parts.iter().all(|part| part.encoded_len() <= size::FULL + 1000));
        let (last, before) = parts.split_last().unwrap();
        assert!(before.iter().all(|part| part.continues && part.total.is_none()));
        assert_eq!(last.total.as_ref().map(|total| total.containers), Some(3000));
        assert!(!last.continues);
        let empty = super::parts(Vec::new(), Capacity::default());
        assert!(matches!(&*empty, [part] if part.total.is_some() && !part.continues));
    }
}
