//! The settings of a container, a row each: how a field of `ContainerSpec` stands in the Engine's
//! JSON, how its entries are named, and what is checked of its values.
//!
//! The server creates, changes and compares containers by these rows, and the command line puts
//! flags over files by them. CONTRIBUTING.md says how to add one.

use self::Name::{Before, Capability, Member, Port, Target, Whole};
use self::Section::{Body, Endpoint, Endpoints, Host, Log};
use self::Shape::{Fields, Keyed, List, Map, One, Words};

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Field of `ContainerSpec`; also its name in `unset`, in files and in differences.
    pub field: &'static str,
    /// Where its key is in the body of `POST /containers/create`.
    pub section: Section,
    /// Key of the Engine.
    pub key: &'static str,
    /// How values come together.
    pub shape: Shape,
    /// What is checked at the edge.
    pub rule: Rule,
}

/// A part of the body of `POST /containers/create`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The body itself.
    Body,
    /// `HostConfig`.
    Host,
    /// `HostConfig.LogConfig`.
    Log,
    /// `NetworkingConfig.EndpointsConfig`.
    Endpoints,
    /// The endpoint of the network that is `NetworkMode`.
    Endpoint,
}

/// How the values of a setting come together, and whether its entries have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text, a number, a switch or a message: a new value replaces the old one.
    One,
    /// A message: each field that is set replaces that field.
    Fields,
    /// A list that is one value, such as a command.
    Words,
    /// A list: a new one replaces the old one; single entries can be removed by name.
    List(Name),
    /// A list: a new entry replaces the one of its name and keeps the others.
    Keyed(Name),
    /// A map: a new entry replaces the one of its key and keeps the others.
    Map,
}

/// What an entry of a list is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// The whole text.
    Whole,
    /// The text before the first such character.
    Before(char),
    /// The text as a capability: `CAP_NET_ADMIN` and `net_admin` are one.
    Capability,
    /// A member of the Engine's object; in the contract it has the same name in lower case.
    Member(&'static str),
    /// The path in the container where it is mounted.
    Target,
    /// `PORT/PROTOCOL`.
    Port,
}

/// What is checked of a text, of each text of a list, and of each value of a map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Nothing.
    Any,
    /// It needs more than a row: `server/src/body/create/` checks and sets it.
    Own,
    /// No NUL byte.
    Text,
    /// As `Text`, and not empty.
    Name,
    /// An absolute path.
    Path,
    /// A host name or domain name of at most so many bytes; the Engine takes any letters.
    HostName(usize),
    /// Name or number of a signal.
    Signal,
    /// The name of a capability.
    Capability,
    /// An IP address.
    Address,
    /// `name:address`, a line of /etc/hosts.
    HostLine,
    /// `NAME[:ro]` of a container.
    VolumesFrom,
    /// Processors, such as `0-2,5`.
    CpuList,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of these words, or `container:NAME`.
    Mode(&'static [&'static str]),
    /// A number of this range.
    Number {
        /// The smallest.
        least: i64,
        /// The largest.
        most: i64,
        /// What else is allowed.
        or: &'static [i64],
        /// What a violation says.
        problem: &'static str,
    },
}

/// A hundredth of a processor: the kernel refuses less, and only when the container starts.
const CPUS: Rule = number(
    10_000_000,
    &[0],
    "must be at least 10000000, a hundredth of a CPU; 1000000000 is one CPU",
);
/// Minimum memory that the Engine accepts (6 MiB since 20.10, 4 before).
const MEMORY: Rule = number(6 * 1024 * 1024, &[0], "must be at least 6291456 (6 MiB)");
/// Outside this range, the kernel silently uses the nearest value.
const SHARES: Rule = between(2, 262_144, &[0], "must be from 2 to 262144");

