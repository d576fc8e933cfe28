//! The content of `/metrics` after calls on simulated hosts, and the requests that are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service, ServiceExt};
use wharf::client::Target;
use wharf::v1;
use wharf::v1::container_service_client::ContainerServiceClient;
use wharf::v1::event_service_client::EventServiceClient;
use wharf::v1::host_service_client::HostServiceClient;
use wharf::v1::rollout_service_client::RolloutServiceClient;
use wharf_server::app::Server;
use wharf_server::config::{Access, Config, Listen};
use wharf_server::domain::{
    Host, HostAddress, HostName, HostSource, HostTls, Labels, Secret, ServerIdentity, TcpHost,
    TlsMaterial, Transport,
};

use crate::support::{Answer, Fleet, all, at, list, name, start};

/// How long something may take to be shown; the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(120);

/// A server that serves metrics, with its simulated hosts.
pub struct Watched {
    pub fleet: Fleet,
    pub channel: Channel,
    pub server: Server,
    place: String,
}

/// One sample: the name with a suffix such as `_count`, the labels, and the value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// All samples of a text, and the type of each metric.
#[derive(Debug, Default)]
pub struct Scrape {
    pub types: BTreeMap<String, String>,
    pub samples: Vec<Sample>,
}

impl Watched {
    pub async fn new(hosts: usize) -> Self {
        Self::with(Fleet::new(hosts).await, |_| {}).await
    }

    pub async fn with(mut fleet: Fleet, change: impl FnOnce(&mut Config)) -> Self {
        fleet.stop().await;
        let mut config = fleet.config().clone();
        config.metrics = Some(loopback());
        change(&mut config);
        let server = Server::start(config).await.unwrap();
        let channel = Target::parse(&server.listening()[0]).unwrap().connect().await.unwrap();
        let place = server.metrics().unwrap().replace("tcp://", "");
        Self { fleet, channel, server, place }
    }

    /// The head and the body of the answer to a request.
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.place).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// The text of the metrics.
    pub async fn text(&self) -> String {
        let answer = self.ask("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        body.to_owned()
    }

    pub async fn scrape(&self) -> Scrape {
        Scrape::parse(&self.text().await)
    }

    /// Scrapes until it is so.
    async fn until(&self, what: &str, so: impl Fn(&Scrape) -> bool) -> Scrape {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let scrape = self.scrape().await;
            if so(&scrape) {
                return scrape;
            }
            assert!(Instant::now() < deadline, "still not so: {what}: {scrape:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn containers(&self) -> ContainerServiceClient<Channel> {
        ContainerServiceClient::new(self.channel.clone())
    }

    fn inventory(&self) -> HostServiceClient<Channel> {
        HostServiceClient::new(self.channel.clone())
    }

    async fn list(
        &self,
        targets: Option<v1::HostSelector>,
    ) -> Answer<v1::list_containers_response::Event> {
        Answer::of(self.containers().list_containers(list(targets))).await
    }

    /// Lists from the view, which is kept up to date from then on.
    async fn follow(
        &self,
        targets: Option<v1::HostSelector>,
    ) -> Answer<v1::list_containers_response::Event> {
        let consistency = v1::Consistency::View.into();
        let request = v1::ListContainersRequest { consistency, ..list(targets) };
        Answer::of(self.containers().list_containers(request)).await
    }
}

impl Scrape {
    fn parse(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines() {
            if let Some(of) = line.strip_prefix("# TYPE ") {
                let (name, kind) = of.split_once(' ').unwrap();
                let before = scrape.types.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} is there twice");
            } else if !line.starts_with('#') {
                scrape.samples.push(Sample::parse(line));
            }
        }
        scrape
    }

    /// The value of the one sample with this name and these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            let with = |(key, value): &(&str, &str)| {
                sample.labels.get(*key).map(String::as_str) == Some(value)
            };
            sample.name == name && labels.iter().all(with)
        };
        let mut found = self.samples.iter().filter(has);
        let value = found.next().map(|sample| sample.value);
        assert!(found.next().is_none(), "several samples {name} have {labels:?}");
        value
    }

    /// The metric of a sample, without the suffixes of a histogram.
    pub fn metric_of<'a>(&'a self, sample: &'a str) -> &'a str {
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            let name = sample.strip_suffix(suffix)?;
            (self.types.get(name)? == "histogram").then_some(name)
        });
        histogram.unwrap_or(sample)
    }

    /// The labels of each metric, without that of buckets.
    pub fn labels(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for sample in &self.samples {
            let labels = all.entry(self.metric_of(&sample.name).to_owned()).or_default();
            labels.extend(sample.labels.keys().filter(|label| *label != "le").cloned());
        }
        all
    }
}

