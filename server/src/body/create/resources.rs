//! Resource limits of a container, for a new one and for an update.

use serde_json::json;
use wharf::v1::{ContainerSpec, Ulimit};

use super::Draft;
use super::document::{Section, object_in};
use crate::body::violation::Violations;
use crate::domain::quoted;

/// Minimum memory that the Engine accepts (6 MiB since 20.10, 4 before).
const LEAST_MEMORY: i64 = 6 * 1024 * 1024;
/// A hundredth of a processor: the kernel refuses less, and only when the container starts.
const LEAST_NANO_CPUS: i64 = 10_000_000;

/// The limits that can be changed on an existing container. `None` and empty keep the body's.
#[derive(Debug, Default)]
pub(in crate::body) struct Limits<'a> {
    /// The prefix of the field names: `spec.` or nothing.
    pub prefix: &'a str,
    /// Whether an existing container is changed. There, the Engine treats 0 as "unchanged" and
    /// silently ignores it; for a new container, it means "unlimited".
    pub update: bool,
    /// Bytes.
    pub memory: Option<i64>,
    /// Bytes, with the memory; -1: no limit.
    pub memory_swap: Option<i64>,
    /// Bytes.
    pub memory_reservation: Option<i64>,
    /// Billionths of a processor.
    pub nano_cpus: Option<i64>,
    /// Weight.
    pub cpu_shares: Option<i64>,
    /// Such as `0-2,5`.
    pub cpuset_cpus: &'a str,
    /// Processes; -1: no limit.
    pub pids_limit: Option<i64>,
}

impl Limits<'_> {
    /// Sets the limits, and checks them together with those of the body.
    pub(in crate::body) fn apply(&self, section: &mut Section, violations: &mut Violations) {
        let memory = (LEAST_MEMORY..=i64::MAX, "must be at least 6291456 (6 MiB)");
        let swap = (1..=i64::MAX, "must be -1 for unlimited, or a number of bytes");
        let processors = (
            LEAST_NANO_CPUS..=i64::MAX,
            "must be at least 10000000, a hundredth of a CPU; 1000000000 is one CPU",
        );
        // Outside this range, the kernel silently uses the nearest value.
        let shares = (2..=262_144, "must be from 2 to 262144");
        for (field, key, value, (range, problem)) in [
            ("memory_bytes", "Memory", self.memory, memory.clone()),
            ("memory_swap_bytes", "MemorySwap", self.memory_swap, swap),
            ("memory_reservation_bytes", "MemoryReservation", self.memory_reservation, memory),
            ("nano_cpus", "NanoCpus", self.nano_cpus, processors),
            ("cpu_shares", "CpuShares", self.cpu_shares, shares),
        ] {
            let Some(value) = value else { continue };
            let unlimited_swap = key == "MemorySwap" && value == -1;
            if value == 0 && self.update {
                violations.add(self.path(field), "0 has no effect on an update; don't set it");
            } else if value != 0 && !unlimited_swap && !range.contains(&value) {
                violations.add(self.path(field), problem);
            }
            section.set(key, value);
        }
        if let Some(limit) = self.pids_limit {
            if limit < -1 {
                let problem = "must be -1 for unlimited, or a number of processes";
                violations.add(self.path("pids_limit"), problem);
            }
            section.set("PidsLimit", limit);
        }
        if !self.cpuset_cpus.is_empty() {
            if !is_cpu_list(self.cpuset_cpus) {
                let list = quoted(self.cpuset_cpus);
                let problem = format!("{list} is not a list of CPUs; write a list such as 0-2,5");
                violations.add(self.path("cpuset_cpus"), problem);
            }
            section.set("CpusetCpus", self.cpuset_cpus);
        }
        self.check_together(section, violations);
    }

    fn check_together(&self, section: &Section, violations: &mut Violations) {
        let memory = section.integer("Memory");
        let swap = section.integer("MemorySwap");
        let reservation = section.integer("MemoryReservation");
        if self.memory_swap.is_some() && swap > 0 && memory == 0 && !self.update {
            violations.add(
                self.path("memory_swap_bytes"),
                "requires a memory limit, because it is the limit of memory and swap together",
            );
        }
        if (self.memory.is_some() || self.memory_swap.is_some())
            && memory > 0
            && (1..memory).contains(&swap)
        {
            let field =
                if self.memory_swap.is_some() { "memory_swap_bytes" } else { "memory_bytes" };
            violations.add(
                self.path(field),
                format!("the limit of memory and swap ({swap}) is lower than the memory limit ({memory})"),
            );
        }
        if (self.memory.is_some() || self.memory_reservation.is_some())
            && memory > 0
            && reservation > memory
        {
            let field = match self.memory_reservation {
                Some(_) => "memory_reservation_bytes",
                None => "memory_bytes",
            };
            violations.add(
                self.path(field),
                format!(
                    "the soft limit ({reservation}) is higher than the memory limit ({memory})"
                ),
            );
        }
        if self.nano_cpus.is_some_and(|cpus| cpus > 0) {
            for key in ["CpuPeriod", "CpuQuota"] {
                if section.integer(key) > 0 {
                    violations.add(
                        self.path("nano_cpus"),
                        format!("conflicts with {key} of the body; remove one of them"),
                    );
                }
            }
        }
    }

    fn path(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }
}

