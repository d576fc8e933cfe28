//! bollard with all hosts in one `join_all`, as the clients of bench/compare measure: one JSON object
//! for each time.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder,
    LogsOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use clap::Parser;
use futures_util::StreamExt;
use futures_util::future::join_all;

const IMAGE: &str = "registry.sim:5000/app";
const CONTAINER: &str = "web";

#[derive(Parser)]
struct Arguments {
    /// File with an address on each line, tcp://ADDRESS:PORT.
    #[arg(long)]
    hosts_file: PathBuf,
    /// Directory with ca.pem, cert.pem and key.pem.
    #[arg(long)]
    tls: Option<PathBuf>,
    #[arg(long, value_delimiter = ',', default_value = "list")]
    work: Vec<String>,
    /// Unused: all hosts are asked at once.
    #[arg(long, default_value_t = 0)]
    parallel: usize,
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    #[arg(long, default_value_t = 10)]
    timeout: u64,
}

#[derive(Default)]
struct Tally {
    first: Duration,
    healthy: Duration,
    ok: usize,
    error: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    let text = std::fs::read_to_string(&arguments.hosts_file)?;
    let addresses: Vec<&str> = text.split_whitespace().collect();
    for work in &arguments.work {
        let mut clients = Vec::new();
        for number in 0..=arguments.rounds {
            once(&arguments, &addresses, work, number, &mut clients).await?;
        }
    }
    Ok(())
}

async fn once(
    arguments: &Arguments,
    addresses: &[&str],
    work: &str,
    number: usize,
    clients: &mut Vec<Docker>,
) -> anyhow::Result<()> {
    let (begun, cpu) = (Instant::now(), used()?);
    let cold = clients.is_empty();
    if cold {
        for address in addresses {
            clients.push(connect(arguments, address)?);
        }
    }
    let (tally, limit) = (Mutex::new(Tally::default()), Duration::from_secs(arguments.timeout));
    let on = async |client: &mut Docker| {
        let result = tokio::time::timeout(limit, async {
            if cold {
                *client = client.clone().negotiate_version().await?;
            }
            call(client, work, number).await
        });
        let result = result.await.context("no answer").and_then(|result| result);
        let mut tally = tally.lock().expect("nobody panicked");
        match result {
            Ok(()) => {
                tally.healthy = begun.elapsed();
                if tally.ok == 0 {
                    tally.first = tally.healthy;
                }
                tally.ok += 1;
            }
            Err(error) => tally.error = Some(format!("{error:#}")),
        }
    };
    join_all(clients.iter_mut().map(on)).await;
    let (wall, tally) = (begun.elapsed(), tally.into_inner()?);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut line = serde_json::json!({
        "client": "bollard, join_all", "work": work, "phase": if cold { "cold" } else { "warm" },
        "hosts": addresses.len(), "wall_ms": ms(wall), "healthy_ms": ms(tally.healthy),
        "first_ms": ms(tally.first), "cpu_ms": ms(used()? - cpu), "peak_kb": peak()?,
        "ok": tally.ok, "failed": addresses.len() - tally.ok, "parallel": addresses.len(),
    });
    if let Some(error) = tally.error {
        line["error"] = error.into();
    }
    println!("{line}");
    Ok(())
}

async fn call(docker: &Docker, work: &str, number: usize) -> anyhow::Result<()> {
    match work {
        "list" | "list-json" => {
            let options = ListContainersOptionsBuilder::default().all(true).build();
            let found = docker.list_containers(Some(options)).await?;
            ensure!(!found.is_empty(), "no containers");
        }
        "inspect" => drop(docker.inspect_container(CONTAINER, None).await?),
        "pull" => pull(docker, number).await?,
        "exec" => {
            let options = CreateExecOptions {
                cmd: Some(vec!["true"]),
                attach_stdout: Some(true),
                attach_stderr: Some(true),
                ..Default::default()
            };
            let made = docker.create_exec(CONTAINER, options).await?;
            let started = docker.start_exec(&made.id, None).await?;
            if let StartExecResults::Attached { mut output, .. } = started {
                while output.next().await.is_some() {}
            }
            let ended = docker.inspect_exec(&made.id).await?;
            ensure!(ended.exit_code == Some(0), "{:?}", ended.exit_code);
        }
        "logs" => {
            let options =
                LogsOptionsBuilder::default().stdout(true).stderr(true).tail("100").build();
            let mut log = docker.logs(CONTAINER, Some(options));
            while let Some(line) = log.next().await {
                line?;
            }
        }
        "upgrade" => {
            pull(docker, number).await?;
            docker.stop_container(CONTAINER, None).await?;
            docker.remove_container(CONTAINER, None).await?;
            let always = RestartPolicyNameEnum::UNLESS_STOPPED;
            let policy = RestartPolicy { name: Some(always), maximum_retry_count: None };
            let host = HostConfig { restart_policy: Some(policy), ..Default::default() };
            let image = Some(format!("{IMAGE}:{}", tag(number)));
            let body =
                ContainerCreateBody { image, host_config: Some(host), ..Default::default() };
            let options = CreateContainerOptionsBuilder::default().name(CONTAINER).build();
            docker.create_container(Some(options), body).await?;
            docker.start_container(CONTAINER, None).await?;
        }
        _ => anyhow::bail!("it has nothing like it"),
    }
    Ok(())
}

async fn pull(docker: &Docker, number: usize) -> anyhow::Result<()> {
    let options =
        CreateImageOptionsBuilder::default().from_image(IMAGE).tag(tag(number)).build();
    let mut lines = docker.create_image(Some(options), None, None);
    while let Some(line) = lines.next().await {
        line?;
    }
    Ok(())
}

fn connect(arguments: &Arguments, address: &str) -> anyhow::Result<Docker> {
    let (limit, version) = (arguments.timeout, API_DEFAULT_VERSION);
    let Some(directory) = &arguments.tls else {
        return Ok(Docker::connect_with_http(address, limit, version)?);
    };
    let file = |name: &str| Path::new(directory).join(name);
    let (key, certificate, authority) = (file("key.pem"), file("cert.pem"), file("ca.pem"));
    Ok(Docker::connect_with_ssl(address, &key, &certificate, &authority, limit, version)?)
}

fn tag(number: usize) -> &'static str {
    if number.is_multiple_of(2) { "v2" } else { "v1" }
}

/// Time on the processor so far, of all threads that there are.
fn used() -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanoseconds += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// The most resident memory so far, in KiB.
fn peak() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
