//! Classifies failed responses of an Engine, by endpoint, status, and message.
//!
//! The only place that examines the texts of Docker, Podman, and registries. Pure; called by the
//! HTTP client for every failed response and for every error line of a transfer. The texts are from
//! Engines 17.12 to 29, Podman 4 and 5, and the distribution registry; statuses alone do not
//! distinguish the cases (a wrong password is a 500).

use serde::Deserialize;

use super::error::shortened;
use super::operation::{Access, Operation, START_CONTAINER, Subject};
use super::{EngineError, ErrorKind};
use crate::domain::is_invisible;

/// Maximum length of a message, in characters: it is sent in the headers of a gRPC response.
const LONGEST_MESSAGE: usize = 2000;
/// Maximum length of a body that no Engine wrote, such as a proxy's page.
const LONGEST_FOREIGN_MESSAGE: usize = 300;

/// The body of a failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// One line, never empty.
    pub message: String,
    /// Whether it was the JSON of an Engine.
    pub from_engine: bool,
}

impl Complaint {
    /// Reads the body of an answer with `status`.
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Body {
            message: Option<String>,
            // Podman puts the cause beside the message, or in old versions only there.
            cause: Option<String>,
        }
        if let Ok(body) = serde_json::from_slice::<Body>(body)
            && let Some(message) = body.message.or(body.cause).map(|text| one_line(&text))
            && !message.is_empty()
        {
            let message = shortened(&message, LONGEST_MESSAGE);
            return Self { message, from_engine: true };
        }
        let text = one_line(&without_markup(&String::from_utf8_lossy(body)));
        let message = if text.is_empty() {
            format!("the answer was status {status} without a message")
        } else {
            shortened(&text, LONGEST_FOREIGN_MESSAGE)
        };
        Self { message, from_engine: false }
    }
}

/// The kind of an answer with a status that is no success.
pub(super) fn classify(operation: &Operation, status: u16, complaint: &Complaint) -> ErrorKind {
    let text = complaint.message.to_lowercase();
    let kind = by_status(operation, status, complaint, &text);
    match (operation.subject, kind) {
        // Advice to log in does not help during a login.
        (Subject::Login, ErrorKind::RegistryAuthRequired) => ErrorKind::LoginRefused,
        // Podman reads the archive before it answers.
        (Subject::Archive, ErrorKind::Engine) if operation.access == Access::Write => {
            ErrorKind::LoadFailed
        }
        _ => kind,
    }
}

fn by_status(operation: &Operation, status: u16, complaint: &Complaint, text: &str) -> ErrorKind {
    let has = |needle: &str| text.contains(needle);
    if matches!(operation.subject, Subject::Transfer | Subject::Build | Subject::Login)
        && let Some(kind) = registry_failure(text)
    {
        return kind;
    }
    match status {
        300..=399 => ErrorKind::BadAnswer,
        400 if has("client sent an http request to an https server") => ErrorKind::Tls,
        400 if is_version_refusal(text) => ErrorKind::NoCommonApiVersion,
        // Before its first step, such as a Dockerfile that cannot be read.
        400 | 500 if operation.subject == Subject::Build => ErrorKind::BuildFailed,
        // The body of a create names an image, a network, a volume that is not there.
        400 | 404 | 409 | 500 => by_text(operation, text).unwrap_or(match status {
            400 => ErrorKind::BadRequest,
            404 => missing(operation, complaint),
            409 => ErrorKind::Conflict,
            _ => ErrorKind::Engine,
        }),
        401 | 403 if has("reserved name") => ErrorKind::BadRequest,
        401 | 403 if has("authorization denied by plugin") => ErrorKind::Forbidden,
        // A network refuses what cannot be: it is in use, predefined, or an address is taken.
        // So does a file system that is read-only.
        403 if (operation.is_of_networks() || operation.is_of_files()) && complaint.from_engine => {
            by_text(operation, text).unwrap_or(ErrorKind::Conflict)
        }
        401 | 403 => match operation.subject {
            Subject::Transfer | Subject::Login => ErrorKind::RegistryAuthRequired,
            _ => ErrorKind::Forbidden,
        },
        405 => ErrorKind::EndpointNotFound,
        429 => match operation.subject {
            Subject::Transfer | Subject::Login => ErrorKind::RegistryRateLimited,
            // No registry is involved: the Engine, or its proxy, is overloaded.
            _ => ErrorKind::Unavailable,
        },
        // A proxy timed out: whether the Engine did it is unknown.
        502 | 504 => match operation.access {
            Access::Read => ErrorKind::Unavailable,
            Access::Write => ErrorKind::ResultUnknown,
        },
        501 => ErrorKind::Unsupported,
        503 => ErrorKind::Unavailable,
        402..=499 => ErrorKind::BadRequest,
        _ => ErrorKind::Engine,
    }
}

