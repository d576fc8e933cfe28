//! Bugs that are planted, to show that the rest of these tests would find them.

use wharf_server::rollout::spec::{Policy, Stopped};
use wharf_simulator::Operation;

use crate::faulty_engine::{Bug, FaultyEngine, Names};
use crate::kill_sweep::{At, Scenario, simulate};
use crate::oracle::{ending, wrongs};
use crate::persisted::{budget, gate, progress, restless};
use crate::recorder::{Forgets, Side};
use crate::world::{Cut, New, Old, Setting, World, policy, rolls_back};

fn upgrade(new: New) -> Scenario {
    Scenario::of(Setting { new, restart: "always", ..Setting::default() }, policy())
}

fn plant(world: &World, bug: Bug) {
    let names = Names::default();
    world.wrap(std::sync::Arc::new(move |inner| {
        std::sync::Arc::new(FaultyEngine { inner, bug, names: names.clone() })
    }));
}

/// The number of the last write of a kind.
fn number_of(scenario: &Scenario, operation: Operation) -> usize {
    simulate(async {
        let world = scenario.run(None).await;
        let writes = &world.watch().writes;
        writes.iter().rposition(|write| write.operation == operation).expect("such a write")
    })
}

#[test]
fn acting_before_the_journal_is_found() {
    let scenario = upgrade(New::Ends);
    // The old container has its policy back and does not run yet.
    let unfence = number_of(&scenario, Operation::Update);
    simulate(async {
        let at = At::Write(unfence, Cut::Kill(Side::After));
        let world = scenario.run_with(Some(at), |world| world.recorder.seen().drops_intents = true);
        let world = world.await;
        let wrongs = wrongs(&world);
        assert!(wrongs.iter().any(|wrong| wrong.contains("the journal says None")), "{wrongs:#?}");
        // It does no harm any longer: an old container that is down is started on the way back, whoever
        // stopped it.
        let harm = wrongs.iter().any(|wrong| !wrong.contains("the journal says None"));
        assert!(!harm, "{wrongs:#?}");
    });
}

async fn simulated_end(scenario: &Scenario) -> crate::oracle::Ending {
    ending(&scenario.run(None).await)
}

#[test]
fn acting_by_name_is_found() {
    simulate(async {
        let world = upgrade(New::Good).run_with(None, |world| plant(world, Bug::ByName)).await;
        let wrongs = wrongs(&world);
        let found = |what: &str| wrongs.iter().any(|wrong| wrong.contains(what));
        assert!(found("not by its full ID"), "{wrongs:#?}");
        // And what it comes to: it acts on what has the name by then.
        let harm = wrongs.iter().any(|wrong| !wrong.contains("not by its full ID"));
        assert!(harm || ending(&world) != simulated_end(&upgrade(New::Good)).await, "{wrongs:#?}");
    });
}

#[test]
fn repeating_without_a_look_is_found() {
    let scenario = upgrade(New::Good);
    let create = number_of(&scenario, Operation::Create);
    simulate(async {
        let at = At::Write(create, Cut::Kill(Side::After));
        let world = scenario.run_with(Some(at), |world| plant(world, Bug::NoLook)).await;
        let expected = simulated_end(&scenario).await;
        assert!(!wrongs(&world).is_empty() || ending(&world) != expected);
    });
}

#[test]
fn forgetting_the_budget_is_found() {
    let expected = budget(None);
    assert_ne!(budget(Some(Forgets::Failures)), expected);
}

#[test]
fn forgetting_the_deadline_of_a_gate_is_found() {
    simulate(async {
        let world = gate(Some(Forgets::GateDeadlines)).await;
        let wrongs = wrongs(&world);
        assert!(wrongs.iter().any(|wrong| wrong.contains("was set twice")), "{wrongs:#?}");
    });
}

#[test]
fn forgetting_how_long_there_was_no_progress_is_found() {
    let kept = progress(None);
    let forgotten = progress(Some(Forgets::Progress));
    assert!(forgotten > kept + restless(), "{kept:?}, {forgotten:?}");
}

#[test]
fn leaving_the_old_one_its_restart_policy_is_found() {
    simulate(async {
        let world = upgrade(New::Good).run_with(None, |world| plant(world, Bug::NoFence)).await;
        let wrongs = wrongs(&world);
        assert!(wrongs.iter().any(|wrong| wrong.contains("the backup restarts")), "{wrongs:#?}");
    });
}

#[test]
fn starting_what_did_not_run_is_found() {
    let stopped = Setting { old: Old::Stopped, ..Setting::default() };
    let policy = Policy { stopped: Stopped::Keep, ..rolls_back(policy()) };
    let mut scenario = Scenario::of(stopped, policy);
    scenario.settings.push(Setting { new: New::Ends, ..Setting::default() });
    simulate(async {
        let world = scenario.run_with(None, |world| plant(world, Bug::StartsAll)).await;
        let wrongs = wrongs(&world);
        let found = |what: &str| wrongs.iter().any(|wrong| wrong.contains(what));
        assert!(found("Start"), "{wrongs:#?}");
        // And what it comes to.
        assert!(found("container is running"), "{wrongs:#?}");
    });
}

#[test]
fn a_container_that_lost_its_network_is_never_called_good() {
    simulate(async {
        let scenario = upgrade(New::Good);
        let world = scenario.run_with(None, |world| plant(world, Bug::LosesNetworks)).await;
        // Nothing stopped for it: what is missing is seen as soon as it is created.
        let stops =
            world.watch().writes.iter().filter(|it| it.operation == Operation::Stop).count();
        assert_eq!(stops, 0);
        let ending = ending(&world);
        assert!(ending.hosts.values().all(|host| host.failed), "{ending:?}");
        assert_eq!(wrongs(&world), [""; 0]);
    });
}

/// No host is silent that was not asked.
#[test]
fn a_question_that_cannot_be_asked_is_no_silence() {
    simulate(async {
        let scenario = upgrade(New::Good);
        let world = scenario.run_with(None, |world| plant(world, Bug::LongNames)).await;
        assert_eq!(wrongs(&world), [""; 0]);
        let ending = ending(&world);
        assert_eq!(ending.phase, "Paused(Budget)");
        assert!(ending.hosts.values().all(|host| host.end == "Unchanged"), "{ending:?}");
        let seen = world.recorder.seen();
        let state = seen.state.as_ref().expect("a rollout");
        let reason = |host: &wharf_server::rollout::state::HostState| {
            host.failure.as_ref().map(|failure| failure.trouble.reason.as_str())
        };
        assert!(state.hosts.values().all(|it| reason(it) == Some("ENGINE_BAD_REQUEST")));
    });
}
