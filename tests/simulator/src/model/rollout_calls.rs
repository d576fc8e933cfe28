//! Calls of rollouts that the command line does not use: networks, commands in containers, last
//! lines of logs, digests of registries.

use serde_json::{Value, json};
use wharf_server::engine::{CommandResult, ErrorKind};

use super::container::{Container, Endpoint};
use super::refusal::Refusal;
use super::{Model, RegistryAuth};

/// A command in a container.
#[derive(Debug, Clone)]
pub(super) struct Exec {
    container: String,
    command: Vec<String>,
    tty: bool,
    /// What was typed, where somebody is connected.
    typed: Vec<u8>,
    /// Columns and rows, once they were set.
    size: Option<(String, String)>,
    /// Once it has run.
    result: Option<CommandResult>,
}

/// A command that runs as long as somebody is connected.
#[derive(Debug)]
pub struct Interactive {
    /// The ID of the command.
    pub id: String,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether it reads its input.
    pub reads: bool,
}

impl Model {
    /// `POST /networks/{id}/connect`. A container that does not run takes every network, as a
    /// real Engine has it: whether there is one of that name is seen at its start.
    pub fn connect_network(
        &mut self,
        network: &str,
        container: &str,
        endpoint: &Value,
    ) -> Result<(), Refusal> {
        let id = self.resolve(container)?;
        let name = self.network(network).map(|network| network.name.clone());
        let settings = endpoint.as_object().cloned().unwrap_or_default();
        let fixed = settings
            .get("IPAMConfig")
            .and_then(|ipam| ipam["IPv4Address"].as_str().map(Into::into));
        let mut added = Endpoint { settings, address: None };
        let container = &self.containers[&id];
        if !container.state.status.counts_as_running() {
            let name = name.unwrap_or_else(|| network.to_owned());
            self.at(&id).endpoints.insert(name, added);
            return Ok(());
        }
        let Some(name) = name else {
            let message = format!("network {network} not found");
            return Err(Refusal::new(404, ErrorKind::NetworkNotFound, message));
        };
        if container.endpoints.contains_key(&name) {
            let container = &container.name;
            let message =
                format!("endpoint with name {container} already exists in network {name}");
            return Err(Refusal::new(403, ErrorKind::Conflict, message));
        }
        let fixed: Option<String> = fixed;
        let address = self.address(&name, fixed.as_deref());
        let taken = |refusal: Refusal| match refusal.status {
            403 => Refusal { kind: ErrorKind::Conflict, ..refusal },
            _ => refusal,
        };
        added.address = Some(address.map_err(taken)?);
        self.at(&id).endpoints.insert(name, added);
        Ok(())
    }

    /// `POST /containers/{id}/exec`.
    pub fn create_exec(
        &mut self,
        container: &str,
        command: &[String],
        tty: bool,
    ) -> Result<String, Refusal> {
        let container = self.running(container)?;
        let id = self.new_id("exec");
        let (command, typed) = (command.to_vec(), Vec::new());
        let exec = Exec { container, command, tty, typed, size: None, result: None };
        self.execs.insert(id.clone(), exec);
        Ok(id)
    }

    /// `POST /exec/{id}/start`: runs it to its end and gives its output.
    pub fn start_exec(&mut self, id: &str) -> Result<String, Refusal> {
        let exec = self.execs.get(id).ok_or_else(|| no_such_exec(id))?;
        let result = self.run_command(&exec.container, &exec.command)?;
        let output = result.output.clone();
        if let Some(exec) = self.execs.get_mut(id) {
            exec.result = Some(result);
        }
        Ok(output)
    }

