//! The audit log: one line for every call that changes something or is refused, written when it
//! ends. Input of a session has one only if it fails. Its fields are stable:
//!
//! `principal`, `peer`, `method`, `outcome` (a gRPC code, or `CALLER_GONE` if the caller
//! disconnected), `reason` (see docs/errors.md), `subject` (set by the service), `elapsed_ms`, and
//! `suppressed`, the number of suppressed lines of refusals before this one.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo, UdsConnectInfo};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::throttle::Source;
use super::trailers::read_trailers;

/// Maximum length of a method path in a line, in bytes: callers choose it.
const LONGEST_METHOD: usize = 120;

/// The origin of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Address(SocketAddr),
    /// Over a unix socket.
    Process {
        /// Its user.
        uid: u32,
        /// Its number, if the system provides it.
        pid: Option<i32>,
    },
    /// The system does not provide it.
    Unknown,
}

/// The subject of a call, set by its service.
#[derive(Debug, Clone, Default)]
pub struct Subject(Arc<Mutex<String>>);

/// Writes the line of a call when it has ended, or is dropped.
#[derive(Debug)]
pub struct Record {
    /// `None` when it is written.
    entry: Option<Entry>,
    /// Whether only a failure has a line.
    only_failures: bool,
}

/// What is known about a call before it ends.
#[derive(Debug)]
pub struct Entry {
    /// The caller.
    pub principal: String,
    /// The origin.
    pub peer: Peer,
    /// The path of the method.
    pub method: String,
    /// The subject.
    pub subject: Subject,
    /// When it began.
    pub begun: Instant,
}

impl Peer {
    /// The peer of a request, according to the listener.
    pub fn of<B>(request: &http::Request<B>) -> Self {
        let extensions = request.extensions();
        if let Some(info) = extensions.get::<UdsConnectInfo>() {
            return info
                .peer_cred
                .map_or(Self::Unknown, |peer| Self::Process { uid: peer.uid(), pid: peer.pid() });
        }
        let tcp = extensions.get::<TcpConnectInfo>();
        let tls = extensions.get::<TlsConnectInfo<TcpConnectInfo>>();
        let address =
            tcp.or_else(|| tls.map(TlsConnectInfo::get_ref)).and_then(TcpConnectInfo::remote_addr);
        address.map_or(Self::Unknown, Self::Address)
    }

    /// Whose refusals are counted together with its own.
    pub fn source(&self) -> Source {
        match self {
            Self::Address(address) => Source::of(address.ip()),
            Self::Process { .. } | Self::Unknown => Source::Local,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(formatter, "{address}"),
            Self::Process { uid, pid: Some(pid) } => write!(formatter, "pid:{pid},uid:{uid}"),
            Self::Process { uid, pid: None } => write!(formatter, "uid:{uid}"),
            Self::Unknown => formatter.write_str("unknown"),
        }
    }
}

impl Subject {
    /// The subject of a request that passed the layer.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// Sets the subject of the call, such as `host=web1`. No secrets.
    pub fn say(&self, what: impl fmt::Display) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what.to_string();
    }

    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Entry {
    /// That of a request.
    pub fn of<B>(request: &http::Request<B>, peer: Peer, principal: String) -> Self {
        let (method, subject) = (request.uri().path().to_owned(), Subject::default());
        Self { principal, peer, method, subject, begun: Instant::now() }
    }

    /// Writes the line of a refused call. `suppressed`: number of suppressed lines before it.
    pub fn refused(self, outcome: &str, reason: &str, suppressed: u64) {
        self.write(outcome, reason, suppressed);
    }

    fn write(&self, outcome: &str, reason: &str, suppressed: u64) {
        let elapsed_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (peer, subject) = (self.peer.to_string(), self.subject.take());
        let cut = self.method.char_indices().nth(LONGEST_METHOD).map(|(end, _)| end);
        // As texts, which are quoted in the line: no name can forge a field.
        tracing::info!(
            principal = self.principal.as_str(),
            peer = peer.as_str(),
            method = &self.method[..cut.unwrap_or(self.method.len())],
            outcome,
            reason,
            subject = subject.as_str(),
            elapsed_ms,
            suppressed,
            "audit"
        );
    }
}

impl Record {
    /// Starts the record of a call. With `only_failures`, one that succeeds, or whose caller goes, has
    /// no line.
    pub fn begin(entry: Entry, only_failures: bool) -> Self {
        Self { entry: Some(entry), only_failures }
    }

    /// Follows an answer to its end.
    pub fn follow(mut self, response: http::Response<Body>) -> http::Response<Body> {
        if self.end(response.headers()) {
            return response;
        }
        response.map(|body| {
            read_trailers(body, move |trailers| {
                self.end(trailers);
            })
        })
    }

    /// Writes the line once the headers or trailers of a response contain the result.
    fn end(&mut self, headers: &HeaderMap) -> bool {
        let Some(status) = Status::from_header_map(headers) else { return false };
        if let Some(entry) = self.entry.take()
            && !(self.only_failures && status.code() == Code::Ok)
        {
            let info = status.get_details_error_info();
            let reason = info.as_ref().map(|info| info.reason.as_str()).unwrap_or_default();
            entry.write(name(status.code()), reason, 0);
        }
        true
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take()
            && !self.only_failures
        {
            entry.write("CALLER_GONE", "", 0);
        }
    }
}

/// The name of a code as the contract writes it.
pub fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
