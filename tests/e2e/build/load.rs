//! `wharf build --load`: from the host that built an image to others, without a registry.

use anyhow::Context;
use serde_json::{Value, json};
use testbed::{Image, unique};

use super::{directory, text};
use crate::support::{HOSTS, World};

/// The IDs of an image on the three Engines; null where it is not.
async fn ids(world: &World, name: &str) -> anyhow::Result<[Value; 3]> {
    let mut ids = [Value::Null, Value::Null, Value::Null];
    for (id, engine) in ids.iter_mut().zip(world.engines()) {
        *id = engine.image(name).await?.map(|image| image["Id"].clone()).unwrap_or_default();
    }
    Ok(ids)
}

#[tokio::test]
async fn an_image_goes_from_its_builder_to_hosts_by_name_label_and_all() -> anyhow::Result<()> {
    let world = World::start().await?;
    let base = world.image(&Image::new("v1")).await?;
    let made = directory(&world.cli, &[("Dockerfile", &format!("FROM {base}\nLABEL a=b\n"))])?;
    let path = text(&made)?;
    // alpha and beta have tier=web, and gamma builds.
    for (load, on) in
        [("tier=web", [true, true]), ("beta,gamma", [false, true]), ("all", [true; 2])]
    {
        let names = [format!("{}:v1", unique("built")), format!("{}:v2", unique("built"))];
        let arguments = ["build", "-H", "gamma", "-t", &names[0], "-t", &names[1]];
        let more = ["--load", load, "-o", "json", path];
        let output = world.cli.run(&[&arguments[..], &more].concat()).await?.expect(0)?;
        let lines = output.json_lines()?;
        let id = &lines[0]["id"];
        assert_eq!((&lines[0]["host"], lines[0].get("arrival")), (&json!("gamma"), None));
        for name in &names {
            let expected = |is_there: bool| if is_there { id.clone() } else { Value::Null };
            let found = ids(&world, name).await?;
            assert_eq!(found, [expected(on[0]), expected(on[1]), id.clone()], "{load}");
            let mut hosts: Vec<_> = lines
                .iter()
                .filter(|line| line["reference"] == **name)
                .filter_map(|line| line["host"].as_str())
                .collect();
            hosts.sort_unstable();
            let mut expected: Vec<_> = HOSTS.to_vec();
            expected.retain(|host| match *host {
                "alpha" => on[0],
                "beta" => on[1],
                _ => load != "tier=web",
            });
            assert_eq!(hosts, expected, "{load}: {output:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_host_that_fails_is_told_and_the_others_have_the_image() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.server.add("away", "tcp://127.0.0.1:1").await?;
    let base = world.image(&Image::new("v1")).await?;
    let made = directory(&world.cli, &[("Dockerfile", &format!("FROM {base}\nLABEL a=b\n"))])?;
    let path = text(&made)?;
    let open = &world.fleet.open_registry;
    let (repository, other) = (unique("built"), format!("{}:v2", unique("built")));
    let name = open.reference(&format!("{repository}:v1"));
    let arguments = ["build", "-H", "gamma", "-t", &other, "--load", "alpha,away", path];
    let failed = world.cli.run(&arguments).await?.expect(1)?;
    assert!(failed.stderr.contains("away: error: "), "{failed:?}");
    assert!(failed.stderr.contains("1 of 2 hosts succeeded"), "{failed:?}");
    let [alpha, beta, gamma] = ids(&world, &other).await?;
    assert_eq!((&alpha, &beta), (&gamma, &Value::Null));

    let both = ["build", "-H", "gamma", "-t", &name, "--push", "--load", "beta", path];
    world.cli.run(&both).await?.expect(0)?;
    let [alpha, beta, gamma] = ids(&world, &name).await?;
    assert_eq!((&alpha, &beta), (&Value::Null, &gamma));
    open.digest(&repository, "v1").await.context("it is in the registry")?;
    Ok(())
}

#[tokio::test]
async fn a_load_without_one_builder_and_another_host_is_refused_before_the_build()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let base = world.image(&Image::new("v1")).await?;
    let made = directory(&world.cli, &[("Dockerfile", &format!("FROM {base}\nLABEL a=b\n"))])?;
    let (path, name) = (text(&made)?, format!("{}:v1", unique("built")));
    let of = ["build", "-H", "gamma", "-t", &name];
    for (arguments, expected) in [
        (&["build", "-H", "gamma", "--load", "alpha", path][..], "add -t NAME"),
        (&[&of[..], &[path, "--load"]].concat(), "a value is required for '--load"),
        (&[&of[..], &[path, "--load", "-l", "tier=web"]].concat(), "'--load"),
        (&[&of[..], &["--load", "", path]].concat(), "must be host names"),
        (&[&of[..], &["--load", "alpha,", path]].concat(), "must be host names"),
        (&[&of[..], &["--load", "nobody", path]].concat(), "(HOST_NOT_FOUND)"),
        (&[&of[..], &["--load", "alpha,nobody", path]].concat(), "(HOST_NOT_FOUND)"),
        (&[&of[..], &["--load", "gamma", path]].concat(), "names only gamma"),
        (&[&of[..], &["--load", "tier=db", path]].concat(), "names only gamma"),
        (&[&of[..], &["--load", "tier=no", path]].concat(), "matches no host"),
        (&["build", "-A", "-t", &name, "--load", "alpha", path], "3 are selected"),
    ] {
        let refused = world.cli.run(arguments).await?.expect(2)?;
        assert!(refused.stderr.contains(expected), "{arguments:?}: {refused:?}");
        assert_eq!(ids(&world, &name).await?, [Value::Null, Value::Null, Value::Null]);
    }
    Ok(())
}
