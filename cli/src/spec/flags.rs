//! The flags that describe a container, spelled as docker spells them, and the `ContainerSpec`
//! they make. `-h`, `-l` and `-H` are taken: host name and labels have their long flags only.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wharf::v1::{ContainerSpec, HealthCheck, Mount, PortMapping, RestartPolicy, Ulimit};

use super::{files, mounts, ports, values};
use crate::duration;
use crate::exit::Failure;

/// The flags. Unset ones leave what the body, the image or the Engine says.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Container")]
pub struct ContainerFlags {
    /// Variable; without =VALUE that of this environment, or the image's taken away
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub env: Vec<String>,
    /// File of variables, a line each
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Label
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub label: Vec<String>,
    /// File of labels, a line each
    #[arg(long, value_name = "FILE")]
    pub label_file: Vec<PathBuf>,
    /// Publish a port: [IP:][HOST_PORT:]PORT[/PROTOCOL]; ranges too
    #[arg(short, long, value_name = "PORT", value_parser = ports::publish)]
    pub publish: Vec<Vec<PortMapping>>,
    /// Publish every exposed port on a free port of the host
    #[arg(short = 'P', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub publish_all: Option<bool>,
    /// Expose a port without publishing it
    #[arg(long, value_name = "PORT", value_parser = ports::expose)]
    pub expose: Vec<Vec<String>>,
    /// Bind or volume: SOURCE:/PATH[:OPTIONS] or /PATH
    #[arg(short, long, value_name = "VOLUME", value_parser = mounts::volume)]
    pub volume: Vec<String>,
    /// Mount: type=bind|volume|tmpfs,source=…,target=…[,readonly]
    #[arg(long, value_name = "MOUNT", value_parser = mounts::mount)]
    pub mount: Vec<Mount>,
    /// Directory in memory: /PATH[:OPTIONS]
    #[arg(long, value_name = "TMPFS", value_parser = values::tmpfs)]
    pub tmpfs: Vec<(String, String)>,
    /// Take the volumes of another container: NAME[:ro]
    #[arg(long, value_name = "CONTAINER")]
    pub volumes_from: Vec<String>,
    /// bridge, host, none, container:NAME or a network
    #[arg(
        long,
        visible_alias = "net",
        value_name = "NETWORK",
        default_value = "",
        hide_default_value = true
    )]
    pub network: String,
    /// Further name in the network
    #[arg(long, alias = "net-alias", value_name = "NAME")]
    pub network_alias: Vec<String>,
    /// Host name in the container
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub hostname: String,
    /// Domain name in the container
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub domainname: String,
    /// Name server
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<std::net::IpAddr>,
    /// Line of /etc/hosts: NAME:ADDRESS
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = values::extra_host)]
    pub add_host: Vec<String>,
    /// Restart policy: no, always, unless-stopped, on-failure[:MAXIMUM]
    #[arg(long, value_name = "POLICY", value_parser = values::restart_policy)]
    pub restart: Option<RestartPolicy>,
    /// Remove the container when it stops
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub rm: Option<bool>,
    /// Program instead of the image's; empty takes the image's away
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// User: NAME|UID[:GROUP|GID]
    #[arg(short, long, default_value = "", hide_default_value = true)]
    pub user: String,
    /// Further group
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// Working directory
    #[arg(short, long, value_name = "PATH", default_value = "", hide_default_value = true)]
    pub workdir: String,
    /// Memory limit, such as 512m
    #[arg(short, long, value_name = "BYTES", value_parser = values::bytes)]
    pub memory: Option<i64>,
    /// Memory and swap together; -1: no limit of swap
    #[arg(long, value_name = "BYTES", value_parser = values::bytes_or_unlimited, allow_negative_numbers = true)]
    pub memory_swap: Option<i64>,
    /// Processors, such as 1.5
    #[arg(long, value_name = "COUNT", value_parser = values::nano_cpus)]
    pub cpus: Option<i64>,
    /// Weight against other containers
    #[arg(short, long, value_name = "WEIGHT")]
    pub cpu_shares: Option<i64>,
    /// Processors to run on, such as 0-2,5
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    pub cpuset_cpus: String,
    /// Most processes; -1: no limit
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub pids_limit: Option<i64>,
    /// Limit of the kernel: NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT", value_parser = values::ulimit)]
    pub ulimit: Vec<Ulimit>,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES", value_parser = values::bytes)]
    pub shm_size: Option<i64>,
    /// Health check: a command line for a shell
    #[arg(long, value_name = "COMMAND")]
    pub health_cmd: Option<String>,
    /// Time between two health checks
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub health_interval: Option<Duration>,
    /// Longest time of a health check
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub health_timeout: Option<Duration>,
    /// Time after the start in which failures do not count
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub health_start_period: Option<Duration>,
    /// Time between health checks in the start period
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub health_start_interval: Option<Duration>,
    /// Failures in a row after which it is unhealthy
    #[arg(long, value_name = "COUNT")]
    pub health_retries: Option<u32>,
    /// No health check, although the image has one
    #[arg(long)]
    pub no_healthcheck: bool,
    /// Capability to add
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_add: Vec<String>,
    /// Capability to take away; ALL for all
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_drop: Vec<String>,
    /// All capabilities and all devices
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub privileged: Option<bool>,
    /// Device: /dev/HOST[:/dev/CONTAINER[:rwm]]
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// Security option, such as no-new-privileges; seccomp=FILE is read here
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// Root file system read-only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub read_only: Option<bool>,
    /// An init process that reaps zombies and forwards signals
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub init: Option<bool>,
    /// A terminal
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tty: Option<bool>,
    /// Standard input stays open
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub interactive: Option<bool>,
    /// Log driver
    #[arg(long, value_name = "DRIVER", default_value = "", hide_default_value = true)]
    pub log_driver: String,
    /// Option of the log driver
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::key_value)]
    pub log_opt: Vec<(String, String)>,
    /// Signal that stops it
    #[arg(long, value_name = "SIGNAL", default_value = "", hide_default_value = true)]
    pub stop_signal: String,
    /// Seconds between stop signal and SIGKILL
    #[arg(long, value_name = "SECONDS")]
    pub stop_timeout: Option<u32>,
    /// Process namespace: host or container:NAME
    #[arg(long, value_name = "MODE", default_value = "", hide_default_value = true)]
    pub pid: String,
    /// Memory sharing: private, shareable, host, container:NAME or none
    #[arg(long, value_name = "MODE", default_value = "", hide_default_value = true)]
    pub ipc: String,
    /// Kernel parameter of its namespaces
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::key_value)]
    pub sysctl: Vec<(String, String)>,
}

