//! Tests of the testbed, on which all other tests rely.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use testbed::{
    Engine, EngineOptions, Fleet, Image, Listen, Method, eventually, registry_auth, tools, unique,
};

#[tokio::test]
async fn engines_are_told_apart() -> anyhow::Result<()> {
    let fleet = Fleet::shared().await?;
    let mut identities = Vec::new();
    for engine in &fleet.engines {
        let info = engine.get("/info").await?;
        assert!(
            info["DockerRootDir"]
                .as_str()
                .is_some_and(|root| { Path::new(root).starts_with(engine.directory()) })
        );
        identities.push(info["ID"].to_string());
    }
    identities.sort();
    identities.dedup();
    assert_eq!(identities.len(), 3, "{identities:?}");
    Ok(())
}

#[tokio::test]
async fn image_goes_from_engine_to_engine_by_way_of_the_locked_registry() -> anyhow::Result<()> {
    let fleet = Fleet::shared().await?;
    let [first, second, _] = &fleet.engines;
    let registry = &fleet.locked_registry;
    let name = unique("app");
    let reference = registry.reference(&format!("{name}:v1"));
    let id = first.import(&reference, &Image::new("v1").env("COLOUR", "deep blue")).await?;

    assert!(first.push(&reference, None).await.is_err());
    let wrong = registry_auth(registry.address(), "captain", "wrong");
    assert!(first.push(&reference, Some(&wrong)).await.is_err());
    assert_eq!(registry.tags(&name).await?, [""; 0]);
    let right = registry.auth();
    first.push(&reference, right.as_deref()).await?;
    assert_eq!(registry.tags(&name).await?, ["v1"]);

    assert!(second.pull(&reference, None).await.is_err());
    assert!(second.image(&reference).await?.is_none());
    second.pull(&reference, right.as_deref()).await?;
    let image = second.image(&reference).await?.context("the image has arrived")?;
    assert_eq!(image["Id"], json!(id));
    assert_eq!(image["Config"]["Env"][0], "COLOUR=deep blue");
    let digest = registry.digest(&name, "v1").await?;
    assert!(image["RepoDigests"].to_string().contains(&digest), "{image}");
    Ok(())
}

#[tokio::test]
async fn two_versions_of_an_image_differ_and_one_does_not() -> anyhow::Result<()> {
    let engine = &Fleet::shared().await?.engines[0];
    let name = unique("app");
    let mut layers = Vec::new();
    for (tag, version) in [("a", "v1"), ("b", "v1"), ("c", "v2")] {
        let reference = format!("{name}:{tag}");
        engine.import(&reference, &Image::new(version)).await?;
        let image = engine.image(&reference).await?.context("the image is there")?;
        layers.push(image["RootFS"]["Layers"].clone());
    }
    assert_eq!(layers[0], layers[1]);
    assert_ne!(layers[0], layers[2]);
    Ok(())
}

