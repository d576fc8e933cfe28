//! Volumes.

pub mod create;
pub mod inspect;
pub mod list;
pub mod prune;
pub mod remove;

use crate::app::App;
use crate::exit::Failure;

/// `wharf volume …`
#[derive(clap::Subcommand)]
pub enum Command {
    /// List volumes
    #[command(alias = "list")]
    Ls(list::Args),
    /// Create a volume
    Create(create::Args),
    /// Show the Engine's details of volumes
    Inspect(inspect::Args),
    /// Remove volumes with their data
    #[command(alias = "remove")]
    Rm(remove::Args),
    /// Remove volumes that no container uses, with their data
    Prune(prune::Args),
}

/// Runs a verb of the group.
pub async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Ls(args) => list::run(app, args).await,
        Command::Create(args) => create::run(app, args).await,
        Command::Inspect(args) => inspect::run(app, args).await,
        Command::Rm(args) => remove::run(app, args).await,
        Command::Prune(args) => prune::run(app, args).await,
    }
}
