//! Podman as a host.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testbed::{EngineKind, Image, Registry, tools};

use super::stage::Stage;
use crate::support::kinds::on_engines;

on_engines!(container_is_rolled_and_put_back: podman);
on_engines!(one_that_is_for_boot_does_not_stay_beside_its_successor: podman);
on_engines!(one_that_removes_itself_is_rolled_and_put_back: podman);

/// What fails is restored, and the rollout ends.
const BACK: [&str; 2] = ["--on-failure", "rollback"];

/// On podman's default network, which its list calls otherwise than its inspections, from a registry
/// that podman cannot be asked about.
async fn container_is_rolled_and_put_back(kind: EngineKind) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let registry = Registry::open().await?;
    let v1 = registry.reference("app:v1");
    let v2 = registry.reference("app:v2");
    for (reference, version, signal) in [(&v1, "v1", "SIGTERM"), (&v2, "v2", "SIGINT")] {
        let image = Image::new(version)
            .env("OF_IMAGE", version)
            .label("version", version)
            .healthcheck(&format!("grep {version} /version"))
            .change(format!("STOPSIGNAL {signal}"))
            .change("VOLUME /data".to_owned());
        stage.engine.import(reference, &image).await?;
        stage.engine.push(reference, None).await?;
    }
    stage.engine.delete(&format!("/images/{v2}?force=1")).await?;
    let body = json!({
        "Image": v1,
        "Env": ["MINE=1"],
        "Labels": {"team": "a"},
        "HostConfig": {
            "NetworkMode": "bridge",
            "Memory": 67_108_864,
            "RestartPolicy": {"Name": "no"},
            "Ulimits": [
                {"Name": "nofile", "Soft": 100, "Hard": 200},
                // Else podman asks for more than root may have without CAP_SYS_RESOURCE.
                {"Name": "nproc", "Soft": 1000, "Hard": 1000},
            ],
        },
    });
    stage.engine.post(&format!("/containers/create?name={}", stage.name), Some(body)).await?;
    stage.engine.post(&format!("/containers/{}/start", stage.name), None).await?;
    let old = stage.inspect().await?;

    let listed = stage.cli.run(&["host", "ls"]).await?.expect(0)?;
    let version = match kind {
        EngineKind::Podman4 => "podman 4.3",
        _ => "podman 5.4",
    };
    assert!(listed.stdout.contains(version), "{listed:?}");

    // What was not pushed is found out by the pull, and nothing is changed.
    let missing = registry.reference("app:v3");
    let output = stage.roll(&missing, &BACK).await?;
    assert_ne!(output.status, 0, "{output:?}");
    assert_eq!(stage.inspect().await?["Id"], old["Id"]);
    assert_eq!(stage.inspect().await?["State"]["Running"], true);

    stage.roll(&v2, &[]).await?.expect(0)?;
    let new = stage.inspect().await?;
    assert_ne!(new["Id"], old["Id"]);
    assert_eq!(new["State"]["Running"], true);
    // That of the image, which an inspection of it by podman does not show.
    let check = new["Config"]["Healthcheck"]["Test"].to_string();
    assert!(check.contains("grep v2 /version"), "{check}");
    assert_eq!(new["State"]["Health"]["Status"], "healthy");
    let environment = new["Config"]["Env"].to_string();
    for expected in ["MINE=1", "OF_IMAGE=v2"] {
        assert!(environment.contains(expected), "{environment}");
    }
    let of_old = |text: &Value| text.as_str().unwrap_or_default()[..12].to_owned();
    assert!(!environment.contains(&of_old(&old["Id"])), "{environment}");
    assert_eq!(new["Config"]["Labels"]["team"], "a");
    assert_eq!(new["HostConfig"]["Memory"], 67_108_864);
    assert_eq!(new["HostConfig"]["Ulimits"], old["HostConfig"]["Ulimits"]);
    assert_ne!(new["Config"]["StopSignal"], old["Config"]["StopSignal"]);
    let networks = |container: &Value| {
        let networks = container["NetworkSettings"]["Networks"].as_object().cloned();
        networks.unwrap_or_default().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(networks(&new), networks(&old));
    let volume = |container: &Value| {
        let mounts = container["Mounts"].as_array().cloned().unwrap_or_default();
        let data = mounts.into_iter().find(|mount| mount["Destination"] == "/data");
        data.map(|mount| mount["Name"].clone()).context("a volume")
    };
    assert_eq!(volume(&new)?, volume(&old)?);

    stage.cli.run(&["rollout", "undo", &stage.name]).await?.expect(0)?;
    let undone = stage.inspect().await?;
    assert_eq!(undone["Image"], old["Image"]);
    assert_eq!(undone["State"]["Running"], true);
    stage.clear().await
}

