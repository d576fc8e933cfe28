//! A real sshd on a port of 127.0.0.1, with keys made for it, and what a `wharfd` needs to log in
//! there: a program `ssh` that reads a configuration of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;

use crate::daemon::Daemon;
use crate::poll::eventually;
use crate::process::{self, ProcessId};
use crate::run::Run;
use crate::{sweep, tools};

/// A running sshd, for logins of root with one key. Dropping it ends it and its sessions.
#[derive(Debug)]
pub struct Sshd {
    directory: PathBuf,
    port: u16,
    daemon: Mutex<Daemon>,
}

impl Sshd {
    /// A server with these lines in its configuration besides the necessary ones. Everything else
    /// is as the distribution has it, also the limit of logins at the same time.
    pub async fn start(configuration: &str) -> anyhow::Result<Sshd> {
        tools::require_root()?;
        let directory = Run::current()?.new_directory("s")?;
        let port = tools::free_port()?;
        for key in ["host_key", "other_host_key", "id", "other_id"] {
            make_key(&directory.join(key))?;
        }
        fs::copy(directory.join("id.pub"), directory.join("authorized_keys"))?;
        let at = directory.display();
        let server = format!(
            "Port {port}\nListenAddress 127.0.0.1\nAuthorizedKeysFile {at}/authorized_keys\n\
             StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPidFile none\n\
             {configuration}\n"
        );
        fs::write(directory.join("sshd_config"), server)?;
        let client = format!(
            "Host *\nIdentityFile {at}/identity\nIdentitiesOnly yes\nIdentityAgent none\n\
             UserKnownHostsFile {at}/known_hosts\nGlobalKnownHostsFile /dev/null\n"
        );
        fs::write(directory.join("ssh_config"), client)?;
        fs::create_dir(directory.join("bin"))?;
        let ssh = directory.join("bin/ssh");
        let program = tools::system("ssh")?;
        let script = format!("#!/bin/sh\nexec {} -F {at}/ssh_config \"$@\"\n", program.display());
        fs::write(&ssh, script)?;
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755))?;
        let daemon = Mutex::new(spawn(&directory, "host_key")?);
        let sshd = Sshd { directory, port, daemon };
        sshd.know_host_key("host_key")?;
        sshd.use_identity("id")?;
        sshd.wait_until_ready().await?;
        Ok(sshd)
    }

    /// The address of the Engine at a `unix://` address, through this server.
    pub fn through(&self, address: &str) -> anyhow::Result<String> {
        let path = address.strip_prefix("unix://").context("no unix socket")?;
        Ok(format!("ssh://root@127.0.0.1:{}{path}", self.port))
    }

    /// The environment of a `wharfd` that may log in.
    pub fn environment(&self) -> Vec<(String, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.directory.join("bin").display());
        vec![("PATH".to_owned(), path)]
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it logged since it was started last.
    pub fn log(&self) -> String {
        self.daemon().stderr()
    }

    /// The processes of its connections.
    pub fn sessions(&self) -> Vec<ProcessId> {
        process::children(self.daemon().pid())
    }

    /// Makes the client expect one of `host_key` and `other_host_key`; with `""`, none.
    pub fn know_host_key(&self, key: &str) -> anyhow::Result<()> {
        let line = match key {
            "" => String::new(),
            key => {
                let public = fs::read_to_string(self.directory.join(format!("{key}.pub")))?;
                format!("[127.0.0.1]:{} {public}", self.port)
            }
        };
        Ok(fs::write(self.directory.join("known_hosts"), line)?)
    }

    /// Makes the client log in with `id`, which the server accepts, or `other_id`.
    pub fn use_identity(&self, key: &str) -> anyhow::Result<()> {
        let identity = self.directory.join("identity");
        fs::copy(self.directory.join(key), &identity)?;
        Ok(fs::set_permissions(&identity, fs::Permissions::from_mode(0o600))?)
    }

    /// Ends it with SIGKILL, and every session.
    pub fn kill(&self) {
        let sessions = self.sessions();
        self.daemon().kill();
        for session in sessions {
            session.signal(Signal::KILL);
        }
    }

    /// Starts it again; one that runs is killed first.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.kill();
        *self.daemon() = spawn(&self.directory, "host_key")?;
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let mut ended = None;
        eventually("sshd to listen", async || {
            ended = self.daemon().check_running().err();
            if ended.is_some() || self.log().contains("Server listening") {
                return Ok(());
            }
            bail!("it logged so far:\n{}", self.log())
        })
        .await?;
        ended.map_or(Ok(()), Err)
    }

    fn daemon(&self) -> MutexGuard<'_, Daemon> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
        // What this leaves, the reaper takes.
        let _ = sweep::clean(&self.directory);
    }
}

fn spawn(directory: &Path, host_key: &str) -> anyhow::Result<Daemon> {
    // Where a process without rights goes; the package creates it at boot.
    fs::create_dir_all("/run/sshd")?;
    // It starts itself again for each connection, so it wants an absolute path.
    let mut command = Command::new(tools::system("sshd")?);
    command.args(["-D", "-e", "-f"]).arg(directory.join("sshd_config"));
    command.arg("-h").arg(directory.join(host_key));
    Daemon::spawn("sshd", directory, command)
}

fn make_key(path: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(tools::system("ssh-keygen")?);
    let made = command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}
