//! Every call on containers, on three Engines in parallel: over gRPC and with the command line;
//! results are verified with the Engines themselves.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testbed::{Image, eventually, unique};
use tonic::Code;
use wharf::v1::create_container_response::Event as Created;
use wharf::v1::get_container_changes_response::Event as Changed;
use wharf::v1::inspect_containers_response::Event as Inspected;
use wharf::v1::list_containers_response::Event as Listed;
use wharf::v1::list_processes_response::Event as Processes;
use wharf::v1::prune_containers_response::Event as Pruned;
use wharf::v1::wait_containers_response::Event as Waited;
use wharf::v1::{
    ChangeKind, ContainerSpec, CreateContainerRequest, Filter, GetContainerChangesRequest,
    InspectContainersRequest, KillContainersRequest, ListContainersRequest, ListProcessesRequest,
    PauseContainersRequest, PruneContainersRequest, RemoveContainersRequest,
    RenameContainerRequest, RestartContainersRequest, RestartPolicy, StartContainersRequest,
    StopContainersRequest, UnpauseContainersRequest, UpdateContainersRequest,
    WaitContainersRequest,
};

use crate::support::{HOSTS, PRUNING, World, all, collect, on_hosts, payload, sorted};

#[tokio::test]
async fn containers_live_their_life_on_three_engines_by_grpc() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (image, name) = (world.image(&Image::new("v1")).await?, unique("web"));
    let mut client = world.server.containers();
    let containers = vec![name.clone()];

    let spec = ContainerSpec { image, network: "none".to_owned(), ..Default::default() };
    let request = CreateContainerRequest {
        targets: all(),
        name: name.clone(),
        spec: Some(spec),
        ..Default::default()
    };
    let created = collect(client.create_container(request.clone())).await?.all_done(true);
    for (host, id) in HOSTS.iter().zip(world.read(&name, "/Id").await?) {
        let container = payload!(created, host, Created::Container);
        assert_eq!(json!(container.id), id);
        assert!(container.created && !container.started);
    }
    assert_eq!(world.states(&name).await?, ["created"; 3]);
    let again = collect(client.create_container(request)).await?;
    assert_eq!(again.ending(), (Code::AlreadyExists, "NAME_IN_USE".to_owned()));
    assert_eq!(again.failure("beta").context("an error")?.1, "NAME_IN_USE");

    let start = StartContainersRequest {
        targets: all(),
        containers: containers.clone(),
        ..Default::default()
    };
    collect(client.start_containers(start.clone())).await?.all_done(true);
    assert_eq!(world.states(&name).await?, ["running"; 3]);
    collect(client.start_containers(start)).await?.all_done(false);

    let pause = PauseContainersRequest {
        targets: all(),
        containers: containers.clone(),
        ..Default::default()
    };
    collect(client.pause_containers(pause.clone())).await?.all_done(true);
    assert_eq!(world.states(&name).await?, ["paused"; 3]);
    collect(client.pause_containers(pause)).await?.all_done(false);
    let unpause = UnpauseContainersRequest {
        targets: all(),
        containers: containers.clone(),
        ..Default::default()
    };
    collect(client.unpause_containers(unpause.clone())).await?.all_done(true);
    assert_eq!(world.states(&name).await?, ["running"; 3]);
    collect(client.unpause_containers(unpause)).await?.all_done(false);

    let before = world.read(&name, "/State/StartedAt").await?;
    let restart = RestartContainersRequest {
        targets: all(),
        containers: containers.clone(),
        ..Default::default()
    };
    collect(client.restart_containers(restart)).await?.all_done(true);
    let after = world.read(&name, "/State/StartedAt").await?;
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{after:?}");

    let update = UpdateContainersRequest {
        targets: all(),
        containers: containers.clone(),
        restart_policy: Some(RestartPolicy {
            name: "on-failure".to_owned(),
            maximum_retry_count: 4,
        }),
        memory_bytes: Some(96 << 20),
        memory_swap_bytes: Some(-1),
        ..Default::default()
    };
    collect(client.update_containers(update)).await?.all_done(true);
    let policy = json!({ "Name": "on-failure", "MaximumRetryCount": 4 });
    assert_eq!(
        world.read(&name, "/HostConfig/RestartPolicy").await?,
        [policy.clone(), policy.clone(), policy]
    );
    assert_eq!(
        world.read(&name, "/HostConfig/Memory").await?,
        [json!(96 << 20), json!(96 << 20), json!(96 << 20)]
    );

    let new_name = unique("web");
    let rename = RenameContainerRequest {
        targets: all(),
        container: name.clone(),
        new_name: new_name.clone(),
        ..Default::default()
    };
    collect(client.rename_container(rename)).await?.all_done(true);
    assert_eq!(world.states(&name).await?, [Value::Null, Value::Null, Value::Null]);
    assert_eq!(world.states(&new_name).await?, ["running"; 3]);
    let containers = vec![new_name.clone()];

    let stop = StopContainersRequest {
        targets: all(),
        containers: containers.clone(),
        ..Default::default()
    };
    collect(client.stop_containers(stop.clone())).await?.all_done(true);
    assert_eq!(world.states(&new_name).await?, ["exited"; 3]);
    assert_eq!(world.read(&new_name, "/State/ExitCode").await?, [0, 0, 0]);
    collect(client.stop_containers(stop)).await?.all_done(false);

    let remove = RemoveContainersRequest { targets: all(), containers, ..Default::default() };
    collect(client.remove_containers(remove.clone())).await?.all_done(true);
    assert_eq!(world.states(&new_name).await?, [Value::Null, Value::Null, Value::Null]);
    let again = collect(client.remove_containers(remove.clone())).await?;
    assert_eq!(again.ending(), (Code::NotFound, "CONTAINER_NOT_FOUND".to_owned()));
    assert_eq!(again.failure("gamma").context("an error")?.1, "CONTAINER_NOT_FOUND");
    let missing_is_fine = RemoveContainersRequest { allow_missing: true, ..remove };
    collect(client.remove_containers(missing_is_fine)).await?.all_done(false);
    Ok(())
}

