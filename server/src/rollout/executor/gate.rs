//! The gates: a container must become healthy, and stay healthy for a while.
//!
//! Deadlines are absolute and recorded before the first check, so that a crash does not extend
//! them. A container that ended, restarts, or is unhealthy fails immediately; one that does not
//! answer yet has until the deadline. After an external restart, such as a restart of the Engine,
//! the healthy time starts again.

use std::time::Duration;

use super::{Run, StepError, reference};
use crate::domain::{ContainerRef, Reason};
use crate::engine::inspection::{Health, Status};
use crate::engine::{ContainerFacts, Inspection};
use crate::rollout::hosts::{HttpProbe, ProbeTarget};
use crate::rollout::model::{HostEvent, Trouble};
use crate::rollout::spec::{Gate, Through};
use crate::rollout::step::Observed;

/// How often a gate checks.
const POLL: Duration = Duration::from_millis(500);
/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(5);
/// Maximum length of a response or a command's output to show.
const SHOWN: usize = 200;

/// The run that is being checked: another start ends it.
#[derive(Default)]
struct RunOf {
    /// `None` until the first check.
    started_at: Option<String>,
    /// Number of restarts by the Engine before this run; `None` until the first check of an old
    /// container, which may have had some.
    restarts: Option<i64>,
}

/// Result of one check.
enum Verdict {
    /// Healthy.
    Good(String),
    /// Not yet.
    Wait(String),
    /// Restarted by a restarting Engine or by a person: earlier checks no longer count, but it is
    /// not a failure.
    Restarted(String),
    /// It will not become healthy.
    Bad(String),
}

