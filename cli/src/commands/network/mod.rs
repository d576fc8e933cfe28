//! Networks.

pub mod connect;
pub mod create;
pub mod inspect;
pub mod list;
pub mod prune;
pub mod remove;

use crate::app::App;
use crate::exit::Failure;

/// `wharf network …`
#[derive(clap::Subcommand)]
pub enum Command {
    /// List networks
    #[command(alias = "list")]
    Ls(list::Args),
    /// Create a network
    Create(create::Args),
    /// Show the Engine's details of networks
    Inspect(inspect::Args),
    /// Remove networks
    #[command(alias = "remove")]
    Rm(remove::Args),
    /// Remove networks that no container uses
    Prune(prune::Args),
    /// Connect a container to a network
    Connect(connect::ConnectArgs),
    /// Disconnect a container from a network
    Disconnect(connect::DisconnectArgs),
}

/// Runs a verb of the group.
pub async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Ls(args) => list::run(app, args).await,
        Command::Create(args) => create::run(app, args).await,
        Command::Inspect(args) => inspect::run(app, args).await,
        Command::Rm(args) => remove::run(app, args).await,
        Command::Prune(args) => prune::run(app, args).await,
        Command::Connect(args) => connect::connect(app, args).await,
        Command::Disconnect(args) => connect::disconnect(app, args).await,
    }
}
