//! Images.

pub mod build;
pub mod history;
pub mod inspect;
pub mod list;
pub mod prune;
pub mod pull;
pub mod push;
pub mod remove;
pub mod tag;

use crate::app::App;
use crate::exit::Failure;

/// `wharf image …`
#[derive(clap::Subcommand)]
pub enum Command {
    /// List images
    #[command(alias = "list")]
    Ls(list::Args),
    /// Build an image from a Dockerfile
    Build(build::Args),
    /// Pull an image
    Pull(pull::Args),
    /// Push an image to its registry
    Push(push::Args),
    /// Add a name to an image
    Tag(tag::Args),
    /// Remove images
    Rm(remove::Args),
    /// Show the Engine's details of images
    Inspect(inspect::Args),
    /// Show the layers of an image
    History(history::Args),
    /// Remove images that no container uses
    Prune(prune::Args),
}

/// Runs a verb of the group.
pub async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Ls(args) => list::run(app, args).await,
        Command::Build(args) => build::run(app, args).await,
        Command::Pull(args) => pull::run(app, args).await,
        Command::Push(args) => push::run(app, args).await,
        Command::Tag(args) => tag::run(app, args).await,
        Command::Rm(args) => remove::run(app, args).await,
        Command::Inspect(args) => inspect::run(app, args).await,
        Command::History(args) => history::run(app, args).await,
        Command::Prune(args) => prune::run(app, args).await,
    }
}
