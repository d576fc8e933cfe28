//! Every parameter of a rollout as a flag of the same name. `RolloutPolicy` in the contract
//! describes each one. An unset flag keeps the value of the file, or else the server's default.

use std::time::Duration;

use wharf::v1::{
    AnonymousVolumes, Dependents, FailureAction, HealthGate, HealthProbe, ProbeThrough, Promote,
    PullPolicy, RollbackScope, RolloutOrder, RolloutPolicy, StoppedAction, UnreachableAction,
};

use crate::duration;

/// The flags.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Policy")]
pub struct PolicyFlags {
    /// Hosts to upgrade at the same time, such as 3 or 25% [default: 1]
    #[arg(long, value_name = "N|P%", id = "policy_max_parallel")]
    max_parallel: Option<String>,
    /// Waves, as cumulative amounts: 1,10%,50%,100% [default: one wave]
    #[arg(long, value_name = "N|P%,…", value_delimiter = ',')]
    batches: Vec<String>,
    /// Size of a separate first wave [default: none]
    #[arg(long, value_name = "N|P%")]
    canary: Option<String>,
    /// After the canary: continue (auto), or pause until `wharf rollout promote` (manual)
    /// [default: auto]
    #[arg(long, value_name = "auto|manual", value_parser = choice::<Promote>)]
    promote: Option<Promote>,
    /// Start a host only while fewer hosts are in progress or down [default: --max-parallel]
    #[arg(long, value_name = "N|P%")]
    max_unavailable: Option<String>,
    /// Stop the old container first, or start the new one first: stop-first, start-first, or auto
    /// [default: stop-first]
    #[arg(long, value_name = "ORDER", value_parser = choice::<RolloutOrder>)]
    order: Option<RolloutOrder>,
    /// Pause between one host and the next [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    delay: Option<Duration>,
    /// Time to monitor each wave after its last host [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    bake: Option<Duration>,
    /// How a new container proves that it is healthy: auto, docker, running, http, tcp, exec, or none
    /// [default: auto]
    #[arg(long, value_name = "GATE", value_parser = choice::<HealthGate>)]
    health: Option<HealthGate>,
    /// Port in the container, for --health http and tcp
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    probe_port: Option<u16>,
    /// Path, for --health http [default: /]
    #[arg(long, value_name = "PATH")]
    probe_path: Option<String>,
    /// Expected status, for --health http [default: 200 to 399]
    #[arg(long, value_name = "STATUS")]
    probe_status: Option<u32>,
    /// Text that the body must contain, for --health http
    #[arg(long, value_name = "TEXT")]
    probe_body: Option<String>,
    /// Where --health http connects: published-port or container-address [default: published-port]
    #[arg(long, value_name = "WHERE", value_parser = choice::<ProbeThrough>)]
    probe_through: Option<ProbeThrough>,
    /// Shell command to run in the container, for --health exec
    #[arg(long, value_name = "COMMAND")]
    probe_command: Option<String>,
    /// Time that a new container must stay healthy without interruption [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    min_healthy_time: Option<Duration>,
    /// Time to monitor a host after its health gate [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    monitor: Option<Duration>,
    /// Time limit from start to healthy; pulls do not count [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    healthy_deadline: Option<Duration>,
    /// Time limit for a pull without progress [default: 15m]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    pull_timeout: Option<Duration>,
    /// Time between the stop signal and SIGKILL for the old container [default: the container's
    /// own]
    #[arg(long = "stop-timeout", id = "policy_stop_timeout", value_name = "DURATION",
          value_parser = duration::parse)]
    stop_timeout: Option<Duration>,
    /// Time limit in which at least one host must finish [default: 15m]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    progress_deadline: Option<Duration>,
    /// Number of failed hosts to tolerate [default: 0]
    #[arg(long, value_name = "N|P%")]
    max_failures: Option<String>,
    /// What to do when more hosts fail: pause, rollback, continue, or abort [default: pause]
    #[arg(long, value_name = "ACTION", value_parser = choice::<FailureAction>)]
    on_failure: Option<FailureAction>,
    /// Which hosts a rollback restores: failed, wave, or all [default: all]
    #[arg(long, value_name = "SCOPE", value_parser = choice::<RollbackScope>)]
    rollback_scope: Option<RollbackScope>,
    /// Hosts to restore at the same time in a rollback [default: --max-parallel]
    #[arg(long, value_name = "N|P%")]
    rollback_parallel: Option<String>,
    /// What to do with a host that does not answer: wait, skip, or fail [default: wait]
    #[arg(long, value_name = "ACTION", value_parser = choice::<UnreachableAction>)]
    on_unreachable: Option<UnreachableAction>,
    /// Number of unreachable hosts to skip at most [default: 0]
    #[arg(long, value_name = "N|P%")]
    max_unreachable: Option<String>,
    /// When to pull the image: always, missing, or never [default: missing]
    #[arg(long, value_name = "WHEN", value_parser = choice::<PullPolicy>)]
    pull_policy: Option<PullPolicy>,
    /// Number of old containers to keep on each host for an undo [default: 1]
    #[arg(long, value_name = "COUNT")]
    keep_old: Option<u32>,
    /// How long to keep old containers after the end of the rollout [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    keep_old_for: Option<Duration>,
    /// What to do with anonymous volumes: keep or renew [default: keep]
    #[arg(long, value_name = "WHAT", value_parser = choice::<AnonymousVolumes>)]
    anonymous_volumes: Option<AnonymousVolumes>,
    /// What to do with containers that share a namespace of this one: refuse or recreate
    /// [default: refuse]
    #[arg(long, value_name = "WHAT", value_parser = choice::<Dependents>)]
    dependents: Option<Dependents>,
    /// What to do with containers that are not running: start, keep, skip, or refuse
    /// [default: start]
    #[arg(long, value_name = "WHAT", value_parser = choice::<StoppedAction>)]
    stopped: Option<StoppedAction>,
    /// Shell command to run in the old container before it is stopped
    #[arg(long, value_name = "COMMAND")]
    drain: Option<String>,
    /// Shell command to run in the new container after its health gate
    #[arg(long, value_name = "COMMAND")]
    verify: Option<String>,
    /// Fail a host if the Engine creates the container with settings other than requested
    #[arg(long)]
    strict: bool,
    /// If the old image is missing, treat every current setting as set explicitly
    #[arg(long)]
    assume_explicit: bool,
    /// Keep addresses in overlay networks, although they may be dynamic
    #[arg(long)]
    pin_overlay_addresses: bool,
    /// Allow start-first even though both containers write to the same volumes for a while
    #[arg(long)]
    share_volumes: bool,
}

