//! Podman's leftovers outside its directory: the cgroups of its containers, which it creates below
//! its own, and the interfaces of its networks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::tools;

/// Of the containers of every podman in `directory` or in one directly below it.
pub(super) fn cgroups(directory: &Path, hierarchies: &[PathBuf]) -> Vec<PathBuf> {
    let containers = places(directory)
        .into_iter()
        .flat_map(|place| entries(&place.join("storage/overlay-containers")))
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|id| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    containers
        .flat_map(|id| [format!("libpod-{id}"), format!("libpod-conmon-{id}")])
        .flat_map(|name| {
            ["libpod_parent", ""]
                .map(|parent| Path::new(parent).join(&name))
                .into_iter()
                .flat_map(|below| hierarchies.iter().map(move |place| place.join(&below)))
        })
        .filter(|cgroup| cgroup.is_dir())
        .collect()
}

/// Only a card with the address that the network's own configuration names is removed: another
/// podman may use the same name.
pub(super) fn remove_bridges(directory: &Path) {
    for place in places(directory) {
        for path in entries(&place.join("net")) {
            let text = fs::read_to_string(path).unwrap_or_default();
            let network: Value = serde_json::from_str(&text).unwrap_or_default();
            let (Some(card), Some(gateway)) =
                (network["network_interface"].as_str(), network["subnets"][0]["gateway"].as_str())
            else {
                continue;
            };
            let shown = ip(&["addr", "show", "dev", card]);
            if shown.contains(&format!("inet {gateway}/")) {
                ip(&["link", "del", card]);
            }
        }
    }
}

fn places(directory: &Path) -> Vec<PathBuf> {
    std::iter::once(directory.to_owned()).chain(entries(directory)).collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// What it prints; nothing where it fails.
fn ip(arguments: &[&str]) -> String {
    let output = tools::system("busybox")
        .and_then(|busybox| Ok(Command::new(busybox).arg("ip").args(arguments).output()?));
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
