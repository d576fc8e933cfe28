//! Two hundred hosts, twenty at a time, one in twenty of which fails, in every possible way.

use std::collections::BTreeMap;
use std::time::Duration;

use wharf_server::engine::ErrorKind;
use wharf_server::rollout::spec::{Amount, OnFailure, OnUnreachable, Policy};
use wharf_simulator::{Call, Fault, Operation, Plan};

use crate::kill_sweep::simulate;
use crate::oracle::{Ending, ending, wrongs};
use crate::world::{New, Setting, World, host, policy, upgrade};

const HOSTS: usize = 200;

/// How a host fails, or makes trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The new container does.
    New(New),
    /// The new container ends and is started again, and again.
    CrashLoop,
    /// The Engine refuses this call.
    Refuses(Operation),
    /// It does not answer once the rollout is planned.
    Silent,
    /// The first such call is never answered, and does nothing.
    Hangs(Operation),
    /// Every answer to a first write of its kind is lost.
    LosesAnswers,
}

/// One for each host that fails.
const EVERY_WAY: [Way; HOSTS / 20] = [
    Way::Refuses(Operation::Pull),
    Way::Refuses(Operation::Create),
    Way::New(New::NoStart),
    Way::New(New::Dies),
    Way::New(New::Slow),
    Way::New(New::Unhealthy),
    Way::CrashLoop,
    Way::Silent,
    Way::Hangs(Operation::Stop),
    Way::LosesAnswers,
];

fn way_of(ways: &[Way], number: usize) -> Option<Way> {
    (number % 20 == 7).then(|| ways[number / 20 % ways.len()])
}

fn run(ways: &[Way], change: impl FnOnce(Policy) -> Policy) -> Ending {
    simulate(async {
        let setting = |number| match way_of(ways, number) {
            Some(Way::New(new)) => Setting { new, ..Setting::default() },
            Some(Way::CrashLoop) => {
                Setting { new: New::Dies, restart: "always", ..Setting::default() }
            }
            _ => Setting::default(),
        };
        let settings: Vec<_> = (0..HOSTS).map(setting).collect();
        let mut world = World::new(&settings).await;
        let policy = Policy { max_parallel: Amount::Count(20), ..policy() };
        world.order(upgrade(), change(policy)).await;
        let mut failing = BTreeMap::new();
        for number in 0..HOSTS {
            let Some(way) = way_of(ways, number) else { continue };
            if way == Way::Silent {
                world.engines[&host(number)].host().set_unreachable(true);
            }
            failing.insert(host(number), way);
        }
        let mut met = Vec::new();
        world.watch().chaos = Some(Box::new(move |host, call: &Call| {
            let mut first = || {
                let this = (host.clone(), call.operation);
                let first = call.operation.is_write() && !met.contains(&this);
                met.push(this);
                first
            };
            let fault = match failing.get(host)? {
                Way::Refuses(operation) if call.operation == *operation => {
                    let text = "no space left on device".to_owned();
                    Fault::Refuse(ErrorKind::Engine, 500, text)
                }
                // As one that hangs, and gives up before a person would.
                Way::Hangs(operation) if call.operation == *operation && first() => {
                    let before = Duration::from_secs(3600);
                    return Some(Plan { before, ..Plan::default() });
                }
                // A host whose pull is lost is one that does not answer.
                Way::LosesAnswers if call.operation != Operation::Pull && first() => {
                    Fault::LoseAnswer
                }
                _ => return None,
            };
            Some(Plan { fault: Some(fault), ..Plan::default() })
        }));
        world.settle().await;
        for engine in world.engines.values() {
            engine.host().set_unreachable(false);
        }
        assert_eq!(wrongs(&world), Vec::<String>::new(), "{ways:?}");
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

fn skips(policy: Policy) -> Policy {
    Policy {
        on_unreachable: OnUnreachable::Skip,
        max_unreachable: Amount::Percent(5),
        ..goes_on(policy)
    }
}

#[test]
fn in_every_way_and_the_others_go_on() {
    let ending = run(&EVERY_WAY, skips);
    assert_eq!(ending.phase, "Failed");
    let expected = [("Committed", 192), ("Restored", 5), ("Unchanged", 2), ("Skipped", 1)];
    assert_eq!(count(&ending), expected.into());
    let of = |way: Way| {
        let number = EVERY_WAY.iter().position(|it| *it == way).expect("a way") * 20 + 7;
        ending.hosts[&host(number)].end.as_str()
    };
    assert_eq!(of(Way::Refuses(Operation::Create)), "Unchanged");
    assert_eq!(of(Way::CrashLoop), "Restored");
    assert_eq!(of(Way::Hangs(Operation::Stop)), "Committed");
}

#[test]
fn in_every_way_within_the_budget() {
    // Seven fail; one that does not answer is no failure but left out.
    let policy = |policy| Policy {
        on_failure: OnFailure::Rollback,
        max_failures: Amount::Count(7),
        ..skips(policy)
    };
    let ending = run(&EVERY_WAY, policy);
    assert_eq!((ending.phase.as_str(), count(&ending)["Committed"]), ("Failed", 192));
}

#[test]
fn hosts_that_do_not_answer_are_left_out() {
    let few = |policy| Policy { max_unreachable: Amount::Count(9), ..skips(policy) };
    assert_eq!(run(&[Way::Silent], few).phase, "Paused(Unreachable)");
    let waits = |policy| Policy { progress_deadline: Duration::from_secs(120), ..policy };
    assert_eq!(run(&[Way::Silent], waits).phase, "Paused(Progress)");
}

#[test]
fn a_budget_pauses_aborts_or_rolls_back() {
    let budget = |on_failure, budget| {
        move |policy| Policy { on_failure, max_failures: Amount::Count(budget), ..policy }
    };
    let ends = [Way::New(New::Ends)];
    let paused = run(&ends, budget(OnFailure::Pause, 4));
    assert_eq!((paused.phase.as_str(), count(&paused)["Restored"]), ("Paused(Budget)", 5));
    let aborted = run(&ends, budget(OnFailure::Abort, 2));
    assert_eq!((aborted.phase.as_str(), count(&aborted)["Restored"]), ("Aborted", 3));
    let back = run(&ends, budget(OnFailure::Rollback, 2));
    assert_eq!((back.phase.as_str(), count(&back)["Restored"]), ("RolledBack", 3));
    assert!(!count(&back).contains_key("Committed"), "{:?}", count(&back));
    assert!(count(&back)["RolledBack"] > 20, "{:?}", count(&back));
}
