//! Images on the host.

use serde_json::{Value, json};
use wharf_server::engine::{Change, ErrorKind, Filters, ImageListing, ImageSummary};

use super::world::{World, image_name, image_reference, kind};

super::cases![
    images_are_listed_and_inspected,
    an_image_that_is_not_there_is_not_found_by_any_call,
    a_tag_is_made_once_and_moves,
    a_removal_by_name_takes_the_name_first,
    a_removal_by_id_wants_force_for_several_names,
    an_image_in_use_stays,
    a_prune_takes_images_without_a_name,
];

async fn images_are_listed_and_inspected(world: &World<'_>) {
    let image = world.image().await;
    let inspected = inspect(world, &image).await;
    let id = inspected["Id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    assert_eq!(inspected["RepoTags"], json!([image]));
    assert_eq!(inspected["Config"]["Cmd"], json!(["/bin/idle"]));
    assert_eq!(inspected["Config"]["Labels"], json!({"origin": "image"}));
    assert_eq!(inspected["Os"], "linux");
    let listed = list(world, &[("reference", &image)]).await;
    assert_eq!(listed.len(), 1);
    let seen = &listed[0];
    assert_eq!((&seen.id, seen.repo_tags.as_slice()), (&id, std::slice::from_ref(&image)));
    assert!(seen.repo_digests.is_empty() && seen.size > 0 && seen.json.is_some(), "{seen:?}");
    assert_eq!(seen.labels["origin"], "image");
    let (repository, _) = image.rsplit_once(':').unwrap();
    for (key, value, expected) in
        [("reference", repository, 1), ("reference", "nosuch:*", 0), ("label", "origin=nothing", 0)]
    {
        assert_eq!(list(world, &[(key, value)]).await.len(), expected, "{key}={value}");
    }
    let history = world.engine.image_history(&image_name(&image)).await.unwrap();
    assert!(!history.is_empty() && history[0].id == id, "{history:?}");
    assert_eq!(history[0].tags, std::slice::from_ref(&image));
    for name in [&id, &id[7..19], &id[..24]] {
        assert_eq!(inspect(world, name).await["Id"], json!(id), "{name}");
    }
    let unknown: Filters = [("nosuch".to_owned(), vec!["x".to_owned()])].into();
    let listing = ImageListing { filters: unknown, ..ImageListing::default() };
    assert_eq!(kind(world.engine.list_images(&listing).await), ErrorKind::BadRequest);
    world.clean_images(&[&image]).await;
}

async fn an_image_that_is_not_there_is_not_found_by_any_call(world: &World<'_>) {
    let engine = world.engine;
    let nothing = image_name(&format!("{}:v1", world.name("nothing")));
    let target = image_reference(&format!("{}:v2", world.name("target")));
    for (call, kind) in [
        ("inspect", kind(engine.inspect_image(&nothing).await)),
        ("history", kind(engine.image_history(&nothing).await)),
        ("tag", kind(engine.tag_image(&nothing, &target).await)),
        ("remove", kind(engine.remove_image(&nothing, true, false).await)),
    ] {
        assert_eq!(kind, ErrorKind::ImageNotFound, "{call}");
    }
}

async fn a_tag_is_made_once_and_moves(world: &World<'_>) {
    let image = world.image().await;
    let engine = world.engine;
    let newer = format!("{}:v2", world.name("image"));
    (world.fixture.import)(newer.clone(), world.name("v2")).await;
    let tag = image_reference(&format!("{}:current", world.name("image")));
    let (first, second) = (image_name(&image), image_name(&newer));
    assert_eq!(engine.tag_image(&first, &tag).await.unwrap(), Change::Made);
    assert_eq!(engine.tag_image(&first, &tag).await.unwrap(), Change::Already);
    let id = async |name: &str| inspect(world, name).await["Id"].take();
    assert_eq!(id(&tag.to_string()).await, id(&image).await);
    assert_eq!(engine.tag_image(&second, &tag).await.unwrap(), Change::Made);
    assert_eq!(id(&tag.to_string()).await, id(&newer).await);
    assert_eq!(inspect(world, &image).await["RepoTags"], json!([image]));
    world.clean_images(&[&tag.to_string(), &image, &newer]).await;
}

async fn a_removal_by_name_takes_the_name_first(world: &World<'_>) {
    let image = world.image().await;
    let engine = world.engine;
    let id = inspect(world, &image).await["Id"].as_str().unwrap().to_owned();
    let other = format!("{}:other", world.name("image"));
    engine.tag_image(&image_name(&image), &image_reference(&other)).await.unwrap();
    let removal = engine.remove_image(&image_name(&image), false, false).await.unwrap();
    assert_eq!(removal.untagged, [&*image]);
    assert!(removal.deleted.is_empty(), "{removal:?}");
    assert_eq!(inspect(world, &other).await["Id"], json!(id));
    let removal = engine.remove_image(&image_name(&other), false, false).await.unwrap();
    assert_eq!(removal.untagged, [other]);
    assert!(removal.deleted.contains(&id), "{removal:?}");
    assert_eq!(kind(engine.inspect_image(&image_name(&id)).await), ErrorKind::ImageNotFound);
}

async fn a_removal_by_id_wants_force_for_several_names(world: &World<'_>) {
    let image = world.image().await;
    let engine = world.engine;
    let id = inspect(world, &image).await["Id"].as_str().unwrap().to_owned();
    let other = format!("{}:v1", world.name("other"));
    engine.tag_image(&image_name(&image), &image_reference(&other)).await.unwrap();
    let refused = engine.remove_image(&image_name(&id), false, false).await;
    assert_eq!(kind(refused), ErrorKind::Conflict);
    let removal = engine.remove_image(&image_name(&id), true, false).await.unwrap();
    assert!(removal.untagged.contains(&image) && removal.untagged.contains(&other), "{removal:?}");
    assert!(removal.deleted.contains(&id), "{removal:?}");
}

async fn an_image_in_use_stays(world: &World<'_>) {
    let image = world.image().await;
    let engine = world.engine;
    let id = inspect(world, &image).await["Id"].as_str().unwrap().to_owned();
    let container = world.run("c", &image, json!({})).await;
    let remove =
        async |name: &str, force| engine.remove_image(&image_name(name), force, false).await;
    assert_eq!(kind(remove(&image, false).await), ErrorKind::Conflict);
    assert_eq!(kind(remove(&id, true).await), ErrorKind::Conflict, "it runs");
    engine.stop_container(&container, None).await.unwrap();
    assert_eq!(kind(remove(&id, false).await), ErrorKind::Conflict);
    let removal = remove(&image, true).await.unwrap();
    assert_eq!(removal.untagged, [&*image]);
    engine.start_container(&container).await.expect("it starts without its image's name");
    world.clean(&[&container]).await;
    world.clean_images(&[&id]).await;
}

async fn a_prune_takes_images_without_a_name(world: &World<'_>) {
    if world.api_version().await.minor < 25 {
        return;
    }
    // Shared Engines have other nameless images: the filter leaves them alone.
    let nothing = [("label".to_owned(), vec![world.name("nosuch")])].into();
    let pruned = world.engine.prune_images(&nothing).await.unwrap();
    assert!(pruned.removal.deleted.is_empty() && pruned.removal.untagged.is_empty(), "{pruned:?}");
    let unknown = [("nosuch".to_owned(), vec!["x".to_owned()])].into();
    assert_eq!(kind(world.engine.prune_images(&unknown).await), ErrorKind::BadRequest);
}

async fn inspect(world: &World<'_>, image: &str) -> Value {
    world.engine.inspect_image(&image_name(image)).await.unwrap().parse().unwrap()
}

async fn list(world: &World<'_>, filters: &[(&str, &str)]) -> Vec<ImageSummary> {
    let mut filters: Filters =
        filters.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect();
    // Only what this case made.
    filters.entry("reference".to_owned()).or_insert_with(|| vec![format!("{}*:*", world.name(""))]);
    let listing = ImageListing { filters, keep_json: true, ..ImageListing::default() };
    world.engine.list_images(&listing).await.unwrap().items
}
