//! An interactive session: the streams of one command, between its caller and its Engine.
//!
//! Both directions are bounded: input waits until the Engine takes it, and output until the caller
//! does. If the caller disconnects, the connection to the Engine is closed, and the command
//! continues.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use wharf::v1;
use wharf::v1::exec_request::Event as Sent;
use wharf::v1::exec_response::Event;

use super::{Exec, command, exit_code, start};
use crate::api::answer::stopping;
use crate::api::audit::Subject;
use crate::api::convert;
use crate::api::edge::Edge;
use crate::api::problem::{Finish, Problem};
use crate::api::table::host_problem;
use crate::body::violation::Violations;
use crate::domain::{ContainerRef, HostName, quoted};
use crate::engine::{Engine, ExecSession, ExecSpec, SessionInput, TerminalSize};
use crate::fleet::HostError;

/// Pieces of output that may wait for the caller.
const WAITING: usize = 16;
/// Silence after which a heartbeat is sent; below the idle limits of common proxies.
const HEARTBEAT_AFTER: Duration = Duration::from_secs(15);
/// How long an Engine may take to start a command.
const START: Duration = Duration::from_secs(30);

/// What a session is to run, and where.
struct Order {
    host: HostName,
    container: ContainerRef,
    spec: ExecSpec,
}

/// A session with its ways to the caller.
struct Session {
    engine: Arc<dyn Engine>,
    host: HostName,
    session: ExecSession,
    tty: bool,
    answers: mpsc::Sender<Result<v1::ExecResponse, Status>>,
}

/// Opens a session as its first message says.
pub(super) async fn open(
    edge: &Arc<Edge>,
    request: Request<Streaming<v1::ExecRequest>>,
) -> Result<Response<<Exec as v1::exec_service_server::ExecService>::ExecStream>, Status> {
    let subject = Subject::of(&request);
    let mut requests = request.into_inner();
    let order = order(requests.message().await?.and_then(|message| message.event))?;
    let Order { host, container, spec } = order;
    subject.say(format_args!("host={host} container={}", quoted(container.as_str())));
    let failed = |error: HostError| Status::from(host_problem(&host, &error));
    let engine = edge.engine(&host)?;
    let started = tokio::time::timeout(START, start(&*engine, &container, &spec)).await;
    let session = started
        .map_err(|_| failed(HostError::Timeout { budget: START, goes_on: true }))?
        .map_err(|error| failed(error.into()))?;
    let (answers, response) = mpsc::channel(WAITING);
    let session = Session { engine, host, session, tty: spec.tty, answers };
    let stop = edge.stopping.clone();
    edge.background.spawn(async move {
        let answers = session.answers.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                let _ = answers.try_send(Err(stopping().into()));
            }
            () = answers.closed() => {}
            () = session.run(requests) => {}
        }
    });
    Ok(Response::new(ReceiverStream::new(response)))
}

/// The order that the first message must be.
fn order(first: Option<Sent>) -> Result<Order, Problem> {
    let Some(Sent::Start(start)) = first else {
        return Err(Problem::invalid_field("start", "must be the first message"));
    };
    let mut violations = Violations::default();
    let host = violations.check("start.host", HostName::parse(&start.host));
    let container = violations.check("start.container", ContainerRef::parse(&start.container));
    let spec = command(&mut violations, "start.command", start.command.as_ref());
    let size = start.size.map(|size| terminal_size(size).map_err(|text| ("start.size", text)));
    let size = match size.transpose() {
        Ok(size) => size,
        Err((field, text)) => {
            violations.add(field, text);
            None
        }
    };
    if start.size.is_some() && !start.tty {
        violations.add("start.size", "requires `tty`");
    }
    violations.finish()?;
    let order = host.zip(container).zip(spec).map(|((host, container), spec)| Order {
        host,
        container,
        spec: ExecSpec { stdin: start.stdin, tty: start.tty, size, ..spec },
    });
    order.ok_or_else(|| Problem::invalid_field("start", "must be complete"))
}

fn terminal_size(size: v1::TerminalSize) -> Result<TerminalSize, &'static str> {
    match (u16::try_from(size.columns), u16::try_from(size.rows)) {
        (Ok(columns @ 1..), Ok(rows @ 1..)) => Ok(TerminalSize { columns, rows }),
        _ => Err("`columns` and `rows` must be from 1 to 65535"),
    }
}

impl Session {
    /// Passes both directions on until the command ends.
    async fn run(self, requests: Streaming<v1::ExecRequest>) {
        let Self { engine, host, session, tty, answers } = self;
        let ExecSession { id, input, mut output } = session;
        let started_at = Some(convert::system_time(SystemTime::now()));
        let started = Event::Started(v1::ExecStarted { exec_id: id.clone(), started_at });
        if send(&answers, started).await.is_err() {
            return;
        }
        let take_input = take(requests, input, &engine, &id, tty);
        let give_output = async {
            loop {
                tokio::select! {
                    biased;
                    next = output.next() => match next {
                        Ok(Some(frame)) => {
                            send(&answers, Event::Output(super::output(frame))).await?;
                        }
                        Ok(None) | Err(_) => return Ok(()),
                    },
                    () = sleep(HEARTBEAT_AFTER) => {
                        send(&answers, Event::Heartbeat(v1::Heartbeat {})).await?;
                    }
                }
            }
        };
        let end = tokio::select! {
            biased;
            ended = give_output => match ended {
                Ok(()) => exit_code(&*engine, &id)
                    .await
                    .map(|exit_code| Event::Exited(v1::CommandExit { exit_code }))
                    .map_err(|error| host_problem(&host, &HostError::Partly(error)).into()),
                Err(Gone) => return,
            },
            refused = take_input => Err(refused),
        };
        let _ = match end {
            Ok(event) => send(&answers, event).await,
            Err(status) => answers.send(Err(status)).await.map_err(|_| Gone),
        };
    }
}

/// The caller has disconnected.
struct Gone;

async fn send(
    answers: &mpsc::Sender<Result<v1::ExecResponse, Status>>,
    event: Event,
) -> Result<(), Gone> {
    answers.send(Ok(v1::ExecResponse { event: Some(event) })).await.map_err(|_| Gone)
}

/// Passes input on. Ends only at a message that must not be there.
async fn take(
    mut requests: Streaming<v1::ExecRequest>,
    mut input: SessionInput,
    engine: &Arc<dyn Engine>,
    id: &str,
    tty: bool,
) -> Status {
    // A command that has ended, or does not read, takes no input. Its output tells that it ended.
    let mut open = true;
    loop {
        let message = match requests.message().await {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(status) => return status,
        };
        match message.event {
            Some(Sent::Stdin(bytes)) if open => {
                let mut writer = input.writer();
                open = writer.write_all(&bytes).await.is_ok() && writer.flush().await.is_ok();
            }
            Some(Sent::CloseStdin(_)) => {
                let _ = input.writer().shutdown().await;
                open = false;
            }
            Some(Sent::Resize(size)) if tty => match terminal_size(size) {
                // The command may have ended, or not begun; the size is not worth a failure.
                Ok(size) => drop(engine.resize_exec(id, size).await),
                Err(text) => return Problem::invalid_field("resize", text).into(),
            },
            Some(Sent::Resize(_)) => {
                return Problem::invalid_field("resize", "requires `start.tty`").into();
            }
            Some(Sent::Start(_)) => {
                return Problem::invalid_field("start", "must be the first message only").into();
            }
            Some(Sent::Stdin(_)) | None => {}
        }
    }
    let _ = input.writer().shutdown().await;
    std::future::pending().await
}
