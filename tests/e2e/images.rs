//! Every call on images, on three Engines in parallel: over gRPC and with the command line; results
//! are verified with the Engines and the registry themselves.

use anyhow::Context;
use serde_json::{Value, json};
use testbed::{Image, unique};
use tonic::Code;
use wharf::v1::get_image_history_response::Event as History;
use wharf::v1::inspect_images_response::Event as Inspected;
use wharf::v1::list_images_response::Event as Listed;
use wharf::v1::prune_images_response::Event as Pruned;
use wharf::v1::pull_image_response::Event as Pulled;
use wharf::v1::push_image_response::Event as Pushed;
use wharf::v1::{
    Filter, GetImageHistoryRequest, InspectImagesRequest, ListImagesRequest, PruneImagesRequest,
    PullImageRequest, PushImageRequest, RemoveImagesRequest, TagImageRequest,
};

use crate::support::{HOSTS, PRUNING, World, all, collect, hosts, on_hosts, payload, sorted};

const NONE: [Value; 3] = [Value::Null, Value::Null, Value::Null];

#[tokio::test]
async fn images_are_tagged_pushed_pulled_and_removed_on_three_engines_by_grpc() -> anyhow::Result<()>
{
    let world = World::start().await?;
    let registry = &world.fleet.open_registry;
    let source = world.image(&Image::new("v1")).await?;
    let id = ids(&world, &source).await?[0].clone();
    let repository = unique("pushed");
    let target = registry.reference(&format!("{repository}:v1"));
    let mut client = world.server.images();

    let tag = TagImageRequest {
        targets: all(),
        source: source.clone(),
        target: target.clone(),
        ..Default::default()
    };
    collect(client.tag_image(tag.clone())).await?.all_done(true);
    assert_eq!(ids(&world, &target).await?, ids(&world, &source).await?);
    collect(client.tag_image(tag)).await?.all_done(false);

    let push = PushImageRequest {
        targets: hosts(&["alpha"]),
        reference: target.clone(),
        ..Default::default()
    };
    let pushed = collect(client.push_image(push)).await?.done_on(&["alpha"], true);
    let digest = registry.digest(&repository, "v1").await?;
    assert_eq!(payload!(pushed, "alpha", Pushed::Image).digest, digest);
    assert_eq!(registry.tags(&repository).await?, ["v1"]);

    let remove =
        RemoveImagesRequest { targets: all(), images: vec![target.clone()], ..Default::default() };
    collect(client.remove_images(remove.clone())).await?.all_done(true);
    assert_eq!(ids(&world, &target).await?, NONE);
    let again = collect(client.remove_images(remove.clone())).await?;
    assert_eq!(again.ending(), (Code::NotFound, "IMAGE_NOT_FOUND".to_owned()));
    assert_eq!(again.failure("beta").context("an error")?.1, "IMAGE_NOT_FOUND");
    let missing_is_fine = RemoveImagesRequest { allow_missing: true, ..remove };
    collect(client.remove_images(missing_is_fine)).await?.all_done(false);

    let pull = PullImageRequest { targets: all(), reference: target.clone(), ..Default::default() };
    let pulled = collect(client.pull_image(pull.clone())).await?.all_done(true);
    for host in HOSTS {
        let image = payload!(pulled, host, Pulled::Image);
        assert_eq!((&image.digest, &image.os), (&digest, &"linux".to_owned()));
    }
    assert_eq!(ids(&world, &target).await?, [id.clone(), id.clone(), id]);
    collect(client.pull_image(pull)).await?.all_done(false);
    Ok(())
}

#[tokio::test]
async fn images_are_looked_at_and_pruned_on_three_engines_by_grpc() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mark = unique("mark");
    let image = world.image(&Image::new("v1").label(&mark, "1").env("A", "b c")).await?;
    let engine_ids = ids(&world, &image).await?;
    let mut client = world.server.images();
    let marked = || vec![Filter { key: "label".to_owned(), values: vec![mark.clone()] }];

    let list = ListImagesRequest { targets: all(), filters: marked(), ..Default::default() };
    let listed = collect(client.list_images(list)).await?.all_read();
    let inspect =
        InspectImagesRequest { targets: all(), images: vec![image.clone()], ..Default::default() };
    let inspected = collect(client.inspect_images(inspect)).await?.all_read();
    let history =
        GetImageHistoryRequest { targets: all(), image: image.clone(), ..Default::default() };
    let history = collect(client.get_image_history(history)).await?.all_read();
    for (host, (engine, id)) in HOSTS.iter().zip(world.engines().iter().zip(&engine_ids)) {
        let [listed] = &payload!(listed, host, Listed::Batch).images[..] else {
            panic!("{listed:#?}");
        };
        assert_eq!((json!(listed.id), &*listed.repo_tags), (id.clone(), &[image.clone()][..]));
        let details = payload!(inspected, host, Inspected::Image);
        assert_eq!(json!(details.id), *id);
        let json: Value = serde_json::from_str(&details.engine.as_ref().context("JSON")?.json)?;
        assert_eq!(json, engine.image(&image).await?.context("the image is there")?);
        let layers = &payload!(history, host, History::History).layers;
        let expected = engine.get(&format!("/images/{image}/history")).await?;
        assert_eq!(layers.len(), expected.as_array().context("a list")?.len());
        assert_eq!(layers[0].comment, expected[0]["Comment"]);
    }

    let prune =
        PruneImagesRequest { targets: all(), all: true, filters: marked(), ..Default::default() };
    let _pruning = PRUNING.lock().await;
    let pruned = collect(client.prune_images(prune.clone())).await?.all_done(true);
    for host in HOSTS {
        assert_eq!(payload!(pruned, host, Pruned::Pruned).untagged, std::slice::from_ref(&image));
    }
    assert_eq!(ids(&world, &image).await?, NONE);
    collect(client.prune_images(prune)).await?.all_done(false);
    Ok(())
}

