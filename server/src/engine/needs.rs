//! The API version that the body of a new container requires. An Engine often silently drops
//! settings that its version does not know, so a body is checked before it is sent. Pure; called
//! when a container is created, and by the plan of a rollout.
//!
//! The versions are from the Engine's API changelog, above Engine 17.12, the oldest supported one.

use serde_json::Value;

use super::ApiVersion;
use crate::domain::quoted;

/// Settings of the body by path: their names, and the API version that added them.
const BODY: [(&str, &str, u16); 1] =
    [("Healthcheck/StartInterval", "a start interval of the health check", 44)];

/// The same of `HostConfig`.
const HOST: [(&str, &str, u16); 4] = [
    ("DeviceRequests", "device requests, such as GPUs", 40),
    ("CgroupnsMode", "a control group namespace", 41),
    ("Annotations", "annotations", 43),
    ("Umask", "a umask", 56),
];

/// The same of a mount.
const MOUNT: [(&str, &str, u16); 7] = [
    ("BindOptions/NonRecursive", "a bind that is not recursive", 40),
    ("BindOptions/CreateMountpoint", "the creation of a mount's source", 42),
    ("BindOptions/ReadOnlyNonRecursive", "a choice of recursive read-only", 44),
    ("BindOptions/ReadOnlyForceRecursive", "a choice of recursive read-only", 44),
    ("VolumeOptions/Subpath", "a subpath of a volume", 45),
    ("TmpfsOptions/Options", "options of a tmpfs", 46),
    ("ImageOptions/Subpath", "a subpath of an image", 48),
];

/// The same of an endpoint.
const ENDPOINT: [(&str, &str, u16); 3] = [
    ("MacAddress", "a MAC address for each network", 44),
    ("DriverOpts/com.docker.network.endpoint.sysctls", "kernel parameters for each network", 46),
    ("GwPriority", "a gateway priority", 48),
];

/// A mount of type `image`.
const IMAGE_MOUNTS: u16 = 48;
/// From here on the address of the container as a whole is ignored.
const NO_MAC_ADDRESS: ApiVersion = ApiVersion::new(1, 52);
/// From here on a port with an empty list of bindings is not published.
const NO_EMPTY_BINDINGS: ApiVersion = ApiVersion::new(1, 53);

/// From here on a creation takes all endpoints, and the address of a network card is theirs.
pub const MANY_ENDPOINTS: ApiVersion = ApiVersion::new(1, 44);

/// The body in the form that this version takes: before endpoints had addresses of network cards, that
/// of the main network was the container's, and the Engine's own network needed no endpoint.
#[must_use]
pub fn in_form_of(version: ApiVersion, mut body: Value) -> Value {
    let mode = main_network(&body);
    if version < MANY_ENDPOINTS
        && let Some(endpoints) = endpoints(&mut body)
    {
        let main = endpoints.get_mut(&mode).and_then(Value::as_object_mut);
        let address = main.and_then(|main| main.shift_remove("MacAddress")).filter(is_set);
        // The mode says that it is joined, unless another network is the main one.
        let own = |name: &str| matches!(name, "bridge" | "default");
        endpoints.retain(|name, endpoint| !own(&mode) || !own(name) || is_set(endpoint));
        if let Some(address) = address {
            body["MacAddress"] = address;
        }
    }
    body
}

/// The body as it is sent, and the endpoints to connect after it by the names of their networks:
/// before [`MANY_ENDPOINTS`] a creation takes that of its main network only.
#[must_use]
pub fn split_endpoints(version: ApiVersion, mut body: Value) -> (Value, Vec<(String, Value)>) {
    let mode = main_network(&body);
    let mut others = Vec::new();
    if version < MANY_ENDPOINTS
        && let Some(endpoints) = endpoints(&mut body)
        && (endpoints.len() > 1 || !endpoints.contains_key(&mode))
    {
        let own = endpoints.shift_remove(&mode).map(|own| (mode, own));
        others = std::mem::take(endpoints).into_iter().collect();
        endpoints.extend(own);
    }
    (body, others)
}

/// The network that a creation joins whatever endpoints it lists, as the body names it.
fn main_network(body: &Value) -> String {
    let mode = body["HostConfig"]["NetworkMode"].as_str().filter(|mode| !mode.is_empty());
    mode.unwrap_or("default").to_owned()
}

fn endpoints(body: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    body.get_mut("NetworkingConfig")?.get_mut("EndpointsConfig")?.as_object_mut()
}

/// The settings of a body that the Engine would refuse or drop in this version of the API, one
/// sentence each; empty if it supports all known settings.
#[must_use]
pub fn unsupported(body: &Value, version: ApiVersion) -> Vec<String> {
    let host_config = &body["HostConfig"];
    let mut found = Found { version, lines: Vec::new() };
    found.all(body, &BODY, "");
    found.all(host_config, &HOST, "");
    for mount in host_config["Mounts"].as_array().into_iter().flatten() {
        let place = format!(" at {}", quoted(mount["Target"].as_str().unwrap_or_default()));
        if mount["Type"] == "image" {
            found.need("an image as a mount", IMAGE_MOUNTS, &place);
        }
        found.all(mount, &MOUNT, &place);
    }
    let endpoints = body["NetworkingConfig"]["EndpointsConfig"].as_object();
    for (network, endpoint) in endpoints.into_iter().flatten() {
        found.all(endpoint, &ENDPOINT, &format!(" in the network {}", quoted(network)));
    }
    if version >= NO_MAC_ADDRESS && is_set(&body["MacAddress"]) {
        found.lines.push(format!(
            "the container's MacAddress is ignored from API version {NO_MAC_ADDRESS} on; set it in NetworkingConfig.EndpointsConfig"
        ));
    }
    if version >= NO_EMPTY_BINDINGS {
        let ports = host_config["PortBindings"].as_object();
        let empty = ports.into_iter().flatten().filter(|(_, bindings)| !is_set(bindings));
        for (port, _) in empty {
            found.lines.push(format!(
                "an empty list of bindings publishes nothing from API version {NO_EMPTY_BINDINGS} on; write [{{}}] for the port {port}"
            ));
        }
    }
    found.lines
}

