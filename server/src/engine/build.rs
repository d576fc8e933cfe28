//! Builds of images: what to build, and what the lines of an Engine's answer mean. Pure; fed by the
//! HTTP client.
//!
//! The classic builder answers 200 before the first step, so a build that fails is one line among
//! others. Docker reports the exit code of a failed command beside the text, Podman only in it.

use std::collections::BTreeMap;

use serde::Deserialize;
use tokio::sync::mpsc;

use super::classify::{classify_line, one_line};
use super::operation::BUILD_IMAGE;
use super::progress::{Progress, Step};
use super::{ApiVersion, EngineDocument, EngineError, ErrorKind, Transfer};
use crate::domain::{ImageReference, RegistryLogin};

/// Characters of the last output of a failed step that its error repeats.
const LAST_OUTPUT: usize = 600;
/// Characters of the instruction that the error of a step repeats.
const LONGEST_STEP: usize = 200;

/// The API version that brought `target`.
pub(super) const TARGET_SINCE: ApiVersion = ApiVersion::new(1, 29);
/// The API version that brought `platform`.
pub(super) const PLATFORM_SINCE: ApiVersion = ApiVersion::new(1, 32);

/// What to build from a context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildSpec {
    /// Names for the image, each with a tag.
    pub tags: Vec<ImageReference>,
    /// Path of the Dockerfile in the context.
    pub dockerfile: String,
    /// Values for `ARG`.
    pub build_args: BTreeMap<String, String>,
    /// The stage to build; the last one by default.
    pub target: Option<String>,
    /// Such as `linux/arm64`.
    pub platform: Option<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Whether to run every step again.
    pub no_cache: bool,
    /// Whether to pull base images that are there.
    pub pull: bool,
    /// For the registries of base images, at most one each.
    pub logins: Vec<RegistryLogin>,
}

/// Where the output of a build goes, as text with its line ends. Waiting for room in it is what
/// slows down the Engine.
pub type BuildSink = mpsc::Sender<String>;

/// A build that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The inspection of the image.
    pub image: EngineDocument,
}

/// Reads the lines of one build in their order.
#[derive(Debug, Default)]
pub(super) struct BuildReader {
    pulls: Progress,
    id: Option<String>,
    short_id: Option<String>,
    /// The step in progress, such as `Step 2/3 : RUN make`.
    step: String,
    /// What it wrote last.
    last: String,
}

/// What a line adds.
#[derive(Debug, PartialEq)]
pub(super) enum BuildStep {
    /// Output of the build.
    Output(String),
    /// A base image is being pulled.
    Pulling(Transfer),
    /// Nothing to show.
    Quiet,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stream: Option<String>,
    status: Option<String>,
    aux: Option<Aux>,
    error_detail: Option<ErrorDetail>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Aux {
    #[serde(rename = "ID")]
    id: Option<String>,
}

#[derive(Deserialize)]
struct ErrorDetail {
    code: Option<i32>,
    message: Option<String>,
}

impl BuildReader {
    /// Adds the next line; an error if it is not valid or says that the build failed.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<BuildStep, EngineError> {
        let invalid = |error: serde_json::Error| {
            let message = format!("the response is not valid for a Docker Engine: {error}");
            EngineError::new(ErrorKind::BadAnswer, BUILD_IMAGE.name, message)
        };
        let line: Line = serde_json::from_slice(bytes).map_err(invalid)?;
        if let Some(error) = self.failure(&line) {
            return Err(error);
        }
        if let Some(id) = line.aux.and_then(|aux| aux.id) {
            self.id = Some(id);
        }
        if let Some(text) = line.stream {
            self.note(&text);
            return Ok(if text.is_empty() { BuildStep::Quiet } else { BuildStep::Output(text) });
        }
        if line.status.is_some() {
            return match self.pulls.read(bytes).map_err(invalid)? {
                Step::Moved => Ok(BuildStep::Pulling(self.pulls.transfer())),
                Step::Failed(message) => Err(failed(&message, None)),
            };
        }
        Ok(BuildStep::Quiet)
    }

