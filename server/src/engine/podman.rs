//! Converts Podman's inspections to those of a Docker Engine. Pure.
//!
//! Podman's inspection shows the result of a request, and Podman refuses or misinterprets some of
//! it in a new request: a runtime called `oci`, a `StopTimeout` of 0 if none was set, the host name
//! in the environment, kernel names of limits. Called wherever an inspection is converted to a body
//! or compared with one.

use std::mem;

use serde_json::{Map, Value, json};

/// The runtime that Podman names for every container, and no Docker Engine for any.
const RUNTIME: &str = "oci";
/// How inspections name the network that the list of networks and `NetworkMode` call `bridge`.
const DEFAULT_NETWORK: &str = "podman";
/// Variables that it adds to the environment if neither the container nor its image sets them.
const ADDED: [&str; 6] = [
    "container=podman",
    "TERM=xterm",
    "HOME=",
    "HOME=/",
    "HOME=/root",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
];
/// Prefixes of the annotations that it writes itself.
const OWN_ANNOTATIONS: [&str; 4] = [
    "io.container.manager",
    "io.podman.annotations.",
    "org.opencontainers.image.stopSignal",
    "org.systemd.property.",
];
/// The first version that can change the restart policy of a container.
const CHANGES_RESTART_POLICIES: (u32, u32) = (5, 1);
/// Options that it shows for every mount of a volume.
const MOUNT_OPTIONS: [&str; 6] = ["rprivate", "rw", "nodev", "exec", "nosuid", "rbind"];
/// Defaults that it fills into a health check; times in nanoseconds.
const HEALTH_DEFAULTS: [(&str, u64); 3] =
    [("Interval", 30_000_000_000), ("Timeout", 30_000_000_000), ("Retries", 3)];
/// Signals by number, as images name them.
const SIGNALS: [(&str, &str); 8] = [
    ("1", "SIGHUP"),
    ("2", "SIGINT"),
    ("3", "SIGQUIT"),
    ("6", "SIGABRT"),
    ("9", "SIGKILL"),
    ("10", "SIGUSR1"),
    ("12", "SIGUSR2"),
    ("28", "SIGWINCH"),
];