/// Podman's unit `podman-restart.service` starts everything that restarts always with the machine,
/// also what was stopped; and podman 4 cannot be told to leave one container out.
async fn one_that_is_for_boot_does_not_stay_beside_its_successor(
    kind: EngineKind,
) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let network = stage.other("back");
    // A card of this machine: podman does not see the names that other Engines have given.
    let card = format!("wpod{}", &stage.name[4..]);
    let options = json!({"com.docker.network.bridge.name": card});
    let network_body = json!({"Name": network, "Driver": "bridge", "Options": options});
    stage.engine.post("/networks/create", Some(network_body)).await?;
    let result = for_boot(kind, &stage, &network).await;
    stage.clear().await?;
    stage.engine.delete(&format!("/networks/{network}")).await?;
    result
}

async fn for_boot(kind: EngineKind, stage: &Stage, network: &str) -> anyhow::Result<()> {
    let v1 = stage.image("v1", &Image::new("v1")).await?;
    let v2 = stage.image("v2", &Image::new("v2")).await?;
    let bad = stage.image("bad", &Image::new("bad").command(&["/bin/false"])).await?;
    let port = tools::free_port()?.to_string();
    let body = json!({
        "Image": v1,
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {
            "NetworkMode": network,
            "RestartPolicy": {"Name": "always"},
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]},
        },
    });
    stage.run(body).await?;
    let old = stage.inspect().await?;
    let id = old["Id"].as_str().context("an ID")?.to_owned();
    let never = ["--pull-policy", "never"];

    let output = stage.roll(&bad, &[&never[..], &BACK].concat()).await?;
    ensure!(output.status != 0, "{output:?}");
    let restored = stage.inspect().await?;
    assert_eq!(restored["Id"], old["Id"]);
    assert_eq!(restored["State"]["Running"], true);
    assert_eq!(restored["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert_eq!(stage.names().await?, std::slice::from_ref(&stage.name));

    let plan = ["rollout", "plan", &stage.name, "-A", "--image", &v2, never[0], never[1]];
    let plan = stage.cli.run(&plan).await?.expect(0)?;
    let is_told = plan.stdout.contains("podman-restart.service");
    assert_eq!(is_told, kind == EngineKind::Podman4, "{}", plan.stdout);
    let output = stage.roll(&v2, &never).await?.expect(0)?;
    assert!(!output.stdout.contains("warning"), "{}", output.stdout);
    let new = stage.inspect().await?;
    assert_ne!(new["Id"], old["Id"]);
    assert_eq!(new["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert_eq!(new["NetworkSettings"]["Networks"].as_object().map(serde_json::Map::len), Some(1));
    assert_eq!(
        new["NetworkSettings"]["Networks"][network]["NetworkID"],
        old["NetworkSettings"]["Networks"][network]["NetworkID"]
    );
    assert_eq!(new["NetworkSettings"]["Ports"], old["NetworkSettings"]["Ports"]);
    let kept = stage.engine.container(&id).await?;
    if kind == EngineKind::Podman4 {
        assert_eq!(kept, None);
    } else {
        let kept = kept.context("the old container is kept")?;
        assert_eq!(kept["HostConfig"]["RestartPolicy"]["Name"], "no");
    }

    stage.cli.run(&["rollout", "undo", &stage.name]).await?.expect(0)?;
    let undone = stage.inspect().await?;
    assert_eq!(undone["Image"], old["Image"]);
    assert_eq!(undone["State"]["Running"], true);
    assert_eq!(undone["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert_eq!(undone["NetworkSettings"]["Ports"], old["NetworkSettings"]["Ports"]);
    Ok(())
}

async fn one_that_removes_itself_is_rolled_and_put_back(kind: EngineKind) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let result = removes_itself(&stage).await;
    stage.clear().await?;
    result
}

async fn removes_itself(stage: &Stage) -> anyhow::Result<()> {
    let v1 = stage.image("v1", &Image::new("v1").change("VOLUME /data".to_owned())).await?;
    let v2 = stage.image("v2", &Image::new("v2").change("VOLUME /data".to_owned())).await?;
    let bad = stage.image("bad", &Image::new("bad").command(&["/bin/false"])).await?;
    stage.run(json!({"Image": v1, "HostConfig": {"AutoRemove": true}})).await?;
    let old = stage.inspect().await?;
    let volume = |container: &Value| container["Mounts"][0]["Name"].clone();
    let never = ["--pull-policy", "never"];
    let output = stage.roll(&bad, &[&never[..], &BACK].concat()).await?;
    ensure!(output.status != 0, "{output:?}");
    let restored = stage.inspect().await?;
    assert_eq!((&restored["Image"], volume(&restored)), (&old["Image"], volume(&old)));
    assert_eq!(restored["State"]["Running"], true);

    stage.roll(&v2, &never).await?.expect(0)?;
    let new = stage.inspect().await?;
    assert_ne!(new["Image"], old["Image"]);
    assert_eq!(volume(&new), volume(&old));
    stage.cli.run(&["rollout", "undo", &stage.name]).await?.expect(0)?;
    let undone = stage.inspect().await?;
    assert_eq!((&undone["Image"], volume(&undone)), (&old["Image"], volume(&old)));
    assert_eq!(undone["State"]["Running"], true);
    Ok(())
}
