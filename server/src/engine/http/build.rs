//! Builds: the context goes to the Engine while it arrives, and the output comes back line by line
//! under status 200, in which a failure is one line among others.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::HttpEngine;
use super::link::{Call, Link, Opened, bad_answer};
use crate::domain::{ImageName, RegistryLogin};
use crate::engine::build::{
    BuildReader, BuildStep, PLATFORM_SINCE, TARGET_SINCE, explained, failed,
};
use crate::engine::lines::{LineDecoder, LineTooLong};
use crate::engine::operation::{BUILD_IMAGE, LINE_CAP};
use crate::engine::wire::ImageFacts;
use crate::engine::{
    BuildEngine, BuildSink, BuildSpec, Built, EngineDocument, EngineError, ErrorKind, ImageEngine,
    ProgressSink, Result, Upload, registry_auth,
};

#[async_trait]
impl BuildEngine for HttpEngine {
    async fn build_image(
        &self,
        spec: &BuildSpec,
        context: &Upload,
        output: &BuildSink,
        progress: &ProgressSink,
    ) -> Result<Built> {
        if spec.target.is_some() {
            self.link.require(&BUILD_IMAGE, TARGET_SINCE, "the target of a build").await?;
        }
        if spec.platform.is_some() {
            self.link.require(&BUILD_IMAGE, PLATFORM_SINCE, "a build for a platform").await?;
        }
        let id = run(&self.link, spec, context, output, progress).await;
        let id = id.map_err(|error| told(error, &spec.logins))?;
        let image = self.verified(spec, &id).await?;
        Ok(Built { image })
    }
}

impl HttpEngine {
    /// Checks that the image exists and has its names.
    async fn verified(&self, spec: &BuildSpec, id: &str) -> Result<EngineDocument> {
        let name = ImageName::parse(id);
        let name = name.map_err(|error| bad_answer(&BUILD_IMAGE, &error.to_string()))?;
        let image = self.built(&name).await?;
        let built = id_of(&image)?;
        for tag in &spec.tags {
            let tagged = self.built(&ImageName::Reference(tag.clone())).await?;
            if id_of(&tagged)? != built {
                let message = format!(
                    "the image was built as {built}, but {tag} is another one; check whether another \
                     build on this host uses the same name"
                );
                return Err(failed(&message, None));
            }
        }
        Ok(image)
    }

    async fn built(&self, name: &ImageName) -> Result<EngineDocument> {
        self.inspect_image(name).await.map_err(|error| match error.kind {
            // Not IMAGE_NOT_FOUND, which would mean a base image.
            ErrorKind::ImageNotFound => {
                let message = format!(
                    "the Engine reports that it built {name}, but the image does not exist"
                );
                EngineError::new(ErrorKind::BuildFailed, BUILD_IMAGE.name, message)
            }
            _ => error,
        })
    }
}

fn id_of(image: &EngineDocument) -> Result<String> {
    let facts: ImageFacts =
        image.parse().map_err(|error| bad_answer(&BUILD_IMAGE, &error.to_string()))?;
    Ok(facts.id)
}

/// Makes the call and reads its answer to the end; the ID of the image.
async fn run(
    link: &Arc<Link>,
    spec: &BuildSpec,
    context: &Upload,
    output: &BuildSink,
    progress: &ProgressSink,
) -> Result<String> {
    let call = call(spec).with_upload(context);
    link.open(&call, |opened| read(opened, output, progress)).await
}

fn call(spec: &BuildSpec) -> Call {
    // With one for each tag, as Docker's own client sends them. Without `version=2`, the Engine
    // uses its classic builder.
    let mut call = Call::new(&BUILD_IMAGE, &["build"]);
    for tag in &spec.tags {
        call = call.with("t", tag.to_string());
    }
    call = call
        .with("dockerfile", &spec.dockerfile)
        .with_some("buildargs", json(&spec.build_args))
        .with_some("labels", json(&spec.labels))
        .with_some("target", spec.target.as_deref())
        .with_some("platform", spec.platform.as_deref())
        .with_flag("nocache", spec.no_cache)
        .with_flag("pull", spec.pull)
        // A failed step would leave its container.
        .with_flag("rm", true)
        .with_flag("forcerm", true);
    if spec.logins.is_empty() {
        call
    } else {
        call.with_registry_config(registry_auth::configuration(&spec.logins))
    }
}

/// A map as the Engine expects it in a query; none if it is empty.
fn json(map: &std::collections::BTreeMap<String, String>) -> Option<String> {
    let object: Map<String, Value> =
        map.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect();
    (!object.is_empty()).then(|| Value::Object(object).to_string())
}

async fn read(mut opened: Opened, output: &BuildSink, progress: &ProgressSink) -> Result<String> {
    let mut decoder = LineDecoder::new(LINE_CAP);
    let mut reader = BuildReader::default();
    loop {
        let chunk = opened.chunk().await?;
        let mut text = String::new();
        let mut line = |line: &[u8]| match reader.read(line).map_err(Broken::Failed)? {
            BuildStep::Output(more) => {
                text.push_str(&more);
                Ok(())
            }
            BuildStep::Pulling(transfer) => {
                progress.send_replace(transfer);
                Ok(())
            }
            BuildStep::Quiet => Ok(()),
        };
        let ended = chunk.is_none();
        let decoded = match chunk {
            Some(chunk) => decoder.push(&chunk, &mut line),
            None => std::mem::replace(&mut decoder, LineDecoder::new(0)).finish(&mut line),
        };
        // What came before a failure belongs to the output. Nobody reads it if the caller is gone,
        // which ends the build anyway.
        if !text.is_empty() {
            let _ = output.send(text).await;
        }
        decoded.map_err(Broken::into_error)?;
        if ended {
            break;
        }
    }
    if !opened.has_an_end() {
        let message = "the response ended with the connection and may be incomplete; check for an HTTP/1.0 proxy";
        return Err(EngineError::new(ErrorKind::BuildFailed, BUILD_IMAGE.name, message));
    }
    let id = reader.id().map(str::to_owned);
    id.ok_or_else(|| failed("the Engine ended the build without an image", None))
}

/// Why the lines were read no further.
enum Broken {
    Failed(EngineError),
    TooLong(LineTooLong),
}

impl From<LineTooLong> for Broken {
    fn from(error: LineTooLong) -> Self {
        Self::TooLong(error)
    }
}

impl Broken {
    fn into_error(self) -> EngineError {
        match self {
            Self::Failed(error) => error,
            Self::TooLong(error) => {
                EngineError::new(ErrorKind::AnswerTooLarge, BUILD_IMAGE.name, error.to_string())
            }
        }
    }
}

/// The error with the way out and without the secrets of the logins.
fn told(error: EngineError, logins: &[RegistryLogin]) -> EngineError {
    let is_explained = error.http_status.is_none();
    let message = if is_explained { error.message } else { explained(&error.message) };
    let redact = |text, login| registry_auth::redact(text, Some(login));
    EngineError { message: logins.iter().fold(message, redact), ..error }
}