#[tokio::test]
async fn images_are_tagged_pushed_pulled_and_removed_on_three_engines_by_command_line()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let registry = &world.fleet.open_registry;
    let source = world.image(&Image::new("v1")).await?;
    // IDs differ: each Engine notes when it made its image.
    let id = ids(&world, &source).await?[1].clone();
    let repository = unique("pushed");
    let target = registry.reference(&format!("{repository}:v1"));
    let cli = &world.cli;

    world.act(&["tag", &source, &target], true).await?;
    assert_eq!(ids(&world, &target).await?, ids(&world, &source).await?);
    world.act(&["tag", &source, &target], false).await?;

    cli.run(&["push", "-H", "beta", &target]).await?.expect(0)?;
    let digest = registry.digest(&repository, "v1").await?;

    cli.run(&["rmi", "-A", &target]).await?.expect(0)?;
    assert_eq!(ids(&world, &target).await?, NONE);
    let again = cli.run(&["rmi", "-A", &target]).await?.expect(1)?;
    assert_eq!(again.stderr.matches("IMAGE_NOT_FOUND").count(), 3, "{again:?}");
    world.act(&["rmi", "--allow-missing", &target], false).await?;

    world.act(&["pull", &target], true).await?;
    assert_eq!(ids(&world, &target).await?, [id.clone(), id.clone(), id]);
    world.act(&["pull", &target], false).await?;
    let table = cli.run(&["pull", "-A", &target]).await?.expect(0)?;
    assert!(HOSTS.iter().all(|host| table.stdout.contains(host)), "{table:?}");
    // In a pipe, progress is plain lines.
    assert!(!(table.stdout + &table.stderr).contains('\u{1b}'));

    // Without the name as a filter: with it, an Engine leaves the digests out.
    let listed = cli.run(&["images", "-o", "json"]).await?.expect(0)?.json_lines()?;
    let mut with_digest = Vec::new();
    for line in listed.iter().filter(|line| line["repoTags"].to_string().contains(&target)) {
        assert!(line["repoDigests"].to_string().contains(&digest), "{line}");
        with_digest.push(line["host"].as_str().context("a host")?);
    }
    with_digest.sort_unstable();
    assert_eq!(with_digest, HOSTS);
    Ok(())
}

#[tokio::test]
async fn images_are_looked_at_and_pruned_on_three_engines_by_command_line() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mark = unique("mark");
    let image = world.image(&Image::new("v1").label(&mark, "1")).await?;
    let cli = &world.cli;

    let listed = cli.run(&["images", "-o", "name", &image]).await?.expect(0)?;
    assert_eq!(sorted(&listed), on_hosts(&image));
    let table = cli.run(&["images", &image]).await?.expect(0)?;
    assert!(HOSTS.iter().all(|host| table.stdout.contains(host)), "{table:?}");

    let inspected = cli.run(&["image", "inspect", "-A", "-o", "json", &image]).await?.expect(0)?;
    for id in ids(&world, &image).await? {
        assert!(inspected.stdout.contains(id.as_str().context("an ID")?), "{inspected:?}");
    }
    let history = cli.run(&["image", "history", "-A", "-o", "json", &image]).await?.expect(0)?;
    assert!(HOSTS.iter().all(|host| history.stdout.contains(host)), "{history:?}");

    let filter = format!("label={mark}");
    let _pruning = PRUNING.lock().await;
    let pruned =
        cli.run(&["image", "prune", "-A", "--all", "--filter", &filter]).await?.expect(0)?;
    assert!(HOSTS.iter().all(|host| pruned.stdout.contains(host)), "{pruned:?}");
    assert_eq!(ids(&world, &image).await?, NONE);
    Ok(())
}

/// The ID of an image on each host; null where it is not.
async fn ids(world: &World, reference: &str) -> anyhow::Result<[Value; 3]> {
    let mut ids = [const { Value::Null }; 3];
    for (id, engine) in ids.iter_mut().zip(world.engines()) {
        *id = engine.image(reference).await?.map(|image| image["Id"].clone()).unwrap_or_default();
    }
    Ok(ids)
}
