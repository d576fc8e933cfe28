//! Resource limits of a container, for a new one and for an update.

use serde_json::{Value, json};
use wharf::settings::Setting;
use wharf::v1::{ContainerSpec, Ulimit};

use super::Draft;
use super::document::{Section, object_in};
use crate::body::violation::Violations;
use crate::domain::quoted;

/// Settings that were set, in the Engine's form.
type Settings = [(&'static Setting, Value)];

/// Refuses limits of which one contradicts another. `section` is what came out, with what the body
/// had; `update` whether a container that exists is changed.
pub(in crate::body) fn check_together(
    settings: &Settings,
    prefix: &str,
    update: bool,
    section: &Section,
    violations: &mut Violations,
) {
    // The first of the fields that was set; one that was not set is not to blame.
    let culprit = |fields: &[&'static str]| {
        let set = |field: &&str| settings.iter().any(|(setting, _)| setting.field == *field);
        fields.iter().copied().find(set).map(|field| format!("{prefix}{field}"))
    };
    let memory = section.integer("Memory");
    let swap = section.integer("MemorySwap");
    let reservation = section.integer("MemoryReservation");
    if let Some(field) = culprit(&["memory_swap_bytes"])
        && swap > 0
        && memory == 0
        && !update
    {
        violations.add(field, "needs a memory limit too: it is memory and swap together");
    }
    if let Some(field) = culprit(&["memory_swap_bytes", "memory_bytes"])
        && (1..memory).contains(&swap)
    {
        violations.add(
            field,
            format!(
                "the limit of memory and swap ({swap}) is lower than the memory limit ({memory})"
            ),
        );
    }
    if let Some(field) = culprit(&["memory_reservation_bytes", "memory_bytes"])
        && memory > 0
        && reservation > memory
    {
        violations.add(
            field,
            format!("the soft limit ({reservation}) is higher than the memory limit ({memory})"),
        );
    }
    for (key, setting) in [("CpuPeriod", "cpu_period"), ("CpuQuota", "cpu_quota")] {
        if let Some(field) = culprit(&["nano_cpus", setting])
            && section.integer("NanoCpus") > 0
            && section.integer(key) > 0
        {
            let problem = format!("NanoCpus cannot go with {key}; leave one of them out");
            violations.add(field, problem);
        }
    }
}

pub(super) fn apply(spec: &ContainerSpec, settings: &Settings, draft: &mut Draft) {
    check_together(settings, "spec.", false, &draft.host, &mut draft.violations);
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
