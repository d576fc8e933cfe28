//! Gates: a healthy container stays, otherwise the old one is restored and runs again as before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use serde_json::json;
use testbed::{Engine, Image, Method, tools, unique};
use wharf::v1::{
    HealthGate, HealthProbe, HostState, HostStep, PauseCause, ProbeThrough, Rollout, RolloutPolicy,
    RolloutState, UndoRolloutRequest,
};

use super::scene::{Scene, careful, millis, quick, refusal, told};
use crate::support::cut::Proxy;
use crate::support::{HOSTS, hosts};

/// Where the versions serve.
const PORT: u32 = 8080;

/// A gate on three hosts at once.
struct Case {
    name: &'static str,
    version: &'static str,
    policy: RolloutPolicy,
    /// What a failure says; empty where it passes.
    says: &'static str,
    restart: &'static str,
}

fn case(name: &'static str, version: &'static str, health: HealthGate) -> Case {
    let policy =
        RolloutPolicy { max_parallel: "100%".to_owned(), health: health.into(), ..quick() };
    Case { name, version, policy, says: "", restart: "unless-stopped" }
}

impl Case {
    fn probe(mut self, probe: HealthProbe) -> Case {
        self.policy.probe = Some(probe);
        self
    }

    /// Is seen to be bad, however long that takes: it would have to be good for much longer.
    fn fails(mut self, says: &'static str) -> Case {
        self.says = says;
        self.policy.min_healthy_time = millis(100_000);
        self.policy.healthy_deadline = millis(200_000);
        self.policy.progress_deadline = millis(300_000);
        self
    }

    /// Is never bad and never good.
    fn waits(mut self, says: &'static str) -> Case {
        self.says = says;
        self.policy.healthy_deadline = millis(8000);
        self
    }

    fn exec(self, line: &str) -> Case {
        let command = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
        self.probe(HealthProbe { command, ..Default::default() })
    }

    fn port(self, port: u32) -> Case {
        self.probe(HealthProbe { port, ..Default::default() })
    }

    fn http(self, path: &str, body: &str, through: ProbeThrough) -> Case {
        self.probe(HealthProbe {
            port: PORT,
            path: path.to_owned(),
            status: 200,
            body: body.to_owned(),
            through: through.into(),
            ..Default::default()
        })
    }

    async fn run(&self, scene: &Scene, network: &str) -> anyhow::Result<()> {
        let scene = scene.another_empty()?;
        scene
            .run("v1", |_, body| {
                body["HostConfig"]["RestartPolicy"]["Name"] = self.restart.into();
                // A container without an address stays without one.
                if self.policy.probe.as_ref().is_some_and(|probe| probe.port != 0) {
                    body["HostConfig"]["NetworkMode"] = network.into();
                    let port = tools::free_port().map_or_else(|_| "0".into(), |it| it.to_string());
                    let binding = json!([{"HostIp": "127.0.0.1", "HostPort": port}]);
                    body["HostConfig"]["PortBindings"] = json!({"8080/tcp": binding});
                }
            })
            .await?;
        let before = scene.alone().await?;
        let mut spec = scene.spec_with(self.version, self.policy.clone()).await?;
        if self.version == "idle" {
            // Runs, and nothing listens.
            spec.image = scene.image("v2").await?;
            spec.set = Some(wharf::v1::ContainerSpec {
                command: vec!["/bin/idle".to_owned()],
                ..Default::default()
            });
        }
        let rollout = scene.carry_out(spec).await?;
        if self.says.is_empty() {
            ensure!(rollout.state() == RolloutState::Succeeded, "{}", told(&rollout));
            return scene.check(&rollout, &before, self.version, &HOSTS).await;
        }
        let state = (rollout.state(), rollout.pause_cause());
        ensure!(state == (RolloutState::Paused, PauseCause::Budget), "{}", told(&rollout));
        for step in &rollout.steps {
            let status = step.status.as_ref().context("a status")?;
            assert_eq!(step.state(), HostState::Restored, "{}", told(&rollout));
            assert_eq!(step.failed_step(), HostStep::Gate, "{}", told(&rollout));
            ensure!(status.message.contains(self.says), "{}", told(&rollout));
            let log = step.log_tail.join("\n");
            ensure!(self.version != "v3" || log.contains("this version does not start"), "{log}");
        }
        scene.check_restored(&before).await
    }
}

