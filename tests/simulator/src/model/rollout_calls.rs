//! The calls that rollouts make besides those of the command line: networks, commands in
//! containers, ends of logs, digests of registries.

use serde_json::Value;
use wharf_server::engine::{CommandResult, ErrorKind};

use super::container::Endpoint;
use super::refusal::Refusal;
use super::{Model, RegistryAuth};

impl Model {
    /// `POST /networks/{id}/connect`; false where the container is in the network already.
    pub fn connect_network(
        &mut self,
        network: &str,
        container: &str,
        endpoint: &Value,
    ) -> Result<bool, Refusal> {
        let name = match self.network(network) {
            Some(network) => network.name.clone(),
            None => {
                let message = format!("network {network} not found");
                return Err(Refusal::new(404, ErrorKind::NetworkNotFound, message));
            }
        };
        let id = self.resolve(container)?;
        let settings = endpoint.as_object().cloned().unwrap_or_default();
        let endpoints = &mut self.at(&id).endpoints;
        if endpoints.contains_key(&name) {
            return Ok(false);
        }
        endpoints.insert(name, Endpoint { settings, address: None });
        Ok(true)
    }

    /// A command in a container that runs: `true`, `false`, `exit N`, `echo TEXT` mean what
    /// they say, everything else ends with the label `sim.exec-code`, else with 0.
    pub fn run_command(
        &self,
        container: &str,
        command: &[String],
    ) -> Result<CommandResult, Refusal> {
        let found = self.found(container)?;
        if !found.state.status.counts_as_running() {
            return Err(Refusal::conflict(format!("Container {} is not running", found.id)));
        }
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let label = found
            .config
            .get("Labels")
            .and_then(|labels| labels.get("sim.exec-code"))
            .and_then(Value::as_str);
        let scripted = label.and_then(|code| code.parse().ok()).unwrap_or(0);
        let (exit_code, output) = match words.as_slice() {
            ["true"] => (0, String::new()),
            ["false"] => (1, String::new()),
            ["exit", code] => (code.parse().unwrap_or(2), String::new()),
            ["echo", words @ ..] => (0, format!("{}\n", words.join(" "))),
            _ => (scripted, String::new()),
        };
        Ok(CommandResult { exit_code, output })
    }

    /// The end of a container's log: one line a start, and one an end.
    pub fn log_tail(&self, container: &str) -> Result<Vec<String>, Refusal> {
        let found = self.found(container)?;
        if !found.started_before {
            return Ok(Vec::new());
        }
        let mut lines = vec!["started".to_owned()];
        if !found.state.status.counts_as_running() {
            lines.push(format!("ended with {}", found.state.exit_code));
        }
        Ok(lines)
    }

    /// The digest of a reference in its registry.
    pub fn resolve_digest(
        &self,
        from_image: &str,
        tag: &str,
        auth: Option<&RegistryAuth>,
    ) -> Result<String, Refusal> {
        let plans = self.begin_pull(from_image, tag, None, auth)?;
        Ok(plans[0].digest().to_owned())
    }
}
