//! The simulated hosts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::MissedTickBehavior;
use wharf_server::engine::ApiVersion;
use wharf_simulator::model::Refusal;
use wharf_simulator::{
    EngineOptions, HttpHost, ImageContent, Model, Registries, SimHost, SimRegistry, SimServer, Time,
};

use super::certificates::Authority;

/// The registry of the hosts, and what is in it.
const REGISTRY: &str = "registry.sim:5000";
/// The container that is inspected and upgraded.
const WEB: &str = "web";
/// The one that events are about.
const BUSY: &str = "project-service-1";
/// How often what is to happen in a second is spread over it.
const TICKS: u64 = 100;

#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// How many hosts.
    #[arg(long)]
    hosts: usize,
    /// The number of the first one, which its name has.
    #[arg(long, default_value_t = 0)]
    from: usize,
    /// Containers on each.
    #[arg(long, default_value_t = 20)]
    containers: usize,
    /// Serve TLS, and want certificates; an authority and a client are written to this directory.
    #[arg(long)]
    tls: Option<PathBuf>,
    /// How many of a hundred hosts take connections and never answer.
    #[arg(long, default_value_t = 0)]
    dead: usize,
    /// How long every answer takes, such as 2ms.
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    latency: Duration,
}

/// Serves until its input ends. Takes lines: `events N`, so many a second from now on; `count`.
pub async fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let registries = Registries::default();
    registries.add(REGISTRY, SimRegistry::open());
    let images = ["v1", "v2"].map(image);
    for (tag, image) in ["v1", "v2"].iter().zip(&images) {
        registries.publish(REGISTRY, "app", tag, image);
    }
    let hosts: anyhow::Result<Vec<_>> = (arguments.from..arguments.from + arguments.hosts)
        .map(|number| {
            let options = EngineOptions::new(&format!("host-{number:05}"));
            let host = SimHost::new(options, registries.clone());
            host.with(|model, now| fill(model, now, &images, arguments.containers))?;
            host.set_hung(arguments.dead > 0 && number * arguments.dead % 100 < arguments.dead);
            Ok(host)
        })
        .collect();
    let server = match &arguments.tls {
        None => SimServer::listen_shared(hosts?, 0).await?,
        Some(directory) => {
            let authority = Authority::in_directory(directory)?;
            let secure = |address| authority.host(address).ok();
            SimServer::listen_shared_with(hosts?, 0, secure).await?
        }
    };
    for host in server.hosts() {
        host.set_latency(arguments.latency);
        host.memory.keep();
    }
    let addresses: Vec<_> = server.hosts().iter().map(|host| host.address()).collect();
    say(&addresses.join(" "));
    obey(server.hosts()).await
}

/// Containers as Compose makes them, and one without labels to work with.
fn fill(
    model: &mut Model,
    now: Time,
    images: &[Arc<ImageContent>],
    containers: usize,
) -> anyhow::Result<()> {
    for (tag, image) in ["v1", "v2"].iter().zip(images) {
        model.load(&reference(tag), image);
    }
    let failed = |refusal: Refusal| anyhow::anyhow!(refusal.message);
    let mut run = |name: &str, labels: serde_json::Value| {
        let body = json!({
            "Image": reference("v1"),
            "Labels": labels,
            "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}},
        });
        let version = ApiVersion::new(1, 41);
        model.create(now, version, Some(name), None, &body).map_err(failed)?;
        model.start(now, name).map_err(failed)?;
        anyhow::Ok(())
    };
    run(WEB, json!({}))?;
    for number in 1..containers {
        let name = format!("project-service-{number}");
        run(
            &name,
            json!({
                "com.docker.compose.config-hash": "4f1c7a0be1f9d0a64f1c7a0be1f9d0a64f1c7a0be1f9d0a64f1c7a0be1f9d0a6",
                "com.docker.compose.container-number": "1",
                "com.docker.compose.oneoff": "False",
                "com.docker.compose.project": "project",
                "com.docker.compose.project.config_files": "/srv/project/compose.yaml",
                "com.docker.compose.project.working_dir": "/srv/project",
                "com.docker.compose.service": name,
                "com.docker.compose.version": "2.24.5",
            }),
        )?;
    }
    for line in 0..100 {
        let text = format!("GET /products/{line} HTTP/1.1 200 1234 \"Mozilla/5.0 (X11; Linux)\"\n");
        model.write_log(now, WEB, false, &text);
    }
    Ok(())
}

/// Carries out the lines on the input.
async fn obey(hosts: &[Arc<HttpHost>]) -> anyhow::Result<()> {
    let emitted = Arc::new(AtomicU64::new(0));
    let mut emitter: Option<tokio::task::JoinHandle<()>> = None;
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = input.next_line().await? {
        match line.split_once(' ') {
            Some(("events", rate)) => {
                if let Some(emitter) = emitter.take() {
                    emitter.abort();
                }
                let rate = rate.parse().context("events N")?;
                emitter = Some(tokio::spawn(emit(hosts.to_vec(), rate, Arc::clone(&emitted))));
            }
            None if line == "count" => {}
            _ => bail!("{line:?} is neither `events N` nor `count`"),
        }
        say(&emitted.load(Ordering::Relaxed).to_string());
    }
    Ok(())
}

/// Pauses and unpauses a container of one host after the other: an event each time.
async fn emit(hosts: Vec<Arc<HttpHost>>, rate: u64, emitted: Arc<AtomicU64>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / TICKS as u32);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut next = 0_u64;
    for tick in 1.. {
        ticks.tick().await;
        while next < tick * rate / TICKS {
            let place = usize::try_from(next).unwrap_or_default();
            let host = &hosts[place % hosts.len()];
            let again = (place / hosts.len()) % 2 == 1;
            let done = host.host().with(|model, now| {
                if again { model.unpause(now, BUSY) } else { model.pause(now, BUSY) }
            });
            host.memory.forget();
            // A second emitter may find it as the first one left it.
            emitted.fetch_add(u64::from(done.is_ok()), Ordering::Relaxed);
            next += 1;
        }
    }
}

fn reference(tag: &str) -> String {
    format!("{REGISTRY}/app:{tag}")
}

fn image(version: &str) -> Arc<ImageContent> {
    ImageContent::builder(version)
        .config("Env", json!(["PATH=/bin", format!("VERSION={version}")]))
        .label("org.opencontainers.image.version", version)
        .build()
}

#[expect(clippy::print_stdout, reason = "the program that started this one reads it")]
fn say(line: &str) {
    println!("{line}");
}
