//! The spans that a collector receives for calls on simulated hosts, and calls without a collector.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use wharf::client::Target;
use wharf::v1;
use wharf::v1::container_service_client::ContainerServiceClient;
use wharf_server::app::Server;
use wharf_server::config::Collector;
use wharf_simulator::{HttpFault, Operation, When};

use crate::metrics::Watched;
use crate::support::{Answer, Fleet, Reader, all, at, list, name, start, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector of OTLP over gRPC that keeps what it receives. Ends when it is dropped.
struct Receiver {
    place: Collector,
    received: Received,
    task: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Receiver {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("http://{}", listener.local_addr().unwrap());
        let received = Received::default();
        let serving = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(received.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self { place: Collector::parse(&place).unwrap(), received, task }
    }

    /// All spans of a kind.
    fn spans(&self, kind: SpanKind) -> Vec<Span> {
        let requests = self.received.0.lock().unwrap();
        let of_scopes = requests.iter().flat_map(|it| &it.resource_spans).flat_map(|resource| {
            let attributes = texts(&resource.resource.as_ref().unwrap().attributes);
            assert_eq!(attributes["service.name"], "wharfd");
            &resource.scope_spans
        });
        let spans = of_scopes.flat_map(|scope| &scope.spans);
        spans.filter(|span| span.kind() == kind).cloned().collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A server that sends its traces to `collector`, and a connection to it.
async fn traced(fleet: &mut Fleet, collector: &Collector) -> (Server, Channel) {
    fleet.stop().await;
    let mut config = fleet.config().clone();
    config.collector = Some(collector.clone());
    let server = Server::start(config).await.unwrap();
    let channel = Target::parse(&server.listening()[0]).unwrap().connect().await.unwrap();
    (server, channel)
}

/// A request in the trace of its caller, which is sampled or not.
fn within<T>(message: T, flags: &str) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().unwrap().value.as_ref() {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_has_a_span_in_the_trace_of_its_caller_and_one_for_each_host() {
    let receiver = Receiver::new().await;
    let mut fleet = Fleet::new(3).await;
    let (server, channel) = traced(&mut fleet, &receiver.place).await;
    let refusal = HttpFault::Refuse { status: 500, message: "the disk is on fire".to_owned() };
    fleet.host(1).faults.add(When::on(Operation::ListContainers), refusal);
    let mut containers = ContainerServiceClient::new(channel);
    let answer = Answer::of(containers.list_containers(within(list(all()), "01"))).await;
    assert_eq!(answer.succeeded(), [name(0), name(2)]);
    // A stop sends what is left.
    server.stop().await;

    let calls = receiver.spans(SpanKind::Server);
    let [call] = &calls[..] else { panic!("{calls:#?}") };
    assert_eq!(call.name, "wharf.v1.ContainerService/ListContainers");
    assert_eq!((hex(&call.trace_id), hex(&call.parent_span_id)), (TRACE.into(), PARENT.into()));
    let attributes = texts(&call.attributes);
    assert_eq!(attributes["rpc.system.name"], "grpc");
    assert_eq!(attributes["rpc.method"], call.name);
    assert_eq!(attributes["rpc.response.status_code"], "OK");

    let hosts: BTreeMap<String, Span> = receiver
        .spans(SpanKind::Client)
        .into_iter()
        .map(|span| (texts(&span.attributes)["wharf.host.name"].clone(), span))
        .collect();
    assert_eq!(hosts.keys().cloned().collect::<Vec<_>>(), [name(0), name(1), name(2)]);
    assert_eq!(receiver.spans(SpanKind::Client).len(), 3);
    for (host, span) in &hosts {
        assert_eq!(span.name, "ListContainers on host");
        assert_eq!((&span.trace_id, &span.parent_span_id), (&call.trace_id, &call.span_id));
        assert!(span.start_time_unix_nano >= call.start_time_unix_nano);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        let attributes = texts(&span.attributes);
        assert!(attributes["server.address"].starts_with("127.1."), "{attributes:?}");
        let events: Vec<_> = span.events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(events, ["HEAD /_ping", "GET /containers/json"]);
        let of_list = texts(&span.events[1].attributes);
        let status = span.status.clone().unwrap_or_default();
        if *host == name(1) {
            assert_eq!(attributes["wharf.host.outcome"], "failed");
            assert_eq!(attributes["error.type"], "ENGINE_ERROR");
            assert_eq!(status.code(), StatusCode::Error);
            assert!(status.message.contains("the disk is on fire"), "{status:?}");
            assert_eq!(of_list["error.type"], "ENGINE_ERROR");
        } else {
            assert_eq!(attributes["wharf.host.outcome"], "succeeded");
            assert_eq!(status.code(), StatusCode::Unset);
            assert!(!of_list.contains_key("error.type"), "{of_list:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_caller_decides_whether_a_call_is_traced_and_only_calls_of_the_contract_are() {
    let receiver = Receiver::new().await;
    let mut fleet = Fleet::new(1).await;
    let (server, channel) = traced(&mut fleet, &receiver.place).await;
    let mut containers = ContainerServiceClient::new(channel.clone());
    Answer::of(containers.list_containers(within(list(all()), "00"))).await.all_succeeded();
    let check = HealthCheckRequest::default();
    HealthClient::new(channel).check(within(check, "01")).await.unwrap();
    // Without a trace of the caller, or with one that is none, it is a trace of its own.
    Answer::of(containers.start_containers(start(all(), "c0"))).await.all_succeeded();
    let mut broken = Request::new(list(all()));
    broken.metadata_mut().insert("traceparent", "00-zz-1-01".parse().unwrap());
    Answer::of(containers.list_containers(broken)).await.all_succeeded();
    // A request that is wrong reaches no host.
    let nobody = v1::ListContainersRequest::default();
    containers.list_containers(within(nobody, "01")).await.unwrap_err();
    server.stop().await;

    let calls = receiver.spans(SpanKind::Server);
    let names: Vec<_> = calls.iter().map(|span| span.name.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["StartContainers", "ListContainers", "ListContainers"]);
    for own in &calls[..2] {
        assert!(own.parent_span_id.is_empty() && hex(&own.trace_id) != TRACE, "{own:?}");
    }
    assert_eq!(hex(&calls[2].trace_id), TRACE);
    let attributes = texts(&calls[2].attributes);
    assert_eq!(attributes["rpc.response.status_code"], "INVALID_ARGUMENT");
    // That is the caller's fault.
    assert!(!attributes.contains_key("error.type"), "{attributes:?}");
    let hosts = receiver.spans(SpanKind::Client);
    let parents: Vec<_> = hosts.iter().map(|span| &span.parent_span_id).collect();
    assert_eq!(parents, [&calls[0].span_id, &calls[1].span_id]);
    assert_eq!(texts(&hosts[0].attributes)["wharf.host.changed"], "Some(BoolValue(true))");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_caller_leaves_has_its_spans_too() {
    let receiver = Receiver::new().await;
    let mut fleet = Fleet::new(2).await;
    let (server, channel) = traced(&mut fleet, &receiver.place).await;
    let mut containers = ContainerServiceClient::new(channel);
    Answer::of(containers.list_containers(within(list(all()), "00"))).await.all_succeeded();
    fleet.host(1).host().set_hung(true);
    let mut reader = Reader::begin(containers.list_containers(within(list(all()), "01"))).await;
    reader.until_ended(1).await;
    until("the other one is asked", || fleet.host(1).counters.snapshot().in_flight == 1).await;
    drop(reader);
    until("it ends there", || fleet.host(1).counters.snapshot().in_flight == 0).await;
    server.stop().await;

    let calls = receiver.spans(SpanKind::Server);
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!(texts(&calls[0].attributes)["rpc.response.status_code"], "CANCELLED");
    let hosts = receiver.spans(SpanKind::Client);
    let of_host = |place: usize| {
        let span = hosts.iter().find(|it| texts(&it.attributes)["wharf.host.name"] == name(place));
        span.unwrap_or_else(|| panic!("{hosts:#?}"))
    };
    assert_eq!(texts(&of_host(0).attributes)["wharf.host.outcome"], "succeeded");
    assert_eq!(texts(&of_host(1).attributes)["wharf.host.outcome"], "caller_left");
    let abandoned = &of_host(1).events[0];
    assert_eq!(abandoned.name, "GET /containers/json");
    let attributes = texts(&abandoned.attributes);
    assert_eq!(attributes["wharf.engine.abandoned"], "Some(BoolValue(true))");
}

/// How many spans were exported, failed, and were dropped.
async fn spans(watched: &Watched) -> [f64; 3] {
    let scrape = watched.scrape().await;
    let count = |outcome| scrape.value("wharf_trace_spans_total", &[("outcome", outcome)]);
    ["exported", "failed", "dropped"].map(|outcome| count(outcome).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_collector_calls_succeed_and_the_lost_spans_are_counted() {
    // Nothing listens there.
    let away = Collector::parse("http://127.0.0.1:1").unwrap();
    let watched = Watched::with(Fleet::new(1).await, |config| config.collector = Some(away)).await;
    let mut containers = ContainerServiceClient::new(watched.channel.clone());
    Answer::of(containers.list_containers(list(at(&[0])))).await.all_succeeded();
    while spans(&watched).await[1] < 2.0 {
        Answer::of(containers.list_containers(list(at(&[0])))).await.all_succeeded();
    }
    assert_eq!(spans(&watched).await[0], 0.0);
    watched.server.stop().await;
    // One that is off counts nothing.
    let watched = Watched::new(1).await;
    let mut containers = ContainerServiceClient::new(watched.channel.clone());
    Answer::of(containers.list_containers(list(at(&[0])))).await.all_succeeded();
    assert_eq!(spans(&watched).await, [0.0; 3]);
}
