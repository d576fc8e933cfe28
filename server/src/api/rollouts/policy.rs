//! The policy of a rollout, both ways: every parameter under its own name.

use std::time::Duration;

use wharf::v1;

use crate::api::convert;
use crate::body::violation::Violations;
use crate::rollout::spec::{
    Amount, AnonymousVolumes, Dependents, Gate, OnFailure, OnUnreachable, OrderPreference, Policy,
    Promote, PullWhen, RollbackScope, Stopped, Through,
};

/// Maximum number of old containers per host; more is a mistake that fills the disk.
const MOST_KEPT: u32 = 100;

/// A part of a request, with its problems.
struct Reader<'a> {
    violations: &'a mut Violations,
    /// Path of the message in the request, such as `spec.policy`.
    path: &'a str,
}

/// The policy `base` overridden by `message`, checked as far as possible before the hosts are
/// known. `path` is the path of the message in the request, such as `spec.policy`.
pub fn read(
    violations: &mut Violations,
    path: &str,
    message: &v1::RolloutPolicy,
    base: Policy,
) -> Policy {
    let policy = Reader { violations, path }.policy(message, base);
    violations.take(policy.check(path, 0));
    policy
}

/// Every parameter with its value.
pub fn view(policy: &Policy) -> v1::RolloutPolicy {
    let (health, probe) = gate_view(&policy.gate);
    v1::RolloutPolicy {
        max_parallel: policy.max_parallel.to_string(),
        batches: policy.batches.iter().map(ToString::to_string).collect(),
        canary: policy.canary.unwrap_or(Amount::Count(0)).to_string(),
        promote: match policy.promote {
            Promote::Auto => v1::Promote::Auto,
            Promote::Manual => v1::Promote::Manual,
        }
        .into(),
        max_unavailable: policy.max_unavailable.unwrap_or(policy.max_parallel).to_string(),
        order: match policy.order {
            OrderPreference::StopFirst => v1::RolloutOrder::StopFirst,
            OrderPreference::StartFirst => v1::RolloutOrder::StartFirst,
            OrderPreference::Auto => v1::RolloutOrder::Auto,
        }
        .into(),
        delay: duration_view(policy.delay),
        bake: duration_view(policy.bake),
        health: health.into(),
        probe,
        min_healthy_time: duration_view(policy.min_healthy_time),
        monitor: duration_view(policy.monitor),
        healthy_deadline: duration_view(policy.healthy_deadline),
        pull_timeout: duration_view(policy.pull_timeout),
        stop_timeout: policy.stop_timeout.and_then(duration_view),
        progress_deadline: duration_view(policy.progress_deadline),
        max_failures: policy.max_failures.to_string(),
        on_failure: match policy.on_failure {
            OnFailure::Pause => v1::FailureAction::Pause,
            OnFailure::Rollback => v1::FailureAction::Rollback,
            OnFailure::Continue => v1::FailureAction::Continue,
            OnFailure::Abort => v1::FailureAction::Abort,
        }
        .into(),
        rollback_scope: match policy.rollback_scope {
            RollbackScope::Failed => v1::RollbackScope::Failed,
            RollbackScope::Wave => v1::RollbackScope::Wave,
            RollbackScope::All => v1::RollbackScope::All,
        }
        .into(),
        rollback_parallel: policy.rollback_parallel.unwrap_or(policy.max_parallel).to_string(),
        on_unreachable: match policy.on_unreachable {
            OnUnreachable::Wait => v1::UnreachableAction::Wait,
            OnUnreachable::Skip => v1::UnreachableAction::Skip,
            OnUnreachable::Fail => v1::UnreachableAction::Fail,
        }
        .into(),
        max_unreachable: policy.max_unreachable.to_string(),
        pull_policy: match policy.pull {
            PullWhen::Always => v1::PullPolicy::Always,
            PullWhen::Missing => v1::PullPolicy::Missing,
            PullWhen::Never => v1::PullPolicy::Never,
        }
        .into(),
        keep_old: Some(policy.keep_old),
        keep_old_for: duration_view(policy.keep_old_for),
        anonymous_volumes: match policy.anonymous_volumes {
            AnonymousVolumes::Keep => v1::AnonymousVolumes::Keep,
            AnonymousVolumes::Renew => v1::AnonymousVolumes::Renew,
        }
        .into(),
        dependents: match policy.dependents {
            Dependents::Refuse => v1::Dependents::Refuse,
            Dependents::Recreate => v1::Dependents::Recreate,
        }
        .into(),
        stopped: match policy.stopped {
            Stopped::Start => v1::StoppedAction::Start,
            Stopped::Keep => v1::StoppedAction::Keep,
            Stopped::Skip => v1::StoppedAction::Skip,
            Stopped::Refuse => v1::StoppedAction::Refuse,
        }
        .into(),
        drain: policy.drain.clone().unwrap_or_default(),
        verify: policy.verify.clone().unwrap_or_default(),
        strict: policy.strict,
        assume_explicit: policy.assume_explicit,
        pin_overlay_addresses: policy.pin_overlay_addresses,
        share_volumes: policy.share_volumes,
    }
}

