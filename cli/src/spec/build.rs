//! Converts flags to a `ContainerSpec`. Pure: files and environment are function arguments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wharf::v1::{ContainerSpec, HealthCheck};

use super::flags::ContainerFlags;
use super::{files, networks};
use crate::duration;
use crate::exit::Failure;

impl ContainerFlags {
    /// The spec, with the files and the environment of this process.
    pub fn spec_here(self, image: String, command: Vec<String>) -> Result<ContainerSpec, Failure> {
        self.spec(image, command, |path| std::fs::read(path), |name| std::env::var(name).ok())
    }

    /// The spec. `read` reads files, `variable` is this environment.
    pub fn spec(
        self,
        image: String,
        command: Vec<String>,
        read: impl Fn(&Path) -> std::io::Result<Vec<u8>>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<ContainerSpec, Failure> {
        let mut empty = Vec::new();
        // An empty text is a value that was given.
        let mut text = |field: &str, flag: Option<String>| {
            if flag.as_deref() == Some("") {
                empty.push(field.to_owned());
            }
            flag.unwrap_or_default()
        };
        let health_check = self.health_check()?;
        let (network, networks) =
            networks::attachments(self.network, self.ip, self.ip6, self.mac_address)
                .map_err(Failure::Usage)?;
        Ok(ContainerSpec {
            env: environment(&self.env, &self.env_file, &read, &variable)?,
            labels: labels(&self.label, &self.label_file, &read)?,
            health_check,
            security_opt: security_options(self.security_opt, &read)?,
            image,
            command,
            entrypoint: self.entrypoint.into_iter().collect(),
            user: text("user", self.user),
            working_dir: absolute("--workdir", text("working_dir", self.workdir))?,
            hostname: text("hostname", self.hostname),
            domainname: text("domainname", self.domainname),
            ports: self.publish.into_iter().flatten().collect(),
            expose: self.expose.into_iter().flatten().collect(),
            volumes: self.volume,
            mounts: self.mount,
            network,
            networks,
            network_aliases: self.network_alias,
            restart_policy: self.restart,
            cap_add: self.cap_add,
            cap_drop: self.cap_drop,
            privileged: self.privileged,
            memory_bytes: self.memory,
            memory_swap_bytes: self.memory_swap,
            memory_reservation_bytes: self.memory_reservation,
            oom_score_adj: self.oom_score_adj,
            nano_cpus: self.cpus,
            cpu_shares: self.cpu_shares,
            cpu_quota: self.cpu_quota,
            cpu_period: self.cpu_period,
            cpuset_cpus: text("cpuset_cpus", self.cpuset_cpus),
            pids_limit: self.pids_limit,
            init: self.init,
            auto_remove: self.rm,
            ulimits: self.ulimit,
            log_driver: text("log_driver", self.log_driver),
            log_options: self.log_opt.into_iter().collect(),
            dns: self.dns.iter().map(ToString::to_string).collect(),
            dns_search: self.dns_search,
            dns_options: self.dns_option,
            extra_hosts: self.add_host,
            tmpfs: self.tmpfs.into_iter().collect(),
            read_only: self.read_only,
            devices: self.device,
            device_requests: self.gpus.into_iter().collect(),
            runtime: text("runtime", self.runtime),
            annotations: self.annotation.into_iter().collect(),
            stop_signal: text("stop_signal", self.stop_signal),
            stop_timeout: self
                .stop_timeout
                .map(|s| duration::to_proto(Duration::from_secs(s.into()))),
            tty: self.tty,
            open_stdin: self.interactive,
            stdin_once: None,
            pid_mode: text("pid_mode", self.pid),
            ipc_mode: text("ipc_mode", self.ipc),
            userns_mode: text("userns_mode", self.userns),
            cgroupns_mode: text("cgroupns_mode", self.cgroupns),
            cgroup_parent: text("cgroup_parent", self.cgroup_parent),
            sysctls: self.sysctl.into_iter().collect(),
            shm_size_bytes: self.shm_size,
            publish_all_ports: self.publish_all,
            group_add: self.group_add,
            volumes_from: self.volumes_from,
            empty,
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
                Err(Failure::usage("--no-healthcheck conflicts with the other --health-… flags"))
            }
            (true, false) => {
                Ok(Some(HealthCheck { test: vec!["NONE".to_owned()], ..HealthCheck::default() }))
            }
            (false, given) => Ok(given.then_some(check)),
        }
    }
}

/// Reads a file.
pub type Read<'a> = &'a dyn Fn(&Path) -> std::io::Result<Vec<u8>>;

/// Files first, then flags: for each name, only the last entry is kept.
pub fn environment(
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
            // Like docker, skip a bare name in a file if the variable is not set here.
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
) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::new();
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

/// The Engine takes a seccomp profile as JSON, so a file is read here, as docker does.
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        flags: ContainerFlags,
    }

    fn spec(line: &[&str]) -> Result<ContainerSpec, Failure> {
        let line = Line::parse_from(std::iter::once(&"x").chain(line));
        let read = |path: &Path| match path.to_str() {
            Some("env") => Ok(b"A=file\nB=file\nHERE\nNOWHERE\n".to_vec()),
            Some("labels") => Ok(b"a=file\nb\n".to_vec()),
            Some("profile.json") => Ok(b"{\n \"defaultAction\": \"x\"\n}".to_vec()),
            _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        };
        let variable = |name: &str| (name == "HERE").then(|| "here".to_owned());
        line.flags.spec(String::new(), Vec::new(), read, variable)
    }

    #[test]
    fn flags_win_over_files_and_a_bare_name_takes_this_environments_value() {
        let spec =
            spec(&["-e", "A=flag", "-e", "HERE", "-e", "GONE", "--env-file", "env"]).unwrap();
        assert_eq!(spec.env, ["B=file", "A=flag", "HERE=here", "GONE"]);
    }

    #[test]
    fn labels_come_from_files_and_flags() {
        let spec = spec(&["--label", "a=flag", "--label", "c", "--label-file", "labels"]).unwrap();
        let label = |key: &str| spec.labels[key].as_str();
        assert_eq!((label("a"), label("b"), label("c")), ("flag", "", ""));
    }

    #[test]
    fn a_seccomp_profile_is_sent_and_not_its_path() {
        let options =
            ["--security-opt", "seccomp=profile.json", "--security-opt", "no-new-privileges"];
        let found = spec(&options).unwrap().security_opt;
        assert_eq!(found, [r#"seccomp={"defaultAction":"x"}"#, "no-new-privileges"]);
        assert_eq!(
            spec(&["--security-opt", "seccomp=unconfined"]).unwrap().security_opt,
            ["seccomp=unconfined"]
        );
        assert!(spec(&["--security-opt", "seccomp=missing.json"]).is_err());
    }

    #[test]
    fn health_checks_are_set_or_switched_off() {
        let check = spec(&[
            "--health-cmd",
            "curl x",
            "--health-interval",
            "1m30s",
            "--health-retries",
            "5",
        ]);
        let check = check.unwrap().health_check.unwrap();
        assert_eq!(check.test, ["CMD-SHELL", "curl x"]);
        assert_eq!((check.interval.unwrap().seconds, check.retries), (90, 5));
        let times_only = spec(&["--health-timeout", "5s"]).unwrap().health_check.unwrap();
        assert!(times_only.test.is_empty());
        assert_eq!(spec(&["--no-healthcheck"]).unwrap().health_check.unwrap().test, ["NONE"]);
        assert!(spec(&["--no-healthcheck", "--health-retries", "1"]).is_err());
    }

    #[test]
    fn what_is_not_given_is_not_set() {
        assert_eq!(spec(&[]).unwrap(), ContainerSpec::default());
        let found = spec(&["--user", "", "-h", "", "--ipc", "private"]).unwrap();
        assert_eq!(
            (found.empty, found.ipc_mode.as_str()),
            (vec!["user".into(), "hostname".into()], "private")
        );
        let spec = spec(&["--entrypoint", "", "--privileged=false", "--rm"]).unwrap();
        assert_eq!(spec.entrypoint, [""]);
        assert_eq!((spec.privileged, spec.auto_remove), (Some(false), Some(true)));
    }
}
