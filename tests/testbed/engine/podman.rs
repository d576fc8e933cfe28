//! Podman's service, which implements the API of a Docker Engine. It has no daemon: containers
//! outlive it.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, getrlimit};
use serde_json::json;

use super::root::Root;
use super::spawn::isolated;
use crate::daemon::Daemon;
use crate::kind::EngineKind;
use crate::tools;

/// The bridge of the default network, a card of this machine, has a name that begins so.
const BRIDGE: &str = "wpod";

pub(super) fn write_configuration(directory: &Path, kind: EngineKind) -> anyhow::Result<()> {
    let place = directory.display();
    for name in ["net", "storage", "runroot", "tmp"] {
        fs::create_dir_all(directory.join(name))?;
    }
    // By default podman asks for more than this process may have where root lacks
    // CAP_SYS_RESOURCE, and no container starts.
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(1_048_576);
    let pid_max: u64 = fs::read_to_string("/proc/sys/kernel/pid_max")?.trim().parse()?;
    let processes = getrlimit(Resource::Nproc).maximum.unwrap_or(pid_max).min(pid_max);
    let number = uuid::Uuid::new_v4().as_u128();
    let (second, third) = (160 + number % 64, number / 64 % 256);
    // Podman 4 has no such driver; there the packet filter of the unpacked release is one that
    // does nothing.
    let firewall = match kind {
        EngineKind::Podman5 => "firewall_driver = \"none\"\n",
        _ => "",
    };
    // An exec's conmon lingers for so many seconds; 300 by default.
    let containers = format!(
        "[containers]\n\
         log_driver = \"k8s-file\"\n\
         default_ulimits = [\"nofile={files}:{files}\", \"nproc={processes}:{processes}\"]\n\
         [engine]\n\
         cgroup_manager = \"cgroupfs\"\n\
         events_logger = \"file\"\n\
         exit_command_delay = 10\n\
         runtime = \"runc\"\n\
         [network]\n\
         network_backend = \"netavark\"\n\
         network_config_dir = \"{place}/net\"\n\
         {firewall}\
         default_subnet_pools = [{{\"base\" = \"10.{}.0.0/16\", \"size\" = 24}}]\n",
        96 + number / 64 / 256 % 64
    );
    fs::write(directory.join("containers.conf"), containers)?;
    // The registries of the testbed speak no TLS.
    let registries = "[[registry]]\nlocation = \"127.0.0.1\"\ninsecure = true\n";
    fs::write(directory.join("registries.conf"), registries)?;
    let storage = format!(
        "[storage]\n\
         driver = \"overlay\"\n\
         graphroot = \"{place}/storage\"\n\
         runroot = \"{place}/runroot\"\n"
    );
    fs::write(directory.join("storage.conf"), storage)?;
    // Otherwise every podman of the machine has the same card with another address.
    let network = json!({
        "name": "podman",
        "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
        "driver": "bridge",
        "network_interface": format!("{BRIDGE}{:08x}", number as u32),
        "created": "2024-01-01T00:00:00Z",
        "subnets": [{
            "subnet": format!("10.{second}.{third}.0/24"),
            "gateway": format!("10.{second}.{third}.1"),
        }],
        "ipv6_enabled": false,
        "internal": false,
        "dns_enabled": false,
        "ipam_options": {"driver": "host-local"},
    });
    fs::write(directory.join("net/podman.json"), network.to_string())?;
    Ok(())
}

pub(super) fn service(root: &Root, directory: &Path, address: &str) -> anyhow::Result<Daemon> {
    let at = |name: &str| directory.join(name);
    // It is in the way where a killed service left it.
    let _ = fs::remove_file(at("docker.sock"));
    let mut command = isolated(root.command("podman")?, directory);
    command
        .arg("--root")
        .arg(at("storage"))
        .arg("--runroot")
        .arg(at("runroot"))
        .arg("--tmpdir")
        .arg(at("tmp"))
        .args(["system", "service", "--time=0", address])
        .env("CONTAINERS_CONF", at("containers.conf"))
        .env("CONTAINERS_REGISTRIES_CONF", at("registries.conf"))
        .env("CONTAINERS_STORAGE_CONF", at("storage.conf"))
        .env("TMPDIR", at("tmp"));
    Daemon::spawn("podman", directory, command)
}

/// Stands in for the timers of systemd that podman leaves its health checks to.
pub(super) fn health(directory: &Path) -> anyhow::Result<Daemon> {
    let mut command = Command::new(tools::built("wharf-testbed")?);
    command.arg("podman-health").arg(directory.join("docker.sock"));
    Daemon::spawn("health", directory, command)
}