    /// The ID of the image, in full or short; none if the Engine reported none.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref().or(self.short_id.as_deref())
    }

    fn failure(&self, line: &Line) -> Option<EngineError> {
        let (code, message) = match (&line.error_detail, &line.error) {
            (Some(ErrorDetail { code, message: Some(message) }), _) => (*code, message.as_str()),
            (detail, Some(message)) => (detail.as_ref().and_then(|it| it.code), message.as_str()),
            (Some(ErrorDetail { code, message: None }), None) => (*code, "no reason given"),
            (None, None) => return None,
        };
        let message = one_line(message);
        let code = code.filter(|code| *code != 0).or_else(|| exit_code(&message));
        let last = one_line(&without_escapes(&self.last));
        let text = match (code, self.step.is_empty(), last.is_empty()) {
            (Some(_), false, false) => {
                format!("{message}, in \"{}\", after it wrote: {last}", self.step)
            }
            (Some(_), false, true) => format!("{message}, in \"{}\"", self.step),
            _ => message.clone(),
        };
        let mut error = failed(&message, code);
        error.message = EngineError::new(error.kind, error.operation, explained(&text)).message;
        Some(error)
    }

    /// Remembers the step in progress and the end of its output.
    fn note(&mut self, text: &str) {
        for line in text.lines() {
            if let Some(id) = line.strip_prefix("Successfully built ") {
                self.short_id = Some(id.trim().to_owned());
            }
            if is_step(line) {
                self.step = one_line(line).chars().take(LONGEST_STEP).collect();
                self.last.clear();
                continue;
            }
            // Of the builder, not of the command: the container and the layer of the step.
            let of_builder = [" ---> ", "--> ", "Removing intermediate container "];
            if !of_builder.iter().any(|start| line.starts_with(start)) {
                self.last.push_str(line);
                self.last.push(' ');
            }
        }
        let surplus = self.last.chars().count().saturating_sub(LAST_OUTPUT);
        if surplus > 0 {
            self.last = self.last.chars().skip(surplus).collect();
        }
    }
}

/// Whether a line begins a step: `Step 2/3 : RUN make`, or with Podman `STEP 2/3: RUN make`, which has
/// its stage in front if there are several: `[1/2] STEP 2/3: RUN make`.
fn is_step(line: &str) -> bool {
    let of_stage = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    let line = of_stage.map_or(line, |(_, line)| line);
    let rest = line.strip_prefix("Step ").or_else(|| line.strip_prefix("STEP "));
    let number = rest.and_then(|rest| rest.split_once('/')).map(|(number, _)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The error of a build, with the exit code of a command if there is one.
pub(super) fn failed(message: &str, exit_code: Option<i32>) -> EngineError {
    // The message of a failed command repeats the command, which can have any text.
    let kind = match exit_code {
        Some(_) => ErrorKind::BuildFailed,
        None => classify_line(&BUILD_IMAGE, message),
    };
    EngineError { exit_code, ..EngineError::new(kind, BUILD_IMAGE.name, message) }
}

/// The message with the way out, if the builder lacks what the Dockerfile uses.
pub(super) fn explained(message: &str) -> String {
    let lower = message.to_lowercase();
    let needs = ["buildkit", "heredoc", "here-document", "here document"];
    if !needs.iter().any(|needle| lower.contains(needle)) {
        return message.to_owned();
    }
    format!(
        "{}; Wharf builds with the Engine's classic builder, without BuildKit: change the Dockerfile, \
         or build it with docker buildx and push the image",
        message.trim_end_matches('.')
    )
}

/// The exit code of a command in the text of Podman: "… while running runtime: exit status 7".
fn exit_code(message: &str) -> Option<i32> {
    let (_, code) = message.rsplit_once("exit status ")?;
    let digits = code.find(|c: char| !c.is_ascii_digit()).unwrap_or(code.len());
    code[..digits].parse().ok().filter(|code| *code != 0)
}

/// The text without the colours that the builder puts around what a command writes to its standard
/// error.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..start]);
        let sequence = &rest[start + 2..];
        let end =
            sequence.find(|c: char| c.is_ascii_alphabetic()).map_or(sequence.len(), |at| at + 1);
        rest = &sequence[end..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests;
