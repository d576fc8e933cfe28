//! Creation of containers: the host has the requested container, with flags, with the Engine's own
//! JSON, and with both.

use anyhow::Context;
use serde_json::{Value, json};
use testbed::{Fleet, Image, Wharfd, unique};
use tonic::Code;
use wharf::v1::create_container_response::Event as Created;
use wharf::v1::{ContainerSpec, CreateContainerRequest, EngineJson, PullPolicy};

use crate::support::{Recorder, Server, World, all, collect, hosts, on_hosts, payload, sorted};

#[tokio::test]
async fn body_comes_out_on_the_host_as_written() -> anyhow::Result<()> {
    let world = World::start().await?;
    let name = unique("cloud");
    for engine in world.engines() {
        engine.import("app-as-body:v1", &Image::new("v1")).await?;
    }
    let logs = world.cli.home().join("logs");
    std::fs::create_dir_all(&logs)?;
    let written = json!({
        "Env": ["CLOUD_PORT=4000", "CLOUD_APP_NAME=cloud"],
        "Cmd": ["pm2", "start", "app.js", "-i", "2"],
        "Image": "app-as-body",
        "Tag": "v1",
        "Volumes": { "/usr/src/logs": {} },
        "HostConfig": {
            "Binds": [
                format!("{}/:/usr/src/logs", logs.display()),
                "/etc/localtime:/etc/localtime:ro",
            ],
            "RestartPolicy": { "Name": "unless-stopped" },
            "NetworkMode": "host",
        },
    });
    let text = format!("# the cloud\n{}\n   # end\n", serde_json::to_string_pretty(&written)?);
    world.cli.write("cloud.json", &text)?;
    let created = world.cli.run(&["create", "-A", "--name", &name, "-f", "cloud.json"]).await?;
    assert_eq!(sorted(&created.expect(0)?), on_hosts(&name));
    for engine in world.engines() {
        let found = engine.container(&name).await?.context("it was created")?;
        let config = &found["Config"];
        // The Engine adds what the image has.
        let env = config["Env"].as_array().context("a list")?;
        for variable in written["Env"].as_array().context("a list")? {
            assert!(env.contains(variable), "{env:?}");
        }
        assert_eq!(config["Cmd"], written["Cmd"]);
        assert_eq!(config["Image"], "app-as-body:v1");
        assert_eq!(config["Volumes"], written["Volumes"]);
        let host_config = &found["HostConfig"];
        assert_eq!(host_config["Binds"], written["HostConfig"]["Binds"]);
        assert_eq!(host_config["RestartPolicy"]["Name"], "unless-stopped");
        assert_eq!(host_config["NetworkMode"], "host");
    }

    // By gRPC it is the same JSON, without remarks; on stdin the same text.
    let name = unique("cloud");
    let request = CreateContainerRequest {
        targets: hosts(&["alpha"]),
        name: name.clone(),
        engine: Some(EngineJson { json: written.to_string(), api_version: String::new() }),
        ..Default::default()
    };
    let created = collect(world.server.containers().create_container(request)).await?;
    created.done_on(&["alpha"], true);
    let by_stdin = unique("cloud");
    let arguments = ["create", "-H", "alpha", "--name", &by_stdin, "-f", "-"];
    world.cli.run_with_input(&arguments, &text).await?.expect(0)?;
    let [alpha, ..] = world.engines();
    let by_grpc = alpha.container(&name).await?.context("it was created")?;
    let by_stdin = alpha.container(&by_stdin).await?.context("it was created")?;
    for part in ["/Config/Cmd", "/Config/Image", "/Config/Env", "/HostConfig"] {
        assert_eq!(by_grpc.pointer(part), by_stdin.pointer(part), "{part}");
    }
    Ok(())
}

#[tokio::test]
async fn flags_win_over_the_body_and_leave_the_rest_of_it() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1")).await?;
    let name = unique("web");
    let body = json!({
        "Image": "none-such",
        "Tag": "v9",
        "Cmd": ["/bin/false"],
        "Env": ["A=body", "B=body"],
        "Labels": { "a": "body", "b": "body" },
        "HostConfig": { "Memory": 64 << 20, "NetworkMode": "host", "OomScoreAdj": 7 },
    });
    world.cli.write("body.json", &body.to_string())?;
    let arguments = [
        "create",
        "-A",
        "--name",
        &name,
        "-f",
        "body.json",
        "-m",
        "96m",
        "--network",
        "none",
        "-e",
        "A=flag",
        "--label",
        "a=flag",
        &image,
        "/bin/idle",
    ];
    world.cli.run(&arguments).await?.expect(0)?;
    let each = |value: Value| [value.clone(), value.clone(), value];
    assert_eq!(world.read(&name, "/Config/Image").await?, each(json!(image)));
    assert_eq!(world.read(&name, "/Config/Cmd").await?, each(json!(["/bin/idle"])));
    assert_eq!(world.read(&name, "/HostConfig/Memory").await?, each(json!(96 << 20)));
    assert_eq!(world.read(&name, "/HostConfig/NetworkMode").await?, each(json!("none")));
    assert_eq!(world.read(&name, "/HostConfig/OomScoreAdj").await?, each(json!(7)));
    assert_eq!(world.read(&name, "/Config/Labels/a").await?, each(json!("flag")));
    let [env, ..] = world.read(&name, "/Config/Env").await?;
    assert!(env.to_string().contains("A=flag") && !env.to_string().contains("A=body"), "{env}");
    Ok(())
}

