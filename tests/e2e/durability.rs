//! State that survives a SIGKILL of `wharfd`, and the effect of a request ID, before and after one.

use anyhow::Context;
use serde_json::{Value, json};
use testbed::{Image, eventually, unique};
use tonic::Code;
use uuid::Uuid;
use wharf::v1::{
    ContainerSpec, CreateContainerRequest, GetHostRequest, LoginRequest, PullImageRequest,
    RestartContainersRequest, UpdateHostLabelsRequest,
};

use crate::support::{HOSTS, Server, World, all, collect, credentials, hosts, labels};

#[tokio::test]
async fn hosts_labels_and_logins_survive_a_kill() -> anyhow::Result<()> {
    let world = World::start().await?;
    let registry = &world.fleet.locked_registry;
    let [alpha, ..] = world.engines();
    let reference = registry.reference(&format!("{}:v1", unique("app")));
    alpha.import(&reference, &Image::new(&reference)).await?;
    alpha.push(&reference, registry.auth().as_deref()).await?;
    alpha.delete(&format!("/images/{reference}")).await?;

    let (user, password) = registry.login().context("a password")?;
    let login = LoginRequest {
        credentials: credentials(registry.address(), user, password),
        ..Default::default()
    };
    world.server.registries().login(login).await?;
    world.cli.run(&["host", "label", "beta", "rack=7", "tier-"]).await?.expect(0)?;
    let set = UpdateHostLabelsRequest {
        targets: hosts(&["gamma"]),
        set: [("zone".to_owned(), "north".to_owned())].into(),
        ..Default::default()
    };
    world.server.hosts().update_host_labels(set).await?;

    world.wharfd.kill();
    world.wharfd.restart().await?;
    let server = Server::of(&world.wharfd).await?;
    for (host, expected) in [
        ("alpha", json!({ "tier": "web" })),
        ("beta", json!({ "rack": "7" })),
        ("gamma", json!({ "tier": "db", "zone": "north" })),
    ] {
        let request = GetHostRequest { name: host.to_owned() };
        let found = server.hosts().get_host(request).await?.into_inner().host.context("a host")?;
        assert_eq!(json!(found.labels), expected);
    }
    // The labels choose, the login opens the registry.
    let pull = PullImageRequest {
        targets: labels("rack=7"),
        reference: reference.clone(),
        ..Default::default()
    };
    collect(server.images().pull_image(pull)).await?.done_on(&["beta"], true);
    world.cli.run(&["pull", "-H", "alpha", &reference]).await?.expect(0)?;
    assert!(alpha.image(&reference).await?.is_some());
    let listed = world.cli.run(&["registry", "ls"]).await?.expect(0)?;
    assert!(listed.stdout.contains(registry.address()), "{listed:?}");
    Ok(())
}

#[tokio::test]
async fn same_request_twice_is_done_once() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1")).await?;
    let name = unique("web");
    world.run(&name, &image).await?;
    let request = RestartContainersRequest {
        targets: all(),
        containers: vec![name.clone()],
        request_id: Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let before = world.read(&name, "/State/StartedAt").await?;
    let mut client = world.server.containers();
    let first = collect(client.restart_containers(request.clone())).await?.all_done(true);
    let once = world.read(&name, "/State/StartedAt").await?;
    assert!(before.iter().zip(&once).all(|(before, once)| before != once));

    let again = collect(client.restart_containers(request.clone())).await?.all_done(true);
    assert_eq!(world.read(&name, "/State/StartedAt").await?, once);
    // The answer is the first one's, item by item.
    for host in HOSTS {
        assert!(first.of(host).eq(again.of(host)), "{first:#?} {again:#?}");
        assert_eq!(first.outcomes[host].status, again.outcomes[host].status);
    }

    let other = RestartContainersRequest { targets: hosts(&["alpha"]), ..request.clone() };
    let refused = collect(client.restart_containers(other)).await?;
    assert_eq!(refused.refusal(), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    let not_one = RestartContainersRequest { request_id: "7".to_owned(), ..request.clone() };
    let refused = collect(client.restart_containers(not_one)).await?;
    assert_eq!(refused.refusal(), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    assert_eq!(refused.fields(), ["request_id"]);

    world.wharfd.kill();
    world.wharfd.restart().await?;
    let mut client = Server::of(&world.wharfd).await?.containers();
    collect(client.restart_containers(request.clone())).await?.all_done(true);
    assert_eq!(world.read(&name, "/State/StartedAt").await?, once);
    let other = RestartContainersRequest { targets: hosts(&["alpha"]), ..request.clone() };
    let refused = collect(client.restart_containers(other)).await?;
    assert_eq!(refused.refusal(), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));

    // Without the ID it is another call.
    let fresh = RestartContainersRequest { request_id: String::new(), ..request };
    collect(client.restart_containers(fresh)).await?.all_done(true);
    let twice = world.read(&name, "/State/StartedAt").await?;
    assert!(once.iter().zip(&twice).all(|(once, twice)| once != twice));
    Ok(())
}

#[tokio::test]
async fn creation_that_was_cut_short_makes_no_second_container() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1")).await?;
    let name = unique("web");
    let request = CreateContainerRequest {
        targets: all(),
        name: name.clone(),
        request_id: Uuid::new_v4().to_string(),
        spec: Some(ContainerSpec { image, network: "none".to_owned(), ..Default::default() }),
        start: true,
        ..Default::default()
    };
    // The caller leaves at once, and the server is killed as soon as one host has its container.
    let mut client = world.server.containers();
    let stream = client.create_container(request.clone()).await?;
    eventually("a container", async || {
        let ids = world.read(&name, "/Id").await?;
        ids.iter().find(|id| !id.is_null()).cloned().context("there is none yet")
    })
    .await?;
    drop(stream);
    world.wharfd.kill();
    world.wharfd.restart().await?;
    let before = world.read(&name, "/Id").await?;
    let mut client = Server::of(&world.wharfd).await?.containers();
    let answer = collect(client.create_container(request)).await?;
    let after = world.read(&name, "/Id").await?;
    for (host, (before, after)) in HOSTS.iter().zip(before.iter().zip(&after)) {
        // What a host had, it kept; what it had not, it has now, or the answer says why not.
        assert!(before.is_null() || before == after, "{host}: {before} {after}");
        assert!(answer.outcomes.contains_key(*host), "{answer:#?}");
        if answer.failure(host).is_none() {
            assert!(*after != Value::Null, "{host}: {answer:#?}");
        }
    }
    Ok(())
}
