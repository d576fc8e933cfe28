//! Serves the listeners: who may call, and in which layers a call goes to the services; and the metrics.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use tonic_web::GrpcWebLayer;

use crate::api::auth::{self, AuthLayer};
use crate::api::call_limit::CallLimit;
use crate::api::deadline::DeadlineLayer;
use crate::api::incoming::IncomingLayer;
use crate::api::methods::Methods;
use crate::api::origin::WebAccess;
use crate::config::{Access, Config, Limits, Listen};
use crate::domain::Validity;
use crate::listener::{Connections, Listener};
use crate::metrics::Metrics;
use crate::metrics::calls::CallLayer;
use crate::metrics::serve::Endpoint;
use crate::page::PageLayer;
use crate::traces::calls::TraceLayer;

/// HTTP/2 pings, so that a client that vanished is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// The rules of a listener for requests from browsers. Only over plain TCP can a page use its own
/// host name: unix sockets have no host names, and TLS verifies them.
pub(super) fn web_access(config: &Config, listen: &Listen, is_plain: bool) -> WebAccess {
    let hosts = match listen {
        Listen::Tcp { host, .. } if is_plain => {
            let own = host.to_string().to_ascii_lowercase();
            let own = own.trim_matches(['[', ']']).to_owned();
            let everywhere = own.parse::<IpAddr>().is_ok_and(|it| it.is_unspecified());
            let own = Some(own).filter(|_| !everywhere);
            Some(config.web.hosts.iter().cloned().chain(own).collect())
        }
        Listen::Tcp { .. } | Listen::Unix(_) => None,
    };
    WebAccess { hosts, origins: config.web.origins.clone() }
}

/// Authentication and limits for callers of one listener.
pub(super) struct Admission {
    pub methods: Arc<Methods>,
    pub web: WebAccess,
    pub connections: Connections,
    /// Counts the calls, if metrics are served.
    pub counted: Option<CallLayer>,
    /// Gives the calls their spans, if traces are sent.
    pub traced: Option<TraceLayer>,
    pub calls: CallLimit,
    pub limits: Limits,
}

/// Serves one listener until `stopping`.
pub(super) fn serve(
    listener: Listener,
    routes: Routes,
    access: &Access,
    admission: Admission,
    stopping: CancellationToken,
) -> anyhow::Result<impl Future<Output = Result<(), tonic::transport::Error>> + use<>> {
    let mut server = tonic::transport::Server::builder()
        // gRPC-Web uses HTTP/1.1; this also lets the server close a connection without any data,
        // which an HTTP/2-only server waits for at its end.
        .accept_http1(true)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .max_concurrent_streams(admission.limits.max_streams_per_connection);
    let Admission { methods, web, connections, counted, traced, calls, limits } = admission;
    let credentials = match (&listener, access) {
        (Listener::Unix(..), _) => auth::Access::UnixSocket,
        (Listener::Tcp(_), Access::Secured { identity, tokens }) => {
            let mut tls = ServerTlsConfig::new().timeout(limits.handshake_timeout).identity(
                Identity::from_pem(identity.certificate_pem(), identity.private_key_pem().expose()),
            );
            if let Some(authorities) = identity.client_ca_pem() {
                // Optional, because a token is sufficient.
                tls = tls
                    .client_ca_root(Certificate::from_pem(authorities))
                    .client_auth_optional(true);
            }
            server = server.tls_config(tls)?;
            let tokens = tokens.iter().map(|token| auth::Token {
                name: token.name.clone(),
                role: token.role,
                sha256: token.sha256,
            });
            auth::Access::Credentials(tokens.collect())
        }
        (Listener::Tcp(_), Access::InsecureWithoutAuthentication) => {
            tracing::warn!(
                %listener,
                "plain TCP without authentication: anyone who can connect is root on every host"
            );
            auth::Access::Everybody
        }
        (Listener::Tcp(_), Access::UnixOnly) => anyhow::bail!("no credentials for {listener}"),
    };
    // With TLS only: a cookie on a plain connection is anybody's.
    let page = matches!(credentials, auth::Access::Credentials(_)).then(PageLayer::default);
    let router = server
        .layer(connections.clone())
        .layer(tower::util::option_layer(page))
        .layer(tower::util::option_layer(web.cors()))
        .layer(GrpcWebLayer::new())
        // Outside of authentication, so that refused calls count.
        .layer(tower::util::option_layer(counted))
        .layer(AuthLayer::new(Arc::clone(&methods), credentials, web))
        .layer(tower::util::option_layer(traced))
        .layer(calls)
        // Inside, so that the log of calls has this end too.
        .layer(DeadlineLayer)
        .layer(IncomingLayer::new(methods, limits.first_request_timeout))
        .add_routes(routes);
    let name = listener.to_string();
    Ok(async move {
        let stopped = stopping.cancelled_owned();
        match listener {
            Listener::Unix(listener, _file) => {
                let incoming = Box::pin(connections.of(listener, name));
                router.serve_with_incoming_shutdown(incoming, stopped).await
            }
            Listener::Tcp(listener) => {
                let incoming = Box::pin(connections.of(listener, name));
                router.serve_with_incoming_shutdown(incoming, stopped).await
            }
        }
    })
}

/// Serves the metrics, at `listen`, until `stopping`.
pub(super) fn serve_metrics(
    metrics: Metrics,
    (listener, listen): (Listener, &Listen),
    connections: Connections,
    config: &Config,
    stopping: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    if let Listen::Tcp { host, .. } = listen
        && !host.is_loopback()
    {
        tracing::warn!(
            %listener,
            "metrics without authentication: anyone who can connect can read the names, versions, and states of all hosts"
        );
    }
    // No web page may read them, not even those that may call.
    let web = WebAccess { origins: Vec::new(), ..web_access(config, listen, true) };
    Endpoint::new(metrics, web, &config.limits).serve(listener, connections, stopping)
}

/// The validity of the server's own certificate.
pub(super) fn own_validity(access: &Access) -> Option<Validity> {
    match access {
        Access::Secured { identity, .. } => identity.validity(),
        Access::UnixOnly | Access::InsecureWithoutAuthentication => None,
    }
}