impl ContainerFlags {
    /// The spec. `read` reads files, `variable` is this environment.
    pub fn spec(
        self,
        image: String,
        command: Vec<String>,
        read: impl Fn(&Path) -> std::io::Result<Vec<u8>>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<ContainerSpec, Failure> {
        Ok(ContainerSpec {
            env: environment(&self.env, &self.env_file, &read, &variable)?,
            labels: labels(&self.label, &self.label_file, &read)?,
            health_check: self.health_check()?,
            security_opt: security_options(self.security_opt, &read)?,
            image,
            command,
            entrypoint: self.entrypoint.into_iter().collect(),
            user: self.user,
            working_dir: absolute("--workdir", self.workdir)?,
            hostname: self.hostname,
            domainname: self.domainname,
            ports: self.publish.into_iter().flatten().collect(),
            expose: self.expose.into_iter().flatten().collect(),
            volumes: self.volume,
            mounts: self.mount,
            network: self.network,
            network_aliases: self.network_alias,
            restart_policy: self.restart,
            cap_add: self.cap_add,
            cap_drop: self.cap_drop,
            privileged: self.privileged,
            memory_bytes: self.memory,
            memory_swap_bytes: self.memory_swap,
            nano_cpus: self.cpus,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus,
            pids_limit: self.pids_limit,
            init: self.init,
            auto_remove: self.rm,
            ulimits: self.ulimit,
            log_driver: self.log_driver,
            log_options: self.log_opt.into_iter().collect(),
            dns: self.dns.iter().map(ToString::to_string).collect(),
            extra_hosts: self.add_host,
            tmpfs: self.tmpfs.into_iter().collect(),
            read_only: self.read_only,
            devices: self.device,
            stop_signal: self.stop_signal,
            stop_timeout: self
                .stop_timeout
                .map(|s| duration::to_proto(Duration::from_secs(s.into()))),
            tty: self.tty,
            open_stdin: self.interactive,
            pid_mode: self.pid,
            ipc_mode: self.ipc,
            sysctls: self.sysctl.into_iter().collect(),
            shm_size_bytes: self.shm_size,
            publish_all_ports: self.publish_all,
            group_add: self.group_add,
            volumes_from: self.volumes_from,
        })
    }

    fn health_check(&self) -> Result<Option<HealthCheck>, Failure> {
        let check = HealthCheck {
            test: match &self.health_cmd {
                Some(command) => vec!["CMD-SHELL".to_owned(), command.clone()],
                None => Vec::new(),
            },
            interval: self.health_interval.map(duration::to_proto),
            timeout: self.health_timeout.map(duration::to_proto),
            start_period: self.health_start_period.map(duration::to_proto),
            start_interval: self.health_start_interval.map(duration::to_proto),
            retries: self.health_retries.unwrap_or(0),
        };
        let given = check != HealthCheck::default();
        match (self.no_healthcheck, given) {
            (true, true) => {
                Err(Failure::usage("--no-healthcheck goes with no other --health-… flag"))
            }
            (true, false) => {
                Ok(Some(HealthCheck { test: vec!["NONE".to_owned()], ..HealthCheck::default() }))
            }
            (false, given) => Ok(given.then_some(check)),
        }
    }
}

type Read<'a> = &'a dyn Fn(&Path) -> std::io::Result<Vec<u8>>;

/// Files first, then flags: the later entry of a name wins, and stands alone.
fn environment(
    flags: &[String],
    paths: &[PathBuf],
    read: Read<'_>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, Failure> {
    let mut entries: Vec<String> = Vec::new();
    let mut push = |key: &str, entry: String| {
        entries.retain(|known| known.split('=').next() != Some(key));
        entries.push(entry);
    };
    for path in paths {
        for entry in parse_file(path, read)? {
            // A name alone in a file that is not set here is left out, as docker does.
            if let Some(value) = entry.value.or_else(|| variable(&entry.key)) {
                push(&entry.key, format!("{}={value}", entry.key));
            }
        }
    }
    for flag in flags {
        let (key, value) =
            flag.split_once('=').map_or((flag.as_str(), None), |(k, v)| (k, Some(v)));
        if key.is_empty() {
            return Err(Failure::Usage(format!("-e \"{}\" has no name", flag.escape_debug())));
        }
        let value = value.map(str::to_owned).or_else(|| variable(key));
        push(key, value.map_or_else(|| key.to_owned(), |value| format!("{key}={value}")));
    }
    Ok(entries)
}

fn labels(
    flags: &[String],
    paths: &[PathBuf],
    read: Read<'_>,
) -> Result<HashMap<String, String>, Failure> {
    let mut labels = HashMap::new();
    for path in paths {
        for entry in parse_file(path, read)? {
            labels.insert(entry.key, entry.value.unwrap_or_default());
        }
    }
    for flag in flags {
        let (key, value) = flag.split_once('=').unwrap_or((flag, ""));
        if key.is_empty() {
            return Err(Failure::Usage(format!("--label \"{}\" has no name", flag.escape_debug())));
        }
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(labels)
}

fn parse_file(path: &Path, read: Read<'_>) -> Result<Vec<files::Entry>, Failure> {
    let content = read(path)
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?;
    files::parse(&content)
        .map_err(|problem| Failure::Usage(format!("{}: {problem}", path.display())))
}

/// The Engine takes a seccomp profile as JSON, so a file that is named is read here, as docker
/// does.
fn security_options(options: Vec<String>, read: Read<'_>) -> Result<Vec<String>, Failure> {
    let inline = |option: String| match option.split_once(['=', ':']) {
        Some(("seccomp", "unconfined" | "builtin")) => Ok(option),
        Some(("seccomp", path)) => {
            let wrong = |problem: String| {
                Failure::Usage(format!("--security-opt seccomp: {path}: {problem}"))
            };
            let content = read(Path::new(path)).map_err(|error| wrong(error.to_string()))?;
            let profile: serde_json::Value =
                serde_json::from_slice(&content).map_err(|error| wrong(error.to_string()))?;
            Ok(format!("seccomp={profile}"))
        }
        _ => Ok(option),
    };
    options.into_iter().map(inline).collect()
}

fn absolute(flag: &str, path: String) -> Result<String, Failure> {
    if path.is_empty() || path.starts_with('/') {
        return Ok(path);
    }
    Err(Failure::Usage(format!("{flag} {path}: the path must be absolute")))
}
