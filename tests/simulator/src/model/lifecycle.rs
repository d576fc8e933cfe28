//! The lifecycle calls of a container. Statuses and texts were copied from Engine 20.10 unless a
//! comment says otherwise.

use serde_json::{Value, json};
use wharf_server::engine::{Change, ErrorKind};

use super::container::Status;
use super::create::check_name;
use super::filters::Filters;
use super::process::SHORTEST_RUN;
use super::refusal::Refusal;
use super::signal::Signal;
use super::time::Time;
use super::{Model, OnStop};

impl Model {
    /// `POST /containers/{id}/start`.
    pub fn start(&mut self, now: Time, name: &str) -> Result<Change, Refusal> {
        let id = self.resolve(name)?;
        match self.at(&id).state.status {
            Status::Paused => {
                Err(Refusal::conflict("cannot start a paused container, try unpause instead"))
            }
            Status::Running | Status::Restarting => Ok(Change::Already),
            Status::Removing | Status::Dead => {
                Err(Refusal::conflict("container is marked for removal and cannot be started"))
            }
            Status::Created | Status::Exited => self.launch(now, &id, true).map(|()| Change::Made),
        }
    }

    /// `POST /containers/{id}/stop`: sends the signal. The container ends by itself or is
    /// killed when the time is up, whether or not the caller waits for it.
    pub fn stop(&mut self, now: Time, name: &str, timeout: Option<i64>) -> Result<Change, Refusal> {
        let id = self.resolve(name)?;
        if !self.at(&id).state.status.counts_as_running() {
            return Ok(Change::Already);
        }
        let container = self.at(&id);
        container.manually_stopped = true;
        container.due.cancelled = true;
        container.due.start_after_exit = false;
        self.ask_to_end(now, &id, timeout);
        Ok(Change::Made)
    }

    /// `POST /containers/{id}/restart`: as a stop, with a start after it.
    pub fn restart(&mut self, now: Time, name: &str, timeout: Option<i64>) -> Result<(), Refusal> {
        let id = self.resolve(name)?;
        match self.at(&id).state.status {
            Status::Running | Status::Paused => {
                self.at(&id).due.start_after_exit = true;
                self.ask_to_end(now, &id, timeout);
                Ok(())
            }
            Status::Removing | Status::Dead => Err(Refusal::conflict(format!(
                "Cannot restart container {name}: container is marked for removal and cannot be started"
            ))),
            Status::Created | Status::Exited | Status::Restarting => {
                self.at(&id).due.restart = None;
                self.launch(now, &id, true).map_err(|refusal| restart_failed(name, &refusal))
            }
        }
    }

    /// `POST /containers/{id}/kill`.
    pub fn kill(&mut self, now: Time, name: &str, signal: Option<&str>) -> Result<(), Refusal> {
        let text = signal.filter(|text| !text.is_empty()).unwrap_or("KILL");
        let signal = Signal::parse(text)
            .ok_or_else(|| Refusal::bad_request(format!("Invalid signal: {text}")))?;
        let prefix = format!("Cannot kill container: {name}: ");
        let id = self.resolve(name).map_err(|refusal| refusal.prefixed(&prefix))?;
        let container = self.at(&id);
        if !container.state.status.counts_as_running() {
            return Err(not_running(&id).prefixed(&prefix));
        }
        // moby's killWithSignal: with a stop signal of its own only that one and KILL keep the
        // policy from restarting; without one, every signal does.
        let stop_signal = container.config["StopSignal"].as_str().and_then(Signal::parse);
        let ends_policy = signal == Signal::KILL || stop_signal.is_none_or(|stop| stop == signal);
        container.manually_stopped = true;
        container.due.cancelled |= ends_policy;
        self.emit_container(&id, "kill", &[]);
        let container = self.at(&id);
        if container.state.status == Status::Restarting {
            if ends_policy {
                self.give_up_restart(&id);
            }
        } else if signal == Signal::KILL {
            self.ended(now, &id, 137);
        } else if (signal.asks_to_end() || stop_signal == Some(signal))
            && let OnStop::Exits(after, code) = container.behaviour.on_stop
        {
            container.due.exit =
                Some(container.due.exit.unwrap_or((now + after, code)).min((now + after, code)));
        }
        Ok(())
    }

