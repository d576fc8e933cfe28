//! Every reason that is documented reaches a client: each one is made by the code that makes it in
//! real life, or, where that is the work of an Engine or of a whole rollout, handed to the service
//! as that work hands it over, and then read from what the service answers.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use http::Request as HttpRequest;
use prost::Message as _;
use tonic_types::RpcStatusExt;
use tower::{Layer, Service, service_fn};
use v1::host_service_server::HostService;
use v1::registry_service_server::RegistryService;

use super::*;
use crate::api::answer::{Answer, Part, outcome_message};
use crate::api::auth::{Access, AuthLayer};
use crate::api::call_limit::CallLimit;
use crate::api::deadline;
use crate::api::exec;
use crate::api::hosts::Hosts;
use crate::api::incoming::IncomingLayer;
use crate::api::items;
use crate::api::methods::Methods;
use crate::api::origin::WebAccess;
use crate::api::registries::Registries;
use crate::domain::{ContainerName, Cordon, CordonReason, HostName, Reason};
use crate::engine::ErrorKind;
use crate::fleet::{Done, HostError, HostEvent as Fleet, HostOutcome};
use crate::rollout::journal::JournalError;
use crate::rollout::model::Trouble;
use crate::store::{Failure, StoreError};

type Seen = BTreeSet<String>;

/// The reason of a status as a client reads it from the trailers.
#[expect(clippy::needless_pass_by_value, reason = "callers have no other use for it")]
fn read(status: Status) -> String {
    let mut headers = http::HeaderMap::new();
    status.add_header(&mut headers).unwrap();
    let status = Status::from_header_map(&headers).unwrap();
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "wharf.v1");
    assert_eq!(status.code(), Reason::parse(&info.reason).unwrap().code());
    info.reason
}

/// The reason of a status inside a message.
fn read_rpc(status: Option<&tonic_types::pb::Status>) -> String {
    status.unwrap().get_details_error_info().unwrap().reason
}

/// What the store says when SQLite refuses.
fn of_store(failure: Failure) -> StoreError {
    let directory = Path::new("/data").into();
    let (action, source) = ("write", sqlx::Error::PoolTimedOut);
    StoreError::Database { action, directory, failure, source }
}

/// What goes wrong on one host of a call.
fn of_hosts() -> Seen {
    let engine = |kind| HostError::Engine(EngineError::new(kind, "GET /info", "it said no"));
    let mut errors: Vec<_> = ErrorKind::ALL.into_iter().map(engine).collect();
    let mut tally = items::Tally::default();
    tally.total = 2;
    tally.count(Err(engine(ErrorKind::Conflict)));
    errors.extend([
        tally.outcome().unwrap_err(),
        HostError::Timeout { budget: Duration::from_secs(1), goes_on: true },
        HostError::NotBegun,
        HostError::EarlierResultUnknown,
        HostError::NotRecorded(of_store(Failure::Full)),
        HostError::Panicked,
        HostError::CommandFailed { exit_code: 3 },
    ]);
    let host = HostName::parse("web1").unwrap();
    let message = |error| {
        let outcome = HostOutcome { result: Err(error), elapsed: Duration::ZERO, view: None };
        let bytes = outcome_message(&host, &outcome).encode_to_vec();
        v1::HostOutcome::decode(bytes.as_slice()).unwrap()
    };
    errors.into_iter().map(|error| read_rpc(message(error).status.as_ref())).collect()
}

/// How calls on several hosts end.
async fn of_calls() -> Seen {
    let unreachable = || EngineError::new(ErrorKind::Unreachable, "GET /info", "no");
    let broken = || EngineError::new(ErrorKind::Engine, "GET /info", "no");
    let mut seen = Seen::new();
    for second in [Ok(Done::CHANGED), Err(HostError::Engine(broken()))] {
        let results = [Err(HostError::Engine(unreachable())), second];
        let names = ["a", "b"].map(|name| HostName::parse(name).unwrap());
        let answer = Answer {
            hosts: names.to_vec(),
            cordoned: Vec::new(),
            operation_id: String::new(),
            allow_partial: false,
            mutates: true,
        };
        let parts: Vec<Part<v1::StopContainersResponse>> = names
            .into_iter()
            .zip(results)
            .map(|(name, result)| {
                Part::Live(Fleet::Outcome(
                    name,
                    HostOutcome { result, elapsed: Duration::ZERO, view: None },
                ))
            })
            .collect();
        let parts = futures_util::stream::iter(parts).boxed();
        let closing = futures_util::stream::empty().boxed();
        let messages: Vec<_> =
            answer.stream(parts, closing, CancellationToken::new()).collect().await;
        seen.insert(read(messages.into_iter().last().unwrap().unwrap_err()));
    }
    seen
}