/// The kind of an error line in the stream of a transfer or a build.
pub(super) fn classify_line(operation: &Operation, message: &str) -> ErrorKind {
    let registry = match operation.subject {
        Subject::Archive => None,
        _ => registry_failure(&message.to_lowercase()),
    };
    registry.unwrap_or_else(|| operation.failure())
}

/// The text on one line: line ends, tabs, and other control characters become single spaces, and
/// other invisible characters are replaced.
pub(super) fn one_line(text: &str) -> String {
    let spaced = text.replace(char::is_control, " ");
    let words = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    words.replace(is_invisible, "\u{fffd}")
}

/// Whether an Engine refuses the API version in the path: "client version 1.42 is too new.
/// Maximum supported API version is 1.41".
fn is_version_refusal(text: &str) -> bool {
    text.contains("client version") && (text.contains("is too old") || text.contains("is too new"))
}

/// Whether a registry has an image only for other platforms. For a creation, this is about a
/// missing image that can be pulled. The texts are those of Docker, containerd, and Podman.
fn is_foreign_platform(text: &str) -> bool {
    let any = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    any(&[
        "no matching manifest for",
        "no match for platform",
        "does not match the specified platform",
        "does not provide the specified platform",
        "does not match the detected host platform",
        "cannot be used on this platform",
        "no image found in manifest list for architecture",
        "no image found in image index for architecture",
    ])
}

/// The complaint of a registry, which an Engine forwards with any status.
fn registry_failure(text: &str) -> Option<ErrorKind> {
    let any = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    if any(&["toomanyrequests", "too many requests", "rate limit"]) {
        Some(ErrorKind::RegistryRateLimited)
    } else if is_foreign_platform(text) {
        Some(ErrorKind::ForeignPlatform)
    } else if any(&[
        "unauthorized",
        "no basic auth credentials",
        "pull access denied",
        "push access denied",
        "authentication required",
        "authorization failed",
        "requested access to the resource is denied",
        "denied: requested access",
        "access forbidden",
        "incorrect username or password",
        "invalid username/password",
        "invalid username or password",
        "403 forbidden",
    ]) {
        Some(ErrorKind::RegistryAuthRequired)
    } else if any(&[
        "manifest unknown",
        "not found: manifest",
        "manifest for ",
        "name unknown",
        "repository does not exist",
        "repository name not known",
        "no such image",
        "image not known",
        "does not exist locally",
        "tag does not exist",
        "reference does not exist",
    ]) {
        Some(ErrorKind::ImageNotFound)
    } else if any(&[
        "no such host",
        "connection refused",
        "connection reset",
        "no route to host",
        "network is unreachable",
        "dial tcp",
        "server misbehaving",
        "i/o timeout",
        "handshake timeout",
        "client.timeout exceeded",
        "request canceled while waiting for connection",
        "gave http response to https client",
        "x509:",
        "tls: ",
        "received unexpected http status: 5",
        "unexpected status code 5",
        "internal server error",
        "service unavailable",
        "bad gateway",
        "gateway timeout",
        "pinging container registry",
    ]) {
        Some(ErrorKind::RegistryUnavailable)
    } else {
        None
    }
}

/// What the text says more precisely than the status.
fn by_text(operation: &Operation, text: &str) -> Option<ErrorKind> {
    let has = |needle: &str| text.contains(needle);
    let any = |needles: &[&str]| needles.iter().any(|needle| has(needle));
    if operation.is_of_files()
        && let Some(kind) = of_files(text)
    {
        return Some(kind);
    }
    if *operation == START_CONTAINER
        && let Some(kind) = of_commands(text)
    {
        return Some(kind);
    }
    // Podman 4 says "Path /v1.41/distribution/app:v1/json is not supported".
    if has("page not found") || (text.starts_with("path /") && has(" is not supported")) {
        Some(ErrorKind::EndpointNotFound)
    } else if has("removal of container") && has("already in progress") {
        Some(ErrorKind::RemovalInProgress)
    } else if any(&["name", "names"]) && any(&["is already in use", "already in use by"]) {
        // Podman reports it as 500: "the container name "x" is already in use by …".
        Some(ErrorKind::NameInUse)
    } else if any(&["no such container", "no container with name or id"]) {
        Some(ErrorKind::ContainerNotFound)
    } else if any(&["no such image", "image not known", "manifest unknown"]) {
        Some(ErrorKind::ImageNotFound)
    } else if has("sandbox ") && has(" not found") {
        // A rename between two runs of a crash loop, when the container has no network.
        Some(ErrorKind::Conflict)
    } else if any(&["no such network", "network not found"])
        || (has("network ") && has(" not found"))
    {
        Some(ErrorKind::NetworkNotFound)
    } else if has("log driver") && has("cannot read logs") {
        // Podman, where Docker answers 501.
        Some(ErrorKind::Unsupported)
    } else if any(&["no such volume", "volume not found"]) {
        Some(ErrorKind::VolumeNotFound)
    } else if matches!(operation.subject, Subject::Network | Subject::Volume)
        && let Some(kind) = of_networks_and_volumes(text)
    {
        Some(kind)
    } else if operation.subject == Subject::Container
        && any(&[
            "is not running",
            "is not paused",
            "is already paused",
            "can only kill running containers",
            "container state improper",
            "is paused",
        ])
    {
        Some(ErrorKind::Conflict)
    } else if any(&[
        "strconv.",
        "json: cannot unmarshal",
        "cannot unmarshal",
        "invalid reference format",
        "repository name must be lowercase",
        "invalid volume spec",
        "invalid mount config",
        "invalid character",
    ]) {
        Some(ErrorKind::BadRequest)
    } else {
        None
    }
}

