//! Who calls, and what they may do. A layer around all services, because only here is the
//! path of the method known and the answer can still be given before any handler runs.
//!
//! A unix socket's file mode decides who can connect, and the peer's uid names the caller.
//! Over TLS a client certificate (CN is the name, O such as `wharf:operator` the role) or a
//! bearer token is the credential. Health checks are open to everybody who can connect,
//! reflection to every known caller; everything else asks the role that the contract names.
//! What is not sent as gRPC is refused before that: any web page may have a browser send a form
//! or a text, with the user's client certificate, but nothing of gRPC's own type.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::{Request, Response, StatusCode};
use sha2::{Digest, Sha256};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::CertificateDer;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo, UdsConnectInfo};
use tower::{Layer, Service};

use super::methods::Methods;
use super::problem::Problem;
use crate::domain::{Reason, Role};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Such as `uid:1000`, `ci`, `anonymous`.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// How callers of a listener are known.
#[derive(Debug, Clone)]
pub enum Access {
    /// Whoever the socket's mode lets in.
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
    /// What they may do.
    pub role: Role,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
}

/// Puts [`Authenticated`] around the services of one listener.
#[derive(Debug, Clone)]
pub struct AuthLayer {
    methods: Arc<Methods>,
    access: Access,
}

/// Lets only those calls through that their caller may make.
#[derive(Debug, Clone)]
pub struct Authenticated<S> {
    inner: S,
    layer: AuthLayer,
}

impl Principal {
    /// The caller of a request that came through the layer.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        let unknown = || Self { name: "unknown".to_owned(), role: Role::Reader };
        request.extensions().get().cloned().unwrap_or_else(unknown)
    }

    fn anonymous() -> Self {
        Self { name: "anonymous".to_owned(), role: Role::Admin }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Token").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AuthLayer {
    /// A layer for a listener.
    pub fn new(methods: Arc<Methods>, access: Access) -> Self {
        Self { methods, access }
    }

    /// The caller, or why the call is refused. `None` for calls that need no caller.
    fn admit<B>(&self, request: &Request<B>) -> Result<Option<Principal>, Problem> {
        let path = request.uri().path();
        if path.starts_with("/grpc.health.v1.") {
            return Ok(None);
        }
        let principal = self.authenticate(request)?;
        if path.starts_with("/grpc.reflection.") {
            return Ok(Some(principal));
        }
        let Some(method) = self.methods.get(path) else {
            let message = format!("{path} is not a method of this server");
            return Err(Problem::new(Reason::MethodNotFound, message));
        };
        if principal.role < method.role {
            return Err(Problem::new(
                Reason::RoleRequired,
                format!(
                    "{principal} has the role {} and {path} needs {}",
                    principal.role, method.role
                ),
            ));
        }
        Ok(Some(principal))
    }

    fn authenticate<B>(&self, request: &Request<B>) -> Result<Principal, Problem> {
        match &self.access {
            Access::UnixSocket => {
                let info = request.extensions().get::<UdsConnectInfo>();
                let uid = info.and_then(|info| info.peer_cred).map(|peer| peer.uid());
                let name = uid.map_or_else(|| "unix".to_owned(), |uid| format!("uid:{uid}"));
                Ok(Principal { name, role: Role::Admin })
            }
            Access::Everybody => Ok(Principal::anonymous()),
            Access::Credentials(tokens) => by_token(request, tokens)
                .or_else(|| by_certificate(request))
                .ok_or_else(unauthenticated),
        }
    }
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
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !is_grpc(&request) {
            let mut refused = Response::new(Body::empty());
            *refused.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Either::Right(ready(Ok(refused)));
        }
        match self.layer.admit(&request) {
            Ok(principal) => {
                if let Some(principal) = principal {
                    request.extensions_mut().insert(principal);
                }
                Either::Left(self.inner.call(request))
            }
            Err(problem) => {
                tracing::info!(path = request.uri().path(), reason = %problem.reason, "refused");
                Either::Right(ready(Ok(Status::from(problem).into_http())))
            }
        }
    }
}

/// Whether a request says that it is gRPC. gRPC-Web has become that before it comes here.
fn is_grpc<B>(request: &Request<B>) -> bool {
    let kind = request.headers().get(http::header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok()?.strip_prefix("application/grpc"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

fn by_token<B>(request: &Request<B>, tokens: &[Token]) -> Option<Principal> {
    let header = request.headers().get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let given = header.strip_prefix("Bearer ")?.trim();
    let digest: [u8; 32] = Sha256::digest(given).into();
    // Comparing digests in variable time tells an attacker nothing that helps to find one.
    let token = tokens.iter().find(|token| token.sha256 == digest)?;
    Some(Principal { name: token.name.clone(), role: token.role })
}

fn by_certificate<B>(request: &Request<B>) -> Option<Principal> {
    let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>()?;
    let certificates = info.peer_certs()?;
    of_certificate(certificates.first()?)
}

/// The caller that a verified certificate stands for.
fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Principal> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    // It stands in lines of the log, one a call.
    if name.is_empty() || name.contains(char::is_control) {
        return None;
    }
    let role = subject
        .iter_organization()
        .filter_map(|organization| organization.as_str().ok()?.strip_prefix("wharf:"))
        .find_map(|name| Role::parse(name).ok())?;
    Some(Principal { name, role })
}

fn unauthenticated() -> Problem {
    Problem::new(
        Reason::CredentialsRequired,
        "this server wants a known token (WHARF_TOKEN) or a client certificate whose O is wharf:reader, wharf:operator or wharf:admin",
    )
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
        let reader = Principal { name: "ci".to_owned(), role: Role::Reader };
        assert_eq!(caller(Some("ci"), &["wharf:reader"]), Some(reader));
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
