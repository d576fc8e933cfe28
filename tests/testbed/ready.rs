//! Waits until the programs of the images are ready to be stopped.

use std::fs;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep};

use crate::poll::LIMIT;

/// The bit of SIGTERM in the signal sets of `/proc/PID/status`.
const SIGTERM: u64 = 1 << 14;

/// Waits until `/bin/idle` or `/bin/web`, if the process runs one of them, handles SIGTERM. A stop that
/// comes earlier has no effect on a PID 1, and ends with a kill. Any other process is ready.
///
/// # Errors
/// When it has no handler for a long time.
pub async fn until_it_can_stop(pid: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + LIMIT;
    while let Err(error) = can_stop(pid) {
        if Instant::now() > deadline {
            return Err(error.context(format!("waited {} s for its handler", LIMIT.as_secs())));
        }
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

fn can_stop(pid: u64) -> anyhow::Result<()> {
    let Ok(command) = fs::read(format!("/proc/{pid}/cmdline")) else { return Ok(()) };
    let runs = |program: &str| command.split(|byte| *byte == 0).any(|it| it == program.as_bytes());
    // `runc init` becomes the program.
    let begins = runs("init");
    if !begins && !runs("/bin/idle") && !runs("/bin/web") {
        return Ok(());
    }
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return Ok(()) };
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.context("SigCgt")?.trim(), 16)?;
    if begins || caught & SIGTERM == 0 {
        bail!("it handles the signals {caught:x}");
    }
    Ok(())
}
