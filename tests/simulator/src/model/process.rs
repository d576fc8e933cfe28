//! Processes of containers: start, end, restart by policy, and the state after a restart of the
//! Engine itself.

use std::time::Duration;

use wharf_server::engine::ErrorKind;

use super::behaviour::StartError;
use super::container::{Event, Health, Probe, Status};
use super::refusal::Refusal;
use super::time::Time;
use super::{Model, OnStop};

/// No process ends in the instant in which it began.
pub(super) const SHORTEST_RUN: Duration = Duration::from_millis(1);
/// The waits of moby's restart manager: doubled from the first to the last, and started again
/// after a run of ten seconds.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
const LONG_RUN: Duration = Duration::from_secs(10);

impl Model {
    /// Lets happen what is due until `now`, in order. Called before every look at the state.
    pub fn advance(&mut self, now: Time) {
        while let Some((at, id, event)) = self.first_due()
            && at <= now
        {
            self.now = self.now.max(at);
            self.happen(at, &id, event);
        }
        self.now = self.now.max(now);
    }

    /// When something will happen by itself.
    pub fn next_event(&self) -> Option<Time> {
        self.first_due().map(|(at, ..)| at)
    }

    /// The Engine starts again after a crash or a shutdown: every process is gone, `--rm`
    /// containers are removed, and restart policies are looked at as moby's `restore` does:
    /// `always` and `on-failure` even for what a caller had stopped, none for what never ran.
    pub fn reboot(&mut self, now: Time) {
        self.events = super::events::EventLog::default();
        for id in self.order.clone() {
            let container = self.at(&id);
            container.due.start_after_exit = false;
            container.due.cancelled = true;
            match container.state.status {
                Status::Running | Status::Paused => {
                    let (at, code) = match (container.due.exit, container.behaviour.on_stop) {
                        (Some((at, code)), _) if at <= now => (at, code),
                        (_, OnStop::Exits(_, code)) if container.due.frozen.is_none() => {
                            (now, code)
                        }
                        _ => (now, 137),
                    };
                    self.ended(at, &id, code);
                }
                Status::Restarting => container.state.status = Status::Exited,
                Status::Created | Status::Exited | Status::Removing | Status::Dead => {}
            }
            let container = self.at(&id);
            container.due = super::container::Due::default();
            if container.state.status == Status::Removing || container.auto_remove() {
                let volumes = container.auto_remove();
                self.forget(&id, volumes);
            }
        }
        for id in self.order.clone() {
            let container = self.at(&id);
            let dead = container.state.status == Status::Dead;
            if container.started_before && container.policy_restarts() && !dead {
                // What cannot start says so in its own state.
                let _ = self.launch(now, &id, true);
            }
        }
        self.now = self.now.max(now);
    }

    /// Starts the process. Where that fails, the state of the container says why, and it stays
    /// what it was.
    pub(super) fn launch(&mut self, now: Time, id: &str, by_caller: bool) -> Result<(), Refusal> {
        let outcome = self.connect(id).and_then(|()| match &self.at(id).behaviour.start_error {
            Some(error) => Err(oci_error(error)),
            None => Ok(()),
        });
        if let Err(refusal) = outcome {
            self.disconnect(id);
            let container = self.at(id);
            container.state.exit_code = match (&container.behaviour.start_error, refusal.status) {
                (Some(error), 400) => error.exit_code,
                _ => 128,
            };
            container.state.error.clone_from(&refusal.message);
            if container.state.status == Status::Restarting {
                container.state.status = Status::Exited;
                container.exits += 1;
            }
            if container.auto_remove() {
                self.forget(id, true);
            }
            return Err(refusal);
        }
        self.counter += 1;
        let pid = 1000 + u32::try_from(self.counter % 30_000).unwrap_or_default();
        let container = self.at(id);
        container.state.status = Status::Running;
        container.state.pid = pid;
        container.state.exit_code = 0;
        container.state.error.clear();
        container.state.started_at = Some(now);
        container.state.health = None;
        container.started_before = true;
        container.manually_stopped = false;
        if by_caller {
            container.restart_count = 0;
            container.due.backoff = Duration::ZERO;
        }
        container.due = super::container::Due {
            exit: container
                .behaviour
                .exits
                .map(|(after, code)| (now + after.max(SHORTEST_RUN), code)),
            backoff: container.due.backoff,
            ..Default::default()
        };
        if container.health_test().is_some() {
            let script = container.health_script();
            container.state.health = Some(Health { status: "starting", ..Health::default() });
            container.due.healthy = script.healthy_after.map(|after| now + after);
            container.due.unhealthy = script.unhealthy_after.map(|after| now + after);
        }
        self.emit_container(id, "start", &[]);
        Ok(())
    }

