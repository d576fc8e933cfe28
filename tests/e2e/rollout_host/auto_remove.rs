//! Rule C30: the Engine removes the old container when it stops, so a twin serves as backup. Its
//! anonymous volumes, which the Engine removes with it, keep their data.

use serde_json::{Value, json};
use testbed::Image;
use wharf::v1::{HostState, RolloutPolicy, RolloutState};

use super::stage::{Stage, failing, quick, states};

/// Writes into its anonymous volume who was the first there.
const SCRIPT: &str = "test -e /data/first || cat /version > /data/first; exec /bin/idle";

/// A container of version 1 that removes itself; its images, and the name of its volume.
async fn stage() -> anyhow::Result<(Stage, String, String)> {
    let stage = Stage::new().await?;
    let v1 = stage.scene.image("v1", Image::new("v1")).await?;
    let v2 = stage.scene.image("v2", Image::new("v2")).await?;
    let body = json!({
        "Image": v1,
        "Cmd": ["/bin/sh", "-c", SCRIPT],
        "Volumes": {"/data": {}},
        "HostConfig": {"AutoRemove": true},
    });
    let id = stage.scene.run(body).await?;
    let volume = stage.scene.inspect(&id).await?["Mounts"][0]["Name"].clone();
    // The container has written it before anything is done with it.
    assert_eq!(first(&stage).await?, "v1");
    Ok((stage, v2, volume.as_str().unwrap_or_default().to_owned()))
}

/// What stands in the volume of the container that has the name.
async fn first(stage: &Stage) -> anyhow::Result<String> {
    testbed::eventually("the file in the volume", async || {
        let said = stage.run_inside("cat /data/first").await?;
        anyhow::ensure!(!said.is_empty(), "nothing yet");
        Ok(said)
    })
    .await
}

fn volume_of(container: &Value) -> &Value {
    &container["Mounts"][0]["Name"]
}

#[tokio::test]
async fn c30_it_is_replaced_by_one_like_it_and_undone() -> anyhow::Result<()> {
    let (stage, v2, volume) = stage().await?;
    let old = stage.current().await?;
    let plan = stage.plan(&v2, quick()).await?;
    let told = plan.risks.iter().filter(|risk| risk.contains("removes the old container")).count();
    assert_eq!(told, 1, "{:?}", plan.risks);

    let done = stage.roll(&v2, quick()).await?;
    assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
    let new = stage.current().await?;
    assert_eq!(
        (&new["HostConfig"]["AutoRemove"], &new["Config"]["Image"]),
        (&json!(true), &json!(v2))
    );
    assert_eq!((&new["State"]["Running"], volume_of(&new)), (&json!(true), &json!(volume)));
    assert_eq!(first(&stage).await?, "v1");
    assert!(stage.scene.engine.container(old["Id"].as_str().unwrap_or_default()).await?.is_none());
    let twin = stage.backup(&done).await?;
    assert_eq!((&twin["State"]["Status"], volume_of(&twin)), (&json!("created"), &json!(volume)));
    assert_eq!((&twin["HostConfig"]["AutoRemove"], &twin["Image"]), (&json!(false), &old["Image"]));
    assert_eq!(stage.names().await?, [stage.scene.name.clone(), stage.named("old", &done)]);

    // One that removes itself is replaced again, by one like the first.
    let undone = stage.undo(&done).await?;
    assert_eq!(states(&undone), (RolloutState::Succeeded, HostState::Updated), "{undone:#?}");
    let back = stage.current().await?;
    assert_eq!((&back["HostConfig"]["AutoRemove"], &back["Image"]), (&json!(true), &old["Image"]));
    assert_eq!((&back["State"]["Running"], volume_of(&back)), (&json!(true), &json!(volume)));
    assert_eq!(first(&stage).await?, "v1");

    // And the undo is undone.
    let again = stage.undo(&undone).await?;
    assert_eq!(states(&again), (RolloutState::Succeeded, HostState::Updated), "{again:#?}");
    let again = stage.current().await?;
    assert_eq!(
        (&again["HostConfig"]["AutoRemove"], &again["Image"]),
        (&json!(true), &new["Image"])
    );
    Ok(())
}

#[tokio::test]
async fn c30_behind_a_failing_gate_its_twin_takes_its_place() -> anyhow::Result<()> {
    let (stage, v2, volume) = stage().await?;
    let old = stage.current().await?;
    let plan = stage.plan(&v2, failing()).await?;
    assert!(plan.risks.iter().any(|risk| risk.contains("does not remove itself")), "{plan:#?}");
    let failed = stage.roll(&v2, failing()).await?;
    assert_eq!(states(&failed), (RolloutState::Paused, HostState::Restored), "{failed:#?}");
    let twin = stage.current().await?;
    assert_eq!((&twin["State"]["Running"], volume_of(&twin)), (&json!(true), &json!(volume)));
    assert_eq!((&twin["HostConfig"]["AutoRemove"], &twin["Image"]), (&json!(false), &old["Image"]));
    assert_eq!(first(&stage).await?, "v1");
    assert_eq!(stage.names().await?, std::slice::from_ref(&stage.scene.name));
    stage.abort(&failed).await?;

    // The twin is a container like any other, and is upgraded with its volume.
    let done = stage.roll(&v2, quick()).await?;
    assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
    assert_eq!(volume_of(&stage.current().await?), &json!(volume));
    assert_eq!(first(&stage).await?, "v1");
    let backup = stage.backup(&done).await?;
    assert_eq!(backup["Id"], twin["Id"]);
    Ok(())
}

#[tokio::test]
async fn c30_a_twin_that_took_its_place_goes_when_a_second_attempt_succeeds() -> anyhow::Result<()>
{
    let (stage, v2, _) = stage().await?;
    let mut policy = RolloutPolicy { keep_old: Some(0), ..failing() };
    let command = ["test", "-e", "/data/good"].map(str::to_owned).to_vec();
    policy.probe.get_or_insert_default().command = command;
    let failed = stage.roll(&v2, policy).await?;
    assert_eq!(states(&failed), (RolloutState::Paused, HostState::Restored), "{failed:#?}");
    assert_eq!(stage.current().await?["HostConfig"]["AutoRemove"], json!(false));
    stage.run_inside("touch /data/good").await?;
    let done = stage.retry(&failed).await?;
    assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
    assert_eq!(stage.current().await?["Config"]["Image"], json!(v2));
    testbed::eventually("the removal of the twin", async || {
        let names = stage.names().await?;
        anyhow::ensure!(names == [stage.scene.name.clone()], "{names:?}");
        Ok(())
    })
    .await
}
