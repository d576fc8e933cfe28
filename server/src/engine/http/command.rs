//! Commands in containers, and the last lines of logs: responses that are streams of frames, of
//! which only the end is kept.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::link::{Call, Link, bad_answer};
use crate::domain::ContainerRef;
use crate::engine::frames::{last_frames, without_frames};
use crate::engine::operation::{CONTAINER_LOGS, CREATE_EXEC, INSPECT_EXEC, START_EXEC};
use crate::engine::wire::engine_id;
use crate::engine::{CommandResult, ErrorKind, Result};

/// Bytes of a command's output to keep: enough for any error message that people read.
const OUTPUT_KEPT: usize = 16 << 10;
/// Bytes of a log to keep.
const LOG_KEPT: usize = 256 << 10;
/// Bytes of one line to keep.
const LINE_KEPT: usize = 4096;
/// Bytes beyond the limit to read before the start is dropped.
const SLACK: usize = 64 << 10;

#[derive(Deserialize)]
pub(super) struct Made {
    #[serde(rename = "Id", deserialize_with = "engine_id")]
    pub(super) id: String,
}

/// What an Engine says of a command.
#[derive(Deserialize)]
pub(super) struct CommandState {
    #[serde(rename = "Running", default)]
    pub(super) running: bool,
    #[serde(rename = "ExitCode")]
    pub(super) exit_code: Option<i64>,
}

pub(super) async fn run(
    link: &Arc<Link>,
    container: &ContainerRef,
    command: &[String],
) -> Result<CommandResult> {
    let body = json!({ "AttachStdout": true, "AttachStderr": true, "Cmd": command });
    let create = Call::new(&CREATE_EXEC, &["containers", container.as_str(), "exec"])
        .with_json(body.to_string());
    let Made { id } = link.send(create).await?.json().await?;
    // Without a body the Engine refuses the start.
    let start = Call::new(&START_EXEC, &["exec", &id, "start"])
        .with_json(json!({ "Detach": false, "Tty": false }).to_string());
    let output = tail(link, &start, OUTPUT_KEPT).await?;
    let inspect = Call::new(&INSPECT_EXEC, &["exec", &id, "json"]);
    let CommandState { exit_code, .. } = link.send(inspect).await?.json().await?;
    let exit_code = exit_code
        .ok_or_else(|| bad_answer(&INSPECT_EXEC, "the command ended without an exit code"))?;
    Ok(CommandResult { exit_code, output: String::from_utf8_lossy(&output).into_owned() })
}

pub(super) async fn log_tail(
    link: &Arc<Link>,
    container: &ContainerRef,
    lines: u32,
) -> Result<Vec<String>> {
    let call = Call::new(&CONTAINER_LOGS, &["containers", container.as_str(), "logs"])
        .with_flag("stdout", true)
        .with_flag("stderr", true)
        .with("tail", lines.to_string());
    let bytes = match tail(link, &call, LOG_KEPT).await {
        Ok(bytes) => bytes,
        // Drivers such as `none` and `syslog` cannot be read.
        Err(error) if matches!(error.kind, ErrorKind::Unsupported | ErrorKind::Engine) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut kept: Vec<String> =
        text.lines().map(|line| line.chars().take(LINE_KEPT).collect()).collect();
    let surplus = kept.len().saturating_sub(lines as usize);
    kept.drain(..surplus);
    Ok(kept)
}

/// The end of an answer that is a stream of frames.
async fn tail(link: &Arc<Link>, call: &Call, keep: usize) -> Result<Vec<u8>> {
    link.open(call, |mut opened| async move {
        let mut bytes = Vec::new();
        while let Some(chunk) = opened.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > keep + SLACK {
                bytes = last_frames(&bytes, keep);
            }
        }
        let mut plain = without_frames(&bytes);
        let surplus = plain.len().saturating_sub(keep);
        plain.drain(..surplus);
        Ok(plain)
    })
    .await
}
