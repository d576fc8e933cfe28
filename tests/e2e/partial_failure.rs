//! One host answers, one hangs, one is gone: each has its own result, and none delays another.

use std::time::Duration;

use anyhow::Context;
use testbed::{Engine, Fleet, Image, Wharf, Wharfd, unique};
use tonic::{Code, Request};
use wharf::v1::list_containers_response::Event as Listed;
use wharf::v1::{FanoutOptions, ListContainersRequest, StopContainersRequest};

use crate::support::{Server, all, collect, payload};

/// A healthy Engine, one that is stopped with SIGSTOP, and one that is killed; a container of the
/// same name ran on each.
struct Damaged {
    healthy: &'static Engine,
    frozen: Engine,
    _killed: Engine,
    _wharfd: Wharfd,
    server: Server,
    cli: Wharf,
    container: String,
}

impl Damaged {
    async fn start() -> anyhow::Result<Damaged> {
        let healthy = &Fleet::shared().await?.engines[0];
        let (frozen, killed) = tokio::try_join!(Engine::start(), Engine::start())?;
        let wharfd = Wharfd::start().await?;
        let server = Server::of(&wharfd).await?;
        let container = unique("web");
        for (host, engine) in [("frozen", &frozen), ("healthy", healthy), ("killed", &killed)] {
            server.add(host, engine.address()).await?;
            let image = format!("{}:v1", unique("app"));
            engine.import(&image, &Image::new("v1")).await?;
            engine.run(&container, &image).await?;
        }
        // With all of them there is a connection, as in real life.
        let list = ListContainersRequest { targets: all(), ..Default::default() };
        let hosts = ["frozen", "healthy", "killed"];
        collect(server.containers().list_containers(list)).await?.done_on(&hosts, false);
        frozen.freeze();
        killed.kill();
        let cli = wharfd.cli()?;
        Ok(Damaged { healthy, frozen, _killed: killed, _wharfd: wharfd, server, cli, container })
    }
}

fn within(seconds: i64) -> Option<FanoutOptions> {
    let host_timeout = Some(prost_types::Duration { seconds, nanos: 0 });
    Some(FanoutOptions { host_timeout, ..Default::default() })
}

#[tokio::test]
async fn read_returns_the_healthy_host_at_once_and_the_others_with_their_errors()
-> anyhow::Result<()> {
    let damaged = Damaged::start().await?;
    let mut client = damaged.server.containers();
    let request = ListContainersRequest { targets: all(), fanout: within(2), ..Default::default() };
    let listed = collect(client.list_containers(request.clone())).await?;
    // Enough hosts answered for a read; the summary counts the others.
    assert!(listed.end.is_none(), "{listed:#?}");
    let summary = listed.summary.as_ref().context("a summary")?;
    assert_eq!((summary.succeeded, summary.failed), (1, 2));
    let batch = payload!(listed, "healthy", Listed::Batch);
    assert!(batch.containers.iter().any(|container| container.name == damaged.container));
    // The frozen one is last, by its budget; the healthy one did not wait for it.
    assert_eq!(listed.order.last().map(String::as_str), Some("frozen"));
    let elapsed = |host: &str| {
        let elapsed = listed.outcomes[host].elapsed.as_ref().expect("a time");
        (elapsed.seconds, elapsed.nanos)
    };
    assert!(elapsed("healthy") < elapsed("frozen"));
    assert!(elapsed("frozen").0 >= 2, "{listed:#?}");
    let (code, reason, message) = listed.failure("frozen").context("an error")?;
    assert_eq!((code, &*reason), (Code::DeadlineExceeded, "HOST_TIMEOUT"), "{message}");
    let (code, reason, message) = listed.failure("killed").context("an error")?;
    assert_eq!((code, &*reason), (Code::Unavailable, "HOST_UNREACHABLE"), "{message}");

    // The budget also comes from the deadline of the caller, who still hears of every host.
    let mut with_deadline = Request::new(ListContainersRequest { fanout: None, ..request });
    with_deadline.set_timeout(Duration::from_secs(3));
    let listed = collect(client.list_containers(with_deadline)).await?;
    assert!(listed.end.is_none(), "{listed:#?}");
    assert_eq!(listed.failure("frozen").context("an error")?.1, "HOST_TIMEOUT");
    assert_eq!(listed.failure("healthy"), None);
    Ok(())
}

#[tokio::test]
async fn write_ends_aborted_after_all_outcomes() -> anyhow::Result<()> {
    let damaged = Damaged::start().await?;
    let request = StopContainersRequest {
        targets: all(),
        fanout: within(3),
        containers: vec![damaged.container.clone()],
        ..Default::default()
    };
    let stopped = collect(damaged.server.containers().stop_containers(request)).await?;
    assert_eq!(stopped.ending(), (Code::Aborted, "SOME_HOSTS_FAILED".to_owned()));
    assert_eq!(stopped.failure("healthy"), None);
    assert!(stopped.outcomes["healthy"].changed);
    assert_eq!(stopped.failure("frozen").context("an error")?.1, "HOST_TIMEOUT");
    assert_eq!(stopped.failure("killed").context("an error")?.1, "HOST_UNREACHABLE");
    let state = damaged.healthy.container(&damaged.container).await?.context("it is there")?;
    assert_eq!(state["State"]["Status"], "exited");

    // The frozen host is as good as new afterwards.
    damaged.frozen.thaw();
    let request = ListContainersRequest { targets: all(), ..Default::default() };
    let listed = collect(damaged.server.containers().list_containers(request)).await?;
    assert_eq!(listed.failure("frozen"), None);
    Ok(())
}

#[tokio::test]
async fn command_line_tells_of_each_host_and_ends_with_1() -> anyhow::Result<()> {
    let damaged = Damaged::start().await?;
    let cli = &damaged.cli;
    let listed = cli.run(&["ps", "-A", "--host-timeout", "2s"]).await?.expect(1)?;
    assert!(listed.stdout.contains(&damaged.container), "{listed:?}");
    let line = |host: &str, reason: &str| {
        listed.stderr.lines().any(|line| line.contains(host) && line.contains(reason))
    };
    assert!(line("frozen", "HOST_TIMEOUT"), "{listed:?}");
    assert!(line("killed", "HOST_UNREACHABLE"), "{listed:?}");
    assert!(listed.stderr.contains("1 of 3 hosts succeeded"), "{listed:?}");

    let arguments = ["stop", "-A", "--host-timeout", "3s", "-o", "json", &damaged.container];
    let stopped = cli.run(&arguments).await?.expect(1)?;
    let lines = stopped.json_lines()?;
    let of = |host: &str| lines.iter().find(|line| line["host"] == host).context("a line");
    assert_eq!(of("healthy")?["changed"], true);
    assert_eq!(of("frozen")?["error"]["reason"], "HOST_TIMEOUT");
    assert_eq!(of("killed")?["error"]["reason"], "HOST_UNREACHABLE");

    let hosts = cli.run(&["host", "ls", "--host-timeout", "2s"]).await?;
    for host in ["frozen", "healthy", "killed"] {
        assert!(hosts.stdout.contains(host), "{hosts:?}");
    }
    Ok(())
}