/// Makes a network under one name on each Engine; the addresses differ.
async fn network(scene: &Scene) -> anyhow::Result<String> {
    let name = scene.name.clone();
    try_join_all(scene.world.engines().iter().map(|engine| add_network(engine, &name))).await?;
    Ok(name)
}

async fn add_network(engine: &Engine, name: &str) -> anyhow::Result<()> {
    for _ in 0..20 {
        let number =
            unique("x").bytes().fold(0_u32, |sum, byte| sum * 31 % 65_521 + u32::from(byte));
        let subnet = format!("10.{}.{}.0/24", 64 + number % 64, number / 64 % 256);
        let body = json!({
            "Name": name, "CheckDuplicate": true, "IPAM": {"Config": [{"Subnet": subnet}]},
        });
        match engine.api(Method::POST, "/networks/create", Some(body)).await? {
            (201, _) => return Ok(()),
            (status, answer) => {
                ensure!(answer.to_string().contains("overlaps"), "{status}: {answer}");
            }
        }
    }
    anyhow::bail!("no free addresses for a network")
}

async fn run(cases: &[Case]) -> anyhow::Result<()> {
    let scene = Scene::empty().await?;
    let network = network(&scene).await?;
    let run = cases.iter().map(|case| {
        let run = case.run(&scene, &network);
        // Together they are too much for a stack.
        Box::pin(async { run.await.with_context(|| format!("the gate: {}", case.name)) })
    });
    try_join_all(run).await?;
    Ok(())
}

#[tokio::test]
async fn what_proves_itself_stays() -> anyhow::Result<()> {
    run(&[
        case("auto without a health check", "v2", HealthGate::Auto),
        case("auto with a health check", "v5", HealthGate::Auto),
        case("docker", "v5", HealthGate::Docker),
        case("running", "v2", HealthGate::Running),
        case("none", "v2", HealthGate::None),
        case("exec", "v2", HealthGate::Exec).exec("test \"$VERSION\" = 2"),
    ])
    .await
}

#[tokio::test]
async fn what_answers_stays() -> anyhow::Result<()> {
    run(&[
        case("http, published", "v2", HealthGate::Http).http(
            "/version",
            "v2",
            ProbeThrough::PublishedPort,
        ),
        case("http, address", "v2", HealthGate::Http).http(
            "/version",
            "v2",
            ProbeThrough::ContainerAddress,
        ),
        case("tcp", "v2", HealthGate::Tcp).port(PORT),
    ])
    .await
}

/// It says now and then that it runs.
#[tokio::test]
async fn c31_a_crash_loop_is_put_back() -> anyhow::Result<()> {
    let crash_loop = case("crash loop", "v3", HealthGate::Running).fails("restarted");
    run(&[Case { restart: "always", ..crash_loop }]).await
}

#[tokio::test]
async fn what_does_not_prove_itself_is_put_back() -> anyhow::Result<()> {
    let ends = case("running", "v3", HealthGate::Running).fails("it is exited, with exit code 3");
    run(&[
        case("docker", "v4", HealthGate::Docker).fails("not feeling well"),
        case("auto", "v4", HealthGate::Auto).fails("not feeling well"),
        Case { restart: "no", ..ends },
        case("exec", "v2", HealthGate::Exec)
            .exec("echo not yet; exit 5")
            .waits("ended with 5: not yet"),
    ])
    .await
}

/// A published port takes connections although nothing listens behind it.
#[tokio::test]
async fn c33_silence_behind_a_published_port_is_put_back() -> anyhow::Result<()> {
    run(&[
        case("http, silence", "idle", HealthGate::Http)
            .http("/", "", ProbeThrough::PublishedPort)
            .waits("http://127.0.0.1:"),
        case("tcp, silence", "idle", HealthGate::Tcp).port(PORT).waits("refused"),
    ])
    .await
}

#[tokio::test]
async fn what_does_not_answer_as_expected_is_put_back() -> anyhow::Result<()> {
    let (published, address) = (ProbeThrough::PublishedPort, ProbeThrough::ContainerAddress);
    run(&[
        case("status", "v2", HealthGate::Http)
            .http("/missing", "", published)
            .waits("answered 404"),
        case("body", "v2", HealthGate::Http)
            .http("/version", "v9", address)
            .waits("\"v9\" is not in: v2"),
    ])
    .await
}

