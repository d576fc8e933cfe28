//! Creation: accepted and refused bodies, and the settings that come from the image.

use serde_json::{Value, json};
use wharf_server::engine::ErrorKind;

use super::world::{World, container_name, failure, kind, reference};

super::cases![
    a_container_is_created_and_does_not_run,
    settings_of_the_caller_win_over_those_of_the_image,
    an_entry_point_drops_the_command_of_the_image,
    null_is_unset_and_unknown_fields_are_no_error,
    the_body_comes_out_as_it_was_written,
    a_name_is_taken_once,
    a_container_without_a_name_gets_one,
    an_image_that_is_not_there_is_said_to_be_missing,
    bodies_that_make_no_sense_are_refused,
    anonymous_volumes_are_made_and_told,
    a_platform_that_is_not_there_is_a_missing_image,
];

async fn a_container_is_created_and_does_not_run(world: &World<'_>) {
    let image = world.image().await;
    let body = World::body(&image, &json!({}));
    let name = container_name(&world.name("c"));
    let created = world.engine.create_container(Some(&name), None, &body).await.unwrap();
    assert_eq!(created.id.len(), 64);
    assert!(created.warnings.is_empty(), "{created:?}");
    let container = reference(&created.id);
    let seen = world.inspect(&container).await;
    assert_eq!(seen["Name"], json!(format!("/{name}")));
    assert_eq!(seen["State"]["Status"], "created");
    assert_eq!(seen["State"]["Running"], false);
    assert_eq!(seen["State"]["StartedAt"], "0001-01-01T00:00:00Z");
    assert_eq!(seen["Config"]["Image"], json!(image));
    assert_eq!(seen["Config"]["Hostname"], json!(created.id[..12]));
    assert_eq!(seen["Config"]["Cmd"], json!(["/bin/idle"]));
    assert_eq!(seen["Config"]["Env"], json!(["COLOUR=blue"]));
    assert_eq!(seen["Config"]["Labels"], json!({"origin": "image"}));
    assert_eq!(seen["RestartCount"], 0);
    assert_eq!(seen["Path"], "/bin/idle");
    for null in ["Binds", "PortBindings", "CapAdd", "Links", "Ulimits"] {
        assert_eq!(seen["HostConfig"][null], Value::Null, "{null}");
    }
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn settings_of_the_caller_win_over_those_of_the_image(world: &World<'_>) {
    let image = world.image().await;
    let more = json!({
        "Env": ["SHAPE=round", "COLOUR=red"],
        "Labels": {"origin": "caller", "extra": "1"},
        "Cmd": ["/bin/sleep", "1000"],
        "Hostname": "anna",
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGINT",
    });
    let container = world.create("c", &image, more).await;
    let config = world.inspect(&container).await["Config"].take();
    assert_eq!(config["Env"], json!(["SHAPE=round", "COLOUR=red"]));
    assert_eq!(config["Labels"], json!({"origin": "caller", "extra": "1"}));
    assert_eq!(config["Cmd"], json!(["/bin/sleep", "1000"]));
    assert_eq!(config["Hostname"], "anna");
    assert_eq!(config["ExposedPorts"], json!({"80/tcp": {}}));
    assert_eq!(config["StopSignal"], "SIGINT");
    let partly = world.create("d", &image, json!({"Env": ["SHAPE=round"]})).await;
    let env = world.inspect(&partly).await["Config"]["Env"].take();
    assert_eq!(env, json!(["SHAPE=round", "COLOUR=blue"]), "the caller's come first");
    world.clean(&[&container, &partly]).await;
    world.clean_images(&[&image]).await;
}

async fn an_entry_point_drops_the_command_of_the_image(world: &World<'_>) {
    let image = world.image().await;
    let container = world.create("c", &image, json!({"Entrypoint": ["/bin/true"]})).await;
    let seen = world.inspect(&container).await;
    assert_eq!(seen["Config"]["Cmd"], Value::Null);
    assert_eq!((&seen["Path"], &seen["Args"]), (&json!("/bin/true"), &json!([])));
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn null_is_unset_and_unknown_fields_are_no_error(world: &World<'_>) {
    let image = world.image().await;
    let more = json!({
        "Env": null, "Labels": null, "Cmd": null, "Healthcheck": null,
        "Unheard": {"of": [1, 2]},
        "HostConfig": {"Binds": null, "UnheardOf": true, "RestartPolicy": {"Name": ""}},
    });
    let container = world.create("c", &image, more).await;
    let seen = world.inspect(&container).await;
    assert_eq!(seen["Config"]["Cmd"], json!(["/bin/idle"]));
    assert_eq!(seen["Config"]["Env"], json!(["COLOUR=blue"]));
    assert_eq!(seen["HostConfig"]["Binds"], Value::Null);
    let text = world.create("text", &image, json!({"Cmd": "/bin/true"})).await;
    let cmd = world.inspect(&text).await["Config"]["Cmd"].take();
    assert_eq!(cmd, json!(["/bin/true"]), "a text is a list of one");
    world.clean(&[&container, &text]).await;
    world.clean_images(&[&image]).await;
}

async fn the_body_comes_out_as_it_was_written(world: &World<'_>) {
    let image = world.image().await;
    let body = json!({
        "Env": ["CLOUD_PORT=4000", "CLOUD_APP_NAME=cloud"],
        "Cmd": ["pm2", "start", "app.js", "-i", "2"],
        "Image": image,
        "Volumes": {"/usr/src/logs": {}},
        "HostConfig": {
            "Binds": ["/tmp/:/usr/src/logs", "/etc/localtime:/etc/localtime:ro"],
            "RestartPolicy": {"Name": "unless-stopped"},
            "NetworkMode": "host",
        },
    });
    let container = reference(&world.try_create("c", &body).await.unwrap());
    let seen = world.inspect(&container).await;
    assert_eq!(seen["Config"]["Cmd"], body["Cmd"]);
    assert_eq!(
        seen["Config"]["Env"],
        json!(["CLOUD_PORT=4000", "CLOUD_APP_NAME=cloud", "COLOUR=blue"])
    );
    assert_eq!(seen["Config"]["Volumes"], body["Volumes"]);
    assert_eq!(seen["HostConfig"]["Binds"], body["HostConfig"]["Binds"]);
    assert_eq!(seen["HostConfig"]["NetworkMode"], "host");
    assert_eq!(
        seen["HostConfig"]["RestartPolicy"],
        json!({"Name": "unless-stopped", "MaximumRetryCount": 0})
    );
    let mounts = seen["Mounts"].as_array().unwrap();
    assert_eq!(mounts.len(), 2, "the bind takes the place of the volume: {mounts:?}");
    let read_only = |path: &str| {
        mounts.iter().find(|mount| mount["Destination"] == path).map(|mount| &mount["RW"])
    };
    assert_eq!(read_only("/etc/localtime"), Some(&json!(false)));
    assert_eq!(read_only("/usr/src/logs"), Some(&json!(true)));
    world.clean(&[&container]).await;
    world.clean_images(&[&image]).await;
}

async fn a_name_is_taken_once(world: &World<'_>) {
    let image = world.image().await;
    let holder = world.create("c", &image, json!({})).await;
    let refused = failure(world.try_create("c", &World::body(&image, &json!({}))).await);
    assert_eq!(refused.kind, ErrorKind::NameInUse);
    assert_eq!(refused.http_status, Some(409));
    assert!(refused.message.contains(holder.as_str()), "it says who has it: {refused}");
    world.clean(&[&holder]).await;
    let again = world.create("c", &image, json!({})).await;
    world.clean(&[&again]).await;
    world.clean_images(&[&image]).await;
}

async fn a_container_without_a_name_gets_one(world: &World<'_>) {
    let image = world.image().await;
    let body = World::body(&image, &json!({}));
    let first = world.engine.create_container(None, None, &body).await.unwrap();
    let second = world.engine.create_container(None, None, &body).await.unwrap();
    let (first, second) = (reference(&first.id), reference(&second.id));
    let name =
        async |container| world.inspect(container).await["Name"].as_str().unwrap().to_owned();
    let (a, b) = (name(&first).await, name(&second).await);
    assert!(a.len() > 2 && b.len() > 2 && a != b, "{a} {b}");
    world.clean(&[&first, &second]).await;
    world.clean_images(&[&image]).await;
}

async fn an_image_that_is_not_there_is_said_to_be_missing(world: &World<'_>) {
    let missing = format!("{}:v1", world.name("nothing"));
    let refused = failure(world.try_create("c", &json!({"Image": missing})).await);
    assert_eq!(refused.kind, ErrorKind::ImageNotFound);
    assert!(refused.message.contains(&missing), "{refused}");
}

async fn bodies_that_make_no_sense_are_refused(world: &World<'_>) {
    let image = world.image().await;
    for body in [
        json!({"Image": 3}),
        json!({"Image": image, "Env": "A=b"}),
        json!({"Image": image, "Labels": ["a"]}),
        json!({"Image": image, "Tty": "yes"}),
        json!({"Image": image, "StopSignal": "SIGNOSUCH"}),
        json!({"Image": image, "HostConfig": {"RestartPolicy": {"Name": "sometimes"}}}),
        json!({"Image": image, "HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}}),
        json!({"Image": image, "HostConfig": {"AutoRemove": true, "RestartPolicy": {"Name": "always"}}}),
        json!({"Image": image, "HostConfig": {"Memory": 1000}}),
        json!({}),
        json!({"HostConfig": {}}),
    ] {
        let refused = failure(world.try_create("c", &body).await);
        assert_eq!(refused.kind, ErrorKind::BadRequest, "{body}: {refused}");
    }
    world.clean_images(&[&image]).await;
}

async fn anonymous_volumes_are_made_and_told(world: &World<'_>) {
    let image = world.image().await;
    let container = world.create("c", &image, json!({"Volumes": {"/data": {}}})).await;
    let mounts = world.inspect(&container).await["Mounts"].take();
    assert_eq!(mounts[0]["Type"], "volume");
    assert_eq!(mounts[0]["Destination"], "/data");
    let name = mounts[0]["Name"].as_str().unwrap().to_owned();
    assert_eq!(name.len(), 64, "{mounts}");
    let heir = world
        .create(
            "heir",
            &image,
            json!({"HostConfig": {"Mounts": [{"Type": "volume", "Source": name, "Target": "/data"}]}}),
        )
        .await;
    world.engine.remove_container(&container, false, true).await.unwrap();
    assert_eq!(world.inspect(&heir).await["Mounts"][0]["Name"], json!(name), "it is in use");
    world.clean(&[&heir]).await;
    world.clean_images(&[&image]).await;
}

async fn a_platform_that_is_not_there_is_a_missing_image(world: &World<'_>) {
    let image = world.image().await;
    let body = World::body(&image, &json!({}));
    let refused = kind(world.engine.create_container(None, Some("linux/s390x"), &body).await);
    if world.api_version().await.minor >= 41 {
        assert_eq!(refused, ErrorKind::ImageNotFound);
    } else {
        assert_eq!(refused, ErrorKind::Unsupported);
    }
    world.clean_images(&[&image]).await;
}
