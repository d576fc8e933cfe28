//! Containers as `GET /containers/{id}/json` shows them, by the version of the request.

use serde_json::{Map, Value, json};
use wharf_server::engine::{ApiVersion, ErrorKind};

use super::container::{Container, Endpoint};
use super::refusal::Refusal;
use super::time::rfc3339_or_never;
use super::{Health, Model};

/// Fields of `Config` that Go leaves out when they are empty.
const OMITTED_WHEN_EMPTY: [&str; 8] = [
    "ExposedPorts",
    "Healthcheck",
    "ArgsEscaped",
    "NetworkDisabled",
    "MacAddress",
    "StopSignal",
    "StopTimeout",
    "Shell",
];
/// The same of `HostConfig`.
const HOST_OMITTED_WHEN_EMPTY: [&str; 5] = ["Mounts", "Tmpfs", "Sysctls", "StorageOpt", "Init"];

/// A request body read as Go's decoder does, with its texts.
pub(crate) fn parse_json(text: &[u8]) -> Result<Value, Refusal> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::bad_request_500("EOF"));
    }
    serde_json::from_slice(text).map_err(|error| {
        let first = text.iter().copied().find(|byte| !byte.is_ascii_whitespace()).unwrap_or(b' ');
        let place = if error.is_eof() {
            "unexpected EOF".to_owned()
        } else {
            format!("invalid character '{}' looking for beginning of value", char::from(first))
        };
        Refusal::new(500, ErrorKind::BadRequest, place)
    })
}

impl Model {
    /// The inspection of a container.
    pub fn inspect(&self, version: ApiVersion, name: &str, size: bool) -> Result<Value, Refusal> {
        let container = self.found(name)?;
        let mut argv = container.argv().into_iter();
        let path = argv.next().unwrap_or_default();
        let mut json = json!({
            "Id": container.id,
            "Created": container.created.rfc3339(),
            "Path": path,
            "Args": argv.collect::<Vec<_>>(),
            "State": container.state_json(),
            "Image": container.image_id,
            "ResolvConfPath": "",
            "HostnamePath": "",
            "HostsPath": "",
            "LogPath": "",
            "Name": format!("/{}", container.name),
            "RestartCount": container.restart_count,
            "Driver": "overlay2",
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": "",
            "ExecIDs": null,
            "HostConfig": null,
            "GraphDriver": {"Data": null, "Name": "overlay2"},
            "Mounts": container.mounts.iter().map(|mount| mount.json(true)).collect::<Vec<_>>(),
            "Config": null,
            "NetworkSettings": null,
        });
        // In the macro, they would be copied once more.
        json["HostConfig"] = without_empty(&container.host_config, &HOST_OMITTED_WHEN_EMPTY);
        json["Config"] = without_empty(&container.config, &OMITTED_WHEN_EMPTY);
        json["NetworkSettings"] = self.network_settings(version, container);
        if size {
            json["SizeRw"] = json!(0);
            json["SizeRootFs"] = json!(self.image_size(container));
        }
        let mode = container.network_mode();
        let own = if mode == "default" { "bridge" } else { mode };
        let address = container.endpoints.get(own).and_then(|it| it.settings.get("MacAddress"));
        if version.minor < 52
            && let Some(address) = address.filter(|it| *it != "")
        {
            json["Config"]["MacAddress"] = address.clone();
        }
        if version.minor >= 52
            && json["Config"]["OnBuild"].is_null()
            && let Some(config) = json["Config"].as_object_mut()
        {
            config.remove("OnBuild");
        }
        Ok(json)
    }

    /// Bytes of the container's image, 0 where it is gone.
    pub(super) fn image_size(&self, container: &Container) -> u64 {
        self.images.get(&container.image_id).map_or(0, |image| image.content.size())
    }

    /// The networks of a container by name.
    pub(super) fn networks_json(&self, version: ApiVersion, container: &Container) -> Value {
        let endpoint = |(name, endpoint): (&String, &Endpoint)| {
            (name.clone(), self.endpoint_json(version, container, name, endpoint))
        };
        Value::Object(container.endpoints.iter().map(endpoint).collect())
    }

