//! Authentication and authorization. A layer around all services, because only here is the method
//! path known while the response can still be sent before any handler runs.
//!
//! The file mode of a unix socket decides who can connect, and the peer's uid names the caller.
//! Over TLS, a client certificate (CN is the name, O such as `wharf:operator` the role) or a bearer
//! token is the credential. Health checks are open to everyone who can connect, and reflection to
//! every known caller; everything else requires the role in the contract. Requests that are not
//! gRPC are refused before that: any web page can make a browser send a form or a text with the
//! user's client certificate, but not gRPC's content type. The same applies to requests with a
//! wrong host name or from a foreign origin ([`origin`](super::origin)).
//!
//! Every refusal and every call that changes something has a line in the [`super::audit`] log, but
//! input of a session only if it fails, because each key is a call;
//! repeated wrong credentials are throttled ([`throttle`](super::throttle)).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::CertificateDer;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tower::{Layer, Service};

use super::audit::{self, Entry, Peer, Record};
use super::methods::{Method, Methods};
use super::origin::WebAccess;
use super::problem::Problem;
use super::throttle::{Held, Throttle};
use crate::domain::{Reason, Role};

/// The caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The name.
    pub identity: Identity,
    /// The role.
    pub role: Role,
}

/// How a caller is identified. The kind is part of the displayed and stored name, because the
/// issuer of certificates chooses the CN, which may be `uid:0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// `uid:1000`: a user of this machine, over a unix socket.
    Uid(u32),
    /// `unix`: over a unix socket whose peer is unknown.
    Unix,
    /// `cert:ann`: the CN of a client certificate.
    Certificate(String),
    /// `token:ci`: the name of a token.
    Token(String),
    /// `anonymous`: over plain TCP for everybody.
    Anonymous,
}

/// How callers of a listener are authenticated.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everyone whom the socket's mode admits.
    UnixSocket,
    /// Everybody; plain TCP that the operator opened expressly.
    Everybody,
    /// By client certificate or token.
    Credentials(Arc<[Token]>),
}

/// A bearer token that is accepted.
#[derive(Clone)]
pub struct Token {
    /// Names the caller.
    pub name: String,
    /// The role.
    pub role: Role,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
}

/// Puts [`Authenticated`] around the services of one listener.
#[derive(Debug, Clone)]
pub struct AuthLayer {
    methods: Arc<Methods>,
    access: Access,
    web: Arc<WebAccess>,
    throttle: Arc<Throttle>,
}

/// Passes only calls that their caller may make.
#[derive(Debug, Clone)]
pub struct Authenticated<S> {
    inner: S,
    layer: AuthLayer,
}

impl Principal {
    /// The caller of a request that passed the layer.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        let unknown = || Self { identity: Identity::Anonymous, role: Role::Reader };
        request.extensions().get().cloned().unwrap_or_else(unknown)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(formatter)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(formatter, "uid:{uid}"),
            Self::Unix => formatter.write_str("unix"),
            Self::Certificate(name) => write!(formatter, "cert:{name}"),
            Self::Token(name) => write!(formatter, "token:{name}"),
            Self::Anonymous => formatter.write_str("anonymous"),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Token").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AuthLayer {
    /// A layer for a listener with the rules `web` for requests from browsers.
    pub fn new(methods: Arc<Methods>, access: Access, web: WebAccess) -> Self {
        Self { methods, access, web: Arc::new(web), throttle: Arc::default() }
    }

    /// The decision about a call.
    fn admit<B>(&self, request: &Request<B>, peer: Peer) -> Admission {
        if let Err(problem) = self.web.check(request) {
            return Admission::Refused(None, problem);
        }
        let path = request.uri().path();
        if path.starts_with("/grpc.health.v1.") {
            return Admission::Nobody;
        }
        let principal = match self.authenticate(request, peer) {
            Ok(principal) => principal,
            Err(problem) => return Admission::Refused(None, problem),
        };
        if path.starts_with("/grpc.reflection.") {
            return Admission::Caller { principal, audited: Audited::Never };
        }
        let Some(method) = self.methods.get(path) else {
            let message = format!("{path} is not a method of this server");
            let problem = Problem::new(Reason::MethodNotFound, message);
            return Admission::Refused(Some(principal), problem);
        };
        if principal.role < method.role {
            let message = format!(
                "{principal} has the role {}, but {path} requires {}",
                principal.role, method.role
            );
            let problem = Problem::new(Reason::RoleRequired, message);
            return Admission::Refused(Some(principal), problem);
        }
        let audited = match method {
            Method { mutates: false, .. } => Audited::Never,
            Method { is_part: true, .. } => Audited::IfItFails,
            Method { .. } => Audited::Always,
        };
        Admission::Caller { principal, audited }
    }

    fn authenticate<B>(&self, request: &Request<B>, peer: Peer) -> Result<Principal, Problem> {
        match &self.access {
            Access::UnixSocket => {
                let identity = match peer {
                    Peer::Process { uid, .. } => Identity::Uid(uid),
                    Peer::Address(_) | Peer::Unknown => Identity::Unix,
                };
                Ok(Principal { identity, role: Role::Admin })
            }
            Access::Everybody => Ok(Principal { identity: Identity::Anonymous, role: Role::Admin }),
            Access::Credentials(tokens) => {
                // A key cannot be guessed, so a caller with a certificate is never delayed.
                let by_certificate = by_certificate(request);
                let guesses = by_certificate.is_none() && shows_token(request);
                if guesses && self.throttle.is_full(peer.source()) {
                    return Err(too_many());
                }
                by_token(request, tokens).or(by_certificate).ok_or_else(unauthenticated)
            }
        }
    }