/// Between the gate's look at it and the command that the gate runs in it.
#[tokio::test]
async fn what_ends_before_its_probe_is_told_by_its_end() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let beta = scene.engine("beta");
    let proxy = Proxy::start(beta).await?;
    scene.world.server.add("behind", proxy.address()).await?;
    let stop = format!("/containers/{}/stop", scene.name);
    let has_stopped = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&has_stopped);
    proxy.ahead(
        |line| line.contains("/exec"),
        async move |_| stopped.store(beta.post(&stop, None).await.is_ok(), Ordering::Relaxed),
    );
    let mut spec = scene.spec_with("v2", careful()).await?;
    spec.targets = hosts(&["behind"]);
    let rollout = scene.carry_out(spec).await?;
    ensure!(has_stopped.load(Ordering::Relaxed), "{}", told(&rollout));
    let [step] = &rollout.steps[..] else { panic!("{}", told(&rollout)) };
    assert_eq!(step.state(), HostState::Restored, "{}", told(&rollout));
    assert_eq!(step.failed_step(), HostStep::Gate, "{}", told(&rollout));
    let why = step.status.clone().unwrap_or_default().message;
    // 137 where the stop came before the program could listen to it.
    assert!(why.contains("it is exited, with exit code "), "{why}");
    scene.check_restored(&before).await
}

#[tokio::test]
async fn a_gate_on_a_health_check_that_is_not_there_is_refused() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let before = scene.alone().await?;
    let docker = RolloutPolicy { health: HealthGate::Docker.into(), ..quick() };
    let is_refused = |status: &tonic::Status| {
        let (_, reason, message) = refusal(status);
        assert_eq!(reason, "PLAN_REFUSED", "{message}");
        assert!(message.contains("alpha") && message.contains("health: docker"), "{message}");
    };
    // The hosts have its image.
    let mut spec = scene.spec_with("v1", docker.clone()).await?;
    spec.set = Some(wharf::v1::ContainerSpec { env: vec!["A=1".to_owned()], ..Default::default() });
    is_refused(&scene.begin(spec.clone()).await.unwrap_err());

    // Only a registry has it: it is seen when it has come to the hosts.
    let image = scene.world.fleet.open_registry.reference(&format!("{}:v1", unique("plain")));
    let alpha = scene.engine("alpha");
    alpha.import(&image, &Image::new("plain")).await?;
    alpha.push(&image, None).await?;
    alpha.delete(&format!("/images/{image}")).await?;
    spec.image = image;
    let id = scene.begin(spec.clone()).await?.id;
    let are_unchanged = |rollout: &Rollout| {
        let paused = rollout.state() == RolloutState::Paused;
        paused && rollout.steps.iter().all(|step| step.state() == HostState::Unchanged)
    };
    let rollout = scene.until(&id, "hosts that are left as they were", are_unchanged).await?;
    assert_eq!(rollout.pause_cause(), PauseCause::Budget, "{}", told(&rollout));
    for step in &rollout.steps {
        let status = step.status.as_ref().context("a status")?;
        assert!(status.message.contains("health: docker"), "{}", status.message);
    }
    assert_eq!(scene.alone().await?, before);
    scene.cli(&["abort", &rollout.id]).await?.expect(0)?;
    is_refused(&scene.begin(spec).await.unwrap_err());

    // What was there before has none, and can come back all the same.
    let rollout = scene.carry_out(scene.spec_with("v5", docker.clone()).await?).await?;
    assert_eq!(rollout.state(), RolloutState::Succeeded, "{}", told(&rollout));
    let mut rollouts = scene.world.server.rollouts();
    let undo = UndoRolloutRequest { id: rollout.id, ..Default::default() };
    let insisting = UndoRolloutRequest { policy: Some(docker), ..undo.clone() };
    is_refused(&rollouts.undo_rollout(insisting).await.unwrap_err());
    let undone = rollouts.undo_rollout(undo).await?.into_inner().rollout.unwrap_or_default();
    let undone = scene.end(&undone.id).await?;
    assert_eq!(undone.state(), RolloutState::Succeeded, "{}", told(&undone));
    for (found, before) in scene.found().await?.iter().zip(&before) {
        assert_eq!((&found[0].id, found[0].status.as_str()), (&before.id, "running"));
    }
    Ok(())
}