/// Who may not call.
async fn of_callers() -> Seen {
    let methods = Arc::new(Methods::load());
    let web = WebAccess { hosts: Some(Vec::new()), origins: Vec::new() };
    let token = crate::api::auth::Token {
        name: "ci".to_owned(),
        role: crate::domain::Role::Reader,
        sha256: Sha256::digest("a-token").into(),
    };
    let layer = AuthLayer::new(methods, Access::Credentials(Arc::new([token])), web);
    let inner = service_fn(|_: HttpRequest<()>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(tonic::body::Body::empty()))
    });
    let service = layer.layer(inner);
    let call = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = HttpRequest::post(path).header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = service.clone().call(request.body(()).unwrap()).await.unwrap();
        Status::from_header_map(response.headers()).map(read)
    };
    let (host, known) = (("host", "localhost"), ("authorization", "Bearer a-token"));
    let wrong = ("authorization", "Bearer another-token");
    let path = "/wharf.v1.HostService/ListHosts";
    assert_eq!(call(path, &[host, known]).await, None, "let through");
    let mut seen = Seen::new();
    seen.extend(call(path, &[("host", "evil.example"), known]).await);
    seen.extend(call(path, &[host, known, ("origin", "https://evil.example")]).await);
    seen.extend(call(path, &[host]).await);
    seen.extend(call("/wharf.v1.HostService/AddHost", &[host, known]).await);
    seen.extend(call("/wharf.v1.HostService/Nonsense", &[host, known]).await);
    let headers = [host, wrong];
    let flood = (0..40).map(|_| call(path, &headers));
    seen.extend(futures_util::future::join_all(flood).await.into_iter().flatten());
    // Known, and with more calls under way than the server takes of one.
    let request = HttpRequest::post(path).header("content-type", "application/grpc");
    let request = request.header(host.0, host.1).header(known.0, known.1).body(()).unwrap();
    let inner = service_fn(|_: HttpRequest<()>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(tonic::body::Body::empty()))
    });
    let response = layer.layer(CallLimit::new(0).layer(inner)).call(request).await.unwrap();
    seen.extend(Status::from_header_map(response.headers()).map(read));
    seen
}

/// What is not known to the server.
async fn of_later_versions() -> Option<String> {
    let inner = service_fn(|_: HttpRequest<tonic::body::Body>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(tonic::body::Body::empty()))
    });
    // Field 99 with the number 1.
    let message = [0, 0, 0, 0, 3, 0x98, 0x06, 1];
    let body =
        tonic::body::Body::new(http_body_util::Full::new(bytes::Bytes::copy_from_slice(&message)));
    let request = HttpRequest::post("/wharf.v1.RolloutService/CreateRollout").body(body).unwrap();
    let checks = IncomingLayer::new(Arc::new(Methods::load()), std::time::Duration::from_secs(60));
    let response = checks.layer(inner).call(request).await.unwrap();
    Status::from_header_map(response.headers()).map(read)
}

