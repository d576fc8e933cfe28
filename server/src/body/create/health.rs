//! The health check of a container.

use prost_types::Duration;
use serde_json::{Map, Value};
use wharf::v1::HealthCheck;

use super::Draft;
use crate::body::violation::Violations;
use crate::domain::quoted;

/// Shortest time that the Engine accepts.
const SHORTEST: i64 = 1_000_000;

const KEYS: [&str; 6] = ["Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"];

/// Unset fields of the check keep the values of the body, like everywhere in the spec.
pub(super) fn apply(check: Option<&HealthCheck>, draft: &mut Draft) {
    let Some(check) = check else { return };
    test(&check.test, &mut draft.violations);
    let times = times(check, &mut draft.violations);
    if check.test.first().is_some_and(|kind| kind == "NONE") {
        if !times.is_empty() || check.retries != 0 {
            draft.violations.add(
                "spec.health_check",
                "has times or retries with the test NONE; remove them, or set a test",
            );
        }
        let off = Map::from_iter([("Test".to_owned(), Value::from(vec!["NONE"]))]);
        return draft.top.set("Healthcheck", off);
    }
    let Some(object) = draft.top.object("Healthcheck", &KEYS, &mut draft.violations) else {
        return;
    };
    if !check.test.is_empty() {
        object.insert("Test".to_owned(), check.test.as_slice().into());
    }
    object.extend(times);
    if check.retries != 0 {
        object.insert("Retries".to_owned(), check.retries.into());
    }
}

/// The Engine accepts any list here and then checks nothing if it does not know the kind.
fn test(test: &[String], violations: &mut Violations) {
    let problem = match test {
        [] => return,
        [kind] if kind == "NONE" => return,
        [kind, ..] if kind == "NONE" => "has arguments after NONE; remove them".to_owned(),
        [kind, program, ..] if kind == "CMD" && !program.is_empty() => return,
        [kind, ..] if kind == "CMD" => "has no program after CMD".to_owned(),
        [kind, line] if kind == "CMD-SHELL" && !line.trim().is_empty() => return,
        [kind, ..] if kind == "CMD-SHELL" => {
            "must have exactly one command line after CMD-SHELL".to_owned()
        }
        [kind, ..] => {
            format!("begins with {}; it must begin with NONE, CMD, or CMD-SHELL", quoted(kind))
        }
    };
    violations.add("spec.health_check.test", problem);
}

fn times(check: &HealthCheck, violations: &mut Violations) -> Map<String, Value> {
    let mut times = Map::new();
    for (field, key, duration) in [
        ("interval", "Interval", &check.interval),
        ("timeout", "Timeout", &check.timeout),
        ("start_period", "StartPeriod", &check.start_period),
        ("start_interval", "StartInterval", &check.start_interval),
    ] {
        let Some(duration) = duration else { continue };
        match nanoseconds(duration) {
            Some(time) if time == 0 || time >= SHORTEST => {
                times.insert(key.to_owned(), time.into());
            }
            _ => violations.add(
                format!("spec.health_check.{field}"),
                "must be 0 for the default, or from 1 ms to 292 years",
            ),
        }
    }
    times
}

fn nanoseconds(duration: &Duration) -> Option<i64> {
    duration.seconds.checked_mul(1_000_000_000)?.checked_add(duration.nanos.into())
}
