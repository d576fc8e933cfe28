//! `wharf man`.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::app::App;
use crate::args::Arguments;
use crate::exit::Failure;

/// Arguments of `wharf man`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf man --dir /usr/local/share/man/man1")]
pub struct Args {
    /// Directory for the pages; created if missing
    #[arg(long, value_name = "DIRECTORY")]
    dir: PathBuf,
}

/// Writes a page for each command.
pub fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let written = std::fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), &args.dir));
    written.map_err(|error| {
        Failure::Usage(format!("cannot write to {}: {error}", args.dir.display()))
    })?;
    app.printer.note(&format!("manual pages are in {}", args.dir.display()));
    Ok(())
}
