//! The flags that people know from `docker run`, each read back from the Engine.

use anyhow::Context;
use serde_json::json;
use testbed::{Image, unique};

use crate::support::World;

#[tokio::test]
async fn flags_of_docker_run_come_out_in_the_inspection() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1").healthcheck("true")).await?;
    let name = unique("web");
    let cli = &world.cli;
    let data = cli.home().join("data");
    std::fs::create_dir_all(&data)?;
    cli.write("env", "# of a file\nFROM_FILE=1\nA=file\n")?;
    cli.write("labels", "from.file=1\n")?;
    let bind = format!("{}:/data:ro", data.display());
    let mount = format!("type=bind,source={},target=/mnt,readonly", data.display());
    let arguments = [
        "create",
        "-H",
        "gamma",
        "--name",
        &name,
        "-e",
        "A=1",
        "-e",
        "SPACES=a b",
        "--env-file",
        "env",
        "--label",
        "k=v",
        "--label-file",
        "labels",
        "-v",
        &bind,
        "-v",
        "named:/named",
        "--mount",
        &mount,
        "--tmpfs",
        "/run:size=1m",
        "-p",
        "127.0.0.1:8081:80",
        "-p",
        "53:53/udp",
        "--expose",
        "9000",
        "--network",
        "none",
        "--hostname",
        "h",
        "--restart",
        "on-failure:3",
        "--entrypoint",
        "/bin/sh",
        "-u",
        "65534:65534",
        "-w",
        "/data",
        "-m",
        "128m",
        "--memory-swap",
        "256m",
        "--cpus",
        "1.5",
        "-c",
        "512",
        "--pids-limit",
        "50",
        "--cpuset-cpus",
        "0",
        "--ulimit",
        "nofile=100:200",
        "--shm-size",
        "32m",
        "--health-cmd",
        "test -e /version",
        "--health-interval",
        "7s",
        "--health-retries",
        "4",
        "--health-timeout",
        "2s",
        "--health-start-period",
        "1m",
        "--cap-add",
        "NET_ADMIN",
        "--cap-drop",
        "MKNOD",
        "--init",
        "--read-only",
        "--security-opt",
        "no-new-privileges",
        "--device",
        "/dev/null:/dev/nothing",
        "--log-driver",
        "json-file",
        "--log-opt",
        "max-size=1m",
        "--stop-signal",
        "SIGINT",
        "--stop-timeout",
        "33",
        "-t",
        "-i",
        "--dns",
        "127.0.0.1",
        "--add-host",
        "other:10.0.0.1",
        "--group-add",
        "7",
        "--sysctl",
        "net.ipv4.ip_forward=1",
        "--ipc",
        "private",
        &image,
        "-c",
        "exec /bin/idle",
    ];
    cli.run(&arguments).await?.expect(0)?;
    let found = world.engines()[2].container(&name).await?.context("it was created")?;
    let expected = [
        ("/Config/Entrypoint", json!(["/bin/sh"])),
        ("/Config/Cmd", json!(["-c", "exec /bin/idle"])),
        ("/Config/Labels/k", json!("v")),
        ("/Config/Labels/from.file", json!("1")),
        ("/Config/User", json!("65534:65534")),
        ("/Config/WorkingDir", json!("/data")),
        ("/Config/Hostname", json!("h")),
        ("/Config/Tty", json!(true)),
        ("/Config/OpenStdin", json!(true)),
        ("/Config/StopSignal", json!("SIGINT")),
        ("/Config/StopTimeout", json!(33)),
        ("/Config/ExposedPorts", json!({ "80/tcp": {}, "53/udp": {}, "9000/tcp": {} })),
        ("/Config/Healthcheck/Test", json!(["CMD-SHELL", "test -e /version"])),
        ("/Config/Healthcheck/Interval", json!(7_000_000_000_i64)),
        ("/Config/Healthcheck/Timeout", json!(2_000_000_000_i64)),
        ("/Config/Healthcheck/StartPeriod", json!(60_000_000_000_i64)),
        ("/Config/Healthcheck/Retries", json!(4)),
        ("/HostConfig/Binds", json!([bind, "named:/named"])),
        ("/HostConfig/Tmpfs", json!({ "/run": "size=1m" })),
        (
            "/HostConfig/PortBindings",
            json!({
                "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "8081" }],
                "53/udp": [{ "HostIp": "", "HostPort": "53" }],
            }),
        ),
        ("/HostConfig/NetworkMode", json!("none")),
        ("/HostConfig/RestartPolicy", json!({ "Name": "on-failure", "MaximumRetryCount": 3 })),
        ("/HostConfig/Memory", json!(128 << 20)),
        ("/HostConfig/MemorySwap", json!(256 << 20)),
        ("/HostConfig/NanoCpus", json!(1_500_000_000)),
        ("/HostConfig/CpuShares", json!(512)),
        ("/HostConfig/CpusetCpus", json!("0")),
        ("/HostConfig/PidsLimit", json!(50)),
        ("/HostConfig/Ulimits", json!([{ "Name": "nofile", "Soft": 100, "Hard": 200 }])),
        ("/HostConfig/ShmSize", json!(32 << 20)),
        ("/HostConfig/CapAdd", json!(["NET_ADMIN"])),
        ("/HostConfig/CapDrop", json!(["MKNOD"])),
        ("/HostConfig/Init", json!(true)),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/SecurityOpt", json!(["no-new-privileges"])),
        (
            "/HostConfig/Devices",
            json!([{
                "PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "rwm",
            }]),
        ),
        ("/HostConfig/LogConfig", json!({ "Type": "json-file", "Config": { "max-size": "1m" } })),
        ("/HostConfig/Dns", json!(["127.0.0.1"])),
        ("/HostConfig/ExtraHosts", json!(["other:10.0.0.1"])),
        ("/HostConfig/GroupAdd", json!(["7"])),
        ("/HostConfig/Sysctls", json!({ "net.ipv4.ip_forward": "1" })),
        ("/HostConfig/IpcMode", json!("private")),
        ("/HostConfig/Mounts/0/Target", json!("/mnt")),
        ("/HostConfig/Mounts/0/ReadOnly", json!(true)),
    ];
    for (pointer, value) in expected {
        assert_eq!(found.pointer(pointer), Some(&value), "{pointer}");
    }
    let env = found["Config"]["Env"].as_array().context("a list")?;
    for variable in ["A=1", "SPACES=a b", "FROM_FILE=1"] {
        assert!(env.contains(&json!(variable)), "{variable} in {env:?}");
    }

    // `--rm` cannot go with a restart policy, so it has a container of its own.
    let name = unique("web");
    let arguments = ["create", "-H", "gamma", "--name", &name, "--rm", "--no-healthcheck", &image];
    cli.run(&arguments).await?.expect(0)?;
    let found = world.engines()[2].container(&name).await?.context("it was created")?;
    assert_eq!(found["HostConfig"]["AutoRemove"], true);
    assert_eq!(found["Config"]["Healthcheck"]["Test"], json!(["NONE"]));
    Ok(())
}
