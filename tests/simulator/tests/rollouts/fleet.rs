//! Two hundred hosts, twenty at once, one in twenty of them failing, in every way there is.

use std::collections::BTreeMap;
use std::time::Duration;

use wharf_server::engine::ErrorKind;
use wharf_server::rollout::spec::{Amount, OnFailure, OnUnreachable, Policy};
use wharf_simulator::{Call, Fault, Operation, Plan};

use crate::kill_sweep::simulate;
use crate::oracle::{Ending, ending, wrongs};
use crate::world::{New, Setting, World, host, policy, upgrade};

const HOSTS: usize = 200;

/// How a host fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The new container does.
    New(New),
    /// The Engine refuses this call.
    Refuses(Operation),
    /// It does not answer once the rollout is planned.
    Silent,
}

fn fails(number: usize) -> bool {
    number % 20 == 7
}

fn run(way: Way, change: impl FnOnce(Policy) -> Policy) -> Ending {
    simulate(async {
        let settings: Vec<_> = (0..HOSTS)
            .map(|number| match way {
                Way::New(new) if fails(number) => Setting { new, ..Setting::default() },
                _ => Setting::default(),
            })
            .collect();
        let mut world = World::new(&settings).await;
        let policy = Policy { max_parallel: Amount::Count(20), ..policy() };
        world.order(upgrade(), change(policy)).await;
        let failing: Vec<_> = (0..HOSTS).filter(|number| fails(*number)).map(host).collect();
        match way {
            Way::New(_) => {}
            Way::Silent => {
                for name in &failing {
                    world.engines[name].host().set_unreachable(true);
                }
            }
            Way::Refuses(operation) => {
                world.watch().chaos = Some(Box::new(move |host, call: &Call| {
                    let refused = failing.contains(host) && call.operation == operation;
                    let text = "no space left on device".to_owned();
                    refused.then(|| Plan {
                        fault: Some(Fault::Refuse(ErrorKind::Engine, 500, text)),
                        ..Plan::default()
                    })
                }));
            }
        }
        world.settle().await;
        for engine in world.engines.values() {
            engine.host().set_unreachable(false);
        }
        assert_eq!(wrongs(&world), Vec::<String>::new(), "{way:?}");
        ending(&world)
    })
}

/// How many hosts ended how.
fn count(ending: &Ending) -> BTreeMap<&str, usize> {
    let mut count = BTreeMap::new();
    for host in ending.hosts.values() {
        *count.entry(host.end.as_str()).or_default() += 1;
    }
    count
}

fn goes_on(policy: Policy) -> Policy {
    Policy { on_failure: OnFailure::Continue, ..policy }
}

#[test]
fn bad_containers_are_restored_and_the_others_go_on() {
    for new in [New::Ends, New::NoStart, New::Slow] {
        let ending = run(Way::New(new), goes_on);
        assert_eq!(ending.phase, "Failed");
        assert_eq!(count(&ending), [("Committed", 190), ("Restored", 10)].into(), "{new:?}");
    }
}

#[test]
fn engines_that_refuse_are_left_as_they_were() {
    for operation in [Operation::Create, Operation::Pull] {
        let ending = run(Way::Refuses(operation), goes_on);
        assert_eq!(ending.phase, "Failed");
        assert_eq!(count(&ending), [("Committed", 190), ("Unchanged", 10)].into(), "{operation:?}");
    }
}

#[test]
fn hosts_that_do_not_answer_are_left_out() {
    let skips = |policy| Policy {
        on_unreachable: OnUnreachable::Skip,
        max_unreachable: Amount::Percent(5),
        ..policy
    };
    let ending = run(Way::Silent, skips);
    assert_eq!(count(&ending), [("Committed", 190), ("Skipped", 10)].into());
    let few = |policy| Policy { max_unreachable: Amount::Count(9), ..skips(policy) };
    assert_eq!(run(Way::Silent, few).phase, "Paused(Unreachable)");
    let waits = |policy| Policy { progress_deadline: Duration::from_secs(120), ..policy };
    assert_eq!(run(Way::Silent, waits).phase, "Paused(Progress)");
}

#[test]
fn a_budget_pauses_aborts_or_rolls_back() {
    let budget = |on_failure, budget| {
        move |policy| Policy { on_failure, max_failures: Amount::Count(budget), ..policy }
    };
    let enough = run(Way::New(New::Ends), budget(OnFailure::Pause, 10));
    assert_eq!(count(&enough), [("Committed", 190), ("Restored", 10)].into());
    let paused = run(Way::New(New::Ends), budget(OnFailure::Pause, 4));
    assert_eq!((paused.phase.as_str(), count(&paused)["Restored"]), ("Paused(Budget)", 5));
    let aborted = run(Way::New(New::Ends), budget(OnFailure::Abort, 2));
    assert_eq!((aborted.phase.as_str(), count(&aborted)["Restored"]), ("Aborted", 3));
    let back = run(Way::New(New::Ends), budget(OnFailure::Rollback, 2));
    assert_eq!((back.phase.as_str(), count(&back)["Restored"]), ("RolledBack", 3));
    assert!(!count(&back).contains_key("Committed"), "{:?}", count(&back));
    assert!(count(&back)["RolledBack"] > 20, "{:?}", count(&back));
}
