//! Invalid input: the code, and one line with the name of the field; nothing is touched.

use tonic::Code;
use tonic_types::StatusExt;
use wharf::v1::{
    ContainerSpec, EngineJson, GetRolloutRequest, HealthGate, HealthProbe, ListRolloutsRequest,
    Promote, ResumeRolloutRequest, RolloutPolicy, RolloutSpec, UndoRolloutRequest, WholeContainer,
};

use super::scene::{QUICK, Scene, millis, refusal};

type Change = fn(&mut RolloutSpec);

fn policy(spec: &mut RolloutSpec) -> &mut RolloutPolicy {
    spec.policy.get_or_insert_default()
}

fn gate(spec: &mut RolloutSpec, health: HealthGate, probe: HealthProbe) {
    policy(spec).health = health.into();
    policy(spec).probe = Some(probe);
}

fn batches(spec: &mut RolloutSpec, amounts: &[&str]) {
    policy(spec).batches = amounts.iter().map(ToString::to_string).collect();
}

/// What is wrong, and the field that is named.
const WRONG: &[(&str, Change)] = &[
    ("spec.policy.max_parallel", |it| policy(it).max_parallel = "101%".into()),
    ("spec.policy.max_parallel", |it| policy(it).max_parallel = "0".into()),
    ("spec.policy.max_failures", |it| policy(it).max_failures = "some".into()),
    ("spec.policy.max_failures", |it| policy(it).max_failures = "-1".into()),
    ("spec.policy.batches[1]", |it| batches(it, &["50%", "10%", "100%"])),
    ("spec.policy.batches", |it| batches(it, &["1", "50%"])),
    ("spec.policy.batches[1]", |it| batches(it, &["1", "120%"])),
    ("spec.policy.canary", |it| {
        batches(it, &["1", "100%"]);
        policy(it).canary = "1".into();
    }),
    ("spec.policy.promote", |it| policy(it).promote = Promote::Manual.into()),
    ("spec.policy.probe.port", |it| gate(it, HealthGate::Tcp, HealthProbe::default())),
    ("spec.policy.probe.port", |it| {
        gate(it, HealthGate::Http, HealthProbe { port: 70_000, ..Default::default() });
    }),
    ("spec.policy.probe.command", |it| gate(it, HealthGate::Exec, HealthProbe::default())),
    ("spec.policy.probe.status", |it| {
        gate(it, HealthGate::Http, HealthProbe { port: 80, status: 99, ..Default::default() });
    }),
    ("spec.policy.probe.port", |it| {
        gate(it, HealthGate::Running, HealthProbe { port: 80, ..Default::default() });
    }),
    ("spec.policy.healthy_deadline", |it| {
        policy(it).min_healthy_time = millis(10_000);
        policy(it).healthy_deadline = millis(9000);
    }),
    ("spec.policy.progress_deadline", |it| policy(it).progress_deadline = millis(1000)),
    ("spec.policy.monitor", |it| {
        policy(it).monitor = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    }),
    ("spec.policy.stop_timeout", |it| policy(it).stop_timeout = millis(1500)),
    ("spec.policy.order", |it| policy(it).order = 99),
    ("spec.image", |it| it.image = "registry/App:v2".into()),
    ("spec.image", |it| it.image = "app:v2:v3".into()),
    ("spec.container", |it| it.container = "-web".into()),
    ("spec.targets", |it| it.targets = None),
    ("spec.set.image", |it| {
        it.set = Some(ContainerSpec { image: "app:v1".into(), ..Default::default() });
    }),
    ("spec.unset[0]", |it| it.unset = vec!["enviroment.A".into()]),
    ("spec.merge_patch.json", |it| {
        it.merge_patch = Some(EngineJson { json: "[1]".into(), ..Default::default() });
    }),
    ("spec.set", |it| {
        it.whole = Some(WholeContainer::default());
        it.set = Some(ContainerSpec { user: "web".into(), ..Default::default() });
    }),
];

#[tokio::test]
async fn the_api_names_the_field() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    for (field, change) in WRONG {
        let mut spec = scene.spec("v2").await?;
        change(&mut spec);
        let status = scene.begin(spec).await.expect_err(field);
        let (code, reason, message) = refusal(&status);
        assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{field}");
        let fields = crate::support::answer::fields(&status);
        assert!(fields.iter().any(|it| it == field), "{field}: {fields:?}");
        assert!(message.contains(field), "{field}: {message}");
        assert!(!message.contains('\n') && message.len() < 400, "{message}");
        assert!(status.get_error_details().bad_request().is_some());
    }

    // A container that no host has.
    let mut spec = scene.spec("v2").await?;
    spec.container = format!("{}-other", scene.name);
    let (code, reason, message) = refusal(&scene.begin(spec).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "PLAN_REFUSED"));
    let line = format!("alpha, beta, gamma: it has no container {}-other; ", scene.name);
    assert!(message.starts_with(&line) && !message.contains('\n'), "{message}");
    // An image that no registry has.
    let spec = scene.spec("v9").await?;
    let (_, reason, message) = refusal(&scene.begin(spec).await.unwrap_err());
    assert!(reason == "PLAN_REFUSED" && message.contains(":v9"), "{message}");

    let mut rollouts = scene.world.server.rollouts();
    let nobody = uuid::Uuid::new_v4().to_string();
    let get = GetRolloutRequest { id: nobody.clone(), ..Default::default() };
    let resume = ResumeRolloutRequest { id: nobody.clone(), ..Default::default() };
    let undo = UndoRolloutRequest { id: nobody[..8].to_owned(), ..Default::default() };
    for status in [
        rollouts.get_rollout(get).await.unwrap_err(),
        rollouts.resume_rollout(resume).await.unwrap_err(),
        rollouts.undo_rollout(undo).await.unwrap_err(),
    ] {
        let (code, reason, message) = refusal(&status);
        assert_eq!((code, reason.as_str()), (Code::NotFound, "ROLLOUT_NOT_FOUND"));
        assert!(message.contains(&nobody[..8]) && message.contains("wharf rollout ls"));
    }
    let get = GetRolloutRequest { id: "web".to_owned(), ..Default::default() };
    let (code, _, message) = refusal(&rollouts.get_rollout(get).await.unwrap_err());
    assert!(code == Code::InvalidArgument && message.contains("first 8 digits"), "{message}");

    let list = rollouts.list_rollouts(ListRolloutsRequest::default()).await?.into_inner();
    assert_eq!(list.rollouts, []);
    assert_eq!(scene.alone().await?, before);
    Ok(())
}

