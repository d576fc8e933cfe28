//! Images.

pub mod build;
pub mod history;
pub mod inspect;
pub mod list;
pub mod load;
pub mod prune;
pub mod pull;
pub mod push;
pub mod remove;
pub mod save;
pub mod send;
pub mod tag;
pub mod tags;
pub mod used;

use crate::app::App;
use crate::exit::Failure;

/// `wharf image …`
#[derive(clap::Subcommand)]
pub enum Command {
    /// List images
    #[command(alias = "list")]
    Ls(list::Args),
    /// Show which image runs where, and which hosts differ
    Used(used::Args),
    /// Build an image from a Dockerfile
    Build(build::Args),
    /// Pull an image
    Pull(pull::Args),
    /// Push an image to its registry
    Push(push::Args),
    /// Add a name to an image
    Tag(tag::Args),
    /// List the tags that a registry has
    Tags(tags::Args),
    /// Remove images
    Rm(remove::Args),
    /// Show the Engine's details of images
    Inspect(inspect::Args),
    /// Show the layers of an image
    History(history::Args),
    /// Remove images that no container uses
    Prune(prune::Args),
    /// Send an image from one host to others, without a registry
    Send(send::Args),
    /// Save images of one host as an archive
    Save(save::Args),
    /// Load an archive of images on hosts
    Load(load::Args),
}

/// Runs a verb of the group.
pub async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Ls(args) => list::run(app, args).await,
        Command::Used(args) => used::run(app, args).await,
        Command::Build(args) => build::run(app, args).await,
        Command::Pull(args) => pull::run(app, args).await,
        Command::Push(args) => push::run(app, args).await,
        Command::Tag(args) => tag::run(app, args).await,
        Command::Tags(args) => tags::run(app, args).await,
        Command::Rm(args) => remove::run(app, args).await,
        Command::Inspect(args) => inspect::run(app, args).await,
        Command::History(args) => history::run(app, args).await,
        Command::Prune(args) => prune::run(app, args).await,
        Command::Send(args) => send::run(app, args).await,
        Command::Save(args) => save::run(app, args).await,
        Command::Load(args) => load::run(app, args).await,
    }
}