impl PolicyFlags {
    /// Whether pulling is forbidden.
    pub fn never_pulls(&self) -> bool {
        self.pull_policy == Some(PullPolicy::Never)
    }

    /// Applies the given flags over `policy`.
    pub fn over(&self, policy: &mut RolloutPolicy) {
        let text = |value: &mut String, flag: &Option<String>| {
            if let Some(flag) = flag {
                value.clone_from(flag);
            }
        };
        text(&mut policy.max_parallel, &self.max_parallel);
        text(&mut policy.canary, &self.canary);
        text(&mut policy.max_unavailable, &self.max_unavailable);
        text(&mut policy.max_failures, &self.max_failures);
        text(&mut policy.rollback_parallel, &self.rollback_parallel);
        text(&mut policy.max_unreachable, &self.max_unreachable);
        if !self.batches.is_empty() {
            policy.batches.clone_from(&self.batches);
        }
        over(&mut policy.promote, self.promote);
        over(&mut policy.order, self.order);
        over(&mut policy.on_failure, self.on_failure);
        over(&mut policy.rollback_scope, self.rollback_scope);
        over(&mut policy.on_unreachable, self.on_unreachable);
        over(&mut policy.pull_policy, self.pull_policy);
        over(&mut policy.anonymous_volumes, self.anonymous_volumes);
        over(&mut policy.dependents, self.dependents);
        over(&mut policy.stopped, self.stopped);
        let time = |value: &mut Option<prost_types::Duration>, flag: Option<Duration>| {
            *value = flag.map(duration::to_proto).or(*value);
        };
        time(&mut policy.delay, self.delay);
        time(&mut policy.bake, self.bake);
        time(&mut policy.min_healthy_time, self.min_healthy_time);
        time(&mut policy.monitor, self.monitor);
        time(&mut policy.healthy_deadline, self.healthy_deadline);
        time(&mut policy.pull_timeout, self.pull_timeout);
        time(&mut policy.stop_timeout, self.stop_timeout);
        time(&mut policy.progress_deadline, self.progress_deadline);
        time(&mut policy.keep_old_for, self.keep_old_for);
        policy.keep_old = self.keep_old.or(policy.keep_old);
        shell(&mut policy.drain, self.drain.as_deref());
        shell(&mut policy.verify, self.verify.as_deref());
        policy.strict |= self.strict;
        policy.assume_explicit |= self.assume_explicit;
        policy.pin_overlay_addresses |= self.pin_overlay_addresses;
        policy.share_volumes |= self.share_volumes;
        self.gate(policy);
    }