impl Reader<'_> {
    fn policy(&mut self, message: &v1::RolloutPolicy, base: Policy) -> Policy {
        let parallel = self.amount("max_parallel", &message.max_parallel);
        let gate = self.gate(message);
        let keep_old = message.keep_old;
        if keep_old.is_some_and(|kept| kept > MOST_KEPT) {
            self.wrong("keep_old", format!("must be at most {MOST_KEPT}"));
        }
        Policy {
            max_parallel: parallel.unwrap_or(base.max_parallel),
            batches: match message.batches.as_slice() {
                [] => base.batches,
                batches => self.batches(batches),
            },
            canary: match self.amount("canary", &message.canary) {
                None => base.canary,
                Some(Amount::Count(0) | Amount::Percent(0)) => None,
                canary => canary,
            },
            promote: match self.choice("promote", message.promote) {
                v1::Promote::Unspecified => base.promote,
                v1::Promote::Auto => Promote::Auto,
                v1::Promote::Manual => Promote::Manual,
            },
            max_unavailable: self
                .amount("max_unavailable", &message.max_unavailable)
                .or(base.max_unavailable),
            order: match self.choice("order", message.order) {
                v1::RolloutOrder::Unspecified => base.order,
                v1::RolloutOrder::StopFirst => OrderPreference::StopFirst,
                v1::RolloutOrder::StartFirst => OrderPreference::StartFirst,
                v1::RolloutOrder::Auto => OrderPreference::Auto,
            },
            delay: self.duration("delay", message.delay, base.delay),
            bake: self.duration("bake", message.bake, base.bake),
            gate: gate.unwrap_or(base.gate),
            min_healthy_time: self.duration(
                "min_healthy_time",
                message.min_healthy_time,
                base.min_healthy_time,
            ),
            monitor: self.duration("monitor", message.monitor, base.monitor),
            healthy_deadline: self.duration(
                "healthy_deadline",
                message.healthy_deadline,
                base.healthy_deadline,
            ),
            pull_timeout: self.duration("pull_timeout", message.pull_timeout, base.pull_timeout),
            stop_timeout: self.stop_timeout(message.stop_timeout.as_ref()).or(base.stop_timeout),
            progress_deadline: self.duration(
                "progress_deadline",
                message.progress_deadline,
                base.progress_deadline,
            ),
            max_failures: self
                .amount("max_failures", &message.max_failures)
                .unwrap_or(base.max_failures),
            on_failure: match self.choice("on_failure", message.on_failure) {
                v1::FailureAction::Unspecified => base.on_failure,
                v1::FailureAction::Pause => OnFailure::Pause,
                v1::FailureAction::Rollback => OnFailure::Rollback,
                v1::FailureAction::Continue => OnFailure::Continue,
                v1::FailureAction::Abort => OnFailure::Abort,
            },
            rollback_scope: match self.choice("rollback_scope", message.rollback_scope) {
                v1::RollbackScope::Unspecified => base.rollback_scope,
                v1::RollbackScope::Failed => RollbackScope::Failed,
                v1::RollbackScope::Wave => RollbackScope::Wave,
                v1::RollbackScope::All => RollbackScope::All,
            },
            rollback_parallel: self
                .amount("rollback_parallel", &message.rollback_parallel)
                .or(base.rollback_parallel),
            on_unreachable: match self.choice("on_unreachable", message.on_unreachable) {
                v1::UnreachableAction::Unspecified => base.on_unreachable,
                v1::UnreachableAction::Wait => OnUnreachable::Wait,
                v1::UnreachableAction::Skip => OnUnreachable::Skip,
                v1::UnreachableAction::Fail => OnUnreachable::Fail,
            },
            max_unreachable: self
                .amount("max_unreachable", &message.max_unreachable)
                .unwrap_or(base.max_unreachable),
            pull: match self.choice("pull_policy", message.pull_policy) {
                v1::PullPolicy::Unspecified => base.pull,
                v1::PullPolicy::Missing => PullWhen::Missing,
                v1::PullPolicy::Always => PullWhen::Always,
                v1::PullPolicy::Never => PullWhen::Never,
            },
            keep_old: keep_old.unwrap_or(base.keep_old),
            keep_old_for: self.duration("keep_old_for", message.keep_old_for, base.keep_old_for),
            anonymous_volumes: match self.choice("anonymous_volumes", message.anonymous_volumes) {
                v1::AnonymousVolumes::Unspecified => base.anonymous_volumes,
                v1::AnonymousVolumes::Keep => AnonymousVolumes::Keep,
                v1::AnonymousVolumes::Renew => AnonymousVolumes::Renew,
            },
            dependents: match self.choice("dependents", message.dependents) {
                v1::Dependents::Unspecified => base.dependents,
                v1::Dependents::Refuse => Dependents::Refuse,
                v1::Dependents::Recreate => Dependents::Recreate,
            },
            stopped: match self.choice("stopped", message.stopped) {
                v1::StoppedAction::Unspecified => base.stopped,
                v1::StoppedAction::Start => Stopped::Start,
                v1::StoppedAction::Keep => Stopped::Keep,
                v1::StoppedAction::Skip => Stopped::Skip,
                v1::StoppedAction::Refuse => Stopped::Refuse,
            },
            drain: command(&message.drain).or(base.drain),
            verify: command(&message.verify).or(base.verify),
            strict: message.strict || base.strict,
            assume_explicit: message.assume_explicit || base.assume_explicit,
            pin_overlay_addresses: message.pin_overlay_addresses || base.pin_overlay_addresses,
            share_volumes: message.share_volumes || base.share_volumes,
        }
    }

    fn gate(&mut self, message: &v1::RolloutPolicy) -> Option<Gate> {
        let health: v1::HealthGate = self.choice("health", message.health);
        let empty = v1::HealthProbe::default();
        let probe = message.probe.as_ref().unwrap_or(&empty);
        let mut unused = vec![
            ("port", probe.port != 0),
            ("path", !probe.path.is_empty()),
            ("status", probe.status != 0),
            ("body", !probe.body.is_empty()),
            ("through", probe.through != 0),
            ("command", !probe.command.is_empty()),
        ];
        let mut used = |names: &[&str]| unused.retain(|(name, _)| !names.contains(name));
        let gate = match health {
            v1::HealthGate::Unspecified => None,
            v1::HealthGate::Auto => Some(Gate::Auto),
            v1::HealthGate::Docker => Some(Gate::Docker),
            v1::HealthGate::Running => Some(Gate::Running),
            v1::HealthGate::None => Some(Gate::None),
            v1::HealthGate::Http => {
                used(&["port", "path", "status", "body", "through"]);
                self.http(probe)
            }
            v1::HealthGate::Tcp => {
                used(&["port"]);
                self.port(probe.port).map(|port| Gate::Tcp { port })
            }
            v1::HealthGate::Exec => {
                used(&["command"]);
                Some(Gate::Exec { command: probe.command.clone() })
            }
        };
        for (name, _) in unused.into_iter().filter(|(_, set)| *set) {
            let field = format!("probe.{name}");
            match health {
                v1::HealthGate::Unspecified => {
                    self.wrong(&field, "requires `health`: http, tcp, or exec");
                }
                _ => {
                    let problem = "does not apply to this gate; remove it";
                    self.wrong(&field, problem);
                }
            }
        }
        gate
    }

    fn http(&mut self, probe: &v1::HealthProbe) -> Option<Gate> {
        let port = self.port(probe.port);
        let path = match probe.path.as_str() {
            "" => "/",
            path => path,
        };
        let status = match u16::try_from(probe.status) {
            Ok(status) => Some((status != 0).then_some(status)),
            Err(_) => {
                self.wrong("probe.status", "is not an HTTP status from 100 to 599");
                None
            }
        };
        let through = match self.choice("probe.through", probe.through) {
            v1::ProbeThrough::Unspecified | v1::ProbeThrough::PublishedPort => {
                Through::PublishedPort
            }
            v1::ProbeThrough::ContainerAddress => Through::ContainerAddress,
        };
        Some(Gate::Http {
            port: port?,
            path: path.to_owned(),
            status: status?,
            body: probe.body.clone(),
            through,
        })
    }

    fn port(&mut self, port: u32) -> Option<u16> {
        let problem = format!("{port} is not a port from 1 to 65535");
        u16::try_from(port).map_err(|_| self.wrong("probe.port", problem)).ok()
    }

    fn batches(&mut self, texts: &[String]) -> Vec<Amount> {
        let mut amounts = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            amounts.extend(
                self.violations
                    .check(&format!("{}.batches[{index}]", self.path), text.parse::<Amount>()),
            );
        }
        amounts
    }

    fn amount(&mut self, field: &str, text: &str) -> Option<Amount> {
        if text.is_empty() {
            return None;
        }
        self.violations.check(&format!("{}.{field}", self.path), text.parse())
    }

    fn duration(
        &mut self,
        field: &str,
        value: Option<prost_types::Duration>,
        default: Duration,
    ) -> Duration {
        let Some(value) = value else { return default };
        match convert::duration(&value) {
            Ok(duration) => duration,
            Err(problem) => {
                self.wrong(field, problem);
                default
            }
        }
    }

    fn stop_timeout(&mut self, value: Option<&prost_types::Duration>) -> Option<Duration> {
        let field = format!("{}.stop_timeout", self.path);
        let seconds = convert::whole_seconds(self.violations, &field, value)?;
        u64::try_from(seconds).ok().map(Duration::from_secs)
    }

    fn choice<E: TryFrom<i32> + Default>(&mut self, field: &str, value: i32) -> E {
        E::try_from(value).unwrap_or_else(|_| {
            self.wrong(field, format!("{value} is not a value of this field"));
            E::default()
        })
    }

    fn wrong(&mut self, field: &str, problem: impl std::fmt::Display) {
        self.violations.add(format!("{}.{field}", self.path), problem);
    }
}