#[tokio::test]
async fn containers_start_and_stop() -> anyhow::Result<()> {
    let engine = &Fleet::shared().await?.engines[0];
    let (reference, name) = (unique("app") + ":v1", unique("web"));
    engine.import(&reference, &Image::new("v1")).await?;
    let id = engine.run(&name, &reference).await?;
    let running = engine.container(&name).await?.context("the container is there")?;
    assert_eq!(running["Id"], json!(id));
    assert_eq!(running["State"]["Status"], "running");
    engine.post(&format!("/containers/{name}/stop?t=30"), None).await?;
    let stopped = engine.container(&name).await?.context("the container is still there")?;
    assert_eq!(stopped["State"]["Status"], "exited");
    // The image's own process ended, by its handler for SIGTERM.
    assert_eq!(stopped["State"]["ExitCode"], 0);
    engine.delete(&format!("/containers/{name}")).await?;
    assert!(engine.container(&name).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn container_on_the_network_of_the_host_serves_its_version() -> anyhow::Result<()> {
    let engine = &Fleet::shared().await?.engines[0];
    let (reference, name, port) = (unique("app") + ":v7", unique("web"), tools::free_port()?);
    engine.import(&reference, &Image::new("v7").command(&["/bin/web"])).await?;
    let body = json!({
        "Image": reference,
        "Env": [format!("PORT={port}")],
        "HostConfig": { "NetworkMode": "host" },
    });
    engine.post(&format!("/containers/create?name={name}"), Some(body)).await?;
    engine.post(&format!("/containers/{name}/start"), None).await?;
    tools::install_crypto();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
    let version = eventually("the web server", async || {
        let url = format!("http://127.0.0.1:{port}/version");
        Ok(client.get(url).send().await?.error_for_status()?.text().await?)
    })
    .await?;
    assert_eq!(version, "v7\n");
    engine.delete(&format!("/containers/{name}?force=1")).await?;
    Ok(())
}

#[tokio::test]
async fn frozen_engine_accepts_and_does_not_answer() -> anyhow::Result<()> {
    let engine =
        Engine::start_with(EngineOptions { listen: Listen::Tcp, ..Default::default() }).await?;
    let address = engine.address().trim_start_matches("tcp://");
    engine.freeze();
    // The kernel accepts on its behalf.
    tokio::net::TcpStream::connect(address).await?;
    let answer = tokio::time::timeout(Duration::from_millis(500), engine.get("/_ping")).await;
    assert!(answer.is_err(), "a frozen Engine answered: {answer:?}");
    engine.thaw();
    assert_eq!(engine.get("/_ping").await?, "OK");
    Ok(())
}

#[tokio::test]
async fn killed_engine_comes_back_with_its_containers() -> anyhow::Result<()> {
    let engine = Engine::start().await?;
    engine.import("app:v1", &Image::new("v1")).await?;
    let id = engine.run("web", "app:v1").await?;
    engine.kill();
    assert!(engine.get("/_ping").await.is_err());
    engine.restart().await?;
    let container = engine.container("web").await?.context("the container is still there")?;
    assert_eq!(container["Id"], json!(id));
    assert_eq!(container["State"]["Running"], false);
    Ok(())
}

#[tokio::test]
async fn engine_with_certificates_wants_one() -> anyhow::Result<()> {
    let options = EngineOptions { listen: Listen::Tls, ..Default::default() };
    let engine = Engine::start_with(options.clone()).await?;
    assert_eq!(engine.get("/_ping").await?, "OK");
    let tls = engine.tls().context("an Engine with certificates has files")?;
    tools::install_crypto();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(&std::fs::read(&tls.ca)?)?])
        .build()?;
    let url = engine.address().replace("tcp://", "https://") + "/_ping";
    assert!(client.get(url).send().await.is_err());
    Ok(())
}

#[tokio::test]
async fn dropped_engine_leaves_nothing() -> anyhow::Result<()> {
    let engine = Engine::start().await?;
    engine.import("app:v1", &Image::new("v1")).await?;
    engine.run("web", "app:v1").await?;
    let directory = engine.directory().to_owned();
    assert!(processes_of(&directory)? > 0);
    drop(engine);
    assert_eq!(processes_of(&directory)?, 0);
    assert!(!directory.exists());
    assert!(!mounts()?.contains(&*directory.to_string_lossy()));
    Ok(())
}

#[tokio::test]
async fn nothing_outlives_a_killed_owner() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut owner = up(directory.path())?;
    let (engine, address) = first_engine(&mut owner, directory.path()).await?;
    owner.kill()?;
    owner.wait()?;
    eventually("the reaper", async || {
        ensure!(processes_of(&engine)? == 0, "some processes are left");
        ensure!(!engine.exists(), "{} is still there", engine.display());
        Ok(())
    })
    .await?;
    assert!(!mounts()?.contains(&*engine.to_string_lossy()));
    assert!(std::os::unix::net::UnixStream::connect(address).is_err());
    Ok(())
}

