//! Pulls and pushes: JSON lines under status 200, in which a failure is one line among
//! others.
//!
//! A transfer succeeded only if the status is a success, every line is JSON and none reports an an
//! error, the response is complete according to its framing, and (for a pull) the image exists.

use std::sync::Arc;

use super::HttpEngine;
use super::link::{Call, Link};
use super::link::{Opened, bad_answer};
use crate::domain::{Digest, ImageName, ImageReference, RegistryLogin};
use crate::engine::classify::classify_line;
use crate::engine::lines::{LineDecoder, LineTooLong};
use crate::engine::operation::{INSPECT_DISTRIBUTION, LINE_CAP, Operation, PULL_IMAGE, PUSH_IMAGE};
use crate::engine::progress::{Progress, Step};
use crate::engine::{
    ApiVersion, EngineDocument, EngineError, ErrorKind, ImageEngine, Platform, ProgressSink,
    Pulled, Pushed, RemoteImage, Result, registry_auth, wire,
};

/// The API version that brought `platform` to pulls.
const PLATFORM_SINCE: ApiVersion = ApiVersion::new(1, 32);
/// The API version that brought questions to registries.
const DISTRIBUTION_SINCE: ApiVersion = ApiVersion::new(1, 30);
/// The types of an index of several platforms, by OCI and by Docker.
const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

pub(super) async fn pull(
    engine: &HttpEngine,
    reference: &ImageReference,
    platform: Option<&str>,
    login: Option<&RegistryLogin>,
    progress: &ProgressSink,
) -> Result<Pulled> {
    check_login(&PULL_IMAGE, reference, login)?;
    if platform.is_some() {
        engine.link.require(&PULL_IMAGE, PLATFORM_SINCE, "a pull for a platform").await?;
    }
    let parameters = reference.engine_pull_params();
    let mut call = Call::new(&PULL_IMAGE, &["images", "create"])
        .with("fromImage", parameters.from_image)
        .with("tag", parameters.tag)
        .with_some("platform", platform);
    if login.is_some() {
        call = call.with_registry_auth(registry_auth::header(login));
    }
    let end = transfer(&engine.link, &call, login, progress).await?;
    let image = arrived(engine, reference).await?;
    if let Some(platform) = platform {
        check_platform(&image, platform)?;
    }
    Ok(Pulled { digest: end.digest(), newer: end.newer(), image })
}

pub(super) async fn push(
    link: &Arc<Link>,
    reference: &ImageReference,
    login: Option<&RegistryLogin>,
    progress: &ProgressSink,
) -> Result<Pushed> {
    check_login(&PUSH_IMAGE, reference, login)?;
    if reference.digest().is_some() {
        return Err(EngineError::new(
            ErrorKind::BadRequest,
            PUSH_IMAGE.name,
            format!("{reference} has a digest, but only tags can be pushed; remove the digest"),
        ));
    }
    let repository = reference.repository();
    let mut segments = vec!["images"];
    segments.extend(repository.split('/'));
    segments.push("push");
    // Without a tag the Engine would push every tag of the repository.
    let call = Call::new(&PUSH_IMAGE, &segments)
        .with("tag", reference.tag().unwrap_or("latest"))
        .with_registry_auth(registry_auth::header(login));
    let end = transfer(link, &call, login, progress).await?;
    Ok(Pushed { digest: end.digest(), size: end.pushed_size().unwrap_or(0) })
}

/// Queries the registry, through the Engine, for the digest of a reference.
pub(super) async fn resolve(
    link: &Arc<Link>,
    reference: &ImageReference,
    login: Option<&RegistryLogin>,
) -> Result<RemoteImage> {
    check_login(&INSPECT_DISTRIBUTION, reference, login)?;
    link.require(&INSPECT_DISTRIBUTION, DISTRIBUTION_SINCE, "asking the registry for a digest")
        .await?;
    let name = reference.clone().with_default_tag().to_string();
    let mut segments = vec!["distribution"];
    segments.extend(name.split('/'));
    segments.push("json");
    let mut call = Call::new(&INSPECT_DISTRIBUTION, &segments);
    if login.is_some() {
        call = call.with_registry_auth(registry_auth::header(login));
    }
    let found: wire::Distribution = link.send(call).await?.json().await?;
    let digest = Digest::parse(&found.descriptor.digest)
        .map_err(|error| bad_answer(&INSPECT_DISTRIBUTION, &error.to_string()))?;
    let platforms = found
        .platforms
        .into_iter()
        .map(|found| Platform { os: found.os, architecture: found.architecture })
        .collect();
    let is_index = INDEXES.contains(&found.descriptor.media_type.as_str());
    Ok(RemoteImage { digest, is_index, platforms })
}

