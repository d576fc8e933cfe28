//! The body of `POST /containers/create`, parsed like Go's decoder: keys are case-insensitive, null
//! is unset, and a wrong type is an error with the field. Unlike an Engine, the model keeps unknown
//! fields: it also represents newer Engines, which know them.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::content::{strings, template};
use super::refusal::Refusal;

/// A body, with the Engine's defaults where it says nothing.
#[derive(Debug)]
pub(super) struct CreateBody {
    pub config: Map<String, Value>,
    pub host_config: Map<String, Value>,
    /// `NetworkingConfig.EndpointsConfig`.
    pub endpoints: Map<String, Value>,
}

/// The Go types that are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Bool,
    Int,
    Texts,
    /// A string or an array of strings.
    StrSlice,
    TextMap,
    Object,
}

const CONFIG: [(&str, Kind); 18] = [
    ("Hostname", Kind::Text),
    ("Domainname", Kind::Text),
    ("User", Kind::Text),
    ("Image", Kind::Text),
    ("WorkingDir", Kind::Text),
    ("StopSignal", Kind::Text),
    ("Tty", Kind::Bool),
    ("OpenStdin", Kind::Bool),
    ("StdinOnce", Kind::Bool),
    ("StdinOnce", Kind::Bool),
    ("StopTimeout", Kind::Int),
    ("Env", Kind::Texts),
    ("Cmd", Kind::StrSlice),
    ("Entrypoint", Kind::StrSlice),
    ("Labels", Kind::TextMap),
    ("Volumes", Kind::Object),
    ("ExposedPorts", Kind::Object),
    ("Healthcheck", Kind::Object),
];

const HOST_CONFIG: [(&str, Kind); 10] = [
    ("Binds", Kind::Texts),
    ("NetworkMode", Kind::Text),
    ("Memory", Kind::Int),
    ("NanoCpus", Kind::Int),
    ("Privileged", Kind::Bool),
    ("AutoRemove", Kind::Bool),
    ("CapAdd", Kind::StrSlice),
    ("CapDrop", Kind::StrSlice),
    ("PortBindings", Kind::Object),
    ("RestartPolicy", Kind::Object),
];

/// `Config` and `HostConfig` of an empty body.
static DEFAULTS: LazyLock<(Map<String, Value>, Map<String, Value>)> = LazyLock::new(|| {
    let config = template(include_str!("../templates/config.json"));
    let host_config = template(include_str!("../templates/host_config.json"));
    (object(config), object(host_config))
});

/// Reads a body.
pub(super) fn decode(body: &Value) -> Result<CreateBody, Refusal> {
    let Value::Object(members) = body else {
        return Err(Refusal::bad_request_500(format!(
            "json: cannot unmarshal {} into Go value of type runconfig.ContainerConfigWrapper",
            go_name(body)
        )));
    };
    let (config_defaults, host_defaults) = DEFAULTS.clone();
    let member = |name: &str| {
        let found = members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or(&Value::Null, |(_, value)| value)
    };
    let given = members.iter().filter(|(key, value)| {
        !value.is_null()
            && !key.eq_ignore_ascii_case("HostConfig")
            && !key.eq_ignore_ascii_case("NetworkingConfig")
    });
    let known = given
        .clone()
        .any(|(key, _)| config_defaults.keys().any(|known| known.eq_ignore_ascii_case(key)));
    if !known {
        return Err(Refusal::bad_request("Config cannot be empty in order to create a container"));
    }
    let mut config = overlay(config_defaults, given);
    let host_given = member("HostConfig").as_object().cloned().unwrap_or_default();
    let mut host_config =
        overlay(host_defaults, host_given.iter().filter(|(_, value)| !value.is_null()));
    check(&config, &CONFIG, "ContainerConfigWrapper")?;
    check(&host_config, &HOST_CONFIG, "HostConfig.HostConfig")?;
    for key in ["Cmd", "Entrypoint"] {
        if config[key].is_string() {
            config.insert(key.to_owned(), json!(strings(Some(&config[key]))));
        }
    }
    complete_port_bindings(&mut host_config);
    complete_restart_policy(&mut host_config);
    if host_config["NetworkMode"] == json!("") {
        host_config.insert("NetworkMode".to_owned(), json!("default"));
    }
    let endpoints = member("NetworkingConfig")["EndpointsConfig"].as_object();
    Ok(CreateBody { config, host_config, endpoints: endpoints.cloned().unwrap_or_default() })
}

fn overlay<'a>(
    mut defaults: Map<String, Value>,
    given: impl Iterator<Item = (&'a String, &'a Value)>,
) -> Map<String, Value> {
    for (key, value) in given {
        let known = defaults.keys().find(|known| known.eq_ignore_ascii_case(key)).cloned();
        defaults.insert(known.unwrap_or_else(|| key.clone()), value.clone());
    }
    defaults
}

fn check(members: &Map<String, Value>, kinds: &[(&str, Kind)], of: &str) -> Result<(), Refusal> {
    for &(key, kind) in kinds {
        let value = &members[key];
        if let Some((found, wanted)) = mismatch(value, kind) {
            return Err(Refusal::bad_request_500(format!(
                "json: cannot unmarshal {found} into Go struct field {of}.{key} of type {wanted}"
            )));
        }
    }
    Ok(())
}

fn mismatch(value: &Value, kind: Kind) -> Option<(&'static str, &'static str)> {
    let not_text = |items: &[Value]| items.iter().find(|item| !item.is_string()).map(go_name);
    match (kind, value) {
        (_, Value::Null)
        | (Kind::Text | Kind::StrSlice, Value::String(_))
        | (Kind::Bool, Value::Bool(_))
        | (Kind::Object, Value::Object(_)) => None,
        (Kind::Int, Value::Number(number)) if number.is_i64() => None,
        (Kind::Texts | Kind::StrSlice, Value::Array(items)) => {
            not_text(items).map(|found| (found, "string"))
        }
        (Kind::TextMap, Value::Object(members)) => {
            let odd = members.values().find(|value| !value.is_string());
            odd.map(|value| (go_name(value), "string"))
        }
        (kind, value) => Some((go_name(value), kind.go_type())),
    }
}

impl Kind {
    fn go_type(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Bool => "bool",
            Self::Int => "int64",
            Self::Texts => "[]string",
            Self::StrSlice => "strslice.StrSlice",
            Self::TextMap => "map[string]string",
            Self::Object => "map[string]struct {}",
        }
    }
}

fn go_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The Engine writes both fields of each binding, whichever the caller left out.
fn complete_port_bindings(host_config: &mut Map<String, Value>) {
    let Some(bindings) = host_config["PortBindings"].as_object_mut() else { return };
    for hosts in bindings.values_mut() {
        for host in hosts.as_array_mut().into_iter().flatten() {
            let field = |key: &str| host[key].as_str().unwrap_or_default().to_owned();
            *host = json!({"HostIp": field("HostIp"), "HostPort": field("HostPort")});
        }
    }
}

fn complete_restart_policy(host_config: &mut Map<String, Value>) {
    let policy = &host_config["RestartPolicy"];
    let name = policy["Name"].as_str().unwrap_or_default();
    let retries = policy["MaximumRetryCount"].as_i64().unwrap_or(0);
    let complete = json!({"Name": name, "MaximumRetryCount": retries});
    host_config.insert("RestartPolicy".to_owned(), complete);
}
