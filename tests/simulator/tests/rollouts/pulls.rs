//! Problems found, and losses, while hosts pull images: before a container is touched.

use std::time::Duration;

use wharf_server::rollout::model::{HostEnd, HostEvent, Phase};
use wharf_server::rollout::spec::{Amount, Gate, OnUnreachable, Policy};
use wharf_simulator::{Fault, Operation, Plan};

use crate::kill_sweep::simulate;
use crate::oracle::{ending, wrongs};
use crate::world::{New, Setting, World, host, policy, upgrade};

/// Leaves hosts out that do not answer.
fn skips() -> Policy {
    let (on_unreachable, max_unreachable) = (OnUnreachable::Skip, Amount::Count(2));
    Policy { on_unreachable, max_unreachable, ..policy() }
}

/// Two hosts; so many calls of a kind on the second never get to it.
async fn losing(lossy: Operation, times: usize) -> World {
    let mut world = World::new(&[Setting::default(); 2]).await;
    world.order(upgrade(), skips()).await;
    let (second, mut lost) = (host(1), 0);
    world.watch().chaos = Some(Box::new(move |host, call| {
        let hits = *host == second && call.operation == lossy && lost < times;
        lost += usize::from(hits);
        hits.then(|| Plan { fault: Some(Fault::LoseRequest), ..Plan::default() })
    }));
    world.settle().await;
    world
}

/// The image; whether it is there; and what is there before the first step.
const ASKED: [Operation; 3] = [Operation::Pull, Operation::InspectImage, Operation::Inspect];

#[test]
fn a_call_that_is_lost_leaves_no_host_out() {
    for lossy in ASKED {
        simulate(async {
            let world = losing(lossy, 2).await;
            assert_eq!(wrongs(&world), Vec::<String>::new(), "{lossy:?}");
            let ending = ending(&world);
            assert_eq!(ending.phase, "Succeeded", "{lossy:?}");
            assert!(ending.hosts.values().all(|host| host.end == "Committed"), "{ending:?}");
        });
    }
}

/// Each pull goes on for longer than a host may be silent.
#[test]
fn pulls_whose_connection_breaks_after_a_while_are_begun_again() {
    simulate(async {
        let mut world = World::new(&[Setting::default()]).await;
        world.order(upgrade(), skips()).await;
        let mut breaks = 0;
        world.watch().chaos = Some(Box::new(move |_, call| {
            breaks += usize::from(call.operation == Operation::Pull);
            let hits = call.operation == Operation::Pull && breaks <= 3;
            let before = Duration::from_secs(60);
            hits.then(|| Plan { before, fault: Some(Fault::LoseRequest), ..Plan::default() })
        }));
        world.settle().await;
        assert_eq!(wrongs(&world), Vec::<String>::new());
        assert_eq!(ending(&world).phase, "Succeeded");
    });
}

#[test]
fn an_engine_that_is_started_again_during_a_pull_is_asked_again() {
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        simulate(async {
            let mut world = World::new(&[Setting::default()]).await;
            world.order(upgrade(), policy()).await;
            let mut crashes = 0;
            world.watch().chaos = Some(Box::new(move |_, call| {
                crashes += usize::from(call.operation == Operation::Pull);
                let hits = call.operation == Operation::Pull && crashes == 1;
                hits.then(|| Plan { fault: Some(fault.clone()), ..Plan::default() })
            }));
            world.settle().await;
            assert_eq!(wrongs(&world), Vec::<String>::new());
            assert_eq!(ending(&world).phase, "Succeeded");
        });
    }
}

#[test]
fn a_host_that_stays_silent_is_left_out() {
    for lossy in ASKED {
        simulate(async {
            let world = losing(lossy, usize::MAX).await;
            let ending = ending(&world);
            let ends: Vec<_> = ending.hosts.values().map(|host| host.end.as_str()).collect();
            let found = (ending.phase.as_str(), &ends[..]);
            assert_eq!(found, ("Failed", &["Committed", "Skipped"][..]), "{lossy:?}");
        });
    }
}

#[test]
fn a_missing_health_check_is_found_before_a_container_is_touched() {
    simulate(async {
        // The image has a health check for the machine of the second host only.
        let second = Setting { new: New::Unhealthy, ..Setting::default() };
        let mut world = World::new(&[Setting::default(), second]).await;
        world.order(upgrade(), Policy { gate: Gate::Docker, ..policy() }).await;
        world.settle().await;
        assert_eq!(wrongs(&world), Vec::<String>::new());
        let writes = world.watch().writes.clone();
        assert!(writes.iter().all(|write| write.operation == Operation::Pull), "{writes:#?}");
        let seen = world.recorder.seen();
        assert!(matches!(seen.phase(), Some(Phase::Paused { .. })), "{:?}", seen.phase());
        let state = seen.state.as_ref().expect("a rollout");
        let ends: Vec<_> = state.hosts.values().map(|host| host.end.clone()).collect();
        assert_eq!(ends, [Some(HostEnd::Unchanged), None]);
        let why = state.hosts[&host(0)].failure.as_ref().map(|it| it.trouble.reason.as_str());
        assert_eq!(why, Some("ROLLOUT_NO_HEALTH_CHECK"));
        let begun = |event: &HostEvent| matches!(event, HostEvent::Intent { .. });
        let steps = seen.records.iter().filter(|record| match &record.event {
            wharf_server::rollout::model::Event::Host { happened, .. } => begun(happened),
            _ => false,
        });
        assert_eq!(steps.count(), 0);
    });
}
