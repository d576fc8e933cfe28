//! `wharf exec`: a command in a container on many hosts, or an interactive one in one container,
//! which is in `session`.

pub mod detach;
mod output;
pub mod session;
pub mod terminal;

use std::path::PathBuf;

use wharf::v1::exec_request::Event as Sent;
use wharf::v1::host_selector::Selection;
use wharf::v1::{CommandSpec, ExecStart, HostSelector, ListHostsRequest, RunCommandRequest};

use super::WhichOne;
use crate::app::{App, Connection};
use crate::commands::{call, request_id};
use crate::exit::Failure;
use crate::fanout;
use crate::report;
use crate::spec::build::environment;
use crate::targets::{Access, ContainerCall};

use detach::DetachKeys;
use output::Outputs;
use session::{Manner, Session};

const NOTES: &str = "\
With one host, prints the output of the command and exits with its exit status. With several, puts \
HOST before each line, and exits with 1 if the command failed on some host. \
The command runs to its end even if wharf is interrupted: no Engine can stop it.

Examples:
  wharf exec -it web1/web sh                a shell in one container
  wharf exec -l role=web web -- nginx -s reload
  wharf exec -i web1/db psql app < dump.sql
  wharf exec -A -o json web cat /etc/hostname";

/// Arguments of `wharf exec`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// Pass standard input to the command; one container only
    #[arg(short, long)]
    interactive: bool,
    /// Give the command a terminal; one container only
    #[arg(short, long)]
    tty: bool,
    /// Environment variable; without =VALUE, its value here
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// File of environment variables, one per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// User, as NAME|UID[:GROUP|GID]
    #[arg(short, long, value_name = "USER", default_value = "", hide_default_value = true)]
    user: String,
    /// Working directory in the container
    #[arg(short, long, value_name = "DIR", default_value = "", hide_default_value = true)]
    workdir: String,
    /// Run the command with all capabilities
    #[arg(long)]
    privileged: bool,
    /// Keys that end a session with a terminal and leave the command running
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = DetachKeys::parse)]
    detach_keys: DetachKeys,
    #[command(flatten)]
    which: WhichOne,
    /// The command with its arguments; flags after it belong to the command
    #[arg(
        required = true,
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<String>,
}

/// Runs a command.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let call = args.which.call(app, Access::Write)?;
    let variable = |name: &str| std::env::var(name).ok();
    let mut env = environment(&args.env, &args.env_file, &|path| std::fs::read(path), &variable)?;
    // A bare name that is not set here: there is nothing to pass on.
    env.retain(|entry| entry.contains('='));
    let command = CommandSpec {
        command: args.command,
        env,
        user: args.user,
        working_dir: args.workdir,
        privileged: args.privileged,
    };
    if args.interactive || args.tty {
        if app.printer.is_json() {
            return Err(Failure::usage("-i and -t print the output as it is; omit -o json"));
        }
        terminal::check(args.interactive, args.tty)?;
        let connection = app.connect().await?;
        let (host, container) = one_container(&connection, call).await?;
        let start = ExecStart {
            host,
            container,
            command: Some(command),
            stdin: args.interactive,
            tty: args.tty,
            size: terminal::size().filter(|_| args.tty),
        };
        let manner = Manner {
            place: format!("{}/{}", start.host, start.container),
            stdin: start.stdin,
            keys: args.detach_keys,
        };
        let session = Session::open(&connection, Sent::Start(start)).await?;
        return session.run(app, manner).await;
    }
    let request = RunCommandRequest {
        targets: Some(call.targets),
        fanout: Some(app.targets(&args.which.targets).options()),
        request_id: request_id(),
        container: call.containers.into_iter().next().unwrap_or_default(),
        command: Some(command),
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, exec.run_command, request)];
    let mut outputs = Outputs::new(&app.printer);
    let report = fanout::read(calls, connection.timeout(), &mut outputs).await;
    if report.abandoned {
        return Err(Failure::OutputClosed);
    }
    match outputs.status_of_the_only_host() {
        Some(0) | None => report::finish(&app.printer, &report),
        Some(status) => Err(Failure::Command(status)),
    }
}

/// The one host and container of a session.
pub async fn one_container(
    connection: &Connection,
    call: ContainerCall,
) -> Result<(String, String), Failure> {
    let container = call.containers.into_iter().next().unwrap_or_default();
    let advice = |host: &str| format!("write HOST/CONTAINER, such as {host}/{container}");
    let host = one_host(connection, call.targets, advice).await?;
    Ok((host, container))
}

/// The one host of a session; `advice` says how to select it.
pub async fn one_host(
    connection: &Connection,
    targets: HostSelector,
    advice: impl Fn(&str) -> String,
) -> Result<String, Failure> {
    if let Some(Selection::Hosts(hosts)) = &targets.selection
        && let [host] = &*hosts.names
        && targets.exclude.is_empty()
    {
        return Ok(host.clone());
    }
    let request = ListHostsRequest { page_size: 2, targets: Some(targets), ..Default::default() };
    let mut hosts = connection.hosts();
    let page = connection.unary(request, async |request| hosts.list_hosts(request).await).await?;
    match &*page.hosts {
        [host] => Ok(host.name.clone()),
        [] => Err(Failure::usage("no host matches")),
        [host, ..] => Err(Failure::Usage(format!(
            "a session needs one container, but several hosts match; {}",
            advice(&host.name)
        ))),
    }
}
