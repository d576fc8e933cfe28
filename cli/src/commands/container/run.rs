//! `wharf run`: in the background on any number of hosts, or with a session on one.

use std::cell::RefCell;

use wharf::v1::create_container_response::Event;
use wharf::v1::exec_request::Event as Sent;
use wharf::v1::{AttachStart, CreateContainerRequest, CreatedContainer, StartContainersRequest};

use super::attach::{self, SessionArgs};
use super::create::{self, IdFile, What};
use super::exec::session::Session;
use super::exec::{one_host, terminal};
use crate::app::{App, Connection};
use crate::commands::{call, request_id};
use crate::exit::Failure;
use crate::fanout;
use crate::report::transfers::{Step, Transfers};
use crate::report::{self, Failures, outcome_error};
use crate::targets::named;

const RUN_NOTES: &str = "\
Pulls the image on hosts that don't have it. For JSON bodies, see wharf create --help. Without -d, \
shows the output of the container on one host, and exits with its exit status; with 127 or 126 if its \
command does not exist or cannot be executed, and with 125 if it does not start for another reason.

Examples:
  wharf run -d -H web1,web2 --name web -p 80:8080 --memory 512m app:v1
  wharf run -it --rm -H web1 busybox sh
  wharf run -d -A --name job --rm app:v1 migrate --once && wharf wait -A job";

/// Exit statuses of a container that does not start, as with docker.
const NOT_STARTED: u8 = 125;
const COMMAND_NOT_EXECUTABLE: u8 = 126;
const COMMAND_NOT_FOUND: u8 = 127;

/// Arguments of `wharf run`.
#[derive(clap::Args)]
#[command(after_help = RUN_NOTES, disable_help_flag = true,
          override_usage = "wharf run [OPTIONS] [IMAGE] [COMMAND]...")]
pub struct Args {
    /// Run in the background
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    what: What,
}

/// Creates a container and starts it.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    if args.detach { create::send(app, args.what, true).await } else { attached(app, args).await }
}

/// Attaches to the container before it starts, so that no output is lost.
async fn attached(app: &App, args: Args) -> Result<(), Failure> {
    let Args { session: session_args, what, .. } = args;
    let stdin = what.flags.interactive == Some(true);
    attach::refuse_json(app)?;
    terminal::check(stdin, what.flags.tty == Some(true))?;
    let path = what.cidfile.clone();
    let mut request = create::request(app, what, false).await?;
    if let (true, Some(spec)) = (stdin, &mut request.spec) {
        spec.stdin_once = Some(true);
    }
    let connection = app.connect().await?;
    let targets = request.targets.take().unwrap_or_default();
    let host =
        one_host(&connection, targets, |host| format!("select one, such as -H {host}")).await?;
    request.targets = Some(named(vec![host.clone()]));
    let file = path.map(IdFile::create).transpose()?;
    let container = created(app, &connection, request).await.map_err(not_started)?;
    if let Some(mut file) = file {
        file.add(&container.id);
        file.finish()?;
    }
    for warning in &container.warnings {
        app.printer.warning(&format!("{host}: {warning}"));
    }
    let attach = AttachStart {
        host: host.clone(),
        container: container.id.clone(),
        stdin,
        before_start: true,
        size: None,
    };
    let session = Session::open(&connection, Sent::Attach(attach)).await.map_err(not_started)?;
    start(app, &connection, &host, container.id).await?;
    session.send_size().await;
    attach::follow(app, &connection, session, &host, stdin, session_args).await
}

/// Creates the one container.
async fn created(
    app: &App,
    connection: &Connection,
    request: CreateContainerRequest,
) -> Result<CreatedContainer, Failure> {
    let created = RefCell::new(None);
    let calls = vec![call!(connection, containers.create_container, request)];
    let mut transfers = Transfers::new(&app.printer, |event| match event {
        Event::Progress(progress) => Some(Step::<CreatedContainer>::Progress(progress)),
        Event::Container(container) => {
            created.replace(Some(container));
            None
        }
        _ => None,
    });
    let report = fanout::read(calls, connection.timeout(), &mut transfers).await;
    transfers.finish();
    drop(transfers);
    report::finish(&app.printer, &report)?;
    created.into_inner().ok_or(Failure::Hosts)
}

async fn start(
    app: &App,
    connection: &Connection,
    host: &str,
    container: String,
) -> Result<(), Failure> {
    let request = StartContainersRequest {
        targets: Some(named(vec![host.to_owned()])),
        fanout: None,
        request_id: request_id(),
        containers: vec![container],
    };
    let calls = vec![call!(connection, containers.start_containers, request)];
    let mut failures = Failures(&app.printer);
    let report = fanout::read(calls, connection.timeout(), &mut failures).await;
    let outcome = report.calls.iter().find_map(|call| call.outcomes.get(host));
    match outcome.and_then(outcome_error).map(|error| error.reason).as_deref() {
        Some("COMMAND_NOT_FOUND") => Err(Failure::Command(COMMAND_NOT_FOUND)),
        Some("COMMAND_NOT_EXECUTABLE") => Err(Failure::Command(COMMAND_NOT_EXECUTABLE)),
        _ => report::finish(&app.printer, &report).map_err(not_started),
    }
}

/// A failure of the host has another exit status than that of a container.
fn not_started(failure: Failure) -> Failure {
    match failure {
        Failure::Hosts => Failure::Command(NOT_STARTED),
        other => other,
    }
}
