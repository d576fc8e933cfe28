//! Old containers that end while the rollout is at work on them: by themselves, by somebody's hand, or
//! with their Engine. Where the work fails, they run again at its end.

use wharf_server::domain::HostName;
use wharf_server::rollout::spec::{Dependents, Policy};
use wharf_simulator::{Call, Operation, Plan, SimEngine};

use crate::kill_sweep::{At, Scenario, simulate};
use crate::oracle::{ending, wrongs};
use crate::recorder::Side;
use crate::world::{Chaos, Cut, New, Setting, World, policy, start_first};

/// Ends the old container of every host just before the write of that number on it.
fn ends_old(world: &World, number: usize) -> Chaos {
    let mut writes = 0;
    killer(world, move |_, _| {
        writes += 1;
        writes == number + 1
    })
}

/// Ends the old container of a host before those of its writes that are chosen.
pub fn killer(
    world: &World,
    mut chosen: impl FnMut(&HostName, &Call) -> bool + Send + 'static,
) -> Chaos {
    let engines = world.engines.clone();
    let recorder = world.recorder.clone();
    Box::new(move |host, call| {
        // The host is at work on its containers, and looks once more after this.
        let at_work = call.operation.is_write()
            && !matches!(call.operation, Operation::Pull | Operation::Tag);
        if at_work && chosen(host, call) {
            let seen = recorder.seen();
            let plan = seen.state.as_ref().and_then(|state| state.plan.hosts.get(host));
            if let Some(old) = plan.and_then(|plan| plan.old.as_ref()) {
                end(&engines[host], &old.id);
            }
        }
        None::<Plan>
    })
}

/// As `docker kill` does; nothing where it does not run.
fn end(engine: &SimEngine, id: &str) {
    let _ = engine.host().with(|model, now| model.kill(now, id, None));
}

/// Runs it with the end of the old container before every write, and everything that is wrong.
fn swept(scenario: &Scenario) -> Vec<String> {
    let writes = simulate(async { scenario.run(None).await.watch().writes.len() });
    assert!(writes > 1, "{writes} writes");
    let run = |number| {
        simulate(async {
            let plant = |world: &World| world.watch().chaos = Some(ends_old(world, number));
            let world = scenario.run_with(None, plant).await;
            let wrongs = wrongs(&world);
            let what = &world.watch().writes[number];
            (!wrongs.is_empty()).then(|| format!("before {what:?}: {wrongs:#?}"))
        })
    };
    (0..writes).filter_map(run).collect()
}

fn fails(restart: &'static str, dependents: usize) -> Setting {
    Setting { new: New::Ends, restart, dependents, ..Setting::default() }
}

#[test]
fn an_old_container_that_ends_at_any_point_runs_again_where_the_new_one_fails() {
    for policy in [start_first(policy()), policy()] {
        let scenario = Scenario::of(fails("unless-stopped", 0), policy);
        assert_eq!(swept(&scenario), Vec::<String>::new(), "{:?}", scenario.policy.order);
    }
}

#[test]
fn an_old_container_with_dependents_that_ends_at_any_point_runs_again() {
    let policy = Policy { dependents: Dependents::Recreate, ..policy() };
    let scenario = Scenario::of(fails("unless-stopped", 1), policy);
    assert_eq!(swept(&scenario), Vec::<String>::new());
}

#[test]
fn an_old_container_that_ended_during_the_gate_is_restored_and_not_unchanged() {
    simulate(async {
        let scenario = Scenario::of(fails("unless-stopped", 0), start_first(policy()));
        let mut is_created = false;
        let plant = |world: &World| {
            let chosen = move |_: &HostName, call: &Call| {
                std::mem::replace(&mut is_created, call.operation == Operation::Create)
            };
            world.watch().chaos = Some(killer(world, chosen));
        };
        let world = scenario.run_with(None, plant).await;
        assert_eq!(wrongs(&world), Vec::<String>::new());
        let ending = ending(&world);
        assert!(ending.hosts.values().all(|host| host.end == "Restored"), "{ending:?}");
    });
}

/// No policy starts the old container when its Engine is back.
#[test]
fn an_old_container_that_ended_with_its_engine_runs_again() {
    let scenario = Scenario::of(fails("no", 0), start_first(policy()));
    let writes = simulate(async { scenario.run(None).await.watch().writes.len() });
    for number in 0..writes {
        for side in [Side::Before, Side::After] {
            simulate(async {
                let world = scenario.run(Some(At::Write(number, Cut::Crash(side)))).await;
                let what = world.watch().writes[number].clone();
                let is_pull = matches!(what.operation, Operation::Pull | Operation::Tag);
                // Before its turn a host is left as it is.
                if !is_pull {
                    assert_eq!(wrongs(&world), Vec::<String>::new(), "{side:?} {what:?}");
                }
            });
        }
    }
}
