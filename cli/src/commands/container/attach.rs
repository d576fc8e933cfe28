//! `wharf attach`: a session with the own command of a container; also the session of `wharf run`
//! without `-d`.

use std::convert::Infallible;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::signal::unix::{SignalKind, signal};
use wharf::v1::exec_request::Event as Sent;
use wharf::v1::{AttachStart, KillContainersRequest};

use super::WhichOne;
use super::exec::detach::DetachKeys;
use super::exec::session::{Manner, Session};
use super::exec::{one_container, terminal};
use crate::app::{App, Connection};
use crate::commands::{call, request_id};
use crate::exit::Failure;
use crate::fanout::{self, Observer};
use crate::targets::{Access, named};

const NOTES: &str = "\
Shows the output from now on; for earlier output, see wharf logs. Exits with the exit status of the \
container. Without a terminal, Ctrl-C and other signals go to the container.

Examples:
  wharf attach web1/web
  wharf attach --no-stdin --sig-proxy=false web1/web   watch; Ctrl-C ends only the watching";

/// Arguments of `wharf attach`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// Don't send standard input
    #[arg(long)]
    no_stdin: bool,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    which: WhichOne,
}

/// The flags of a session with a container's own command.
#[derive(clap::Args)]
pub struct SessionArgs {
    /// Pass signals on to the container if it has no terminal
    #[arg(
        long,
        value_name = "BOOL",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    sig_proxy: bool,
    /// Keys that end a session with a terminal and leave the container running
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = DetachKeys::parse)]
    detach_keys: DetachKeys,
}

/// A kind of signal, which is known only at runtime.
type Kind = fn() -> SignalKind;

/// Signals to pass on, as docker does, except those that end or stop this program in any case.
const SIGNALS: [(&str, Kind); 6] = [
    ("SIGINT", SignalKind::interrupt),
    ("SIGTERM", SignalKind::terminate),
    ("SIGHUP", SignalKind::hangup),
    ("SIGQUIT", SignalKind::quit),
    ("SIGUSR1", SignalKind::user_defined1),
    ("SIGUSR2", SignalKind::user_defined2),
];

/// Attaches to a running container.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let call = args.which.call(app, Access::Write)?;
    refuse_json(app)?;
    let connection = app.connect().await?;
    let (host, container) = one_container(&connection, call).await?;
    let stdin = !args.no_stdin;
    let size = terminal::size();
    let start = AttachStart { host: host.clone(), container, stdin, before_start: false, size };
    let session = Session::open(&connection, Sent::Attach(start)).await?;
    follow(app, &connection, session, &host, stdin, args.session).await
}

/// Refuses JSON: the output of a session is printed as it is.
pub fn refuse_json(app: &App) -> Result<(), Failure> {
    if app.printer.is_json() {
        return Err(Failure::usage("a session prints the output as it is; omit -o json"));
    }
    Ok(())
}

/// Passes both directions on, and signals where there is no terminal, until the container ends.
pub async fn follow(
    app: &App,
    connection: &Connection,
    session: Session,
    host: &str,
    stdin: bool,
    args: SessionArgs,
) -> Result<(), Failure> {
    let id = session.started.container_id.clone();
    let place = format!("{host}/{}", crate::view::short_id(&id));
    let manner = Manner { place, stdin, keys: args.detach_keys };
    let proxy = args.sig_proxy && !session.started.tty;
    app.passes_signals.set(proxy);
    let signals = pass_on(connection, host, &id, proxy);
    tokio::select! {
        result = session.run(app, manner) => result,
        never = signals => match never {},
    }
}

/// Sends the signals that this process gets to the container.
async fn pass_on(connection: &Connection, host: &str, id: &str, proxy: bool) -> Infallible {
    let mut streams = FuturesUnordered::new();
    for (name, kind) in SIGNALS.into_iter().filter(|_| proxy) {
        // Fails only for signals that no program can handle.
        let Ok(mut stream) = signal(kind()) else { continue };
        streams.push(async move {
            loop {
                stream.recv().await;
                kill(connection, host, id, name).await;
            }
        });
    }
    match streams.next().await {
        Some(never) => never,
        None => std::future::pending().await,
    }
}

async fn kill(connection: &Connection, host: &str, id: &str, signal: &str) {
    let request = KillContainersRequest {
        targets: Some(named(vec![host.to_owned()])),
        fanout: None,
        request_id: request_id(),
        containers: vec![id.to_owned()],
        signal: signal.to_owned(),
    };
    let calls = vec![call!(connection, containers.kill_containers, request)];
    // A container that has just ended takes no signal; its output tells that it ended.
    fanout::read(calls, connection.timeout(), &mut Ignored).await;
}

/// Takes no notice of the responses.
struct Ignored;

impl<E> Observer<E> for Ignored {
    fn payload(&mut self, _host: &str, _event: E) {}
}
