//! Lists of containers.

use serde_json::{Value, json};
use wharf_server::domain::ContainerRef;
use wharf_server::engine::{ContainerListing, ContainerSummary, ErrorKind, Filters};

use super::world::{World, image_name, image_reference, kind};

super::cases![
    lists_show_what_runs_or_all,
    filters_choose,
    filters_that_are_unknown_are_refused,
    the_image_of_a_list_turns_to_an_id_when_its_name_moves,
];

async fn lists_show_what_runs_or_all(world: &World<'_>) {
    let image = world.image().await;
    let running = world.run("running", &image, mark(world, json!({"Labels": {"k": "v"}}))).await;
    let created = world.create("created", &image, mark(world, json!({}))).await;
    let mine = marked(world);
    assert_eq!(ids(&list(world, mine.clone()).await), [running.as_str()]);
    let all = list(world, ContainerListing { all: true, ..mine.clone() }).await;
    assert_eq!(ids(&all), [created.as_str(), running.as_str()], "newest first");
    let one = list(world, ContainerListing { limit: 1, ..mine.clone() }).await;
    assert_eq!(ids(&one), [created.as_str()], "a limit shows what does not run, too");
    let seen = &all[1];
    assert_eq!(seen.names, [world.name("running")]);
    assert_eq!((seen.image.as_str(), seen.state.as_str()), (image.as_str(), "running"));
    assert_eq!(seen.command, "/bin/idle");
    assert!(seen.status.starts_with("Up "), "{seen:?}");
    assert!(seen.image_id.starts_with("sha256:") && seen.created > Some(1_700_000_000), "{seen:?}");
    assert_eq!((seen.labels["k"].as_str(), seen.labels["origin"].as_str()), ("v", "image"));
    assert_eq!(seen.networks, ["none"]);
    assert_eq!(all[0].status, "Created");
    assert!(seen.json.is_none());
    let kept = list(world, ContainerListing { keep_json: true, ..mine.clone() }).await;
    let json: Value = serde_json::from_str(kept[0].json.as_ref().unwrap()).unwrap();
    assert_eq!(json["Id"], json!(running.as_str()));
    let sized = list(world, ContainerListing { size: true, ..mine }).await;
    assert!(sized[0].size_root_fs > 0, "{sized:?}");
    world.engine.stop_container(&running, None).await.unwrap();
    assert!(list(world, marked(world)).await.is_empty());
    world.clean(&[&running, &created]).await;
    world.clean_images(&[&image]).await;
}

async fn filters_choose(world: &World<'_>) {
    let image = world.image().await;
    let first =
        world.create("s1", &image, mark(world, json!({"Labels": {"a": "1", "b": "2"}}))).await;
    let second = world.run("s10", &image, mark(world, json!({"Labels": {"a": "1"}}))).await;
    let (both, only_first, only_second): (&[_], &[_], &[_]) =
        (&[&second, &first], &[&first], &[&second]);
    let name = world.name("s1");
    for (key, values, expected) in [
        ("name", vec![name.clone()], both),
        ("name", vec![format!("^/{name}$")], only_first),
        ("label", vec!["a=1".to_owned(), "b".to_owned()], only_first),
        ("label", vec!["a=2".to_owned()], &[]),
        ("status", vec!["created".to_owned()], only_first),
        ("status", vec!["created".to_owned(), "running".to_owned()], both),
        ("id", vec![second.as_str()[..20].to_owned()], only_second),
        ("ancestor", vec![image.clone()], both),
        ("before", vec![second.as_str().to_owned()], only_first),
        ("since", vec![first.as_str().to_owned()], only_second),
        ("network", vec!["none".to_owned()], both),
        ("health", vec!["healthy".to_owned()], &[]),
        ("volume", vec!["/nosuch".to_owned()], &[]),
    ] {
        let mut listing = ContainerListing { all: true, ..marked(world) };
        listing.filters.entry(key.to_owned()).or_default().extend(values.clone());
        let expected: Vec<&str> =
            expected.iter().map(|container: &&ContainerRef| container.as_str()).collect();
        assert_eq!(ids(&list(world, listing).await), expected, "{key} {values:?}");
    }
    world.clean(&[&first, &second]).await;
    world.clean_images(&[&image]).await;
}

async fn filters_that_are_unknown_are_refused(world: &World<'_>) {
    for (key, value) in [("nosuch", "x"), ("status", "nosuch"), ("health", "nosuch")] {
        let filters: Filters = [(key.to_owned(), vec![value.to_owned()])].into();
        let listing = ContainerListing { filters, ..ContainerListing::default() };
        let refused = world.engine.list_containers(&listing).await;
        assert_eq!(kind(refused), ErrorKind::BadRequest, "{key}={value}");
    }
}

async fn the_image_of_a_list_turns_to_an_id_when_its_name_moves(world: &World<'_>) {
    let image = world.image().await;
    let container = world.create("c", &image, mark(world, json!({}))).await;
    let newer = format!("{}:v2", world.name("image"));
    (world.fixture.import)(newer.clone(), world.name("v2")).await;
    let source = image_name(&newer);
    world.engine.tag_image(&source, &image_reference(&image)).await.unwrap();
    let all = ContainerListing { all: true, ..marked(world) };
    let seen = &list(world, all).await[0];
    assert_eq!(seen.image, seen.image_id, "{seen:?}");
    assert_eq!(world.inspect(&container).await["Config"]["Image"], json!(image));
    world.clean(&[&container]).await;
    world.clean_images(&[&image, &newer]).await;
}

/// A body with the label that only this case uses.
fn mark(world: &World<'_>, mut body: Value) -> Value {
    if !body["Labels"].is_object() {
        body["Labels"] = json!({});
    }
    body["Labels"][world.name("mine")] = json!("");
    body
}

fn marked(world: &World<'_>) -> ContainerListing {
    let filters = [("label".to_owned(), vec![world.name("mine")])].into();
    ContainerListing { filters, ..ContainerListing::default() }
}

async fn list(world: &World<'_>, listing: ContainerListing) -> Vec<ContainerSummary> {
    world.engine.list_containers(&listing).await.unwrap().items
}

fn ids(items: &[ContainerSummary]) -> Vec<&str> {
    items.iter().map(|item| item.id.as_str()).collect()
}