    /// The answer to a call that is refused, and how long it waits.
    fn refuse<B>(
        &self,
        request: &Request<B>,
        peer: Peer,
        principal: Option<&Principal>,
        problem: Problem,
    ) -> (Response<Body>, Option<Held>) {
        self.log(request, peer, principal, audit::name(problem.code), problem.reason.as_str());
        // A call without a credential is no guess.
        let guessed = problem.reason == Reason::CredentialsRequired && shows_token(request);
        let held = guessed.then(|| self.throttle.refuse(peer.source(), Instant::now()));
        (Status::from(problem).into_http(), held)
    }

    /// The line of a refusal, unless there were too many of late.
    fn log<B>(
        &self,
        request: &Request<B>,
        peer: Peer,
        principal: Option<&Principal>,
        outcome: &str,
        reason: &str,
    ) {
        let now = Instant::now();
        let Some(suppressed) = self.throttle.line(peer.source(), now) else { return };
        let principal = principal.map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let entry = Entry::of(request, peer, principal);
        entry.refused(outcome, reason, suppressed);
    }
}

/// The result for a call.
enum Admission {
    /// It needs no caller.
    Nobody,
    /// It is let through.
    Caller { principal: Principal, audited: Audited },
    /// Refused; with the caller, if known.
    Refused(Option<Principal>, Problem),
}

/// Whether a call that is let through has a line in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audited {
    Never,
    IfItFails,
    Always,
}

impl<S> Layer<S> for AuthLayer {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticated { inner, layer: self.clone() }
    }
}

impl<S, B> Service<Request<B>> for Authenticated<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let peer = Peer::of(&request);
        if !is_grpc(&request) {
            self.layer.log(&request, peer, None, "UNSUPPORTED_MEDIA_TYPE", "");
            let mut refused = Response::new(Body::empty());
            *refused.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Box::pin(std::future::ready(Ok(refused)));
        }
        match self.layer.admit(&request, peer) {
            Admission::Nobody => Box::pin(self.inner.call(request)),
            Admission::Caller { principal, audited } => {
                let record = (audited != Audited::Never).then(|| {
                    let entry = Entry::of(&request, peer, principal.to_string());
                    request.extensions_mut().insert(entry.subject.clone());
                    Record::begin(entry, audited == Audited::IfItFails)
                });
                request.extensions_mut().insert(principal);
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let response = answer.await?;
                    Ok(match record {
                        Some(record) => record.follow(response),
                        None => response,
                    })
                })
            }
            Admission::Refused(principal, problem) => {
                let (response, held) =
                    self.layer.refuse(&request, peer, principal.as_ref(), problem);
                Box::pin(async move {
                    if let Some(held) = held {
                        tokio::time::sleep(held.delay).await;
                    }
                    Ok(response)
                })
            }
        }
    }
}

/// Whether a request has gRPC's content type. gRPC-Web has already been converted here.
fn is_grpc<B>(request: &Request<B>) -> bool {
    let kind = request.headers().get(http::header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok()?.strip_prefix("application/grpc"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

fn shows_token<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(http::header::AUTHORIZATION)
}

fn by_token<B>(request: &Request<B>, tokens: &[Token]) -> Option<Principal> {
    let header = request.headers().get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let given = header.strip_prefix("Bearer ")?.trim();
    let digest: [u8; 32] = Sha256::digest(given).into();
    // Comparing digests in variable time does not help an attacker to find one.
    let token = tokens.iter().find(|token| token.sha256 == digest)?;
    Some(Principal { identity: Identity::Token(token.name.clone()), role: token.role })
}

fn by_certificate<B>(request: &Request<B>) -> Option<Principal> {
    let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>()?;
    let certificates = info.peer_certs()?;
    of_certificate(certificates.first()?)
}

/// The caller in a verified certificate.
fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Principal> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    // The name appears in log lines, one per call.
    if name.is_empty() || name.contains(char::is_control) {
        return None;
    }
    let role = subject
        .iter_organization()
        .filter_map(|organization| organization.as_str().ok()?.strip_prefix("wharf:"))
        .find_map(|name| Role::parse(name).ok())?;
    Some(Principal { identity: Identity::Certificate(name), role })
}

fn unauthenticated() -> Problem {
    Problem::new(
        Reason::CredentialsRequired,
        "this server requires a known token (WHARF_TOKEN) or a client certificate whose O is wharf:reader, wharf:operator, or wharf:admin",
    )
}

/// The address has enough refused calls waiting.
fn too_many() -> Problem {
    let message = "too many calls from this address were refused; retry in a few seconds with \
                   credentials that are known";
    Problem::new(Reason::TooManyRefusedCalls, message)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn caller(name: Option<&str>, organizations: &[&str]) -> Option<Principal> {
        let mut subject = DistinguishedName::new();
        for organization in organizations {
            subject.push(DnType::OrganizationName, *organization);
        }
        if let Some(name) = name {
            subject.push(DnType::CommonName, name);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = subject;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        of_certificate(certificate.der())
    }

    #[test]
    fn a_certificate_names_its_caller_and_their_role() {
        let identity = Identity::Certificate("ci".to_owned());
        let reader = Principal { identity, role: Role::Reader };
        assert_eq!(caller(Some("ci"), &["wharf:reader"]), Some(reader));
        // An issuer of certificates cannot make anyone root of this machine.
        let root = caller(Some("uid:0"), &["wharf:admin"]).unwrap();
        assert_eq!(root.to_string(), "cert:uid:0");
        for (name, organization) in [
            (None, "wharf:admin"),
            (Some(""), "wharf:admin"),
            (Some("ci"), "wharf:root"),
            (Some("ci"), "admin"),
            (Some("ci\nprincipal=uid:0"), "wharf:admin"),
        ] {
            assert_eq!(caller(name, &[organization]), None, "{name:?} {organization}");
        }
    }
}
