//! Networks and volumes on three Engines in parallel, over gRPC and with the command line
//! (`command_line`), and on Engines of other kinds (`other_engines`); results are read back from the
//! Engines themselves.

mod command_line;
mod mine;
mod other_engines;

use anyhow::Context;
use serde_json::{Value, json};
use testbed::Image;
use tonic::Code;
use wharf::v1::create_network_response::Event as Created;
use wharf::v1::inspect_networks_response::Event as Inspected;
use wharf::v1::list_networks_response::Event as Listed;
use wharf::v1::prune_volumes_response::Event as Pruned;
use wharf::v1::{
    ConnectNetworkRequest, CreateNetworkRequest, CreateVolumeRequest, DisconnectNetworkRequest,
    Filter, InspectNetworksRequest, ListNetworksRequest, NetworkAttachment, NetworkPool,
    PruneVolumesRequest, RemoveNetworksRequest, RemoveVolumesRequest,
};

use self::mine::{Mine, own};
use crate::support::{HOSTS, World, all, collect, hosts, payload};

#[tokio::test]
async fn networks_are_made_connected_and_removed_on_three_engines_by_grpc() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mine = Mine::new(world.engines());
    let (front, web) = (mine.called("front"), mine.called("web"));
    let mut client = world.server.networks();
    let create = CreateNetworkRequest {
        targets: all(),
        name: front.clone(),
        driver: "bridge".into(),
        options: [("com.docker.network.driver.mtu".into(), "1400".into())].into(),
        labels: [("mine".into(), mine.name.clone())].into(),
        pools: vec![NetworkPool {
            subnet: mine.subnet(),
            gateway: format!("{}.254", mine.prefix),
            ip_range: format!("{}.64/26", mine.prefix),
            auxiliary_addresses: [("router".into(), format!("{}.65", mine.prefix))].into(),
        }],
        internal: Some(true),
        ..Default::default()
    };
    let created = collect(client.create_network(create.clone())).await?.all_done(true);
    for (host, engine) in HOSTS.iter().zip(world.engines()) {
        let network = payload!(created, host, Created::Network);
        assert_eq!((network.created, &*network.warnings), (true, &[][..]), "{network:?}");
        let found = own(engine, "/networks", &front).await?;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["Id"], network.id);
        assert_eq!(found[0]["Internal"], true);
        assert_eq!(found[0]["Labels"], json!({"mine": mine.name}));
        assert_eq!(found[0]["Options"], json!({"com.docker.network.driver.mtu": "1400"}));
        let pool = &found[0]["IPAM"]["Config"][0];
        assert_eq!(pool["IPRange"], format!("{}.64/26", mine.prefix));
        assert_eq!(pool["AuxiliaryAddresses"]["router"], format!("{}.65", mine.prefix));
    }
    collect(client.create_network(create.clone())).await?.all_done(false);
    let mut other = create.clone();
    other.internal = Some(false);
    other.labels.insert("mine".into(), "other".into());
    let refused = collect(client.create_network(other)).await?;
    assert_eq!(refused.ending(), (Code::AlreadyExists, "NAME_IN_USE".to_owned()));
    let message = refused.failure("beta").context("an error")?.2;
    for part in ["internal: here true, asked false", "label mine: here ", "asked \"other\""] {
        assert!(message.contains(part), "{message}");
    }

    let image = world.image(&Image::new("v1")).await?;
    for engine in world.engines() {
        let body = json!({"Image": image, "HostConfig": {"NetworkMode": front}});
        engine.post(&format!("/containers/create?name={web}"), Some(body)).await?;
        engine.post(&format!("/containers/{web}/start"), None).await?;
    }
    let remove = RemoveNetworksRequest {
        targets: all(),
        networks: vec![front.clone()],
        ..Default::default()
    };
    let refused = collect(client.remove_networks(remove.clone())).await?;
    let (code, reason, message) = refused.failure("alpha").context("an error")?;
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "ENGINE_CONFLICT"));
    assert!(message.contains(&format!("used by {web}; ")), "{message}");
    assert!(
        message.contains(&format!("wharf network disconnect alpha/{front} {web}")),
        "{message}"
    );

    let inspect = InspectNetworksRequest {
        targets: hosts(&["gamma"]),
        networks: vec![front.clone()],
        ..Default::default()
    };
    let inspected = collect(client.inspect_networks(inspect)).await?.done_on(&["gamma"], false);
    let details = payload!(inspected, "gamma", Inspected::Network);
    assert_eq!(details.endpoints[0].container_name, web);
    let network = details.network.as_ref().context("a network")?;
    let json: Value = serde_json::from_str(&network.engine.as_ref().context("JSON")?.json)?;
    assert_eq!(json, world.engines()[2].get(&format!("/networks/{front}")).await?);

    let disconnect = DisconnectNetworkRequest {
        targets: all(),
        network: front.clone(),
        container: web.clone(),
        ..Default::default()
    };
    collect(client.disconnect_network(disconnect.clone())).await?.all_done(true);
    assert_eq!(attached(&world, &web, &front).await?, [false; 3]);
    collect(client.disconnect_network(disconnect)).await?.all_done(false);
    let attachment = NetworkAttachment {
        name: front.clone(),
        aliases: vec!["www".into()],
        ipv4_address: format!("{}.77", mine.prefix),
        ..Default::default()
    };
    let connect = ConnectNetworkRequest {
        targets: all(),
        network: Some(attachment),
        container: web.clone(),
        ..Default::default()
    };
    collect(client.connect_network(connect.clone())).await?.all_done(true);
    let pointer = format!("/NetworkSettings/Networks/{front}/IPAddress");
    let address = json!(format!("{}.77", mine.prefix));
    assert_eq!(world.read(&web, &pointer).await?, [address.clone(), address.clone(), address]);
    collect(client.connect_network(connect.clone())).await?.all_done(false);
    let mut elsewhere = connect;
    elsewhere.network.as_mut().context("set")?.ipv4_address = format!("{}.78", mine.prefix);
    let refused = collect(client.connect_network(elsewhere)).await?;
    let (code, _, message) = refused.failure("alpha").context("an error")?;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(
        message.contains("IPv4 address: here") && message.contains("disconnect it first"),
        "{message}"
    );

    for engine in world.engines() {
        engine.delete(&format!("/containers/{web}?force=1")).await?;
    }
    collect(client.remove_networks(remove.clone())).await?.all_done(true);
    let missing = collect(client.remove_networks(remove)).await?;
    assert_eq!(missing.ending(), (Code::NotFound, "NETWORK_NOT_FOUND".to_owned()));
    for engine in world.engines() {
        assert!(own(engine, "/networks", &front).await?.is_empty());
    }
    Ok(())
}