    fn endpoint_json(
        &self,
        version: ApiVersion,
        container: &Container,
        network: &str,
        endpoint: &Endpoint,
    ) -> Value {
        let given = |key: &str| endpoint.settings.get(key).cloned().unwrap_or(Value::Null);
        let address = endpoint.address.as_ref();
        let text =
            |field: fn(&super::Address) -> &String| address.map(field).cloned().unwrap_or_default();
        let ip = text(|address| &address.ip);
        let names = self.network(network).is_some_and(super::Network::user_defined);
        let mut aliases = super::content::strings(Some(&given("Aliases")));
        let short_id = container.id[..12].to_owned();
        if names && version.minor < 45 && address.is_some() {
            aliases.push(short_id.clone());
        }
        let mut json = json!({
            "IPAMConfig": given("IPAMConfig"),
            "Links": given("Links"),
            "Aliases": if aliases.is_empty() { Value::Null } else { json!(aliases) },
            "NetworkID": text(|address| &address.network_id),
            "EndpointID": text(|address| &address.endpoint_id),
            "Gateway": text(|address| &address.gateway),
            "IPAddress": ip,
            "IPPrefixLen": if ip.is_empty() { 0 } else { 16 },
            "IPv6Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "MacAddress": text(|address| &address.mac),
            "DriverOpts": given("DriverOpts"),
        });
        if version.minor >= 44 && container.state.started_at.is_none() {
            // What was asked for, until there is one in use.
            json["MacAddress"] = json!(given("MacAddress").as_str().unwrap_or_default());
        }
        if version.minor >= 48 {
            json["GwPriority"] = json!(given("GwPriority").as_i64().unwrap_or_default());
        }
        if version.minor >= 45 {
            let mut known = vec![container.name.clone()];
            known.extend(aliases);
            known.push(short_id);
            json["DNSNames"] = if names { json!(known) } else { Value::Null };
        }
        json
    }

    fn network_settings(&self, version: ApiVersion, container: &Container) -> Value {
        let running = container.state.status.has_process();
        let sandbox = super::content::hex(&format!("sandbox {}", container.id));
        let mut settings = json!({
            "Bridge": "",
            "SandboxID": if running { sandbox.clone() } else { String::new() },
            "HairpinMode": false,
            "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0,
            "Ports": container.ports_json(),
            "SandboxKey": if running { format!("/var/run/docker/netns/{}", &sandbox[..12]) } else { String::new() },
            "SecondaryIPAddresses": null,
            "SecondaryIPv6Addresses": null,
        });
        if version.minor >= 52
            && let Some(settings) = settings.as_object_mut()
        {
            settings.retain(|key, _| matches!(key.as_str(), "SandboxID" | "SandboxKey" | "Ports"));
        }
        if version.minor < 52 {
            // Those of the default bridge, for clients of the time before networks.
            let bridge =
                container.endpoints.get("bridge").and_then(|endpoint| endpoint.address.as_ref());
            let text = |field: fn(&super::Address) -> &String| {
                bridge.map(field).cloned().unwrap_or_default()
            };
            let ip = text(|address| &address.ip);
            settings["EndpointID"] = json!(text(|address| &address.endpoint_id));
            settings["Gateway"] = json!(text(|address| &address.gateway));
            settings["GlobalIPv6Address"] = json!("");
            settings["GlobalIPv6PrefixLen"] = json!(0);
            settings["IPAddress"] = json!(ip);
            settings["IPPrefixLen"] = json!(if ip.is_empty() { 0 } else { 16 });
            settings["IPv6Gateway"] = json!("");
            settings["MacAddress"] = json!(text(|address| &address.mac));
        }
        settings["Networks"] = self.networks_json(version, container);
        settings
    }
}

impl Container {
    fn state_json(&self) -> Value {
        let (state, status) = (&self.state, self.state.status);
        let mut json = json!({
            "Status": status.as_str(),
            "Running": status.counts_as_running(),
            "Paused": status == super::Status::Paused,
            "Restarting": status == super::Status::Restarting,
            "OOMKilled": false,
            "Dead": status == super::Status::Dead,
            "Pid": state.pid,
            "ExitCode": state.exit_code,
            "Error": state.error,
            "StartedAt": rfc3339_or_never(state.started_at),
            "FinishedAt": rfc3339_or_never(state.finished_at),
        });
        if let Some(health) = &state.health {
            json["Health"] = health_json(health);
        }
        json
    }

    fn ports_json(&self) -> Value {
        let mut ports = Map::new();
        if self.state.status.has_process() {
            let exposed = self.config.get("ExposedPorts").and_then(Value::as_object);
            for private in exposed.into_iter().flat_map(|ports| ports.keys()) {
                ports.insert(private.clone(), Value::Null);
            }
            for port in &self.published {
                let host = json!({"HostIp": port.ip, "HostPort": port.port.to_string()});
                match ports.entry(port.private.clone()).or_insert(Value::Null) {
                    Value::Array(hosts) => hosts.push(host),
                    slot => *slot = json!([host]),
                }
            }
        }
        Value::Object(ports)
    }
}

fn health_json(health: &Health) -> Value {
    let log: Vec<Value> = health
        .log
        .iter()
        .map(|probe| {
            let at = probe.at.rfc3339();
            json!({"Start": at, "End": at, "ExitCode": probe.exit_code, "Output": probe.output})
        })
        .collect();
    json!({"Status": health.status, "FailingStreak": health.failing_streak, "Log": log})
}

fn without_empty(members: &Map<String, Value>, omitted: &[&str]) -> Value {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    let kept = members
        .iter()
        .filter(|(key, value)| !(omitted.contains(&key.as_str()) && empty(value)))
        .map(|(key, value)| (key.clone(), value.clone()));
    Value::Object(kept.collect())
}
