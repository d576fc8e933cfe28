//! Small checks that the parts of a body share.

use std::net::IpAddr;

use serde_json::Value;
use wharf::settings::Rule;

use crate::body::violation::Violations;
use crate::domain::{ContainerRef, quoted};

/// Checks a value by the rule of its setting.
pub(super) fn rule(rule: Rule, field: &str, value: &Value, violations: &mut Violations) {
    match value {
        Value::String(value) => {
            violations.check(field, text(rule, value));
        }
        Value::Array(list) => {
            for (index, value) in list.iter().filter_map(Value::as_str).enumerate() {
                violations.check(&format!("{field}[{index}]"), text(rule, value));
            }
        }
        Value::Object(map) => {
            if map.contains_key("") {
                violations.add(field, "an entry has an empty name");
            }
            for (key, value) in map {
                let field = format!("{field}[{}]", quoted(key));
                violations.check(&field, text(rule, value.as_str().unwrap_or_default()));
            }
        }
        Value::Number(value) => {
            if let (Rule::Number { least, most, or, problem }, Some(value)) = (rule, value.as_i64())
                && !(least..=most).contains(&value)
                && !or.contains(&value)
            {
                violations.add(field, problem);
            }
        }
        _ => {}
    }
}

fn text(rule: Rule, value: &str) -> Result<(), String> {
    let odd = |letter: char| letter.is_whitespace() || letter.is_control();
    let (good, problem) = match rule {
        Rule::Any | Rule::Own | Rule::Number { .. } => return Ok(()),
        Rule::Path => return absolute(value),
        _ if value.contains('\0') => return Err("contains a NUL byte".to_owned()),
        Rule::Text => return Ok(()),
        Rule::Name => return if value.is_empty() { Err("is empty".to_owned()) } else { Ok(()) },
        Rule::HostName(most) => (
            value.len() <= most && !value.contains(odd),
            format!("is not a host name: use at most {most} bytes and no spaces"),
        ),
        Rule::Signal => (
            is_signal(value),
            "is not a signal; write a name such as SIGTERM, or a number from 1 to 64".to_owned(),
        ),
        Rule::Capability => (
            !value.is_empty()
                && value.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_'),
            "is not a capability; write NET_ADMIN or ALL".to_owned(),
        ),
        Rule::Address => (value.parse::<IpAddr>().is_ok(), "is not an IP address".to_owned()),
        Rule::HostLine => (
            value.split_once(':').is_some_and(|(name, address)| {
                let known = address == "host-gateway" || address.parse::<IpAddr>().is_ok();
                !name.is_empty() && !name.contains(odd) && known
            }),
            "is not a line of /etc/hosts; write name:address, the address an IP or host-gateway"
                .to_owned(),
        ),
        Rule::VolumesFrom => {
            let (name, mode) = value.split_once(':').unwrap_or((value, "rw"));
            let good_mode = mode.split(',').all(|word| matches!(word, "ro" | "rw" | "z" | "Z"));
            let good = ContainerRef::parse(name).is_ok() && good_mode;
            (good, "names no container; write NAME or NAME:ro".to_owned())
        }
        Rule::CpuList => {
            (is_cpu_list(value), "is not a list of processors; write it as 0-2,5".to_owned())
        }
        Rule::Word(words) => {
            (words.contains(&value), format!("is no such mode; write {}", words.join(" or ")))
        }
        Rule::Mode(words) => (
            words.contains(&value) || is_container_mode(value),
            format!("is no such mode; write {} or container:NAME", words.join(", ")),
        ),
    };
    if good { Ok(()) } else { Err(format!("{} {problem}", quoted(value))) }
}

/// A mount target in a container, in the normalized form that the Engine compares.
pub(super) fn mount_target(path: &str) -> Result<String, String> {
    absolute(path)?;
    match clean(path) {
        root if root == "/" => Err("cannot mount over the root directory".to_owned()),
        target => Ok(target),
    }
}

/// Refuses everything except an absolute path.
pub(super) fn absolute(path: &str) -> Result<(), String> {
    if path.contains('\0') {
        Err("contains a NUL byte".to_owned())
    } else if path.starts_with('/') {
        Ok(())
    } else {
        Err(format!("{} is not an absolute path; it must begin with /", quoted(path)))
    }
}

/// Go's `path.Clean` of an absolute path.
pub(super) fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether text can name a volume; the Engine's own rule.
pub(super) fn is_volume_name(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Refuses NUL bytes, which no argument, variable, or file name of a process can contain; the
/// Engine would fail only at the start of the container.
pub(super) fn texts(field: &str, list: &[String], violations: &mut Violations) {
    for (index, _) in list.iter().enumerate().filter(|(_, text)| text.contains('\0')) {
        violations.add(format!("{field}[{index}]"), "contains a NUL byte");
    }
}

/// Whether a mode is `container:` and the name of one.
pub(super) fn is_container_mode(mode: &str) -> bool {
    mode.strip_prefix("container:")
        .is_some_and(|name| crate::domain::ContainerRef::parse(name).is_ok())
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

fn is_cpu_list(text: &str) -> bool {
    let number = |digits: &str| digits.parse::<u16>().ok().filter(|_| !digits.starts_with('+'));
    text.split(',').all(|part| match part.split_once('-') {
        None => number(part).is_some(),
        Some((first, last)) => {
            matches!((number(first), number(last)), (Some(a), Some(b)) if a <= b)
        }
    })
}