fn command(arguments: &[String]) -> Option<Vec<String>> {
    (!arguments.is_empty()).then(|| arguments.to_vec())
}

fn gate_view(gate: &Gate) -> (v1::HealthGate, Option<v1::HealthProbe>) {
    let empty = v1::HealthProbe::default();
    match gate {
        Gate::Auto => (v1::HealthGate::Auto, None),
        Gate::Docker => (v1::HealthGate::Docker, None),
        Gate::Running => (v1::HealthGate::Running, None),
        Gate::None => (v1::HealthGate::None, None),
        Gate::Http { port, path, status, body, through } => {
            let through = match through {
                Through::PublishedPort => v1::ProbeThrough::PublishedPort,
                Through::ContainerAddress => v1::ProbeThrough::ContainerAddress,
            };
            let probe = v1::HealthProbe {
                port: (*port).into(),
                path: path.clone(),
                status: status.unwrap_or_default().into(),
                body: body.clone(),
                through: through.into(),
                ..empty
            };
            (v1::HealthGate::Http, Some(probe))
        }
        Gate::Tcp { port } => {
            (v1::HealthGate::Tcp, Some(v1::HealthProbe { port: (*port).into(), ..empty }))
        }
        Gate::Exec { command } => {
            (v1::HealthGate::Exec, Some(v1::HealthProbe { command: command.clone(), ..empty }))
        }
    }
}

fn duration_view(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}
