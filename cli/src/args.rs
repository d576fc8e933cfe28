//! The command line as typed. The arguments of each verb are in the file of that verb.

use clap::{Parser, Subcommand};

use crate::commands::{
    completion, container, context, events, host, image, inspect, login, man, network, registry,
    rollout, system, ui, volume,
};
use crate::duration::{self, Deadline};
use crate::exit::Failure;
use crate::printer::Format;
use crate::server::{ServerArgs, ServerTlsArgs};
use crate::targets::TargetArgs;

const EXAMPLES: &str = "\
Examples:
  wharf host add web1 tcp://10.0.0.1:2376 --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem
  wharf ps                                  containers of every host
  wharf pull -l env=prod registry/app:v2    pull on some hosts, in parallel
  wharf run -d -H web1,web2 --name web -p 80:8080 registry/app:v2
  wharf stop web1/web web2/web              containers as HOST/CONTAINER
  wharf logs -f -l role=web web             one log of many hosts
  wharf rollout start web --image registry/app:v2 -l role=web
  wharf ps -A -o json | jq -r .name

Exit status: 0 everything is done; 1 some host failed; 2 wrong usage, no connection, or refused.";

/// Manage the containers of every Docker host you own, through one wharfd
#[derive(Parser)]
#[command(name = "wharf", version, after_help = EXAMPLES, max_term_width = 100, subcommand_required = true,
          arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub server_tls: ServerTlsArgs,
    /// Format of the data on stdout
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Output",
        hide_possible_values = false
    )]
    pub output: Format,
    /// Suppress progress and notes; ps, images, network ls, and volume ls print only IDs
    #[arg(short, long, global = true, help_heading = "Output")]
    pub quiet: bool,
    /// Deadline of each call to the server, such as 30s or 5m [default: none for calls on hosts,
    /// where the server limits the time per host; otherwise 30s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse_deadline,
          help_heading = "Server", hide_short_help = true)]
    pub timeout: Option<Deadline>,
    #[command(flatten)]
    pub targets: TargetArgs,
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// Refuses flags that mean something else in docker and would otherwise pass unnoticed.
    pub fn check(&self) -> Result<(), Failure> {
        let stops = matches!(
            self.command,
            Command::Stop(_)
                | Command::Restart(_)
                | Command::Container(container::Command::Stop(_) | container::Command::Restart(_))
        );
        match self.timeout {
            Some(Deadline { duration, has_unit: false }) if stops => {
                let seconds = duration.as_secs();
                Err(Failure::Usage(format!(
                    "--timeout is the deadline of the call, not the time until SIGKILL; write \
                     -t {seconds} for docker's --timeout, --timeout {seconds}s for the deadline"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// The verbs.
#[derive(Subcommand)]
pub enum Command {
    /// Docker hosts: add, rm, ls, inspect, label, cordon, uncordon, check, import
    #[command(subcommand)]
    Host(host::Command),
    /// Images: ls, build, pull, push, tag, rm, inspect, history, prune, send, save, load
    #[command(subcommand)]
    Image(image::Command),
    /// Containers: ls, create, run, start, stop, rm, prune, and more
    #[command(subcommand)]
    Container(container::Command),
    /// Networks: ls, create, inspect, rm, prune, connect, disconnect
    #[command(subcommand)]
    Network(Box<network::Command>),
    /// Volumes: ls, create, inspect, rm, prune
    #[command(subcommand)]
    Volume(volume::Command),
    /// Rolling upgrades: start, plan, ls, show, watch, pause, resume, promote, abort, undo
    #[command(subcommand)]
    Rollout(Box<rollout::Command>),
    /// Registry logins stored in the server: ls, login, logout
    #[command(subcommand)]
    Registry(registry::Command),
    /// Named servers: ls, set, use, show, rm
    #[command(subcommand)]
    Context(context::Command),

    /// List containers
    Ps(container::list::Args),
    /// List images
    Images(image::list::Args),
    /// Build an image from a Dockerfile
    Build(image::build::Args),
    /// Pull an image
    Pull(image::pull::Args),
    /// Push an image to its registry
    Push(image::push::Args),
    /// Add a name to an image
    Tag(image::tag::Args),
    /// Save images of one host as an archive
    Save(image::save::Args),
    /// Load an archive of images on hosts
    Load(image::load::Args),
    /// Remove images
    Rmi(image::remove::Args),
    /// Create a container
    Create(container::create::CreateArgs),
    /// Create a container and start it
    Run(container::run::Args),
    /// Run a command in running containers
    Exec(container::exec::Args),
    /// Connect to the command of a running container
    Attach(container::attach::Args),
    /// Copy files to and from containers
    Cp(container::copy::Args),
    /// Start containers
    Start(container::lifecycle::StartArgs),
    /// Stop containers
    Stop(container::lifecycle::StopArgs),
    /// Restart containers
    Restart(container::lifecycle::RestartArgs),
    /// Send a signal to containers
    Kill(container::lifecycle::KillArgs),
    /// Pause containers
    Pause(container::lifecycle::PauseArgs),
    /// Resume paused containers
    Unpause(container::lifecycle::UnpauseArgs),
    /// Rename a container
    Rename(container::rename::Args),
    /// Change resource limits and the restart policy of containers
    Update(container::update::Args),
    /// Wait until containers stop, and print their exit statuses
    Wait(container::wait::Args),
    /// Show the logs of containers, also of many hosts as one stream
    Logs(container::logs::Args),
    /// Show what containers use: processors, memory, network, and block devices
    Stats(container::stats::Args),
    /// Remove containers
    Rm(container::remove::Args),
    /// Show the Engine's details of containers, images, networks, or volumes
    Inspect(inspect::Args),
    /// Show the processes of a container
    Top(container::top::Args),
    /// Show changed files in a container's file system
    #[command(alias = "diff")]
    Changes(container::changes::Args),

    /// Store registry credentials in the server
    Login(login::LoginArgs),
    /// Remove registry credentials from the server
    Logout(login::LogoutArgs),
    /// Show what happens on hosts, as one stream
    Events(events::Args),
    /// Show information about hosts and their Engines
    Info(system::InfoArgs),
    /// Show versions of this program and the server; with -H, -l, or -A also of Engines
    Version(system::VersionArgs),
    /// Show disk usage of hosts
    Df(system::DfArgs),
    /// Show the fleet and roll out in a browser
    Ui(ui::Args),
    /// Print a completion script for a shell
    Completion(completion::Args),
    /// Write the manual pages to a directory
    Man(man::Args),
}

impl Command {
    /// What to print on Ctrl-C: some work continues on the hosts.
    pub fn goes_on(&self) -> Option<String> {
        let what = match self {
            Self::Pull(_) | Self::Image(image::Command::Pull(_)) => "pulls in progress continue",
            Self::Push(_) | Self::Image(image::Command::Push(_)) => "pushes in progress continue",
            Self::Image(image::Command::Send(_)) => "transfers in progress continue",
            Self::Build(_) | Self::Image(image::Command::Build(_)) => {
                return Some("interrupted; builds in progress are cancelled".to_owned());
            }
            Self::Create(_)
            | Self::Run(_)
            | Self::Container(container::Command::Create(_) | container::Command::Run(_)) => {
                "pulls in progress continue, and containers may have been created"
            }
            Self::Stop(_)
            | Self::Restart(_)
            | Self::Container(container::Command::Stop(_) | container::Command::Restart(_)) => {
                "work in progress continues"
            }
            Self::Exec(_) | Self::Container(container::Command::Exec(_)) => {
                "commands in progress continue"
            }
            _ => return None,
        };
        Some(format!("interrupted; {what} on the hosts"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_after_the_verb() {
        for line in
            ["wharf -o json --server unix:///x ps -a", "wharf ps -a -o json --server unix:///x"]
        {
            let arguments = Arguments::parse_from(line.split(' '));
            assert_eq!(arguments.output, Format::Json);
            assert_eq!(arguments.server.server.as_deref(), Some("unix:///x"));
        }
        let arguments = Arguments::parse_from(["wharf", "-H", "a,b", "ps"]);
        assert_eq!(arguments.targets.host, ["a", "b"]);
    }
}
