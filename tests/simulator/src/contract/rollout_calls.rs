//! The calls of rollouts: networks, commands in containers, logs, digests.

use serde_json::json;
use wharf_server::domain::ContainerRef;
use wharf_server::engine::{ApiVersion, ErrorKind, LogQuery, LogTime, NetworkListing, Result};

use super::world::{World, image_reference, kind, progress, reference};

super::cases![
    the_networks_of_a_host_are_told,
    a_container_that_is_not_there_is_not_connected,
    a_command_runs_to_its_end_in_a_container,
    a_command_needs_a_container_that_runs,
    the_end_of_a_log_is_told_oldest_line_first,
    a_registry_tells_the_digest_of_a_tag,
];

async fn the_networks_of_a_host_are_told(world: &World<'_>) {
    let networks = world.engine.list_networks(&NetworkListing::default()).await.unwrap().items;
    for (name, driver) in [("host", "host"), ("none", "null")] {
        let found = networks.iter().find(|network| network.name == name).expect(name);
        assert_eq!((found.driver.as_str(), found.scope.as_str()), (driver, "local"));
        assert_eq!(found.id.len(), 64);
    }
}

async fn a_container_that_is_not_there_is_not_connected(world: &World<'_>) {
    let nobody = reference(&world.name("nobody"));
    let connected = world.engine.connect_network("host", &nobody, &json!({})).await;
    assert_eq!(kind(connected), ErrorKind::ContainerNotFound);
}

async fn a_command_runs_to_its_end_in_a_container(world: &World<'_>) {
    let image = world.image().await;
    let container = world.run("c", &image, json!({})).await;
    let run = async |command: &[&str]| {
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        world.engine.run_in_container(&container, &command).await.unwrap()
    };
    let good = run(&["/bin/true"]).await;
    assert_eq!((good.exit_code, good.output.as_str()), (0, ""));
    assert_eq!(run(&["/bin/false"]).await.exit_code, 1);
    let said = run(&["/bin/sh", "-c", "echo one; echo two; exit 3"]).await;
    assert_eq!((said.exit_code, said.output.as_str()), (3, "one\ntwo\n"));
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn a_command_needs_a_container_that_runs(world: &World<'_>) {
    let image = world.image().await;
    let container = world.create("c", &image, json!({})).await;
    let command = ["/bin/true".to_owned()];
    let run = world.engine.run_in_container(&container, &command).await;
    assert_eq!(kind(run), ErrorKind::Conflict);
    let nobody = reference(&world.name("nobody"));
    let run = world.engine.run_in_container(&nobody, &command).await;
    assert_eq!(kind(run), ErrorKind::ContainerNotFound);
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn the_end_of_a_log_is_told_oldest_line_first(world: &World<'_>) {
    let image = world.image().await;
    let prints = json!({"Cmd": ["/bin/sh", "-c", "echo one; echo two; echo three"]});
    let container = world.create("c", &image, prints).await;
    assert!(world.engine.log_tail(&container, 2).await.unwrap().is_empty(), "it never ran");
    world.engine.start_container(&container).await.unwrap();
    world.until(&container, "exited", |seen| seen["State"]["Status"] == "exited").await;
    assert_eq!(world.engine.log_tail(&container, 2).await.unwrap(), ["two", "three"]);
    assert_eq!(world.engine.log_tail(&container, 9).await.unwrap(), ["one", "two", "three"]);
    let nobody = reference(&world.name("nobody"));
    assert_eq!(kind(world.engine.log_tail(&nobody, 2).await), ErrorKind::ContainerNotFound);

    let all = LogQuery { stdout: true, stderr: true, ..LogQuery::default() };
    let (lines, times) = read_log(world, &container, &all).await.unwrap();
    assert_eq!(lines, ["one\n", "two\n", "three\n"]);
    assert!(times.is_sorted());
    // What has ended is not waited for, and the time of a line is included.
    let rest = LogQuery { follow: true, since: Some(times[2]), ..all };
    let (lines, _) = read_log(world, &container, &rest).await.unwrap();
    assert_eq!(lines.last().map(String::as_str), Some("three\n"));
    let (lines, _) = read_log(world, &container, &LogQuery { tail: Some(1), ..all }).await.unwrap();
    assert_eq!(lines, ["three\n"]);
    let (lines, _) = read_log(world, &container, &LogQuery { stdout: false, ..all }).await.unwrap();
    assert!(lines.is_empty());
    assert_eq!(kind(read_log(world, &nobody, &all).await), ErrorKind::ContainerNotFound);
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

/// The entries of a log, and their times.
async fn read_log(
    world: &World<'_>,
    container: &ContainerRef,
    query: &LogQuery,
) -> Result<(Vec<String>, Vec<LogTime>)> {
    let (sink, mut batches) = tokio::sync::mpsc::channel(4);
    let read = async {
        let result = world.engine.read_logs(container, query, &sink).await;
        drop(sink);
        result
    };
    let collect = async {
        let (mut lines, mut times) = (Vec::new(), Vec::new());
        while let Some(batch) = batches.recv().await {
            for (_, time, bytes) in batch.entries() {
                lines.push(String::from_utf8_lossy(bytes).into_owned());
                times.push(time);
            }
        }
        (lines, times)
    };
    let (result, collected) = tokio::join!(read, collect);
    result.map(|()| collected)
}

async fn a_registry_tells_the_digest_of_a_tag(world: &World<'_>) {
    if world.api_version().await < ApiVersion::new(1, 30) {
        return;
    }
    let image = world.image().await;
    let login = world.login(&world.fixture.password);
    for (registry, login) in
        [(&world.fixture.open_registry, None), (&world.fixture.locked_registry, Some(&login))]
    {
        let remote = format!("{registry}/{}:v1", world.name("remote"));
        let target = image_reference(&remote);
        world.engine.tag_image(&super::world::image_name(&image), &target).await.unwrap();
        let pushed = world.engine.push_image(&target, login, &progress()).await.unwrap();
        let found = world.engine.resolve_image(&target, login).await.unwrap();
        assert_eq!(Some(found.digest.to_string()), pushed.digest);
        let missing = image_reference(&format!("{registry}/{}:v2", world.name("remote")));
        assert!(world.engine.resolve_image(&missing, login).await.is_err());
        world.clean_images(&[&remote]).await;
    }
    world.clean_images(&[&image]).await;
}
