//! `GET /containers/json`.

use serde_json::{Value, json};
use wharf_server::engine::{ApiVersion, ErrorKind};

use super::Model;
use super::container::{Container, Status};
use super::filters::Filters;
use super::refusal::Refusal;
use super::time::human;

/// Parameters of a list.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Also what does not run.
    pub all: bool,
    /// Only the newest so many, running or not; 0 is no limit.
    pub limit: usize,
    /// With sizes.
    pub size: bool,
    /// Which ones.
    pub filters: Filters,
}

const KNOWN: [&str; 15] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];
const STATUSES: [&str; 7] =
    ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

impl Model {
    /// The containers that a query asks for, newest first.
    pub fn list(&self, version: ApiVersion, query: &ListQuery) -> Result<Vec<Value>, Refusal> {
        let chosen = self.choose(query)?;
        Ok(chosen
            .into_iter()
            .map(|container| self.summary(version, container, query.size))
            .collect())
    }

    fn choose(&self, query: &ListQuery) -> Result<Vec<&Container>, Refusal> {
        let filters = &query.filters;
        filters.only(&KNOWN)?;
        let invalid = |key: &str, value: &str| {
            Refusal::bad_request(format!("Invalid filter '{key}={value}'"))
        };
        if let Some(value) =
            filters.values("status").iter().find(|value| !STATUSES.contains(&value.as_str()))
        {
            return Err(invalid("status", value));
        }
        for value in filters.values("health") {
            if !matches!(value.as_str(), "none" | "starting" | "healthy" | "unhealthy") {
                return Err(Refusal::bad_request(format!(
                    "Unrecognised filter value for health: {value}"
                )));
            }
        }
        for value in filters.values("exited") {
            if value.parse::<i64>().is_err() {
                return Err(invalid("exited", value));
            }
        }
        let bound = |key: &str| match filters.values(key).first() {
            None => Ok(None),
            Some(name) => match self.container(name) {
                Some(found) => Ok(self.order.iter().position(|id| *id == found.id)),
                None => Err(Refusal::new(
                    404,
                    ErrorKind::ContainerNotFound,
                    format!("no such container {name}"),
                )),
            },
        };
        let (before, since) = (bound("before")?, bound("since")?);
        // What is asked for by state need not run.
        let all = query.all
            || query.limit > 0
            || [before, since].iter().any(Option::is_some)
            || !filters.values("status").is_empty()
            || !filters.values("exited").is_empty();
        let matching = self
            .order
            .iter()
            .enumerate()
            .rev()
            .filter(|(place, _)| before.is_none_or(|bound| *place < bound))
            .filter(|(place, _)| since.is_none_or(|bound| *place > bound))
            .filter_map(|(_, id)| self.containers.get(id))
            .filter(|container| all || container.state.status.counts_as_running())
            .filter(|container| self.matches(container, filters));
        Ok(if query.limit > 0 { matching.take(query.limit).collect() } else { matching.collect() })
    }

    fn matches(&self, container: &Container, filters: &Filters) -> bool {
        let name_matches = |pattern: &str| {
            regex::Regex::new(pattern).is_ok_and(|regex| {
                regex.is_match(&container.name) || regex.is_match(&format!("/{}", container.name))
            })
        };
        let image_id = |name: &str| self.images.find(name).map(|image| image.id.clone()).ok();
        let health = container.state.health.as_ref().map_or("none", |health| health.status);
        let ports = |key: &str| {
            filters.any(key, |port| {
                let port = if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") };
                container.config["ExposedPorts"].get(&port).is_some()
                    || container.host_config["PortBindings"].get(&port).is_some()
            })
        };
        filters.any("id", |id| container.id.starts_with(id))
            && filters.any("name", name_matches)
            && filters.labels_match(&container.labels())
            && filters.any("status", |status| container.state.status.as_str() == status)
            && filters.any("health", |wanted| health == wanted)
            && filters.any("exited", |code| {
                container.state.finished_at.is_some()
                    && container.state.status == Status::Exited
                    && container.state.exit_code.to_string() == code
            })
            && filters.any("ancestor", |name| {
                image_id(name).is_some_and(|id| id == container.image_id)
                    || container.image_id == name
            })
            && filters.any("network", |network| {
                let named = self.network(network).map_or(network, |found| found.name.as_str());
                container.endpoints.contains_key(named)
            })
            && filters.any("volume", |volume| {
                container
                    .mounts
                    .iter()
                    .any(|mount| mount.name == volume || mount.destination == volume)
            })
            && filters.any("is-task", |wanted| matches!(wanted, "false" | "0"))
            && ports("publish")
            && ports("expose")
    }

