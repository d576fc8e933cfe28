//! An interactive session: the streams of one command, or of a container's own, between the caller
//! and the Engine.
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

use super::attach::{AttachOrder, Attached, attach};
use super::{Exec, command, exit_code, start};
use crate::api::answer::stopping;
use crate::api::audit::Subject;
use crate::api::convert;
use crate::api::edge::Edge;
use crate::api::problem::{Finish, Problem};
use crate::api::table::host_problem;
use crate::body::violation::Violations;
use crate::domain::{ContainerRef, HostName, quoted};
use crate::engine::{Engine, EngineError, ExecSession, ExecSpec, SessionInput, TerminalSize};
use crate::fleet::HostError;

/// Pieces of output that may wait for the caller.
const WAITING: usize = 16;
/// Silence after which a heartbeat is sent; below the idle limits of common proxies.
const HEARTBEAT_AFTER: Duration = Duration::from_secs(15);
/// How long an Engine may take to start a command.
const START: Duration = Duration::from_secs(30);

/// What a session is connected to, and where.
struct Order {
    host: HostName,
    container: ContainerRef,
    what: What,
}

/// What a session is connected to.
enum What {
    Run(ExecSpec),
    Attach(AttachOrder),
}

/// A command in progress.
enum Connected {
    /// One that was started in a container, and whether it has a terminal.
    Exec { id: String, tty: bool },
    /// The container's own.
    Container(Attached),
}

/// A session with its ways to the caller.
struct Session {
    engine: Arc<dyn Engine>,
    host: HostName,
    session: ExecSession,
    connected: Connected,
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
    let Order { host, container, what } = order;
    subject.say(format_args!("host={host} container={}", quoted(container.as_str())));
    let failed = |error: HostError| Status::from(host_problem(&host, &error));
    let engine = edge.engine(&host)?;
    let connected = tokio::time::timeout(START, connect(&engine, &container, &what)).await;
    let (session, connected) = connected
        .map_err(|_| failed(HostError::Timeout { budget: START, goes_on: true }))?
        .map_err(|error| failed(error.into()))?;
    let (answers, response) = mpsc::channel(WAITING);
    let session = Session { engine, host, session, connected, answers };
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

async fn connect(
    engine: &Arc<dyn Engine>,
    container: &ContainerRef,
    what: &What,
) -> Result<(ExecSession, Connected), EngineError> {
    match what {
        What::Run(spec) => {
            let session = start(&**engine, container, spec).await?;
            let id = session.id.clone();
            Ok((session, Connected::Exec { id, tty: spec.tty }))
        }
        What::Attach(order) => {
            let (session, attached) = attach(engine, container, order).await?;
            Ok((session, Connected::Container(attached)))
        }
    }
}

/// The order that the first message must be.
fn order(first: Option<Sent>) -> Result<Order, Problem> {
    match first {
        Some(Sent::Start(start)) => run_order(&start),
        Some(Sent::Attach(attach)) => attach_order(&attach),
        _ => Err(Problem::invalid_field("start", "must be the first message, or `attach`")),
    }
}

fn attach_order(attach: &v1::AttachStart) -> Result<Order, Problem> {
    let mut violations = Violations::default();
    let host = violations.check("attach.host", HostName::parse(&attach.host));
    let container = violations.check("attach.container", ContainerRef::parse(&attach.container));
    let size = size(&mut violations, "attach.size", attach.size);
    violations.finish()?;
    let (stdin, before_start) = (attach.stdin, attach.before_start);
    let what = What::Attach(AttachOrder { stdin, before_start, size });
    let order = host.zip(container).map(|(host, container)| Order { host, container, what });
    order.ok_or_else(|| Problem::invalid_field("attach", "must be complete"))
}

fn run_order(start: &v1::ExecStart) -> Result<Order, Problem> {
    let mut violations = Violations::default();
    let host = violations.check("start.host", HostName::parse(&start.host));
    let container = violations.check("start.container", ContainerRef::parse(&start.container));
    let spec = command(&mut violations, "start.command", start.command.as_ref());
    let size = size(&mut violations, "start.size", start.size);
    if start.size.is_some() && !start.tty {
        violations.add("start.size", "requires `tty`");
    }
    violations.finish()?;
    let order = host.zip(container).zip(spec).map(|((host, container), spec)| Order {
        host,
        container,
        what: What::Run(ExecSpec { stdin: start.stdin, tty: start.tty, size, ..spec }),
    });
    order.ok_or_else(|| Problem::invalid_field("start", "must be complete"))
}

/// The size of a terminal in the first message.
fn size(
    violations: &mut Violations,
    field: &str,
    size: Option<v1::TerminalSize>,
) -> Option<TerminalSize> {
    match size.map(terminal_size).transpose() {
        Ok(size) => size,
        Err(text) => {
            violations.add(field, text);
            None
        }
    }
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
        let Self { engine, host, session, connected, answers } = self;
        let ExecSession { id: _, input, mut output } = session;
        if send(&answers, Event::Started(connected.started())).await.is_err() {
            return;
        }
        let take_input = take(requests, input, &engine, &connected);
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
                Ok(()) => connected
                    .exit_code(&*engine)
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

impl Connected {
    fn started(&self) -> v1::ExecStarted {
        let started_at = Some(convert::system_time(SystemTime::now()));
        match self {
            Self::Exec { id, tty } => v1::ExecStarted {
                exec_id: id.clone(),
                started_at,
                tty: *tty,
                ..v1::ExecStarted::default()
            },
            Self::Container(attached) => v1::ExecStarted {
                container_id: attached.container.to_string(),
                started_at,
                tty: attached.tty,
                ..v1::ExecStarted::default()
            },
        }
    }

    fn tty(&self) -> bool {
        match self {
            Self::Exec { tty, .. } => *tty,
            Self::Container(attached) => attached.tty,
        }
    }

    async fn resize(&self, engine: &dyn Engine, size: TerminalSize) -> Result<(), EngineError> {
        match self {
            Self::Exec { id, .. } => engine.resize_exec(id, size).await,
            Self::Container(attached) => engine.resize_container(&attached.container, size).await,
        }
    }

    async fn exit_code(self, engine: &dyn Engine) -> Result<i32, EngineError> {
        match self {
            Self::Exec { id, .. } => exit_code(engine, &id).await,
            Self::Container(attached) => attached.exit_code(engine).await,
        }
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
    connected: &Connected,
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
            Some(Sent::Resize(size)) if connected.tty() => match terminal_size(size) {
                // The command may have ended, or not begun; the size is not worth a failure.
                Ok(size) => drop(connected.resize(&**engine, size).await),
                Err(text) => return Problem::invalid_field("resize", text).into(),
            },
            Some(Sent::Resize(_)) => {
                return Problem::invalid_field("resize", "requires a terminal").into();
            }
            Some(Sent::Start(_) | Sent::Attach(_)) => {
                return Problem::invalid_field("start", "must be the first message only").into();
            }
            Some(Sent::Stdin(_)) | None => {}
        }
    }
    let _ = input.writer().shutdown().await;
    std::future::pending().await
}
