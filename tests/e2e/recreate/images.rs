//! Settings of the image do not leak into the new container: points 1 to 10 and 35.

use serde_json::json;
use testbed::Image;
use wharf_server::rollout::recreate::Options;
use wharf_server::rollout::spec::Change;

use super::scene::{Scene, options, sorted, to_image};

#[tokio::test]
async fn c01_environment_of_the_image_is_replaced_and_that_of_the_operator_stays()
-> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let old = Image::new("v1").env("VERSION", "v1").env("COLOUR", "blue").env("GONE", "old");
    let v1 = scene.image("v1", old).await?;
    let new = Image::new("v2").env("VERSION", "v2").env("COLOUR", "red");
    let v2 = scene.image("v2", new).await?;
    // The value of COLOUR is that of the image, and still the operator's own.
    scene.run(json!({"Image": v1, "Env": ["EXTRA=1", "COLOUR=blue"]})).await?;
    let new = scene.upgrade(&v2).await?;
    let own: Vec<String> = sorted(&new["Config"]["Env"])
        .into_iter()
        .filter(|entry| !entry.starts_with("PATH="))
        .collect();
    assert_eq!(own, ["COLOUR=blue", "EXTRA=1", "VERSION=v2"]);
    Ok(())
}

#[tokio::test]
async fn c02_entrypoint_and_command_follow_the_image_unless_they_were_asked_for()
-> anyhow::Result<()> {
    let entry =
        |word: &str| format!("ENTRYPOINT [\"/bin/sh\", \"-c\", \"{word}; exec /bin/idle\"]");
    for (asked, entrypoint, command) in [
        (json!({}), "v2", Some("two")),
        (json!({"Cmd": ["mine"]}), "v2", Some("mine")),
        (json!({"Entrypoint": ["/bin/idle"]}), "/bin/idle", None),
        // The same entrypoint as the image's, asked for: the image's command stays away.
        (json!({"Entrypoint": ["/bin/sh", "-c", "true v1; exec /bin/idle"]}), "v1", None),
    ] {
        let scene = Scene::new().await?;
        let old = Image::new("v1").command(&["one"]).change(entry("true v1"));
        let old = old.change("CMD [\"one\"]".to_owned());
        let v1 = scene.image("v1", old).await?;
        let new = Image::new("v2").change(entry("true v2")).command(&["two"]);
        let v2 = scene.image("v2", new).await?;
        let mut body = asked.clone();
        body["Image"] = json!(v1);
        scene.run(body).await?;
        let new = scene.upgrade(&v2).await?;
        let found = new["Config"]["Entrypoint"].to_string();
        assert!(found.contains(entrypoint), "{asked}: {found}");
        let words = new["Config"]["Cmd"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(words.first().and_then(|word| word.as_str()), command, "{asked}");
    }
    Ok(())
}

#[tokio::test]
async fn c02_an_entrypoint_that_was_taken_away_stays_away() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let image = |version| Image::new(version).change("ENTRYPOINT [\"/bin/false\"]".to_owned());
    let (v1, v2) = (scene.image("v1", image("v1")).await?, scene.image("v2", image("v2")).await?);
    scene.run(json!({"Image": v1, "Entrypoint": [""], "Cmd": ["/bin/idle"]})).await?;
    let new = scene.upgrade(&v2).await?;
    assert_eq!(new["Path"], "/bin/idle");
    assert_eq!(new["State"]["Running"], true);
    Ok(())
}

#[tokio::test]
async fn c03_labels_of_the_image_are_replaced_and_those_of_the_operator_stay() -> anyhow::Result<()>
{
    let scene = Scene::new().await?;
    let old = Image::new("v1").label("version", "1").label("only-old", "x").label("tier", "image");
    let v1 = scene.image("v1", old).await?;
    let v2 = scene.image("v2", Image::new("v2").label("version", "2").label("tier", "new")).await?;
    let own = json!({"tier": "mine", "team": "a", "io.wharf.rollout.id": "earlier"});
    scene.run(json!({"Image": v1, "Labels": own})).await?;
    let new = scene.upgrade(&v2).await?;
    assert_eq!(new["Config"]["Labels"], json!({"team": "a", "tier": "mine", "version": "2"}));
    Ok(())
}