    /// A container as a list shows it.
    pub(super) fn summary(&self, version: ApiVersion, container: &Container, size: bool) -> Value {
        let mut json = json!({
            "Id": container.id,
            "Names": [format!("/{}", container.name)],
            "Image": self.shown_image(container),
            "ImageID": container.image_id,
            "Command": command(&container.argv()),
            "Created": container.created.unix_seconds(),
            "Ports": container.listed_ports(),
        });
        if size {
            json["SizeRootFs"] = json!(self.image_size(container));
        }
        json["Labels"] = container.config["Labels"].clone();
        json["State"] = json!(container.state.status.as_str());
        json["Status"] = json!(self.status_text(container));
        json["HostConfig"] = json!({"NetworkMode": container.network_mode()});
        json["NetworkSettings"] = json!({"Networks": self.networks_json(version, container)});
        json["Mounts"] = container.mounts.iter().map(|mount| mount.json(false)).collect();
        json
    }

    /// As the caller named it, unless that name stands for something else by now.
    fn shown_image(&self, container: &Container) -> String {
        let name = container.config["Image"].as_str().unwrap_or_default();
        match self.images.find(name) {
            Ok(image) if image.id == container.image_id => name.to_owned(),
            _ => container.image_id.clone(),
        }
    }

    fn status_text(&self, container: &Container) -> String {
        let state = &container.state;
        let ago = |instant: Option<super::Time>| {
            human(instant.map_or_else(Default::default, |instant| self.now.since(instant)))
        };
        let code = state.exit_code;
        match state.status {
            Status::Created => "Created".to_owned(),
            Status::Running => match &state.health {
                None => format!("Up {}", ago(state.started_at)),
                Some(health) => {
                    let shown = if health.status == "starting" {
                        "health: starting"
                    } else {
                        health.status
                    };
                    format!("Up {} ({shown})", ago(state.started_at))
                }
            },
            Status::Paused => format!("Up {} (Paused)", ago(state.started_at)),
            Status::Restarting => format!("Restarting ({code}) {} ago", ago(state.finished_at)),
            Status::Removing => "Removal In Progress".to_owned(),
            Status::Dead => "Dead".to_owned(),
            Status::Exited => format!("Exited ({code}) {} ago", ago(state.finished_at)),
        }
    }
}

impl Container {
    fn listed_ports(&self) -> Value {
        if !self.state.status.has_process() {
            return json!([]);
        }
        let parts = |text: &str| -> (u16, String) {
            let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            (port.parse().unwrap_or_default(), protocol.to_owned())
        };
        let exposed = self.config["ExposedPorts"].as_object();
        let unpublished = exposed
            .into_iter()
            .flat_map(|ports| ports.keys())
            .filter(|private| !self.published.iter().any(|port| port.private == **private));
        let mut ports: Vec<Value> = unpublished
            .map(|private| {
                let (private, protocol) = parts(private);
                json!({"PrivatePort": private, "Type": protocol})
            })
            .collect();
        ports.extend(self.published.iter().map(|port| {
            let (private, protocol) = parts(&port.private);
            json!({"IP": port.ip, "PrivatePort": private, "PublicPort": port.port, "Type": protocol})
        }));
        json!(ports)
    }
}

/// A command line as lists show it: arguments with blanks or quotes are quoted.
fn command(argv: &[String]) -> String {
    let quoted = argv.iter().map(|argument| {
        if argument.contains([' ', '\'', '"', '\t']) {
            format!("'{}'", argument.replace('\'', "'\\''"))
        } else {
            argument.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
