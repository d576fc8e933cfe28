//! The model over HTTP: every scripted fault reaches a client as the corresponding bytes, and the
//! client of Engines classifies it correctly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wharf_server::domain::{ContainerName, ContainerRef, HostAddress, ImageReference, Transport};
use wharf_server::engine::http::{ConnectorSettings, HttpConnector};
use wharf_server::engine::{ContainerListing, Engine, ErrorKind, ProgressSink, Transfer};
use wharf_simulator::model::Status;
use wharf_simulator::{
    EngineOptions, HttpFault, HttpHost, ImageContent, Operation, Registries, SimHost, SimRegistry,
    SimServer, When,
};

struct Front {
    _server: SimServer,
    http: Arc<HttpHost>,
    engine: Arc<dyn Engine>,
}

/// One host with an image and a running container `web`, and a client that has agreed with it
/// on a version.
async fn front() -> Front {
    let registries = Registries::default();
    registries.add("r.sim", SimRegistry::open());
    let remote = ImageContent::builder("remote").build();
    registries.publish("r.sim", "app", "v1", &remote);
    let host = SimHost::new(EngineOptions::new("sim"), registries);
    host.with(|model, now| {
        model.load("app:v1", &ImageContent::builder("v1").build());
        let version = model.options().api_version;
        model.create(now, version, Some("web"), None, &json!({"Image": "app:v1"})).unwrap();
        model.start(now, "web").unwrap();
    });
    let server = SimServer::listen_each(vec![host]).await.unwrap();
    let http = server.hosts()[0].clone();
    let settings =
        ConnectorSettings { stall: Duration::from_millis(300), ..ConnectorSettings::default() };
    let address = HostAddress::parse(&http.address(), Transport::Plain).unwrap();
    let engine = HttpConnector::new(settings).engine(&address, None).unwrap();
    engine.ping().await.unwrap();
    Front { _server: server, http, engine }
}

impl Front {
    fn fault(&self, operation: Operation, fault: HttpFault) {
        self.http.faults.add(When::on(operation).once(), fault);
    }

    fn status(&self) -> Status {
        self.http.host().with(|model, _| model.container("web").unwrap().state.status)
    }

    fn images(&self) -> usize {
        self.http.host().with(|model, _| model.images().len())
    }

    async fn list(&self) -> Result<usize, ErrorKind> {
        let listing = ContainerListing::default();
        let answer = self.engine.list_containers(&listing).await;
        answer.map(|listing| listing.items.len()).map_err(|error| error.kind)
    }

    async fn stop(&self) -> Result<(), ErrorKind> {
        let answer = self.engine.stop_container(&web(), None).await;
        answer.map(drop).map_err(|error| error.kind)
    }

    async fn pull(&self) -> Result<(), ErrorKind> {
        let reference = ImageReference::parse("r.sim/app:v1").unwrap();
        let sink = ProgressSink::new(Transfer::default());
        let answer = self.engine.pull_image(&reference, None, None, &sink).await;
        answer.map(drop).map_err(|error| error.kind)
    }

    /// The bytes that a request without a version is answered with, and whether the connection
    /// ended with a reset.
    async fn raw(&self, request: &str) -> (String, bool) {
        let address = self.http.address().replace("tcp://", "");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let end = stream.read_to_end(&mut bytes).await;
        (String::from_utf8_lossy(&bytes).into_owned(), end.is_err())
    }

    /// Waits until the counters are as they should be.
    async fn counted(&self, what: &str, is_so: impl Fn(&wharf_simulator::http::Snapshot) -> bool) {
        let begun = Instant::now();
        while !is_so(&self.http.counters.snapshot()) {
            let seen = self.http.counters.snapshot();
            assert!(begun.elapsed() < Duration::from_secs(10), "not {what}: {seen:?}");
            tokio::task::yield_now().await;
        }
    }
}

fn web() -> ContainerRef {
    ContainerName::parse("web").unwrap().into()
}

fn answer(status: u16, content_type: &'static str, body: &[u8]) -> HttpFault {
    HttpFault::Answer { status, content_type, body: body.to_vec() }
}

