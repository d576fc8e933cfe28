//! `wharf run`: in the background on any number of hosts, or with a session on one.

use std::cell::RefCell;

use wharf::v1::create_container_response::Event;
use wharf::v1::exec_request::Event as Sent;
use wharf::v1::{AttachStart, CreateContainerRequest, CreatedContainer, StartContainersRequest};

use super::attach::{self, SessionArgs};
use super::create::{self, IdFile, What};
use super::exec::session::Session;
use super::exec::{one_container, terminal};
use crate::app::{App, Connection};
use crate::commands::{call, request_id};
use crate::exit::Failure;
use crate::fanout;
use crate::report::transfers::{Step, Transfers};
use crate::report::{self, Failures};
use crate::targets::{ContainerCall, named};

const RUN_NOTES: &str = "\
Pulls the image on hosts that don't have it. For JSON bodies, see wharf create --help. Without -d, \
shows the output of the container on one host, and exits with its exit status.

Examples:
  wharf run -d -H web1,web2 --name web -p 80:8080 --memory 512m app:v1
  wharf run -it --rm -H web1 busybox sh
  wharf run -d -A --name job --rm app:v1 migrate --once && wharf wait -A job";

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
    let call = ContainerCall { targets, containers: vec![request.name.clone()] };
    let host = one_container(&connection, call).await?.0;
    request.targets = Some(named(vec![host.clone()]));
    let file = path.map(IdFile::create).transpose()?;
    let container = created(app, &connection, request).await?;
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
    let session = Session::open(&connection, Sent::Attach(attach)).await?;
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
    report::finish(&app.printer, &report)
}