impl Run<'_> {
    /// Waits until the new container has been healthy without interruption for long enough.
    pub(super) async fn gate(&mut self, seen: &Observed) -> Result<(), StepError> {
        let reference = reference(&seen.new, "gate")?;
        let policy = &self.task.policy;
        let deadline = match self.state.gate_deadline {
            Some(deadline) => deadline,
            None => {
                let deadline = self.task.clock.now() + policy.healthy_deadline;
                self.write(HostEvent::Gate { deadline }).await?;
                self.state.gate_deadline = Some(deadline);
                deadline
            }
        };
        let gate = policy.gate.clone();
        let needed = if gate == Gate::None { Duration::ZERO } else { policy.min_healthy_time };
        // There was no check for a while: the container may have ended and been restarted by an
        // Engine that crashed too and counts from 0 again. Therefore, the healthy time starts
        // again, but not the deadline.
        if self.state.good_since.take().is_some() {
            let saw = "it was not checked for a while".to_owned();
            self.write(HostEvent::Good { since: None, saw }).await?;
        }
        let mut run = RunOf { started_at: None, restarts: Some(0) };
        loop {
            // A late response describes the state at the time of the request, not the time since.
            let asked = self.task.clock.now();
            let verdict = self.verdict(&reference, &gate, &mut run).await?;
            let now = self.task.clock.now();
            let good = matches!(verdict, Verdict::Good(_));
            let saw = match verdict {
                Verdict::Bad(saw) => return Err(failed(saw)),
                Verdict::Good(saw) | Verdict::Wait(saw) | Verdict::Restarted(saw) => saw,
            };
            if good != self.state.good_since.is_some() {
                let since = good.then_some(now);
                self.write(HostEvent::Good { since, saw: saw.clone() }).await?;
                self.state.good_since = since;
            }
            if self.state.good_since.is_some_and(|since| asked.since(since) >= needed) {
                let monitor_until = now + policy.monitor;
                self.write(HostEvent::Passed { monitor_until }).await?;
                self.state.monitor_until = Some(monitor_until);
                return Ok(());
            }
            if now >= deadline {
                let limit = humantime::format_duration(policy.healthy_deadline);
                return Err(failed(format!("not healthy for long enough within {limit}: {saw}")));
            }
            self.task.clock.sleep_until((now + POLL).min(deadline)).await;
        }
    }

    /// Watches the new container until the time that was written down when it passed.
    pub(super) async fn monitor(&mut self, seen: &Observed) -> Result<(), StepError> {
        let reference = reference(&seen.new, "monitor")?;
        let until = self.state.monitor_until.unwrap_or_else(|| self.task.clock.now());
        let gate = self.task.policy.gate.clone();
        let started_at = seen.new.as_ref().and_then(|new| new.started_at.clone());
        let mut run = RunOf { started_at, restarts: Some(0) };
        loop {
            let asked = self.task.clock.now();
            match self.verdict(&reference, &gate, &mut run).await? {
                Verdict::Good(_) | Verdict::Restarted(_) => {}
                Verdict::Wait(saw) | Verdict::Bad(saw) => {
                    return Err(failed(format!(
                        "it passed the gate but became unhealthy again: {saw}"
                    )));
                }
            }
            if asked >= until {
                return Ok(());
            }
            self.task.clock.sleep_until((asked + POLL).min(until)).await;
        }
    }

    /// Waits until the old container is running again, and healthy if it has a health check. One
    /// that was already unhealthy at planning only has to be as it was.
    pub(super) async fn gate_old(&mut self, seen: &Observed) -> Result<(), StepError> {
        if self.task.plan.unhealthy {
            return Ok(());
        }
        let standing = seen.old.clone().or_else(|| seen.twin.clone());
        let reference = reference(&standing, "old")?;
        let deadline = self.task.clock.now() + self.task.policy.healthy_deadline;
        let mut run = RunOf::default();
        loop {
            let saw = match self.verdict(&reference, &Gate::Auto, &mut run).await? {
                Verdict::Good(_) => return Ok(()),
                Verdict::Bad(saw) => return Err(failed(format!("the old container: {saw}"))),
                Verdict::Wait(saw) | Verdict::Restarted(saw) => saw,
            };
            let now = self.task.clock.now();
            if now >= deadline {
                return Err(failed(format!("the old container did not become healthy: {saw}")));
            }
            self.task.clock.sleep_until((now + POLL).min(deadline)).await;
        }
    }

    async fn verdict(
        &self,
        container: &ContainerRef,
        gate: &Gate,
        run: &mut RunOf,
    ) -> Result<Verdict, StepError> {
        let found = self.inspect(container).await?;
        if *gate == Gate::None {
            return Ok(Verdict::Good("started".to_owned()));
        }
        if let Some(verdict) = not_running(&found, run) {
            return Ok(verdict);
        }
        let probed = self.probe(container, gate, &found).await;
        if matches!(gate, Gate::None | Gate::Running | Gate::Auto | Gate::Docker)
            || matches!(probed, Ok(Verdict::Good(_)) | Err(StepError::Lost(_) | StepError::Stopped))
        {
            return probed;
        }
        // It may have ended under the probe: then that is what happened, and neither a refused
        // connection nor the Engine's refusal to run a command in it.
        let found = self.inspect(container).await?;
        not_running(&found, run).map_or(probed, Ok)
    }

    /// What a container that runs answers to the question of its gate.
    async fn probe(
        &self,
        container: &ContainerRef,
        gate: &Gate,
        found: &Inspection,
    ) -> Result<Verdict, StepError> {
        Ok(match gate {
            Gate::None | Gate::Running => Verdict::Good("running".to_owned()),
            Gate::Auto if found.health.is_none() => Verdict::Good("running".to_owned()),
            Gate::Auto | Gate::Docker => health(found),
            Gate::Http { port, path, status, body, through } => {
                self.http(found, *port, path, *status, body, *through).await
            }
            Gate::Tcp { port } => match self.container_address(found) {
                Err(problem) => Verdict::Wait(problem),
                Ok(address) => {
                    let target = self.target(address, *port);
                    match self.task.hosts.probe_tcp(&target, PROBE).await {
                        Ok(()) => {
                            Verdict::Good(format!("{} accepts connections", target.authority()))
                        }
                        Err(problem) => Verdict::Wait(format!("{}: {problem}", target.authority())),
                    }
                }
            },
            Gate::Exec { command } => {
                let result =
                    self.call(PROBE * 6, self.engine.run_in_container(container, command)).await?;
                let said = shortened(&result.output);
                if result.exit_code == 0 {
                    Verdict::Good(ended(0, &said))
                } else {
                    Verdict::Wait(ended(result.exit_code, &said))
                }
            }
        })
    }

    async fn http(
        &self,
        found: &Inspection,
        port: u16,
        path: &str,
        expected: Option<u16>,
        text: &str,
        through: Through,
    ) -> Verdict {
        let target = match through {
            Through::ContainerAddress => {
                self.container_address(found).map(|address| self.target(address, port))
            }
            Through::PublishedPort => self.published(found, port),
        };
        let target = match target {
            Ok(target) => target,
            Err(problem) => return Verdict::Wait(problem),
        };
        let url = format!("http://{}{path}", target.authority());
        match self.task.hosts.probe_http(&target, path, PROBE).await {
            HttpProbe::Failed(problem) => Verdict::Wait(format!("{url}: {problem}")),
            HttpProbe::Answered { status, body } => {
                let as_expected =
                    expected.map_or((200..400).contains(&status), |expected| status == expected);
                if !as_expected {
                    Verdict::Wait(format!("{url} answered {status}: {}", shortened(&body)))
                } else if !body.contains(text) {
                    Verdict::Wait(format!("{url}: {text:?} is not in: {}", shortened(&body)))
                } else {
                    Verdict::Good(format!("{url} answered {status}"))
                }
            }
        }
    }

    fn target(&self, address: String, port: u16) -> ProbeTarget {
        ProbeTarget { host: self.task.host.clone(), address, port }
    }

    /// The container's own address; with the network of the host, the host's.
    fn container_address(&self, found: &Inspection) -> Result<String, String> {
        if found.network_mode == "host" {
            return self.host_address();
        }
        let address = found.address().map(str::to_owned);
        address.ok_or_else(|| "the container has no IP address".to_owned())
    }

    /// Where the host publishes a port of the container.
    fn published(&self, found: &Inspection, port: u16) -> Result<ProbeTarget, String> {
        if found.network_mode == "host" {
            return Ok(self.target(self.host_address()?, port));
        }
        let published = found.published(port);
        let (address, published) =
            published.ok_or_else(|| format!("port {port} is not published"))?;
        let address = match address {
            "" | "0.0.0.0" | "::" => self.host_address()?,
            address => address.to_owned(),
        };
        Ok(self.target(address, published))
    }

    fn host_address(&self) -> Result<String, String> {
        let host = &self.task.host;
        self.task
            .hosts
            .published_at(host)
            .ok_or_else(|| format!("{host} is no longer in the inventory"))
    }
}