#[tokio::test]
async fn fields_that_wharf_never_heard_of_reach_the_engine() -> anyhow::Result<()> {
    let engine = &Fleet::shared().await?.engines[0];
    let recorder = Recorder::start(engine).await?;
    let wharfd = Wharfd::start().await?;
    Server::of(&wharfd).await?.add("recorded", recorder.address()).await?;
    let cli = wharfd.cli()?;
    let image = format!("{}:v1", unique("app"));
    engine.import(&image, &Image::new("v1")).await?;
    let body = r#"{"HostConfig":{"NetworkMode":"none","FutureLimit":9007199254740993},"FutureField":{"Deep":[1,null,"x"]}}"#;
    cli.write("body.json", body)?;
    cli.run(&["create", "-A", "-f", "body.json", &image]).await?.expect(0)?;
    let sent = recorder.sent();
    assert!(sent.contains(r#""FutureField":{"Deep":[1,null,"x"]}"#), "{sent}");
    // A number that a double cannot hold.
    assert!(sent.contains(r#""FutureLimit":9007199254740993"#), "{sent}");
    Ok(())
}

#[tokio::test]
async fn run_pulls_what_is_missing() -> anyhow::Result<()> {
    let world = World::start().await?;
    let registry = &world.fleet.open_registry;
    let image = registry.reference(&format!("{}:v1", unique("app")));
    let [alpha, ..] = world.engines();
    alpha.import(&image, &Image::new(&image)).await?;
    alpha.push(&image, None).await?;
    let name = unique("web");
    let run = |pull| ["run", "-d", "-A", "--name", &name, "--network=none", pull, &image];
    let refused = world.cli.run(&run("--pull=never")).await?.expect(1)?;
    assert_eq!(refused.stderr.matches("IMAGE_NOT_FOUND").count(), 2, "{refused:?}");
    world.cli.run(&["rm", "-f", "-H", "alpha", &name]).await?.expect(0)?;
    world.cli.run(&run("--pull=missing")).await?.expect(0)?;
    assert_eq!(world.states(&name).await?, ["running"; 3]);

    // By gRPC nothing is pulled unless it is asked for.
    alpha.delete(&format!("/containers/{name}?force=1")).await?;
    alpha.delete(&format!("/images/{image}")).await?;
    let request = CreateContainerRequest {
        targets: hosts(&["alpha"]),
        spec: Some(ContainerSpec {
            image: image.clone(),
            network: "none".to_owned(),
            ..Default::default()
        }),
        start: true,
        ..Default::default()
    };
    let mut client = world.server.containers();
    let refused = collect(client.create_container(request.clone())).await?;
    assert_eq!(refused.ending(), (Code::NotFound, "IMAGE_NOT_FOUND".to_owned()));
    let request = CreateContainerRequest { pull: PullPolicy::Missing.into(), ..request };
    let created = collect(client.create_container(request)).await?.done_on(&["alpha"], true);
    let container = payload!(created, "alpha", Created::Container);
    // The Engine made a name up, and the answer has it.
    let found = alpha.container(&container.name).await?.context("it was created")?;
    assert_eq!((&found["Id"], &found["State"]["Running"]), (&json!(container.id), &json!(true)));
    Ok(())
}

#[tokio::test]
async fn container_that_was_created_and_not_started_stays_and_is_named() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1")).await?;
    let name = unique("web");
    let arguments =
        ["run", "-d", "-A", "--name", &name, "--network=none", &image, "/no/such/program"];
    let output = world.cli.run(&arguments).await?.expect(1)?;
    assert_eq!(output.stderr.matches("which stays, and not started").count(), 3, "{output:?}");
    assert!(output.stderr.contains("/no/such/program"), "{output:?}");
    assert_eq!(sorted(&output), on_hosts(&name));
    assert_eq!(world.states(&name).await?, ["created"; 3]);

    let name = unique("web");
    let request = CreateContainerRequest {
        targets: all(),
        name: name.clone(),
        spec: Some(ContainerSpec {
            image,
            network: "none".to_owned(),
            command: vec!["/no/such/program".to_owned()],
            ..Default::default()
        }),
        start: true,
        ..Default::default()
    };
    let created = collect(world.server.containers().create_container(request)).await?;
    for host in crate::support::HOSTS {
        assert!(created.failure(host).context("an error")?.2.contains("which stays"));
        let container = payload!(created, host, Created::Container);
        assert!(container.created && !container.started);
    }
    assert_eq!(world.states(&name).await?, ["created"; 3]);
    Ok(())
}
