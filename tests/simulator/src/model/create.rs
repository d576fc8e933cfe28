//! `POST /containers/create`: the checks, and the settings of the image that go into the
//! container's configuration (moby's `daemon/commit.go`, function `merge`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use wharf_server::domain::ContainerName;
use wharf_server::engine::{ApiVersion, ErrorKind};

use super::behaviour::Behaviour;
use super::container::{Container, Due, Endpoint, State};
use super::content::{string_map, strings};
use super::create_body::{CreateBody, decode};
use super::refusal::Refusal;
use super::signal::Signal;
use super::time::Time;
use super::update::check_memory;
use super::{EngineOptions, Model};

impl Model {
    /// Creates a container; gives its ID and the warnings.
    pub fn create(
        &mut self,
        now: Time,
        version: ApiVersion,
        name: Option<&str>,
        platform: Option<&str>,
        body: &Value,
    ) -> Result<(String, Vec<String>), Refusal> {
        let mut body = decode(body)?;
        version_rules(&mut body, version, &self.options)?;
        check_settings(&body)?;
        let image_name = body.config["Image"].as_str().unwrap_or_default().to_owned();
        let image = if image_name.is_empty() {
            None
        } else {
            let image = self.images.find(&image_name)?;
            check_platform(
                &image_name,
                platform.filter(|_| version.minor >= 41),
                &image.content.architecture,
            )?;
            Some(image.clone())
        };
        if let Some(image) = &image {
            merge(&mut body.config, &image.content.config);
        }
        let argv =
            [strings(body.config.get("Entrypoint")), strings(body.config.get("Cmd"))].concat();
        if argv.is_empty() {
            return Err(Refusal::bad_request("No command specified"));
        }
        let name = self.choose_name(name)?;
        let id = self.new_id("container");
        let mounts = self.mounts(now, &mut body)?;
        let endpoints = endpoints(&body);
        if body.config["Hostname"] == json!("") {
            let hostname = match body.host_config["NetworkMode"].as_str() {
                Some("host") => self.options.name.clone(),
                _ => id[..12].to_owned(),
            };
            body.config.insert("Hostname".to_owned(), json!(hostname));
        }
        if body.config["Labels"].is_null() {
            body.config.insert("Labels".to_owned(), json!({}));
        }
        let image_behaviour = image.as_ref().and_then(|image| image.content.behaviour.as_ref());
        let behaviour =
            Behaviour::of(&string_map(body.config.get("Labels")), image_behaviour, &argv);
        let container = Container {
            id: id.clone(),
            name,
            created: now,
            image_id: image.map_or_else(String::new, |image| image.id),
            config: body.config,
            host_config: self.shared(body.host_config),
            endpoints,
            published: Vec::new(),
            mounts,
            state: State::default(),
            behaviour,
            restart_count: 0,
            manually_stopped: false,
            started_before: false,
            exits: 0,
            log: Vec::new(),
            archives: BTreeMap::new(),
            remove_volumes: false,
            due: Due::default(),
        };
        self.containers.insert(id.clone(), container);
        self.order.push(id.clone());
        self.emit_container(&id, "create", &[]);
        Ok((id, Vec::new()))
    }

    /// Refuses a name that another container has.
    pub(super) fn name_is_free(&self, name: &str) -> Result<(), Refusal> {
        let Some(holder) = self.name_holder(name) else { return Ok(()) };
        let message = format!(
            "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to remove (or rename) that container to be able to reuse that name."
        );
        Err(Refusal::new(409, ErrorKind::NameInUse, message))
    }

    /// The `HostConfig` of the container before, where that is the same: it is the larger part
    /// of a container, and in large simulations most are alike.
    fn shared(&self, host_config: Map<String, Value>) -> Arc<Map<String, Value>> {
        match self.containers().next_back() {
            Some(last) if *last.host_config == host_config => last.host_config.clone(),
            _ => Arc::new(host_config),
        }
    }

    fn choose_name(&mut self, name: Option<&str>) -> Result<String, Refusal> {
        const FIRST: [&str; 8] =
            ["brave", "calm", "eager", "gifted", "keen", "lucid", "quiet", "sharp"];
        const SECOND: [&str; 8] =
            ["babbage", "curie", "euler", "hopper", "lovelace", "noether", "ritchie", "turing"];
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            check_name(name)?;
            let name = name.strip_prefix('/').unwrap_or(name);
            self.name_is_free(name)?;
            return Ok(name.to_owned());
        }
        loop {
            self.counter += 1;
            let n = usize::try_from(self.counter).unwrap_or_default();
            let name = format!("{}_{}{}", FIRST[n % 8], SECOND[n / 8 % 8], n / 64);
            if self.name_holder(&name).is_none() {
                return Ok(name);
            }
        }
    }
}

