//! Many callers and watchers for minutes, while much happens on the hosts: whether anything fails,
//! whether the memory of `wharfd` grows, and how long lists from views take.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;
use wharf::client::Target;

use super::client::{list, read};
use super::process::{self, Process};
use super::raw;
use super::record::{Work, ms, print_json};
use super::wharfd::Wharfd;

#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The binary.
    #[arg(long)]
    wharfd: PathBuf,
    /// Simulated hosts.
    #[arg(long, default_value_t = 1000)]
    hosts: usize,
    /// Containers on each.
    #[arg(long, default_value_t = 20)]
    containers: usize,
    /// Callers that list all containers of all hosts from the views, again and again.
    #[arg(long, default_value_t = 200)]
    callers: usize,
    /// Between the end of a list and the next one of the same caller.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pause: Duration,
    /// Callers that watch all containers of all hosts.
    #[arg(long, default_value_t = 50)]
    watchers: usize,
    /// Events a second, on all hosts together.
    #[arg(long, default_value_t = 5000)]
    events: u64,
    /// How long, after all hosts are followed.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
}

/// What all callers and watchers write to.
#[derive(Default)]
struct Tally {
    over: AtomicBool,
    /// Messages to watchers.
    watched: AtomicU64,
    /// Bytes of them.
    watched_bytes: AtomicU64,
}

pub async fn soak(arguments: &Arguments) -> anyhow::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["hosts", "--hosts", &arguments.hosts.to_string()]);
    command.args(["--containers", &arguments.containers.to_string()]);
    let mut hosts = Process::start(&mut command).await.context("the simulated hosts")?;
    let addresses: Vec<String> = hosts.said.split(' ').map(str::to_owned).collect();
    let server = Wharfd::start(&arguments.wharfd, &addresses, None).await?;
    let target = Target::parse(&server.address)?;
    wait_until_followed(target.connect().await?).await?;
    let rate = format!("events {}", arguments.events);
    let before: u64 = hosts.ask(&rate).await?.parse()?;

    let process = server.process.id()?;
    let (begun, cpu) = (Instant::now(), process::cpu(&process)?);
    let (cpu_hosts, cpu_self) = (process::cpu(&hosts.id()?)?, process::cpu("self")?);
    let tally = Arc::new(Tally::default());
    let (mut callers, mut watchers) = (JoinSet::new(), JoinSet::new());
    for number in 0..arguments.watchers {
        let channel = target.connect().await.with_context(|| format!("watcher {number}"))?;
        watchers.spawn(watch(channel, Arc::clone(&tally)));
    }
    for number in 0..arguments.callers {
        let channel = target.connect().await.with_context(|| format!("caller {number}"))?;
        let (pause, tally) = (arguments.pause, Arc::clone(&tally));
        // Spread over the pause, as callers are that do not know of each other.
        let share = u32::try_from(number).unwrap_or_default();
        let wait = pause * share / u32::try_from(arguments.callers).unwrap_or(1);
        callers.spawn(call(channel, wait, pause, tally));
    }
    let mut memory = Vec::new();
    while begun.elapsed() < Duration::from_secs(arguments.seconds) {
        sleep(Duration::from_secs(5)).await;
        memory.push(process::memory(&process)?.now >> 10);
    }
    let took = begun.elapsed();
    let share = |now: Duration, before: Duration| {
        ((now.saturating_sub(before)).as_secs_f64() / took.as_secs_f64() * 1000.0).round() / 1000.0
    };
    let cores = json!({
        "wharfd": share(process::cpu(&process)?, cpu),
        "hosts": share(process::cpu(&hosts.id()?)?, cpu_hosts),
        "callers": share(process::cpu("self")?, cpu_self),
    });
    let emitted = hosts.ask("count").await?.parse::<u64>()? - before;
    hosts.ask("events 0").await?;
    tally.over.store(true, Ordering::Relaxed);

    let (mut lists, mut errors) = (Vec::new(), Vec::new());
    while let Some(ended) = callers.join_next().await {
        let (times, failed) = ended?;
        lists.extend(times);
        errors.extend(failed.iter().map(|error| format!("list: {error:#}")));
    }
    // Those that still watch have seen no error.
    while let Some(ended) = watchers.try_join_next() {
        errors.extend(ended?.err().map(|error| format!("watch: {error:#}")));
    }
    lists.sort_unstable();
    let at = |share: f64| {
        let place = (lists.len() as f64 * share) as usize;
        ms(lists.get(place.min(lists.len().saturating_sub(1))).copied().unwrap_or_default())
    };
    let (median, p99) = (at(0.5), at(0.99));
    print_json(&json!({
        "hosts": arguments.hosts, "containers": arguments.containers, "seconds": took.as_secs(),
        "callers": arguments.callers, "watchers": arguments.watchers,
        "pause_ms": ms(arguments.pause),
        "events_per_second": (emitted as f64 / took.as_secs_f64()).round(),
        "lists": lists.len(), "errors": errors.len(), "first_errors": &errors[..errors.len().min(5)],
        "median_ms": median, "p99_ms": p99, "longest_ms": at(1.0), "p99_by_median": p99 / median,
        "watch_messages": tally.watched.load(Ordering::Relaxed),
        "watch_bytes": tally.watched_bytes.load(Ordering::Relaxed),
        "cores": cores, "memory_kb": memory,
    }))
}

/// Lists from the views until no host is asked any more.
async fn wait_until_followed(channel: Channel) -> anyhow::Result<()> {
    let mut client = wharf::v1::container_service_client::ContainerServiceClient::new(channel);
    let begun = Instant::now();
    loop {
        let request = list(Work::ListView, None);
        let round = read(client.list_containers(request).await?.into_inner(), begun).await?;
        if round.asked == 0 {
            return Ok(());
        }
        ensure!(begun.elapsed() < Duration::from_secs(300), "{} not followed", round.asked);
        sleep(Duration::from_millis(500)).await;
    }
}

/// Lists until it is over; returns how long each list took, and why others failed.
async fn call(
    channel: Channel,
    wait: Duration,
    pause: Duration,
    tally: Arc<Tally>,
) -> (Vec<Duration>, Vec<anyhow::Error>) {
    let (mut times, mut errors) = (Vec::new(), Vec::new());
    sleep(wait).await;
    while !tally.over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match raw::list_from_views(channel.clone()).await {
            Ok(()) => times.push(begun.elapsed()),
            Err(error) => errors.push(error),
        }
        // In pieces, so that the end is soon.
        let again = Instant::now() + pause;
        while Instant::now() < again && !tally.over.load(Ordering::Relaxed) {
            sleep(pause.min(Duration::from_millis(200))).await;
        }
    }
    (times, errors)
}

/// Watches until it is over; an end before that is an error.
async fn watch(channel: Channel, tally: Arc<Tally>) -> anyhow::Result<()> {
    let mut messages = raw::watch(channel).await?;
    while let Some(message) = messages.message().await? {
        tally.watched.fetch_add(1, Ordering::Relaxed);
        tally.watched_bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
        if tally.over.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
    anyhow::bail!("the stream ended")
}