/// Every setting, in the order in which violations are told.
pub const SETTINGS: &[Setting] = &[
    row("image", Body, "Image", One, Rule::Own),
    row("command", Body, "Cmd", Words, Rule::Text),
    row("entrypoint", Body, "Entrypoint", Words, Rule::Text),
    row("env", Body, "Env", Keyed(Before('=')), Rule::Own),
    row("labels", Body, "Labels", Map, Rule::Any),
    row("user", Body, "User", One, Rule::Text),
    row("working_dir", Body, "WorkingDir", One, Rule::Path),
    row("hostname", Body, "Hostname", One, Rule::HostName(64)),
    row("domainname", Body, "Domainname", One, Rule::HostName(253)),
    row("ports", Host, "PortBindings", Keyed(Port), Rule::Own),
    row("expose", Body, "ExposedPorts", List(Port), Rule::Own),
    row("volumes", Host, "Binds", Keyed(Target), Rule::Own),
    row("mounts", Host, "Mounts", Keyed(Target), Rule::Own),
    row("network", Host, "NetworkMode", One, Rule::Own),
    row("network_aliases", Endpoint, "Aliases", List(Whole), Rule::Own),
    row("networks", Endpoints, "", Keyed(Member("Name")), Rule::Own),
    row("restart_policy", Host, "RestartPolicy", One, Rule::Own),
    row("cap_add", Host, "CapAdd", List(Capability), Rule::Capability),
    row("cap_drop", Host, "CapDrop", List(Capability), Rule::Capability),
    row("privileged", Host, "Privileged", One, Rule::Any),
    row("memory_bytes", Host, "Memory", One, MEMORY),
    row(
        "memory_swap_bytes",
        Host,
        "MemorySwap",
        One,
        number(1, &[0, -1], "must be -1 for no limit, or a number of bytes"),
    ),
    row("memory_reservation_bytes", Host, "MemoryReservation", One, MEMORY),
    row("nano_cpus", Host, "NanoCpus", One, CPUS),
    row("cpu_shares", Host, "CpuShares", One, SHARES),
    row(
        "pids_limit",
        Host,
        "PidsLimit",
        One,
        number(-1, &[], "must be -1 for no limit, or a number of processes"),
    ),
    row("cpuset_cpus", Host, "CpusetCpus", One, Rule::CpuList),
    row("health_check", Body, "Healthcheck", Fields, Rule::Own),
    row("init", Host, "Init", One, Rule::Any),
    row("auto_remove", Host, "AutoRemove", One, Rule::Any),
    row("ulimits", Host, "Ulimits", Keyed(Member("Name")), Rule::Own),
    row("log_driver", Host, "LogConfig", One, Rule::Own),
    row("log_options", Log, "Config", Map, Rule::Own),
    row("dns", Host, "Dns", List(Whole), Rule::Address),
    row("extra_hosts", Host, "ExtraHosts", List(Before(':')), Rule::HostLine),
    row("tmpfs", Host, "Tmpfs", Map, Rule::Own),
    row("read_only", Host, "ReadonlyRootfs", One, Rule::Any),
    row("security_opt", Host, "SecurityOpt", List(Whole), Rule::Own),
    row("devices", Host, "Devices", List(Member("PathOnHost")), Rule::Own),
    row("stop_signal", Body, "StopSignal", One, Rule::Signal),
    row("stop_timeout", Body, "StopTimeout", One, Rule::Own),
    row("tty", Body, "Tty", One, Rule::Any),
    row("open_stdin", Body, "OpenStdin", One, Rule::Any),
    row("stdin_once", Body, "StdinOnce", One, Rule::Any),
    row("pid_mode", Host, "PidMode", One, Rule::Mode(&["host"])),
    row("ipc_mode", Host, "IpcMode", One, Rule::Mode(&["private", "shareable", "host", "none"])),
    row("sysctls", Host, "Sysctls", Map, Rule::Text),
    row(
        "shm_size_bytes",
        Host,
        "ShmSize",
        One,
        number(0, &[], "must not be negative; 0 is the default"),
    ),
    row("publish_all_ports", Host, "PublishAllPorts", One, Rule::Any),
    row("group_add", Host, "GroupAdd", List(Whole), Rule::Name),
    row("volumes_from", Host, "VolumesFrom", List(Before(':')), Rule::VolumesFrom),
    row("device_requests", Host, "DeviceRequests", List(Member("Driver")), Rule::Own),
    row("runtime", Host, "Runtime", One, Rule::Text),
    row("annotations", Host, "Annotations", Map, Rule::Text),
    row("dns_search", Host, "DnsSearch", List(Whole), Rule::Name),
    row("dns_options", Host, "DnsOptions", List(Before(':')), Rule::Name),
    row("cgroup_parent", Host, "CgroupParent", One, Rule::Text),
    row(
        "cpu_quota",
        Host,
        "CpuQuota",
        One,
        number(1000, &[0, -1], "must be -1 for no limit, or at least 1000 microseconds"),
    ),
    row(
        "cpu_period",
        Host,
        "CpuPeriod",
        One,
        between(1000, 1_000_000, &[0], "must be from 1000 to 1000000 microseconds"),
    ),
    row("userns_mode", Host, "UsernsMode", One, Rule::Text),
    row("cgroupns_mode", Host, "CgroupnsMode", One, Rule::Word(&["host", "private"])),
    row(
        "oom_score_adj",
        Host,
        "OomScoreAdj",
        One,
        between(-1000, 1000, &[], "must be from -1000 to 1000"),
    ),
];

const fn row(
    field: &'static str,
    section: Section,
    key: &'static str,
    shape: Shape,
    rule: Rule,
) -> Setting {
    Setting { field, section, key, shape, rule }
}

const fn number(least: i64, or: &'static [i64], problem: &'static str) -> Rule {
    between(least, i64::MAX, or, problem)
}

const fn between(least: i64, most: i64, or: &'static [i64], problem: &'static str) -> Rule {
    Rule::Number { least, most, or, problem }
}

/// The setting that a field of `ContainerSpec` is.
#[must_use]
pub fn by_field(field: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.field == field)
}

/// The setting that a key of the Engine is.
#[must_use]
pub fn by_key(section: Section, key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.section == section && setting.key == key)
}

impl Setting {
    /// What an entry is called; `None` where entries have no names.
    #[must_use]
    pub fn entries(&self) -> Option<Name> {
        match self.shape {
            List(name) | Keyed(name) => Some(name),
            Map if self.key == "Tmpfs" => Some(Target),
            Map => Some(Whole),
            One | Fields | Words => None,
        }
    }
}

impl Name {
    /// The name of an entry that is a text.
    #[must_use]
    pub fn of(self, entry: &str) -> String {
        match self {
            Whole | Member(_) => entry.to_owned(),
            Before(end) => entry.split(end).next().unwrap_or_default().to_owned(),
            Capability => {
                let upper = entry.to_ascii_uppercase();
                upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
            }
            Target => target(entry).to_owned(),
            Port if entry.contains('/') => entry.to_ascii_lowercase(),
            Port => format!("{entry}/tcp"),
        }
    }
}

/// The path in the container of a bind as docker writes it, without slashes at its end. A text
/// without a colon is one itself.
#[must_use]
pub fn target(bind: &str) -> &str {
    let mut parts = bind.split(':');
    let first = parts.next().unwrap_or_default();
    clean(parts.next().unwrap_or(first))
}

/// A path without slashes at its end.
#[must_use]
pub fn clean(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/" } else { trimmed }
}
