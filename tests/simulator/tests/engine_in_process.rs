//! The Engine in process: latency, faults, crashes, and that two runs are one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};
use wharf_server::domain::{ContainerName, ContainerRef, ImageReference};
use wharf_server::engine::{
    Change, ContainerEngine, ContainerListing, ErrorKind, ImageEngine, ProgressSink, SystemEngine,
    Transfer,
};
use wharf_simulator::model::Status;
use wharf_simulator::{
    Behaviour, EngineOptions, Fault, ImageContent, Operation, Outcome, Plan, Registries, SimEngine,
    SimHost, SimRegistry, When,
};

fn engine() -> SimEngine {
    let registries = Registries::default();
    registries.add("r.sim", SimRegistry::open());
    let host = SimHost::new(EngineOptions::new("sim"), registries);
    host.with(|model, _| model.load("app:v1", &ImageContent::builder("v1").build()));
    SimEngine::new(host)
}

async fn running(engine: &SimEngine, name: &str, host_config: serde_json::Value) -> ContainerRef {
    let name = ContainerName::parse(name).unwrap();
    let body = json!({"Image": "app:v1", "HostConfig": host_config});
    let created = engine.create_container(Some(&name), None, &body).await.unwrap();
    let container = ContainerRef::parse(&created.id).unwrap();
    engine.start_container(&container).await.unwrap();
    container
}

fn status(engine: &SimEngine, container: &ContainerRef) -> Status {
    engine.host().with(|model, _| model.container(container.as_str()).unwrap().state.status)
}

#[tokio::test(start_paused = true)]
async fn latency_is_that_of_the_script() {
    let engine = engine();
    engine.script().set_latency(Duration::from_millis(30));
    let begun = Instant::now();
    let ping = engine.ping().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_millis(30));
    assert_eq!(ping.latency, Duration::from_millis(30));
}