/// The rule for names, with the text that shows the name as it was sent.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    match ContainerName::parse(name.strip_prefix('/').unwrap_or(name)) {
        Ok(_) => Ok(()),
        Err(_) => Err(Refusal::bad_request(format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        ))),
    }
}

/// The rules for a restart policy, at creation and later.
pub(super) fn check_restart_policy(policy: &Value) -> Result<(), Refusal> {
    let retries = policy["MaximumRetryCount"].as_i64().unwrap_or(0);
    match policy["Name"].as_str().unwrap_or_default() {
        name @ ("always" | "unless-stopped" | "no") if retries != 0 => Err(Refusal::bad_request(
            format!("maximum retry count cannot be used with restart policy '{name}'"),
        )),
        "on-failure" if retries < 0 => {
            Err(Refusal::bad_request("maximum retry count cannot be negative"))
        }
        "always" | "unless-stopped" | "no" | "on-failure" | "" => Ok(()),
        name => Err(Refusal::bad_request(format!("invalid restart policy '{name}'"))),
    }
}

/// What the version of a request changes (engine-api: the version changes create semantics).
fn version_rules(
    body: &mut CreateBody,
    version: ApiVersion,
    options: &EngineOptions,
) -> Result<(), Refusal> {
    mac_address(body, version);
    mounts_of_newer_versions(body, version)?;
    if version.minor < 48 {
        for endpoint in body.endpoints.values_mut().filter_map(Value::as_object_mut) {
            endpoint.remove("GwPriority");
        }
    }
    let host_config = &mut body.host_config;
    if version.minor < 40 && host_config["IpcMode"] == json!("private") {
        host_config.insert("IpcMode".to_owned(), json!("shareable"));
    }
    if options.api_version.minor >= 41 {
        let v2 = version.minor >= 41 && options.cgroup_v2();
        let namespace = if v2 { "private" } else { "host" };
        host_config.insert("CgroupnsMode".to_owned(), json!(namespace));
    } else {
        host_config.remove("CgroupnsMode");
    }
    if version.minor < 44 {
        if let Some(check) = body.config["Healthcheck"].as_object_mut() {
            check.remove("StartInterval");
        }
        if body.endpoints.len() > 1 {
            let mut names: Vec<&str> = body.endpoints.keys().map(String::as_str).collect();
            names.sort_unstable();
            return Err(Refusal::bad_request(format!(
                "Container cannot be connected to network endpoints: {}",
                names.join(", ")
            )));
        }
    }
    Ok(())
}

/// The address of the container as a whole is that of its own network, and none from 1.52 on.
fn mac_address(body: &mut CreateBody, version: ApiVersion) {
    if version.minor < 44 {
        for endpoint in body.endpoints.values_mut().filter_map(Value::as_object_mut) {
            endpoint.remove("MacAddress");
        }
    }
    let address = body.config.insert("MacAddress".to_owned(), Value::Null);
    let Some(address) = address.filter(|it| it.as_str().is_some_and(|it| !it.is_empty())) else {
        return;
    };
    if version.minor < 52 {
        let mode = body.host_config["NetworkMode"].as_str().unwrap_or("default").to_owned();
        let endpoint = body.endpoints.entry(mode).or_insert_with(|| json!({}));
        endpoint["MacAddress"] = address;
    }
}

fn mounts_of_newer_versions(body: &CreateBody, version: ApiVersion) -> Result<(), Refusal> {
    for mount in body.host_config["Mounts"].as_array().into_iter().flatten() {
        if version.minor < 45 && !mount["VolumeOptions"]["Subpath"].is_null() {
            let message = "VolumeOptions.Subpath needs API v1.45 or newer";
            return Err(Refusal::bad_request(message));
        }
        if version.minor < 48 && mount["Type"] == "image" {
            return Err(Refusal::bad_request("Mount type \"Image\" needs API v1.48 or newer"));
        }
    }
    Ok(())
}