/// Makes a call with progress lines as response, and reads it to its end.
async fn transfer(
    link: &Arc<Link>,
    call: &Call,
    login: Option<&RegistryLogin>,
    sink: &ProgressSink,
) -> Result<Progress> {
    let progress = link.open(call, |opened| read_progress(opened, sink)).await;
    progress.map_err(|error| EngineError {
        message: registry_auth::redact(error.message, login),
        ..error
    })
}

/// Reads progress lines to their end. An error among them, or a missing end, is an error.
pub(super) async fn read_progress(mut opened: Opened, sink: &ProgressSink) -> Result<Progress> {
    let (operation, report) = (opened.operation, opened.link.report);
    let mut decoder = LineDecoder::new(LINE_CAP);
    let mut progress = Progress::default();
    let mut read = |line: &[u8]| match progress.read(line) {
        Ok(Step::Moved) => {
            sink.send_replace(progress.transfer());
            Ok(())
        }
        Ok(Step::Failed(message)) => Err(Broken::Reported(message)),
        Err(error) => Err(Broken::NoJson(error.to_string())),
    };
    let mut left = report;
    while let Some(chunk) = opened.chunk().await? {
        left = left.checked_sub(chunk.len() as u64).ok_or_else(|| {
            let message = format!("the Engine reported more than {report} bytes of it");
            EngineError::new(ErrorKind::AnswerTooLarge, operation.name, message)
        })?;
        decoder.push(&chunk, &mut read).map_err(|broken| broken.into_error(operation))?;
    }
    decoder.finish(&mut read).map_err(|broken| broken.into_error(operation))?;
    if opened.has_an_end() {
        Ok(progress)
    } else {
        let message = "the response ended with the connection and may be incomplete; check for an HTTP/1.0 proxy";
        Err(EngineError::new(operation.failure(), operation.name, message))
    }
}

/// Why the lines of a transfer were read no further.
enum Broken {
    Reported(String),
    NoJson(String),
    TooLong(LineTooLong),
}

impl From<LineTooLong> for Broken {
    fn from(error: LineTooLong) -> Self {
        Self::TooLong(error)
    }
}

impl Broken {
    fn into_error(self, operation: &Operation) -> EngineError {
        match self {
            Self::Reported(message) => {
                EngineError::new(classify_line(operation, &message), operation.name, message)
            }
            Self::NoJson(problem) => bad_answer(operation, &problem),
            Self::TooLong(error) => {
                EngineError::new(ErrorKind::AnswerTooLarge, operation.name, error.to_string())
            }
        }
    }
}

/// Checks whether the image exists; one that was pulled by digest also gets its tag, which the
/// Engine does not set in that case.
async fn arrived(engine: &HttpEngine, reference: &ImageReference) -> Result<EngineDocument> {
    look(engine, reference).await.map_err(|error| match error.kind {
        // Not IMAGE_NOT_FOUND, which would mean that the registry does not have it.
        ErrorKind::ImageNotFound => EngineError::new(
            ErrorKind::PullFailed,
            PULL_IMAGE.name,
            format!("the Engine reports that it pulled {reference}, but the image does not exist"),
        ),
        _ => error,
    })
}

async fn look(engine: &HttpEngine, reference: &ImageReference) -> Result<EngineDocument> {
    let Some(digest) = reference.digest() else {
        let name = ImageName::Reference(reference.clone().with_default_tag());
        return engine.inspect_image(&name).await;
    };
    let by_digest = format!("{}@{digest}", reference.repository());
    let by_digest = ImageName::parse(&by_digest)
        .map_err(|error| bad_answer(&PULL_IMAGE, &error.to_string()))?;
    if let Some(tag) = reference.tag() {
        let tagged =
            reference.with_tag(tag).map_err(|error| bad_answer(&PULL_IMAGE, &error.to_string()))?;
        engine.tag_image(&by_digest, &tagged).await?;
    }
    engine.inspect_image(&by_digest).await
}

