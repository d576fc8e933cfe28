//! Changes of a rollout: a version, settings, the Engine's own JSON, everything, or nothing.

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use testbed::eventually;
use wharf::v1::{
    CreateRolloutRequest, HostState, ListRolloutsRequest, RolloutPolicy, RolloutState,
    StoppedAction,
};

use super::scene::{QUICK, QUICK_FILE, Scene, quick, told};
use crate::support::HOSTS;

#[tokio::test]
async fn a_version_goes_to_every_host_and_the_old_containers_are_kept() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let rollout = scene.carry_out(scene.spec("v2").await?).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    assert!(rollout.steps.iter().all(|step| step.state() == HostState::Updated));
    scene.check(&rollout, &before, "v2", &HOSTS).await
}

#[tokio::test]
async fn flags_and_a_file_say_the_same() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let other = scene.another().await?;
    let (before, before_other) = tokio::try_join!(scene.alone(), other.alone())?;
    let image = scene.image("v2").await?;
    let by_flags = ["start", &scene.name, "--image", &image];
    let file = format!(
        "# {QUICK_FILE}container: {}\nimage: {image}\ntargets: {{all: {{}}}}\n{QUICK_FILE}",
        other.name
    );
    scene.world.cli.write("web.yaml", &file)?;
    let by_flags = [&by_flags[..], &QUICK].concat();
    let (flags, file) =
        tokio::try_join!(scene.cli(&by_flags), other.cli(&["start", "-f", "web.yaml"]))?;
    for (scene, output, before) in [(&scene, flags, before), (&other, file, before_other)] {
        let output = output.expect(0)?;
        let last = output.stdout.lines().last().context("a last line")?;
        let id = last.split(':').next().unwrap_or_default();
        let done = format!("{id}: {} to {image} succeeded on 3 hosts; ", scene.name);
        assert_eq!(last, format!("{done}to undo it, run: wharf rollout undo {id}"));
        scene.check(&scene.get(id).await?, &before, "v2", &HOSTS).await?;
    }
    Ok(())
}

#[tokio::test]
async fn settings_are_set_and_unset_one_by_one() -> anyhow::Result<()> {
    let scene = Scene::start_as("v1", |_, body| {
        body["Env"] = json!(["LEVEL=info", "OLD=1", "KEPT=1"]);
        body["Labels"] = json!({"team": "a", "tier": "db"});
        body["HostConfig"]["PortBindings"] = json!({"80/tcp": [{"HostPort": "0"}]});
    })
    .await?;
    let before = scene.alone().await?;
    let settings = ["-e", "LEVEL=debug", "--label", "tier=web", "-v", "/more", "--memory", "64m"];
    let unset = ["--unset", "env.OLD", "--unset", "labels.team", "--unset", "ports.80/tcp"];
    let more = ["-p", "8080:8080", "--restart", "always"];
    let arguments = [&["start", &scene.name], &QUICK[..], &settings, &unset, &more].concat();
    scene.cli(&[&arguments[..], &["--", "/bin/idle"]].concat()).await?.expect(0)?;
    let pointers = [
        "/Config/Env",
        "/Config/Labels",
        "/Config/Cmd",
        "/HostConfig/Memory",
        "/HostConfig/PortBindings",
        "/HostConfig/RestartPolicy/Name",
        "/Config/Image",
        "/State/Status",
    ];
    for [env, labels, command, memory, ports, restart, image, status] in
        scene.read(pointers).await?
    {
        let env = env.as_array().context("a list")?;
        assert!(env.contains(&json!("LEVEL=debug")) && env.contains(&json!("KEPT=1")), "{env:?}");
        assert!(!env.iter().any(|it| it.as_str().is_some_and(|it| it.starts_with("OLD="))));
        assert_eq!((&labels["tier"], &labels["team"]), (&json!("web"), &Value::Null));
        assert_eq!((command, memory), (json!(["/bin/idle"]), json!(64 << 20)));
        assert_eq!(ports, json!({"8080/tcp": [{"HostIp": "", "HostPort": "8080"}]}));
        assert_eq!((restart, status), (json!("always"), json!("running")));
        assert_eq!(image, json!(scene.image("v1").await?));
    }
    for (host, before) in HOSTS.iter().zip(&before) {
        let engine = scene.engine(host);
        let new = engine.container(&scene.name).await?.context("it is there")?;
        let mounts = new["Mounts"].as_array().context("a list")?;
        assert!(mounts.iter().any(|mount| mount["Destination"] == "/more"), "{mounts:?}");
        assert!(mounts.iter().any(|mount| mount["Destination"] == "/gate"), "{mounts:?}");
        assert_ne!(new["Id"], before.id.as_str());
    }
    Ok(())
}

