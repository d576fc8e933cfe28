//! Start, stop, restart, kill, pause, rename, update, wait, top, changes.

use serde_json::json;
use wharf_server::domain::ContainerRef;
use wharf_server::engine::{Change, ErrorKind, FileChangeKind, WaitCondition};

use super::world::{World, container_name, failure, kind, reference};

super::cases![
    a_start_is_made_once,
    a_start_that_fails_leaves_the_container_created,
    a_network_that_is_not_there_fails_the_start,
    a_stop_is_made_once,
    a_process_that_ignores_the_stop_is_killed,
    a_restart_always_acts,
    a_kill_needs_a_process,
    pause_and_unpause_are_made_once,
    a_rename_is_made_once_and_takes_no_name_of_another,
    an_update_changes_the_policy_and_refuses_nonsense,
    a_wait_tells_the_exit_status,
    processes_are_listed_while_it_runs,
    changes_of_the_file_system_are_told,
];

async fn a_start_is_made_once(world: &World<'_>) {
    let image = world.image().await;
    let container = world.create("c", &image, json!({})).await;
    assert_eq!(world.engine.start_container(&container).await.unwrap(), Change::Made);
    assert_eq!(world.engine.start_container(&container).await.unwrap(), Change::Already);
    let state = world.state(&container).await;
    assert_eq!((&state["Status"], &state["Running"]), (&json!("running"), &json!(true)));
    assert!(state["Pid"].as_u64().unwrap() > 0);
    assert_ne!(state["StartedAt"], "0001-01-01T00:00:00Z");
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn a_start_that_fails_leaves_the_container_created(world: &World<'_>) {
    let image = world.image().await;
    let container = world.create("c", &image, json!({"Cmd": ["/nosuch"]})).await;
    let refused = failure(world.engine.start_container(&container).await);
    assert_eq!(refused.kind, ErrorKind::CommandNotFound, "{refused}");
    assert!(refused.message.contains("/nosuch"), "{refused}");
    let state = world.state(&container).await;
    assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("created"), &json!(127)));
    assert!(state["Error"].as_str().unwrap().contains("/nosuch"), "{state}");
    world.engine.remove_container(&container, false, false).await.unwrap();
    world.clean_images(&[&image]).await;
}