#[tokio::test]
async fn containers_are_looked_at_on_three_engines_by_grpc() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1")).await?;
    let name = unique("web");
    world.run(&name, &image).await?;
    let ids = world.read(&name, "/Id").await?;
    let mut client = world.server.containers();

    let request = ListContainersRequest {
        targets: all(),
        filters: vec![Filter { key: "name".to_owned(), values: vec![name.clone()] }],
        include_engine_json: true,
        ..Default::default()
    };
    let listed = collect(client.list_containers(request)).await?.all_read();
    let request = InspectContainersRequest {
        targets: all(),
        containers: vec![name.clone()],
        ..Default::default()
    };
    let inspected = collect(client.inspect_containers(request)).await?.all_read();
    let request =
        ListProcessesRequest { targets: all(), container: name.clone(), ..Default::default() };
    let processes = collect(client.list_processes(request)).await?.all_read();
    for (host, id) in HOSTS.iter().zip(&ids) {
        let [container] = &payload!(listed, host, Listed::Batch).containers[..] else {
            panic!("{listed:#?}");
        };
        assert_eq!(json!(container.id), *id);
        assert_eq!((&container.name, &container.image), (&name, &image));
        assert_eq!(container.state, "running");
        let engine: Value = serde_json::from_str(&container.engine.as_ref().context("JSON")?.json)?;
        assert_eq!(engine["Id"], *id);

        let details = payload!(inspected, host, Inspected::Container);
        assert_eq!((json!(details.id), &*details.state), (id.clone(), "running"));
        let engine: Value = serde_json::from_str(&details.engine.as_ref().context("JSON")?.json)?;
        assert_eq!(engine["HostConfig"]["NetworkMode"], "none");

        let list = payload!(processes, host, Processes::Processes);
        let command = list.titles.iter().position(|title| title == "CMD").context("a command")?;
        assert!(list.rows.iter().any(|row| row.values[command].contains("/bin/idle")), "{list:?}");
    }

    // The command writes before it ends; nothing else changes the file system of a container.
    let writer = unique("writer");
    let spec = ContainerSpec {
        image,
        network: "none".to_owned(),
        command: ["/bin/sh", "-c", "echo x >/data/new; exit 7"].map(str::to_owned).to_vec(),
        ..Default::default()
    };
    let request = CreateContainerRequest {
        targets: all(),
        name: writer.clone(),
        spec: Some(spec),
        start: true,
        ..Default::default()
    };
    let created = collect(client.create_container(request)).await?.all_done(true);
    assert!(payload!(created, "alpha", Created::Container).started);
    let request = WaitContainersRequest {
        targets: all(),
        containers: vec![writer.clone()],
        ..Default::default()
    };
    let waited = collect(client.wait_containers(request)).await?.all_read();
    let request = GetContainerChangesRequest {
        targets: all(),
        container: writer.clone(),
        ..Default::default()
    };
    let changes = collect(client.get_container_changes(request)).await?.all_read();
    for host in HOSTS {
        assert_eq!(payload!(waited, host, Waited::Exit).exit_code, 7);
        let changes = &payload!(changes, host, Changed::Changes).changes;
        let added = changes.iter().find(|change| change.path == "/data/new").context("the file")?;
        assert_eq!(added.kind(), ChangeKind::Added);
    }
    Ok(())
}