    /// A command that was made, if it is `cat` or `sleep`.
    pub fn interactive(&self, id: &str) -> Option<Interactive> {
        let exec = self.execs.get(id)?;
        let reads = match exec.command.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["cat"] => true,
            ["sleep"] => false,
            _ => return None,
        };
        Some(Interactive { id: id.to_owned(), tty: exec.tty, reads })
    }

    /// Notes what an interactive command reads.
    pub fn type_into(&mut self, id: &str, read: &[u8]) {
        if let Some(exec) = self.execs.get_mut(id) {
            exec.typed.extend_from_slice(read);
        }
    }

    /// Ends an interactive command.
    pub fn end_exec(&mut self, id: &str, exit_code: i64) {
        if let Some(exec) = self.execs.get_mut(id) {
            exec.result = Some(CommandResult { exit_code, output: String::new() });
        }
    }

    /// `POST /exec/{id}/resize`.
    pub fn resize_exec(&mut self, id: &str, size: (String, String)) -> Result<(), Refusal> {
        self.execs.get_mut(id).ok_or_else(|| no_such_exec(id))?.size = Some(size);
        Ok(())
    }

    /// What was typed into a command, and the size of its terminal as `COLUMNSxROWS`.
    pub fn seen_by_exec(&self, id: &str) -> Option<(Vec<u8>, Option<String>)> {
        let exec = self.execs.get(id)?;
        let size = exec.size.as_ref().map(|(columns, rows)| format!("{columns}x{rows}"));
        Some((exec.typed.clone(), size))
    }

    /// `GET /exec/{id}/json`.
    pub fn inspect_exec(&self, id: &str) -> Result<Value, Refusal> {
        let exec = self.execs.get(id).ok_or_else(|| no_such_exec(id))?;
        let code = exec.result.as_ref().map(|result| result.exit_code);
        let (program, arguments) = exec.command.split_first().unzip();
        let process = json!({"tty": exec.tty, "entrypoint": program, "arguments": arguments});
        Ok(json!({
            "ID": id,
            "ContainerID": exec.container,
            "Running": false,
            "ExitCode": code,
            "ProcessConfig": process,
        }))
    }

    /// A command in a container that runs: `true`, `false`, `exit N`, `echo TEXT` mean what
    /// they say, as words or in a script of the shell; everything else ends with the label
    /// `sim.exec-code`, else with 0.
    pub fn run_command(
        &self,
        container: &str,
        command: &[String],
    ) -> Result<CommandResult, Refusal> {
        let found = &self.containers[&self.running(container)?];
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let label = found
            .config
            .get("Labels")
            .and_then(|labels| labels.get("sim.exec-code"))
            .and_then(Value::as_str);
        let scripted = label.and_then(|code| code.parse().ok()).unwrap_or(0);
        let (exit_code, output) = match words.as_slice() {
            [shell, "-c", script] if shell.rsplit('/').next() == Some("sh") => {
                let mut output = String::new();
                let mut code = 0;
                for statement in script.split(';') {
                    let words: Vec<&str> = statement.split_whitespace().collect();
                    let (ended, printed) = statement_of(&words, scripted);
                    output += &printed;
                    code = ended;
                    if words.first() == Some(&"exit") {
                        break;
                    }
                }
                (code, output)
            }
            words => statement_of(words, scripted),
        };
        Ok(CommandResult { exit_code, output })
    }

    /// The end of a container's log: what its command prints, or, of one that prints nothing
    /// that the model understands, one line for its start and one for its end.
    pub fn log_tail(&self, container: &str) -> Result<Vec<String>, Refusal> {
        let found = self.found(container)?;
        if !found.started_before {
            return Ok(Vec::new());
        }
        if let Some(printed) = printed(found) {
            return Ok(printed);
        }
        let mut lines = vec!["started".to_owned()];
        if !found.state.status.counts_as_running() {
            lines.push(format!("ended with {}", found.state.exit_code));
        }
        Ok(lines)
    }

    fn running(&self, name: &str) -> Result<String, Refusal> {
        let found = self.found(name)?;
        if found.state.status.counts_as_running() {
            return Ok(found.id.clone());
        }
        Err(Refusal::conflict(format!("Container {} is not running", found.id)))
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

/// What the command of a container prints; `None` of a command that the model does not understand.
pub(super) fn printed(container: &Container) -> Option<Vec<String>> {
    match container.argv().as_slice() {
        [shell, flag, script] if shell.ends_with("sh") && flag == "-c" => {
            let statements = script.split(';').map(str::trim);
            let printed = statements.filter_map(|statement| statement.strip_prefix("echo "));
            Some(printed.map(str::to_owned).collect())
        }
        _ => None,
    }
}

/// Exit status and output of one statement.
fn statement_of(words: &[&str], scripted: i64) -> (i64, String) {
    match words {
        ["true" | "/bin/true"] => (0, String::new()),
        ["false" | "/bin/false"] => (1, String::new()),
        ["exit", code] => (code.parse().unwrap_or(2), String::new()),
        ["echo", words @ ..] => (0, format!("{}\n", words.join(" "))),
        _ => (scripted, String::new()),
    }
}

fn no_such_exec(id: &str) -> Refusal {
    Refusal::new(404, ErrorKind::ContainerNotFound, format!("No such exec instance: {id}"))
}
