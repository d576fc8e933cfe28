//! The flags that describe a container, with docker's names. `-l` selects hosts, so labels have
//! only a long flag. `-h` is the host name, as in docker: a verb with these flags disables clap's
//! help flag and adds [`HelpFlag`]. `build.rs` converts them to a spec.

use std::path::PathBuf;
use std::time::Duration;

use wharf::v1::{DeviceRequest, Mount, NetworkAttachment, PortMapping, RestartPolicy, Ulimit};

use super::{mounts, networks, ports, values};
use crate::duration;

/// `--help` of a verb whose `-h` is the host name, as in docker.
#[derive(Debug, Clone, clap::Args)]
pub struct HelpFlag {
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// The flags. Unset ones leave what the body, the image or the Engine says; an empty text sets a
/// setting to empty.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Container")]
pub struct ContainerFlags {
    /// Environment variable; without =VALUE, its value here, or removed if it isn't set here
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub env: Vec<String>,
    /// File of environment variables, one per line
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Label of the container
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub label: Vec<String>,
    /// File of labels, one per line
    #[arg(long, value_name = "FILE")]
    pub label_file: Vec<PathBuf>,
    /// Publish a port or a range: [IP:][HOST_PORT:]PORT[/PROTOCOL]
    #[arg(short, long, value_name = "PORT", value_parser = ports::publish)]
    pub publish: Vec<Vec<PortMapping>>,
    /// Publish every exposed port on a free port of the host
    #[arg(short = 'P', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub publish_all: Option<bool>,
    /// Expose a port without publishing it
    #[arg(long, value_name = "PORT", value_parser = ports::expose)]
    pub expose: Vec<Vec<String>>,
    /// Bind mount or volume: SOURCE:/PATH[:OPTIONS] or /PATH
    #[arg(short, long, value_name = "VOLUME", value_parser = mounts::volume)]
    pub volume: Vec<String>,
    /// Mount: type=bind|volume|tmpfs,source=…,target=…[,readonly]
    #[arg(long, value_name = "MOUNT", value_parser = mounts::mount)]
    pub mount: Vec<Mount>,
    /// tmpfs mount: /PATH[:OPTIONS]
    #[arg(long, value_name = "TMPFS", value_parser = values::tmpfs)]
    pub tmpfs: Vec<(String, String)>,
    /// Mount the volumes of another container: NAME[:ro]
    #[arg(long, value_name = "CONTAINER")]
    pub volumes_from: Vec<String>,
    /// Network: bridge, host, none, container:NAME, or the name of a network; repeat for further networks. Settings of one:
    /// name=NETWORK[,alias=…][,ip=…][,ip6=…][,mac-address=…][,gw-priority=…][,driver-opt=KEY=VALUE]
    #[arg(long, visible_alias = "net", value_name = "NETWORK", value_parser = networks::network)]
    pub network: Vec<NetworkAttachment>,
    /// Additional name in the network
    #[arg(long, alias = "net-alias", value_name = "NAME")]
    pub network_alias: Vec<String>,
    /// IPv4 address in the main network
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<std::net::Ipv4Addr>,
    /// IPv6 address in the main network
    #[arg(long, value_name = "ADDRESS")]
    pub ip6: Option<std::net::Ipv6Addr>,
    /// MAC address in the main network
    #[arg(long, value_name = "ADDRESS")]
    pub mac_address: Option<String>,
    /// Host name in the container
    #[arg(short = 'h', long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Domain name in the container
    #[arg(long, value_name = "NAME")]
    pub domainname: Option<String>,
    /// DNS server
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<std::net::IpAddr>,
    /// Search domain of name resolution
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,
    /// Option of the resolver, such as ndots:2
    #[arg(long, alias = "dns-opt", value_name = "OPTION")]
    pub dns_option: Vec<String>,
    /// Entry for /etc/hosts: NAME:ADDRESS
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = values::extra_host)]
    pub add_host: Vec<String>,
    /// Restart policy: no, always, unless-stopped, on-failure[:MAXIMUM]
    #[arg(long, value_name = "POLICY", value_parser = values::restart_policy)]
    pub restart: Option<RestartPolicy>,
    /// Remove the container when it stops
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub rm: Option<bool>,
    /// Program to run instead of the image's entrypoint; empty removes the entrypoint
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// User: NAME|UID[:GROUP|GID]
    #[arg(short, long)]
    pub user: Option<String>,
    /// Additional group
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// Working directory
    #[arg(short, long, value_name = "PATH")]
    pub workdir: Option<String>,
    /// Memory limit, such as 512m
    #[arg(short, long, value_name = "BYTES", value_parser = values::bytes, allow_negative_numbers = true)]
    pub memory: Option<i64>,
    /// Limit of memory and swap together; -1 for unlimited swap
    #[arg(long, value_name = "BYTES", value_parser = values::bytes_or_unlimited, allow_negative_numbers = true)]
    pub memory_swap: Option<i64>,
    /// Soft limit of memory, such as 256m
    #[arg(long, value_name = "BYTES", value_parser = values::bytes, allow_negative_numbers = true)]
    pub memory_reservation: Option<i64>,
    /// Adjustment of the out-of-memory score, -1000 to 1000
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub oom_score_adj: Option<i32>,
    /// Processor time per period in microseconds; -1: no limit
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    pub cpu_quota: Option<i64>,
    /// Length of the period of --cpu-quota in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    pub cpu_period: Option<i64>,
    /// Number of CPUs, such as 1.5
    #[arg(long, value_name = "COUNT", value_parser = values::nano_cpus, allow_negative_numbers = true)]
    pub cpus: Option<i64>,
    /// CPU weight relative to other containers
    #[arg(short, long, value_name = "WEIGHT", allow_negative_numbers = true)]
    pub cpu_shares: Option<i64>,
    /// CPUs to run on, such as 0-2,5
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Maximum number of processes; -1 for unlimited
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub pids_limit: Option<i64>,
    /// Kernel limit: NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT", value_parser = values::ulimit)]
    pub ulimit: Vec<Ulimit>,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES", value_parser = values::bytes, allow_negative_numbers = true)]
    pub shm_size: Option<i64>,
    /// Shell command of the health check
    #[arg(long, value_name = "COMMAND")]
    pub health_cmd: Option<String>,
    /// Time between health checks
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub health_interval: Option<Duration>,
    /// Time limit of a health check
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub health_timeout: Option<Duration>,
    /// Time after the start in which failures don't count
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub health_start_period: Option<Duration>,
    /// Time between health checks in the start period
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub health_start_interval: Option<Duration>,
    /// Consecutive failures after which the container is unhealthy
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub health_retries: Option<u32>,
    /// Disable the image's health check
    #[arg(long)]
    pub no_healthcheck: bool,
    /// Capability to add
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_add: Vec<String>,
    /// Capability to remove; ALL for all
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_drop: Vec<String>,
    /// Grant all capabilities and all devices
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub privileged: Option<bool>,
    /// Device: /dev/HOST[:/dev/CONTAINER[:rwm]]
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// GPUs: all, a number, or [driver=…][,count=…][,"device=0,2"][,"capabilities=…"]
    #[arg(long, value_name = "GPUS", value_parser = values::gpus)]
    pub gpus: Option<DeviceRequest>,
    /// OCI runtime
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<String>,
    /// Annotation for the OCI runtime
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::key_value)]
    pub annotation: Vec<(String, String)>,
    /// Security option, such as no-new-privileges; seccomp=FILE reads a file of this machine
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// Mount the root file system read-only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub read_only: Option<bool>,
    /// Run an init process that reaps zombies and forwards signals
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub init: Option<bool>,
    /// Allocate a terminal
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub tty: Option<bool>,
    /// Keep stdin open
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub interactive: Option<bool>,
    /// Log driver
    #[arg(long, value_name = "DRIVER")]
    pub log_driver: Option<String>,
    /// Option of the log driver
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::key_value)]
    pub log_opt: Vec<(String, String)>,
    /// Signal that stops the container
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Seconds between the stop signal and SIGKILL
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub stop_timeout: Option<u32>,
    /// Process namespace: host or container:NAME
    #[arg(long, value_name = "MODE")]
    pub pid: Option<String>,
    /// IPC namespace: private, shareable, host, container:NAME, or none
    #[arg(long, value_name = "MODE")]
    pub ipc: Option<String>,
    /// User namespace: host switches off the remapping of the Engine
    #[arg(long, value_name = "MODE")]
    pub userns: Option<String>,
    /// Control group namespace: private or host
    #[arg(long, value_name = "MODE")]
    pub cgroupns: Option<String>,
    /// Parent control group
    #[arg(long, value_name = "PATH")]
    pub cgroup_parent: Option<String>,
    /// Kernel parameter of the container's namespaces
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::key_value)]
    pub sysctl: Vec<(String, String)>,
}
