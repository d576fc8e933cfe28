//! A rollout under the eyes of `wharf logs -f`.

use serde_json::json;

use super::process::Running;
use crate::rollouts::scene::Scene;
use crate::support::on_hosts;

#[tokio::test]
async fn a_rollout_is_followed_into_the_new_containers() -> anyhow::Result<()> {
    let script = "echo \"I am $(cat /version)\"; trap 'echo bye; exit 0' TERM; \
                  while :; do sleep 0.1; done";
    let scene = Scene::start_as("v1", |_, body| {
        body["Cmd"] = json!(["/bin/sh", "-c", script]);
    })
    .await?;
    let mut logs = Running::start(&scene.world.cli, &["-f", "-A", &scene.name])?;
    let all_say = |what: &'static str| {
        let expected = on_hosts(&scene.name).map(|container| format!("{container} | {what}\n"));
        move |stdout: &str, _: &str| {
            // The prefixes have one width.
            let lines: Vec<String> = stdout
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
                .collect();
            expected.iter().all(|line| lines.contains(line))
        }
    };
    logs.until("the old containers", all_say("I am v1")).await?;
    scene.carry_out(scene.spec("v2").await?).await?;
    logs.until("the end of the old containers", all_say("bye")).await?;
    logs.until("the new containers", all_say("I am v2")).await?;
    let said = logs.stderr()?;
    for container in on_hosts(&scene.name) {
        assert!(said.contains(&format!("{container}: replaced: ")), "{said}");
    }
    logs.interrupt()?;
    assert_eq!(logs.end().await?, Some(130));
    Ok(())
}
