//! Builds by a Dockerfile with few instructions: what the classic builder prints, and the image at
//! the end. `RUN echo TEXT` prints the text, `RUN exit CODE` fails, `COPY` needs its file, and every
//! other instruction does nothing.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wharf_server::domain::ImageReference;
use wharf_server::engine::ErrorKind;

use super::Model;
use super::content::{ImageContent, digest, string_map};
use super::reference::invalid_reference;
use super::refusal::Refusal;
use super::time::Time;
use super::transfer::Step;

/// What a build is asked for.
#[derive(Debug, Clone, Default)]
pub struct BuildQuery {
    /// Names of the image.
    pub tags: Vec<String>,
    /// Path of the Dockerfile; empty: `Dockerfile`.
    pub dockerfile: String,
    /// JSON object; may be empty.
    pub labels: String,
}

/// A build that can begin.
#[derive(Debug, Clone)]
pub struct BuildPlan {
    /// What the Engine prints; where the build fails, the last line says so.
    pub steps: Vec<Step>,
    effect: Option<(Vec<ImageReference>, Arc<ImageContent>)>,
}

impl Model {
    /// Begins `POST /build`: what fails here fails with a status of its own.
    pub fn begin_build(&self, query: &BuildQuery, archive: &[u8]) -> Result<BuildPlan, Refusal> {
        let invalid = |error| Refusal::bad_request(invalid_reference(&error));
        let tags: Result<Vec<_>, _> =
            query.tags.iter().map(|tag| ImageReference::parse(tag)).collect();
        let tags = tags.map_err(invalid)?.into_iter().map(ImageReference::with_default_tag);
        let files = files(archive)?;
        let name = if query.dockerfile.is_empty() { "Dockerfile" } else { &query.dockerfile };
        let dockerfile = files.get(name).ok_or_else(|| {
            let message = format!("Cannot locate specified Dockerfile: {name}");
            Refusal::new(500, ErrorKind::BuildFailed, message)
        })?;
        let text = String::from_utf8_lossy(dockerfile).into_owned();
        let instructions: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let mut image = ImageContent::builder(&digest(&format!("{files:?}{}", query.labels)));
        let given: Value = serde_json::from_str(&query.labels).unwrap_or_default();
        for (key, value) in string_map(Some(&given)) {
            image = image.label(&key, &value);
        }
        let mut steps = Vec::new();
        let mut say = |line: Value| steps.push(Step { after: Duration::ZERO, line });
        for (index, instruction) in instructions.iter().enumerate() {
            let (number, count) = (index + 1, instructions.len());
            say(json!({"stream": format!("Step {number}/{count} : {instruction}")}));
            say(json!({"stream": "\n"}));
            match self.build_step(instruction, &files) {
                Ok(Some(text)) => say(json!({"stream": text})),
                Ok(None) => {}
                Err((code, message)) => {
                    let detail = json!({"code": code, "message": message});
                    say(json!({"errorDetail": detail, "error": message}));
                    return Ok(BuildPlan { steps, effect: None });
                }
            }
        }
        let content = image.build();
        let id = if self.options.containerd_store { &content.digest } else { &content.config_id };
        say(json!({"aux": {"ID": id}}));
        say(json!({"stream": format!("Successfully built {}\n", &id[7..19])}));
        Ok(BuildPlan { steps, effect: Some((tags.collect(), content)) })
    }

    /// Ends a build: the image is there and has its names.
    pub fn finish_build(&mut self, now: Time, plan: &BuildPlan) {
        let Some((tags, content)) = &plan.effect else { return };
        let id = self.images.add(content);
        for tag in tags {
            self.images.name(&id, tag, now);
        }
    }

    /// What an instruction prints, or its exit code and why it failed.
    fn build_step(
        &self,
        instruction: &str,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Option<String>, (i32, String)> {
        let words: Vec<&str> = instruction.split_whitespace().collect();
        match words[..] {
            ["FROM", image, ..] if self.images.find(image).is_err() => {
                let message = format!(
                    "pull access denied for {image}, repository does not exist or may require 'docker login'"
                );
                Err((0, message))
            }
            ["RUN", "exit", code] => {
                let code: i32 = code.parse().unwrap_or(1);
                let shell = format!("/bin/sh -c exit {code}");
                Err((code, format!("The command '{shell}' returned a non-zero code: {code}")))
            }
            ["RUN", "echo", ..] => Ok(Some(format!("{}\n", words[2..].join(" ")))),
            ["COPY", file, _] if !files.contains_key(file) => {
                let message = format!(
                    "COPY failed: file not found in build context or excluded by .dockerignore: stat {file}: file does not exist"
                );
                Err((0, message))
            }
            _ => Ok(None),
        }
    }
}

/// The files of an archive.
fn files(archive: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, Refusal> {
    let broken =
        |error: std::io::Error| Refusal::new(500, ErrorKind::BuildFailed, error.to_string());
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(broken)?;
        files.insert(path, content);
    }
    Ok(files)
}