fn check_settings(body: &CreateBody) -> Result<(), Refusal> {
    let (config, host_config) = (&body.config, &body.host_config);
    if let Some(signal) = config["StopSignal"].as_str()
        && Signal::parse(signal).is_none()
    {
        return Err(Refusal::bad_request(format!("Invalid signal: {signal}")));
    }
    check_restart_policy(&host_config["RestartPolicy"])?;
    let policy = host_config["RestartPolicy"]["Name"].as_str().unwrap_or_default();
    if host_config["AutoRemove"] == json!(true) && !matches!(policy, "" | "no") {
        return Err(Refusal::bad_request(
            "can't create 'AutoRemove' container with restart policy",
        ));
    }
    check_memory(&json!({"Memory": host_config["Memory"]}))?;
    let shares_network =
        host_config["NetworkMode"].as_str().is_some_and(|mode| mode.starts_with("container:"));
    if shares_network {
        if config["Hostname"] != json!("") {
            return Err(Refusal::bad_request("conflicting options: hostname and the network mode"));
        }
        if host_config["PortBindings"].as_object().is_some_and(|ports| !ports.is_empty()) {
            return Err(Refusal::bad_request(
                "conflicting options: port publishing and the container type network mode",
            ));
        }
    }
    Ok(())
}

fn check_platform(image: &str, platform: Option<&str>, architecture: &str) -> Result<(), Refusal> {
    let Some(wanted) = platform.filter(|platform| !platform.is_empty()) else { return Ok(()) };
    let actual = format!("linux/{architecture}");
    if wanted == actual || wanted.starts_with(&format!("{actual}/")) || wanted == architecture {
        return Ok(());
    }
    let message = format!(
        "image with reference {image} was found but does not match the specified platform: wanted {wanted}, actual: {actual}"
    );
    Err(Refusal::new(404, ErrorKind::ImageNotFound, message))
}

/// Fills in from the image what the caller left unset.
fn merge(config: &mut Map<String, Value>, image: &Map<String, Value>) {
    let empty = |value: &Value| {
        value.is_null() || value == &json!("") || value.as_array().is_some_and(Vec::is_empty)
    };
    let inherited = |key: &str| image.get(key).cloned().unwrap_or(Value::Null);
    for key in ["User", "WorkingDir", "StopSignal"] {
        if empty(&config[key]) && !empty(&inherited(key)) {
            config.insert(key.to_owned(), inherited(key));
        }
    }
    for key in ["ExposedPorts", "Volumes", "Labels"] {
        if let Value::Object(theirs) = inherited(key) {
            let mut ours = config[key].as_object().cloned().unwrap_or_default();
            for (name, value) in theirs {
                ours.entry(name).or_insert(value);
            }
            config.insert(key.to_owned(), Value::Object(ours));
        }
    }
    let bindings = config_env(&inherited("Env"), &config["Env"]);
    config.insert("Env".to_owned(), bindings);
    if empty(&config["Entrypoint"]) {
        if empty(&config["Cmd"]) {
            config.insert("Cmd".to_owned(), inherited("Cmd"));
        }
        if config["Entrypoint"].is_null() {
            config.insert("Entrypoint".to_owned(), inherited("Entrypoint"));
        }
    }
    if let Value::Object(theirs) = inherited("Healthcheck") {
        let mut ours = config["Healthcheck"].as_object().cloned().unwrap_or_default();
        for (key, value) in theirs {
            let unset = |value: &Value| empty(value) || value == &json!(0);
            if ours.get(&key).is_none_or(unset) {
                ours.insert(key, value);
            }
        }
        config.insert("Healthcheck".to_owned(), Value::Object(ours));
    }
}

/// The caller's entries first, then the image's whose key the caller did not set.
fn config_env(image: &Value, caller: &Value) -> Value {
    if image.is_null() {
        return caller.clone();
    }
    let key = |entry: &str| entry.split_once('=').map_or(entry, |(key, _)| key).to_owned();
    let mut env = strings(Some(caller));
    let set: Vec<String> = env.iter().map(|entry| key(entry)).collect();
    env.extend(strings(Some(image)).into_iter().filter(|entry| !set.contains(&key(entry))));
    json!(env)
}

fn endpoints(body: &CreateBody) -> BTreeMap<String, Endpoint> {
    let mode = body.host_config["NetworkMode"].as_str().unwrap_or("default");
    if mode.starts_with("container:") {
        return BTreeMap::new();
    }
    let name = |name: &str| if name == "default" { "bridge".to_owned() } else { name.to_owned() };
    if body.endpoints.is_empty() {
        return [(name(mode), Endpoint::default())].into();
    }
    let given = body.endpoints.iter().map(|(network, settings)| {
        let settings = settings.as_object().cloned().unwrap_or_default();
        (name(network), Endpoint { settings, address: None })
    });
    given.collect()
}