#[tokio::test]
async fn the_command_line_names_the_thing_and_the_way_out() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let image = scene.image("v2").await?;
    let cli = &scene.world.cli;
    let head = format!("container: {}\ntargets: {{all: {{}}}}\n", scene.name);
    cli.write("key.yaml", &format!("{head}policy:\n  max_paralel: 2\n"))?;
    cli.write("value.yaml", &format!("{head}policy:\n  order: sideways\n"))?;
    cli.write("time.yaml", &format!("{head}policy: {{bake: soon}}\n"))?;
    cli.write("twice.yaml", &format!("{head}container: web\n"))?;
    cli.write("yaml.yaml", "container: [web\n")?;
    cli.write("percent.yaml", &format!("{head}image: {image}\npolicy: {{batches: [1, 200%]}}\n"))?;
    let name = scene.name.as_str();
    let start = ["start", name, "-A"];
    let cases: [(&[&str], &[&str]); 19] = [
        (&[], &["specify at least one change", "wharf rollout restart"]),
        (&["--image", &image, "--max-parallel", "101%"], &["spec.policy.max_parallel", "101%"]),
        (
            &["--image", &image, "--batches", "50%,10%,100%"],
            &["spec.policy.batches[1]", "increase"],
        ),
        (&["--image", &image, "--health", "tcp"], &["spec.policy.probe.port"]),
        (&["--image", &image, "--health", "good"], &["--health", "docker", "running"]),
        (&["--image", &image, "--healthy-deadline", "5s"], &["spec.policy.healthy_deadline"]),
        (&["--image", &image, "--bake", "soon"], &["--bake", "soon"]),
        (&["--image", "registry/App:v2"], &["spec.image", "App"]),
        (&["--unset", "enviroment.A"], &["spec.unset[0]", "did you mean \"env\"?"]),
        (&["--whole", "--unset", "env.A"], &["--whole", "--unset"]),
        (&["-f", "missing.yaml"], &["missing.yaml"]),
        (&["-f", "key.yaml"], &["key.yaml", "max_paralel", "max_parallel", "4", "3"]),
        (&["-f", "value.yaml"], &["value.yaml", "sideways", "stop-first"]),
        (&["-f", "time.yaml"], &["time.yaml", "soon"]),
        (&["-f", "twice.yaml"], &["twice.yaml", "container"]),
        (&["-f", "yaml.yaml"], &["yaml.yaml"]),
        (&["-f", "percent.yaml"], &["spec.policy.batches[1]", "200%"]),
        (&["--merge-patch", "missing.json"], &["missing.json"]),
        (&["-e", "=1"], &["-e"]),
    ];
    for (arguments, said) in cases {
        let arguments = [&start[..], arguments].concat();
        refused(&scene, &arguments, said).await?;
    }
    let no_target = ["start", name, "--image", &image];
    refused(&scene, &no_target, &["-H", "-l", "-A"]).await?;
    refused(&scene, &["start", "-A", "--image", &image], &["container"]).await?;
    refused(&scene, &["show", name], &[name, "wharf rollout ls"]).await?;
    refused(&scene, &["resume", "0123abcd"], &["0123abcd", "wharf rollout ls"]).await?;
    refused(&scene, &["pause", name], &[name, "no open rollout"]).await?;
    assert_eq!(scene.alone().await?, before);

    let arguments = [&["start", name, "--image", &image][..], &QUICK].concat();
    scene.cli(&arguments).await?.expect(0)?;
    let shown = scene.cli(&["history", name, "-o", "name"]).await?.expect(0)?;
    let id = shown.stdout.trim();
    for steer in ["pause", "resume", "promote", "abort"] {
        refused(&scene, &[steer, id], &["has ended", "wharf rollout show"]).await?;
    }
    Ok(())
}

async fn refused(scene: &Scene, arguments: &[&str], said: &[&str]) -> anyhow::Result<()> {
    let output = scene.cli(arguments).await?;
    assert_eq!(output.status, 2, "{arguments:?}: {output:#?}");
    assert_eq!(output.stdout, "", "{arguments:?}");
    for said in said {
        assert!(output.stderr.contains(said), "{arguments:?} should say {said}: {output:#?}");
    }
    Ok(())
}
