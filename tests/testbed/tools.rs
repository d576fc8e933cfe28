//! The paths of the programs that the testbed starts, and what to do if one is missing. A missing
//! program is an error with the command that installs it: a test never passes without doing its
//! work.

use std::env;
use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Context, bail};

/// What a fresh Debian or Ubuntu needs for the testbed. `scripts/lib.sh` installs the same list.
pub const APT_GET: &str = "apt-get install -y --no-install-recommends \
                           docker.io docker-registry busybox-static apache2-utils \
                           openssh-server openssh-client tmux";

/// The path of a system program such as `dockerd`. Looks where root's daemons are, too, which
/// the PATH of an ordinary user leaves out.
///
/// # Errors
/// When there is none; the error says how to install it.
pub fn system(program: &str) -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .with_context(|| {
            format!("`{program}` is not installed; as root, run `{APT_GET}`, or run `scripts/test`")
        })
}

/// The path of a program of this workspace: in `WHARF_BIN_DIR`, else in the target directory
/// that the running executable is from.
///
/// # Errors
/// When it has not been built; the error names the command that builds it.
pub fn built(program: &str) -> anyhow::Result<PathBuf> {
    let directories = match env::var_os("WHARF_BIN_DIR") {
        Some(directory) => vec![PathBuf::from(directory)],
        None => {
            let executable = env::current_exe().context("the path of this executable")?;
            // A test runs from `target/debug/deps`, a binary from `target/debug`.
            executable.ancestors().skip(1).take(2).map(PathBuf::from).collect()
        }
    };
    directories
        .iter()
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .with_context(|| {
            let build = match program {
                "wharf-testbed" => "cargo build -p wharf-tests --bin wharf-testbed",
                _ => "cargo build -p wharf-server -p wharf-cli",
            };
            let places: Vec<_> = directories.iter().map(|d| d.display().to_string()).collect();
            format!("`{program}` is not in {}; run `{build}`", places.join(" or "))
        })
}

/// Where `scripts/test` puts what no package of this machine has: in `WHARF_TOOLS`, else in
/// `tools` in the target directory that the running executable is from.
///
/// # Errors
/// When this executable has no path.
pub(crate) fn unpacked_directories() -> anyhow::Result<Vec<PathBuf>> {
    if let Some(directory) = env::var_os("WHARF_TOOLS") {
        return Ok(vec![PathBuf::from(directory)]);
    }
    let executable = env::current_exe().context("the path of this executable")?;
    Ok(executable.ancestors().skip(2).take(3).map(|place| place.join("tools")).collect())
}

/// # Errors
/// When this process may not start Engines.
pub fn require_root() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("only root can start a Docker Engine; run `scripts/test`, which uses sudo for it");
    }
    Ok(())
}

/// A port of 127.0.0.1 that nothing listens on. Taken from below the range that the kernel gives
/// to outgoing connections, so that it is still free when a daemon is started on it again.
///
/// # Errors
/// When a hundred attempts find none.
pub fn free_port() -> anyhow::Result<u16> {
    const LOWEST: u128 = 20_000;
    const COUNT: u128 = 12_000;
    for _ in 0..100 {
        let port = (LOWEST + uuid::Uuid::new_v4().as_u128() % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("found no free port on 127.0.0.1")
}

/// For the TLS of reqwest, which is built without a provider of its own.
pub fn install_crypto() {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
