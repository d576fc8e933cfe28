//! The other two processes: the simulated hosts, and the server. Each prints one line when it is
//! ready, and ends with its standard input.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tracing::level_filters::LevelFilter;
use wharf_server::app::Server;
use wharf_server::config::{Access, Config, ConfigFile, FileHosts, Listen, LogFormat};
use wharf_server::domain::{Host, HostAddress, HostName, HostSource, Labels, Transport, UnixPath};
use wharf_server::engine::ApiVersion;
use wharf_server::store::StoreOptions;
use wharf_simulator::{EngineOptions, ImageContent, Registries, SimHost, SimServer};

/// A process that is ready. It ends when this is dropped.
pub struct Role {
    /// Its line.
    pub said: String,
    child: Child,
    _input: ChildStdin,
}

/// Starts this program in a role, with a line of words on its input.
pub async fn start(arguments: &[&str], words: &[String]) -> anyhow::Result<Role> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().context("its input")?;
    input.write_all(format!("{}\n", words.join(" ")).as_bytes()).await?;
    let output = child.stdout.take().context("its output")?;
    let mut said = String::new();
    BufReader::new(output).read_line(&mut said).await?;
    Ok(Role { said: said.trim_end().to_owned(), child, _input: input })
}

impl Role {
    /// Resident memory, in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let process = self.child.id().context("it has ended")?;
        let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kilobytes = line.trim().trim_end_matches(" kB").parse::<u64>().context("VmRSS")?;
        Ok(kilobytes << 10)
    }

    /// Time on the processor so far.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu(&self.child.id().context("it has ended")?.to_string())
    }
}

/// Time on the processor of a process, of all the threads that it has now.
pub fn cpu(process: &str) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end between the two looks.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let on_processor = text.split(' ').next().unwrap_or_default();
        nanoseconds += on_processor.parse::<u64>().context("schedstat")?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Serves simulated hosts; says their addresses.
pub async fn hosts(hosts: usize, containers: usize) -> anyhow::Result<()> {
    let image = ImageContent::builder("bench").build();
    let hosts: anyhow::Result<Vec<_>> = (0..hosts)
        .map(|place| {
            let options = EngineOptions::new(&format!("host-{place}"));
            let host = SimHost::new(options, Registries::default());
            host.with(|model, now| {
                model.load("registry.example.com/team/app:v1", &image);
                for number in 0..containers {
                    let name = format!("project-service-{number}");
                    // As many labels as Compose puts on a container.
                    let body = json!({
                        "Image": "registry.example.com/team/app:v1",
                        "Labels": {
                            "com.docker.compose.config-hash": "4f1c7a0be1f9d0a64f1c7a0be1f9d0a64f1c7a0be1f9d0a64f1c7a0be1f9d0a6",
                            "com.docker.compose.container-number": "1",
                            "com.docker.compose.oneoff": "False",
                            "com.docker.compose.project": "project",
                            "com.docker.compose.project.config_files": "/srv/project/compose.yaml",
                            "com.docker.compose.project.working_dir": "/srv/project",
                            "com.docker.compose.service": name,
                            "com.docker.compose.version": "2.24.5",
                        },
                    });
                    let made = model.create(now, ApiVersion::new(1, 41), Some(&name), None, &body);
                    made.map_err(|refusal| anyhow::anyhow!("{}", refusal.message))?;
                    model.start(now, &name).map_err(|refusal| anyhow::anyhow!("{}", refusal.message))?;
                }
                anyhow::Ok(())
            })?;
            Ok(host)
        })
        .collect();
    let server = SimServer::listen_shared(hosts?, 0).await?;
    let addresses: Vec<_> = server.hosts().iter().map(|host| host.address()).collect();
    say(&addresses.join(" ")).await?;
    end_of_input().await
}

/// Serves the API in front of the hosts whose addresses stand on the input; says where.
pub async fn server() -> anyhow::Result<()> {
    let mut line = String::new();
    let mut input = BufReader::new(tokio::io::stdin());
    input.read_line(&mut line).await?;
    let mut hosts = FileHosts::default();
    for (place, address) in line.split_whitespace().enumerate() {
        let name = HostName::parse(&format!("host-{place:05}"))?;
        let address = HostAddress::parse(address, Transport::Plain)?;
        let (labels, source) = (Labels::default(), HostSource::File);
        let host =
            Host { name, address, labels, source, tls: None, insecure: false, created_at: None };
        hosts.hosts.insert(host.name.clone(), host);
    }
    let directory = tempfile::TempDir::new()?;
    let socket = directory.path().join("wharfd.sock");
    let socket = UnixPath::parse(&socket.to_string_lossy()).map_err(anyhow::Error::msg)?;
    let server = Server::start(Config {
        file: ConfigFile::None,
        store: StoreOptions { data_dir: directory.path().join("data"), secret_key_file: None },
        listen: vec![Listen::Unix(socket)],
        web: wharf_server::config::Web::default(),
        access: Access::UnixOnly,
        metrics: None,
        local: false,
        max_parallel: super::AT_ONCE,
        rollout_history: 1000,
        limits: wharf_server::config::Limits::default(),
        view: wharf_server::config::ViewOptions::default(),
        log_level: LevelFilter::OFF,
        log_format: LogFormat::Text,
        hosts,
    })
    .await?;
    say(&server.listening()[0]).await?;
    input.read_to_end(&mut Vec::new()).await?;
    server.stop().await;
    Ok(())
}

async fn say(line: &str) -> anyhow::Result<()> {
    let mut output = tokio::io::stdout();
    output.write_all(format!("{line}\n").as_bytes()).await?;
    Ok(output.flush().await?)
}

async fn end_of_input() -> anyhow::Result<()> {
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}
