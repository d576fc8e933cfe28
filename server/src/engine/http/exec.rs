//! Sessions of commands in containers, over connections that the Engine gives up to them.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::HttpEngine;
use super::command::{CommandState, Made};
use super::link::{Call, Opened};
use crate::domain::ContainerRef;
use crate::engine::operation::{
    ATTACH_CONTAINER, CREATE_EXEC, INSPECT_EXEC, RESIZE_CONTAINER, RESIZE_EXEC, START_EXEC,
};
use crate::engine::{ApiVersion, ExecEngine, ExecSession, ExecSpec, Result, TerminalSize};

/// The first version with a size of the terminal at the start.
const CONSOLE_SIZE: ApiVersion = ApiVersion::new(1, 42);
/// An Engine may close the output of a command a moment before it notes its end.
const CHECKS: u32 = 40;
const BETWEEN_CHECKS: Duration = Duration::from_millis(50);

/// How often to try to set the first size, as docker does.
const FIRST_SIZES: u32 = 20;
const BETWEEN_FIRST_SIZES: Duration = Duration::from_millis(25);

#[async_trait]
impl ExecEngine for HttpEngine {
    async fn start_exec(&self, container: &ContainerRef, spec: &ExecSpec) -> Result<ExecSession> {
        let version = self.link.negotiated(&CREATE_EXEC).await?.version;
        let size = spec.size.filter(|_| spec.tty);
        let console = size.filter(|_| version >= CONSOLE_SIZE);
        let create = Call::new(&CREATE_EXEC, &["containers", container.as_str(), "exec"])
            .with_json(create_body(spec, console).to_string());
        let Made { id } = self.link.send(create).await?.json().await?;
        let mut body = json!({ "Detach": false, "Tty": spec.tty });
        if let Some(TerminalSize { columns, rows }) = console {
            body["ConsoleSize"] = json!([rows, columns]);
        }
        let start = Call::new(&START_EXEC, &["exec", &id, "start"])
            .with_json(body.to_string())
            .with_upgrade();
        let connection = self.link.open(&start, Opened::upgrade).await?;
        if let (Some(size), None) = (size, console) {
            self.set_first_size(&id, size).await;
        }
        Ok(ExecSession::new(id, connection, spec.tty))
    }

    async fn attach(
        &self,
        container: &ContainerRef,
        stdin: bool,
        tty: bool,
    ) -> Result<ExecSession> {
        let call = Call::new(&ATTACH_CONTAINER, &["containers", container.as_str(), "attach"])
            .with_flag("stream", true)
            .with_flag("stdin", stdin)
            .with_flag("stdout", true)
            .with_flag("stderr", true)
            .with_upgrade();
        let connection = self.link.open(&call, Opened::upgrade).await?;
        Ok(ExecSession::new(container.as_str().to_owned(), connection, tty))
    }

    async fn resize_container(&self, container: &ContainerRef, size: TerminalSize) -> Result<()> {
        let path = ["containers", container.as_str(), "resize"];
        self.link.send(sized(Call::new(&RESIZE_CONTAINER, &path), size)).await?;
        Ok(())
    }

    async fn resize_exec(&self, id: &str, size: TerminalSize) -> Result<()> {
        self.link.send(sized(Call::new(&RESIZE_EXEC, &["exec", id, "resize"]), size)).await?;
        Ok(())
    }

    async fn exec_exit_code(&self, id: &str) -> Result<Option<i64>> {
        for _ in 0..CHECKS {
            let inspect = Call::new(&INSPECT_EXEC, &["exec", id, "json"]);
            let state: CommandState = self.link.send(inspect).await?.json().await?;
            if !state.running && state.exit_code.is_some() {
                return Ok(state.exit_code);
            }
            sleep(BETWEEN_CHECKS).await;
        }
        Ok(None)
    }
}

impl HttpEngine {
    /// Sets the size of the terminal of a command that an Engine is starting. It refuses that until
    /// the command runs, and after its end; a wrong size is not worth a failure.
    async fn set_first_size(&self, id: &str, size: TerminalSize) {
        for _ in 0..FIRST_SIZES {
            if self.resize_exec(id, size).await.is_ok() {
                return;
            }
            sleep(BETWEEN_FIRST_SIZES).await;
        }
    }
}

fn sized(call: Call, size: TerminalSize) -> Call {
    call.with("h", size.rows.to_string()).with("w", size.columns.to_string())
}

fn create_body(spec: &ExecSpec, console: Option<TerminalSize>) -> Value {
    let mut body = json!({
        "AttachStdin": spec.stdin,
        "AttachStdout": true,
        "AttachStderr": true,
        "Tty": spec.tty,
        "Cmd": spec.command,
        "Privileged": spec.privileged,
    });
    if !spec.env.is_empty() {
        body["Env"] = json!(spec.env);
    }
    if let Some(user) = &spec.user {
        body["User"] = json!(user);
    }
    if let Some(directory) = &spec.working_dir {
        body["WorkingDir"] = json!(directory);
    }
    if let Some(TerminalSize { columns, rows }) = console {
        body["ConsoleSize"] = json!([rows, columns]);
    }
    body
}
