//! An interactive session: the streams of one command, or of a container's own, between the caller
//! and the Engine. Where the input comes from, and in which messages the caller gets the events, is
//! decided by its method.
//!
//! Both directions are bounded: input waits until the Engine takes it, and output until the caller
//! does. If the caller disconnects, the connection to the Engine is closed, and the command
//! continues.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use wharf::v1;
use wharf::v1::exec_response::Event;

use super::attach::{Attached, attach};
use super::input::{Input, Inputs};
use super::order::{Order, What};
use super::{exit_code, start};
use crate::api::answer::stopping;
use crate::api::convert;
use crate::api::edge::Edge;
use crate::api::table::host_problem;
use crate::domain::{ContainerRef, HostName};
use crate::engine::{Engine, EngineError, ExecSession, SessionInput, SessionOutput, TerminalSize};
use crate::fleet::HostError;

/// Pieces of output that may wait for the caller.
const WAITING: usize = 16;
/// Silence after which a heartbeat is sent; below the idle limits of common proxies.
const HEARTBEAT_AFTER: Duration = Duration::from_secs(15);
/// How long an Engine may take to start a command.
const START: Duration = Duration::from_secs(30);
/// How long an Engine may take [`LAST_KEYS`].
const LAST: Duration = Duration::from_secs(1);
/// Ctrl-U and Ctrl-D, which end a shell at its prompt even if something was typed there. Not Ctrl-C:
/// what the shell runs goes on.
const LAST_KEYS: &[u8] = b"\x15\x04";

/// What a session tells its caller.
pub(super) type Told = Result<Event, Status>;

/// A connection to a command in progress.
pub(super) struct Session {
    engine: Arc<dyn Engine>,
    host: HostName,
    session: ExecSession,
    connected: Connected,
}

/// A command in progress.
enum Connected {
    /// One that was started in a container, and whether it has a terminal.
    Exec { id: String, stdin: bool, tty: bool },
    /// The container's own.
    Container(Attached),
}

impl Session {
    /// Connects as the order says.
    pub async fn open(edge: &Edge, order: Order) -> Result<Self, Status> {
        let Order { host, container, what } = order;
        let failed = |error: HostError| Status::from(host_problem(&host, &error));
        let engine = edge.engine(&host)?;
        let connected = timeout(START, connect(&engine, &container, &what)).await;
        let (session, connected) = connected
            .map_err(|_| failed(HostError::Timeout { budget: START, goes_on: true }))?
            .map_err(|error| failed(error.into()))?;
        Ok(Self { engine, host, session, connected })
    }

    /// Whether its command has a terminal.
    pub fn tty(&self) -> bool {
        self.connected.tty()
    }

    /// Passes both directions on until the command ends or the caller disconnects.
    pub fn run(
        self,
        edge: &Edge,
        inputs: impl Stream<Item = Result<Input, Status>> + Send + 'static,
    ) -> ReceiverStream<Told> {
        let started = self.connected.started();
        self.pass(edge, started, inputs, false)
    }

    /// The same for input that comes in calls. When the caller disconnects, a terminal is hung up as far
    /// as an Engine can do that.
    pub fn run_called(self, edge: &Edge, inputs: Inputs) -> ReceiverStream<Told> {
        let session_id = inputs.id.clone();
        let started = v1::ExecStarted { session_id, ..self.connected.started() };
        let hangs_up = matches!(self.connected, Connected::Exec { stdin: true, tty: true, .. });
        self.pass(edge, started, inputs.map(Ok), hangs_up)
    }

    fn pass(
        self,
        edge: &Edge,
        started: v1::ExecStarted,
        inputs: impl Stream<Item = Result<Input, Status>> + Send + 'static,
        hangs_up: bool,
    ) -> ReceiverStream<Told> {
        let (answers, told) = mpsc::channel(WAITING);
        let stop = edge.stopping.clone();
        edge.background.spawn(async move {
            let Self { engine, host, session, connected } = self;
            let ExecSession { id: _, mut input, output } = session;
            let command = async {
                send(&answers, Event::Started(started)).await?;
                let end = tokio::select! {
                    biased;
                    ended = give(output, &answers) => {
                        ended?;
                        let failed = |error| host_problem(&host, &HostError::Partly(error)).into();
                        let code = connected.exit_code(&*engine).await;
                        code.map(|exit_code| Event::Exited(v1::CommandExit { exit_code }))
                            .map_err(failed)
                    }
                    refused = take(inputs, &mut input, &engine, &connected) => Err(refused),
                };
                answers.send(end).await.map_err(|_| Gone)
            };
            let cut_short = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    let _ = answers.try_send(Err(stopping().into()));
                    true
                }
                () = answers.closed() => true,
                ended = command => ended.is_err(),
            };
            if cut_short && hangs_up {
                hang_up(&mut input).await;
            }
        });
        ReceiverStream::new(told)
    }
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
            Ok((session, Connected::Exec { id, stdin: spec.stdin, tty: spec.tty }))
        }
        What::Attach(order) => {
            let (session, attached) = attach(engine, container, order).await?;
            Ok((session, Connected::Container(attached)))
        }
    }
}

impl Connected {
    fn started(&self) -> v1::ExecStarted {
        let started_at = Some(convert::system_time(SystemTime::now()));
        match self {
            Self::Exec { id, tty, .. } => v1::ExecStarted {
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

async fn send(answers: &mpsc::Sender<Told>, event: Event) -> Result<(), Gone> {
    answers.send(Ok(event)).await.map_err(|_| Gone)
}

/// Passes output on until its end.
async fn give(mut output: SessionOutput, answers: &mpsc::Sender<Told>) -> Result<(), Gone> {
    loop {
        tokio::select! {
            biased;
            next = output.next() => match next {
                Ok(Some(frame)) => send(answers, Event::Output(super::output(frame))).await?,
                Ok(None) | Err(_) => return Ok(()),
            },
            () = sleep(HEARTBEAT_AFTER) => {
                send(answers, Event::Heartbeat(v1::Heartbeat {})).await?;
            }
        }
    }
}

/// Passes input on. Ends only at input that must not be there.
async fn take(
    inputs: impl Stream<Item = Result<Input, Status>>,
    input: &mut SessionInput,
    engine: &Arc<dyn Engine>,
    connected: &Connected,
) -> Status {
    // A command that has ended, or does not read, takes no input. Its output tells that it ended.
    let mut open = true;
    let mut inputs = pin!(inputs);
    while let Some(next) = inputs.next().await {
        match next {
            Ok(Input::Stdin(bytes)) if open => {
                let mut writer = input.writer();
                open = writer.write_all(&bytes).await.is_ok() && writer.flush().await.is_ok();
            }
            Ok(Input::Stdin(_)) => {}
            Ok(Input::Close) => {
                let _ = input.writer().shutdown().await;
                open = false;
            }
            // The command may have ended, or not begun; the size is not worth a failure.
            Ok(Input::Resize(size)) => drop(connected.resize(&**engine, size).await),
            Err(status) => return status,
        }
    }
    let _ = input.writer().shutdown().await;
    std::future::pending().await
}

/// Sends the last keys of a terminal whose caller has gone: without them, every shell whose tab was
/// closed would stay in its container forever.
async fn hang_up(input: &mut SessionInput) {
    let keys = async {
        let mut writer = input.writer();
        writer.write_all(LAST_KEYS).await?;
        writer.flush().await
    };
    // One that does not read has no prompt.
    let _ = timeout(LAST, keys).await;
}
