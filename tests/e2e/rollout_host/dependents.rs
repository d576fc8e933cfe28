//! Rule C14: containers that share a namespace with the replaced one, or use its volumes, are
//! refused, or recreated with it, in order, and restored with it.

use serde_json::{Value, json};
use testbed::{Image, eventually};
use wharf::v1::{Dependents, HostState, RolloutOrder, RolloutPolicy, RolloutState};

use super::stage::{Stage, failing, quick, states};

/// A web server, with one container in its network, one that takes its volumes, and one that is to
/// see its processes and never ran.
struct Family {
    stage: Stage,
    v2: String,
    side: String,
    store: String,
    never: String,
}

impl Family {
    async fn new() -> anyhow::Result<Family> {
        let stage = Stage::new().await?;
        let scene = &stage.scene;
        let web = |version| Image::new(version).command(&["/bin/web"]);
        let v1 = scene.image("v1", web("v1")).await?;
        let v2 = scene.image("v2", web("v2")).await?;
        let idle = scene.image("idle", Image::new("idle")).await?;
        let always = json!({"RestartPolicy": {"Name": "always"}});
        let body = json!({"Image": v1, "Volumes": {"/data": {}}, "HostConfig": always});
        let target = format!("container:{}", scene.run(body).await?);
        let (side, store, never) =
            (scene.other("side"), scene.other("store"), scene.other("never"));
        let mut body = json!({"Image": idle, "HostConfig": always});
        body["HostConfig"]["NetworkMode"] = target.as_str().into();
        scene.start(&scene.create(&side, body).await?).await?;
        let body = json!({"Image": idle, "HostConfig": {"VolumesFrom": [scene.name]}});
        scene.start(&scene.create(&store, body).await?).await?;
        let body = json!({"Image": idle, "HostConfig": {"PidMode": target}});
        scene.create(&never, body).await?;
        Ok(Family { stage, v2, side, store, never })
    }

    async fn look(&self) -> anyhow::Result<[Value; 4]> {
        let scene = &self.stage.scene;
        let names = [&scene.name, &self.side, &self.store, &self.never];
        let mut found = Vec::new();
        for name in names {
            found.push(scene.inspect(name).await?);
        }
        Ok(found.try_into().unwrap_or_default())
    }

    /// Each depends on the container that has the name, and those that ran run.
    async fn hangs_together(&self, version: &str) -> anyhow::Result<()> {
        let [target, side, store, never] = self.look().await?;
        let id = target["Id"].as_str().unwrap_or_default();
        assert_eq!(side["HostConfig"]["NetworkMode"], json!(format!("container:{id}")));
        assert_eq!(never["HostConfig"]["PidMode"], json!(format!("container:{id}")));
        assert_eq!(store["Mounts"][0]["Name"], target["Mounts"][0]["Name"]);
        for running in [&target, &side, &store] {
            assert_eq!(running["State"]["Running"], true, "{}", running["Name"]);
        }
        assert_eq!(never["State"]["Status"], "created");
        assert_eq!(side["HostConfig"]["RestartPolicy"]["Name"], "always");
        // Its network is that of the server that runs now, and not of one that ended.
        let asked = eventually("the server in the network", async || {
            self.stage.run_in(&self.side, "wget -q -O- http://127.0.0.1:8080/version").await
        });
        assert_eq!(asked.await?, version);
        Ok(())
    }
}

fn recreate(policy: RolloutPolicy) -> RolloutPolicy {
    RolloutPolicy { dependents: Dependents::Recreate.into(), ..policy }
}

#[tokio::test]
async fn c14_they_are_made_anew_with_it_and_the_undo_makes_them_anew_again() -> anyhow::Result<()> {
    let family = Family::new().await?;
    let Family { stage, v2, side, store, never } = &family;
    family.hangs_together("v1").await?;
    let old = family.look().await?;
    let plan = stage.plan(v2, recreate(quick())).await?;
    assert_eq!(plan.dependents, [never.clone(), side.clone(), store.clone()]);
    let told = |line: &str| plan.risks.iter().any(|risk| risk == line);
    assert!(told(&format!("{side} depends on it and is stopped, recreated, and started with it")));
    assert!(told(&format!("{never} depends on it and is recreated with it")), "{:?}", plan.risks);

    let done = stage.roll(v2, recreate(quick())).await?;
    assert_eq!(states(&done), (RolloutState::Succeeded, HostState::Updated), "{done:#?}");
    assert_eq!(done.steps[0].warnings, Vec::<String>::new());
    family.hangs_together("v2").await?;
    let new = family.look().await?;
    for (old, new) in old.iter().zip(&new) {
        assert_ne!(old["Id"], new["Id"]);
        let name = old["Name"].as_str().unwrap_or_default().trim_start_matches('/');
        let backup = stage.scene.inspect(&format!("{name}.old-{}", &done.id[..8])).await?;
        assert_eq!(backup["Id"], old["Id"]);
        let policy = &backup["HostConfig"]["RestartPolicy"]["Name"];
        assert!(*policy == "no" || *policy == "", "{policy}");
        assert_eq!(backup["State"]["Running"], false);
    }
    // Four with a name of their own, four old ones, and nothing else.
    assert_eq!(stage.names().await?.len(), 8, "{:?}", stage.names().await?);

    // Whoever takes another policy for the undo is told, before anything is done.
    let refuse = RolloutPolicy { dependents: Dependents::Refuse.into(), ..quick() };
    let refused = stage.undo_with(&done, refuse).await.err().map(|error| format!("{error:#}"));
    let line = format!("the container {side} shares its network");
    assert!(refused.as_ref().is_some_and(|said| said.contains(&line)), "{refused:?}");
    family.hangs_together("v2").await?;

    // Else it has that of the rollout.
    let undone = stage.undo(&done).await?;
    assert_eq!(states(&undone), (RolloutState::Succeeded, HostState::Updated), "{undone:#?}");
    assert_eq!(stage.current().await?["Id"], old[0]["Id"]);
    family.hangs_together("v1").await
}

#[tokio::test]
async fn c14_behind_a_failing_gate_all_of_them_are_put_back() -> anyhow::Result<()> {
    let family = Family::new().await?;
    let old = family.look().await?;
    let failed = family.stage.roll(&family.v2, recreate(failing())).await?;
    assert_eq!(states(&failed), (RolloutState::Paused, HostState::Restored), "{failed:#?}");
    family.hangs_together("v1").await?;
    for (old, now) in old.iter().zip(&family.look().await?) {
        assert_eq!(old["Id"], now["Id"]);
    }
    assert_eq!(family.stage.names().await?.len(), 4, "{:?}", family.stage.names().await?);
    Ok(())
}

#[tokio::test]
async fn c14_they_are_refused_unless_asked_for_and_with_start_first() -> anyhow::Result<()> {
    let family = Family::new().await?;
    let said = family.stage.refusals(&family.v2, quick()).await?;
    for (name, shares) in
        [(&family.side, "network"), (&family.store, "volumes"), (&family.never, "pid")]
    {
        assert!(said.contains(&format!("the container {name} shares its {shares}")), "{said}");
    }
    let first = RolloutPolicy { order: RolloutOrder::StartFirst.into(), ..recreate(quick()) };
    let said = family.stage.refusals(&family.v2, first).await?;
    let line = format!("the container {} depends on it", family.side);
    assert!(said.contains("start-first is not possible") && said.contains(&line), "{said}");
    Ok(())
}