async fn attached(world: &World, container: &str, network: &str) -> anyhow::Result<[bool; 3]> {
    let found = world.read(container, &format!("/NetworkSettings/Networks/{network}")).await?;
    Ok(found.map(|endpoint| !endpoint.is_null()))
}

/// Docker allows several networks of one name, which a caller of the Engine made without the check.
#[tokio::test]
async fn networks_of_one_name_are_told_apart_by_id() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mine = Mine::new(world.engines());
    let (engine, twin) = (&world.engines()[0], mine.called("twin"));
    let mut ids = Vec::new();
    for half in ["0/25", "128/25"] {
        let subnet = format!("{}.{half}", mine.prefix);
        let body = json!({"Name": twin, "IPAM": {"Config": [{"Subnet": subnet}]}});
        let made = engine.post("/networks/create", Some(body)).await?;
        ids.push(made["Id"].as_str().context("an ID")?.to_owned());
    }
    let mut client = world.server.networks();
    let create = CreateNetworkRequest {
        targets: hosts(&["alpha"]),
        name: twin.clone(),
        ..Default::default()
    };
    let refused = collect(client.create_network(create)).await?;
    assert_eq!(refused.ending(), (Code::AlreadyExists, "NAME_IN_USE".to_owned()));
    let message = refused.failure("alpha").context("an error")?.2;
    assert!(ids.iter().all(|id| message.contains(&id[..12])), "{message}");
    let remove = |network: &str| RemoveNetworksRequest {
        targets: hosts(&["alpha"]),
        networks: vec![network.to_owned()],
        ..Default::default()
    };
    let refused = collect(client.remove_networks(remove(&twin))).await?;
    assert_eq!(refused.ending(), (Code::FailedPrecondition, "ENGINE_CONFLICT".to_owned()));
    for id in &ids {
        collect(client.remove_networks(remove(id))).await?.done_on(&["alpha"], true);
    }
    let filter = Filter { key: "name".into(), values: vec![twin.clone()] };
    let list = ListNetworksRequest { targets: all(), filters: vec![filter], ..Default::default() };
    let listed = collect(client.list_networks(list)).await?.all_read();
    let left = listed.payloads.iter().any(|(_, event)| match event {
        Listed::Batch(batch) => batch.networks.iter().any(|it| it.name == twin),
        _ => false,
    });
    assert!(!left, "{listed:#?}");
    Ok(())
}