#[tokio::test]
async fn answers_that_no_engine_gives_are_told_from_real_ones() {
    let front = front().await;
    let html = b"<html><body>Bad Gateway</body></html>";
    for (fault, kind) in [
        (answer(502, "text/html", html), ErrorKind::Unavailable),
        (answer(200, "text/html", html), ErrorKind::BadAnswer),
        (answer(200, "application/json", b"[{\"Id\":\"a\""), ErrorKind::BadAnswer),
        (answer(200, "application/json", b"[\"\xff\xfe\"]"), ErrorKind::BadAnswer),
        (answer(200, "application/json", "[".repeat(10_000).as_bytes()), ErrorKind::BadAnswer),
        (answer(503, "text/plain", b"later"), ErrorKind::Unavailable),
        (HttpFault::Redirect("http://127.0.0.1:1/".to_owned()), ErrorKind::BadAnswer),
        (HttpFault::Garbage(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), ErrorKind::BadAnswer),
        (HttpFault::ResetBefore, ErrorKind::ConnectionLost),
        (HttpFault::ResetAt(10), ErrorKind::ConnectionLost),
        (HttpFault::ResetAt(300), ErrorKind::ConnectionLost),
        (HttpFault::CloseAt(300), ErrorKind::ConnectionLost),
        (HttpFault::Endless(b"[[[[".repeat(4096)), ErrorKind::AnswerTooLarge),
        (HttpFault::Refuse { status: 500, message: "disk full".to_owned() }, ErrorKind::Engine),
    ] {
        let short = format!("{fault:?}").chars().take(80).collect::<String>();
        // Each time: of a read the client asks again when a connection it kept was closed.
        front.http.faults.add(When::on(Operation::ListContainers), fault);
        assert_eq!(front.list().await, Err(kind), "{short}");
        front.http.faults.clear();
        assert_eq!(front.list().await, Ok(1), "after {short}");
    }
}