/// What runc and crun say of a program that they cannot execute; Docker reports it as 400, Podman as
/// 500.
fn of_commands(text: &str) -> Option<ErrorKind> {
    let any = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    // Mounts have the same problems.
    if !any(&["exec: ", "executable", "attempted to invoke a command"]) {
        None
    } else if any(&["not found", "no such file or directory"]) {
        Some(ErrorKind::CommandNotFound)
    } else if any(&["permission denied", "is a directory", "exec format error"]) {
        Some(ErrorKind::CommandNotExecutable)
    } else {
        None
    }
}

/// What Docker and Podman say of files in containers, with any status.
fn of_files(text: &str) -> Option<ErrorKind> {
    let any = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    if any(&["could not find the file", "no such file or directory"])
        || text.contains("lstat ") && text.contains("not a directory")
    {
        Some(ErrorKind::PathNotFound)
    } else if any(&["marked read-only", "read-only file system"]) {
        Some(ErrorKind::Conflict)
    } else if any(&["not a directory", "cannot overwrite", "invalid tar header", "unexpected eof"])
    {
        Some(ErrorKind::BadRequest)
    } else {
        None
    }
}

/// What Docker and Podman say of networks and volumes.
fn of_networks_and_volumes(text: &str) -> Option<ErrorKind> {
    let any = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    if any(&["plugin"]) && any(&["not found", "missing"]) || text.contains("unsupported driver") {
        // "could not find plugin x in v1 plugin registry: plugin not found"
        Some(ErrorKind::Unsupported)
    } else if any(&[
        "has active endpoints",
        "network is being used",
        "volume is in use",
        "volume is being used",
        "is ambiguous",
        "pre-defined network",
        "predefined",
        "cannot be removed",
        "overlap",
        "already used on the host",
    ]) {
        Some(ErrorKind::Conflict)
    } else if any(&["already exists", "already used", "must be unique", "is already in use"]) {
        Some(ErrorKind::NameInUse)
    } else if any(&["invalid argument", "invalid subnet", "invalid network"]) {
        // Podman reports them as 500.
        Some(ErrorKind::BadRequest)
    } else {
        None
    }
}

/// The subject of a 404 without a specific text.
fn missing(operation: &Operation, complaint: &Complaint) -> ErrorKind {
    if !complaint.from_engine {
        // A proxy's page, or Podman's plain text for a route it does not have.
        return ErrorKind::EndpointNotFound;
    }
    match operation.subject {
        Subject::System | Subject::Login | Subject::Build => ErrorKind::EndpointNotFound,
        Subject::Image | Subject::Transfer | Subject::Archive | Subject::Creation => {
            ErrorKind::ImageNotFound
        }
        Subject::Container => ErrorKind::ContainerNotFound,
        Subject::Network => ErrorKind::NetworkNotFound,
        Subject::Volume => ErrorKind::VolumeNotFound,
    }
}

impl EngineError {
    /// Whether a container was not started because another process, or a container on its way out,
    /// has a port of it: "Bind for 0.0.0.0:80 failed: port is already allocated".
    pub fn is_port_in_use(&self) -> bool {
        ["port is already allocated", "address already in use"]
            .iter()
            .any(|text| self.message.contains(text))
    }

    /// Whether a container is in the network already: "endpoint with name web already exists in
    /// network front", as 403 or 500.
    pub(super) fn is_connected_already(&self) -> bool {
        self.message.contains("already exists in network")
    }

    /// Whether a container is not in the network that it is to be taken from: "container web is not
    /// connected to network front".
    pub(super) fn is_not_connected(&self) -> bool {
        self.message.contains("is not connected to")
    }
}

/// An HTML page without its tags; other text unchanged.
fn without_markup(text: &str) -> String {
    let start = text.trim_start().get(..5).unwrap_or_default().to_ascii_lowercase();
    if !(start.starts_with("<html") || start.starts_with("<!doc")) {
        return text.to_owned();
    }
    let mut plain = String::new();
    let mut in_tag = false;
    for character in text.chars() {
        match character {
            '<' => in_tag = true,
            '>' => {
                in_tag = false;
                plain.push(' ');
            }
            _ if !in_tag => plain.push(character),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
#[path = "classify/tests.rs"]
mod tests;
