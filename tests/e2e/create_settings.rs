//! Settings beyond the everyday ones, many at once, each read back from the Engine; what an Engine
//! does not know is refused before it is asked.

use anyhow::Context;
use serde_json::{Value, json};
use testbed::{Image, Method, unique};

use crate::support::World;

/// Makes a network on the last Engine; returns the first three numbers of its addresses.
async fn network(world: &World, name: &str) -> anyhow::Result<String> {
    for third in 0..=255 {
        let prefix = format!("10.{}.{third}", 128 + std::process::id() % 64);
        let body = json!({
            "Name": name,
            "CheckDuplicate": true,
            "IPAM": { "Config": [{ "Subnet": format!("{prefix}.0/24") }] },
        });
        let answer = world.engines()[2].api(Method::POST, "/networks/create", Some(body)).await?;
        match answer {
            (201, _) => return Ok(prefix),
            (403 | 500, answer) if answer.to_string().contains("overlaps") => {}
            other => anyhow::bail!("creating a network: {other:?}"),
        }
    }
    anyhow::bail!("no free addresses for a network")
}

#[tokio::test]
async fn settings_come_out_in_the_inspection() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1")).await?;
    let (name, front, back) = (unique("web"), unique("front"), unique("back"));
    let (at_front, at_back) = (network(&world, &front).await?, network(&world, &back).await?);
    let cli = &world.cli;
    let second = format!("name={back},ip={at_back}.7,alias=db");
    let ip = format!("{at_front}.9");
    let id_file = cli.home().join("id");
    let id_file = id_file.to_str().context("a path")?;
    let arguments = [
        "run",
        "-d",
        "-H",
        "gamma",
        "--name",
        &name,
        "--cidfile",
        id_file,
        "--network",
        &front,
        "--network",
        &second,
        "--network-alias",
        "web",
        "--ip",
        &ip,
        "--mac-address",
        "02:42:0a:01:02:03",
        "--runtime",
        "runc",
        "--dns-search",
        "example.com",
        "--dns-option",
        "ndots:2",
        "--add-host",
        "six:[::1]",
        "--cgroup-parent",
        "/wharf",
        "--cpu-quota",
        "50000",
        "--cpu-period",
        "100000",
        "-m",
        "128m",
        "--memory-reservation",
        "64m",
        "--userns",
        "host",
        "--cgroupns",
        "private",
        "--oom-score-adj",
        "500",
        "-p",
        "127.0.0.1:28000-28100:80",
        "-h",
        "web.example.com",
        &image,
    ];
    cli.run(&arguments).await?.expect(0)?;
    let found = world.engines()[2].container(&name).await?.context("it was created")?;
    assert_eq!(std::fs::read_to_string(id_file)?, found["Id"].as_str().unwrap_or_default());
    assert_eq!(found["State"]["Running"], true);
    let endpoint = |network: &str| found["NetworkSettings"]["Networks"][network].clone();
    assert_eq!(endpoint(&front)["IPAddress"], json!(ip));
    assert_eq!(endpoint(&front)["MacAddress"], "02:42:0a:01:02:03");
    assert_eq!(endpoint(&back)["IPAddress"], json!(format!("{at_back}.7")));
    for (network, alias) in [(&front, "web"), (&back, "db")] {
        let aliases = endpoint(network)["Aliases"].clone();
        assert!(aliases.as_array().is_some_and(|it| it.contains(&json!(alias))), "{aliases}");
    }
    for (pointer, value) in [
        ("/Config/Hostname", json!("web.example.com")),
        ("/HostConfig/NetworkMode", json!(front)),
        ("/HostConfig/Runtime", json!("runc")),
        ("/HostConfig/DnsSearch", json!(["example.com"])),
        ("/HostConfig/DnsOptions", json!(["ndots:2"])),
        ("/HostConfig/ExtraHosts", json!(["six:::1"])),
        ("/HostConfig/CgroupParent", json!("/wharf")),
        ("/HostConfig/CpuQuota", json!(50_000)),
        ("/HostConfig/CpuPeriod", json!(100_000)),
        ("/HostConfig/MemoryReservation", json!(64 << 20)),
        ("/HostConfig/UsernsMode", json!("host")),
        ("/HostConfig/CgroupnsMode", json!("private")),
        ("/HostConfig/OomScoreAdj", json!(500)),
    ] {
        assert_eq!(found.pointer(pointer), Some(&value), "{pointer}");
    }
    let port = &found["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"];
    let port: u16 = port.as_str().context("a port")?.parse()?;
    assert!((28000..=28100).contains(&port), "{port}");

    // A template of docker shows what was set, with the host.
    let target = format!("gamma/{name}");
    let shown = ["inspect", "-f", "{{.Host}} {{.HostConfig.OomScoreAdj}}", &target];
    assert_eq!(cli.run(&shown).await?.expect(0)?.stdout, "gamma 500\n");
    let filter = format!("name={name}");
    let listed = ["ps", "-f", &filter, "--no-trunc", "--format", "{{.Host}}/{{.Names}} {{.ID}}"];
    let expected = format!("{target} {}\n", found["Id"].as_str().unwrap_or_default());
    assert_eq!(cli.run(&listed).await?.expect(0)?.stdout, expected);

    // The file is there by now, and its container must not be forgotten.
    let again = ["create", "-H", "gamma", "--cidfile", id_file, &image];
    let refused = cli.run(&again).await?.expect(2)?;
    assert!(refused.stderr.contains("cannot create"), "{refused:?}");
    world.engines()[2].delete(&format!("/containers/{name}?force=1")).await?;
    for network in [front, back] {
        world.engines()[2].delete(&format!("/networks/{network}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn devices_are_requested_and_settings_made_empty() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1")).await?;
    let name = unique("web");
    let body = json!({
        "Image": image, "User": "1000", "Hostname": "from-body",
        "HostConfig": { "NetworkMode": "none", "IpcMode": "host" },
    });
    world.cli.write("body.json", &body.to_string())?;
    let arguments = [
        "create",
        "-H",
        "gamma",
        "--name",
        &name,
        "-f",
        "body.json",
        "--user",
        "",
        "--ipc",
        "",
        "--gpus",
        "driver=nvidia,\"device=0,1\"",
    ];
    world.cli.run(&arguments).await?.expect(0)?;
    let found = world.engines()[2].container(&name).await?.context("it was created")?;
    assert_eq!(
        (&found["Config"]["User"], &found["Config"]["Hostname"]),
        (&json!(""), &json!("from-body"))
    );
    assert_eq!(found["HostConfig"]["IpcMode"], "private", "the Engine's default");
    let expected: Value = json!([{
        "Driver": "nvidia", "Count": 0, "DeviceIDs": ["0", "1"], "Capabilities": [["gpu"]],
        "Options": {},
    }]);
    assert_eq!(found["HostConfig"]["DeviceRequests"], expected);

    // Engine 20.10 would drop annotations silently.
    let name = unique("web");
    let annotated =
        ["create", "-H", "gamma", "--name", &name, "--annotation", "a=b", "--network=none", &image];
    let refused = world.cli.run(&annotated).await?.expect(1)?;
    assert!(refused.stderr.contains("annotations requires API version 1.43"), "{refused:?}");
    assert_eq!(world.engines()[2].container(&name).await?, None);
    Ok(())
}
