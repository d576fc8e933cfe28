//! One bind, mount or directory in memory: its syntax and the Engine's form of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use wharf::v1::Mount;

use super::checks;
use crate::body::violation::Violations;
use crate::domain::quoted;

const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];

/// Reads a bind as docker writes it: its target, and whether it is an anonymous volume.
pub(super) fn parse_bind(text: &str) -> Result<(String, bool), String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts.as_slice() {
        [target] => return checks::mount_target(target).map(|target| (target, true)),
        [source, target] => (*source, *target, None),
        [source, target, mode] => (*source, *target, Some(*mode)),
        _ => {
            return Err(format!("{} has too many parts; write SOURCE:TARGET[:MODE]", quoted(text)));
        }
    };
    let is_path = source.starts_with('/');
    if source.contains('\0') || (!is_path && !checks::is_volume_name(source)) {
        return Err(format!(
            "{} is neither an absolute path on the host nor the name of a volume",
            quoted(source)
        ));
    }
    let target = checks::mount_target(target)?;
    if let Some(mode) = mode {
        check_mode(mode, is_path)?;
    }
    Ok((target, false))
}

fn check_mode(mode: &str, is_path: bool) -> Result<(), String> {
    let mut kinds = Vec::new();
    for word in mode.split(',') {
        let kind = match word {
            "ro" | "rw" => "access",
            "z" | "Z" => "label",
            "consistent" | "cached" | "delegated" => "consistency",
            "nocopy" if !is_path => "copy",
            word if is_path && PROPAGATIONS.contains(&word) => "propagation",
            "nocopy" => return Err("nocopy is only for volumes, not for host paths".to_owned()),
            word if PROPAGATIONS.contains(&word) => {
                return Err(format!("{word} is only for host paths, not for volumes"));
            }
            _ => return Err(format!("{} is not a mode; write ro or rw", quoted(word))),
        };
        if kinds.contains(&kind) {
            return Err(format!("the mode {} has conflicting options", quoted(mode)));
        }
        kinds.push(kind);
    }
    Ok(())
}

/// Checks the options of a directory in memory, which the Engine reads only at the start.
pub(super) fn check_tmpfs_options(options: &str) -> Result<(), String> {
    const KEYS: [&str; 7] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];
    const FLAGS: &str = " defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync \
        remount mand nomand atime noatime diratime nodiratime relatime norelatime strictatime \
        nostrictatime bind rbind unbindable runbindable private rprivate shared rshared slave \
        rslave ";
    for option in options.split(',').filter(|_| !options.is_empty()) {
        let good = match option.split_once('=') {
            Some((key, value)) => KEYS.contains(&key) && !value.is_empty(),
            None => !option.contains(' ') && FLAGS.contains(&format!(" {option} ")),
        };
        if !good {
            return Err(format!(
                "{} is not a tmpfs option; write options such as rw,noexec,size=64m,mode=1777",
                quoted(option)
            ));
        }
    }
    Ok(())
}

/// The Engine's form. The target is checked by the caller, who needs it too.
pub(super) fn body(mount: &Mount, field: &str, violations: &mut Violations) -> Value {
    check(mount, field, violations);
    let mut body = Map::new();
    body.insert("Type".to_owned(), mount.r#type.as_str().into());
    if !mount.source.is_empty() {
        body.insert("Source".to_owned(), mount.source.as_str().into());
    }
    body.insert("Target".to_owned(), mount.target.as_str().into());
    if mount.read_only {
        body.insert("ReadOnly".to_owned(), true.into());
    }
    let options = match mount.r#type.as_str() {
        "bind" => ("BindOptions", bind_options(mount)),
        "volume" => ("VolumeOptions", volume_options(mount)),
        _ => ("TmpfsOptions", tmpfs_options(mount)),
    };
    if !options.1.is_empty() {
        body.insert(options.0.to_owned(), options.1.into());
    }
    body.into()
}

