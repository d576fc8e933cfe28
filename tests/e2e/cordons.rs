//! Cordoned hosts of three real Engines: left out by writes and plans, by API and command line.

use anyhow::Context;
use serde_json::json;
use testbed::{Image, unique};
use wharf::v1::RestartContainersRequest;

use crate::support::{HOSTS, World, all, collect};

#[tokio::test]
async fn a_cordoned_host_is_left_alone_until_the_cordon_ends() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (image, name) = (world.image(&Image::new("v1")).await?, unique("cordon"));
    let newer = world.image(&Image::new("v2")).await?;
    world.run(&name, &image).await?;
    let started = async || world.read(&name, "/State/StartedAt").await;
    let before = started().await?;
    let cli = &world.cli;

    let output = cli.run(&["host", "cordon", "beta", "--reason", "new disk"]).await?.expect(0)?;
    assert!(output.stdout.starts_with("beta: cordoned by "), "{output:?}");
    assert!(output.stdout.trim_end().ends_with(": new disk"), "{output:?}");
    let list = cli.run(&["host", "ls"]).await?.expect(0)?;
    let line = list.stdout.lines().find(|line| line.starts_with("beta")).context("beta")?;
    assert!(line.contains("reachable, cordoned"), "{list:?}");
    let wide = cli.run(&["host", "ls", "-o", "wide"]).await?.expect(0)?;
    assert!(wide.stdout.contains(": new disk"), "{wide:?}");
    let lines = cli.run(&["host", "ls", "-o", "json"]).await?.expect(0)?.json_lines()?;
    for line in &lines {
        let reason = line["cordon"]["reason"].as_str();
        assert_eq!(reason, (line["host"] == "beta").then_some("new disk"), "{line}");
    }

    // By command line and API, also after a restart of the server.
    let output = cli.run(&["restart", "-A", "-t", "1", &name]).await?.expect(0)?;
    assert!(output.stderr.contains("cordoned and left out: beta"), "{output:?}");
    assert!(!output.stdout.contains("beta"), "{output:?}");
    world.wharfd.restart().await?;
    let server = crate::support::Server::of(&world.wharfd).await?;
    let request = RestartContainersRequest {
        targets: all(),
        containers: vec![name.clone()],
        ..Default::default()
    };
    let answer = collect(server.containers().restart_containers(request.clone())).await?;
    assert_eq!(answer.started.as_deref(), Some(&["alpha", "gamma"].map(str::to_owned)[..]));
    let after = started().await?;
    assert_eq!(after[1], before[1], "beta runs on");
    assert!(after[0] != before[0] && after[2] != before[2], "{after:?}");

    let beta = format!("beta/{name}");
    let refused = cli.run(&["restart", "-t", "1", &beta]).await?.expect(2)?;
    for part in ["HOST_CORDONED", "new disk", "wharf host uncordon"] {
        assert!(refused.stderr.contains(part), "{refused:?}");
    }
    assert_eq!(started().await?[1], before[1]);
    cli.run(&["restart", "-t", "1", "--include-cordoned", &beta]).await?.expect(0)?;
    assert!(started().await?[1] != before[1]);
    let read = cli.run(&["ps", "-A", "-o", "name"]).await?.expect(0)?;
    assert!(HOSTS.iter().all(|host| read.stdout.contains(&format!("{host}/{name}"))), "{read:?}");

    // A rollout plans without it, and goes on where a host is cordoned later.
    let rollout = ["rollout", "start", &name, "-A", "--image", &newer, "-o", "json"];
    let quick = ["--min-healthy-time", "200ms", "--monitor", "200ms"];
    let steps = ["--canary", "1", "--promote", "manual", "--detach"];
    let plan = ["rollout", "plan", &name, "-A", "--image", &newer];
    let plan = cli.run(&plan).await?.expect(0)?;
    assert!(plan.stdout.contains("new disk"), "{plan:?}");
    let named = cli.run(&["rollout", "start", &name, "-H", "beta", "--image", &newer]).await?;
    assert!(named.expect(2)?.stderr.contains("HOST_CORDONED"));
    cli.run(&[&rollout[..], &quick, &steps].concat()).await?.expect(0)?;
    cli.run(&["host", "cordon", "gamma"]).await?.expect(0)?;
    testbed::eventually("the canary", async || {
        cli.run(&["rollout", "promote", &name]).await?.expect(0).map(drop)
    })
    .await?;
    cli.run(&["rollout", "watch", &name]).await?.expect(0)?;
    let images = world.read(&name, "/Config/Image").await?;
    assert_eq!(images, [json!(newer), json!(image), json!(newer)]);

    let output = cli.run(&["host", "uncordon", "-A"]).await?.expect(0)?;
    assert!(output.stdout.contains("beta: not cordoned\n"), "{output:?}");
    assert!(output.stdout.contains("alpha: not cordoned (as before)\n"), "{output:?}");
    let answer = collect(server.containers().restart_containers(request)).await?;
    answer.all_done(true);
    Ok(())
}