    /// The process ended; what becomes of the container is up to its policy.
    pub(super) fn ended(&mut self, at: Time, id: &str, code: i64) {
        self.disconnect(id);
        let auto_remove = self.options.timing.auto_remove;
        let container = self.at(id);
        container.exits += 1;
        container.state.pid = 0;
        container.state.exit_code = code;
        container.state.finished_at = Some(at);
        if let Some(health) = &mut container.state.health {
            health.status = "unhealthy";
        }
        let due = &mut container.due;
        (due.exit, due.kill, due.healthy, due.unhealthy, due.frozen) =
            (None, None, None, None, None);
        container.state.status = Status::Exited;
        self.emit_container(id, "die", &[("exitCode", &code.to_string())]);
        let container = self.at(id);
        if std::mem::take(&mut container.due.start_after_exit) {
            // The caller who waits for the restart reads the error in the state.
            let _ = self.launch(at, id, true);
        } else if !container.due.cancelled && container.policy_restarts() {
            let ran = at.since(container.state.started_at.unwrap_or(at));
            let before = if ran >= LONG_RUN { Duration::ZERO } else { container.due.backoff };
            container.due.backoff = (before * 2).clamp(FIRST_BACKOFF, LONGEST_BACKOFF);
            container.due.restart = Some(at + container.due.backoff);
            container.restart_count += 1;
            container.state.status = Status::Restarting;
        } else if container.auto_remove() {
            container.state.status = Status::Removing;
            container.due.removal = Some(at + auto_remove);
        }
    }

    /// Removes a container from the books, and its anonymous volumes if nobody else has them.
    pub(super) fn forget(&mut self, id: &str, with_volumes: bool) {
        self.emit_container(id, "destroy", &[]);
        self.order.retain(|other| other != id);
        let Some(container) = self.containers.remove(id) else { return };
        self.removed.insert(id.to_owned(), container.state.exit_code);
        for mount in container.mounts.iter().filter(|mount| with_volumes && mount.anonymous) {
            let in_use = self.containers().any(|other| {
                other
                    .mounts
                    .iter()
                    .any(|theirs| theirs.kind == "volume" && theirs.name == mount.name)
            });
            if !in_use {
                self.volumes.remove(&mount.name);
            }
        }
    }

    fn first_due(&self) -> Option<(Time, String, Event)> {
        let due = self.containers().enumerate().filter_map(|(position, container)| {
            let (at, event) = container.due.first()?;
            Some((at, position, event, &container.id))
        });
        due.min().map(|(at, _, event, id)| (at, id.clone(), event))
    }

    fn happen(&mut self, at: Time, id: &str, event: Event) {
        let container = self.at(id);
        match event {
            Event::Exit => {
                let code = container.due.exit.take().map_or(0, |(_, code)| code);
                self.ended(at, id, code);
            }
            Event::Kill => self.ended(at, id, 137),
            Event::Healthy => {
                container.due.healthy = None;
                container.probed(at, "healthy", 0);
            }
            Event::Unhealthy => {
                container.due.unhealthy = None;
                container.probed(at, "unhealthy", 1);
            }
            Event::Restart => {
                container.due.restart = None;
                // A start that fails leaves its error in the state, where callers read it.
                let _ = self.launch(at, id, false);
            }
            Event::Removal => {
                let volumes = container.auto_remove() || container.remove_volumes;
                self.forget(id, volumes);
            }
        }
    }
}

impl super::Container {
    fn probed(&mut self, at: Time, status: &'static str, exit_code: i64) {
        let output = if exit_code == 0 { String::new() } else { "probe failed".to_owned() };
        if let Some(health) = &mut self.state.health {
            health.status = status;
            health.failing_streak = if exit_code == 0 { 0 } else { health.failing_streak + 3 };
            health.log.push(Probe { at, exit_code, output });
            if health.log.len() > 5 {
                health.log.remove(0);
            }
        }
    }
}

fn oci_error(error: &StartError) -> Refusal {
    let message = format!("failed to create shim task: {}", error.message);
    let kind = match error.exit_code {
        // As runc says it; a test may have another text.
        127 if error.message.contains("exec: ") => ErrorKind::CommandNotFound,
        126 if error.message.contains("exec: ") => ErrorKind::CommandNotExecutable,
        _ => ErrorKind::BadRequest,
    };
    Refusal::new(400, kind, message)
}