/// What is wrong with a container that should run without a restart.
fn not_running(facts: &ContainerFacts, run: &mut RunOf) -> Option<Verdict> {
    let restarts = facts.restart_count - *run.restarts.get_or_insert(facts.restart_count);
    if restarts > 0 {
        // While it runs again, the exit code is none of the run that ended.
        let ended = match facts.status {
            Status::Running => "it ended".to_owned(),
            _ => format!("it ended with exit code {}", facts.exit_code),
        };
        let times = match restarts {
            1 => "once".to_owned(),
            restarts => format!("{restarts} times"),
        };
        return Some(Verdict::Bad(format!("{ended} and was restarted {times}")));
    }
    if !facts.running || facts.is_going() {
        let (status, error) = (facts.status.as_str(), facts.start_error.trim());
        let error = if error.is_empty() { String::new() } else { format!(": {error}") };
        let code = facts.exit_code;
        return Some(Verdict::Bad(format!("it is {status}, with exit code {code}{error}")));
    }
    match &run.started_at {
        Some(first) if facts.started_at.as_ref() != Some(first) => {
            // If it had ended by itself, the Engine would have counted a restart.
            run.started_at.clone_from(&facts.started_at);
            Some(Verdict::Restarted("it was restarted".to_owned()))
        }
        Some(_) => None,
        None => {
            run.started_at.clone_from(&facts.started_at);
            None
        }
    }
}

fn health(found: &Inspection) -> Verdict {
    // What it said: an opaque "unhealthy" helps nobody.
    let last = found.last_check().map_or_else(String::new, |(code, output)| {
        format!("; the last check ended with {code}: {}", shortened(output))
    });
    match found.health {
        Some(Health::Healthy) => Verdict::Good("it is healthy".to_owned()),
        Some(Health::Starting) => {
            Verdict::Wait(format!("its health check has no result yet{last}"))
        }
        Some(Health::Unhealthy) => Verdict::Bad(format!("it is unhealthy{last}")),
        None => Verdict::Bad("it has no health check".to_owned()),
    }
}

fn ended(exit_code: i64, said: &str) -> String {
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    format!("the command ended with {exit_code}{said}")
}

fn failed(message: String) -> StepError {
    StepError::Failed(Trouble::new(Reason::RolloutGateFailed, message))
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crashed(status: Status, restart_count: i64) -> String {
        let facts = ContainerFacts {
            status,
            running: true,
            started_at: Some("then".to_owned()),
            restart_count,
            exit_code: i64::from(status != Status::Running),
            ..ContainerFacts::default()
        };
        let mut run = RunOf { restarts: Some(0), ..RunOf::default() };
        match not_running(&facts, &mut run) {
            Some(Verdict::Bad(saw)) => saw,
            _ => String::new(),
        }
    }

    #[test]
    fn an_exit_code_is_told_only_of_the_run_that_ended() {
        assert_eq!(crashed(Status::Running, 1), "it ended and was restarted once");
        let waits = "it ended with exit code 1 and was restarted 3 times";
        assert_eq!(crashed(Status::Restarting, 3), waits);
        assert_eq!(crashed(Status::Running, 0), "");
    }
}