/// What is wrong with a request.
async fn of_requests(world: &World) -> Seen {
    let mut seen = Seen::new();
    seen.extend(of_later_versions().await);
    let mut of = |status: Status| seen.insert(read(status));
    let targets =
        |selection| Some(v1::HostSelector { selection: Some(selection), exclude: vec![] });
    let named = |name: &str| {
        let names = vec![name.to_owned()];
        targets(v1::host_selector::Selection::Hosts(v1::HostNames { names }))
    };
    let labels = targets(v1::host_selector::Selection::Labels("role=nothing".to_owned()));
    for targets in [None, named("nobody"), labels] {
        let spec = v1::RolloutSpec { targets, ..inputs::spec("web") };
        let message = v1::CreateRolloutRequest { spec: Some(spec), ..Default::default() };
        of(world.create(message).await.unwrap_err());
    }
    let none = crate::fleet::select::SelectError::EmptyInventory;
    of(convert::select_problem(&none).into());

    let edge = &world.api.edge;
    let hosts = Hosts::new(Arc::clone(edge));
    let web1 = vec![HostName::parse("web1").unwrap()];
    let cordon = Cordon {
        reason: CordonReason::default(),
        by: "ann".to_owned(),
        since: SystemTime::UNIX_EPOCH,
    };
    edge.inventory.set_cordon(web1.clone(), Some(cordon)).await.unwrap();
    let spec = Some(v1::RolloutSpec { targets: named("web1"), ..inputs::spec("web") });
    let message = v1::CreateRolloutRequest { spec, ..Default::default() };
    of(world.create(message).await.unwrap_err());
    edge.inventory.set_cordon(web1, None).await.unwrap();
    let taken = v1::AddHostRequest {
        name: "web1".to_owned(),
        address: "unix:///elsewhere.sock".to_owned(),
        ..Default::default()
    };
    of(hosts.add_host(Request::new(taken)).await.unwrap_err());
    let name = HostName::parse("of-file").unwrap();
    let host = Host {
        name: name.clone(),
        address: HostAddress::parse("unix:///file.sock", Transport::Plain).unwrap(),
        labels: Labels::default(),
        source: HostSource::File,
        tls: None,
        insecure: false,
        created_at: None,
    };
    let file = FileHosts { hosts: [(name, host)].into(), ..FileHosts::default() };
    edge.inventory.reload_file(file).await.unwrap();
    let remove = v1::RemoveHostRequest { name: "of-file".to_owned(), ..Default::default() };
    of(hosts.remove_host(Request::new(remove)).await.unwrap_err());
    // Views are off in these tests.
    let watch = Request::new(v1::WatchHostsRequest::default());
    of(hosts.watch_hosts(watch).await.map(drop).unwrap_err());
    let registries = Registries(Arc::clone(edge));
    let logout = v1::LogoutRequest { registry: "nowhere.test".to_owned(), ..Default::default() };
    of(registries.logout(Request::new(logout)).await.unwrap_err());

    let id = Uuid::from_u128(77).to_string();
    let with_id =
        |container: &str| v1::CreateRolloutRequest { request_id: id.clone(), ..request(container) };
    world.create(with_id("first")).await.unwrap();
    of(world.create(with_id("second")).await.unwrap_err());
    let _claim = world.api.claims.claim(Uuid::from_u128(78)).await.unwrap();
    let at_work = v1::CreateRolloutRequest {
        request_id: Uuid::from_u128(78).to_string(),
        ..request("third")
    };
    of(world.create(at_work).await.unwrap_err());
    // Of sessions, which need an Engine.
    of(exec::not_found().into());
    of(exec::out_of_order(2, 1).into());
    seen
}

/// Why rollouts cannot be asked for or steered.
async fn of_rollouts(world: &World) -> Seen {
    let mut seen = Seen::new();
    let rollout = world.create(request("steered")).await.unwrap();
    seen.insert(read(world.create(request("steered")).await.unwrap_err()));
    seen.insert(read(world.create(request("refused")).await.unwrap_err()));
    let expected_plan = "0".repeat(64);
    let another = v1::CreateRolloutRequest { expected_plan, ..request("another") };
    seen.insert(read(world.create(another).await.unwrap_err()));
    let nobody =
        v1::GetRolloutRequest { id: Uuid::from_u128(99).to_string(), ..Default::default() };
    seen.insert(read(world.api.get_rollout(Request::new(nobody)).await.unwrap_err()));
    let promote = v1::PromoteRolloutRequest { id: rollout.id.clone(), ..Default::default() };
    seen.insert(read(world.api.promote_rollout(Request::new(promote)).await.unwrap_err()));
    let pause = v1::PauseRolloutRequest {
        id: rollout.id.clone(),
        expected_revision: rollout.revision + 7,
        ..Default::default()
    };
    seen.insert(read(world.api.pause_rollout(Request::new(pause)).await.unwrap_err()));
    world.write(&rollout.id, vec![phase(Phase::Aborted)]).await;
    let pause = v1::PauseRolloutRequest { id: rollout.id.clone(), ..Default::default() };
    seen.insert(read(world.api.pause_rollout(Request::new(pause)).await.unwrap_err()));
    let refused = Failure::ALL.map(|failure| JournalError::Store(Box::new(of_store(failure))));
    let outdated = JournalError::Outdated {
        host: HostName::parse("web1").unwrap(),
        container: ContainerName::parse("web").unwrap(),
    };
    for error in refused.into_iter().chain([JournalError::Fenced, outdated]) {
        seen.insert(read(trouble::problem(RolloutError::Journal(error)).into()));
    }
    seen.insert(read(trouble::problem(RolloutError::Stopping).into()));
    seen.insert(read(deadline::passed().into()));
    seen
}

