//! The cost of an idle `wharfd`, and how it stops.

use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use testbed::{Image, unique};
use tonic::Code;
use wharf::v1::{
    CheckHostsRequest, GetServerInfoRequest, ListContainersRequest, WaitContainersRequest,
};

use crate::support::{World, all, collect, reason};

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the number is worth knowing")]
async fn idles_below_forty_megabytes_with_three_hosts() -> anyhow::Result<()> {
    let world = World::start().await?;
    let list = ListContainersRequest { targets: all(), all: true, ..Default::default() };
    collect(world.server.containers().list_containers(list)).await?.all_read();
    let check = CheckHostsRequest { targets: all(), ..Default::default() };
    collect(world.server.hosts().check_hosts(check)).await?.all_read();
    let resident = world.wharfd.resident_bytes()?;
    let process = format!("/proc/{}", world.wharfd.pid());
    let executable = std::fs::metadata(format!("{process}/exe"))?.len();
    let status = std::fs::read_to_string(format!("{process}/status"))?;
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let own = own.and_then(|line| line.trim().strip_suffix(" kB")).context("no RssAnon")?;
    let own = own.parse::<u64>()? * 1024;
    // Shown by `--nocapture`.
    println!("wharfd of {executable} bytes: {resident} bytes resident, {own} of them its own");
    assert!(own < 20_000_000, "{own} bytes");
    // The pages of the executable count as well, and one that is not optimized has far more of
    // them than the one that people run.
    if executable < 40_000_000 {
        assert!(resident < 40_000_000, "{resident} bytes");
    }
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_open_streams_unavailable_within_two_seconds() -> anyhow::Result<()> {
    let world = World::start().await?;
    let image = world.image(&Image::new("v1")).await?;
    let name = unique("web");
    world.run(&name, &image).await?;
    let wait = WaitContainersRequest {
        targets: all(),
        containers: vec![name.clone()],
        ..Default::default()
    };
    let mut stream = world.server.containers().wait_containers(wait).await?.into_inner();
    stream.next().await.context("`started`")??;
    let mut waiting = world.cli.command(&["wait", "-A", &name])?;
    let waiting = waiting
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    // A client that never says anything must not hold the end up either.
    let socket = world.wharfd.address().replace("unix://", "");
    let _silent = tokio::net::UnixStream::connect(socket).await?;

    let (status, took) = world.wharfd.terminate().await?;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
    let end = loop {
        match stream.next().await.context("an end")? {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!((end.code(), &*reason(&end)), (Code::Unavailable, "SERVER_STOPPING"));
    let output = waiting.wait_with_output().await?;
    assert!(matches!(output.status.code(), Some(1 | 2)), "{output:?}");
    // The containers have not noticed.
    assert_eq!(world.states(&name).await?, ["running"; 3]);

    world.wharfd.restart().await?;
    let info = world.cli.run(&["version"]).await?.expect(0)?;
    assert!(info.stdout.contains(env!("CARGO_PKG_VERSION")), "{info:?}");
    Ok(())
}

#[tokio::test]
async fn ready_line_comes_first_and_names_the_place() -> anyhow::Result<()> {
    let world = World::start().await?;
    let address = world.wharfd.address();
    assert_eq!(
        world.wharfd.stdout(),
        format!("wharfd {} is ready on {address}\n", env!("CARGO_PKG_VERSION"))
    );
    let info = world.server.system().get_server_info(GetServerInfoRequest {}).await?.into_inner();
    assert_eq!((info.hosts, info.default_max_parallel), (3, 256));
    Ok(())
}
