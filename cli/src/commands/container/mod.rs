//! Containers.

pub mod attach;
pub mod changes;
pub mod copy;
pub mod create;
pub mod exec;
pub mod inspect;
pub mod lifecycle;
pub mod list;
pub mod logs;
pub mod prune;
pub mod remove;
pub mod rename;
pub mod run;
pub mod stats;
pub mod top;
pub mod update;
pub mod wait;
mod watch;

use crate::app::{App, Connection};
use crate::commands::{connect_for, one_call};
use crate::exit::Failure;
use crate::targets::{Access, ContainerCall, TargetArgs};

/// `wharf container …`
#[derive(clap::Subcommand)]
pub enum Command {
    /// List containers
    #[command(alias = "list", alias = "ps")]
    Ls(list::Args),
    /// Create a container
    Create(create::CreateArgs),
    /// Create a container and start it
    Run(run::Args),
    /// Run a command in running containers
    Exec(exec::Args),
    /// Connect to the command of a running container
    Attach(attach::Args),
    /// Copy files to and from containers
    Cp(copy::Args),
    /// Start containers
    Start(lifecycle::StartArgs),
    /// Stop containers
    Stop(lifecycle::StopArgs),
    /// Restart containers
    Restart(lifecycle::RestartArgs),
    /// Send a signal to containers
    Kill(lifecycle::KillArgs),
    /// Pause containers
    Pause(lifecycle::PauseArgs),
    /// Resume paused containers
    Unpause(lifecycle::UnpauseArgs),
    /// Rename a container
    Rename(rename::Args),
    /// Change resource limits and the restart policy of containers
    Update(update::Args),
    /// Wait until containers stop, and print their exit statuses
    Wait(wait::Args),
    /// Show the logs of containers
    Logs(logs::Args),
    /// Show what containers use: processors, memory, network, and block devices
    Stats(stats::Args),
    /// Remove containers
    Rm(remove::Args),
    /// Show the Engine's details of containers
    Inspect(inspect::Args),
    /// Show the processes of a container
    Top(top::Args),
    /// Show changed files in a container's file system
    #[command(alias = "diff")]
    Changes(changes::Args),
    /// Remove stopped containers
    Prune(prune::Args),
}

/// Runs a verb of the group.
pub async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Ls(args) => list::run(app, args).await,
        Command::Create(args) => create::create(app, args).await,
        Command::Run(args) => run::run(app, args).await,
        Command::Exec(args) => exec::run(app, args).await,
        Command::Attach(args) => attach::run(app, args).await,
        Command::Cp(args) => copy::run(app, args).await,
        Command::Start(args) => lifecycle::start(app, args).await,
        Command::Stop(args) => lifecycle::stop(app, args).await,
        Command::Restart(args) => lifecycle::restart(app, args).await,
        Command::Kill(args) => lifecycle::kill(app, args).await,
        Command::Pause(args) => lifecycle::pause(app, args).await,
        Command::Unpause(args) => lifecycle::unpause(app, args).await,
        Command::Rename(args) => rename::run(app, args).await,
        Command::Update(args) => update::run(app, args).await,
        Command::Wait(args) => wait::run(app, args).await,
        Command::Logs(args) => logs::run(app, args).await,
        Command::Stats(args) => stats::run(app, args).await,
        Command::Rm(args) => remove::run(app, args).await,
        Command::Inspect(args) => inspect::run(app, args).await,
        Command::Top(args) => top::run(app, args).await,
        Command::Changes(args) => changes::run(app, args).await,
        Command::Prune(args) => prune::run(app, args).await,
    }
}

/// Hosts and containers of a command, as typed.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// Containers by name or ID, also as HOST/CONTAINER
    #[arg(required = true, value_name = "CONTAINER")]
    pub containers: Vec<String>,
    #[command(flatten)]
    pub targets: TargetArgs,
}

impl Which {
    /// The connection, and the calls; usage is checked before the connection is made.
    async fn connect(
        &self,
        app: &App,
        access: Access,
    ) -> Result<(Connection, Vec<ContainerCall>), Failure> {
        let targets = app.targets(&self.targets);
        connect_for(app, &targets, "container", &self.containers, access).await
    }
}

/// Hosts and the one container of a command, as typed.
#[derive(Debug, Clone, clap::Args)]
pub struct WhichOne {
    /// Container by name or ID, also as HOST/CONTAINER
    #[arg(value_name = "CONTAINER")]
    pub container: String,
    #[command(flatten)]
    pub targets: TargetArgs,
}

impl WhichOne {
    /// The one call: its hosts and the container.
    fn call(&self, app: &App, access: Access) -> Result<ContainerCall, Failure> {
        let targets = app.targets(&self.targets);
        let (targets, container) = one_call(&targets, "container", &self.container, access)?;
        Ok(ContainerCall { targets, containers: vec![container] })
    }
}
