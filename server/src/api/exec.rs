//! `ExecService`: commands in containers. One command on many hosts is here; an interactive session
//! is in `session`. Its input comes with the stream of requests, or in calls (`input`).

mod attach;
mod input;
mod order;
mod session;

use std::sync::Arc;

use futures_util::{StreamExt, future};
use tonic::{Request, Response, Status, Streaming};
use wharf::v1;
use wharf::v1::exec_request::Event as Sent;
use wharf::v1::exec_response::Event as Told;
use wharf::v1::exec_service_server::ExecService;
use wharf::v1::run_command_response::Event;
use wharf::v1::start_session_request::Target;
use wharf::v1::start_session_response::Event as ToldCalled;

use self::input::{Input, Sessions};
#[cfg(test)]
pub use self::input::{not_found, out_of_order};
use self::order::Order;
use self::session::Session;
use super::audit::Subject;
use super::auth::Principal;
use super::convert;
use super::edge::{Edge, ResponseStream, TRANSFER_LIMIT, checked};
use super::problem::Problem;
use crate::body::violation::Violations;
use crate::domain::{ContainerRef, quoted};
use crate::engine::{Engine, EngineError, ErrorKind, ExecSession, ExecSpec, Frame};
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError};

/// The service.
#[derive(Debug, Clone)]
pub struct Exec {
    edge: Arc<Edge>,
    sessions: Sessions,
}

impl Exec {
    /// The service, without any session.
    pub fn new(edge: Arc<Edge>) -> Self {
        Self { edge, sessions: Sessions::default() }
    }
}

#[tonic::async_trait]
impl ExecService for Exec {
    type RunCommandStream = ResponseStream<v1::RunCommandResponse>;
    type ExecStream = ResponseStream<v1::ExecResponse>;
    type StartSessionStream = ResponseStream<v1::StartSessionResponse>;

    async fn run_command(
        &self,
        request: Request<v1::RunCommandRequest>,
    ) -> Result<Response<Self::RunCommandStream>, Status> {
        let order = checked(&request, |violations, message| {
            let container = ContainerRef::parse(&message.container);
            let container = violations.check("container", container);
            Some((container?, command(violations, "command", message.command.as_ref())?))
        })?;
        let call = self.edge.accept(&request, None)?.background_limit(TRANSFER_LIMIT);
        self.edge
            .run(call, order, |call, order| async move { run(&call, &order.0, &order.1).await })
            .await
    }

    async fn exec(
        &self,
        request: Request<Streaming<v1::ExecRequest>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        let subject = Subject::of(&request);
        let mut requests = request.into_inner();
        let order = match requests.message().await?.and_then(|message| message.event) {
            Some(Sent::Start(start)) => Order::run(&start)?,
            Some(Sent::Attach(attach)) => Order::attach(&attach)?,
            _ => {
                let problem = "must be the first message, or `attach`";
                return Err(Problem::invalid_field("start", problem).into());
            }
        };
        subject.say(order.subject());
        let session = Session::open(&self.edge, order).await?;
        let tty = session.tty();
        let inputs = requests.filter_map(move |message| future::ready(sent(message, tty)));
        let told = session.run(&self.edge, inputs);
        let response = |told: Told| v1::ExecResponse { event: Some(told) };
        Ok(Response::new(Box::pin(told.map(move |told| told.map(response)))))
    }

    async fn start_session(
        &self,
        request: Request<v1::StartSessionRequest>,
    ) -> Result<Response<Self::StartSessionStream>, Status> {
        let (subject, caller) = (Subject::of(&request), Principal::of(&request).identity);
        let order = match request.into_inner().target {
            Some(Target::Start(start)) => Order::run(&start)?,
            Some(Target::Attach(attach)) => Order::attach(&attach)?,
            None => return Err(Problem::invalid_field("start", "must be set, or `attach`").into()),
        };
        let what = order.subject();
        subject.say(&what);
        let session = Session::open(&self.edge, order).await?;
        let inputs = self.sessions.begin(caller, what, session.tty());
        let told = session.run_called(&self.edge, inputs);
        Ok(Response::new(Box::pin(told.map(|told| told.map(called)))))
    }

    async fn send_session_input(
        &self,
        request: Request<v1::SendSessionInputRequest>,
    ) -> Result<Response<v1::SendSessionInputResponse>, Status> {
        let (subject, caller) = (Subject::of(&request), Principal::of(&request).identity);
        let request = request.into_inner();
        subject.say(self.sessions.subject(&caller, &request.session_id));
        self.sessions.send(&caller, request).await?;
        Ok(Response::new(v1::SendSessionInputResponse {}))
    }
}

