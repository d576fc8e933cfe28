//! The harness itself, on each kind of Engine.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::json;
use testbed::process::ProcessId;
use testbed::{Engine, EngineKind, EngineOptions, Image, Method, Registry, eventually, tools};

use crate::support::kinds::on_engines;

on_engines!(engine_is_what_it_is_asked_to_be_and_leaves_nothing: all);

async fn engine_is_what_it_is_asked_to_be_and_leaves_nothing(
    kind: EngineKind,
) -> anyhow::Result<()> {
    let engine = Engine::start_with(EngineOptions { kind, ..EngineOptions::default() }).await?;
    let version = engine.get("/version").await?;
    let (component, number) = match kind {
        // Whatever the machine has.
        EngineKind::Machine => ("Engine", ""),
        EngineKind::Docker26 => ("Engine", "26.1."),
        EngineKind::Docker28 => ("Engine", "28.5."),
        EngineKind::Podman4 => ("Podman Engine", "4.3."),
        EngineKind::Podman5 => ("Podman Engine", "5.4."),
    };
    assert_eq!(version["Components"][0]["Name"], component);
    assert!(version["Version"].to_string().starts_with(&format!("\"{number}")), "{version}");

    // Made, pushed and pulled; then run, in a cgroup and with mounts of its own.
    let registry = Registry::open().await?;
    let reference = registry.reference("app:v1");
    engine.import(&reference, &Image::new("v1").env("COLOUR", "deep blue")).await?;
    engine.push(&reference, None).await?;
    engine.delete(&format!("/images/{reference}")).await?;
    engine.pull(&reference, None).await?;
    let image = engine.image(&reference).await?.context("the image has arrived")?;
    assert!(image["Config"]["Env"].to_string().contains("COLOUR=deep blue"), "{image}");
    let body = json!({
        "Image": reference,
        "HostConfig": {"NetworkMode": "none"},
        "Healthcheck": {"Test": ["CMD", "/bin/true"], "Interval": 1_000_000_000, "Retries": 2},
    });
    engine.post("/containers/create?name=web", Some(body)).await?;
    engine.post("/containers/web/start", None).await?;
    eventually("a healthy container", async || {
        let found = engine.container("web").await?.context("the container is there")?;
        ensure!(found["State"]["Health"]["Status"] == "healthy", "{}", found["State"]);
        Ok(())
    })
    .await?;

    engine.kill();
    assert!(engine.get("/_ping").await.is_err());
    engine.restart().await?;
    assert!(engine.container("web").await?.is_some());
    // Docker has ended it, podman has not.
    engine.api(Method::POST, "/containers/web/start", None).await?;

    let directory = engine.directory().to_owned();
    let container = process(&engine).await?;
    drop(engine);
    assert!(!directory.exists());
    assert!(!container.is_alive());
    assert!(!fs::read_to_string("/proc/self/mountinfo")?.contains(&*directory.to_string_lossy()));
    Ok(())
}

on_engines!(engine_of_a_killed_owner_goes_with_everything_it_started: newer);

async fn engine_of_a_killed_owner_goes_with_everything_it_started(
    kind: EngineKind,
) -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    // Should this test fail, the end of its input ends it.
    let mut owner = Command::new(tools::built("wharf-testbed")?)
        .args(["up", "--engines", "1", "--image", "app:v1", "--kind", kind.name()])
        .arg("--until-stdin-closes")
        .arg("--dir")
        .arg(place.path())
        .stdin(Stdio::piped())
        .spawn()
        .context("starting the owner")?;
    let environment = eventually("the testbed", async || {
        ensure!(owner.try_wait()?.is_none(), "the owner has ended");
        Ok(fs::read_to_string(place.path().join("env"))?)
    })
    .await?;
    let socket = environment
        .lines()
        .find_map(|line| line.strip_prefix("ENGINE_1='unix://")?.strip_suffix('\''))
        .with_context(|| environment.clone())?;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).unix_socket(socket);
    tools::install_crypto();
    let client = client.build()?;
    let body = json!({"Image": "app:v1", "HostConfig": {"NetworkMode": "none"}});
    let create = client.post("http://docker/containers/create?name=web").json(&body);
    create.send().await?.error_for_status()?;
    let start = client.post("http://docker/containers/web/start");
    start.send().await?.error_for_status()?;
    let found = client.get("http://docker/containers/web/json").send().await?;
    let found: serde_json::Value = found.json().await?;
    let container = process_of(&found)?;

    owner.kill()?;
    owner.wait()?;
    let directory = Path::new(socket).parent().context("a socket in a directory")?;
    eventually("the reaper", async || {
        ensure!(!directory.exists(), "{} is still there", directory.display());
        ensure!(!container.is_alive(), "the container still runs");
        Ok(())
    })
    .await?;
    let marked = testbed::process::with_marker(testbed::sweep::ROOT_MARKER, directory);
    assert_eq!(marked, []);
    Ok(())
}

async fn process(engine: &Engine) -> anyhow::Result<ProcessId> {
    let found = engine.container("web").await?.context("the container is there")?;
    process_of(&found)
}

fn process_of(container: &serde_json::Value) -> anyhow::Result<ProcessId> {
    let pid = container["State"]["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    let process = pid.and_then(ProcessId::of);
    process.with_context(|| format!("it does not run: {}", container["State"]))
}