#[tokio::test]
async fn containers_are_killed_and_pruned_on_three_engines_by_grpc() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1")).await?;
    let (name, mark) = (unique("web"), unique("mark"));
    let mut client = world.server.containers();
    let spec = ContainerSpec {
        image,
        network: "none".to_owned(),
        labels: [(mark.clone(), String::new())].into(),
        ..Default::default()
    };
    let request = CreateContainerRequest {
        targets: all(),
        name: name.clone(),
        spec: Some(spec),
        start: true,
        ..Default::default()
    };
    collect(client.create_container(request)).await?.all_done(true);

    let kill = KillContainersRequest {
        targets: all(),
        containers: vec![name.clone()],
        signal: "KILL".to_owned(),
        ..Default::default()
    };
    collect(client.kill_containers(kill.clone())).await?.all_done(true);
    let wait = WaitContainersRequest {
        targets: all(),
        containers: vec![name.clone()],
        ..Default::default()
    };
    collect(client.wait_containers(wait)).await?.all_read();
    assert_eq!(world.read(&name, "/State/ExitCode").await?, [137, 137, 137]);
    let again = collect(client.kill_containers(kill)).await?;
    assert_eq!(again.failure("alpha").context("an error")?.1, "ENGINE_CONFLICT");
    assert_eq!(again.ending(), (Code::FailedPrecondition, "ENGINE_CONFLICT".to_owned()));

    let ids = world.read(&name, "/Id").await?;
    let prune = PruneContainersRequest {
        targets: all(),
        filters: vec![Filter { key: "label".to_owned(), values: vec![mark] }],
        ..Default::default()
    };
    let _pruning = PRUNING.lock().await;
    let pruned = collect(client.prune_containers(prune.clone())).await?.all_done(true);
    for (host, id) in HOSTS.iter().zip(ids) {
        assert_eq!(json!(payload!(pruned, host, Pruned::Pruned).ids), json!([id]));
    }
    assert_eq!(world.states(&name).await?, [Value::Null, Value::Null, Value::Null]);
    collect(client.prune_containers(prune)).await?.all_done(false);
    Ok(())
}