#[tokio::test]
async fn every_reason_that_is_documented_reaches_a_client() {
    let world = World::new().await;
    let mut seen = of_hosts();
    seen.extend(of_calls().await);
    seen.extend(of_callers().await);
    seen.extend(of_requests(&world).await);
    seen.extend(of_rollouts(&world).await);
    let of_plans: Seen = Reason::ALL
        .iter()
        .filter(|reason| !seen.contains(reason.as_str()))
        .map(ToString::to_string)
        .collect();
    // What is left is found in plans and on the way: by the planner, the driver and the executor.
    for reason in &of_plans {
        let is_of_rollouts = reason.starts_with("ROLLOUT_")
            || ["DEPENDENT_", "NAMESPACE_", "OLD_IMAGE_", "RETAINED_", "SWARM_"]
                .iter()
                .any(|theme| reason.starts_with(theme));
        assert!(is_of_rollouts, "{reason} reaches nobody");
    }
    assert!(of_plans.len() > 15, "{of_plans:?}");

    // Each of them, and whatever else a host may say, as the refusal of a plan ...
    for reason in Reason::ALL {
        let container = format!("refused.{reason}");
        let error = world.create(request(&container)).await.unwrap_err();
        assert_eq!(read(error.clone()), "PLAN_REFUSED");
        let failure = error.get_details_precondition_failure().unwrap();
        assert_eq!(failure.violations[0].r#type, reason.as_str());
    }
    // ... as the reason of a pause, and as the status of a host.
    for (number, reason) in Reason::ALL.iter().enumerate() {
        let rollout = world.create(request(&format!("web{number}"))).await.unwrap();
        let trouble = Trouble::new(*reason, "look here");
        let end = HostEnd::NeedsAttention { trouble: trouble.clone() };
        let host = HostName::parse("web1").unwrap();
        let begun = HostEvent::Begun { work: Work::Forward, attempt: 1 };
        let paused = Phase::Paused {
            cause: PauseCause::NeedsAttention,
            resume_to: Box::new(Phase::Running { wave: 0 }),
            since: Millis(1),
        };
        let events = vec![
            Event::Host { host: host.clone(), happened: begun },
            Event::Host { host, happened: HostEvent::Ended { end } },
            Event::Phase { to: paused, reason: Some(trouble) },
        ];
        world.write(&rollout.id, events).await;
        let message = v1::GetRolloutRequest { id: rollout.id, ..Default::default() };
        let got = world.api.get_rollout(Request::new(message)).await.unwrap().into_inner();
        let got = got.rollout.unwrap();
        assert_eq!(read_rpc(got.reason.as_ref()), reason.as_str());
        let step = got.steps.iter().find(|step| step.host == "web1").unwrap();
        assert_eq!(read_rpc(step.status.as_ref()), reason.as_str());
    }
}

/// A reason that no code gives would be documented for nothing.
#[test]
fn every_reason_is_given_by_some_code() {
    let mut code = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && !["reason.rs", "tests.rs"].contains(&&*name) {
                let text = std::fs::read_to_string(&path).unwrap();
                code.push_str(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
            }
        }
    }
    for reason in Reason::ALL {
        let variant = format!("Reason::{reason:?}");
        let given = code.match_indices(&variant).any(|(at, _)| {
            !code[at + variant.len()..].starts_with(|it: char| it.is_alphanumeric())
        });
        assert!(given, "{reason} is given by no code");
    }
}