    fn gate(&self, policy: &mut RolloutPolicy) {
        if let Some(health) = self.health {
            // Parameters of the previous gate mean nothing to another gate.
            if policy.health != i32::from(health) {
                policy.probe = None;
            }
            policy.health = health.into();
        }
        let mut probe = policy.probe.take().unwrap_or_default();
        if let Some(port) = self.probe_port {
            probe.port = port.into();
        }
        if let Some(path) = &self.probe_path {
            probe.path.clone_from(path);
        }
        if let Some(status) = self.probe_status {
            probe.status = status;
        }
        if let Some(body) = &self.probe_body {
            probe.body.clone_from(body);
        }
        over(&mut probe.through, self.probe_through);
        shell(&mut probe.command, self.probe_command.as_deref());
        policy.probe = (probe != HealthProbe::default()).then_some(probe);
    }
}

fn over<E: Into<i32>>(value: &mut i32, flag: Option<E>) {
    if let Some(flag) = flag {
        *value = flag.into();
    }
}

fn shell(command: &mut Vec<String>, line: Option<&str>) {
    if let Some(line) = line {
        *command = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
    }
}

/// An enum value of the contract, by its name in files: `stop-first`.
trait Choice: TryFrom<i32> + Copy {
    fn name(self) -> &'static str;
}

macro_rules! choices {
    ($($choice:ident),* $(,)?) => {$(
        impl Choice for $choice {
            fn name(self) -> &'static str {
                self.as_str_name()
            }
        }
    )*};
}

choices! {
    AnonymousVolumes, Dependents, FailureAction, HealthGate, ProbeThrough, Promote, PullPolicy,
    RollbackScope, RolloutOrder, StoppedAction, UnreachableAction,
}

fn choice<E: Choice>(text: &str) -> Result<E, String> {
    let unset = E::try_from(0).map_or("", Choice::name);
    let prefix = unset.strip_suffix("UNSPECIFIED").unwrap_or_default();
    // The numbers of every enum are consecutive.
    let all = (1..).map_while(|number| E::try_from(number).ok());
    let named = |it: E| it.name().trim_start_matches(prefix).to_ascii_lowercase().replace('_', "-");
    let names: Vec<(String, E)> = all.map(|it| (named(it), it)).collect();
    let found = names.iter().find(|(name, _)| name == text).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
        format!("must be one of: {}", names.join(", "))
    })
}