#[tokio::test]
async fn containers_live_their_life_on_three_engines_by_command_line() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1")).await?;
    let name = unique("web");
    let cli = &world.cli;

    let created = cli
        .run(&["create", "-A", "--name", &name, "--network", "none", &image])
        .await?
        .expect(0)?;
    assert_eq!(sorted(&created), on_hosts(&name));
    assert_eq!(world.states(&name).await?, ["created"; 3]);
    world.act(&["start", &name], true).await?;
    assert_eq!(world.states(&name).await?, ["running"; 3]);
    world.act(&["start", &name], false).await?;
    let again = cli.run(&["start", "-A", &name]).await?.expect(0)?;
    assert_eq!(sorted(&again), on_hosts(&name));
    assert!(again.stderr.contains(&format!("alpha/{name}: already running")), "{again:?}");

    world.act(&["pause", &name], true).await?;
    assert_eq!(world.states(&name).await?, ["paused"; 3]);
    world.act(&["pause", &name], false).await?;
    world.act(&["unpause", &name], true).await?;
    assert_eq!(world.states(&name).await?, ["running"; 3]);
    world.act(&["unpause", &name], false).await?;

    let before = world.read(&name, "/State/StartedAt").await?;
    world.act(&["restart", "-t", "30", &name], true).await?;
    let after = world.read(&name, "/State/StartedAt").await?;
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{after:?}");

    world.act(&["update", "--restart", "always", "--cpus", "0.5", &name], true).await?;
    assert_eq!(world.read(&name, "/HostConfig/RestartPolicy/Name").await?, ["always"; 3]);
    assert_eq!(world.read(&name, "/HostConfig/NanoCpus").await?, [500_000_000; 3]);
    let new_name = unique("web");
    world.act(&["rename", &name, &new_name], true).await?;
    assert_eq!(world.states(&new_name).await?, ["running"; 3]);
    let name = new_name;

    world.act(&["stop", &name], true).await?;
    assert_eq!(world.states(&name).await?, ["exited"; 3]);
    world.act(&["stop", &name], false).await?;
    let again = cli.run(&["stop", "-A", &name]).await?.expect(0)?;
    assert!(again.stderr.contains("not running"), "{again:?}");

    // Docker refuses this one; the flag is needed.
    world.act(&["start", &name], true).await?;
    let refused = cli.run(&["rm", "-A", &name]).await?.expect(1)?;
    assert!(refused.stderr.contains("ENGINE_CONFLICT"), "{refused:?}");
    world.act(&["rm", "-f", &name], true).await?;
    assert_eq!(world.states(&name).await?, [Value::Null, Value::Null, Value::Null]);
    cli.run(&["rm", "-A", &name]).await?.expect(1)?;
    world.act(&["rm", "--allow-missing", &name], false).await?;
    Ok(())
}

#[tokio::test]
async fn containers_are_looked_at_on_three_engines_by_command_line() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1")).await?;
    let (name, mark) = (unique("web"), unique("mark"));
    let cli = &world.cli;
    let command = "echo x >/data/new; exec /bin/idle";
    let run = ["run", "-d", "-A", "--name", &name, "--network=none", "--label", &mark, &image];
    cli.run(&[&run[..], &["/bin/sh", "-c", command]].concat()).await?.expect(0)?;
    assert_eq!(world.states(&name).await?, ["running"; 3]);
    let ids = world.read(&name, "/Id").await?;

    let listed = cli.run(&["ps", "-f", &format!("name={name}"), "-o", "name"]).await?.expect(0)?;
    assert_eq!(sorted(&listed), on_hosts(&name));
    let table = cli.run(&["ps", "-f", &format!("name={name}")]).await?.expect(0)?;
    for column in ["HOST", "gamma", &name, &image] {
        assert!(table.stdout.contains(column), "{table:?}");
    }

    let inspected = cli.run(&["inspect", "-A", "-o", "json", &name]).await?.expect(0)?;
    for id in &ids {
        assert!(inspected.stdout.contains(id.as_str().context("an ID")?), "{inspected:?}");
    }
    // A container runs before its shell has come to its last command.
    eventually("the program of each container", async || {
        let top = cli.run(&["top", "-A", &name]).await?.expect(0)?;
        ensure!(HOSTS.iter().all(|host| top.stdout.contains(host)), "{top:?}");
        ensure!(top.stdout.matches("/bin/idle").count() == HOSTS.len(), "{top:?}");
        Ok(())
    })
    .await?;
    let changes = cli.run(&["changes", "-A", &name]).await?.expect(0)?;
    assert_eq!(changes.stdout.matches("/data/new").count(), 3, "{changes:?}");

    world.act(&["kill", "-s", "KILL", &name], true).await?;
    // Of one host, the status of the container is that of the command.
    cli.run(&["wait", &format!("beta/{name}")]).await?.expect(137)?;
    let waited = cli.run(&["wait", "-A", &name]).await?.expect(1)?;
    assert_eq!(waited.stdout.matches("137").count(), 3, "{waited:?}");
    let gone = cli.run(&["ps", "-f", &format!("name={name}"), "-o", "name"]).await?.expect(0)?;
    assert_eq!(gone.stdout, "");
    let all =
        cli.run(&["ps", "-a", "-f", &format!("name={name}"), "-o", "name"]).await?.expect(0)?;
    assert_eq!(sorted(&all), on_hosts(&name));

    let _pruning = PRUNING.lock().await;
    cli.run(&["container", "prune", "-A", "--filter", &format!("label={mark}")])
        .await?
        .expect(0)?;
    assert_eq!(world.states(&name).await?, [Value::Null, Value::Null, Value::Null]);
    Ok(())
}