impl Sample {
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let Some((name, labels)) = series.split_once('{') else {
            return Self { name: series.to_owned(), labels: BTreeMap::new(), value };
        };
        let labels = labels.strip_suffix("\"}").unwrap_or_else(|| panic!("{line}"));
        let labels = labels.split("\",").map(|label| {
            let (key, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            (key.to_owned(), value.to_owned())
        });
        Self { name: name.to_owned(), labels: labels.collect(), value }
    }
}

pub fn loopback() -> Listen {
    Listen::Tcp { host: TcpHost::parse("127.0.0.1").unwrap(), port: 0 }
}

fn call<'a>(method: &'a str, code: &'a str) -> [(&'a str, &'a str); 3] {
    [("rpc_system_name", "grpc"), ("rpc_method", method), ("rpc_response_status_code", code)]
}

const CALLS: &str = "rpc_server_call_duration_seconds_count";
const LIST: &str = "wharf.v1.ContainerService/ListContainers";

/// Calls any path with an empty message, and gives the trailers.
async fn call_path(channel: &Channel, path: &str) -> HeaderMap {
    let message = Full::new(Bytes::from_static(&[0; 5]));
    let request = Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(message))
        .unwrap();
    let mut channel = channel.clone();
    let response: Response<Body> = channel.ready().await.unwrap().call(request).await.unwrap();
    let (head, body) = response.into_parts();
    match head.headers.get("grpc-status") {
        Some(_) => head.headers,
        None => body.collect().await.unwrap().trailers().cloned().unwrap_or_default(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_off_unless_they_are_configured() {
    let mut fleet = Fleet::new(0).await;
    fleet.stop().await;
    let server = Server::start(fleet.config().clone()).await.unwrap();
    assert_eq!((server.metrics(), server.listening().len()), (None, 1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_counted_by_method_and_code() {
    let watched = Watched::new(2).await;
    watched.list(all()).await.all_succeeded();
    watched.list(at(&[1])).await.all_succeeded();
    // No hosts are named: the request is refused before any is called.
    watched.containers().list_containers(list(None)).await.map(drop).unwrap_err();
    watched.containers().list_containers(list(at(&[7]))).await.map(drop).unwrap_err();
    let scrape = watched
        .until("four calls have ended", |scrape| {
            let codes = ["OK", "INVALID_ARGUMENT", "NOT_FOUND"];
            codes.map(|code| scrape.value(CALLS, &call(LIST, code)))
                == [Some(2.0), Some(1.0), Some(1.0)]
        })
        .await;
    assert_eq!(scrape.value("wharf_calls_in_progress", &[("rpc_method", LIST)]), Some(0.0));
    assert_eq!(scrape.value("wharf_hosts", &[]), Some(2.0));
    let quick = [("access", "read"), ("pace", "quick")];
    let engine_calls = scrape.value("wharf_engine_call_duration_seconds_count", &quick).unwrap();
    // Three lists, and the negotiations.
    assert!(engine_calls >= 3.0, "{engine_calls}");
    watched.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_in_progress_until_its_caller_leaves() {
    const EVENTS: &str = "wharf.v1.EventService/StreamEvents";
    let watched = Watched::new(1).await;
    let mut events = EventServiceClient::new(watched.channel.clone());
    let request = v1::StreamEventsRequest { targets: all(), ..Default::default() };
    let stream = events.stream_events(request).await.unwrap();
    let in_progress =
        |scrape: &Scrape| scrape.value("wharf_calls_in_progress", &[("rpc_method", EVENTS)]);
    watched.until("the stream is open", |scrape| in_progress(scrape) == Some(1.0)).await;
    drop(stream);
    let scrape =
        watched.until("the stream has ended", |scrape| in_progress(scrape) == Some(0.0)).await;
    assert_eq!(scrape.value(CALLS, &call(EVENTS, "CANCELLED")), Some(1.0));
    watched.server.stop().await;
}

/// Callers choose paths, so they must not make series.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_the_contract_does_not_have_is_no_label() {
    let watched = Watched::new(0).await;
    for number in 0..20 {
        let path = format!("/wharf.v1.HostService/Nonsense{number}");
        assert_eq!(call_path(&watched.channel, &path).await["grpc-status"], "12");
    }
    call_path(&watched.channel, "/%22%0a").await;
    call_path(&watched.channel, "/grpc.health.v1.Health/Check").await;
    let others = |scrape: &Scrape| {
        let of = |code| scrape.value(CALLS, &call("_OTHER", code));
        (of("UNIMPLEMENTED"), of("OK"))
    };
    watched.until("all are counted", |scrape| others(scrape) == (Some(21.0), Some(1.0))).await;
    let text = watched.text().await;
    assert!(!text.contains("Nonsense") && !text.contains("Health/Check"), "{text}");
    watched.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_goes_away_and_comes_back_is_down_and_up() {
    let watched = Watched::new(2).await;
    let first = name(0);
    let host = [("host", first.as_str())];
    let up = async || watched.scrape().await.value("wharf_host_up", &host);
    assert_eq!(up().await, None, "nobody has called it");
    watched.list(all()).await.all_succeeded();
    let scrape = watched.scrape().await;
    assert_eq!(scrape.value("wharf_host_up", &host), Some(1.0));
    assert_eq!(scrape.value("wharf_host_unanswered_calls_total", &host), Some(0.0));
    let what = [host[0], ("kind", "docker"), ("version", "20.10.24"), ("api_version", "1.41")];
    assert_eq!(scrape.value("wharf_host_engine_info", &what), Some(1.0), "{scrape:#?}");
    let seen = scrape.value("wharf_host_last_result_timestamp_seconds", &host).unwrap();
    assert!(seen > 1_700_000_000.0, "{seen}");

    watched.fleet.host(0).host().set_unreachable(true);
    watched.list(at(&[0])).await;
    let scrape = watched.scrape().await;
    assert_eq!(scrape.value("wharf_host_up", &host), Some(0.0));
    assert!(scrape.value("wharf_host_unanswered_calls_total", &host) >= Some(1.0));
    let refused = scrape.samples.iter().any(|it| it.name == "wharf_engine_call_failures_total");
    assert!(refused, "{scrape:#?}");
    let second = name(1);
    assert_eq!(scrape.value("wharf_host_up", &[("host", &second)]), Some(1.0), "the other one");

    watched.fleet.host(0).host().set_unreachable(false);
    // Reads try it again after a moment.
    while watched.list(at(&[0])).await.succeeded().is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(up().await, Some(1.0));
    watched.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_and_unreachable_hosts_are_shown() {
    let watched = Watched::new(2).await;
    let first = name(0);
    let host = [("host", first.as_str())];
    let value = |scrape: &Scrape, name: &str| scrape.value(name, &host);
    let scrape = watched.scrape().await;
    assert_eq!(value(&scrape, "wharf_host_unreachable"), Some(0.0));
    assert_eq!(value(&scrape, "wharf_host_view_live"), None, "nobody wanted its view");
    watched.follow(at(&[0])).await.all_succeeded();
    let live =
        |live: f64| move |scrape: &Scrape| value(scrape, "wharf_host_view_live") == Some(live);
    let scrape = watched.until("the view is live", live(1.0)).await;
    let heard = value(&scrape, "wharf_host_view_heard_timestamp_seconds").unwrap();
    let age =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64() - heard;
    assert!((0.0..DEADLINE.as_secs_f64()).contains(&age), "{age}");
    let other = name(1);
    assert_eq!(scrape.value("wharf_host_view_live", &[("host", &other)]), None, "not followed");

    watched.fleet.host(0).host().set_unreachable(true);
    watched.until("the view is not live", live(0.0)).await;
    watched.list(at(&[0])).await;
    let unreachable =
        |is: f64| move |scrape: &Scrape| value(scrape, "wharf_host_unreachable") == Some(is);
    watched.until("the host is unreachable", unreachable(1.0)).await;
    watched.fleet.host(0).host().set_unreachable(false);
    watched.until("the host is reachable", unreachable(0.0)).await;
    watched.until("the view is live again", live(1.0)).await;
    watched.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_series_of_a_host_end_with_it() {
    let watched = Watched::new(1).await;
    let address = watched.fleet.host(0).address();
    let new = v1::AddHostRequest { name: "extra".to_owned(), address, ..Default::default() };
    watched.inventory().add_host(new).await.unwrap();
    watched.list(all()).await.all_succeeded();
    let cordon = v1::CordonHostsRequest { targets: at(&[0]), ..Default::default() };
    watched.inventory().cordon_hosts(cordon).await.unwrap();
    let scrape = watched.scrape().await;
    let first = name(0);
    let cordoned = |host: &str| scrape.value("wharf_host_cordoned", &[("host", host)]);
    assert_eq!((cordoned("extra"), cordoned(&first)), (Some(0.0), Some(1.0)));
    assert_eq!(scrape.value("wharf_host_up", &[("host", "extra")]), Some(1.0));

    let remove = v1::RemoveHostRequest { name: "extra".to_owned(), ..Default::default() };
    watched.inventory().remove_host(remove).await.unwrap();
    let text = watched.text().await;
    assert!(!text.contains("\"extra\"") && text.contains(&format!("\"{first}\"")), "{text}");
    watched.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_reads_of_metrics_under_a_name_of_this_machine_are_answered() {
    let watched = Watched::new(0).await;
    let own = watched.place.clone();
    for (request, status) in [
        ("GET /metrics HTTP/1.1\r\nhost: localhost", "200"),
        (&format!("GET /metrics HTTP/1.1\r\nhost: {own}"), "200"),
        ("GET /metrics?name=up HTTP/1.1\r\nhost: localhost", "200"),
        ("GET / HTTP/1.1\r\nhost: localhost", "404"),
        ("GET /metrics/ HTTP/1.1\r\nhost: localhost", "404"),
        ("POST /metrics HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0", "405"),
        ("DELETE /metrics HTTP/1.1\r\nhost: localhost", "405"),
        // A page that made its own name stand for this machine, and a page of a stranger.
        ("GET /metrics HTTP/1.1\r\nhost: evil.example", "403"),
        ("GET /metrics HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example", "403"),
        (
            "POST /wharf.v1.HostService/ListHosts HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/grpc-web\r\ncontent-length: 0",
            "404",
        ),
    ] {
        let answer = watched.ask(&format!("{request}\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        let is_answered = answer.contains("wharf_build_info");
        assert_eq!(is_answered, status == "200", "{request}: {answer}");
        if status == "405" {
            assert!(answer.contains("allow: GET, HEAD"), "{answer}");
        }
    }
    let head = watched.ask("HEAD /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    let asked = "GET /metrics HTTP/1.1\r\nhost: localhost\r\naccept: application/openmetrics-text;version=1.0.0\r\n\r\n";
    let answer = watched.ask(asked).await;
    assert!(
        answer.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{answer}"
    );
    assert!(answer.ends_with("# EOF\n"), "{answer}");
    watched.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_say_nothing_are_let_go() {
    let watched = Watched::with(Fleet::new(0).await, |config| {
        config.limits.handshake_timeout = Duration::from_secs(1);
        config.limits.first_request_timeout = Duration::from_secs(3);
    })
    .await;
    for said in ["", "GET /metrics HTTP/1.1\r\nhost: localhost"] {
        let mut stream = TcpStream::connect(&watched.place).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{said:?} is still waited for");
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{said:?}");
    }
    // The one that reads the result, and no other.
    let place = watched.place.as_str();
    watched
        .until("all are gone", |scrape| {
            let listener = format!("tcp://{place}");
            scrape.value("wharf_listener_connections", &[("listener", &listener)]) == Some(1.0)
        })
        .await;
    watched.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_is_shown_with_its_duration() {
    let watched = Watched::new(2).await;
    let milliseconds = |number| prost_types::Duration::try_from(Duration::from_millis(number)).ok();
    let spec = v1::RolloutSpec {
        container: "c0".to_owned(),
        targets: all(),
        image: "registry.test/app:v2".to_owned(),
        policy: Some(v1::RolloutPolicy {
            health: v1::HealthGate::Running.into(),
            min_healthy_time: milliseconds(10),
            monitor: milliseconds(10),
            ..Default::default()
        }),
        ..Default::default()
    };
    let starts = Answer::of(watched.containers().start_containers(start(all(), "c0"))).await;
    starts.all_succeeded();
    let request = v1::CreateRolloutRequest { spec: Some(spec), ..Default::default() };
    RolloutServiceClient::new(watched.channel.clone()).create_rollout(request).await.unwrap();
    let scrape = watched
        .until("it has ended", |scrape| {
            let count = "wharf_rollout_duration_seconds_count";
            scrape.value(count, &[("outcome", "succeeded")]) == Some(1.0)
        })
        .await;
    for phase in ["pulling", "running", "baking", "paused", "rolling_back", "aborting"] {
        assert_eq!(scrape.value("wharf_rollouts", &[("phase", phase)]), Some(0.0), "{phase}");
    }
    assert!(scrape.value("wharf_store_write_duration_seconds_count", &[]) > Some(3.0));
    assert_eq!(scrape.value("wharf_store_failures_total", &[]), Some(0.0));
    watched.server.stop().await;
}

/// A server of which every metric has a sample: with TLS, a host with a client certificate, and a
/// failed call.
pub async fn complete() -> Watched {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().pem();
    let key = key.serialize_pem();
    let authority = Some(certificate.clone());
    let identity =
        ServerIdentity::new(certificate.clone(), Secret::new(key.clone()), authority).unwrap();
    let tls = TlsMaterial::new(certificate.clone(), certificate, Secret::new(key)).unwrap();
    let watched = Watched::with(Fleet::new(1).await, |config| {
        config.listen.push(loopback());
        config.access = Access::Secured { identity, tokens: Vec::new() };
        let host = Host {
            name: HostName::parse("secured").unwrap(),
            address: HostAddress::parse("tcp://127.0.0.1:1", Transport::Tls).unwrap(),
            labels: Labels::default(),
            source: HostSource::File,
            tls: Some(HostTls { group: None, material: tls.into() }),
            insecure: false,
            created_at: None,
        };
        config.hosts.hosts.insert(host.name.clone(), host);
    })
    .await;
    watched.list(all()).await;
    watched.follow(at(&[0])).await;
    watched
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_have_their_last_second() {
    let watched = complete().await;
    let scrape = watched.scrape().await;
    // The default of rcgen: the year 4096.
    let expiry = "wharf_host_client_certificate_expiry_timestamp_seconds";
    let of_host = scrape.value(expiry, &[("host", "secured")]).unwrap();
    let of_server = scrape.value("wharf_server_certificate_expiry_timestamp_seconds", &[]);
    assert_eq!(Some(of_host), of_server);
    assert!(of_host > 60_000_000_000.0, "{of_host}");
    assert_eq!(scrape.value("wharf_host_up", &[("host", "secured")]), Some(0.0));
    watched.server.stop().await;
}

/// docs/metrics.md promises it: 10,000 hosts must fit in a scrape.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_costs_no_more_than_the_document_says() {
    let watched = complete().await;
    let scrape = watched.scrape().await;
    for host in [name(0), "secured".to_owned()] {
        let of_host = scrape.samples.iter().filter(|it| it.labels.get("host") == Some(&host));
        let count = of_host.count();
        assert!((10..=18).contains(&count), "{host} has {count} series");
    }
    watched.server.stop().await;
}