struct Found {
    version: ApiVersion,
    lines: Vec<String>,
}

impl Found {
    fn all(&mut self, of: &Value, table: &[(&str, &str, u16)], place: &str) {
        for (path, what, since) in table {
            // Keys have dots.
            let value = path.split('/').fold(of, |value, key| &value[key]);
            if is_set(value) {
                self.need(what, *since, place);
            }
        }
    }

    fn need(&mut self, what: &str, since: u16, place: &str) {
        let since = ApiVersion::new(1, since);
        if self.version < since {
            let Self { version, .. } = self;
            self.lines.push(format!(
                "{what}{place} requires API version {since}, but this Engine uses {version}"
            ));
        }
    }
}

/// Whether a value is set: not null, and not Go's zero values.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(body: &Value, minor: u16) -> Vec<String> {
        unsupported(body, ApiVersion::new(1, minor))
    }

    #[test]
    fn what_a_version_does_not_know_is_named_with_the_version_that_does() {
        let mount = |kind: &str, options: Value| {
            let mut mount = json!({"Type": kind, "Source": "s", "Target": "/t"});
            for (key, value) in options.as_object().into_iter().flatten() {
                mount[key] = value.clone();
            }
            json!({"HostConfig": {"Mounts": [mount]}})
        };
        let endpoint =
            |settings: Value| json!({"NetworkingConfig": {"EndpointsConfig": {"n": settings}}});
        for (body, since) in [
            (mount("image", json!({})), 48),
            (mount("volume", json!({"VolumeOptions": {"Subpath": "a"}})), 45),
            (mount("tmpfs", json!({"TmpfsOptions": {"Options": [["noexec"]]}})), 46),
            (mount("bind", json!({"BindOptions": {"CreateMountpoint": true}})), 42),
            (mount("bind", json!({"BindOptions": {"ReadOnlyNonRecursive": true}})), 44),
            (endpoint(json!({"GwPriority": -1})), 48),
            (endpoint(json!({"MacAddress": "02:00:00:00:00:01"})), 44),
            (endpoint(json!({"DriverOpts": {"com.docker.network.endpoint.sysctls": "a=1"}})), 46),
            (json!({"Healthcheck": {"StartInterval": 5}}), 44),
            (json!({"HostConfig": {"Annotations": {"a": "b"}}}), 43),
            (json!({"HostConfig": {"Umask": 18}}), 56),
        ] {
            assert_eq!(lines(&body, since), [""; 0], "{body}");
            let told = lines(&body, since - 1);
            assert_eq!(told.len(), 1, "{body}: {told:?}");
            let expected =
                format!("requires API version 1.{since}, but this Engine uses 1.{}", since - 1);
            assert!(told[0].contains(&expected), "{told:?}");
        }
    }

    #[test]
    fn what_says_nothing_needs_nothing() {
        let body = json!({
            "MacAddress": "", "Healthcheck": null,
            "HostConfig": {
                "Mounts": [], "Init": null, "Annotations": {}, "DeviceRequests": null,
                "PortBindings": {"80/tcp": [{}]},
            },
            "NetworkingConfig": {"EndpointsConfig": {"n": {"GwPriority": 0, "MacAddress": ""}}},
        });
        for minor in [24, 41, 55] {
            assert_eq!(lines(&body, minor), [""; 0], "1.{minor}");
        }
    }

    #[test]
    fn what_a_version_no_longer_knows_is_named() {
        let body = json!({
            "MacAddress": "02:00:00:00:00:01", "HostConfig": {"PortBindings": {"80/tcp": []}},
        });
        assert_eq!(lines(&body, 51), [""; 0]);
        assert!(lines(&body, 52)[0].contains("EndpointsConfig"), "{:?}", lines(&body, 52));
        assert_eq!(lines(&body, 52).len(), 1);
        assert!(lines(&body, 53)[1].contains("write [{}] for the port 80/tcp"));
    }

    #[test]
    fn a_body_gets_the_form_of_its_version() {
        let body = json!({
            "HostConfig": {"NetworkMode": "front"},
            "NetworkingConfig": {"EndpointsConfig": {
                "back": {"Aliases": ["db"]}, "front": {"MacAddress": "02:00:00:00:00:01"},
            }},
        });
        let old = in_form_of(ApiVersion::new(1, 43), body.clone());
        assert_eq!(old["MacAddress"], "02:00:00:00:00:01");
        assert_eq!(lines(&old, 43), [""; 0]);
        let (sent, others) = split_endpoints(ApiVersion::new(1, 43), old);
        assert_eq!(sent["NetworkingConfig"]["EndpointsConfig"], json!({"front": {}}));
        assert_eq!(others, [("back".to_owned(), json!({"Aliases": ["db"]}))]);

        let version = ApiVersion::new(1, 44);
        let new = in_form_of(version, body.clone());
        assert_eq!(split_endpoints(version, new), (body, Vec::new()));

        // The Engine's own network goes without saying.
        let own = json!({"NetworkingConfig": {"EndpointsConfig": {"default": {
            "MacAddress": "02:00:00:00:00:01"}}}});
        let old = in_form_of(ApiVersion::new(1, 41), own);
        assert_eq!(old["MacAddress"], "02:00:00:00:00:01");
        assert_eq!(old["NetworkingConfig"]["EndpointsConfig"], json!({}));
    }
}
