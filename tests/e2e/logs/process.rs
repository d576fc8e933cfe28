//! A `wharf logs`, or another command that follows something, that runs while the test goes on.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, bail};
use testbed::{LIMIT, Wharf, eventually, unique};
use tokio::process::Child;

/// A running command, whose output goes to files.
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// `wharf logs`.
    pub fn start(cli: &Wharf, arguments: &[&str]) -> anyhow::Result<Running> {
        Running::command(cli, &[&["logs"], arguments].concat())
    }

    /// Any command.
    pub fn command(cli: &Wharf, arguments: &[&str]) -> anyhow::Result<Running> {
        let file = |ending: &str| cli.home().join(format!("{}.{ending}", unique("running")));
        let (stdout, stderr) = (file("out"), file("err"));
        let mut command = cli.command(arguments)?;
        command.stdin(Stdio::null());
        command.stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        Ok(Running { child: command.spawn().context("starting wharf")?, stdout, stderr })
    }

    pub fn stdout(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8(fs::read(&self.stdout)?)?)
    }

    pub fn stderr(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8(fs::read(&self.stderr)?)?)
    }

    /// Waits until its output is so.
    pub async fn until(&self, what: &str, so: impl Fn(&str, &str) -> bool) -> anyhow::Result<()> {
        eventually(what, async || {
            let (stdout, stderr) = (self.stdout()?, self.stderr()?);
            if so(&stdout, &stderr) {
                return Ok(());
            }
            let end = stdout.len().saturating_sub(500);
            bail!("…{}\n{stderr}", stdout.get(end..).unwrap_or_default())
        })
        .await
    }

    /// Waits for its end. Returns its status.
    pub async fn end(&mut self) -> anyhow::Result<Option<i32>> {
        let status = tokio::time::timeout(LIMIT, self.child.wait()).await;
        Ok(status.context("wharf does not end")??.code())
    }

    /// Ctrl-C.
    pub fn interrupt(&self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).context("it has ended")?;
        let pid = rustix::process::Pid::from_raw(pid).context("a process ID")?;
        Ok(rustix::process::kill_process(pid, rustix::process::Signal::INT)?)
    }
}