    /// `POST /containers/{id}/pause`.
    pub fn pause(&mut self, now: Time, name: &str) -> Result<(), Refusal> {
        let id = self.resolve(name)?;
        let container = self.at(&id);
        match container.state.status {
            Status::Running => {
                container.state.status = Status::Paused;
                container.due.frozen = Some(now);
                self.emit_container(&id, "pause", &[]);
                Ok(())
            }
            Status::Paused => Err(Refusal::conflict(format!("Container {id} is already paused"))),
            Status::Restarting => Err(Refusal::conflict(format!(
                "Container {id} is restarting, wait until the container is running"
            ))),
            Status::Created | Status::Exited | Status::Removing | Status::Dead => {
                Err(not_running(&id))
            }
        }
    }

    /// `POST /containers/{id}/unpause`.
    pub fn unpause(&mut self, now: Time, name: &str) -> Result<(), Refusal> {
        let id = self.resolve(name)?;
        if self.at(&id).state.status != Status::Paused {
            let message = format!("Container {id} is not paused");
            return Err(Refusal::new(500, ErrorKind::Conflict, message));
        }
        self.thaw(now, &id);
        self.emit_container(&id, "unpause", &[]);
        Ok(())
    }

    /// `POST /containers/{id}/rename`.
    pub fn rename(&mut self, name: &str, new_name: &str) -> Result<(), Refusal> {
        if new_name.is_empty() {
            return Err(Refusal::bad_request("Neither old nor new names may be empty"));
        }
        let id = self.resolve(name)?;
        let new_name = new_name.strip_prefix('/').unwrap_or(new_name);
        if self.at(&id).name == new_name {
            return Err(Refusal::bad_request(
                "Renaming a container with the same name as its current name",
            ));
        }
        let allocating = "Error when allocating new name: ";
        check_name(&format!("/{new_name}")).map_err(|refusal| refusal.prefixed(allocating))?;
        self.name_is_free(new_name).map_err(|refusal| refusal.prefixed(allocating))?;
        if self.at(&id).state.status == Status::Restarting {
            // Between two runs there is no network sandbox, and the rename asks for it.
            let sandbox = super::content::hex(&format!("sandbox {id}"));
            let message = format!("sandbox {sandbox} not found");
            return Err(Refusal::new(404, ErrorKind::Conflict, message));
        }
        new_name.clone_into(&mut self.at(&id).name);
        self.emit_container(&id, "rename", &[]);
        Ok(())
    }

    /// `DELETE /containers/{id}`.
    pub fn remove(
        &mut self,
        now: Time,
        name: &str,
        force: bool,
        remove_volumes: bool,
    ) -> Result<(), Refusal> {
        let id = self.resolve(name)?;
        let delay = self.options.timing.remove;
        let refuse = |state: &str, advice: &str| {
            Err(Refusal::conflict(format!(
                "You cannot remove a {state} container {id}. {advice} before attempting removal or force remove"
            )))
        };
        match self.at(&id).state.status {
            Status::Removing => {
                let message = format!("removal of container {name} is already in progress");
                return Err(Refusal::new(409, ErrorKind::RemovalInProgress, message));
            }
            Status::Running if !force => return refuse("running", "Stop the container"),
            Status::Restarting if !force => return refuse("restarting", "Stop the container"),
            Status::Paused if !force => {
                return refuse("paused", "Unpause and then stop the container");
            }
            Status::Running | Status::Paused => {
                self.at(&id).due.cancelled = true;
                self.ended(now, &id, 137);
            }
            Status::Restarting => self.give_up_restart(&id),
            Status::Created | Status::Exited | Status::Dead => {}
        }
        let container = self.at(&id);
        container.state.status = Status::Removing;
        container.remove_volumes = remove_volumes;
        container.due.removal = Some(now + delay);
        self.advance(now);
        Ok(())
    }

    /// `POST /containers/prune`: the answer.
    pub fn prune_containers(&mut self, filters: &Filters) -> Result<Value, Refusal> {
        filters.only(&["label", "label!", "until"])?;
        let before = filters.until(self.now)?;
        let chosen: Vec<String> = self
            .containers()
            .filter(|container| matches!(container.state.status, Status::Created | Status::Exited))
            .filter(|container| filters.labels_match(&container.labels()))
            .filter(|container| before.is_none_or(|before| container.created < before))
            .map(|container| container.id.clone())
            .collect();
        for id in &chosen {
            self.forget(id, false);
        }
        let deleted = if chosen.is_empty() { Value::Null } else { json!(chosen) };
        Ok(json!({"ContainersDeleted": deleted, "SpaceReclaimed": 0}))
    }