/// A message after the first one; `None` where it says nothing.
fn sent(message: Result<v1::ExecRequest, Status>, tty: bool) -> Option<Result<Input, Status>> {
    let again = || Problem::invalid_field("start", "must be the first message only");
    let event = match message {
        Ok(message) => message.event?,
        Err(status) => return Some(Err(status)),
    };
    let input = match event {
        Sent::Stdin(bytes) => Ok(Input::Stdin(bytes)),
        Sent::Resize(size) => Input::resize(size, tty),
        Sent::CloseStdin(v1::CloseStdin {}) => Ok(Input::Close),
        Sent::Start(_) | Sent::Attach(_) => Err(again()),
    };
    Some(input.map_err(Status::from))
}

/// What a session tells a caller whose input comes in calls.
fn called(told: Told) -> v1::StartSessionResponse {
    let event = match told {
        Told::Started(started) => ToldCalled::Started(started),
        Told::Output(output) => ToldCalled::Output(output),
        Told::Exited(exit) => ToldCalled::Exited(exit),
        Told::Heartbeat(heartbeat) => ToldCalled::Heartbeat(heartbeat),
    };
    v1::StartSessionResponse { event: Some(event) }
}

/// Runs a command on one host to its end.
async fn run(
    call: &HostCall<Event>,
    container: &ContainerRef,
    spec: &ExecSpec,
) -> Result<Done, HostError> {
    let mut session = start(&*call.engine, container, spec).await?;
    // An error of the connection is one of the command, which the exit code tells apart.
    while let Ok(Some(frame)) = session.output.next().await {
        // Not recorded for a retry: there may be any amount of it.
        call.emit_unrecorded(Event::Output(output(frame))).await;
    }
    let ended = exit_code(&*call.engine, &session.id).await;
    let exit_code = ended.map_err(HostError::Partly)?;
    call.emit(Event::Exit(v1::CommandExit { exit_code })).await;
    match exit_code {
        0 => Ok(Done::CHANGED),
        exit_code => Err(HostError::CommandFailed { exit_code }),
    }
}

/// Starts a command. An Engine that refuses says why, and not what to do.
async fn start(
    engine: &dyn Engine,
    container: &ContainerRef,
    spec: &ExecSpec,
) -> Result<ExecSession, EngineError> {
    let mut started = engine.start_exec(container, spec).await;
    if let Err(error) = &mut started
        && error.kind == ErrorKind::Conflict
    {
        let message = error.message.trim_end_matches('.');
        error.message = format!("{message}; start or unpause it, and retry");
    }
    started
}

/// The exit code of a command whose output has ended.
async fn exit_code(engine: &dyn Engine, id: &str) -> Result<i32, EngineError> {
    let code = match engine.exec_exit_code(id).await {
        // An Engine that was restarted has forgotten it.
        Err(error) if error.kind == ErrorKind::ContainerNotFound => None,
        code => code?,
    };
    let lost = || {
        let message = "the connection to the command was lost, and it may still be running";
        EngineError::new(ErrorKind::ResultUnknown, "POST /exec/{id}/start", message)
    };
    // Every exit code has at most eight bits.
    code.map(|code| i32::try_from(code).unwrap_or(i32::MAX)).ok_or_else(lost)
}

/// Some output as sent.
fn output(Frame { source, data }: Frame) -> v1::CommandOutput {
    v1::CommandOutput { source: convert::output_source(source).into(), data: data.into() }
}

/// Checks a command. `field` is its field in the request.
fn command(
    violations: &mut Violations,
    field: &str,
    command: Option<&v1::CommandSpec>,
) -> Option<ExecSpec> {
    let Some(command) = command else {
        violations.add(field, "must be set");
        return None;
    };
    let name = |part: &str| format!("{field}.{part}");
    if command.command.first().is_none_or(String::is_empty) {
        violations.add(name("command"), "must have at least the program");
    }
    let texts = command.command.iter().chain(&command.env);
    if texts.chain([&command.user, &command.working_dir]).any(|text| text.contains('\0')) {
        violations.add(field, "must not contain NUL characters");
    }
    for (index, variable) in command.env.iter().enumerate() {
        if variable.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
            let problem = format!("{} must be NAME=VALUE", quoted(variable));
            violations.add(format!("{}[{index}]", name("env")), problem);
        }
    }
    let directory = &command.working_dir;
    if !directory.is_empty() && !directory.starts_with('/') {
        violations.add(name("working_dir"), "must be an absolute path");
    }
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Some(ExecSpec {
        command: command.command.clone(),
        env: command.env.clone(),
        user: some(&command.user),
        working_dir: some(directory),
        privileged: command.privileged,
        ..ExecSpec::default()
    })
}
