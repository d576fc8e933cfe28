//! `wharf`: the command line of Wharf, a thin gRPC client of `wharfd`.
//!
//! ```text
//! args ─> commands/VERB ─> targets, spec ─> request ─> app (connection) ─> wharfd
//!                                                                            │
//! exit <─ report (observer) <─ view, table, json (pure) <─ fanout (reader) <─┘
//!              └─> printer: data to stdout, everything else to stderr
//! ```
//!
//! - [`args`]: the command line as typed; [`commands`]: one file for each verb.
//! - [`targets`], [`spec`], [`duration`], [`moment`]: convert arguments to parts of a request; pure.
//! - [`file`]: converts a rollout file (YAML) to a message; pure except for reading.
//! - [`server`], [`contexts`], [`credentials`]: files and environment of the user.
//! - [`archive`]: local files as tar archives; [`build`]: the context of a build; [`upload`]: sends
//!   them as the content of a request.
//! - [`fanout`], [`report`], [`progress`], [`live`]: read and print the responses of many hosts.
//! - [`overview`]: the full-screen view of `wharf top --fleet`.
//! - [`page`]: the page of `wharf ui`, and how its calls reach the server.
//! - [`view`], [`table`], [`json`], [`status`]: render messages as text; pure.
//! - [`reach`]: explains why the server cannot be reached; pure.
//! - [`exit`]: the exit status.

mod app;
mod archive;
mod args;
mod build;
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
mod live;
mod moment;
mod overview;
mod page;
mod printer;
mod progress;
mod reach;
mod report;
mod resume;
mod server;
mod spec;
mod status;
mod table;
mod targets;
mod template;
mod upload;
mod view;

use std::cell::{Cell, RefCell};
use std::process::ExitCode;

use clap::Parser;

use app::App;
use args::Arguments;
use exit::Failure;
use printer::Printer;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Fails only if a provider is already installed, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let checked = arguments.check();
    let app = App {
        printer: Printer::new(arguments.output, arguments.quiet),
        server: arguments.server,
        server_tls: arguments.server_tls,
        targets: arguments.targets,
        timeout: arguments.timeout.map(|deadline| deadline.duration),
        on_interrupt: RefCell::new(arguments.command.goes_on()),
        passes_signals: Cell::new(false),
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
            // Biased: the Ctrl-C handler is installed before any work starts.
            biased;
            () = app.interrupted() => Err(Failure::Interrupted(app.on_interrupt.take())),
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
    // A prompt or a credential helper may still block a thread; don't wait for it.
    runtime.shutdown_background();
    if let Err(failure) = &result {
        for line in failure.lines() {
            if failure.is_error() { app.printer.error(&line) } else { app.printer.stderr(&line) }
        }
    }
    exit::code(&result)
}
