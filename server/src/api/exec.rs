//! `ExecService`: commands in containers. One command on many hosts is here; an interactive session
//! is in `session`.

mod attach;
mod session;

use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use wharf::v1;
use wharf::v1::exec_service_server::ExecService;
use wharf::v1::run_command_response::Event;

use super::convert;
use super::edge::{Edge, ResponseStream, TRANSFER_LIMIT, checked};
use crate::body::violation::Violations;
use crate::domain::{ContainerRef, quoted};
use crate::engine::{Engine, EngineError, ErrorKind, ExecSession, ExecSpec, Frame};
use crate::fleet::fanout::HostCall;
use crate::fleet::{Done, HostError};

/// The service.
#[derive(Debug, Clone)]
pub struct Exec(pub Arc<Edge>);

#[tonic::async_trait]
impl ExecService for Exec {
    type RunCommandStream = ResponseStream<v1::RunCommandResponse>;
    type ExecStream = ReceiverStream<Result<v1::ExecResponse, Status>>;

    async fn run_command(
        &self,
        request: Request<v1::RunCommandRequest>,
    ) -> Result<Response<Self::RunCommandStream>, Status> {
        let order = checked(&request, |violations, message| {
            let container = ContainerRef::parse(&message.container);
            let container = violations.check("container", container);
            Some((container?, command(violations, "command", message.command.as_ref())?))
        })?;
        let call = self.0.accept(&request, None)?.background_limit(TRANSFER_LIMIT);
        self.0
            .run(call, order, |call, order| async move { run(&call, &order.0, &order.1).await })
            .await
    }

    async fn exec(
        &self,
        request: Request<Streaming<v1::ExecRequest>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        session::open(&self.0, request).await
    }
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
