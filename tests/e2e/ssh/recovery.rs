//! What breaks between `wharfd` and a host over ssh comes back by itself.

use anyhow::ensure;
use rustix::process::Signal;
use testbed::eventually;

use super::Remote;

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