#[tokio::test]
async fn volumes_are_made_and_pruned_on_three_engines_by_grpc() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mine = Mine::new(world.engines());
    let data = mine.called("data");
    let mut client = world.server.volumes();
    let create = CreateVolumeRequest {
        targets: all(),
        name: data.clone(),
        driver: "local".into(),
        options: [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        labels: [("mine".into(), mine.name.clone())].into(),
        ..Default::default()
    };
    collect(client.create_volume(create.clone())).await?.all_done(true);
    for engine in world.engines() {
        let found = own(engine, "/volumes", &data).await?;
        assert_eq!(
            found[0]["Options"],
            json!({"type": "tmpfs", "device": "tmpfs", "o": "size=1m"})
        );
        assert_eq!(found[0]["Labels"], json!({"mine": mine.name}));
    }
    collect(client.create_volume(create.clone())).await?.all_done(false);
    let mut other = create;
    other.options.insert("o".into(), "size=2m".into());
    let refused = collect(client.create_volume(other)).await?;
    assert_eq!(refused.ending(), (Code::AlreadyExists, "NAME_IN_USE".to_owned()));
    let message = refused.failure("gamma").context("an error")?.2;
    assert!(message.contains("option o: here \"size=1m\", asked \"size=2m\""), "{message}");

    // The prune of this Engine would take named ones, too: API 1.41.
    let labels = json!({"mine": mine.name});
    let mut anonymous = Vec::new();
    for engine in world.engines() {
        let made = engine.post("/volumes/create", Some(json!({"Labels": labels}))).await?;
        anonymous.push(made["Name"].as_str().context("a name")?.to_owned());
    }
    let filter = Filter { key: "label".into(), values: vec![format!("mine={}", mine.name)] };
    let prune = PruneVolumesRequest { targets: all(), filters: vec![filter], ..Default::default() };
    let pruned = collect(client.prune_volumes(prune.clone())).await?.all_done(true);
    for (host, name) in HOSTS.iter().zip(&anonymous) {
        assert_eq!(&payload!(pruned, host, Pruned::Pruned).names, std::slice::from_ref(name));
    }
    // One with options stays even then: it may stand for what is elsewhere.
    let plain = mine.called("plain");
    let create = CreateVolumeRequest {
        targets: all(),
        name: plain.clone(),
        labels: [("mine".into(), mine.name.clone())].into(),
        ..Default::default()
    };
    collect(client.create_volume(create)).await?.all_done(true);
    collect(client.prune_volumes(prune.clone())).await?.all_done(false);
    let everything = PruneVolumesRequest { all: true, ..prune };
    let pruned = collect(client.prune_volumes(everything)).await?.all_done(true);
    assert_eq!(payload!(pruned, "beta", Pruned::Pruned).names, [plain.clone()]);
    for engine in world.engines() {
        assert!(own(engine, "/volumes", &plain).await?.is_empty());
        assert_eq!(own(engine, "/volumes", &data).await?.len(), 1);
    }
    let remove = RemoveVolumesRequest { targets: all(), volumes: vec![data], ..Default::default() };
    collect(client.remove_volumes(remove.clone())).await?.all_done(true);
    let missing = collect(client.remove_volumes(remove.clone())).await?;
    assert_eq!(missing.ending(), (Code::NotFound, "VOLUME_NOT_FOUND".to_owned()));
    let fine = RemoveVolumesRequest { force: true, ..remove };
    collect(client.remove_volumes(fine)).await?.all_done(false);
    Ok(())
}
