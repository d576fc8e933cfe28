//! `wharf rollout` from the user's view: output, exit status, and the resulting state of the
//! Engines.

use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::Value;
use testbed::{Image, unique};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::support::World;

/// A container on three Engines, and two images that may replace its own.
struct Shop {
    world: World,
    name: String,
    /// Image IDs by host: the old ones and the new ones.
    old: [Value; 3],
    good: String,
    broken: String,
}

/// Quick, and without a registry.
const QUICK: [&str; 6] =
    ["--pull-policy", "never", "--min-healthy-time", "300ms", "--monitor", "300ms"];

impl Shop {
    async fn open() -> anyhow::Result<Shop> {
        let world = World::start().await?;
        let name = unique("shop");
        let image = world.image(&Image::new("v1")).await?;
        world.run(&name, &image).await?;
        let old = world.read(&name, "/Image").await?;
        let good = world.image(&Image::new("v2")).await?;
        let crash = ["/bin/sh", "-c", "printf '\\033[2Jno such table\\n'; exit 3"];
        let broken = world.image(&Image::new("v3").command(&crash)).await?;
        Ok(Shop { world, name, old, good, broken })
    }

    fn start<'a>(&'a self, image: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let start = ["rollout", "start", &self.name, "-A", "--image", image];
        [&start[..], &QUICK, more].concat()
    }

    async fn expect_running(&self, on_old: [bool; 3]) -> anyhow::Result<()> {
        let images = self.world.read(&self.name, "/Image").await?;
        let found = [0, 1, 2].map(|host| images[host] == self.old[host]);
        ensure!(found == on_old, "on the old image: {found:?}, expected {on_old:?}");
        assert_eq!(self.world.states(&self.name).await?, ["running"; 3].map(Value::from));
        Ok(())
    }
}

/// A command whose output is read as it comes.
struct Following {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn of(shop: &Shop, arguments: &[&str]) -> anyhow::Result<Following> {
        let mut child = shop
            .world
            .cli
            .command(arguments)?
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().context("a pipe")?;
        Ok(Following { child, lines: BufReader::new(stdout).lines() })
    }

    /// Reads up to a line that contains `text`.
    async fn until(&mut self, text: &str) -> anyhow::Result<String> {
        let mut seen = Vec::new();
        while let Some(line) = self.lines.next_line().await? {
            if line.contains(text) {
                return Ok(line);
            }
            seen.push(line);
        }
        anyhow::bail!("no line with {text:?} in {seen:#?}")
    }
}

#[tokio::test]
async fn an_upgrade_is_followed_and_undone_with_what_its_last_line_says() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let cli = &shop.world.cli;
    let started = cli.run(&shop.start(&shop.good, &[])).await?.expect(0)?;
    shop.expect_running([false; 3]).await?;
    let last = started.stdout.lines().last().context("a last line")?;
    assert!(last.contains("succeeded on 3 hosts"), "{last}");
    let undo = last.split_once("to undo it, run: wharf ").context("a way back")?.1;
    let undo: Vec<&str> = undo.split(' ').chain(["--max-parallel", "3", "-q"]).collect();
    let undone = cli.run(&undo).await?.expect(0)?;
    assert_eq!(undone.stdout.lines().count(), 1, "{undone:?}");
    shop.expect_running([true; 3]).await?;
    let history = cli.run(&["rollout", "history", &shop.name]).await?.expect(0)?;
    assert!(history.stdout.contains("undo of"), "{}", history.stdout);
    Ok(())
}

#[tokio::test]
async fn a_broken_image_ends_with_1_and_the_log_of_the_first_host() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let cli = &shop.world.cli;
    let rollback = shop.start(&shop.broken, &["--on-failure", "rollback"]);
    let failed = cli.run(&rollback).await?.expect(1)?;
    for line in ["alpha: failed at gate: ", "alpha: |  [2Jno such table", "alpha: restored: "] {
        assert!(failed.stdout.lines().any(|it| it.starts_with(line)), "{line}: {}", failed.stdout);
    }
    // What the container wrote for the terminal does not reach it.
    assert!(!failed.stdout.contains('\u{1b}'), "{:?}", failed.stdout);
    assert!(!failed.stdout.contains("beta: updating"), "{}", failed.stdout);
    let last = failed.stdout.lines().last().unwrap_or_default();
    assert!(last.contains("was rolled back") && last.contains("wharf rollout show "), "{last}");
    shop.expect_running([true; 3]).await?;

    // Paused by its policy, which the next one runs into.
    let paused = cli.run(&shop.start(&shop.broken, &["-o", "name"])).await?.expect(1)?;
    assert!(paused.stderr.contains("is paused with 0 of 3 hosts"), "{}", paused.stderr);
    let second = cli.run(&shop.start(&shop.good, &[])).await?.expect(2)?;
    assert!(second.stderr.contains("(ROLLOUT_ACTIVE)"), "{}", second.stderr);
    let id = paused.stdout.trim().get(..8).context("an ID")?;
    assert!(second.stderr.contains(&format!("`wharf rollout abort {id}`")), "{}", second.stderr);
    // Whoever reads the log of wharfd only finds it there, without what the container meant for a
    // terminal.
    let log = shop.world.wharfd.log();
    let paused = log.lines().find(|line| line.contains("phase=\"paused\"") && line.contains(id));
    let paused = paused.with_context(|| format!("no line about the pause: {log}"))?;
    assert!(paused.contains("WARN") && paused.contains("1 host failed, limit 0"), "{paused}");
    assert!(!log.contains('\u{1b}'), "{log:?}");
    // A variable that is not set is no ID, and does not stand for whatever is there.
    let nothing = cli.run(&["rollout", "abort", ""]).await?.expect(2)?;
    assert!(
        nothing.stderr.contains("specify the ID of a rollout or a container"),
        "{}",
        nothing.stderr
    );
    cli.run(&["rollout", "abort", id]).await?.expect(0)?;
    let watched = cli.run(&["rollout", "watch", id]).await?.expect(1)?;
    assert!(watched.stdout.contains("was aborted with 0 of 3 hosts"), "{}", watched.stdout);
    shop.expect_running([true; 3]).await
}

#[tokio::test]
async fn following_goes_on_when_wharfd_was_killed() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let mut following = Following::of(&shop, &shop.start(&shop.good, &[]))?;
    following.until("alpha: updating: gate").await?;
    shop.world.wharfd.kill();
    shop.world.wharfd.restart().await?;
    following.until("alpha: updated, container ").await?;
    following.until(" succeeded on 3 hosts; ").await?;
    assert!(following.child.wait().await?.success());
    shop.expect_running([false; 3]).await
}

#[tokio::test]
async fn a_plan_that_many_hosts_refuse_has_a_line_for_each_reason() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let cli = &shop.world.cli;
    let start_first = shop.start(&shop.good, &["--order", "start-first", "-p", "8080:80"]);
    let refused = cli.run(&start_first).await?.expect(2)?;
    let lines: Vec<_> = refused.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].starts_with("error: alpha, beta, gamma: start-first"), "{lines:#?}");
    assert!(lines[0].ends_with("(PLAN_REFUSED)"), "{lines:#?}");
    let listed = cli.run(&["rollout", "ls", &shop.name, "-o", "name"]).await?.expect(0)?;
    assert_eq!(listed.stdout, "", "nothing was stored");
    shop.expect_running([true; 3]).await
}
