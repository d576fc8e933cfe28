//! Checks the policy. The fields are those of the contract.

use std::fmt;
use std::time::Duration;

use crate::body::violation::{FieldViolation, Violations};
use crate::domain::quoted;

use super::{Amount, Gate, Policy, Promote};

/// Problems found, below the path of the policy.
struct Found<'a> {
    path: &'a str,
    violations: Violations,
}

impl Found<'_> {
    fn add(&mut self, field: &str, problem: impl fmt::Display) {
        self.violations.add(format!("{}.{field}", self.path), problem);
    }

    fn port(&mut self, port: u16) {
        if port == 0 {
            self.add("probe.port", "must be set to a port in the container");
        }
    }

    fn command(&mut self, field: &str, command: &[String]) {
        if command.first().is_none_or(String::is_empty) {
            self.add(field, "must be a program and its arguments");
        }
    }
}

impl Policy {
    /// All problems of the policy for a rollout on this number of hosts; 0 if it is not known yet.
    /// `path` is the path of the policy in the request, such as `spec.policy`.
    pub fn check(&self, path: &str, hosts: usize) -> Result<(), Vec<FieldViolation>> {
        let mut found = Found { path, violations: Violations::default() };
        self.check_amounts(&mut found);
        self.check_waves(hosts, &mut found);
        self.check_gate(&mut found);
        self.check_times(&mut found);
        for (field, command) in [("drain", &self.drain), ("verify", &self.verify)] {
            if let Some(command) = command {
                found.command(field, command);
            }
        }
        found.violations.or(())
    }

    fn check_amounts(&self, found: &mut Found<'_>) {
        let amounts = [
            ("max_parallel", Some(self.max_parallel), true),
            ("canary", self.canary, true),
            ("max_unavailable", self.max_unavailable, true),
            ("max_failures", Some(self.max_failures), false),
            ("rollback_parallel", self.rollback_parallel, true),
            ("max_unreachable", Some(self.max_unreachable), false),
        ];
        for (field, amount, positive) in amounts {
            let Some(amount) = amount else { continue };
            if let Some(problem) = problem_of(amount, positive) {
                found.add(field, problem);
            }
        }
    }

    fn check_waves(&self, hosts: usize, found: &mut Found<'_>) {
        for (number, amount) in self.batches.iter().enumerate() {
            let field = format!("batches[{number}]");
            if let Some(problem) = problem_of(*amount, true) {
                found.add(&field, problem);
            } else if let Some(before) = number.checked_sub(1).and_then(|at| self.batches.get(at))
                && !rises(*before, *amount, hosts)
            {
                found.add(
                    &field,
                    format!("{amount} after {before}: batches are cumulative and must increase"),
                );
            }
        }
        if let Some(last) = self.batches.last() {
            let whole = match last {
                Amount::Percent(percent) => *percent >= 100,
                Amount::Count(count) => *count as usize >= hosts,
            };
            if !whole {
                found.add(
                    "batches",
                    format!("the last is {last}: it must be 100% to include every host"),
                );
            }
            if self.canary.is_some() {
                found.add(
                    "canary",
                    "canary conflicts with batches: make the canary the first of the \
                     batches, or remove one of the two",
                );
            }
        }
        if self.promote == Promote::Manual && self.canary.is_none() {
            found.add("promote", "there is no canary to promote: set canary, or remove promote");
        }
    }

    fn check_gate(&self, found: &mut Found<'_>) {
        match &self.gate {
            Gate::Auto | Gate::Docker | Gate::Running | Gate::None => {}
            Gate::Tcp { port } => found.port(*port),
            Gate::Http { port, path, status, .. } => {
                found.port(*port);
                let clean = path.bytes().all(|byte| byte.is_ascii_graphic());
                if !path.starts_with('/') || !clean {
                    let path = quoted(path);
                    found.add(
                        "probe.path",
                        format!("{path} is not a path; it must begin with / and contain no spaces"),
                    );
                }
                if let Some(status) = status
                    && !(100..=599).contains(status)
                {
                    found.add(
                        "probe.status",
                        format!("{status} is not an HTTP status from 100 to 599"),
                    );
                }
            }
            Gate::Exec { command } => found.command("probe.command", command),
        }
    }

    fn check_times(&self, found: &mut Found<'_>) {
        if self.healthy_deadline <= self.min_healthy_time {
            found.add(
                "healthy_deadline",
                format!(
                    "{} must be longer than min_healthy_time, {}: otherwise no host can pass",
                    formatted(self.healthy_deadline),
                    formatted(self.min_healthy_time)
                ),
            );
        }
        // One host may take that long without a problem. Each field is blamed for what is too long
        // by itself, and the deadline for what only the sum exceeds.
        let longest = self.healthy_deadline.saturating_add(self.monitor);
        if self.monitor >= self.progress_deadline {
            found.add(
                "monitor",
                format!(
                    "{} must be shorter than progress_deadline, {}",
                    formatted(self.monitor),
                    formatted(self.progress_deadline)
                ),
            );
        } else if self.progress_deadline <= longest {
            found.add(
                "progress_deadline",
                format!(
                    "{} must be longer than healthy_deadline and monitor together, {}: one host \
                     may take that long",
                    formatted(self.progress_deadline),
                    formatted(longest)
                ),
            );
        }
        if self.progress_deadline <= self.delay {
            found.add(
                "delay",
                format!(
                    "{} must be shorter than progress_deadline, {}",
                    formatted(self.delay),
                    formatted(self.progress_deadline)
                ),
            );
        }
        if self.pull_timeout.is_zero() {
            found.add("pull_timeout", "must be longer than 0s");
        }
        if self.stop_timeout.is_some_and(|timeout| timeout.subsec_nanos() > 0) {
            found
                .add("stop_timeout", "must be whole seconds; the Engine does not accept fractions");
        }
    }
}

fn formatted(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn problem_of(amount: Amount, positive: bool) -> Option<&'static str> {
    match amount {
        Amount::Percent(percent) if percent > 100 => Some("a percentage is at most 100%"),
        // A percentage of less than one host counts as one.
        Amount::Count(0) | Amount::Percent(0) if positive => Some("must be at least 1 or 1%"),
        Amount::Count(_) | Amount::Percent(_) => None,
    }
}

fn rises(before: Amount, after: Amount, hosts: usize) -> bool {
    match (before, after) {
        (Amount::Count(before), Amount::Count(after))
        | (Amount::Percent(before), Amount::Percent(after)) => before < after,
        _ => hosts == 0 || before.width(hosts) <= after.width(hosts),
    }
}
