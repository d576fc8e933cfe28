//! The inventory with the command line, and the information of Engines about themselves and their
//! machines.

use anyhow::Context;
use serde_json::json;
use testbed::{Fleet, Wharfd};
use wharf::v1::check_hosts_response::Event as Checked;
use wharf::v1::get_disk_usage_response::Event as Usage;
use wharf::v1::get_engine_info_response::Event as Info;
use wharf::v1::get_engine_version_response::Event as Version;
use wharf::v1::{
    CheckHostsRequest, GetDiskUsageRequest, GetEngineInfoRequest, GetEngineVersionRequest,
};

use crate::support::{HOSTS, World, all, collect, payload};

#[tokio::test]
async fn hosts_come_and_go_by_command_line() -> anyhow::Result<()> {
    let [alpha, beta, _] = &Fleet::shared().await?.engines;
    let wharfd = Wharfd::start().await?;
    let cli = wharfd.cli()?;
    let run = async |arguments: &[&str], status| cli.run(arguments).await?.expect(status);

    let add = ["host", "add", "alpha", alpha.address(), "--label", "env=prod"];
    run(&add, 0).await?;
    // The same again is no error, another one of the same name is.
    run(&add, 0).await?;
    let taken = run(&["host", "add", "alpha", beta.address()], 2).await?;
    assert!(taken.stderr.contains("HOST_EXISTS"), "{taken:?}");
    let gone = run(&["host", "add", "gone", "unix:///nowhere/docker.sock"], 0).await?;
    assert!(gone.stderr.contains("/nowhere/docker.sock"), "{gone:?}");

    let version = alpha.get("/version").await?;
    let listed = run(&["host", "ls"], 0).await?;
    for said in ["alpha", "env=prod", "gone", version["Version"].as_str().context("a version")?] {
        assert!(listed.stdout.contains(said), "{said}: {listed:?}");
    }
    let lines = run(&["host", "ls", "-o", "json"], 0).await?.json_lines()?;
    let of = |name: &str| {
        let line = lines.iter().find(|line| line["host"] == name || line["name"] == name);
        line.map(ToString::to_string).context("a line")
    };
    assert!(of("alpha")?.contains(version["ApiVersion"].as_str().context("a version")?));
    assert!(of("gone")?.contains("HOST_UNREACHABLE"), "{lines:?}");
    run(&["host", "check", "-H", "alpha"], 0).await?;
    run(&["host", "check"], 1).await?;

    run(&["host", "label", "alpha", "env=test", "rack=7"], 0).await?;
    run(&["ps", "-l", "env=test,rack in (6,7),!tier"], 0).await?;
    run(&["ps", "-l", "env=prod"], 2).await?;
    let inspected = run(&["host", "inspect", "alpha"], 0).await?;
    assert!(inspected.stdout.contains("\"rack\""), "{inspected:?}");

    run(&["host", "rm", "gone"], 0).await?;
    let unknown = run(&["host", "rm", "gone"], 2).await?;
    assert!(unknown.stderr.contains("HOST_NOT_FOUND"), "{unknown:?}");
    let names = run(&["host", "ls", "-o", "name"], 0).await?;
    assert_eq!(names.stdout, "alpha\n");
    Ok(())
}

#[tokio::test]
async fn docker_contexts_are_taken_in() -> anyhow::Result<()> {
    let [alpha, beta, _] = &Fleet::shared().await?.engines;
    let wharfd = Wharfd::start().await?;
    let cli = wharfd.cli()?;
    for (name, engine, directory) in [("lab", alpha, "a"), ("shop", beta, "b")] {
        let meta = json!({
            "Name": name,
            "Metadata": {},
            "Endpoints": { "docker": { "Host": engine.address(), "SkipTLSVerify": false } },
        });
        let path = format!(".docker/contexts/meta/{}/meta.json", directory.repeat(64));
        cli.write(&path, &meta.to_string())?;
    }
    cli.run(&["host", "import"]).await?.expect(0)?;
    let names = cli.run(&["host", "ls", "-o", "name"]).await?.expect(0)?;
    let names: Vec<_> = names.stdout.lines().filter(|name| *name != "default").collect();
    assert_eq!(names, ["lab", "shop"]);
    cli.run(&["ps", "-H", "lab,shop"]).await?.expect(0)?;
    Ok(())
}

#[tokio::test]
async fn engines_tell_of_themselves() -> anyhow::Result<()> {
    let world = World::start().await?;
    let mut system = world.server.system();
    let check = CheckHostsRequest { targets: all(), ..Default::default() };
    let checked = collect(world.server.hosts().check_hosts(check)).await?.all_read();
    let request = GetEngineVersionRequest { targets: all(), ..Default::default() };
    let versions = collect(system.get_engine_version(request)).await?.all_read();
    let request = GetEngineInfoRequest { targets: all(), ..Default::default() };
    let infos = collect(system.get_engine_info(request)).await?.all_read();
    let request = GetDiskUsageRequest { targets: all(), ..Default::default() };
    let usages = collect(system.get_disk_usage(request)).await?.all_read();
    for (host, engine) in HOSTS.iter().zip(world.engines()) {
        let (info, version) = (engine.get("/info").await?, engine.get("/version").await?);
        let status = payload!(checked, host, Checked::Status);
        assert_eq!(status.engine_id, info["ID"]);
        assert_eq!(status.engine_version, version["Version"]);
        assert_eq!(status.max_api_version, version["ApiVersion"]);
        assert!(status.latency.is_some());
        assert_eq!(payload!(versions, host, Version::Version).version, version["Version"]);
        let told = payload!(infos, host, Info::Info);
        assert_eq!(
            (json!(told.engine_id), json!(told.cpus)),
            (info["ID"].clone(), info["NCPU"].clone())
        );
        let usage = payload!(usages, host, Usage::Usage);
        assert!(usage.images.is_some() && usage.containers.is_some());
    }
    for verb in [&["info", "-A"][..], &["version", "-A"], &["df", "-A"]] {
        let output = world.cli.run(verb).await?.expect(0)?;
        assert!(HOSTS.iter().all(|host| output.stdout.contains(host)), "{output:?}");
    }
    Ok(())
}