/// Credentials are sent only to their own registry.
fn check_login(
    operation: &Operation,
    reference: &ImageReference,
    login: Option<&RegistryLogin>,
) -> Result<()> {
    match login {
        Some(login) if *login.registry() != reference.registry() => Err(EngineError::new(
            ErrorKind::BadRequest,
            operation.name,
            format!(
                "the login is for {}, but the image is in {}; nothing was sent",
                login.registry(),
                reference.registry()
            ),
        )),
        _ => Ok(()),
    }
}

/// Engines silently pull a single-platform image even if another platform was requested.
fn check_platform(image: &EngineDocument, platform: &str) -> Result<()> {
    let facts: wire::ImageFacts =
        image.parse().map_err(|error| bad_answer(&PULL_IMAGE, &error.to_string()))?;
    // The containerd store keeps several platforms under one name and shows its own first.
    let of_containerd = facts.is_in_containerd();
    let (os, architecture) = parts(platform);
    let differs = |wanted: Option<&str>, found: &str| {
        wanted.is_some_and(|wanted| !found.is_empty() && canonical(wanted) != canonical(found))
    };
    if !of_containerd && (differs(os, &facts.os) || differs(architecture, &facts.architecture)) {
        return Err(EngineError::new(
            ErrorKind::ForeignPlatform,
            PULL_IMAGE.name,
            format!(
                "the registry has this image for {}/{}, not for {platform}; it was pulled anyway",
                facts.os, facts.architecture
            ),
        ));
    }
    Ok(())
}

/// Operating system and architecture of `os/arch[/variant]`, or of `os` or `arch` alone.
fn parts(platform: &str) -> (Option<&str>, Option<&str>) {
    match platform.split_once('/') {
        Some((os, rest)) => (Some(os), rest.split('/').next()),
        None if matches!(platform, "linux" | "windows" | "darwin" | "freebsd") => {
            (Some(platform), None)
        }
        None => (None, Some(platform)),
    }
}

/// Docker's name for an architecture that has several.
fn canonical(name: &str) -> &str {
    match name {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "armhf" | "armel" => "arm",
        "i386" | "i686" => "386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RegistryHost, Secret};

    fn image(os: &str, architecture: &str, digests: &str) -> EngineDocument {
        let json = format!(
            r#"{{"Id":"sha256:1","Os":"{os}","Architecture":"{architecture}","RepoDigests":{digests}}}"#
        );
        EngineDocument { json, api_version: ApiVersion::new(1, 41) }
    }

    #[test]
    fn another_platform_than_the_one_asked_for_is_an_error() {
        let amd64 = image("linux", "amd64", "null");
        for platform in ["linux/amd64", "linux/x86_64", "amd64", "linux", "linux/amd64/v2"] {
            assert!(check_platform(&amd64, platform).is_ok(), "{platform}");
        }
        for platform in ["linux/arm64", "arm64", "windows/amd64", "windows"] {
            let error = check_platform(&amd64, platform).unwrap_err();
            assert_eq!(error.kind, ErrorKind::ForeignPlatform);
            assert!(error.message.contains("linux/amd64"), "{}", error.message);
        }
        assert!(check_platform(&image("", "", "[]"), "linux/arm64").is_ok());
        let containerd = image("linux", "amd64", r#"["app@sha256:1"]"#);
        assert!(check_platform(&containerd, "linux/arm64").is_ok());
    }

    #[test]
    fn credentials_go_to_their_own_registry_only() {
        let login = |registry: &str| {
            let registry = RegistryHost::parse(registry).unwrap();
            RegistryLogin::new(registry, "ann", Secret::new("hunter2"), Secret::new("")).unwrap()
        };
        let image = ImageReference::parse("r.io:5000/app").unwrap();
        assert!(check_login(&PULL_IMAGE, &image, None).is_ok());
        assert!(check_login(&PULL_IMAGE, &image, Some(&login("r.io:5000"))).is_ok());
        let error = check_login(&PULL_IMAGE, &image, Some(&login("r.io"))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadRequest);
        assert!(!error.to_string().contains("hunter2"));
        let hub = ImageReference::parse("team/app").unwrap();
        assert!(check_login(&PULL_IMAGE, &hub, Some(&login("index.docker.io"))).is_ok());
    }
}
