//! What is measured, as one JSON object a line.

use std::time::Duration;

use serde::Serialize;

/// What is done on every host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// All containers, in typed fields.
    List,
    /// The same with the Engine's JSON of each.
    ListJson,
    /// All containers, from the views of wharfd.
    ListView,
    /// One container.
    Inspect,
    /// An image of which every host has all layers after the first time.
    Pull,
    /// The command `true` in one container.
    Exec,
    /// The last 100 lines of one container.
    Logs,
    /// Another image for one container.
    Upgrade,
}

/// Which time it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// From the start of the process on.
    Start,
    /// The first time: connections are opened.
    Cold,
    /// Again.
    Warm,
    /// Nothing is asked.
    Idle,
}

/// One measurement.
#[derive(Debug, Serialize)]
pub struct Record {
    pub client: &'static str,
    pub work: Work,
    pub phase: Phase,
    pub hosts: usize,
    /// Until the last host was there, or given up.
    pub wall_ms: f64,
    /// Until the last host that answered.
    pub healthy_ms: f64,
    /// Until the first host.
    pub first_ms: f64,
    /// Time on the processor of the process that asks the hosts.
    pub cpu_ms: f64,
    /// The most memory that it had so far, in KiB.
    pub peak_kb: u64,
    /// Its memory now, in KiB.
    pub memory_kb: u64,
    pub ok: usize,
    pub failed: usize,
}

/// What one time gave, before CPU and memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Round {
    pub wall: Duration,
    pub healthy: Duration,
    pub first: Duration,
    pub ok: usize,
    pub failed: usize,
    /// Hosts that were asked for it; less than all where views answered.
    pub asked: usize,
}

/// Which process, and what it had used before.
#[derive(Debug, Clone)]
pub struct Meter {
    client: &'static str,
    process: String,
    cpu: Duration,
}

impl Meter {
    /// From now on. `process` is a number, or "self".
    pub fn start(client: &'static str, process: &str) -> anyhow::Result<Self> {
        let cpu = super::process::cpu(process)?;
        Ok(Self { client, process: process.to_owned(), cpu })
    }

    /// From the start of the process on.
    pub fn since_its_start(client: &'static str, process: &str) -> Self {
        Self { client, process: process.to_owned(), cpu: Duration::ZERO }
    }

    /// Prints what it took since.
    pub fn print(&self, work: Work, phase: Phase, round: &Round) -> anyhow::Result<()> {
        let memory = super::process::memory(&self.process)?;
        print_json(&Record {
            client: self.client,
            work,
            phase,
            hosts: round.ok + round.failed,
            wall_ms: ms(round.wall),
            healthy_ms: ms(round.healthy),
            first_ms: ms(round.first),
            cpu_ms: ms(super::process::cpu(&self.process)?.saturating_sub(self.cpu)),
            peak_kb: memory.peak >> 10,
            memory_kb: memory.now >> 10,
            ok: round.ok,
            failed: round.failed,
        })
    }
}

/// Prints one line.
#[expect(clippy::print_stdout, reason = "it is what the program is for")]
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

pub fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