pub(super) fn apply(spec: &ContainerSpec, draft: &mut Draft) {
    let limits = Limits {
        prefix: "spec.",
        update: false,
        memory: spec.memory_bytes,
        memory_swap: spec.memory_swap_bytes,
        memory_reservation: None,
        nano_cpus: spec.nano_cpus,
        cpu_shares: spec.cpu_shares,
        cpuset_cpus: &spec.cpuset_cpus,
        pids_limit: spec.pids_limit,
    };
    limits.apply(&mut draft.host, &mut draft.violations);
    if let Some(size) = spec.shm_size_bytes {
        if size < 0 {
            draft.violations.add("spec.shm_size_bytes", "must not be negative; 0 is the default");
        }
        draft.host.set("ShmSize", size);
    }
    ulimits(&spec.ulimits, draft);
    log(spec, draft);
}

fn ulimits(ulimits: &[Ulimit], draft: &mut Draft) {
    const NAMES: [&str; 16] = [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let violations = &mut draft.violations;
    for (index, limit) in ulimits.iter().enumerate() {
        let field = format!("spec.ulimits[{index}]");
        let unlimited_first = |value: i64| if value == -1 { i64::MAX } else { value };
        if !NAMES.contains(&limit.name.as_str()) {
            let name = quoted(&limit.name);
            let problem = format!("{name} is not a kernel limit; use one of {}", NAMES.join(" "));
            violations.add(format!("{field}.name"), problem);
        } else if ulimits[..index].iter().any(|earlier| earlier.name == limit.name) {
            violations.add(format!("{field}.name"), format!("{} occurs twice", limit.name));
        }
        for (name, value) in [("soft", limit.soft), ("hard", limit.hard)] {
            if value < -1 {
                violations
                    .add(format!("{field}.{name}"), "must be -1 for unlimited, or not negative");
            }
        }
        if unlimited_first(limit.soft) > unlimited_first(limit.hard) {
            let problem = format!("{} is higher than the hard limit, {}", limit.soft, limit.hard);
            violations.add(format!("{field}.soft"), problem);
        }
    }
    if !ulimits.is_empty() {
        let list: Vec<_> = ulimits
            .iter()
            .map(|limit| json!({ "Name": limit.name, "Soft": limit.soft, "Hard": limit.hard }))
            .collect();
        draft.host.set("Ulimits", list);
    }
}

/// Options belong to a driver: those of the body go when the spec names another one.
fn log(spec: &ContainerSpec, draft: &mut Draft) {
    if spec.log_driver.is_empty() && spec.log_options.is_empty() {
        return;
    }
    let violations = &mut draft.violations;
    let Some(log) = draft.host.object("LogConfig", &["Type", "Config"], violations) else { return };
    if !spec.log_driver.is_empty() {
        let before = log.insert("Type".to_owned(), spec.log_driver.as_str().into());
        let before = before.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
        if !before.is_empty() && before != spec.log_driver {
            log.shift_remove("Config");
        }
    }
    if spec.log_options.is_empty() {
        return;
    }
    if log.get("Type").is_some_and(|driver| driver == "none") {
        violations.add("spec.log_options", "the log driver none has no options; remove them");
    }
    let path = "HostConfig.LogConfig.Config";
    if spec.log_options.contains_key("") {
        violations.add("spec.log_options", "an option has an empty name");
    }
    if let Some(options) = object_in(log, "Config", path, &[], violations) {
        for (key, value) in &spec.log_options {
            options.insert(key.clone(), value.as_str().into());
        }
    }
}

fn is_cpu_list(text: &str) -> bool {
    let number = |digits: &str| digits.parse::<u16>().ok().filter(|_| !digits.starts_with('+'));
    text.split(',').all(|part| match part.split_once('-') {
        None => number(part).is_some(),
        Some((first, last)) => {
            matches!((number(first), number(last)), (Some(a), Some(b)) if a <= b)
        }
    })
}
