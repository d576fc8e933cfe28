//! This process, as Prometheus's own libraries name it. From /proc, so what cannot be read is absent.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::encode::{NONE, Series};

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    /// In seconds since 1970; it does not change.
    started: Option<f64>,
}

/// What `/proc/self/stat` says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stat {
    /// User and system time, in ticks.
    cpu_ticks: u64,
    threads: u64,
    /// Since the start of the machine, in ticks.
    started_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn of_self() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The name of the program, in parentheses, may have spaces and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // The first of them is the third of `man proc_pid_stat`.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            started_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

impl Process {
    /// This one.
    pub(super) fn of_self() -> Self {
        let started = || {
            let stat = fs::read_to_string("/proc/stat").ok()?;
            let booted = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
            let booted: f64 = booted.trim().parse().ok()?;
            Some(booted + in_seconds(Stat::of_self()?.started_ticks))
        };
        Self { started: started() }
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks of centuries")]
fn in_seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut series = Series(encoder);
        let stat = Stat::of_self();
        let open = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        series.counter(
            ("process_cpu", Some(Unit::Seconds)),
            "Processor time of this process.",
            stat.map(|stat| (NONE, in_seconds(stat.cpu_ticks))),
        )?;
        series.gauge(
            ("process_resident_memory", Some(Unit::Bytes)),
            "Memory of this process that is in use.",
            stat.map(|stat| (NONE, stat.resident_pages * page_size() as u64)),
        )?;
        series.gauge(
            ("process_virtual_memory", Some(Unit::Bytes)),
            "Address space of this process.",
            stat.map(|stat| (NONE, stat.virtual_bytes)),
        )?;
        series.gauge(
            ("process_threads", None),
            "Threads of this process.",
            stat.map(|stat| (NONE, stat.threads)),
        )?;
        series.gauge(
            ("process_start_time", Some(Unit::Seconds)),
            "When this process started, since 1970.",
            self.started.map(|started| (NONE, started)),
        )?;
        series.gauge(
            ("process_open_fds", None),
            "Open file descriptors of this process.",
            // Without the one that reads them.
            open.map(|open| (NONE, open.saturating_sub(1) as u64)),
        )?;
        series.gauge(
            ("process_max_fds", None),
            "The most file descriptors that this process may have.",
            getrlimit(Resource::Nofile).current.map(|most| (NONE, most)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let text = "42 (a) b) S 1 42 42 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 5 0 7000 \
                    1000000 250 18446744073709551615 1 1";
        let expected = Stat {
            cpu_ticks: 200,
            threads: 5,
            started_ticks: 7000,
            virtual_bytes: 1_000_000,
            resident_pages: 250,
        };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("42 (short) S 1"), None);
        assert!(Stat::of_self().unwrap().resident_pages > 0);
    }
}
