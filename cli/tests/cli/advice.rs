//! Advice that works: what a command says next must be what the server then takes.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use wharf::v1::watch_rollouts_response::Event;
use wharf::v1::{
    CreateRolloutResponse, ListRolloutsRequest, ListRolloutsResponse, PauseCause,
    PauseRolloutResponse, RemoveHostResponse, Rollout, RolloutCounts, RolloutSnapshot,
    RolloutState, WatchCursor, WatchRolloutsResponse,
};

use crate::rollouts::{ID, story};
use crate::script::{Reply, Server, rpc_status};
use crate::{command, run, run_with};

fn rollout(state: RolloutState) -> Rollout {
    let counts = Some(RolloutCounts { total: 2, waiting: 2, ..Default::default() });
    let (container, state) = ("web".to_owned(), state.into());
    Rollout { id: ID.into(), container, state, counts, ..Default::default() }
}

#[test]
fn a_canary_that_waits_is_promoted_and_not_resumed() {
    let canary =
        Rollout { pause_cause: PauseCause::Promotion.into(), ..rollout(RolloutState::Paused) };
    let answer = PauseRolloutResponse { rollout: Some(canary) };
    let server = Server::start([("PauseRollout", Reply::unary(&answer))]);
    let paused = run(&server, &["rollout", "pause", ID]);
    assert_eq!(paused.code, Some(0), "{}", paused.stderr);
    assert!(paused.stderr.contains("wharf rollout promote 1a2b3c4d"), "{}", paused.stderr);
    assert!(!paused.stderr.contains("rollout resume"), "{}", paused.stderr);
}

#[test]
fn what_has_not_ended_is_aborted_before_it_is_undone() {
    let open = ListRolloutsResponse {
        rollouts: vec![rollout(RolloutState::Paused)],
        ..Default::default()
    };
    let replies = [
        ("ListRollouts", Reply::unary(&ListRolloutsResponse::default())),
        ("ListRollouts", Reply::unary(&open)),
    ];
    let server = Server::start(replies);
    let undo = run(&server, &["rollout", "undo", "web"]);
    assert_eq!(undo.code, Some(2), "{}", undo.stderr);
    assert!(undo.stderr.contains("1a2b3c4d of container \"web\" has not ended"), "{}", undo.stderr);
    assert!(undo.stderr.contains("wharf rollout abort 1a2b3c4d"), "{}", undo.stderr);
}

#[test]
fn a_rollout_whose_output_is_lost_is_told_of_on_stderr() {
    let answer = CreateRolloutResponse {
        rollout: Some(rollout(RolloutState::Running)),
        ..Default::default()
    };
    let server = Server::start([
        ("CreateRollout", Reply::unary(&answer)),
        ("WatchRollouts", Reply::messages(&story())),
    ]);
    let start = ["rollout", "start", "web", "--image", "app:v2", "-A"];
    for (more, said) in [
        (&[][..], "1a2b3c4d: web to app:v2 succeeded"),
        (&["-d"], "1a2b3c4d: web"),
        (&["-d", "-o", "json"], ID),
        (&["-d", "-o", "name"], ID),
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let run = run_with(&server, &[&start[..], more].concat(), |command| {
            command.stdout(full);
        });
        assert_eq!(run.code, Some(1), "{more:?}: {}", run.stderr);
        assert!(run.stderr.contains("cannot write to standard output"), "{}", run.stderr);
        assert!(run.stderr.contains(said), "{more:?}: {}", run.stderr);
    }
}

#[test]
fn a_rollout_that_stands_still_is_explained_once() {
    let reason = rpc_status(Code::ResourceExhausted, "STORE_FULL", "the disk is full");
    let stuck = Rollout { reason: Some(reason), ..rollout(RolloutState::Running) };
    let event = |revision, event| WatchRolloutsResponse {
        cursor: Some(WatchCursor { epoch: "store".into(), revision }),
        event: Some(event),
    };
    let rollouts = vec![rollout(RolloutState::Running)];
    let snapshot = RolloutSnapshot { rollouts };
    let messages = [
        event(1, Event::Snapshot(snapshot)),
        event(1, Event::Rollout(stuck.clone())),
        event(1, Event::Rollout(stuck)),
        event(2, Event::Rollout(rollout(RolloutState::Succeeded))),
    ];
    let server = Server::start([("WatchRollouts", Reply::messages(&messages))]);
    let watch = run(&server, &["rollout", "watch", ID]);
    assert_eq!(watch.stderr.matches("warning: the disk is full").count(), 1, "{}", watch.stderr);
}