#[tokio::test]
async fn c04_directory_user_and_stop_signal_follow_the_image_unless_asked_for() -> anyhow::Result<()>
{
    for (asked, expected) in [
        (json!({}), ["/www", "0", "SIGINT"]),
        (json!({"WorkingDir": "/tmp", "User": "65534", "StopSignal": "2"}), ["/tmp", "65534", "2"]),
    ] {
        let scene = Scene::new().await?;
        let v1 = committed(&scene, "v1", ["/data", "nobody", "SIGTERM"]).await?;
        let v2 = committed(&scene, "v2", ["/www", "0", "SIGINT"]).await?;
        let mut body = asked.clone();
        body["Image"] = json!(v1);
        scene.run(body).await?;
        let new = scene.upgrade(&v2).await?;
        let found = ["WorkingDir", "User", "StopSignal"].map(|key| &new["Config"][key]);
        assert_eq!(found, expected, "{asked}");
    }
    Ok(())
}

/// An image with a directory, a user and a stop signal: an import knows no stop signals.
async fn committed(scene: &Scene, tag: &str, settings: [&str; 3]) -> anyhow::Result<String> {
    let base = scene.image(&format!("{tag}-base"), Image::new(tag)).await?;
    let [directory, user, signal] = settings;
    let body = json!({"Image": base, "WorkingDir": directory, "User": user, "StopSignal": signal});
    let id = scene.create(&scene.other(tag), body).await?;
    let path = format!("/commit?container={id}&repo={}&tag={tag}", scene.name);
    scene.engine.post(&path, None).await?;
    Ok(format!("{}:{tag}", scene.name))
}

#[tokio::test]
async fn c05_exposed_ports_follow_the_image_and_published_ones_stay() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1").change("EXPOSE 80 81 82".to_owned())).await?;
    let v2 = scene.image("v2", Image::new("v2").change("EXPOSE 90".to_owned())).await?;
    let body = json!({
        "Image": v1,
        "ExposedPorts": {"80/tcp": {}, "7000/udp": {}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": ""}]}},
    });
    scene.run(body).await?;
    let new = scene.upgrade(&v2).await?;
    assert_eq!(new["Config"]["ExposedPorts"], json!({"80/tcp": {}, "90/tcp": {}, "7000/udp": {}}));
    Ok(())
}

#[tokio::test]
async fn c06_volumes_of_the_image_follow_it_whatever_their_spelling() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1").change("VOLUME /data/".to_owned())).await?;
    let v2 = scene.image("v2", Image::new("v2").change("VOLUME /other".to_owned())).await?;
    let body = json!({"Image": v1, "Volumes": {"/data": {}, "/mine": {}}});
    scene.run(body).await?;
    let renew = Options {
        anonymous_volumes: wharf_server::rollout::spec::AnonymousVolumes::Renew,
        ..options()
    };
    let recreated = scene.plan(&to_image(&v2)?, &renew).await?.expect("nothing stands against it");
    let new = scene.replace(&recreated).await?;
    assert_eq!(new["Config"]["Volumes"], json!({"/mine": {}, "/other": {}}));
    Ok(())
}

#[tokio::test]
async fn c07_health_check_follows_the_image_field_by_field() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1").healthcheck("test v1 = v1")).await?;
    let new = Image::new("v2")
        .change("HEALTHCHECK --interval=3s --timeout=4s --retries=9 CMD true v2".to_owned());
    let v2 = scene.image("v2", new).await?;
    scene.run(json!({"Image": v1, "Healthcheck": {"Retries": 7}})).await?;
    let new = scene.upgrade(&v2).await?;
    let check = &new["Config"]["Healthcheck"];
    assert!(check["Test"].to_string().contains("true v2"), "{check}");
    assert_eq!(check["Interval"], 3_000_000_000_i64);
    assert_eq!(check["Retries"], 7);
    Ok(())
}

#[tokio::test]
async fn c07_a_health_check_that_was_switched_off_stays_off() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1").healthcheck("true")).await?;
    let v2 = scene.image("v2", Image::new("v2").healthcheck("true")).await?;
    scene.run(json!({"Image": v1, "Healthcheck": {"Test": ["NONE"]}})).await?;
    let new = scene.upgrade(&v2).await?;
    assert_eq!(new["Config"]["Healthcheck"]["Test"], json!(["NONE"]));
    assert!(new["State"]["Health"].is_null(), "{}", new["State"]);
    Ok(())
}

