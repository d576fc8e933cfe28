//! The two processes of an Engine, and their isolation from the machine's own Docker.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde_json::json;

use super::root::{PATH, Root};
use super::{EngineKind, EngineOptions};
use crate::daemon::Daemon;
use crate::tls::TlsFiles;
use crate::{run, sweep, tools};

pub(super) fn write_configuration(directory: &Path, kind: EngineKind) -> anyhow::Result<()> {
    let place = directory.display();
    // `opt` would create /opt/containerd on this machine.
    let containerd = format!(
        "version = 2\n\
         root = \"{place}/containerd\"\n\
         state = \"{place}/exec/containerd\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.cri.v1.runtime\", \
         \"io.containerd.cri.v1.images\"]\n\
         [grpc]\n\
         address = \"{place}/exec/containerd.sock\"\n\
         [plugins.\"io.containerd.internal.v1.opt\"]\n\
         path = \"{place}/opt\"\n"
    );
    fs::create_dir_all(directory.join("exec"))?;
    fs::write(directory.join("containerd.toml"), containerd)?;
    // A file of our own also keeps dockerd from reading the machine's. Engines up to 22 take their
    // ID from this key, by default the machine's; later ones from their data, and refuse the entry.
    let key = directory.join("key.json");
    let configuration = if kind == EngineKind::Machine && dockerd_major_version()? < 23 {
        json!({ "deprecated-key-path": key })
    } else {
        json!({})
    };
    fs::write(directory.join("daemon.json"), configuration.to_string())?;
    Ok(())
}

fn dockerd_major_version() -> anyhow::Result<u32> {
    let output = Command::new(tools::system("dockerd")?).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().nth(2).and_then(|version| version.split('.').next());
    let version = version.and_then(|version| version.parse().ok());
    version.with_context(|| format!("`dockerd --version` says {text:?}"))
}

pub(super) fn containerd(root: Option<&Root>, directory: &Path) -> anyhow::Result<Daemon> {
    let mut command = program(root, "containerd")?;
    command.arg("--config").arg(directory.join("containerd.toml"));
    Daemon::spawn("containerd", directory, isolated(command, directory))
}

pub(super) fn dockerd(
    root: Option<&Root>,
    directory: &Path,
    address: &str,
    tls: Option<&TlsFiles>,
    options: &EngineOptions,
) -> anyhow::Result<Daemon> {
    let name = directory.strip_prefix(run::root()?)?;
    let at = |name: &str| directory.join(name);
    let mut command = program(root, "dockerd")?;
    command
        .arg("--config-file")
        .arg(at("daemon.json"))
        // Without it, dockerd takes the machine's containerd where one runs.
        .arg("--containerd")
        .arg(at("exec/containerd.sock"))
        .arg("--data-root")
        .arg(at("data"))
        .arg("--exec-root")
        .arg(at("exec"))
        .arg("--pidfile")
        .arg(at("docker.pid"))
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"])
        .arg("--exec-opt=native.cgroupdriver=cgroupfs")
        .arg(format!("--cgroup-parent=/{}/{}", sweep::CGROUP, name.display()))
        .args(["--host", address])
        .args(&options.arguments);
    if let Some(tls) = tls {
        command
            .arg("--tlsverify")
            .arg("--tlscacert")
            .arg(&tls.ca)
            .arg("--tlscert")
            .arg(&tls.server_cert)
            .arg("--tlskey")
            .arg(&tls.server_key);
    }
    Daemon::spawn("dockerd", directory, isolated(command, directory))
}

/// A program of another release, or of this machine.
fn program(root: Option<&Root>, name: &str) -> anyhow::Result<Command> {
    match root {
        Some(root) => root.command(name),
        None => Ok(Command::new(tools::system(name)?)),
    }
}

/// Without the environment of whoever runs the tests: a proxy or a `DOCKER_…` there would change
/// what an Engine does.
///
/// Its garbage collector runs less often: short processes of an Engine, three for each start of a
/// container, otherwise spend a sixth of their time in it.
pub(super) fn isolated(mut command: Command, directory: &Path) -> Command {
    command.env_clear().env("PATH", PATH).env("GOGC", "400");
    command.env("HOME", directory).current_dir(directory);
    command
}