#[tokio::test]
async fn next_run_sweeps_up_when_the_reaper_was_killed_as_well() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let mut owner = up(directory.path())?;
    let (engine, _) = first_engine(&mut owner, directory.path()).await?;
    // The reaper is the one child of the owner that is not a daemon.
    let children = format!("/proc/{0}/task/{0}/children", owner.id());
    let mut reapers = 0;
    for entry in std::fs::read_dir(format!("/proc/{}/task", owner.id()))? {
        let children = std::fs::read_to_string(entry?.path().join("children"))?;
        for child in children.split_whitespace() {
            let command = std::fs::read_to_string(format!("/proc/{child}/cmdline"))?;
            if command.contains("reaper") {
                let pid = rustix::process::Pid::from_raw(child.parse()?).context("a process")?;
                rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
                reapers += 1;
            }
        }
    }
    assert_eq!(reapers, 1, "{children}");
    owner.kill()?;
    owner.wait()?;
    assert!(processes_of(&engine)? > 0, "the daemons should be left to the sweep");

    let sweep = Command::new(tools::built("wharf-testbed")?).arg("sweep").output()?;
    assert!(sweep.status.success(), "{sweep:?}");
    assert_eq!(processes_of(&engine)?, 0);
    assert!(!engine.exists());
    Ok(())
}

/// A process that owns an Engine with a running container.
fn up(directory: &Path) -> anyhow::Result<Child> {
    Command::new(tools::built("wharf-testbed")?)
        .args(["up", "--engines", "1", "--image", "app:v1", "--dir"])
        .arg(directory)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .context("starting the owner")
}

/// Directory and socket of the Engine of that process, with a container started on it.
async fn first_engine(
    owner: &mut Child,
    directory: &Path,
) -> anyhow::Result<(std::path::PathBuf, String)> {
    let environment =
        eventually("the testbed", async || Ok(std::fs::read_to_string(directory.join("env"))?))
            .await?;
    ensure!(owner.try_wait()?.is_none(), "the owner has ended");
    let socket = environment
        .lines()
        .find_map(|line| line.strip_prefix("ENGINE_1='unix://")?.strip_suffix('\''))
        .with_context(|| environment.clone())?
        .to_owned();
    tools::install_crypto();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .unix_socket(socket.clone())
        .build()?;
    let post = async |path: &str, body: serde_json::Value| -> anyhow::Result<()> {
        let request = client.request(Method::POST, format!("http://docker{path}"));
        request.json(&body).send().await?.error_for_status()?;
        Ok(())
    };
    let body = json!({ "Image": "app:v1", "HostConfig": { "NetworkMode": "none" } });
    post("/containers/create?name=web", body).await?;
    post("/containers/web/start", json!({})).await?;
    let engine = Path::new(&socket).parent().context("a socket in a directory")?;
    Ok((engine.to_owned(), socket))
}

/// How many processes there are with the directory in their command line, or in its cgroup: the
/// daemons, the shims, and the containers.
fn processes_of(directory: &Path) -> anyhow::Result<usize> {
    let below = format!("{}/", directory.display());
    let run = directory.parent().and_then(Path::file_name).context("a run")?;
    let engine = directory.file_name().context("an Engine")?;
    let cgroup = format!("/{}/{}/", run.display(), engine.display());
    let mut count = 0;
    for entry in std::fs::read_dir("/proc")? {
        let process = entry?.path();
        let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let cgroups = std::fs::read(process.join("cgroup")).unwrap_or_default();
        let state = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        let ours = String::from_utf8_lossy(&command).contains(&below)
            || String::from_utf8_lossy(&cgroups).contains(&cgroup);
        count += usize::from(ours && !state.contains(") Z"));
    }
    Ok(count)
}

fn mounts() -> anyhow::Result<String> {
    Ok(std::fs::read_to_string("/proc/self/mountinfo")?)
}
