//! Every call that changes something accepts a `request_id`, and a retry with it gets the first
//! result, regardless of changes in between.

use std::collections::BTreeSet;
use std::time::Duration;

use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::{Code, Request};
use uuid::Uuid;
use wharf::v1;

use crate::support::{Answer, Fleet, FleetOptions, IMAGE, all, at, name, reason, secs, start};

/// Makes a call twice under one ID; gives the first answer. `$same` is what must not differ.
macro_rules! twice {
    ($done:ident, $client:expr, $method:ident, $path:literal, $request:expr) => {
        twice!($done, $client, $method, $path, $request, |answer| answer)
    };
    ($done:ident, $client:expr, $method:ident, $path:literal, $request:expr, $same:expr) => {{
        let mut request = $request;
        request.request_id = id();
        let mut client = $client;
        let first = client.$method(request.clone()).await.expect($path).into_inner();
        let again = client.$method(request).await.expect(concat!($path, ", again")).into_inner();
        assert_eq!($same(first.clone()), $same(again), $path);
        $done.insert($path);
        first
    }};
}

/// Makes a call on the first host twice under one ID, of which the host hears once.
macro_rules! twice_on_a_host {
    ($done:ident, $fleet:ident, $client:ident, $method:ident, $path:literal, $request:expr) => {{
        let mut request = $request;
        request.request_id = id();
        request.targets = at(&[0]);
        let first = Answer::of($fleet.$client().$method(request.clone())).await;
        assert!(first.status.is_ok(), "{}: {:?}", $path, first.status);
        let heard = $fleet.host(0).counters.snapshot().total;
        let again = Answer::of($fleet.$client().$method(request)).await;
        assert!(again.status.is_ok(), "{}: {:?}", $path, again.status);
        assert_eq!($fleet.host(0).counters.snapshot().total, heard, $path);
        assert_eq!(again.summary, first.summary, $path);
        // Progress and output are not recorded.
        assert!(again.payloads.len() <= first.payloads.len(), $path);
        assert_eq!(again.payloads.is_empty(), first.payloads.is_empty(), $path);
        assert!(again.outcomes[&name(0)].replayed && !first.outcomes[&name(0)].replayed);
        $done.insert($path);
    }};
}

mod resources;

fn id() -> String {
    Uuid::new_v4().to_string()
}

fn added(fleet: &Fleet, host: usize) -> v1::AddHostRequest {
    v1::AddHostRequest {
        name: "added".to_owned(),
        address: fleet.host(host).address(),
        labels: [("role".to_owned(), "added".to_owned())].into(),
        ..Default::default()
    }
}

fn labelled(labels: &str) -> Option<v1::HostSelector> {
    let selection = v1::host_selector::Selection::Labels(labels.to_owned());
    Some(v1::HostSelector { selection: Some(selection), exclude: Vec::new() })
}

fn login() -> v1::LoginRequest {
    let credentials = v1::RegistryCredentials {
        registry: "private.test".to_owned(),
        username: "ann".to_owned(),
        password: "opensesame".to_owned(),
        ..Default::default()
    };
    v1::LoginRequest { credentials: Some(credentials), ..Default::default() }
}

/// A rollout of a container of the hosts at these places that passes its gate soon.
fn rollout(container: &str, places: &[usize]) -> v1::CreateRolloutRequest {
    let millis =
        |millis: i32| Some(prost_types::Duration { seconds: 0, nanos: millis * 1_000_000 });
    let policy = v1::RolloutPolicy {
        min_healthy_time: millis(10),
        monitor: millis(10),
        ..Default::default()
    };
    let spec = v1::RolloutSpec {
        container: container.to_owned(),
        targets: at(places),
        image: "registry.test/app:v2".to_owned(),
        policy: Some(policy),
        ..Default::default()
    };
    v1::CreateRolloutRequest { spec: Some(spec), ..Default::default() }
}