#[test]
fn a_host_that_a_rollout_still_has_is_removed_with_a_warning() {
    let open = ListRolloutsResponse {
        rollouts: vec![rollout(RolloutState::Running)],
        ..Default::default()
    };
    let server = Server::start([
        ("RemoveHost", Reply::unary(&RemoveHostResponse {})),
        ("ListRollouts", Reply::unary(&open)),
    ]);
    let removed = run(&server, &["host", "rm", "web1"]);
    assert_eq!((removed.code, &*removed.stdout), (Some(0), "web1\n"), "{}", removed.stderr);
    assert!(removed.stderr.contains("web1: rollout 1a2b3c4d"), "{}", removed.stderr);
    let asked: ListRolloutsRequest = server.request("ListRollouts");
    assert_eq!(
        (&*asked.host, asked.states.contains(&RolloutState::Failed.into())),
        ("web1", false)
    );
}

#[test]
fn a_context_is_imported_under_another_name() {
    let server = Server::start([]);
    let directory = server.home().join(".docker/contexts/meta/1");
    fs::create_dir_all(&directory).unwrap();
    let endpoints = serde_json::json!({"docker": {"Host": "tcp://a:2375"}});
    let meta = serde_json::json!({"Name": "Weird_ctx.1+x", "Endpoints": endpoints});
    fs::write(directory.join("meta.json"), meta.to_string()).unwrap();
    let import = ["host", "import", "--dry-run", "--name", "office", "Weird_ctx.1+x"];
    let one = run(&server, &import);
    assert_eq!((one.code, &*one.stdout), (Some(0), "office   tcp://a:2375\n"), "{}", one.stderr);
}

fn signed(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> (String, String) {
    let (mut parameters, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
    change(&mut parameters);
    (parameters.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

/// Serves nothing, but only to callers whose certificate is valid.
fn tls_server(
    runtime: &tokio::runtime::Runtime,
    ca: &str,
    identity: (String, String),
) -> SocketAddr {
    let _guard = runtime.enter();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap());
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(identity.0, identity.1))
        .client_ca_root(Certificate::from_pem(ca))
        .client_auth_optional(true);
    let mut server = tonic::transport::Server::builder().tls_config(tls).unwrap();
    let router = server.add_routes(tonic::service::Routes::from(axum::Router::new()));
    runtime.spawn(router.serve_with_incoming(incoming));
    address
}

#[test]
fn an_expired_client_certificate_is_named_with_its_date() {
    // The server has its own copy of it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    let of_server = signed(&issuer, |parameters| {
        parameters.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    });
    let (certificate, key) = signed(&issuer, |parameters| {
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = tls_server(&runtime, &issuer.pem(), of_server);
    let home = tempfile::tempdir().unwrap();
    let files = [("ca.pem", issuer.pem()), ("cert.pem", certificate), ("key.pem", key)];
    for (name, text) in &files {
        fs::write(home.path().join(name), text).unwrap();
    }
    let path = |name: &str| Path::join(home.path(), name).display().to_string();
    let server = format!("https://{address}");
    let (ca, cert, key) = (path("ca.pem"), path("cert.pem"), path("key.pem"));
    let flags = ["--server", &server, "--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    // The alert may arrive before or after the end of the connection.
    for _ in 0..8 {
        let output =
            command(home.path(), &[&flags[..], &["host", "ls"]].concat()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("certificate"), "{stderr}");
        assert!(stderr.contains("expired on 2021-01-01T00:00:00Z; renew it"), "{stderr}");
    }
}
