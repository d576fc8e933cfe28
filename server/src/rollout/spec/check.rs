//! What a policy must not say. The fields are those of the contract, below `spec.policy`.

use std::time::Duration;

use crate::body::violation::{FieldViolation, Violations};

use super::{Amount, Gate, Policy, Promote};

impl Policy {
    /// Everything that is wrong with the policy for a rollout over so many hosts; 0 where
    /// they are not known yet.
    pub fn check(&self, hosts: usize) -> Result<(), Vec<FieldViolation>> {
        let mut found = Violations::default();
        self.check_amounts(&mut found);
        self.check_waves(hosts, &mut found);
        self.check_gate(&mut found);
        self.check_times(&mut found);
        for (field, command) in [("drain", &self.drain), ("verify", &self.verify)] {
            if command.as_ref().is_some_and(|command| lacks_program(command)) {
                found.add(path(field), "the command is empty: give a program and its arguments");
            }
        }
        found.or(())
    }

    fn check_amounts(&self, found: &mut Violations) {
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
                found.add(path(field), problem);
            }
        }
    }

    fn check_waves(&self, hosts: usize, found: &mut Violations) {
        for (number, amount) in self.batches.iter().enumerate() {
            let field = path(&format!("batches[{number}]"));
            if let Some(problem) = problem_of(*amount, true) {
                found.add(field, problem);
            } else if let Some(before) = number.checked_sub(1).and_then(|at| self.batches.get(at))
                && !rises(*before, *amount, hosts)
            {
                found.add(
                    field,
                    format!("{amount} after {before}: batches are cumulative and must rise"),
                );
            }
        }
        if let Some(last) = self.batches.last() {
            let whole = match last {
                Amount::Percent(percent) => *percent >= 100,
                Amount::Count(count) => hosts > 0 && *count as usize >= hosts,
            };
            if !whole {
                found.add(
                    path("batches"),
                    format!("the last is {last}: it must be 100%, so that no host is left out"),
                );
            }
            if self.canary.is_some() {
                found.add(
                    path("canary"),
                    "a canary and batches exclude each other: make the canary the first of the \
                     batches, or leave one of the two out",
                );
            }
        }
        if self.promote == Promote::Manual && self.canary.is_none() {
            found
                .add(path("promote"), "there is no canary to promote: set canary, or leave it out");
        }
    }

    fn check_gate(&self, found: &mut Violations) {
        let port = |found: &mut Violations, port: u16| {
            if port == 0 {
                found.add(
                    path("probe.port"),
                    "a port is needed: the container's port, from 1 to 65535",
                );
            }
        };
        match &self.gate {
            Gate::Auto | Gate::Docker | Gate::Running | Gate::None => {}
            Gate::Tcp { port: number } => port(found, *number),
            Gate::Http { port: number, path: target, status, .. } => {
                port(found, *number);
                let clean = target.bytes().all(|byte| byte.is_ascii_graphic());
                if !target.starts_with('/') || !clean {
                    found.add(
                        path("probe.path"),
                        "a path begins with / and has neither spaces nor control characters",
                    );
                }
                if status.is_some_and(|status| !(100..=599).contains(&status)) {
                    found.add(path("probe.status"), "a status is from 100 to 599");
                }
            }
            Gate::Exec { command } => {
                if lacks_program(command) {
                    found.add(
                        path("probe.command"),
                        "the command is empty: give a program and its arguments",
                    );
                }
            }
        }
    }

    fn check_times(&self, found: &mut Violations) {
        if self.healthy_deadline <= self.min_healthy_time {
            found.add(
                path("healthy_deadline"),
                format!(
                    "{} is not longer than min_healthy_time, {}: no host could pass",
                    told(self.healthy_deadline),
                    told(self.min_healthy_time)
                ),
            );
        }
        // One host may take that long and nothing be wrong.
        let longest = self.healthy_deadline.saturating_add(self.monitor);
        if self.progress_deadline <= longest {
            found.add(
                path("progress_deadline"),
                format!(
                    "{} is not longer than healthy_deadline and monitor together, {}: one host \
                     may take that long",
                    told(self.progress_deadline),
                    told(longest)
                ),
            );
        }
        if self.progress_deadline <= self.delay {
            found.add(
                path("delay"),
                format!(
                    "{} is not shorter than progress_deadline, {}",
                    told(self.delay),
                    told(self.progress_deadline)
                ),
            );
        }
        if self.pull_timeout.is_zero() {
            found.add(path("pull_timeout"), "must be longer than 0s");
        }
        if self.stop_timeout.is_some_and(|timeout| timeout.subsec_nanos() > 0) {
            found.add(path("stop_timeout"), "must be whole seconds: the Engine knows no others");
        }
    }
}

fn path(field: &str) -> String {
    format!("spec.policy.{field}")
}

fn told(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn lacks_program(command: &[String]) -> bool {
    command.first().is_none_or(String::is_empty)
}

fn problem_of(amount: Amount, positive: bool) -> Option<&'static str> {
    match amount {
        Amount::Percent(percent) if percent > 100 => Some("a percentage is at most 100%"),
        // A percentage that comes to less than one host counts as one.
        Amount::Count(0) | Amount::Percent(0) if positive => Some("must be 1, or 1%, at least"),
        Amount::Count(_) | Amount::Percent(_) => None,
    }
}

fn rises(before: Amount, after: Amount, hosts: usize) -> bool {
    match (before, after) {
        (Amount::Count(before), Amount::Count(after))
        | (Amount::Percent(before), Amount::Percent(after)) => before < after,
        _ => before.width(hosts) <= after.width(hosts),
    }
}
