//! What registries say: asked once for each reference, away, refusing, and with several platforms.

use anyhow::Context;
use testbed::{Image, Registry, unique};
use tonic_types::StatusExt;
use wharf::v1::{ListUsedImagesRequest, RegistryComparison};

use super::{Told, of};
use crate::support::{World, hosts};

/// Runs a container of this image on all three hosts, which pull it first.
async fn run(world: &World, registry: &Registry, reference: &str) -> anyhow::Result<String> {
    let (name, auth) = (unique("used"), registry.auth());
    let [alpha, ..] = world.engines();
    alpha.import(reference, &Image::new("v1")).await?;
    alpha.push(reference, auth.as_deref()).await?;
    for engine in world.engines() {
        engine.pull(reference, auth.as_deref()).await?;
        engine.run(&name, reference).await?;
    }
    Ok(name)
}

/// Reason, message, and asking host of the only reference, which could not be checked.
fn failure(told: &Told) -> (String, String, String) {
    let [check] = &told.references[..] else { panic!("{told:#?}") };
    let status = check.status.clone().unwrap_or_default();
    let error = tonic::Status::with_details(
        status.code.into(),
        status.message.clone(),
        prost::Message::encode_to_vec(&status).into(),
    );
    let reason = error.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    assert_eq!((check.digest.as_str(), check.newer), ("", 0));
    (reason, status.message, check.asked_host.clone())
}

#[tokio::test]
async fn a_registry_is_asked_once_and_not_once_for_each_host() -> anyhow::Result<()> {
    let world = World::start().await?;
    let registry = Registry::open().await?;
    let repository = unique("app");
    let name = run(&world, &registry, &registry.reference(&format!("{repository}:v1"))).await?;
    let asked = || registry.log().matches(&format!("/v2/{repository}/manifests/")).count();
    let mut counts = Vec::new();
    for targets in [hosts(&["beta"]), crate::support::all()] {
        let before = asked();
        let request = ListUsedImagesRequest { targets, ..of(&name, true) };
        let told = Told::by(&world.server, request).await?;
        assert_eq!(told.comparison("beta", &name)?, RegistryComparison::Current);
        counts.push(asked() - before);
    }
    assert!(counts[0] > 0 && counts[0] == counts[1], "{counts:?}");
    Ok(())
}

#[tokio::test]
async fn a_registry_that_is_away_is_an_error_of_its_references_only() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (gone, open) = (Registry::open().await?, &world.fleet.open_registry);
    let lost = gone.reference(&format!("{}:v1", unique("app")));
    let name = run(&world, &gone, &lost).await?;
    let other = run(&world, open, &open.reference(&format!("{}:v1", unique("app")))).await?;
    gone.kill();
    let told = Told::by(&world.server, of(&name, true)).await?;
    let (reason, message, host) = failure(&told);
    assert_eq!(reason, "REGISTRY_UNAVAILABLE", "{message}");
    assert!(message.contains("check the registry's address from that host"), "{message}");
    assert_eq!(host, "beta", "after alpha, another one was asked");
    assert_eq!(told.comparison("gamma", &name)?, RegistryComparison::Failed);

    let check = ["image", "used", "--check", "--container", &name, "--container", &other];
    let output = world.cli.run(&check).await?.expect(1)?;
    let error = output.stderr.lines().find(|line| line.starts_with(&lost)).context("an error")?;
    assert!(
        error.contains(", asked by beta: error: ") && error.contains("REGISTRY_UNAVAILABLE"),
        "{output:?}"
    );
    let row =
        |name: &str| output.stdout.lines().find(|line| line.contains(name)).unwrap_or_default();
    assert!(row(&name).ends_with("unknown") && row(&other).ends_with("current"), "{output:?}");
    let lines =
        world.cli.run(&[&check[..], &["-o", "json"]].concat()).await?.expect(1)?.json_lines()?;
    let failed = lines.iter().find(|line| line["reference"] == lost).context("a line")?;
    assert_eq!(failed["error"]["reason"], "REGISTRY_UNAVAILABLE", "{failed}");
    let plan = world.cli.run(&["rollout", "plan", "--newer", &name]).await?.expect(1)?;
    assert!(plan.stderr.contains("REGISTRY_UNAVAILABLE"), "{plan:?}");
    Ok(())
}

