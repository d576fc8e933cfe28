//! Automatic behavior of containers: restart policies and health.

use serde_json::json;
use wharf_server::engine::{Change, ErrorKind};

use super::world::{World, container_name, kind};

super::cases![
    a_container_that_keeps_ending_restarts_until_it_is_stopped,
    restarts_on_failure_end_at_their_limit,
    a_kill_ends_the_policy,
    health_turns_to_healthy_or_unhealthy,
];

async fn a_container_that_keeps_ending_restarts_until_it_is_stopped(world: &World<'_>) {
    let image = world.image().await;
    let engine = world.engine;
    let more = json!({
        "Cmd": ["/bin/sh", "-c", "exit 3"],
        "HostConfig": {"RestartPolicy": {"Name": "always"}},
    });
    let container = world.run("c", &image, more).await;
    let seen = world
        .until(&container, "restarting for the fifth time", |seen| {
            seen["State"]["Restarting"] == true && seen["RestartCount"].as_u64() >= Some(5)
        })
        .await;
    assert_eq!(seen["State"]["Status"], "restarting");
    assert_eq!(seen["State"]["Running"], true, "it counts as running meanwhile");
    assert_eq!(seen["State"]["ExitCode"], 3);
    assert_eq!(engine.start_container(&container).await.unwrap(), Change::Already);
    let renamed = engine.rename_container(&container, &container_name(&world.name("d"))).await;
    assert_eq!(kind(renamed), ErrorKind::Conflict, "it has no network between two runs");
    assert_eq!(kind(engine.remove_container(&container, false, false).await), ErrorKind::Conflict);
    engine.stop_container(&container, None).await.unwrap();
    let seen = world.inspect(&container).await;
    assert_eq!(seen["State"]["Status"], "exited");
    assert!(seen["RestartCount"].as_u64() >= Some(5), "{seen}");
    engine.remove_container(&container, false, false).await.unwrap();
    world.clean_images(&[&image]).await;
}

async fn restarts_on_failure_end_at_their_limit(world: &World<'_>) {
    let image = world.image().await;
    let policy = json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}});
    let fails = json!({"Cmd": ["/bin/sh", "-c", "exit 3"], "HostConfig": policy});
    let container = world.run("c", &image, fails).await;
    let seen = world.until(&container, "exited", |seen| seen["State"]["Status"] == "exited").await;
    assert_eq!((&seen["RestartCount"], &seen["State"]["ExitCode"]), (&json!(2), &json!(3)));
    let works = json!({"Cmd": ["/bin/true"], "HostConfig": policy});
    let good = world.run("good", &image, works).await;
    let seen = world.until(&good, "exited", |seen| seen["State"]["Status"] == "exited").await;
    assert_eq!((&seen["RestartCount"], &seen["State"]["ExitCode"]), (&json!(0), &json!(0)));
    world.clean(&[&container, &good]).await;
    world.clean_images(&[&image]).await;
}

async fn a_kill_ends_the_policy(world: &World<'_>) {
    let image = world.image().await;
    let more = json!({"HostConfig": {"RestartPolicy": {"Name": "always"}}});
    let container = world.run("c", &image, more).await;
    world.engine.kill_container(&container, None).await.unwrap();
    let seen = world.until(&container, "exited", |seen| seen["State"]["Running"] == false).await;
    assert_eq!((&seen["State"]["Status"], &seen["RestartCount"]), (&json!("exited"), &json!(0)));
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn health_turns_to_healthy_or_unhealthy(world: &World<'_>) {
    let image = world.image().await;
    let check = |command: &str| {
        let check = json!({"Test": ["CMD", command], "Interval": 200_000_000_u64, "Retries": 2});
        json!({"Healthcheck": check})
    };
    let good = world.run("good", &image, check("/bin/true")).await;
    let bad = world.run("bad", &image, check("/bin/false")).await;
    let plain = world.run("plain", &image, json!({})).await;
    world.until(&good, "healthy", |seen| seen["State"]["Health"]["Status"] == "healthy").await;
    let seen = world
        .until(&bad, "unhealthy", |seen| seen["State"]["Health"]["Status"] == "unhealthy")
        .await;
    assert!(seen["State"]["Health"]["FailingStreak"].as_u64() >= Some(2), "{seen}");
    let log = seen["State"]["Health"]["Log"].as_array().unwrap();
    assert!(log.iter().all(|probe| probe["ExitCode"] == 1) && !log.is_empty(), "{log:?}");
    assert_eq!(seen["State"]["Status"], "running", "an unhealthy container runs on");
    assert!(world.state(&plain).await.get("Health").is_none());
    world.clean(&[&good, &bad, &plain]).await;
    world.clean_images(&[&image]).await;
}