#[tokio::test]
async fn a_merge_patch_and_a_restart_change_what_they_say() -> anyhow::Result<()> {
    let scene = Scene::start_as("v1", |_, body| body["Labels"] = json!({"gone": "1"})).await?;
    let before = scene.alone().await?;
    let patch = json!({"HostConfig": {"PidsLimit": 64}, "Labels": {"gone": null, "came": "1"}});
    scene.world.cli.write("patch.json", &patch.to_string())?;
    let arguments = ["start", &scene.name, "--merge-patch", "patch.json"];
    scene.cli(&[&arguments[..], &QUICK].concat()).await?.expect(0)?;
    let pointers = ["/Id", "/HostConfig/PidsLimit", "/Config/Labels"];
    let patched = scene.read(pointers).await?;
    for ([id, limit, labels], before) in patched.iter().zip(&before) {
        assert_eq!((limit, &labels["came"]), (&json!(64), &json!("1")));
        assert!(labels["gone"].is_null() && *id != before.id.as_str(), "{labels}");
    }

    scene.cli(&[&["restart", &scene.name][..], &QUICK].concat()).await?.expect(0)?;
    for ([id, limit, _], [before, ..]) in scene.read(pointers).await?.iter().zip(&patched) {
        assert_eq!(limit, &json!(64));
        assert_ne!(id, before);
    }
    // Of the two backups the newer one is kept, and the other one goes soon after the end.
    eventually("the containers that are kept", async || {
        for host in scene.found().await? {
            let names: Vec<_> = host.iter().map(|it| it.name.len() > scene.name.len()).collect();
            ensure!(names == [false, true], "{host:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_whole_container_is_created_where_there_is_none() -> anyhow::Result<()> {
    let scene = Scene::start_as("v1", |_, body| body["Labels"] = json!({"by": "hand"})).await?;
    let gamma = scene.engine("gamma");
    gamma.delete(&format!("/containers/{}?force=1", scene.name)).await?;
    let image = scene.image("v2").await?;
    let file = format!(
        "container: {}\nimage: {image}\ntargets: {{all: {{}}}}\n{QUICK_FILE}whole:\n  \
         spec: {{env: [A=1], network: none}}\n  engine: {{HostConfig: {{PidsLimit: 32}}}}\n",
        scene.name
    );
    scene.world.cli.write("whole.yaml", &file)?;
    scene.cli(&["start", "-f", "whole.yaml"]).await?.expect(0)?;
    let pointers = [
        "/State/Status",
        "/Config/Image",
        "/HostConfig/PidsLimit",
        "/HostConfig/Binds",
        "/Config/Labels/by",
    ];
    for [status, found, limit, binds, label] in scene.read(pointers).await? {
        assert_eq!((status, limit), (json!("running"), json!(32)));
        assert_eq!(found, json!(image));
        // Nothing is taken over.
        assert!(binds.is_null() && label.is_null(), "{binds} {label}");
    }
    let backups = scene.found().await?.map(|found| found.len() - 1);
    assert_eq!(backups, [1, 1, 0]);

    // Without a whole spec a host that lacks it is left out, and no host at all is refused.
    gamma.delete(&format!("/containers/{}?force=1", scene.name)).await?;
    let rollout = scene.carry_out(scene.spec("v1").await?).await?;
    let states = rollout.steps.iter().map(|step| (step.host.as_str(), step.state()));
    let expected = [
        ("alpha", HostState::Updated),
        ("beta", HostState::Updated),
        ("gamma", HostState::Skipped),
    ];
    assert_eq!(states.collect::<Vec<_>>(), expected, "{}", told(&rollout));
    assert_eq!(scene.found().await?[2], []);
    Ok(())
}

#[tokio::test]
async fn a_plan_is_the_same_twice_and_touches_nothing() -> anyhow::Result<()> {
    let scene = Scene::start_as("v1", |host, body| {
        body["Env"] = json!([format!("PASSWORD=s3cret-of-{host}")]);
    })
    .await?;
    let before = scene.alone().await?;
    let image = scene.image("v2").await?;
    let plan = ["plan", &scene.name, "--image", &image, "-e", "PASSWORD=another", "-o", "json"];
    let plan = [&plan[..], &QUICK].concat();
    let first = scene.cli(&plan).await?.expect(0)?;
    assert_eq!(scene.cli(&plan).await?.expect(0)?, first);
    assert!(!first.stdout.contains("s3cret") && !first.stdout.contains("another"));
    let [told] = &first.json_lines()?[..] else { panic!("{first:?}") };
    assert_eq!(told["waves"], json!([{"hosts": HOSTS}]));
    for (host, before) in told["hosts"].as_array().context("hosts")?.iter().zip(&before) {
        assert_eq!(
            host["oldContainerId"].as_str().or(host["old_container_id"].as_str()),
            Some(before.id.as_str())
        );
        let diff = host["diff"].to_string();
        assert!(diff.contains("image") && diff.contains("env.PASSWORD"), "{diff}");
    }
    // For a person.
    let text = scene.cli(&[&plan[..6], &QUICK].concat()).await?.expect(0)?;
    assert!(HOSTS.iter().all(|host| text.stdout.contains(host)), "{}", text.stdout);

    let mut messages = Vec::new();
    for _ in 0..2 {
        let spec = Some(scene.spec("v2").await?);
        let request = CreateRolloutRequest { spec, validate_only: true, ..Default::default() };
        let answer = scene.world.server.rollouts().create_rollout(request).await?.into_inner();
        assert!(answer.rollout.is_none());
        messages.push(prost::Message::encode_to_vec(&answer.plan.context("a plan")?));
    }
    assert_eq!(messages[0], messages[1]);

    assert_eq!(scene.alone().await?, before);
    let list = scene.world.server.rollouts().list_rollouts(ListRolloutsRequest::default()).await?;
    assert_eq!(list.into_inner().rollouts, []);
    Ok(())
}

#[tokio::test]
async fn containers_that_do_not_run_are_started_or_kept_as_the_policy_says() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let stop = format!("/containers/{}/stop", scene.name);
    try_join_all(scene.world.engines().iter().map(|engine| engine.post(&stop, None))).await?;
    let before = scene.alone().await?;
    let keep = RolloutPolicy { stopped: StoppedAction::Keep.into(), ..quick() };
    let rollout = scene.carry_out(scene.spec_with("v2", keep).await?).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    assert_eq!(rollout.counts.unwrap_or_default().not_started, 3, "{}", told(&rollout));
    for (found, before) in scene.found().await?.into_iter().zip(before) {
        let [new, kept] = &found[..] else { panic!("{found:#?}") };
        assert_eq!((new.status.as_str(), &kept.id), ("created", &before.id));
    }
    let image = scene.image("v5").await?;
    let arguments = [&["start", &scene.name, "--image", &image][..], &QUICK].concat();
    scene.cli(&arguments).await?.expect(0)?;
    for [status] in scene.read(["/State/Status"]).await? {
        assert_eq!(status, "running");
    }
    Ok(())
}
