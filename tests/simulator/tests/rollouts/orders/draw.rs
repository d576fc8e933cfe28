//! Derives a run from a seed: the state of the hosts, the orders and their times, and the faults.

use std::time::Duration;

use wharf::v1;
use wharf_server::domain::HostName;
use wharf_server::engine::ErrorKind;
use wharf_server::rollout::model::Control;
use wharf_simulator::{Call, Fault, Operation, Plan};

use super::caller::{Order, OrderKind, Patience};
use super::rare::Rare;
use super::server::MOST_HOSTS;
use crate::seeds::Random;
use crate::world::{New, Old, Setting, host};

/// What happens to the server or to a host while rollouts are under way.
#[derive(Debug, Clone)]
pub enum Action {
    /// The server is killed, and begins again after a while.
    Kill(Duration),
    /// The server is killed so long after a rollout has come to this, if one does.
    KillIn(Rare, Duration),
    /// The server is killed around the append after so many.
    KillAtAppend(u64),
    Freeze(Duration),
    CutOff(HostName, Duration),
    DiskFull(Duration),
    /// Of the rollout with this number among those that are open.
    Control(usize, Control),
}

pub fn settings(random: &mut Random) -> Vec<Setting> {
    let count = 1 + random.below(MOST_HOSTS as u64);
    // Where all is good but one, what went well is taken back.
    let bad = if random.one_in(2) { count - 1 - random.below(count) / 2 } else { count };
    let setting = |random: &mut Random, number: u64| {
        let old = random.pick(&[
            Old::Running,
            Old::Running,
            Old::Running,
            Old::Running,
            Old::Running,
            Old::Running,
            Old::Running,
            Old::Stopped,
            Old::Exited,
            Old::Crashed,
            Old::Restarting,
            Old::Paused,
            Old::Dead,
            Old::AutoRemove,
        ]);
        let bad_one = random.pick(&[New::Ends, New::NoStart, New::Slow]);
        // What ends and removes itself leaves nothing to look at.
        let is_bad = number == bad && old != Old::AutoRemove;
        let new = if is_bad { bad_one } else { New::Good };
        // An Engine that starts again starts what a person stopped, if its policy is `always`.
        let restart = match old {
            Old::Exited => "unless-stopped",
            _ => random.pick(&["unless-stopped", "always"]),
        };
        Setting { old, new, restart, ..Setting::default() }
    };
    (0..count).map(|number| setting(random, number)).collect()
}

pub fn policy(random: &mut Random) -> v1::RolloutPolicy {
    let seconds = |seconds: u64| {
        let seconds = i64::try_from(seconds).expect("few seconds");
        Some(prost_types::Duration { seconds, nanos: 0 })
    };
    let health = random.pick(&[
        v1::HealthGate::Auto,
        v1::HealthGate::Auto,
        v1::HealthGate::Running,
        v1::HealthGate::None,
    ]);
    let on_failure = random.pick(&[
        v1::FailureAction::Pause,
        v1::FailureAction::Rollback,
        v1::FailureAction::Rollback,
        v1::FailureAction::Rollback,
        v1::FailureAction::Continue,
        v1::FailureAction::Abort,
    ]);
    let on_unreachable = random.pick(&[
        v1::UnreachableAction::Wait,
        v1::UnreachableAction::Skip,
        v1::UnreachableAction::Fail,
    ]);
    let stopped = random.pick(&[
        v1::StoppedAction::Start,
        v1::StoppedAction::Start,
        v1::StoppedAction::Start,
        v1::StoppedAction::Keep,
        v1::StoppedAction::Skip,
        v1::StoppedAction::Refuse,
    ]);
    let order = random.pick(&[v1::RolloutOrder::StopFirst, v1::RolloutOrder::Auto]);
    v1::RolloutPolicy {
        max_parallel: random.pick(&["1", "2", "50%"]).to_owned(),
        canary: random.pick(&["0", "0", "1"]).to_owned(),
        order: order.into(),
        delay: seconds(random.below(3)),
        bake: seconds(random.pick(&[0, 0, 7])),
        health: health.into(),
        min_healthy_time: seconds(random.pick(&[1, 4])),
        monitor: seconds(random.below(3)),
        healthy_deadline: seconds(60),
        max_failures: random.pick(&["0", "0", "0", "1"]).to_owned(),
        on_failure: on_failure.into(),
        rollback_scope: random.pick(&[v1::RollbackScope::All, v1::RollbackScope::Failed]).into(),
        on_unreachable: on_unreachable.into(),
        max_unreachable: "1".to_owned(),
        pull_policy: random.pick(&[v1::PullPolicy::Missing, v1::PullPolicy::Always]).into(),
        stopped: stopped.into(),
        ..Default::default()
    }
}