async fn a_network_that_is_not_there_fails_the_start(world: &World<'_>) {
    let image = world.image().await;
    let more = json!({"HostConfig": {"NetworkMode": "nosuch-network"}});
    let container = world.create("c", &image, more).await;
    let refused = failure(world.engine.start_container(&container).await);
    assert_eq!(refused.kind, ErrorKind::NetworkNotFound, "{refused}");
    let state = world.state(&container).await;
    assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("created"), &json!(128)));
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn a_stop_is_made_once(world: &World<'_>) {
    let image = world.image().await;
    let container = world.create("c", &image, json!({})).await;
    assert_eq!(world.engine.stop_container(&container, None).await.unwrap(), Change::Already);
    world.start(&container).await;
    assert_eq!(world.engine.stop_container(&container, None).await.unwrap(), Change::Made);
    let state = world.state(&container).await;
    assert_eq!((&state["Status"], &state["Running"]), (&json!("exited"), &json!(false)));
    assert_eq!((&state["ExitCode"], &state["Pid"]), (&json!(0), &json!(0)));
    assert_eq!(world.engine.stop_container(&container, None).await.unwrap(), Change::Already);
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn a_process_that_ignores_the_stop_is_killed(world: &World<'_>) {
    let image = world.image().await;
    let container = world.run("c", &image, json!({"Cmd": ["/bin/sleep", "1000"]})).await;
    assert_eq!(world.engine.stop_container(&container, Some(1)).await.unwrap(), Change::Made);
    let state = world.state(&container).await;
    assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("exited"), &json!(137)));
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn a_restart_always_acts(world: &World<'_>) {
    let image = world.image().await;
    let container = world.run("c", &image, json!({})).await;
    let first = world.state(&container).await["StartedAt"].take();
    world.engine.restart_container(&container, Some(5)).await.unwrap();
    let seen = world.inspect(&container).await;
    assert_eq!(seen["State"]["Status"], "running");
    assert_ne!(seen["State"]["StartedAt"], first);
    assert_eq!(seen["RestartCount"], 0, "only policies count");
    world.engine.stop_container(&container, None).await.unwrap();
    world.engine.restart_container(&container, None).await.unwrap();
    assert_eq!(world.state(&container).await["Status"], "running");
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn a_kill_needs_a_process(world: &World<'_>) {
    let image = world.image().await;
    let container = world.run("c", &image, json!({"Cmd": ["/bin/sleep", "1000"]})).await;
    let nonsense = world.engine.kill_container(&container, Some("NOSUCH")).await;
    assert_eq!(kind(nonsense), ErrorKind::BadRequest);
    world.engine.kill_container(&container, Some("SIGUSR1")).await.unwrap();
    assert_eq!(world.state(&container).await["Status"], "running", "process 1 has no handler");
    world.engine.kill_container(&container, None).await.unwrap();
    let seen = world.until(&container, "exited", |seen| seen["State"]["Status"] == "exited").await;
    assert_eq!(seen["State"]["ExitCode"], 137);
    assert_eq!(kind(world.engine.kill_container(&container, None).await), ErrorKind::Conflict);
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn pause_and_unpause_are_made_once(world: &World<'_>) {
    let image = world.image().await;
    let engine = world.engine;
    let container = world.run("c", &image, json!({})).await;
    assert_eq!(engine.unpause_container(&container).await.unwrap(), Change::Already);
    assert_eq!(engine.pause_container(&container).await.unwrap(), Change::Made);
    assert_eq!(engine.pause_container(&container).await.unwrap(), Change::Already);
    let state = world.state(&container).await;
    assert_eq!((&state["Status"], &state["Paused"]), (&json!("paused"), &json!(true)));
    assert_eq!(state["Running"], true);
    assert_eq!(kind(engine.start_container(&container).await), ErrorKind::Conflict);
    assert_eq!(kind(engine.remove_container(&container, false, false).await), ErrorKind::Conflict);
    assert_eq!(engine.unpause_container(&container).await.unwrap(), Change::Made);
    assert_eq!(world.state(&container).await["Status"], "running");
    engine.pause_container(&container).await.unwrap();
    assert_eq!(engine.stop_container(&container, None).await.unwrap(), Change::Made);
    assert_eq!(world.state(&container).await["Status"], "exited", "a stop wakes it first");
    assert_eq!(kind(engine.pause_container(&container).await), ErrorKind::Conflict);
    assert_eq!(kind(engine.unpause_container(&container).await), ErrorKind::Conflict);
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn a_rename_is_made_once_and_takes_no_name_of_another(world: &World<'_>) {
    let image = world.image().await;
    let engine = world.engine;
    let container = world.run("before", &image, json!({})).await;
    let other = world.create("other", &image, json!({})).await;
    let after = container_name(&world.name("after"));
    assert_eq!(engine.rename_container(&container, &after).await.unwrap(), Change::Made);
    assert_eq!(engine.rename_container(&container, &after).await.unwrap(), Change::Already);
    let taken = engine.rename_container(&container, &container_name(&world.name("other"))).await;
    assert_eq!(kind(taken), ErrorKind::NameInUse);
    let seen = world.inspect(&reference(after.as_str())).await;
    assert_eq!(seen["Id"], json!(container.as_str()));
    assert_eq!(seen["Name"], json!(format!("/{after}")));
    let before = engine.inspect_container(&reference(&world.name("before")), false).await;
    assert_eq!(kind(before), ErrorKind::ContainerNotFound);
    world.clean(&[&container, &other]).await;
    world.clean_images(&[&image]).await;
}

async fn an_update_changes_the_policy_and_refuses_nonsense(world: &World<'_>) {
    let image = world.image().await;
    let engine = world.engine;
    let container = world.run("c", &image, json!({"Labels": {"kept": "yes"}})).await;
    let always = json!({"RestartPolicy": {"Name": "always"}, "CpuShares": 512});
    let mut warnings = engine.update_container(&container, &always).await.unwrap();
    // An Engine that was the first one of its machine says so, whatever is updated.
    warnings.retain(|warning| !warning.contains("forwarding is disabled"));
    assert_eq!(warnings, [""; 0]);
    let seen = world.inspect(&container).await;
    assert_eq!(seen["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert_eq!(seen["HostConfig"]["CpuShares"], 512);
    let ignored = json!({"Labels": {"kept": "no"}, "Unheard": 1});
    engine.update_container(&container, &ignored).await.unwrap();
    let seen = world.inspect(&container).await;
    assert_eq!(seen["Config"]["Labels"]["kept"], "yes", "labels never change");
    assert_eq!(seen["HostConfig"]["CpuShares"], 512, "what is not said stays");
    for body in [
        json!({"RestartPolicy": {"Name": "sometimes"}}),
        json!({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}),
        json!({"Memory": 1000}),
    ] {
        let refused = engine.update_container(&container, &body).await;
        assert_eq!(kind(refused), ErrorKind::BadRequest, "{body}");
    }
    let fleeting = world.create("rm", &image, json!({"HostConfig": {"AutoRemove": true}})).await;
    assert_eq!(kind(engine.update_container(&fleeting, &always).await), ErrorKind::Conflict);
    world.clean(&[&container, &fleeting]).await;
    world.clean_images(&[&image]).await;
}

async fn a_wait_tells_the_exit_status(world: &World<'_>) {
    let image = world.image().await;
    let engine = world.engine;
    let script = json!({"Cmd": ["/bin/sh", "-c", "sleep 0.3; exit 3"]});
    let container = world.create("c", &image, script).await;
    let never_ran = engine.wait_container(&container, WaitCondition::NotRunning).await.unwrap();
    assert_eq!(never_ran.exit_code, 0, "a container that never ran is not running");
    engine.start_container(&container).await.unwrap();
    let exit = engine.wait_container(&container, WaitCondition::NotRunning).await.unwrap();
    assert_eq!((exit.exit_code, exit.error), (3, None));
    let again = engine.wait_container(&container, WaitCondition::NotRunning).await.unwrap();
    assert_eq!(again.exit_code, 3);
    if world.api_version().await.minor >= 30 {
        let next = engine.wait_container(&container, WaitCondition::NextExit);
        let start = async {
            // The wait is only sure to be there once the Engine was asked something else.
            world.inspect(&container).await;
            engine.start_container(&container).await
        };
        let (exit, started) = tokio::join!(next, start);
        started.unwrap();
        assert_eq!(exit.unwrap().exit_code, 3);
        let removed = engine.wait_container(&container, WaitCondition::Removed);
        let removal = async {
            world.inspect(&container).await;
            engine.remove_container(&container, true, false).await
        };
        let (exit, removal) = tokio::join!(removed, removal);
        removal.unwrap();
        assert!(matches!(exit.unwrap().exit_code, 3 | 137));
    }
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn processes_are_listed_while_it_runs(world: &World<'_>) {
    let image = world.image().await;
    let engine = world.engine;
    let container = world.run("c", &image, json!({"Cmd": ["/bin/sleep", "1000"]})).await;
    let table = engine.list_processes(&container, None).await.unwrap();
    let column = |title: &str| table.titles.iter().position(|found| found == title).unwrap();
    assert!(table.processes[0][column("CMD")].contains("sleep 1000"), "{table:?}");
    assert!(table.processes[0][column("PID")].parse::<u32>().is_ok(), "{table:?}");
    let chosen = engine.list_processes(&container, Some("-eo pid,comm")).await.unwrap();
    assert_eq!(chosen.titles, ["PID", "COMMAND"]);
    world.engine.kill_container(&container, None).await.unwrap();
    world.until(&container, "exited", |seen| seen["State"]["Status"] == "exited").await;
    assert_eq!(kind(engine.list_processes(&container, None).await), ErrorKind::Conflict);
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn changes_of_the_file_system_are_told(world: &World<'_>) {
    let image = world.image().await;
    let script = json!({"Cmd": ["/bin/sh", "-c", "touch /tmp/made; exit 0"]});
    let container = world.create("c", &image, script).await;
    let changes =
        async |container: &ContainerRef| world.engine.container_changes(container).await.unwrap();
    assert_eq!(changes(&container).await, []);
    world.engine.start_container(&container).await.unwrap();
    world.engine.wait_container(&container, WaitCondition::NotRunning).await.unwrap();
    let after = changes(&container).await;
    let kind_of =
        |path: &str| after.iter().find(|change| change.path == path).map(|change| change.kind);
    assert_eq!(kind_of("/tmp/made"), Some(FileChangeKind::Added), "{after:?}");
    assert_eq!(kind_of("/tmp"), Some(FileChangeKind::Modified), "{after:?}");
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}
