//! A rollout in progress when the disk of `wharfd` becomes full, and when there is space again.

use anyhow::{Context, ensure};
use testbed::eventually;
use tonic::Code;
use wharf::v1::{HostStep, RolloutState};

use super::scene::{Scene, held, refusal, told};
use crate::support::small_disk::SmallDisk;
use crate::support::{HOSTS, Server};

#[tokio::test]
async fn a_rollout_goes_on_when_there_is_room_again() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let wharfd = &scene.world.wharfd;
    let disk = SmallDisk::under(wharfd, 2000).await?;
    let id = scene.begin(scene.spec_with("v2", held()).await?).await?.id;
    scene
        .until(&id, "the gate of the first host", |rollout| {
            rollout.steps[0].step() == HostStep::Gate
        })
        .await?;

    disk.fill()?;
    // The file that SQLite writes to may have had room for the first of them.
    let server = Server::of(wharfd).await?;
    for number in 0..2000 {
        let request = wharf::v1::AddHostRequest {
            name: format!("filler{number}"),
            address: "tcp://127.0.0.1:9".to_owned(),
            ..Default::default()
        };
        if let Err(status) = server.hosts().add_host(request).await {
            let (code, reason, message) = refusal(&status);
            assert_eq!((code, &*reason), (Code::ResourceExhausted, "STORE_FULL"), "{message}");
            break;
        }
    }
    // The first host passes, and that cannot be written down.
    scene.put(&HOSTS, "open")?;
    eventually("a rollout that the full disk stopped", async || {
        let log = wharfd.log();
        let said = log.lines().any(|line| line.contains(&id) && line.contains("full"));
        ensure!(said, "{log}");
        Ok(())
    })
    .await?;
    let stopped = scene.get(&id).await.context("what is stored can be read")?;
    assert_eq!(stopped.state(), RolloutState::Running, "{}", told(&stopped));

    disk.free()?;
    let rollout = scene.end(&id).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    scene.check(&rollout, &before, "v2", &HOSTS).await
}
