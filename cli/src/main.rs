//! `wharf`: the command line of Wharf, a thin gRPC client of `wharfd`.
//!
//! ```text
//! args ─> commands/VERB ─> targets, spec ─> request ─> app (connection) ─> wharfd
//!                                                                            │
//! exit <─ report (observer) <─ view, table, json (pure) <─ fanout (reader) <─┘
//!              └─> printer: data to stdout, everything else to stderr
//! ```
//!
//! - [`args`]: the command line as typed; [`commands`]: a file a verb.
//! - [`targets`], [`spec`], [`duration`]: what was typed as parts of a request; pure.
//! - [`file`]: the YAML file of a rollout as a message; pure but for the reading.
//! - [`server`], [`contexts`], [`credentials`]: files and environment of the user.
//! - [`fanout`], [`report`], [`progress`]: answers of many hosts, told as they come.
//! - [`view`], [`table`], [`json`], [`status`]: messages in words; pure.
//! - [`reach`]: why the server cannot be reached; pure.
//! - [`exit`]: the exit status.

mod app;
mod args;
mod commands;
mod contexts;
mod credentials;
mod duration;
mod exit;
mod fanout;
mod file;
#[cfg(test)]
mod fuzz;
mod json;
mod printer;
mod progress;
mod reach;
mod report;
mod server;
mod spec;
mod status;
mod table;
mod targets;
mod template;
mod view;

use std::cell::RefCell;
use std::process::ExitCode;

use clap::Parser;

use app::App;
use args::Arguments;
use exit::Failure;
use printer::Printer;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Fails only where a provider is there already, and that is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let checked = arguments.check();
    let app = App {
        printer: Printer::new(arguments.output, arguments.quiet),
        server: arguments.server,
        server_tls: arguments.server_tls,
        targets: arguments.targets,
        timeout: arguments.timeout.map(|deadline| deadline.duration),
        on_interrupt: RefCell::new(arguments.command.goes_on()),
    };
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                app.printer.error(&format!("cannot start: {error}"));
                return ExitCode::from(2);
            }
        };
    let result = runtime.block_on(async {
        tokio::select! {
            // In this order: nothing is begun before Ctrl-C is listened for.
            biased;
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted(app.on_interrupt.take())),
            result = async {
                checked?;
                commands::run(&app, arguments.command).await
            } => result.map_err(|failure| app.explain(failure)),
        }
    });
    let result = match (result, app.printer.lost()) {
        (Ok(()) | Err(Failure::Hosts), Some(lost)) => Err(Failure::Output(lost)),
        (result, _) => result,
    };
    // A prompt or a credential helper may still block a thread; nothing waits for it.
    runtime.shutdown_background();
    if let Err(failure) = &result {
        for line in failure.lines() {
            if failure.is_error() { app.printer.error(&line) } else { app.printer.stderr(&line) }
        }
    }
    exit::code(&result)
}