#[tokio::test]
async fn a_registry_that_wants_a_login_says_so_and_is_asked_with_the_stored_one()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let registry = Registry::with_password("ann", "right-91c0").await?;
    let reference = registry.reference(&format!("{}:v1", unique("app")));
    let name = run(&world, &registry, &reference).await?;
    let told = Told::by(&world.server, of(&name, true)).await?;
    let (reason, message, host) = failure(&told);
    assert_eq!((&*reason, &*host), ("REGISTRY_AUTH_REQUIRED", "alpha"), "{message}");
    assert!(message.contains(&format!("wharf login {} -u USER", registry.address())), "{message}");

    let login = ["login", registry.address(), "-u", "ann", "--password-stdin"];
    world.cli.run_with_input(&login, "right-91c0").await?.expect(0)?;
    let told = Told::by(&world.server, of(&name, true)).await?;
    assert_eq!(told.comparison("alpha", &name)?, RegistryComparison::Current, "{told:#?}");
    registry.change_password("other-55d2")?;
    let refused =
        world.cli.run(&["image", "used", "--check", "--container", &name]).await?.expect(1)?;
    assert!(refused.stderr.contains("REGISTRY_AUTH_REQUIRED"), "{refused:?}");
    assert!(!refused.stderr.contains("right-91c0"), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn an_index_is_not_newer_than_the_manifest_that_it_contains() -> anyhow::Result<()> {
    let world = World::start().await?;
    let registry = &world.fleet.open_registry;
    let (name, repository) = (unique("used"), unique("app"));
    let [alpha, beta, gamma] = world.engines();
    let single = registry.reference(&format!("{repository}:single"));
    let reference = registry.reference(&format!("{repository}:v1"));
    alpha.import(&single, &Image::new("v1")).await?;
    alpha.push(&single, None).await?;
    let (index, manifest) = registry.put_index(&repository, "single", "v1").await?;
    // alpha and beta know the manifest, gamma the index.
    beta.pull(&single, None).await?;
    let tag = format!("repo={}&tag=v1", registry.reference(&repository));
    for engine in [alpha, beta] {
        engine.post(&format!("/images/{single}/tag?{tag}"), None).await?;
    }
    gamma.pull(&reference, None).await?;
    for engine in world.engines() {
        engine.run(&name, &reference).await?;
    }
    let known = gamma.image(&reference).await?.context("an image")?["RepoDigests"].to_string();
    assert!(known.contains(&index) && !known.contains(&manifest), "{known}");

    let of_two = |targets| ListUsedImagesRequest { targets, ..of(&name, true) };
    let told = Told::by(&world.server, of_two(hosts(&["alpha", "beta"]))).await?;
    assert_eq!(told.comparison("alpha", &name)?, RegistryComparison::Incomparable, "{told:#?}");
    // gamma has the same image and knows the other digest.
    let told = Told::by(&world.server, of(&name, true)).await?;
    assert_eq!((told.images.len(), told.differences.len()), (1, 0), "{told:#?}");
    for host in crate::support::HOSTS {
        assert_eq!(told.comparison(host, &name)?, RegistryComparison::Current, "{host}");
    }
    assert_eq!(told.references[0].digest, index);

    // Another index, of another image.
    alpha.import(&single, &Image::new("v2")).await?;
    alpha.push(&single, None).await?;
    registry.put_index(&repository, "single", "v1").await?;
    let told = Told::by(&world.server, of_two(hosts(&["gamma"]))).await?;
    assert_eq!(told.comparison("gamma", &name)?, RegistryComparison::Newer, "{told:#?}");
    Ok(())
}

#[tokio::test]
async fn a_host_that_is_away_does_not_hide_the_others() -> anyhow::Result<()> {
    let world = World::start().await?;
    let registry = &world.fleet.open_registry;
    let name = run(&world, registry, &registry.reference(&format!("{}:v1", unique("app")))).await?;
    world.server.add("away", "unix:///nowhere/docker.sock").await?;
    let output =
        world.cli.run(&["image", "used", "--check", "--container", &name]).await?.expect(1)?;
    assert!(
        output.stderr.contains("away: error: ") && output.stderr.contains("HOST_UNREACHABLE"),
        "{output:?}"
    );
    let row = output.stdout.lines().find(|line| line.contains(&name)).context("a row")?;
    assert!(row.contains("alpha, beta, gamma") && row.ends_with("current"), "{output:?}");
    assert!(output.stderr.ends_with("3 of 4 hosts succeeded\n"), "{output:?}");
    Ok(())
}
