//! The parts of `bench/compare` that are written in Rust: the simulated hosts, the loop around reqwest
//! that is the least such work can cost, the measurement of `wharfd`, and the soak. Each prints one JSON
//! object a line; docs/performance.md says what they mean.
//!
//! ```text
//! cargo run --release -p wharf-simulator --example fleet_bench -- help
//! ```

mod bare;
mod bare_calls;
mod certificates;
mod client;
mod hosts;
mod process;
mod raw;
mod record;
mod soak;
mod wharfd;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use record::Work;

#[derive(Parser)]
#[command(name = "fleet_bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve simulated hosts; prints their addresses on one line, and ends with its standard input.
    Hosts(hosts::Arguments),
    /// Measure the loop around reqwest.
    Bare(Measure),
    /// Start wharfd, and measure it as a client of its API sees it.
    Wharfd(wharfd::Arguments),
    /// Many callers and watchers for minutes, while much happens on the hosts.
    Soak(soak::Arguments),
}

/// What every measurement needs.
#[derive(clap::Args, Debug, Clone)]
pub struct Measure {
    /// File with an address of a host on each line, such as tcp://127.1.0.1:2375.
    #[arg(long)]
    hosts_file: PathBuf,
    /// Directory with ca.pem, cert.pem and key.pem, for hosts with TLS.
    #[arg(long)]
    tls: Option<PathBuf>,
    /// What to do, in this order.
    #[arg(long, value_delimiter = ',', default_value = "list")]
    work: Vec<Work>,
    /// Hosts in progress at once.
    #[arg(long, default_value_t = 256)]
    parallel: usize,
    /// How often to do it after the first time.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds until a host counts as dead.
    #[arg(long, default_value_t = 10)]
    timeout: u64,
}

impl Measure {
    /// The addresses of the hosts.
    fn addresses(&self) -> anyhow::Result<Vec<String>> {
        let text = std::fs::read_to_string(&self.hosts_file)?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }
}

fn main() -> anyhow::Result<()> {
    // Another part of the program may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    wharf_server::engine::raise_file_limit();
    let runtime = tokio::runtime::Runtime::new()?;
    match Arguments::parse().command {
        Command::Hosts(arguments) => runtime.block_on(hosts::serve(&arguments)),
        Command::Bare(measure) => runtime.block_on(bare::measure(&measure)),
        Command::Wharfd(arguments) => runtime.block_on(wharfd::measure(&arguments)),
        Command::Soak(arguments) => runtime.block_on(soak::soak(&arguments)),
    }
}