#[tokio::test]
async fn c08_without_the_old_image_nothing_is_guessed() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1").env("VERSION", "v1")).await?;
    let v2 = scene.image("v2", Image::new("v2").env("VERSION", "v2")).await?;
    scene.run(json!({"Image": v1})).await?;
    scene.stop(&scene.name).await?;
    scene.engine.delete(&format!("/images/{v1}?force=1")).await?;
    let change = to_image(&v2)?;
    let refused = scene.plan(&change, &options()).await?.expect_err("the image is gone");
    assert_eq!(refused, ["OLD_IMAGE_MISSING"]);

    let explicit = Options { assume_explicit: true, ..options() };
    let recreated = scene.plan(&change, &explicit).await?.expect("it was allowed");
    assert!(recreated.risks.iter().any(|risk| risk.contains("settings of the old image stay")));
    let new = scene.replace(&recreated).await?;
    assert!(new["Config"]["Env"].to_string().contains("VERSION=v1"));
    Ok(())
}

#[tokio::test]
async fn c09_defaults_of_the_engine_that_were_frozen_are_kept_and_told() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let image = |version| Image::new(version).change("ONBUILD RUN true".to_owned());
    let (v1, v2) = (scene.image("v1", image("v1")).await?, scene.image("v2", image("v2")).await?);
    let body = json!({
        "Image": v1,
        "HostConfig": {
            "LogConfig": {"Type": "local", "Config": {"max-size": "1m"}},
            "ShmSize": 1_048_576,
            "Ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 1024}],
        },
    });
    scene.run(body).await?;
    let old = scene.inspect(&scene.name).await?;
    let recreated = scene.planned(&to_image(&v2)?).await?;
    let told = "it keeps the log driver \"local\"; the Engine's default is \"json-file\"";
    assert!(recreated.risks.iter().any(|risk| risk == told), "{:?}", recreated.risks);
    let new = scene.replace(&recreated).await?;
    for key in ["LogConfig", "ShmSize", "Ulimits", "Runtime", "CgroupnsMode"] {
        assert_eq!(new["HostConfig"][key], old["HostConfig"][key], "{key}");
    }
    Ok(())
}

#[tokio::test]
async fn c10_settings_of_the_host_go_through_as_they_are() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    let v2 = scene.image("v2", Image::new("v2")).await?;
    let body = json!({
        "Image": v1,
        "HostConfig": {
            "NetworkMode": "none",
            "CapAdd": ["NET_ADMIN"],
            "CapDrop": ["MKNOD"],
            "CpuShares": 512,
            "DeviceCgroupRules": ["c 42:* rmw"],
            "ExtraHosts": ["db:10.0.0.1"],
            "GroupAdd": ["1234"],
            "Init": true,
            "MaskedPaths": ["/proc/kcore"],
            "OomScoreAdj": 77,
            "ReadonlyPaths": [],
            "ReadonlyRootfs": true,
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "SecurityOpt": ["no-new-privileges"],
            "StorageOpt": null,
            "Sysctls": {"net.ipv4.ip_forward": "0"},
            "Tmpfs": {"/run": "size=1m"},
            "UTSMode": "",
        },
    });
    scene.run(body).await?;
    let old = scene.inspect(&scene.name).await?;
    let new = scene.upgrade(&v2).await?;
    assert_eq!(new["HostConfig"], old["HostConfig"]);
    Ok(())
}

#[tokio::test]
async fn c35_a_container_whose_image_lost_its_name_is_made_anew_from_the_id() -> anyhow::Result<()>
{
    let scene = Scene::new().await?;
    let v1 = scene.image("v1", Image::new("v1")).await?;
    scene.run(json!({"Image": v1})).await?;
    let image = scene.inspect(&scene.name).await?["Image"].clone();
    // The name goes to another image, as with `latest`.
    scene.image("v1", Image::new("another")).await?;
    let recreated = scene.planned(&Change::default()).await?;
    assert_eq!(recreated.diff, [""; 0]);
    assert!(recreated.risks.iter().any(|risk| risk.contains("now points to another image")));
    let new = scene.replace(&recreated).await?;
    assert_eq!(new["Image"], image);
    Ok(())
}
