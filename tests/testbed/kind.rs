//! The kinds of Engines besides the machine's own, and their locations. `scripts/engines.sh`
//! unpacks them from other Debian releases to `target/tools/engines/`, and has the same table.
//!
//! A test that needs one of them fails if it is missing, and the error says how to get it. Only
//! `scripts/test`, which tried and failed to get it, may skip such tests: it lists the available
//! kinds in `WHARF_ENGINES`, and reports what the tests then write to the file `WHARF_SKIPS`.

use std::env;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, bail};

use crate::tools;

/// A generation of an Engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// Docker as it is installed on this machine.
    #[default]
    Machine,
    /// Docker 26.1, API 1.45.
    Docker26,
    /// Docker 28.5, API 1.51.
    Docker28,
    /// Podman 4.3, API 1.41.
    Podman4,
    /// Podman 5.4, API 1.41.
    Podman5,
}

impl EngineKind {
    pub const ALL: [EngineKind; 5] = [
        EngineKind::Machine,
        EngineKind::Docker26,
        EngineKind::Docker28,
        EngineKind::Podman4,
        EngineKind::Podman5,
    ];

    /// As `scripts/test` and `WHARF_ENGINES` spell it.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Machine => "machine",
            EngineKind::Docker26 => "docker26",
            EngineKind::Docker28 => "docker28",
            EngineKind::Podman4 => "podman4",
            EngineKind::Podman5 => "podman5",
        }
    }

    pub fn is_podman(self) -> bool {
        matches!(self, EngineKind::Podman4 | EngineKind::Podman5)
    }

    /// The kind that `WHARF_TEST_ENGINE` names, by default the machine's own: `scripts/test` runs
    /// some tests once for each kind.
    ///
    /// # Errors
    /// When there is no kind of that name.
    pub fn under_test() -> anyhow::Result<EngineKind> {
        match env::var("WHARF_TEST_ENGINE") {
            Ok(name) => name.parse().context("WHARF_TEST_ENGINE"),
            Err(_) => Ok(EngineKind::Machine),
        }
    }

    /// Whether a test can run on it. `false` only where `scripts/test` could not get it; that the
    /// test does nothing is then written down for its summary.
    ///
    /// # Errors
    /// When it is missing and nobody said that it is to be skipped.
    pub fn is_available(self) -> anyhow::Result<bool> {
        let listed = match env::var("WHARF_ENGINES") {
            Ok(kinds) => kinds.split_whitespace().any(|kind| kind == self.name()),
            Err(_) => true,
        };
        if self == EngineKind::Machine || listed {
            self.root()?;
            return Ok(true);
        }
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let line = format!("{test}: {self} is not among WHARF_ENGINES\n");
        write!(std::io::stderr(), "SKIP {line}")?;
        if let Some(path) = env::var_os("WHARF_SKIPS") {
            OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())?;
        }
        Ok(false)
    }

    /// The root directory of the release that it comes from; none for the machine's own.
    ///
    /// # Errors
    /// When it has not been unpacked; the error says what does it.
    pub(crate) fn root(self) -> anyhow::Result<Option<PathBuf>> {
        let release = match self {
            EngineKind::Machine => return Ok(None),
            EngineKind::Docker26 | EngineKind::Podman5 => "trixie",
            EngineKind::Docker28 => "sid",
            EngineKind::Podman4 => "bookworm",
        };
        let places = tools::unpacked_directories()?;
        let root = places
            .iter()
            .map(|place| place.join("engines").join(release))
            .find(|root| root.join(".complete").exists());
        if root.is_none() {
            bail!(
                "{self} is not here: run `scripts/test engines`, which unpacks it below target/tools; \
                 where that cannot be done, set WHARF_ENGINES to the kinds that there are (or to \
                 nothing), and the tests on the others are skipped"
            );
        }
        Ok(root)
    }

    /// A program of the release that it comes from, to be run on this machine: `docker` and
    /// `docker-compose` of [`EngineKind::Docker28`]. `docker compose` is that plugin, so
    /// `docker-compose` takes the arguments that follow `compose`.
    ///
    /// # Errors
    /// When the release is not unpacked, or has no such program.
    pub fn program(self, program: &str) -> anyhow::Result<Command> {
        let Some(root) = self.root()? else {
            return Ok(Command::new(tools::system(program)?));
        };
        let path = ["usr/bin", "usr/sbin", "usr/libexec/docker/cli-plugins"]
            .map(|directory| root.join(directory).join(program))
            .into_iter()
            .find(|path| path.is_file())
            .with_context(|| format!("{} has no `{program}`", root.display()))?;
        // It is linked against the libraries of its release.
        let mut command = Command::new(root.join("lib64/ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(root.join("usr/lib/x86_64-linux-gnu")).arg(path);
        Ok(command)
    }
}

impl FromStr for EngineKind {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<EngineKind> {
        let names = EngineKind::ALL.map(EngineKind::name).join(", ");
        EngineKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .with_context(|| format!("no kind of Engine is called {name:?}; there are {names}"))
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EngineKind::Machine => "the machine's Docker Engine",
            EngineKind::Docker26 => "Docker Engine 26.1 (docker26)",
            EngineKind::Docker28 => "Docker Engine 28.5 (docker28)",
            EngineKind::Podman4 => "Podman 4.3 (podman4)",
            EngineKind::Podman5 => "Podman 5.4 (podman5)",
        })
    }
}
