//! The process of a container and how it is stopped: the part of the body that can also come from
//! the image.

use std::collections::{BTreeMap, HashMap, HashSet};

use prost_types::Duration;
use serde_json::Value;
use wharf::v1::ContainerSpec;

use super::document::ENGINE_JSON;
use super::{Draft, checks};
use crate::domain::quoted;

/// Longest host name of Linux.
const LONGEST_HOST_NAME: usize = 64;

pub(super) fn apply(spec: &ContainerSpec, draft: &mut Draft) {
    arguments(spec, draft);
    environment(&spec.env, draft);
    labels(&spec.labels, draft);
    names(spec, draft);
    stop(spec, draft);
    for (key, value) in [("Tty", spec.tty), ("OpenStdin", spec.open_stdin)] {
        if let Some(value) = value {
            draft.top.set(key, value);
        }
    }
}

fn arguments(spec: &ContainerSpec, draft: &mut Draft) {
    checks::texts("spec.command", &spec.command, &mut draft.violations);
    checks::texts("spec.entrypoint", &spec.entrypoint, &mut draft.violations);
    if !spec.command.is_empty() {
        draft.top.set("Cmd", spec.command.as_slice());
    }
    match spec.entrypoint.as_slice() {
        [] => {}
        // One empty text means "none" to the Engine, as in `docker run --entrypoint ''`.
        [first, _, ..] if first.is_empty() => draft
            .violations
            .add("spec.entrypoint[0]", "is empty; set a program, or only one empty string"),
        entrypoint => draft.top.set("Entrypoint", entrypoint),
    }
}

fn environment(entries: &[String], draft: &mut Draft) {
    if entries.is_empty() {
        return;
    }
    checks::texts("spec.env", entries, &mut draft.violations);
    let mut latest = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        match variable(entry) {
            "" => draft.violations.add(
                format!("spec.env[{index}]"),
                format!("{} has no name; write KEY=VALUE", quoted(entry)),
            ),
            key => {
                latest.insert(key, entry);
            }
        }
    }
    let Some(list) = draft.top.list("Env", &mut draft.violations) else { return };
    let mut placed = HashSet::new();
    let mut merged = Vec::with_capacity(list.len() + latest.len());
    for value in std::mem::take(list) {
        let Some(key) = value.as_str().map(variable) else {
            draft.violations.add(ENGINE_JSON, "Env must be a list of strings");
            return;
        };
        match latest.get_key_value(key) {
            None => merged.push(value),
            Some((key, entry)) if placed.insert(*key) => merged.push(Value::from(entry.as_str())),
            Some(_) => {}
        }
    }
    for entry in entries {
        let key = variable(entry);
        if let Some(entry) = latest.get(key).filter(|_| placed.insert(key)) {
            merged.push(Value::from(entry.as_str()));
        }
    }
    *list = merged;
}

fn variable(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(key, _)| key)
}

fn labels(labels: &BTreeMap<String, String>, draft: &mut Draft) {
    if labels.is_empty() {
        return;
    }
    if labels.contains_key("") {
        draft.violations.add("spec.labels", "a label has an empty name");
    }
    if let Some(object) = draft.top.object("Labels", &[], &mut draft.violations) {
        for (key, value) in labels {
            object.insert(key.clone(), value.as_str().into());
        }
    }
}

fn names(spec: &ContainerSpec, draft: &mut Draft) {
    for (field, key, value) in [
        ("spec.user", "User", &spec.user),
        ("spec.working_dir", "WorkingDir", &spec.working_dir),
        ("spec.hostname", "Hostname", &spec.hostname),
        ("spec.domainname", "Domainname", &spec.domainname),
    ] {
        if !value.is_empty() {
            checks::text(field, value, &mut draft.violations);
            draft.top.set(key, value.as_str());
        }
    }
    if !spec.working_dir.is_empty()
        && let Err(problem) = checks::absolute(&spec.working_dir)
    {
        draft.violations.add("spec.working_dir", problem);
    }
    for (field, name) in [("spec.hostname", &spec.hostname), ("spec.domainname", &spec.domainname)]
    {
        let odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '/';
        if name.len() > LONGEST_HOST_NAME || name.contains(odd) {
            let problem = format!(
                "{} is not a host name: use at most {LONGEST_HOST_NAME} characters, no spaces or slashes",
                quoted(name)
            );
            draft.violations.add(field, problem);
        }
    }
}

fn stop(spec: &ContainerSpec, draft: &mut Draft) {
    if !spec.stop_signal.is_empty() {
        if !is_signal(&spec.stop_signal) {
            let problem = format!(
                "{} is not a signal; write a name such as SIGTERM, or a number from 1 to 64",
                quoted(&spec.stop_signal)
            );
            draft.violations.add("spec.stop_signal", problem);
        }
        draft.top.set("StopSignal", spec.stop_signal.as_str());
    }
    match spec.stop_timeout {
        None => {}
        Some(Duration { seconds, nanos: 0 }) if (0..=i64::from(i32::MAX)).contains(&seconds) => {
            draft.top.set("StopTimeout", seconds);
        }
        Some(_) => draft.violations.add(
            "spec.stop_timeout",
            "must be whole seconds and not negative; the Engine does not accept fractions",
        ),
    }
}

/// The signals of Linux, with the Engine's names.
fn is_signal(text: &str) -> bool {
    const NAMES: [&str; 37] = [
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM",
        "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
        "RTMIN", "RTMAX", "UNUSED",
    ];
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |prefix: &str, most: u8| {
        name.strip_prefix(prefix)
            .and_then(|digits| digits.parse::<u8>().ok())
            .is_some_and(|offset| (1..=most).contains(&offset))
    };
    NAMES.contains(&name) || offset("RTMIN+", 15) || offset("RTMAX-", 14)
}
