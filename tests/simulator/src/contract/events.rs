//! What the Engine reports of what happens.

use serde_json::json;
use wharf_server::domain::NetworkRef;
use wharf_server::engine::{EngineEvent, EventBatch, EventQuery, LogTime, host_clock};

use super::world::World;

super::cases![what_happens_is_reported_in_its_order];

async fn what_happens_is_reported_in_its_order(world: &World<'_>) {
    let since = clock(world).await;
    // Followed, because an Engine that others use, too, soon forgets what happened.
    let (sink, mut batches) = tokio::sync::mpsc::channel::<EventBatch>(1000);
    let query = EventQuery { since, until: None, follow: true };
    let image = world.image().await;
    let act = async {
        let labels = json!({"Labels": {"colour": "red"}});
        let container = world.run("it", &image, labels).await;
        world.engine.kill_container(&container, None).await.unwrap();
        world.until(&container, "stopped", |it| it["State"]["Running"] == false).await;
        let middle = clock(world).await;
        world.clean(&[&container]).await;
        // The model may do all of this at one moment of its clock, and no two events have one time.
        let later = read(world, middle, soon_after(clock(world).await)).await;
        let network = world.name("net");
        let body = json!({"Name": network, "CheckDuplicate": true});
        let created = world.engine.create_network(&body).await.unwrap();
        let network = created.id;
        world.engine.remove_network(&NetworkRef::parse(&network).unwrap()).await.unwrap();
        let mut events: Vec<EngineEvent> = Vec::new();
        while !events.iter().any(|it| it.actor == network && it.action == "destroy") {
            events.extend(batches.recv().await.expect("the stream goes on").events);
        }
        (container, network, events, later)
    };
    let (container, network, events, later) = tokio::select! {
        ended = world.engine.read_events(&query, &sink) => panic!("it ended: {ended:?}"),
        seen = act => seen,
    };
    let until = soon_after(clock(world).await);

    let of_container: Vec<&EngineEvent> =
        events.iter().filter(|event| event.actor == container.as_str()).collect();
    let known = ["create", "start", "kill", "die", "destroy"];
    let actions = |events: &[&EngineEvent]| -> Vec<String> {
        let actions = events.iter().map(|event| event.action.clone());
        actions.filter(|action| known.contains(&action.as_str())).collect()
    };
    assert_eq!(actions(&of_container), known, "{of_container:?}");
    for event in &of_container {
        assert_eq!((event.kind.as_str(), event.scope.as_str()), ("container", "local"));
        let attribute = |key: &str| event.attributes.get(key).map_or("", String::as_str);
        assert_eq!((attribute("name"), attribute("image")), (&*world.name("it"), &*image));
        assert_eq!(attribute("colour"), "red");
        if event.action == "die" {
            assert_eq!(attribute("exitCode"), "137");
        }
        assert!((since..=until).contains(&event.time), "{event:?}");
    }
    let of_network = events.iter().filter(|event| event.actor == network);
    let of_network: Vec<_> = of_network.map(|it| (it.kind.as_str(), it.action.as_str())).collect();
    assert_eq!(of_network, [("network", "create"), ("network", "destroy")]);

    // Earlier ones may come before those that were asked for, but these are all there.
    assert!(later.iter().any(|it| it.actor == container.as_str() && it.action == "destroy"));
    world.clean_images(&[&image]).await;
}

async fn clock(world: &World<'_>) -> LogTime {
    host_clock(&world.engine.info().await.unwrap()).expect("the time of the host")
}

/// A millisecond later.
fn soon_after(time: LogTime) -> LogTime {
    let nanos = time.nanos + 1_000_000;
    LogTime {
        seconds: time.seconds + u64::from(nanos / 1_000_000_000),
        nanos: nanos % 1_000_000_000,
    }
}

/// The events of a time that is over.
async fn read(world: &World<'_>, since: LogTime, until: LogTime) -> Vec<EngineEvent> {
    let (sink, mut batches) = tokio::sync::mpsc::channel(4);
    let read = async {
        let query = EventQuery { since, until: Some(until), follow: false };
        world.engine.read_events(&query, &sink).await.unwrap();
        drop(sink);
    };
    let collect = async {
        let mut events = Vec::new();
        while let Some(batch) = batches.recv().await {
            events.extend(batch.events);
        }
        events
    };
    tokio::join!(read, collect).1
}