fn bind_options(mount: &Mount) -> Map<String, Value> {
    let mut options = Map::new();
    if !mount.propagation.is_empty() {
        options.insert("Propagation".to_owned(), mount.propagation.as_str().into());
    }
    options
}

fn volume_options(mount: &Mount) -> Map<String, Value> {
    let mut options = Map::new();
    let object = |map: &BTreeMap<String, String>| -> Map<String, Value> {
        map.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect()
    };
    if mount.no_copy {
        options.insert("NoCopy".to_owned(), true.into());
    }
    if !mount.labels.is_empty() {
        options.insert("Labels".to_owned(), object(&mount.labels).into());
    }
    if !mount.driver.is_empty() || !mount.driver_options.is_empty() {
        let driver = if mount.driver.is_empty() { "local" } else { &mount.driver };
        let config = json!({ "Name": driver, "Options": object(&mount.driver_options) });
        options.insert("DriverConfig".to_owned(), config);
    }
    options
}

fn tmpfs_options(mount: &Mount) -> Map<String, Value> {
    let mut options = Map::new();
    if mount.tmpfs_size_bytes != 0 {
        options.insert("SizeBytes".to_owned(), mount.tmpfs_size_bytes.into());
    }
    if mount.tmpfs_mode != 0 {
        options.insert("Mode".to_owned(), mount.tmpfs_mode.into());
    }
    options
}

fn check(mount: &Mount, field: &str, violations: &mut Violations) {
    let kind = mount.r#type.as_str();
    if !matches!(kind, "bind" | "volume" | "tmpfs") {
        let problem = format!("{} is not a mount type; write bind, volume, or tmpfs", quoted(kind));
        return violations.add(format!("{field}.type"), problem);
    }
    for (name, owner, set) in [
        ("propagation", "bind", !mount.propagation.is_empty()),
        ("no_copy", "volume", mount.no_copy),
        ("driver", "volume", !mount.driver.is_empty()),
        ("driver_options", "volume", !mount.driver_options.is_empty()),
        ("labels", "volume", !mount.labels.is_empty()),
        ("tmpfs_size_bytes", "tmpfs", mount.tmpfs_size_bytes != 0),
        ("tmpfs_mode", "tmpfs", mount.tmpfs_mode != 0),
    ] {
        if set && owner != kind {
            let problem = format!("is only for the type {owner}, not for {kind}; remove it");
            violations.add(format!("{field}.{name}"), problem);
        }
    }
    if let Err(problem) = check_source(kind, &mount.source) {
        violations.add(format!("{field}.source"), problem);
    }
    if kind == "volume" && mount.source.is_empty() && mount.read_only {
        let problem = "an anonymous volume is empty and cannot be read-only; set `source` to the name of a volume";
        violations.add(format!("{field}.read_only"), problem);
    }
    if !mount.propagation.is_empty() && !PROPAGATIONS.contains(&mount.propagation.as_str()) {
        let propagation = quoted(&mount.propagation);
        let problem =
            format!("{propagation} is not a propagation; use one of {}", PROPAGATIONS.join(" "));
        violations.add(format!("{field}.propagation"), problem);
    }
    if mount.tmpfs_size_bytes < 0 {
        violations.add(format!("{field}.tmpfs_size_bytes"), "must not be negative");
    }
    if mount.tmpfs_mode > 0o7777 {
        violations.add(format!("{field}.tmpfs_mode"), "must be at most 0o7777");
    }
}

fn check_source(kind: &str, source: &str) -> Result<(), String> {
    match kind {
        "bind" if source.is_empty() => Err("is missing; set the path on the host".to_owned()),
        "bind" => checks::absolute(source),
        "tmpfs" if !source.is_empty() => Err("tmpfs has no source; remove it".to_owned()),
        "volume" if !source.is_empty() && !checks::is_volume_name(source) => Err(format!(
            "{} is not the name of a volume: use a-z A-Z 0-9 _ . - and at least two of them",
            quoted(source)
        )),
        _ => Ok(()),
    }
}
