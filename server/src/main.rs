//! `wharfd`: loads the configuration and runs the server.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use wharf_server::config::{Arguments, Config, Environment, LogFormat};

/// Wrong usage, an invalid configuration, or a server that cannot start.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One provider for all of TLS; the libraries ask the process for it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            fail(&error);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    let config = Config::load(arguments, &Environment::of_process())?;
    log(&config);
    // The work is waiting for Engines; two threads keep the memory small.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().min(4)))
        .enable_all()
        .build()?
        .block_on(wharf_server::app::run(config))
}

fn log(config: &Config) {
    // Libraries only log problems.
    let level = config.log_level;
    let filter = EnvFilter::new(format!("warn,wharf_server={level},wharfd={level}"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would report this on the same stderr, and panic if that cannot be written either.
        .log_internal_errors(false)
        .with_ansi(colours);
    match config.log_format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}

#[expect(clippy::print_stderr, reason = "the log may not be set up yet")]
fn fail(error: &anyhow::Error) {
    eprintln!("wharfd: {error:#}");
}