/// Looks until a rollout is there.
async fn reaches(fleet: &Fleet, id: &str, state: v1::RolloutState) {
    let deadline = tokio::time::Instant::now() + secs(30);
    loop {
        let request = v1::GetRolloutRequest { id: id.to_owned(), ..Default::default() };
        let now = fleet.rollouts().get_rollout(request).await.unwrap().into_inner();
        let now = now.rollout.unwrap();
        if now.state() == state {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{now:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn two_hosts(containers: usize) -> Fleet {
    Fleet::with(FleetOptions { containers, ..FleetOptions::of(2) }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_that_changes_something_is_done_once_under_its_id() {
    let fleet = two_hosts(3).await;
    let mut done = BTreeSet::new();
    of_hosts_and_registries(&fleet, &mut done).await;
    of_containers(&fleet, &mut done).await;
    of_images(&fleet, &mut done).await;
    resources::of_networks_and_volumes(&fleet, &mut done).await;
    of_rollouts(&fleet, &mut done).await;
    of_commands(&fleet, &mut done).await;

    let pool = DescriptorPool::decode(wharf::DESCRIPTORS).unwrap();
    let mutates = pool.get_extension_by_name("wharf.v1.mutates").unwrap();
    let mut methods = BTreeSet::new();
    for service in pool.services().filter(|service| service.package_name() == "wharf.v1") {
        // A session in a container cannot be repeated, and its input is by its position; an upload is
        // repeated as a whole.
        let is_other = |method: &MethodDescriptor| {
            method.is_client_streaming()
                || method.output().get_field_by_name("exited").is_some()
                || method.input().get_field_by_name("position").is_some()
        };
        for method in service.methods().filter(|method| !is_other(method)) {
            if method.options().get_extension(&mutates).as_bool() == Some(true) {
                let path = format!("{}/{}", service.name(), method.name());
                assert!(method.input().get_field_by_name("request_id").is_some(), "{path}");
                methods.insert(path);
            }
        }
    }
    let done: BTreeSet<_> = done.into_iter().map(str::to_owned).collect();
    assert_eq!(done, methods, "calls that are tried here, and calls that change something");
}

async fn of_hosts_and_registries(fleet: &Fleet, done: &mut BTreeSet<&'static str>) {
    let (hosts, registry) = (fleet.inventory(), fleet.registry());
    let add = added(fleet, 1);
    twice!(done, hosts.clone(), add_host, "HostService/AddHost", add);
    let label = v1::UpdateHostLabelsRequest {
        // The second call finds no such host.
        targets: labelled("role=added"),
        set: [("role".to_owned(), "other".to_owned())].into(),
        ..Default::default()
    };
    twice!(done, hosts.clone(), update_host_labels, "HostService/UpdateHostLabels", label);
    let added = || labelled("role=other");
    let cordon = v1::CordonHostsRequest { targets: added(), ..Default::default() };
    twice!(done, hosts.clone(), cordon_hosts, "HostService/CordonHosts", cordon);
    let uncordon = v1::UncordonHostsRequest { targets: added(), ..Default::default() };
    twice!(done, hosts.clone(), uncordon_hosts, "HostService/UncordonHosts", uncordon);
    let remove = v1::RemoveHostRequest { name: "added".to_owned(), ..Default::default() };
    twice!(done, hosts, remove_host, "HostService/RemoveHost", remove);
    twice!(done, registry.clone(), login, "RegistryService/Login", login());
    let logout = v1::LogoutRequest { registry: "private.test".to_owned(), ..Default::default() };
    twice!(done, registry, logout, "RegistryService/Logout", logout);
}

async fn of_containers(fleet: &Fleet, done: &mut BTreeSet<&'static str>) {
    let c0 = || vec!["c0".to_owned()];
    let request = start(None, "c0");
    twice_on_a_host!(
        done,
        fleet,
        containers,
        start_containers,
        "ContainerService/StartContainers",
        request
    );
    let request = v1::PauseContainersRequest { containers: c0(), ..Default::default() };
    twice_on_a_host!(
        done,
        fleet,
        containers,
        pause_containers,
        "ContainerService/PauseContainers",
        request
    );
    let request = v1::UnpauseContainersRequest { containers: c0(), ..Default::default() };
    twice_on_a_host!(
        done,
        fleet,
        containers,
        unpause_containers,
        "ContainerService/UnpauseContainers",
        request
    );
    let request = v1::RestartContainersRequest { containers: c0(), ..Default::default() };
    twice_on_a_host!(
        done,
        fleet,
        containers,
        restart_containers,
        "ContainerService/RestartContainers",
        request
    );
    let request = v1::KillContainersRequest {
        containers: c0(),
        signal: "HUP".to_owned(),
        ..Default::default()
    };
    twice_on_a_host!(
        done,
        fleet,
        containers,
        kill_containers,
        "ContainerService/KillContainers",
        request
    );
    let request = v1::UpdateContainersRequest {
        containers: c0(),
        cpu_shares: Some(512),
        ..Default::default()
    };
    twice_on_a_host!(
        done,
        fleet,
        containers,
        update_containers,
        "ContainerService/UpdateContainers",
        request
    );
    let request = v1::StopContainersRequest { containers: c0(), ..Default::default() };
    twice_on_a_host!(
        done,
        fleet,
        containers,
        stop_containers,
        "ContainerService/StopContainers",
        request
    );
    let request = v1::RenameContainerRequest {
        container: "c0".to_owned(),
        new_name: "renamed".to_owned(),
        ..Default::default()
    };
    twice_on_a_host!(
        done,
        fleet,
        containers,
        rename_container,
        "ContainerService/RenameContainer",
        request
    );
    let request = v1::RemoveContainersRequest {
        containers: vec!["renamed".to_owned()],
        ..Default::default()
    };
    twice_on_a_host!(
        done,
        fleet,
        containers,
        remove_containers,
        "ContainerService/RemoveContainers",
        request
    );
    let spec = v1::ContainerSpec { image: IMAGE.to_owned(), ..Default::default() };
    let request = v1::CreateContainerRequest {
        name: "made".to_owned(),
        spec: Some(spec),
        ..Default::default()
    };
    twice_on_a_host!(
        done,
        fleet,
        containers,
        create_container,
        "ContainerService/CreateContainer",
        request
    );
    // Those of the rollout are not to be pruned.
    Answer::of(fleet.containers().start_containers(start(all(), "c1"))).await.all_succeeded();
    let request = v1::PruneContainersRequest::default();
    twice_on_a_host!(
        done,
        fleet,
        containers,
        prune_containers,
        "ContainerService/PruneContainers",
        request
    );
}

async fn of_images(fleet: &Fleet, done: &mut BTreeSet<&'static str>) {
    let reference = || "registry.test/app:v2".to_owned();
    let request = v1::PullImageRequest { reference: reference(), ..Default::default() };
    twice_on_a_host!(done, fleet, images, pull_image, "ImageService/PullImage", request);
    let request = v1::TagImageRequest {
        source: reference(),
        target: "registry.test/app:tagged".to_owned(),
        ..Default::default()
    };
    twice_on_a_host!(done, fleet, images, tag_image, "ImageService/TagImage", request);
    let request = v1::PushImageRequest {
        reference: "registry.test/app:tagged".to_owned(),
        ..Default::default()
    };
    twice_on_a_host!(done, fleet, images, push_image, "ImageService/PushImage", request);
    let request = v1::RemoveImagesRequest {
        images: vec!["registry.test/app:tagged".to_owned()],
        ..Default::default()
    };
    twice_on_a_host!(done, fleet, images, remove_images, "ImageService/RemoveImages", request);
    let request = v1::SendImageRequest {
        source_host: name(1),
        image: IMAGE.to_owned(),
        ..Default::default()
    };
    twice_on_a_host!(done, fleet, images, send_image, "ImageService/SendImage", request);
    let request = v1::PruneImagesRequest::default();
    twice_on_a_host!(done, fleet, images, prune_images, "ImageService/PruneImages", request);
}

async fn of_rollouts(fleet: &Fleet, done: &mut BTreeSet<&'static str>) {
    let rollouts = fleet.rollouts();
    let mut create = rollout("c1", &[0, 1]);
    let policy = create.spec.as_mut().and_then(|spec| spec.policy.as_mut()).unwrap();
    policy.canary = "1".to_owned();
    policy.promote = v1::Promote::Manual.into();
    // How it stands may have changed; that it is the same one has not.
    let id = |answer: v1::CreateRolloutResponse| answer.rollout.unwrap().id;
    let made =
        twice!(done, rollouts.clone(), create_rollout, "RolloutService/CreateRollout", create, id);
    let of = made.rollout.unwrap().id;
    reaches(fleet, &of, v1::RolloutState::Paused).await;
    let request = v1::PromoteRolloutRequest { id: of.clone(), ..Default::default() };
    twice!(done, rollouts.clone(), promote_rollout, "RolloutService/PromoteRollout", request);
    reaches(fleet, &of, v1::RolloutState::Succeeded).await;

    // Its first host stays in the gate.
    let hours = |hours: i64| Some(prost_types::Duration { seconds: hours * 3600, nanos: 0 });
    let policy = v1::RolloutPolicy {
        min_healthy_time: hours(1),
        healthy_deadline: hours(2),
        progress_deadline: hours(4),
        ..Default::default()
    };
    let undo = v1::UndoRolloutRequest { id: of, policy: Some(policy), ..Default::default() };
    let id = |answer: v1::UndoRolloutResponse| answer.rollout.unwrap().id;
    let undone =
        twice!(done, rollouts.clone(), undo_rollout, "RolloutService/UndoRollout", undo, id);
    let id = undone.rollout.unwrap().id;
    let request = v1::PauseRolloutRequest { id: id.clone(), ..Default::default() };
    twice!(done, rollouts.clone(), pause_rollout, "RolloutService/PauseRollout", request);
    let request = v1::ResumeRolloutRequest { id: id.clone(), ..Default::default() };
    twice!(done, rollouts.clone(), resume_rollout, "RolloutService/ResumeRollout", request);
    let request = v1::AbortRolloutRequest { id, ..Default::default() };
    twice!(done, rollouts, abort_rollout, "RolloutService/AbortRollout", request);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_stands_for_another_write_is_refused() {
    let fleet = Fleet::new(1).await;
    let request = v1::AddHostRequest { request_id: id(), ..added(&fleet, 0) };
    fleet.inventory().add_host(request.clone()).await.unwrap();
    let mut other = request.clone();
    other.labels.insert("zone".to_owned(), "north".to_owned());
    let refused = fleet.inventory().add_host(other).await.unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
    let remove = v1::RemoveHostRequest {
        name: "added".to_owned(),
        request_id: request.request_id,
        ..Default::default()
    };
    let refused = fleet.inventory().remove_host(remove).await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_failed_is_done_by_the_next_try() {
    let fleet = Fleet::new(1).await;
    let remove =
        v1::RemoveHostRequest { name: "added".to_owned(), request_id: id(), ..Default::default() };
    for _ in 0..2 {
        let refused = fleet.inventory().remove_host(remove.clone()).await.unwrap_err();
        assert_eq!(reason(&refused), "HOST_NOT_FOUND");
    }
    fleet.inventory().add_host(added(&fleet, 0)).await.unwrap();
    fleet.inventory().remove_host(remove).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_goes_on_although_its_caller_went_away() {
    let fleet = Fleet::new(1).await;
    fleet.warm().await;
    fleet.host(0).host().set_hung(true);
    let write = v1::LoginRequest { request_id: id(), ..login() };
    let mut request = Request::new(write.clone());
    request.set_timeout(Duration::from_millis(300));
    let late = fleet.registry().login(request).await.unwrap_err();
    assert_eq!((late.code(), &*reason(&late)), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    let early = fleet.registry().login(write.clone()).await.unwrap_err();
    assert_eq!((early.code(), &*reason(&early)), (Code::Aborted, "REQUEST_IN_PROGRESS"));
    fleet.host(0).host().set_hung(false);
    let kept = loop {
        match fleet.registry().login(write.clone()).await {
            Ok(kept) => break kept.into_inner().login.unwrap(),
            Err(status) => assert_eq!(reason(&status), "REQUEST_IN_PROGRESS"),
        }
    };
    let logins = fleet.registry().list_logins(v1::ListLoginsRequest {}).await.unwrap();
    let names = |login: &v1::RegistryLogin| (login.registry.clone(), login.username.clone());
    let logins: Vec<_> = logins.get_ref().logins.iter().map(names).collect();
    assert_eq!(logins, [names(&kept)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_is_for_the_hosts_of_the_first_call() {
    let fleet = two_hosts(1).await;
    fleet.inventory().add_host(added(&fleet, 1)).await.unwrap();
    let role = || labelled("role=added");
    let write = v1::StartContainersRequest { request_id: id(), ..start(role(), "c0") };
    Answer::of(fleet.containers().start_containers(write.clone())).await.all_succeeded();
    let missing = v1::StartContainersRequest { request_id: id(), ..start(role(), "none") };
    let first = Answer::of(fleet.containers().start_containers(missing.clone())).await;
    assert_eq!(first.code_and_reason("added").1, "CONTAINER_NOT_FOUND");
    // Another host comes to have the label, and the one that had it goes.
    let other = v1::AddHostRequest { name: "other".to_owned(), ..added(&fleet, 0) };
    fleet.inventory().add_host(other).await.unwrap();
    let again = Answer::of(fleet.containers().start_containers(write.clone())).await;
    assert_eq!(again.succeeded(), ["added"]);
    let remove = v1::RemoveHostRequest { name: "added".to_owned(), ..Default::default() };
    fleet.inventory().remove_host(remove).await.unwrap();
    let again = Answer::of(fleet.containers().start_containers(write)).await;
    again.all_succeeded();
    assert!(again.outcomes["added"].replayed && again.outcomes["added"].changed);
    // Where nothing was done, nothing can be said but that it is gone.
    let again = Answer::of(fleet.containers().start_containers(missing)).await;
    assert_eq!(again.code_and_reason("added"), (Code::NotFound, "HOST_NOT_FOUND".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_whose_caller_stopped_waiting_is_made_once() {
    let containers = 10;
    let fleet = Fleet::with(FleetOptions { containers, ..FleetOptions::of(1) }).await;
    fleet.warm().await;
    // So that the deadlines pass in every part of the planning.
    fleet.host(0).set_latency(Duration::from_millis(4));
    for number in 0..containers {
        let write =
            v1::CreateRolloutRequest { request_id: id(), ..rollout(&format!("c{number}"), &[0]) };
        let mut request = Request::new(write.clone());
        request.set_timeout(Duration::from_millis(10 + 2 * number as u64));
        let _ = fleet.rollouts().create_rollout(request).await;
        let made = loop {
            match fleet.rollouts().create_rollout(write.clone()).await {
                Ok(made) => break made.into_inner().rollout.unwrap().id,
                Err(status) => {
                    let seen = (status.code(), reason(&status));
                    assert_eq!(seen, (Code::Aborted, "REQUEST_IN_PROGRESS".to_owned()));
                }
            }
        };
        let again = fleet.rollouts().create_rollout(write).await.unwrap().into_inner();
        assert_eq!(again.rollout.unwrap().id, made);
    }
    let list = v1::ListRolloutsRequest::default();
    let all = fleet.rollouts().list_rollouts(list).await.unwrap().into_inner();
    assert_eq!(all.rollouts.len(), containers);
}

async fn of_commands(fleet: &Fleet, done: &mut BTreeSet<&'static str>) {
    let create = v1::CreateContainerRequest {
        targets: at(&[0]),
        name: "commands".to_owned(),
        spec: Some(v1::ContainerSpec { image: IMAGE.to_owned(), ..Default::default() }),
        start: true,
        ..Default::default()
    };
    let created = Answer::of(fleet.containers().create_container(create)).await;
    assert!(created.status.is_ok(), "{:?}", created.status);
    let command = ["exit", "0"].map(str::to_owned).to_vec();
    let request = v1::RunCommandRequest {
        container: "commands".to_owned(),
        command: Some(v1::CommandSpec { command, ..Default::default() }),
        ..Default::default()
    };
    twice_on_a_host!(done, fleet, exec, run_command, "ExecService/RunCommand", request);
}
