//! `wharf-sim`: simulated Docker hosts on this machine, for experiments and measurements.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use clap::Parser;
use serde_json::json;
use wharf_server::engine::ApiVersion;
use wharf_simulator::{
    EngineOptions, ImageContent, Model, Registries, SimClock, SimHost, SimRegistry, SimServer, Time,
};

/// The registry that the simulated hosts reach, by this name.
const REGISTRY: &str = "registry.sim:5000";

/// Serves simulated Docker hosts over HTTP at 127.1.0.1, 127.1.0.2 and on, without a password.
///
/// They share a registry, registry.sim:5000, with app:v1, app:v2 and app:broken; each host has
/// app:v1 and containers of it, web-1, web-2 and on, which run.
#[derive(Parser)]
#[command(name = "wharf-sim", version)]
struct Arguments {
    /// How many hosts.
    #[arg(long, default_value_t = 3)]
    hosts: usize,
    /// How many containers run on each of them.
    #[arg(long, default_value_t = 20)]
    containers: usize,
    /// Where all of them listen.
    #[arg(long, default_value_t = 2375)]
    port: u16,
    /// How long every answer takes, such as 20ms.
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// The highest API version that they speak.
    #[arg(long, default_value = "1.41")]
    api: ApiVersion,
    /// Print a wharfd.toml with the hosts to stdout.
    #[arg(long)]
    print_config: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.hosts > 0, "--hosts 0 leaves nothing to serve; give at least 1");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let clock = SimClock::starting_at(Time::from_unix_seconds(now.as_secs()));
    let registries = registries();
    let hosts: anyhow::Result<Vec<Arc<SimHost>>> = (1..=arguments.hosts)
        .map(|number| {
            let name = format!("sim-{number:04}");
            let options = EngineOptions::for_api(&name, arguments.api);
            let host = SimHost::with_clock(options, registries.clone(), clock);
            host.with(|model, now| fill(model, now, arguments.containers))?;
            Ok(host)
        })
        .collect();
    let server = SimServer::listen_shared(hosts?, arguments.port).await.with_context(|| {
        format!("cannot listen on port {}; choose another with --port", arguments.port)
    })?;
    for host in server.hosts() {
        host.set_latency(arguments.latency);
    }
    let mut stdout = std::io::stdout().lock();
    if arguments.print_config {
        for (place, host) in server.hosts().iter().enumerate() {
            let name = host.host().with(|model, _| model.options().name.clone());
            let zone = ["a", "b", "c"][place % 3];
            writeln!(
                stdout,
                "[[host]]\nname = \"{name}\"\naddress = \"{}\"\nlabels = {{ role = \"web\", zone = \"{zone}\" }}\n",
                host.address()
            )?;
        }
        stdout.flush()?;
    }
    let mut stderr = std::io::stderr().lock();
    writeln!(
        stderr,
        "{} hosts with {} containers each, from {} on; Ctrl-C ends them",
        arguments.hosts,
        arguments.containers,
        server.hosts()[0].address()
    )?;
    drop((stdout, stderr));
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
}

fn registries() -> Registries {
    let registries = Registries::default();
    registries.add(REGISTRY, SimRegistry::open());
    for tag in ["v1", "v2"] {
        registries.publish(REGISTRY, "app", tag, &image(tag));
    }
    let broken = ImageContent::builder("broken")
        .behaviour(wharf_simulator::Behaviour::exits_after(Duration::from_millis(100), 1))
        .build();
    registries.publish(REGISTRY, "app", "broken", &broken);
    registries
}

fn image(version: &str) -> Arc<ImageContent> {
    ImageContent::builder(version)
        .config("Env", json!(["PATH=/bin", format!("VERSION={version}")]))
        .label("org.opencontainers.image.version", version)
        .build()
}

/// Containers with the labels that Compose gives, so that lists are as long as real ones.
fn fill(model: &mut Model, now: Time, containers: usize) -> anyhow::Result<()> {
    let reference = format!("{REGISTRY}/app:v1");
    model.load(&reference, &image("v1"));
    let version = model.options().api_version;
    for number in 1..=containers {
        let name = format!("web-{number}");
        let body = json!({
            "Image": reference,
            "Labels": {
                "com.docker.compose.config-hash": "8f1e3d7f5f2b4c6a9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e",
                "com.docker.compose.container-number": number.to_string(),
                "com.docker.compose.oneoff": "False",
                "com.docker.compose.project": "shop",
                "com.docker.compose.project.config_files": "/srv/shop/compose.yaml",
                "com.docker.compose.project.working_dir": "/srv/shop",
                "com.docker.compose.service": "web",
                "com.docker.compose.version": "2.29.7",
            },
            "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}},
        });
        let failed = |refusal: wharf_simulator::model::Refusal| anyhow::anyhow!(refusal.message);
        model.create(now, version, Some(&name), None, &body).map_err(failed)?;
        model.start(now, &name).map_err(failed)?;
    }
    Ok(())
}