    /// The processes of a container, as `GET /containers/{id}/top` gives them.
    pub fn top(&self, name: &str, ps_args: &str) -> Result<Value, Refusal> {
        let container = self.found(name)?;
        if !container.state.status.has_process() {
            return Err(not_running(&container.id));
        }
        let started = container.state.started_at.map_or_else(String::new, Time::rfc3339);
        let pid = container.state.pid.to_string();
        let command = container.argv().join(" ");
        let known = [
            ("UID", "root"),
            ("PID", &pid),
            ("PPID", "1"),
            ("C", "0"),
            ("STIME", started.get(11..16).unwrap_or_default()),
            ("TTY", "?"),
            ("TIME", "00:00:00"),
            ("CMD", &command),
        ];
        let asked = ps_args.strip_prefix("-eo").or_else(|| ps_args.strip_prefix("-o"));
        let chosen: Vec<(&str, &str)> = match asked {
            None if matches!(ps_args, "" | "-ef" | "-e" | "aux" | "-aux") => known.to_vec(),
            None => {
                let message = "ps: error: unsupported SysV option";
                return Err(Refusal::new(500, ErrorKind::Engine, message));
            }
            Some(columns) => {
                let column = |name: &str| match name.trim() {
                    "comm" => Some(("COMMAND", known[7].1)),
                    "args" | "cmd" => Some(known[7]),
                    name => {
                        known.iter().copied().find(|(title, _)| title.eq_ignore_ascii_case(name))
                    }
                };
                columns.split(',').filter_map(column).collect()
            }
        };
        if !chosen.iter().any(|(title, _)| *title == "PID") {
            let message = "Couldn't find PID field in ps output";
            return Err(Refusal::new(500, ErrorKind::Engine, message));
        }
        let (titles, row): (Vec<&str>, Vec<&str>) = chosen.into_iter().unzip();
        Ok(json!({"Processes": [row], "Titles": titles}))
    }

    /// What it changed in its file system, as `GET /containers/{id}/changes` gives it.
    pub fn changes(&self, name: &str) -> Result<Value, Refusal> {
        use wharf_server::engine::FileChangeKind::{Added, Deleted, Modified};
        let changes = self.found(name)?.changes();
        let kind = |kind| match kind {
            Modified => 0,
            Added => 1,
            Deleted => 2,
        };
        let items: Vec<Value> = changes
            .iter()
            .map(|change| json!({"Path": change.path, "Kind": kind(change.kind)}))
            .collect();
        Ok(if items.is_empty() { Value::Null } else { json!(items) })
    }

    /// The error that a caller of a restart is told when the start after the stop failed.
    pub(crate) fn restart_error(&self, name: &str, id: &str) -> Option<Refusal> {
        let state = &self.containers.get(id)?.state;
        (!state.status.counts_as_running() && !state.error.is_empty())
            .then(|| restart_failed(name, &Refusal::bad_request(state.error.clone())))
    }

    fn ask_to_end(&mut self, now: Time, id: &str, timeout: Option<i64>) {
        let default = i64::try_from(self.options.timing.stop_timeout.as_secs()).unwrap_or(10);
        self.thaw(now, id);
        let container = self.at(id);
        if container.state.status == Status::Restarting {
            return self.give_up_restart(id);
        }
        if let OnStop::Exits(after, code) = container.behaviour.on_stop {
            // A process that runs on has a moment at least.
            let asked = (now + after.max(SHORTEST_RUN), code);
            container.due.exit = Some(container.due.exit.map_or(asked, |exit| exit.min(asked)));
        }
        let timeout = timeout.or(container.stop_timeout()).unwrap_or(default);
        if let Ok(seconds) = u64::try_from(timeout) {
            let kill = now + std::time::Duration::from_secs(seconds);
            container.due.kill = Some(container.due.kill.map_or(kill, |at| at.min(kill)));
        }
        self.advance(now);
    }

    fn give_up_restart(&mut self, id: &str) {
        let container = self.at(id);
        container.due.restart = None;
        container.state.status = Status::Exited;
        container.exits += 1;
    }

    /// Lets a frozen process go on; what it was about to do comes later by the time it was frozen.
    fn thaw(&mut self, now: Time, id: &str) {
        let container = self.at(id);
        if let Some(frozen) = container.due.frozen.take() {
            let lost = now.since(frozen);
            let later = |at: &mut Option<Time>| *at = at.map(|at| at + lost);
            container.due.exit = container.due.exit.map(|(at, code)| (at + lost, code));
            later(&mut container.due.healthy);
            later(&mut container.due.unhealthy);
            container.state.status = Status::Running;
        }
    }
}

fn not_running(id: &str) -> Refusal {
    Refusal::conflict(format!("Container {id} is not running"))
}

fn restart_failed(name: &str, refusal: &Refusal) -> Refusal {
    let message = format!("Cannot restart container {name}: {}", refusal.message);
    Refusal::new(500, ErrorKind::Engine, message)
}
