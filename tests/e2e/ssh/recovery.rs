//! What breaks between `wharfd` and a host over ssh comes back by itself.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use rustix::process::Signal;
use serde_json::Value;
use testbed::{eventually, unique};

use super::Remote;
use crate::logs::process::Running;
use crate::support::HOSTS;

#[tokio::test]
async fn a_rollout_under_way_survives_the_end_of_ssh_and_a_restart_of_sshd() -> anyhow::Result<()> {
    let remote = Remote::start("").await?;
    let name = remote.run_container().await?;
    let image = remote.push("v2").await?;
    let cli = remote.cli.clone();
    // Long enough that the first host is still at its gate when everything breaks.
    let start = ["rollout", "start", &name, "-A", "--image", &image, "--min-healthy-time", "3s"];
    let start = start.map(str::to_owned);
    let rollout = tokio::spawn(async move { cli.run(&start).await });
    // One host has the new version, the others not all of them.
    eventually("the first host", async || {
        let images = remote.images(&name).await?;
        ensure!(images.contains(&image), "{images:?}");
        Ok(())
    })
    .await?;
    for process in remote.processes() {
        process.signal(Signal::KILL);
    }
    remote.sshd.kill();
    eventually("the host to be away", async || {
        let output = remote.cli.run(&["ps", "-H", "alpha"]).await?;
        ensure!(output.stderr.contains("HOST_UNREACHABLE"), "{output:#?}");
        Ok(())
    })
    .await?;
    assert!(!rollout.is_finished());
    remote.sshd.restart().await?;
    rollout.await??.expect(0)?;
    assert_eq!(remote.images(&name).await?, vec![image; 3]);
    Ok(())
}

#[tokio::test]
async fn a_killed_ssh_is_started_again_and_no_read_fails() -> anyhow::Result<()> {
    let remote = Remote::start("").await?;
    remote.cli.run(&["ps"]).await?.expect(0)?;
    for _ in 0..5 {
        let killed = remote.processes();
        assert!(!killed.is_empty());
        for process in &killed {
            process.signal(Signal::KILL);
        }
        eventually("their end", async || {
            ensure!(!killed.iter().any(|process| process.is_alive()));
            Ok(())
        })
        .await?;
        remote.cli.run(&["ps"]).await?.expect(0)?;
    }
    Ok(())
}

/// The numbers of the lines that `wharf logs -o json` has printed for each host.
fn numbers(stdout: &str) -> anyhow::Result<BTreeMap<String, Vec<usize>>> {
    let mut numbers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    // The last line may not be complete yet.
    for line in stdout.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let line: Value = serde_json::from_str(line)?;
        if line["type"] == "line" {
            let host = line["host"].as_str().context("a host")?.to_owned();
            numbers.entry(host).or_default().push(line["line"].as_str().context("text")?.parse()?);
        }
    }
    Ok(numbers)
}

#[tokio::test]
async fn a_followed_log_loses_and_doubles_no_line() -> anyhow::Result<()> {
    let remote = Remote::start("").await?;
    let (name, image) = (unique("counter"), remote.push("v1").await?);
    remote.cli.run(&["pull", "-A", &image]).await?.expect(0)?;
    let count = "trap 'exit 0' TERM; i=0; while :; do echo $i; i=$((i + 1)); sleep 0.1; done";
    let run = ["run", "-d", "-A", "--name", &name, "--network", "none", &image, "sh", "-c", count];
    remote.cli.run(&run).await?.expect(0)?;
    let mut logs = Running::start(&remote.cli, &["-f", "-A", "-o", "json", &name])?;
    // Each host has five more lines than now.
    let more = async || {
        let so_far = numbers(&logs.stdout()?)?;
        eventually("five more lines of each host", async || {
            let now = numbers(&logs.stdout()?)?;
            let count = |of: &BTreeMap<String, Vec<usize>>, host| of.get(host).map_or(0, Vec::len);
            ensure!(HOSTS.iter().all(|host| count(&now, *host) >= count(&so_far, *host) + 5));
            Ok(())
        })
        .await
    };
    more().await?;
    for process in remote.processes() {
        process.signal(Signal::KILL);
    }
    more().await?;
    for process in remote.processes() {
        process.signal(Signal::KILL);
    }
    remote.sshd.kill();
    logs.until("a gap of each host", |stdout, _| {
        HOSTS.iter().all(|host| {
            let gap = |line: &str| line.contains("\"gap\"") && line.contains(host);
            stdout.lines().any(gap)
        })
    })
    .await?;
    remote.sshd.restart().await?;
    more().await?;
    logs.interrupt()?;
    ensure!(logs.end().await? == Some(130), "{}", logs.stderr()?);
    for (host, numbers) in numbers(&logs.stdout()?)? {
        ensure!(numbers.iter().copied().eq(0..numbers.len()), "{host}: {numbers:?}");
    }
    remote.cli.run(&["rm", "-f", "-A", &name]).await?.expect(0)?;
    Ok(())
}

/// The other end of the connections accepts everything and answers nothing, as behind a router
/// that forgot them.
#[tokio::test]
async fn a_frozen_connection_is_given_up_and_replaced() -> anyhow::Result<()> {
    let remote = Remote::start("").await?;
    remote.cli.run(&["ps"]).await?.expect(0)?;
    let frozen = remote.sshd.sessions();
    assert_eq!(frozen.len(), 3);
    for session in &frozen {
        session.signal(Signal::STOP);
    }
    let back = eventually("an answer over a new connection", async || {
        remote.cli.run(&["ps", "--host-timeout", "5s"]).await?.expect(0)
    })
    .await;
    for session in &frozen {
        session.signal(Signal::KILL);
    }
    back?;
    Ok(())
}
