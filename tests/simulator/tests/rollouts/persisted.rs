//! State that repeated kills of the process must not reset: the failure budget, the deadline of a
//! gate, that of progress, and the time of a pause.

use std::time::Duration;

use wharf_server::rollout::model::{Control, Event, HostEvent, Millis, PauseCause, Phase};
use wharf_server::rollout::spec::{Amount, Gate, Policy};

use crate::kill_sweep::{Scenario, simulate};
use crate::oracle::{Ending, ending, wrongs};
use crate::recorder::Forgets;
use crate::world::{New, Rest, Setting, World, host, policy, upgrade};

const SECOND: Duration = Duration::from_secs(1);

/// How much later than written down something may come.
pub fn restless() -> Duration {
    SECOND
}

/// Four hosts that all fail, one failure allowed.
pub fn budget(forgets: Option<Forgets>) -> Ending {
    let bad = Setting { new: New::Ends, ..Setting::default() };
    let mut scenario = Scenario::of(bad, Policy { max_failures: Amount::Count(1), ..policy() });
    scenario.settings = vec![bad; 4];
    simulate(async {
        let mut world = scenario.begin().await;
        world.recorder.seen().forgets = forgets;
        world.settle_restlessly(SECOND * 3 / 2, 40).await;
        if forgets.is_none() {
            assert!(world.kills > 4, "{} kills", world.kills);
            assert_eq!(wrongs(&world), Vec::<String>::new());
        }
        ending(&world)
    })
}

#[test]
fn failures_count_on_after_a_kill() {
    let ending = budget(None);
    assert_eq!(ending.phase, "Paused(Budget)");
    let ends: Vec<_> = ending.hosts.values().map(|host| host.end.as_str()).collect();
    assert_eq!(ends, ["Restored", "Restored", "none", "none"]);
}

const GATE: Duration = Duration::from_secs(60);

/// One host whose gate never lets it pass.
pub async fn gate(forgets: Option<Forgets>) -> World {
    let never = Gate::Exec { command: vec!["false".to_owned()] };
    let policy = Policy { gate: never, healthy_deadline: GATE, ..policy() };
    let mut world = Scenario::of(Setting::default(), policy).begin().await;
    world.recorder.seen().forgets = forgets;
    world.settle_restlessly(Duration::from_secs(7), 20).await;
    world
}

#[test]
fn the_deadline_of_a_gate_stands_through_kills() {
    simulate(async {
        let world = gate(None).await;
        assert_eq!(wrongs(&world), Vec::<String>::new());
        assert!(world.kills > 7, "{} kills", world.kills);
        let began = at(&world, |event| is_host(event, |it| matches!(it, HostEvent::Gate { .. })));
        let failed =
            at(&world, |event| is_host(event, |it| matches!(it, HostEvent::Failed { .. })));
        let took = failed.since(began);
        assert!(took >= GATE && took < GATE + restless(), "{took:?}");
    });
}

const PROGRESS: Duration = Duration::from_secs(120);

/// A host that never answers.
async fn silent() -> World {
    let mut world = World::new(&[Setting::default()]).await;
    let policy = Policy { progress_deadline: PROGRESS, ..policy() };
    world.order(upgrade(), policy).await;
    world.engines[&host(0)].host().set_unreachable(true);
    world
}

/// How long it takes until the rollout pauses for want of progress.
pub fn progress(forgets: Option<Forgets>) -> Duration {
    simulate(async {
        let mut world = silent().await;
        world.recorder.seen().forgets = forgets;
        world.settle_restlessly(Duration::from_secs(13), 20).await;
        paused(&world, PauseCause::Progress).since(created(&world))
    })
}

#[test]
fn the_deadline_of_progress_stands_through_kills() {
    let took = progress(None);
    assert!(took >= PROGRESS && took < PROGRESS + restless(), "{took:?}");
}

#[test]
fn a_pause_freezes_the_deadline_of_progress_through_kills() {
    simulate(async {
        let mut world = silent().await;
        world.boot().await;
        assert_eq!(world.rest(SECOND * 50).await, Rest::TimeUp);
        world.control(Control::Pause).await.expect("it pauses");
        let frozen = SECOND * 500;
        for _ in 0..5 {
            assert_eq!(world.rest(SECOND * 100).await, Rest::Quiet);
            tokio::time::sleep(SECOND * 100).await;
            world.kill().await;
            world.boot().await;
        }
        world.control(Control::Resume { retry_failed: false }).await.expect("it goes on");
        world.settle_restlessly(Duration::from_secs(13), 20).await;
        let took = paused(&world, PauseCause::Progress).since(created(&world));
        let expected = PROGRESS + frozen;
        assert!(took >= expected && took < expected + restless(), "{took:?}");
    });
}

fn is_host(event: &Event, is: impl Fn(&HostEvent) -> bool) -> bool {
    matches!(event, Event::Host { happened, .. } if is(happened))
}

fn paused(world: &World, why: PauseCause) -> Millis {
    at(
        world,
        |event| matches!(event, Event::Phase { to: Phase::Paused { cause, .. }, .. } if *cause == why),
    )
}

fn created(world: &World) -> Millis {
    at(world, |event| matches!(event, Event::Created { .. }))
}

/// When the first such record was written.
fn at(world: &World, is: impl Fn(&Event) -> bool) -> Millis {
    let seen = world.recorder.seen();
    seen.records.iter().find(|record| is(&record.event)).expect("such a record").at
}
