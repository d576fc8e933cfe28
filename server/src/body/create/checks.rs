//! Small checks that the parts of a body share.

use crate::body::violation::Violations;
use crate::domain::quoted;

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

/// Refuses empty elements, and everything that [`texts`] refuses.
pub(super) fn names(field: &str, list: &[String], violations: &mut Violations) {
    texts(field, list, violations);
    for (index, _) in list.iter().enumerate().filter(|(_, text)| text.is_empty()) {
        violations.add(format!("{field}[{index}]"), "is empty");
    }
}

/// Refuses NUL bytes, which no argument, variable, or file name of a process can contain; the
/// Engine would fail only at the start of the container.
pub(super) fn texts(field: &str, list: &[String], violations: &mut Violations) {
    for (index, _) in list.iter().enumerate().filter(|(_, text)| text.contains('\0')) {
        violations.add(format!("{field}[{index}]"), "contains a NUL byte");
    }
}

/// As [`texts`], for one text.
pub(super) fn text(field: &str, text: &str, violations: &mut Violations) {
    if text.contains('\0') {
        violations.add(field, "contains a NUL byte");
    }
}

/// Whether a mode is `container:` and the name of one.
pub(super) fn is_container_mode(mode: &str) -> bool {
    mode.strip_prefix("container:")
        .is_some_and(|name| crate::domain::ContainerRef::parse(name).is_ok())
}