#[tokio::test]
async fn slow_and_interim_answers_are_answers() {
    let front = front().await;
    front.fault(
        Operation::ListContainers,
        HttpFault::Slow { bytes: 97, every: Duration::from_micros(200) },
    );
    assert_eq!(front.list().await, Ok(1));
    front.fault(Operation::ListContainers, HttpFault::Interim(3));
    assert_eq!(front.list().await, Ok(1));
    front.fault(Operation::Ping, HttpFault::Interim(2));
    let (text, _) = front.raw("GET /_ping").await;
    assert_eq!(text.matches("HTTP/1.1 102 ").count(), 2, "{text}");
    assert!(text.ends_with("OK"), "{text}");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_leaves_a_doubt() {
    let front = front().await;
    front.fault(Operation::Stop, HttpFault::ResetBefore);
    assert_eq!(front.stop().await, Err(ErrorKind::ResultUnknown));
    assert_eq!(front.status(), Status::Running, "nothing was done");
    front.fault(Operation::Stop, HttpFault::LoseAnswer);
    assert_eq!(front.stop().await, Err(ErrorKind::ResultUnknown));
    assert_eq!(front.status(), Status::Exited, "it was done");
}

#[tokio::test]
async fn bytes_end_where_they_are_scripted_to() {
    let front = front().await;
    front.fault(Operation::Ping, HttpFault::ResetAt(20));
    let (text, reset) = front.raw("GET /_ping").await;
    assert!(text.len() <= 20 && reset, "{text:?} {reset}");
    front.fault(Operation::Ping, HttpFault::CloseAt(20));
    assert_eq!(front.raw("GET /_ping").await, ("HTTP/1.1 200 OK\r\ncon".to_owned(), false));
    front.fault(Operation::Ping, HttpFault::Garbage(b"garbage".to_vec()));
    assert_eq!(front.raw("GET /_ping").await, ("garbage".to_owned(), false));
}

#[tokio::test]
async fn a_hang_is_cancelled_by_the_client_and_counted() {
    let front = front().await;
    for (count, fault) in
        [HttpFault::HangBeforeHeaders, HttpFault::HangAfter, HttpFault::HangInBody { after: 10 }]
            .into_iter()
            .enumerate()
    {
        front.fault(Operation::ListContainers, fault.clone());
        let hanging = timeout(Duration::from_millis(100), front.list()).await;
        assert!(hanging.is_err(), "{fault:?}");
        front.counted("cancelled", |seen| seen.cancelled == count as u64 + 1).await;
    }
    front.counted("at rest", |seen| seen.in_flight == 0).await;
    assert_eq!(front.list().await, Ok(1));
}

#[tokio::test]
async fn a_pull_succeeds_only_if_its_stream_is_whole_and_the_image_there() {
    let front = front().await;
    for (fault, kind) in [
        (
            HttpFault::StreamError { after_lines: 3, message: "unexpected EOF".to_owned() },
            ErrorKind::PullFailed,
        ),
        (
            HttpFault::StreamError { after_lines: 0, message: "unauthorized: no".to_owned() },
            ErrorKind::RegistryAuthRequired,
        ),
        (HttpFault::CutStream { after_lines: 3 }, ErrorKind::PullFailed),
        (HttpFault::StallStream { after_lines: 3 }, ErrorKind::TransferStalled),
        (HttpFault::LieStream, ErrorKind::PullFailed),
    ] {
        front.fault(Operation::Pull, fault.clone());
        assert_eq!(front.pull().await, Err(kind), "{fault:?}");
        assert_eq!(front.images(), 1, "{fault:?}");
    }
    assert_eq!(front.pull().await, Ok(()));
    assert_eq!(front.images(), 2);
    front.counted("at rest", |seen| seen.running_pulls == 0 && seen.in_flight == 0).await;
}

#[tokio::test]
async fn a_pull_is_cancelled_by_the_client() {
    let front = front().await;
    front.http.host().with(|model, _| {
        model.options_mut().timing.layer = Duration::from_secs(3600);
    });
    let pull = timeout(Duration::from_millis(100), front.pull());
    assert!(pull.await.is_err());
    front.counted("cancelled", |seen| seen.cancelled == 1 && seen.running_pulls == 0).await;
    front.fault(Operation::Pull, HttpFault::EndlessStream);
    let endless = timeout(Duration::from_millis(100), front.pull()).await;
    assert!(endless.is_err(), "{endless:?}");
    front.counted("cancelled", |seen| seen.cancelled == 2 && seen.running_pulls == 0).await;
}

#[tokio::test]
async fn a_host_that_is_down_refuses_and_comes_back_at_its_address() {
    let front = front().await;
    front.http.host().crash();
    front.counted("closed", |seen| seen.open == 0).await;
    let begun = Instant::now();
    while front.list().await != Err(ErrorKind::Unreachable) {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is not refused");
    }
    front.http.host().boot();
    let begun = Instant::now();
    // Its container has no policy, so that the crash has ended it.
    while front.list().await != Ok(0) {
        assert!(begun.elapsed() < Duration::from_secs(10), "it did not come back");
    }
}

#[tokio::test]
async fn many_hosts_are_served_by_one_listener_and_one_by_a_unix_socket() {
    let host = |name: &str| SimHost::new(EngineOptions::new(name), Registries::default());
    let hosts: Vec<_> = (0..300).map(|number| host(&format!("host-{number}"))).collect();
    let server = SimServer::listen_shared(hosts, 0).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("docker.sock");
    let unix = SimServer::listen_unix(host("unix"), &path).await.unwrap();
    let connector = HttpConnector::new(ConnectorSettings::default());
    for (http, name) in [
        (&server.hosts()[0], "host-0"),
        (&server.hosts()[254], "host-254"),
        (&server.hosts()[299], "host-299"),
        (&unix.hosts()[0], "unix"),
    ] {
        let address = HostAddress::parse(&http.address(), Transport::Plain).unwrap();
        let engine = connector.engine(&address, None).unwrap();
        let info: serde_json::Value = engine.info().await.unwrap().parse().unwrap();
        assert_eq!(info["Name"], json!(name));
        assert_eq!(http.counters.count(Operation::Info), 1);
    }
}