/// The orders of a run. The first goes to every host; the others meet it.
pub fn orders(random: &mut Random, hosts: usize) -> Vec<Order> {
    let count = 2 + usize::try_from(random.below(3)).unwrap_or(0);
    // All at nearly the same moment, in the midst of each other, or one after the other.
    let spread = random.pick(&[5, 400, 15_000, 15_000, 60_000]);
    (0..count)
        .map(|number| {
            let all: Vec<HostName> = (0..hosts).map(host).collect();
            let some = if number == 0 || random.one_in(2) { all } else { vec![random.pick(&all)] };
            let kind = match random.below(8) {
                0 | 1 if number > 0 => OrderKind::Undo(0),
                2 | 3 if number > 0 => OrderKind::Image("v3", some, Box::new(policy(random))),
                _ => OrderKind::Image("v2", some, Box::new(policy(random))),
            };
            let at = if number == 0 { random.below(5) } else { random.below(spread) };
            let tries = random.pick(&[0, 0, 1, 1, 2, 3]);
            let patience = (0..tries).map(|_| match random.below(3) {
                0 => Patience::Polls(1 + u32::try_from(random.below(9)).unwrap_or(0)),
                1 => Patience::Time(Duration::from_millis(random.below(30))),
                _ => Patience::Time(Duration::from_millis(random.below(900))),
            });
            let patience = patience.collect();
            let longest_pause = random.pick(&[1, 50, 3_000]);
            Order {
                number,
                kind,
                at: Duration::from_millis(at),
                patience,
                pause: Duration::from_millis(random.below(longest_pause)),
                insists: random.pick(&[0, 0, 2, 60]),
            }
        })
        .collect()
}

/// What happens, and how long after what was before.
pub fn actions(random: &mut Random, hosts: usize) -> Vec<(Duration, Action)> {
    (0..random.below(9))
        .map(|_| {
            let action = match random.below(14) {
                0 | 1 => Action::Kill(Duration::from_millis(random.below(4_000))),
                2 | 12 | 13 => {
                    let moment = random.pick(&[
                        Rare::KilledInTheGate,
                        Rare::KilledWhileRestoring,
                        Rare::KilledWhileRollingBack,
                        Rare::KilledWhileRollingBack,
                    ]);
                    Action::KillIn(moment, Duration::from_millis(random.below(900)))
                }
                3 | 4 => Action::KillAtAppend(random.below(25)),
                5 => Action::Freeze(Duration::from_millis(random.below(40_000))),
                6 => {
                    let away = host(usize::try_from(random.below(hosts as u64)).unwrap_or(0));
                    Action::CutOff(away, Duration::from_millis(random.below(90_000)))
                }
                7 => Action::DiskFull(Duration::from_millis(random.below(25_000))),
                8 | 9 => Action::Control(0, Control::Pause),
                10 => Action::Control(1, Control::Resume { retry_failed: random.one_in(2) }),
                _ => Action::Control(0, Control::Abort),
            };
            let longest = random.pick(&[100, 2_000, 9_000]);
            (Duration::from_millis(random.below(longest)), action)
        })
        .collect()
}

/// Faults of Engines, at most a few a run.
pub fn chaos(
    mut random: Random,
    crashes: bool,
) -> impl FnMut(&HostName, &Call) -> Option<Plan> + Send + 'static {
    let rare = random.pick(&[30, 100, 100_000]);
    let mut left = random.below(6);
    let jitter = random.pick(&[1, 40, 300]);
    move |_, call| {
        let jitter = Duration::from_millis(random.below(jitter));
        let mut plan = Plan { before: jitter, after: jitter / 2, fault: None };
        if left == 0 || !random.one_in(rare) {
            return Some(plan);
        }
        left -= 1;
        let late = Duration::from_secs(random.below(40));
        plan.fault = match random.below(if crashes { 8 } else { 6 }) {
            0 => Some(Fault::LoseAnswer),
            1 => Some(Fault::LoseRequest),
            2 => Some(Fault::Unreachable),
            3 => {
                plan.before = late;
                None
            }
            4 => {
                plan.after = late;
                None
            }
            5 if matches!(call.operation, Operation::Create | Operation::Pull) => {
                Some(Fault::Refuse(ErrorKind::Engine, 500, "no space left on device".to_owned()))
            }
            5 => None,
            6 => Some(Fault::CrashBefore),
            _ => Some(Fault::CrashAfter),
        };
        Some(plan)
    }
}
