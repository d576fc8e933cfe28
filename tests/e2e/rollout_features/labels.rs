//! Rule C26: the labels of Compose and Swarm.

use serde_json::{Value, json};
use testbed::Image;

use super::bench::{Bench, told};
use crate::support::reason;

#[tokio::test]
async fn c26_compose_finds_the_id_of_the_new_image_on_every_host() -> anyhow::Result<()> {
    let bench = Bench::new(2).await?;
    let v1 = bench.image("v1", &Image::new("v1")).await?;
    let v2 = bench.image("v2", &Image::new("v2")).await?;
    for scene in &bench.scenes {
        let image = scene.engine.image(&v1).await?.unwrap_or_default();
        let labels = json!({
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": "web",
            "com.docker.compose.config-hash": "abc",
            "com.docker.compose.image": image["Id"],
        });
        scene.run(json!({"Image": v1, "Labels": labels})).await?;
    }
    let plan = bench.plan(bench.spec(&v2)).await?;
    for host in &plan.hosts {
        let told = host.risks.iter().any(|risk| {
            risk.contains("service \"web\" of a Compose project") && risk.contains("its next `up`")
        });
        assert!(told, "{:?}", host.risks);
        assert_eq!(host.diff.len(), 1, "{:?}", host.diff);
    }
    let upgraded = bench.upgrade(&v2).await?;
    for (scene, new) in bench.scenes.iter().zip(bench.current().await?) {
        let labels = &new["Config"]["Labels"];
        assert_eq!(labels["com.docker.compose.image"], new["Image"]);
        let image = scene.engine.image(&v2).await?.unwrap_or_default();
        assert_eq!(
            (&new["Image"], &labels["com.docker.compose.config-hash"]),
            (&image["Id"], &json!("abc"))
        );
    }
    // It is what was asked for: the label is no difference, and a second run finds none.
    let again = bench.upgrade(&v2).await?;
    assert!(again.steps.iter().all(|step| step.warnings.is_empty()), "{}", told(&again));
    assert_eq!(again.waves, 0);

    // Nothing is left that Compose would count. Taken back, it is that of the image that comes back.
    for host in 0..bench.scenes.len() {
        assert_eq!(bench.names(host).await?, [bench.name()]);
    }
    bench.cli(&["undo", &upgraded.id]).await?.expect(0)?;
    for (scene, back) in bench.scenes.iter().zip(bench.current().await?) {
        let image = scene.engine.image(&v1).await?.unwrap_or_default();
        assert_eq!((&back["Image"], &back["Config"]["Image"]), (&image["Id"], &json!(v1)));
        assert_eq!(back["Config"]["Labels"]["com.docker.compose.image"], image["Id"]);
    }

    // Recreated with its current settings, it keeps the image and says so.
    let before: Vec<Value> = bench.current().await?;
    bench.upgrade("").await?;
    for (old, new) in before.iter().zip(bench.current().await?) {
        assert_ne!(old["Id"], new["Id"]);
        assert_eq!(new["Config"]["Labels"]["com.docker.compose.image"], old["Image"]);
    }
    Ok(())
}

#[tokio::test]
async fn c26_a_task_of_swarm_is_refused_by_the_plan() -> anyhow::Result<()> {
    let bench = Bench::new(1).await?;
    let v1 = bench.image("v1", &Image::new("v1")).await?;
    let v2 = bench.image("v2", &Image::new("v2")).await?;
    let labels =
        json!({"com.docker.swarm.task.id": "x", "com.docker.swarm.service.name": "shop_web"});
    bench.run(&json!({"Image": v1, "Labels": labels})).await?;
    for image in [&*v2, ""] {
        let refused = bench.begin(bench.spec(image)).await.expect_err("it is a task of Swarm");
        assert_eq!(reason(&refused), "PLAN_REFUSED");
        let message = refused.message();
        let told =
            message.contains("alpha: ") && message.contains("`docker service update` on shop_web");
        assert!(told, "{message}");
    }
    assert_eq!(bench.names(0).await?, [bench.name()]);
    Ok(())
}