/// Whether the Engine with this information cannot change restart policies: `POST
/// /containers/{id}/update` was added in Podman 5.1.
#[must_use]
pub fn has_fixed_restart_policies(info: &Value) -> bool {
    // Only Podman has Buildah.
    let is_podman = info["BuildahVersion"].is_string();
    let version = info["ServerVersion"].as_str().unwrap_or_default();
    let mut numbers = version.split('.').map_while(|number| number.parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    is_podman && version < CHANGES_RESTART_POLICIES
}

/// Whether Podman created the container of this inspection.
#[must_use]
pub fn made(inspect: &Value) -> bool {
    inspect["HostConfig"]["Runtime"] == RUNTIME
}

/// Puts the environment in the settings of a container of Podman in the order of a Docker Engine:
/// what is the container's own, then what is of the image; and without what Podman added.
pub fn order_environment(config: &mut Value, image: Option<&Value>) {
    let of_image = image.and_then(|image| image["Config"]["Env"].as_array().cloned());
    let of_image = of_image.unwrap_or_default();
    let hostname = format!("HOSTNAME={}", config["Hostname"].as_str().unwrap_or_default());
    if let Some(environment) = config.get_mut("Env").and_then(Value::as_array_mut) {
        let all = mem::take(environment);
        let is_added = |entry: &Value| {
            let entry = entry.as_str().unwrap_or_default();
            entry == hostname || ADDED.contains(&entry)
        };
        let own = all.iter().filter(|entry| !of_image.contains(entry) && !is_added(entry));
        environment.extend(own.cloned());
        environment.extend(of_image.iter().filter(|entry| all.contains(entry)).cloned());
    }
}

/// The inspection of an image, with the values that Podman shows for its health check in a
/// container.
#[must_use]
pub fn with_health_defaults(mut image: Value) -> Value {
    if let Some(check) = image.pointer_mut("/Config/Healthcheck").and_then(Value::as_object_mut) {
        for (key, default) in HEALTH_DEFAULTS {
            let value = check.entry(key).or_insert(Value::Null);
            if value.as_u64().unwrap_or(0) == 0 {
                *value = json!(default);
            }
        }
    }
    image
}

/// The inspection as a Docker Engine would show it; that of a Docker Engine is unchanged.
#[must_use]
pub fn as_docker(mut inspect: Value) -> Value {
    if !made(&inspect) {
        return inspect;
    }
    state(&mut inspect["State"]);
    configuration(&mut inspect["Config"]);
    let volumes = anonymous_volumes(&inspect["Mounts"]);
    host_configuration(&mut inspect["HostConfig"], &volumes);
    networks(&mut inspect);
    inspect
}

/// A container that is being stopped is still running, although Podman reports otherwise.
fn state(state: &mut Value) {
    let status = match state["Status"].as_str().unwrap_or_default() {
        "stopping" => "running",
        "configured" | "initialized" => "created",
        "stopped" => "exited",
        _ => return,
    };
    state["Running"] = json!(status == "running");
    state["Status"] = json!(status);
}

fn configuration(config: &mut Value) {
    // Podman's default, which is shown whether it was set or not.
    let signal = config["StopSignal"].as_str().unwrap_or_default();
    if matches!(signal, "15" | "SIGTERM") {
        remove(config, "StopSignal");
    } else if let Some((_, name)) = SIGNALS.iter().find(|(number, _)| *number == signal) {
        config["StopSignal"] = json!(name);
    }
    if config["StopTimeout"] == 0 {
        remove(config, "StopTimeout");
    }
}

fn host_configuration(host_config: &mut Value, anonymous_volumes: &[String]) {
    remove(host_config, "Runtime");
    // An explicit 0 has a meaning; Podman also shows 0 if nothing was set.
    if host_config["MemorySwappiness"] == 0 {
        remove(host_config, "MemorySwappiness");
    }
    if let Some(annotations) = host_config.get_mut("Annotations").and_then(Value::as_object_mut) {
        annotations.retain(|name, _| !OWN_ANNOTATIONS.iter().any(|own| name.starts_with(own)));
        if annotations.is_empty() {
            remove(host_config, "Annotations");
        }
    }
    for key in ["PidMode", "UTSMode"] {
        if host_config[key] == "private" {
            host_config[key] = json!("");
        }
    }
    // Podman 5 shows a size even for a namespace of another container, and refuses it in a request.
    let ipc = host_config["IpcMode"].as_str().unwrap_or_default();
    if ipc == "host" || ipc.starts_with("container:") {
        remove(host_config, "ShmSize");
    }
    // Ports that are exposed and not published.
    if let Some(ports) = host_config.get_mut("PortBindings").and_then(Value::as_object_mut) {
        ports.retain(|_, bindings| !bindings.is_null());
    }
    for limit in host_config.get_mut("Ulimits").and_then(Value::as_array_mut).into_iter().flatten()
    {
        let name = limit["Name"].as_str().and_then(|name| name.strip_prefix("RLIMIT_"));
        if let Some(name) = name.map(str::to_lowercase) {
            limit["Name"] = json!(name);
        }
    }
    if let Some(binds) = host_config.get_mut("Binds").and_then(Value::as_array_mut) {
        let old = mem::take(binds);
        binds.extend(old.iter().filter_map(Value::as_str).filter_map(|bind| {
            let mut parts = bind.splitn(3, ':');
            let (source, target) = (parts.next()?, parts.next()?);
            if anonymous_volumes.iter().any(|volume| volume == source) {
                // Podman lists it among the mounts; a Docker Engine has it here.
                return None;
            }
            let options = parts.next().unwrap_or_default().split(',');
            let options: Vec<&str> =
                options.filter(|it| !it.is_empty() && !MOUNT_OPTIONS.contains(it)).collect();
            Some(match options.is_empty() {
                true => format!("{source}:{target}").into(),
                false => format!("{source}:{target}:{}", options.join(",")).into(),
            })
        }));
    }
}

/// Unnamed volumes have a name of 64 hexadecimal digits.
fn anonymous_volumes(mounts: &Value) -> Vec<String> {
    let is_anonymous =
        |name: &&str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mounts = mounts.as_array().into_iter().flatten();
    let volumes = mounts.filter(|mount| mount["Type"] == "volume");
    let names = volumes.filter_map(|mount| mount["Name"].as_str());
    names.filter(is_anonymous).map(str::to_owned).collect()
}

/// Podman's `NetworkMode` is `bridge` for every network, the ID of a network is its name, and the
/// host name is added to the aliases, possibly repeatedly.
fn networks(inspect: &mut Value) {
    let hostname = inspect["Config"]["Hostname"].clone();
    let shown = &mut inspect["NetworkSettings"]["Networks"];
    let Some(shown) = shown.as_object_mut() else { return };
    let mut networks = Map::new();
    for (name, mut endpoint) in mem::take(shown) {
        if let Some(aliases) = endpoint.get_mut("Aliases").and_then(Value::as_array_mut) {
            aliases.retain(|alias| *alias != hostname);
        }
        if endpoint["NetworkID"] == name.as_str() {
            endpoint["NetworkID"] = json!("");
        }
        let name = if name == DEFAULT_NETWORK { "bridge".to_owned() } else { name };
        networks.insert(name, endpoint);
    }
    let first = networks.keys().next().cloned();
    let on_default = networks.contains_key("bridge");
    *shown = networks;
    if inspect["HostConfig"]["NetworkMode"] == "bridge"
        && !on_default
        && let Some(first) = first
    {
        inspect["HostConfig"]["NetworkMode"] = first.into();
    }
}

fn remove(object: &mut Value, key: &str) {
    if let Some(object) = object.as_object_mut() {
        object.shift_remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_podman_added_is_not_asked_for_again() {
        let volume = "a".repeat(64);
        let shown = json!({
            "Config": {
                "Hostname": "0e2eeba176d8",
                "StopSignal": "15",
                "StopTimeout": 0,
            },
            "HostConfig": {
                "Runtime": "oci",
                "NetworkMode": "bridge",
                "PidMode": "private",
                "UTSMode": "private",
                "MemorySwappiness": 0,
                "PortBindings": {"80/tcp": null, "81/tcp": [{"HostPort": "81"}]},
                "Ulimits": [{"Name": "RLIMIT_NOFILE", "Hard": 9, "Soft": 8}],
                "Binds": [
                    format!("{volume}:/data:rprivate,rw,nodev,exec,nosuid,rbind"),
                    "named:/named:rprivate,ro,nodev,exec,nosuid,rbind",
                    "/srv:/srv:rw,rprivate,rbind",
                ],
            },
            "Mounts": [{"Type": "volume", "Name": volume, "Destination": "/data"}],
            "NetworkSettings": {"Networks": {"podman": {"NetworkID": "podman"}}},
        });
        let read = as_docker(shown.clone());
        assert_eq!(read["Config"], json!({"Hostname": "0e2eeba176d8"}));
        assert_eq!(
            read["HostConfig"],
            json!({
                "NetworkMode": "bridge",
                "PidMode": "",
                "UTSMode": "",
                "PortBindings": {"81/tcp": [{"HostPort": "81"}]},
                "Ulimits": [{"Name": "nofile", "Hard": 9, "Soft": 8}],
                "Binds": ["named:/named:ro", "/srv:/srv"],
            })
        );
        let networks = &read["NetworkSettings"]["Networks"];
        assert_eq!(networks, &json!({"bridge": {"NetworkID": ""}}));

        let mut docker = shown;
        docker["HostConfig"]["Runtime"] = json!("runc");
        assert_eq!(as_docker(docker.clone()), docker);
    }

    #[test]
    fn the_environment_of_the_container_comes_before_that_of_its_image() {
        let shown = json!({
            "Hostname": "0e2eeba176d8",
            "Env": ["B=image", "A=1", "TERM=xterm", "container=podman", "HOME=/", "C=own",
                "HOSTNAME=0e2eeba176d8"],
        });
        let read = |image: Option<&Value>| {
            let mut config = shown.clone();
            order_environment(&mut config, image);
            config["Env"].take()
        };
        let image = json!({"Config": {"Env": ["TERM=xterm", "C=image", "B=image"]}});
        assert_eq!(read(Some(&image)), json!(["A=1", "C=own", "TERM=xterm", "B=image"]));
        assert_eq!(read(None), json!(["B=image", "A=1", "C=own"]));
    }

    #[test]
    fn one_that_is_being_stopped_still_runs() {
        let read = |status: &str| {
            let state = json!({"Status": status, "Running": false});
            let inspect = json!({"HostConfig": {"Runtime": "oci"}, "State": state});
            let state = as_docker(inspect)["State"].take();
            (state["Status"].clone(), state["Running"] == true)
        };
        assert_eq!(read("stopping"), (json!("running"), true));
        assert_eq!(read("initialized"), (json!("created"), false));
        assert_eq!(read("stopped"), (json!("exited"), false));
        assert_eq!(read("exited"), (json!("exited"), false));
    }

    #[test]
    fn shared_memory_that_is_not_the_container_s_has_no_size() {
        let read = |mode: &str| {
            let shown = json!({"Runtime": "oci", "IpcMode": mode, "ShmSize": 65_536_000});
            as_docker(json!({"HostConfig": shown}))["HostConfig"]["ShmSize"].take()
        };
        assert_eq!(read("shareable"), 65_536_000);
        assert_eq!(read("host"), Value::Null);
        assert_eq!(read("container:0e2eeba176d8"), Value::Null);
    }

    #[test]
    fn the_restart_policy_is_fixed_on_podman_before_5_1() {
        let podman = |version| json!({"ServerVersion": version, "BuildahVersion": "1.28.2"});
        for (info, expected) in [
            (podman("4.3.1"), true),
            (podman("5.0.3"), true),
            (podman("5.1.0-rc1"), false),
            (podman("5.4.2"), false),
            (json!({"ServerVersion": "4.3.1"}), false),
        ] {
            assert_eq!(has_fixed_restart_policies(&info), expected, "{info}");
        }
    }

    #[test]
    fn the_health_check_of_an_image_has_the_defaults_of_podman() {
        let image = |check: Value| json!({"Config": {"Healthcheck": check}});
        let read =
            with_health_defaults(image(json!({"Test": ["CMD", "x"], "Interval": 1, "Retries": 0})));
        let expected = json!({
            "Test": ["CMD", "x"], "Interval": 1, "Timeout": 30_000_000_000_u64, "Retries": 3,
        });
        assert_eq!(read["Config"]["Healthcheck"], expected);
        assert_eq!(with_health_defaults(json!({"Config": {}})), json!({"Config": {}}));
    }

    #[test]
    fn a_network_that_is_not_the_default_is_the_one_of_the_mode() {
        let read = as_docker(json!({
            "Config": {"StopSignal": "2", "StopTimeout": 30, "Hostname": "there"},
            "HostConfig": {"Runtime": "oci", "NetworkMode": "bridge"},
            "NetworkSettings": {"Networks": {"back": {"NetworkID": "back", "Aliases": ["a", "there"]}}},
        }));
        assert_eq!(read["HostConfig"]["NetworkMode"], "back");
        assert_eq!(read["NetworkSettings"]["Networks"]["back"]["Aliases"], json!(["a"]));
        let expected = json!({"StopSignal": "SIGINT", "StopTimeout": 30, "Hostname": "there"});
        assert_eq!(read["Config"], expected);
    }
}
