//! The real `wharf` command line, as a user with an empty home directory runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::run::Run;
use crate::{LIMIT, tools};

/// A user of one server.
#[derive(Clone, Debug)]
pub struct Wharf {
    server: String,
    home: PathBuf,
    environment: Vec<(String, String)>,
}

/// What a command printed, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The exit status; -1 when a signal ended it.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Wharf {
    /// A user with an empty home directory, whose commands go to `server`.
    pub fn new(server: &str) -> anyhow::Result<Wharf> {
        let home = Run::current()?.new_directory("h")?;
        Ok(Wharf { server: server.to_owned(), home, environment: Vec::new() })
    }

    /// The same user with one more variable in the environment, which is otherwise empty but for
    /// `PATH`, `HOME`, `DOCKER_CONFIG` and the XDG directories.
    pub fn env(mut self, name: &str, value: &str) -> Wharf {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The home directory, which is also where commands run; `.docker/config.json` is read here.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Writes a file below the home directory. Returns its path.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.home.join(name);
        fs::create_dir_all(path.parent().context("a file without a directory")?)?;
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Runs `wharf --server … ARGUMENTS` to its end, without input.
    pub async fn run<A: AsRef<str>>(&self, arguments: &[A]) -> anyhow::Result<Output> {
        self.run_with_input(arguments, "").await
    }

    /// The same, with `input` as its standard input.
    pub async fn run_with_input<A: AsRef<str>>(
        &self,
        arguments: &[A],
        input: &str,
    ) -> anyhow::Result<Output> {
        let mut child = self
            .command(arguments)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting wharf")?;
        let mut stdin = child.stdin.take().context("wharf has no input")?;
        let write = async move {
            // It may well end without having read any of it.
            let _ = stdin.write_all(input.as_bytes()).await;
        };
        let text: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
        // At the same time: a command that writes while it reads would wait for its reader.
        let run = async { tokio::join!(write, child.wait_with_output()).1 };
        let output = tokio::time::timeout(LIMIT, run)
            .await
            .with_context(|| format!("`wharf {}` does not end", text.join(" ")))??;
        Ok(Output {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// The command, for a test that wants to do more with the process than wait for it. It is
    /// killed when its handle is dropped.
    pub fn command<A: AsRef<str>>(&self, arguments: &[A]) -> anyhow::Result<Command> {
        let mut command = Command::new(tools::built("wharf")?);
        command
            .args(["--server", &self.server])
            .args(arguments.iter().map(AsRef::as_ref))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("DOCKER_CONFIG", self.home.join(".docker"))
            .env("XDG_CONFIG_HOME", self.home.join(".config"))
            .env("XDG_DATA_HOME", self.home.join(".local/share"))
            .env("XDG_RUNTIME_DIR", &self.home)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.home)
            .kill_on_drop(true);
        Ok(command)
    }
}

impl Output {
    /// # Errors
    /// When the status is another one; the error holds all that was printed.
    pub fn expect(self, status: i32) -> anyhow::Result<Output> {
        ensure!(self.status == status, "expected exit status {status}, got {self:#?}");
        Ok(self)
    }

    /// The lines of `-o json`.
    pub fn json_lines(&self) -> anyhow::Result<Vec<Value>> {
        let lines = self.stdout.lines();
        lines.map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }
}
