//! Networks and volumes.

use serde_json::{Value, json};
use wharf_server::domain::{ContainerRef, NetworkRef, VolumeName};
use wharf_server::engine::{
    Change, ErrorKind, NetworkListing, NetworkSummary, VolumeListing, network_of, volume_of,
};

use super::world::{World, kind, reference};

super::cases![
    a_network_is_created_once_under_a_name,
    a_network_that_is_not_there_is_not_found_by_any_call,
    a_network_in_use_is_not_removed,
    a_predefined_network_stays,
    subnets_do_not_overlap,
    a_container_is_connected_and_disconnected,
    unused_networks_are_pruned,
    a_volume_is_created_and_removed,
    a_volume_that_is_not_there_is_not_found,
    a_volume_in_use_is_not_removed,
    a_prune_keeps_volumes_with_names_unless_told_otherwise,
    a_driver_that_is_not_there_is_unsupported,
];

/// A subnet that no other case uses, probably.
fn subnet(world: &World<'_>, what: &str, attempt: u32) -> String {
    let number = world
        .name(what)
        .bytes()
        .fold(attempt, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    format!("10.{}.{}.0/24", 192 + number % 32, number / 32 % 256)
}

/// Creates a network with addresses of its own; gives its ID.
async fn network(world: &World<'_>, what: &str, more: &[(&str, Value)]) -> NetworkRef {
    for attempt in 0..20 {
        let mut body = json!({
            "Name": world.name(what),
            "CheckDuplicate": true,
            "IPAM": {"Driver": "default", "Config": [{"Subnet": subnet(world, what, attempt)}]},
        });
        for (key, value) in more {
            body[*key] = value.clone();
        }
        match world.engine.create_network(&body).await {
            Ok(created) => return network_ref(&created.id),
            Err(error) if error.message.contains("overlap") => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no free addresses for a network")
}

fn network_ref(text: &str) -> NetworkRef {
    NetworkRef::parse(text).expect("a network of a case")
}

fn volume_name(text: &str) -> VolumeName {
    VolumeName::parse(text).expect("a volume of a case")
}

async fn listed(world: &World<'_>, filters: &[(&str, String)]) -> Vec<NetworkSummary> {
    let filters = filters.iter().map(|(key, value)| ((*key).to_owned(), vec![value.clone()]));
    let listing = NetworkListing { filters: filters.collect(), keep_json: false };
    world.engine.list_networks(&listing).await.expect("a list").items
}

async fn a_network_is_created_once_under_a_name(world: &World<'_>) {
    let label = json!({world.name("label"): "yes"});
    let more = [("Labels", label), ("Internal", json!(true))];
    let front = network(world, "front", &more).await;
    let again = json!({"Name": world.name("front"), "CheckDuplicate": true});
    assert_eq!(kind(world.engine.create_network(&again).await), ErrorKind::NameInUse);

    let by_name = network_ref(&world.name("front"));
    for reference in [&front, &by_name, &network_ref(&front.as_str()[..16])] {
        let document = world.engine.inspect_network(reference).await.unwrap();
        let found = network_of(&document).unwrap();
        assert_eq!((found.id.as_str(), &found.name), (front.as_str(), &world.name("front")));
        assert_eq!((found.driver.as_str(), found.scope.as_str()), ("bridge", "local"));
        assert!(found.internal && !found.ipv6 && !found.created.is_empty(), "{found:?}");
        assert_eq!(found.labels[&world.name("label")], "yes");
        assert!(found.pools[0].subnet.ends_with(".0/24"), "{found:?}");
        assert!(found.endpoints.is_empty());
    }

    let longer = network(world, "front-2", &[]).await;
    // The filter matches anywhere in the name.
    let found = listed(world, &[("name", world.name("front"))]).await;
    let mut names: Vec<_> = found.iter().map(|it| it.name.clone()).collect();
    names.sort();
    assert_eq!(names, [world.name("front"), world.name("front-2")]);
    let found = listed(world, &[("label", world.name("label"))]).await;
    assert_eq!(found.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), [front.as_str()]);
    let unknown = [("nosuch".to_owned(), vec!["x".to_owned()])].into();
    let unknown = NetworkListing { filters: unknown, keep_json: false };
    assert_eq!(kind(world.engine.list_networks(&unknown).await), ErrorKind::BadRequest);

    for it in [&front, &longer] {
        world.engine.remove_network(it).await.unwrap();
    }
}

async fn a_network_that_is_not_there_is_not_found_by_any_call(world: &World<'_>) {
    let (engine, nothing) = (world.engine, network_ref(&world.name("nothing")));
    assert_eq!(kind(engine.inspect_network(&nothing).await), ErrorKind::NetworkNotFound);
    assert_eq!(kind(engine.remove_network(&nothing).await), ErrorKind::NetworkNotFound);
    let image = world.image().await;
    let container = world.run("c", &image, json!({})).await;
    let name = nothing.as_str();
    let connected = engine.connect_network(name, &container, &json!({})).await;
    assert_eq!(kind(connected), ErrorKind::NetworkNotFound);
    let disconnected = engine.disconnect_network(name, &container, false).await;
    assert_eq!(kind(disconnected), ErrorKind::NetworkNotFound);
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn a_network_in_use_is_not_removed(world: &World<'_>) {
    let image = world.image().await;
    let front = network(world, "front", &[]).await;
    let container = within(world, &image, "c").await;
    let refused = world.engine.remove_network(&front).await;
    assert_eq!(kind(refused), ErrorKind::Conflict);
    let found = network_of(&world.engine.inspect_network(&front).await.unwrap()).unwrap();
    let endpoint = &found.endpoints[0];
    let expected = (container.as_str(), world.name("c"));
    assert_eq!((endpoint.container_id.as_str(), endpoint.name.clone()), expected);
    assert!(endpoint.ipv4.ends_with("/24") && !endpoint.mac.is_empty(), "{endpoint:?}");
    // One that is stopped does not keep it.
    world.engine.stop_container(&container, None).await.unwrap();
    world.engine.remove_network(&front).await.unwrap();
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

/// A running container in the network `front` of this case.
async fn within(world: &World<'_>, image: &str, what: &str) -> ContainerRef {
    world.run(what, image, json!({"HostConfig": {"NetworkMode": world.name("front")}})).await
}

async fn a_predefined_network_stays(world: &World<'_>) {
    for name in ["host", "none"] {
        assert_eq!(
            kind(world.engine.remove_network(&network_ref(name)).await),
            ErrorKind::Conflict
        );
        let body = json!({"Name": name, "CheckDuplicate": true});
        assert_eq!(kind(world.engine.create_network(&body).await), ErrorKind::Conflict);
    }
}

async fn subnets_do_not_overlap(world: &World<'_>) {
    let front = network(world, "front", &[]).await;
    let found = network_of(&world.engine.inspect_network(&front).await.unwrap()).unwrap();
    let body = json!({
        "Name": world.name("other"),
        "CheckDuplicate": true,
        "IPAM": {"Config": [{"Subnet": found.pools[0].subnet}]},
    });
    assert_eq!(kind(world.engine.create_network(&body).await), ErrorKind::Conflict);
    world.engine.remove_network(&front).await.unwrap();
}

async fn a_container_is_connected_and_disconnected(world: &World<'_>) {
    let image = world.image().await;
    let front = network(world, "front", &[]).await;
    let (id, name) = (front.as_str(), world.name("front"));
    // In the network `none`, it cannot be in another one.
    let back = network(world, "back", &[]).await;
    let mode = json!({"HostConfig": {"NetworkMode": world.name("back")}});
    let container = world.run("c", &image, mode).await;
    let connect = async || {
        world.engine.connect_network(id, &container, &json!({"Aliases": ["www"]})).await.unwrap()
    };
    let disconnect = async || world.engine.disconnect_network(id, &container, false).await.unwrap();
    assert_eq!(disconnect().await, Change::Already);
    assert_eq!(connect().await, Change::Made);
    assert_eq!(connect().await, Change::Already);
    let endpoint = &world.inspect(&container).await["NetworkSettings"]["Networks"][&name];
    assert_eq!(endpoint["NetworkID"], id);
    assert!(endpoint["Aliases"].to_string().contains("\"www\""), "{endpoint}");
    assert_eq!(disconnect().await, Change::Made);
    let networks = &world.inspect(&container).await["NetworkSettings"]["Networks"];
    assert!(networks[&name].is_null(), "{networks}");

    // The same while it does not run.
    world.engine.stop_container(&container, None).await.unwrap();
    assert_eq!(disconnect().await, Change::Already);
    assert_eq!(connect().await, Change::Made);
    assert_eq!(disconnect().await, Change::Made);

    let nobody = reference(&world.name("nobody"));
    let missing = world.engine.disconnect_network(id, &nobody, false).await;
    assert_eq!(kind(missing), ErrorKind::ContainerNotFound);
    world.clean(&[&container]).await;
    for it in [&front, &back] {
        world.engine.remove_network(it).await.unwrap();
    }
    world.clean_images(&[&image]).await;
}

async fn unused_networks_are_pruned(world: &World<'_>) {
    let mine: wharf_server::engine::Filters =
        [("label".to_owned(), vec![world.name("label")])].into();
    if world.api_version().await.minor < 25 {
        let kind = kind(world.engine.prune_networks(&mine).await);
        assert!(matches!(kind, ErrorKind::Unsupported | ErrorKind::EndpointNotFound), "{kind}");
        return;
    }
    let image = world.image().await;
    let labels = [("Labels", json!({world.name("label"): ""}))];
    let front = network(world, "front", &labels).await;
    network(world, "unused", &labels).await;
    let other = network(world, "other", &[]).await;
    let container = within(world, &image, "c").await;
    assert_eq!(world.engine.prune_networks(&mine).await.unwrap(), [world.name("unused")]);
    assert!(world.engine.prune_networks(&mine).await.unwrap().is_empty());
    for it in [&front, &other] {
        world.engine.inspect_network(it).await.expect("it is there");
    }
    let unknown = [("nosuch".to_owned(), vec!["x".to_owned()])].into();
    assert_eq!(kind(world.engine.prune_networks(&unknown).await), ErrorKind::BadRequest);
    world.clean(&[&container]).await;
    for it in [&front, &other] {
        world.engine.remove_network(it).await.unwrap();
    }
    world.clean_images(&[&image]).await;
}

async fn a_volume_is_created_and_removed(world: &World<'_>) {
    let (engine, name) = (world.engine, volume_name(&world.name("data")));
    let body = json!({"Name": name.as_str(), "Labels": {world.name("label"): "1"}});
    let made = volume_of(&engine.create_volume(&body).await.unwrap()).unwrap();
    assert_eq!((made.name.as_str(), made.driver.as_str()), (name.as_str(), "local"));
    assert_eq!((made.scope.as_str(), &*made.labels[&world.name("label")]), ("local", "1"));
    assert!(made.mountpoint.ends_with("/_data") && !made.created.is_empty(), "{made:?}");
    // A second one is the first, whatever its labels.
    let again = json!({"Name": name.as_str(), "Labels": {"other": ""}});
    assert_eq!(volume_of(&engine.create_volume(&again).await.unwrap()).unwrap(), made);
    assert_eq!(volume_of(&engine.inspect_volume(&name).await.unwrap()).unwrap(), made);

    for (key, value) in [("name", name.to_string()), ("label", world.name("label"))] {
        let filters = [(key.to_owned(), vec![value])].into();
        let list = engine.list_volumes(&VolumeListing { filters, keep_json: true }).await.unwrap();
        let [found] = &list.volumes.items[..] else { panic!("{list:?}") };
        assert_eq!(found.name, name.as_str(), "{key}");
        let json: Value = serde_json::from_str(found.json.as_deref().unwrap()).unwrap();
        assert_eq!(json["Name"], name.as_str());
    }
    let filters = [("nosuch".to_owned(), vec!["x".to_owned()])].into();
    let unknown = engine.list_volumes(&VolumeListing { filters, keep_json: false }).await;
    assert_eq!(kind(unknown), ErrorKind::BadRequest);

    engine.remove_volume(&name, false).await.unwrap();
    assert_eq!(kind(engine.inspect_volume(&name).await), ErrorKind::VolumeNotFound);
}

async fn a_volume_that_is_not_there_is_not_found(world: &World<'_>) {
    let nothing = volume_name(&world.name("nothing"));
    assert_eq!(kind(world.engine.inspect_volume(&nothing).await), ErrorKind::VolumeNotFound);
    assert_eq!(kind(world.engine.remove_volume(&nothing, false).await), ErrorKind::VolumeNotFound);
    world.engine.remove_volume(&nothing, true).await.expect("with force, that is fine");
}

async fn a_volume_in_use_is_not_removed(world: &World<'_>) {
    let image = world.image().await;
    let name = volume_name(&world.name("data"));
    let binds = json!({"HostConfig": {"Binds": [format!("{name}:/data")]}});
    let container = world.create("c", &image, binds).await;
    for force in [false, true] {
        let refused = world.engine.remove_volume(&name, force).await;
        assert_eq!(kind(refused), ErrorKind::Conflict, "force: {force}");
    }
    world.clean(&[&container]).await;
    world.engine.remove_volume(&name, false).await.unwrap();
    world.clean_images(&[&image]).await;
}

async fn a_prune_keeps_volumes_with_names_unless_told_otherwise(world: &World<'_>) {
    let label = world.name("label");
    let mine: wharf_server::engine::Filters = [("label".to_owned(), vec![label.clone()])].into();
    if world.api_version().await.minor < 25 {
        let kind = kind(world.engine.prune_volumes(&mine, true).await);
        assert!(matches!(kind, ErrorKind::Unsupported | ErrorKind::EndpointNotFound), "{kind}");
        return;
    }
    let engine = world.engine;
    let labels = json!({&label: "", "keep": "no"});
    let named = json!({"Name": world.name("data"), "Labels": labels});
    engine.create_volume(&named).await.unwrap();
    // One with options stays, as it may stand for what is elsewhere.
    let special = json!({
        "Name": world.name("special"),
        "Labels": labels,
        "DriverOpts": {"type": "tmpfs", "device": "tmpfs"},
    });
    engine.create_volume(&special).await.unwrap();
    let anonymous = json!({"Labels": labels});
    let anonymous = volume_of(&engine.create_volume(&anonymous).await.unwrap()).unwrap().name;
    let mut others = mine.clone();
    others.insert("label!".to_owned(), vec!["keep=no".to_owned()]);
    assert!(engine.prune_volumes(&others, false).await.unwrap().names.is_empty());
    assert!(engine.prune_volumes(&others, true).await.unwrap().names.is_empty());
    assert_eq!(engine.prune_volumes(&mine, false).await.unwrap().names, [anonymous]);
    assert!(engine.prune_volumes(&mine, false).await.unwrap().names.is_empty());
    assert_eq!(engine.prune_volumes(&mine, true).await.unwrap().names, [world.name("data")]);
    engine.remove_volume(&volume_name(&world.name("special")), false).await.expect("it is there");
}

async fn a_driver_that_is_not_there_is_unsupported(world: &World<'_>) {
    let body = json!({"Name": world.name("lan"), "CheckDuplicate": true, "Driver": "nosuch"});
    assert_eq!(kind(world.engine.create_network(&body).await), ErrorKind::Unsupported);
    let body = json!({"Name": world.name("data"), "Driver": "nosuch"});
    assert_eq!(kind(world.engine.create_volume(&body).await), ErrorKind::Unsupported);
}