#[tokio::test(start_paused = true)]
async fn a_fault_before_the_effect_leaves_no_trace_and_one_after_it_does() {
    let engine = engine();
    let container = running(&engine, "web", json!({})).await;
    let script = engine.script();
    let refused = Fault::Refuse(ErrorKind::Engine, 500, "disk full".to_owned());
    for (fault, kind, expected) in [
        (refused, ErrorKind::Engine, Status::Running),
        (Fault::Unreachable, ErrorKind::Unreachable, Status::Running),
        (Fault::LoseRequest, ErrorKind::ResultUnknown, Status::Running),
        (Fault::LoseAnswer, ErrorKind::ResultUnknown, Status::Exited),
    ] {
        script.add(When::on(Operation::Stop).about(container.as_str()).once(), fault.clone());
        let error = engine.stop_container(&container, None).await.unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?}");
        assert_eq!(status(&engine, &container), expected, "{fault:?}");
    }
    script.add(When::on(Operation::Inspect).once(), Fault::LoseAnswer);
    let error = engine.inspect_container(&container, false).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ConnectionLost, "a read leaves no doubt");
    assert_eq!(script.faults.hits(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_hang_lasts_until_the_caller_gives_up_and_the_log_says_so() {
    let engine = engine();
    let container = running(&engine, "web", json!({})).await;
    engine.script().clear_calls();
    engine.script().add(When::on(Operation::Stop).once(), Fault::HangAfter);
    let stop = timeout(Duration::from_secs(60), engine.stop_container(&container, None)).await;
    assert!(stop.is_err(), "it hangs");
    assert_eq!(status(&engine, &container), Status::Exited, "it was done");
    let calls = engine.script().calls();
    assert_eq!((calls.len(), calls[0].outcome), (1, Outcome::Abandoned));
    engine.host().set_hung(true);
    assert!(timeout(Duration::from_secs(60), engine.ping()).await.is_err());
    engine.host().set_hung(false);
    assert!(engine.ping().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stop_goes_on_when_its_caller_goes_away_and_a_pull_does_not() {
    let engine = engine();
    engine.host().with(|model, _| {
        let slow = Behaviour::default().stops_after(Duration::from_secs(5), 0);
        model.load("app:v1", &ImageContent::builder("slow").behaviour(slow).build());
        model.options_mut().timing.layer = Duration::from_secs(5);
        let remote = ImageContent::builder("remote").build();
        model.registries().publish("r.sim", "app", "v1", &remote);
    });
    let container = running(&engine, "web", json!({})).await;
    let stop = timeout(Duration::from_secs(1), engine.stop_container(&container, None)).await;
    assert!(stop.is_err() && status(&engine, &container) == Status::Running);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(status(&engine, &container), Status::Exited);

    let reference = ImageReference::parse("r.sim/app:v1").unwrap();
    let sink = ProgressSink::new(Transfer::default());
    let pull = engine.pull_image(&reference, None, None, &sink);
    assert!(timeout(Duration::from_secs(7), pull).await.is_err());
    assert!(sink.borrow().bytes_done > 0, "it had begun");
    tokio::time::advance(Duration::from_secs(60)).await;
    let images = engine.host().with(|model, _| model.images().len());
    assert_eq!(images, 2, "nothing came");
    engine.pull_image(&reference, None, None, &sink).await.unwrap();
    assert_eq!(engine.host().with(|model, _| model.images().len()), 3);
}

#[tokio::test(start_paused = true)]
async fn a_crash_ends_calls_and_processes_and_policies_decide_who_comes_back() {
    let engine = engine();
    let policy = |name: &str| json!({"RestartPolicy": {"Name": name}});
    let always = running(&engine, "always", policy("always")).await;
    let stopped = running(&engine, "stopped", policy("always")).await;
    let unless = running(&engine, "unless", policy("unless-stopped")).await;
    let unless_stopped = running(&engine, "unless-stopped", policy("unless-stopped")).await;
    let none = running(&engine, "none", json!({})).await;
    let fleeting = running(&engine, "fleeting", json!({"AutoRemove": true})).await;
    let body = json!({"Image": "app:v1", "HostConfig": policy("always")});
    let name = ContainerName::parse("never").unwrap();
    engine.create_container(Some(&name), None, &body).await.unwrap();
    for container in [&stopped, &unless_stopped] {
        assert_eq!(engine.stop_container(container, None).await.unwrap(), Change::Made);
    }
    let waiting = {
        let (engine, none) = (engine.clone(), none.clone());
        tokio::spawn(async move {
            engine.wait_container(&none, wharf_server::engine::WaitCondition::NextExit).await
        })
    };
    tokio::task::yield_now().await;
    engine.host().crash();
    let lost = waiting.await.unwrap().unwrap_err();
    assert_eq!(lost.kind, ErrorKind::ConnectionLost);
    assert_eq!(engine.ping().await.unwrap_err().kind, ErrorKind::Unreachable);
    engine.host().boot();
    let names = |status: Status| {
        engine.host().with(|model, _| {
            let mut names: Vec<String> = model
                .containers()
                .filter(|container| container.state.status == status)
                .map(|container| container.name.clone())
                .collect();
            names.sort_unstable();
            names
        })
    };
    assert_eq!(names(Status::Running), ["always", "stopped", "unless"]);
    assert_eq!(names(Status::Exited), ["none", "unless-stopped"]);
    assert_eq!(names(Status::Created), ["never"]);
    let gone = engine.inspect_container(&fleeting, false).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::ContainerNotFound);
    for container in [&always, &unless] {
        assert_eq!(engine.start_container(container).await.unwrap(), Change::Already);
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_decides_on_each_call() {
    let engine = engine();
    engine.script().set_decide(|call| {
        let every_third = call.number % 3 == 2;
        every_third.then(|| Plan { fault: Some(Fault::Unreachable), ..Plan::default() })
    });
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(engine.ping().await.is_ok());
    }
    assert_eq!(answers, [true, true, false, true, true, false]);
}

#[tokio::test(start_paused = true)]
async fn two_runs_with_one_seed_are_the_same() {
    async fn story() -> String {
        let engine = Arc::new(engine());
        engine.script().set_latency(Duration::from_millis(7));
        let looping = json!({"RestartPolicy": {"Name": "always"}});
        engine.host().with(|model, _| {
            let ends = Behaviour::exits_after(Duration::from_millis(40), 1);
            model.load("app:v1", &ImageContent::builder("loop").behaviour(ends).build());
        });
        running(&engine, "loop", looping).await;
        running(&engine, "other", json!({})).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let all = ContainerListing { all: true, keep_json: true, ..ContainerListing::default() };
        format!("{:?} {:?}", engine.list_containers(&all).await.unwrap(), engine.script().calls())
    }
    assert_eq!(story().await, story().await);
}
