//! Removal, and missing objects.

use serde_json::json;
use wharf_server::engine::{ErrorKind, WaitCondition};

use super::world::{World, container_name, kind, reference};

super::cases![
    a_running_container_is_removed_only_by_force,
    a_container_that_is_not_there_is_not_found_by_any_call,
    a_fleeting_container_goes_when_it_ends,
    a_prune_takes_what_does_not_run,
    a_container_is_found_by_id_name_and_beginning_of_its_id,
];

async fn a_running_container_is_removed_only_by_force(world: &World<'_>) {
    let image = world.image().await;
    let container = world.run("c", &image, json!({})).await;
    let refused = world.engine.remove_container(&container, false, false).await;
    assert_eq!(kind(refused), ErrorKind::Conflict);
    world.engine.remove_container(&container, true, false).await.unwrap();
    world.until_gone(&container).await;
    world.clean_images(&[&image]).await;
}

async fn a_container_that_is_not_there_is_not_found_by_any_call(world: &World<'_>) {
    let engine = world.engine;
    let nobody = reference(&world.name("nobody"));
    let name = container_name(&world.name("other"));
    for (call, kind) in [
        ("inspect", kind(engine.inspect_container(&nobody, false).await)),
        ("start", kind(engine.start_container(&nobody).await)),
        ("stop", kind(engine.stop_container(&nobody, None).await)),
        ("restart", kind(engine.restart_container(&nobody, None).await)),
        ("kill", kind(engine.kill_container(&nobody, None).await)),
        ("pause", kind(engine.pause_container(&nobody).await)),
        ("unpause", kind(engine.unpause_container(&nobody).await)),
        ("rename", kind(engine.rename_container(&nobody, &name).await)),
        ("update", kind(engine.update_container(&nobody, &json!({})).await)),
        ("wait", kind(engine.wait_container(&nobody, WaitCondition::NotRunning).await)),
        ("top", kind(engine.list_processes(&nobody, None).await)),
        ("changes", kind(engine.container_changes(&nobody).await)),
        ("remove", kind(engine.remove_container(&nobody, true, true).await)),
    ] {
        assert_eq!(kind, ErrorKind::ContainerNotFound, "{call}");
    }
}

async fn a_fleeting_container_goes_when_it_ends(world: &World<'_>) {
    let image = world.image().await;
    let fleeting = json!({"HostConfig": {"AutoRemove": true}});
    let ends = json!({"Cmd": ["/bin/true"], "HostConfig": {"AutoRemove": true}});
    let first = world.run("ends", &image, ends).await;
    world.until_gone(&first).await;
    let second = world.run("stopped", &image, fleeting).await;
    world.engine.stop_container(&second, None).await.unwrap();
    world.until_gone(&second).await;
    world.clean_images(&[&image]).await;
}

async fn a_prune_takes_what_does_not_run(world: &World<'_>) {
    if world.api_version().await.minor < 25 {
        let refused = world.engine.prune_containers(&[].into()).await;
        let kind = kind(refused);
        assert!(matches!(kind, ErrorKind::Unsupported | ErrorKind::EndpointNotFound), "{kind}");
        return;
    }
    let image = world.image().await;
    let labels = json!({"Labels": {world.name("label"): "yes"}});
    let running = world.run("running", &image, labels.clone()).await;
    let created = world.create("created", &image, labels).await;
    let other = world.create("other", &image, json!({})).await;
    let mine = [("label".to_owned(), vec![world.name("label")])].into();
    let pruned = world.engine.prune_containers(&mine).await.unwrap();
    assert_eq!(pruned.ids, [created.as_str()]);
    world.until_gone(&created).await;
    assert_eq!(world.state(&running).await["Status"], "running");
    assert_eq!(world.state(&other).await["Status"], "created");
    assert!(world.engine.prune_containers(&mine).await.unwrap().ids.is_empty());
    let unknown = [("nosuch".to_owned(), vec!["x".to_owned()])].into();
    assert_eq!(kind(world.engine.prune_containers(&unknown).await), ErrorKind::BadRequest);
    world.clean(&[&running, &other]).await;
    world.clean_images(&[&image]).await;
}

async fn a_container_is_found_by_id_name_and_beginning_of_its_id(world: &World<'_>) {
    let image = world.image().await;
    let container = world.create("c", &image, json!({})).await;
    let id = container.as_str();
    for text in [id, &id[..12], &id[..20], &world.name("c"), &format!("/{}", world.name("c"))] {
        let seen = world.inspect(&reference(text)).await;
        assert_eq!(seen["Id"], json!(id), "{text}");
    }
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}
