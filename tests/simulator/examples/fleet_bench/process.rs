//! The other processes, and what they use.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A process that is ready. It ends when this is dropped.
pub struct Process {
    /// Its first line.
    pub said: String,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub now: u64,
    pub peak: u64,
}

impl Process {
    /// Starts a command, and waits for the line that says that it is ready.
    pub async fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{:?}", command.as_std().get_program()))?;
        let input = child.stdin.take().context("its input")?;
        let output = child.stdout.take().context("its output")?;
        let mut output = BufReader::new(output).lines();
        let Some(said) = output.next_line().await? else {
            bail!("{:?} ended before it was ready", command.as_std().get_program());
        };
        Ok(Self { said, child, input, output })
    }

    /// Its number.
    pub fn id(&self) -> anyhow::Result<String> {
        Ok(self.child.id().context("it has ended")?.to_string())
    }

    /// Writes a line to it, and reads the line that it answers.
    pub async fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        self.output.next_line().await?.context("it has ended")
    }
}

/// Time on the processor of a process, of all the threads that it has now.
pub fn cpu(process: &str) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end between the two looks.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let on_processor = text.split(' ').next().unwrap_or_default();
        nanoseconds += on_processor.parse::<u64>().context("schedstat")?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Resident memory of a process.
pub fn memory(process: &str) -> anyhow::Result<Memory> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let read = |key: &'static str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).context(key)?;
        let kilobytes = line.trim().trim_end_matches(" kB").parse::<u64>().context(key)?;
        anyhow::Ok(kilobytes << 10)
    };
    Ok(Memory { now: read("VmRSS:")?, peak: read("VmHWM:")? })
}
