//! Images that come from one host of the fleet, and from no registry.

use std::time::Duration;

use wharf_server::domain::{HostName, Reason};
use wharf_server::rollout::model::{Control, HostEnd, PauseCause, Phase};
use wharf_server::rollout::plan::Planned;
use wharf_server::rollout::requests::{Refusal, RolloutError};
use wharf_simulator::model::ImageContent;
use wharf_simulator::{Fault, Operation, Plan};

use crate::kill_sweep::simulate;
use crate::oracle::{ending, wrongs};
use crate::world::{New, REGISTRY, Setting, World, from_first, host, policy};

/// So many hosts, the first of which has the new image; and its ID.
async fn world(hosts: usize) -> (World, String) {
    let mut world = World::new(&vec![Setting::default(); hosts]).await;
    let id = world.give(&host(0));
    world.order(from_first(), policy()).await;
    (world, id)
}

/// How often a host was asked for this.
fn calls(world: &World, host: &HostName, operation: Operation) -> usize {
    let calls = world.engines[host].script().calls();
    calls.iter().filter(|call| call.operation == operation).count()
}

/// Each host runs this image, and none asked the registry.
fn check(world: &World, id: &str) {
    assert_eq!(wrongs(world), Vec::<String>::new());
    let ending = ending(world);
    assert_eq!(ending.phase, "Succeeded", "{ending:?}");
    for name in ending.hosts.keys() {
        let engine = &world.engines[name];
        let image = engine
            .host()
            .with(|model, _| model.container("web").map(|container| container.image_id.clone()));
        assert_eq!(image.as_deref(), Some(id), "{name}");
        for operation in [Operation::Pull, Operation::Distribution] {
            assert_eq!(calls(world, name, operation), 0, "{name} {operation:?}");
        }
    }
}

/// A fault of the source, for so many calls of a kind.
fn fails(world: &World, operation: Operation, times: usize, plan: &Plan) {
    let (mut hits, plan) = (0, plan.clone());
    world.watch().chaos = Some(Box::new(move |on, call| {
        let is_hit = *on == host(0) && call.operation == operation && hits < times;
        hits += usize::from(is_hit);
        is_hit.then(|| plan.clone())
    }));
}

fn lost() -> Plan {
    Plan { fault: Some(Fault::LoseRequest), ..Plan::default() }
}

#[test]
fn every_host_gets_the_image_with_one_read_of_its_source() {
    simulate(async {
        let (mut world, id) = world(4).await;
        world.settle().await;
        check(&world, &id);
        assert_eq!(calls(&world, &host(0), Operation::SaveImages), 1);
        let loads = |number| calls(&world, &host(number), Operation::LoadImages);
        assert_eq!([loads(0), loads(1), loads(2), loads(3)], [0, 1, 1, 1]);
    });
}

#[test]
fn hosts_that_have_the_image_need_no_source() {
    simulate(async {
        let mut world = World::new(&[Setting::default(); 2]).await;
        let id = world.give(&host(0));
        world.give(&host(1));
        world.order(from_first(), policy()).await;
        fails(&world, Operation::InspectImage, usize::MAX, &lost());
        // Only the source's own container asks it, and finds no answer.
        world.boot().await;
        world.rest(Duration::from_secs(30)).await;
        let state = world.recorder.seen().state.clone().expect("a rollout");
        let pulled = state.hosts[&host(1)].pulled.as_ref().map(|it| it.image_id.clone());
        assert_eq!(pulled, Some(id.clone()));
        world.watch().chaos = None;
        world.settle().await;
        check(&world, &id);
    });
}

#[test]
fn the_image_is_that_of_the_plan_although_its_name_moves_on_the_source() {
    simulate(async {
        // The source is no host of the rollout: it would give its image the name again.
        let mut world = World::new(&[Setting::default(); 2]).await;
        let id = world.give(&host(0));
        world.order_without(&host(0), from_first(), policy()).await;
        let other = ImageContent::builder("v2 of somebody else").build();
        world.engines[&host(0)]
            .host()
            .with(|model, _| model.load(&format!("{REGISTRY}/app:v2"), &other));
        world.settle().await;
        check(&world, &id);
    });
}

#[test]
fn a_source_that_is_away_for_a_while_is_waited_for() {
    simulate(async {
        let (mut world, id) = world(2).await;
        world.boot().await;
        world.engines[&host(0)].host().set_unreachable(true);
        world.rest(Duration::from_secs(60)).await;
        world.kill().await;
        world.boot().await;
        world.rest(Duration::from_secs(30)).await;
        world.engines[&host(0)].host().set_unreachable(false);
        world.settle().await;
        check(&world, &id);
    });
}

#[test]
fn a_source_that_breaks_off_is_read_again() {
    simulate(async {
        let (mut world, id) = world(3).await;
        let late = Plan { before: Duration::from_secs(60), ..lost() };
        fails(&world, Operation::SaveImages, 3, &late);
        world.settle().await;
        check(&world, &id);
        assert_eq!(calls(&world, &host(0), Operation::SaveImages), 4);
    });
}

#[test]
fn a_source_that_stays_away_fails_the_host_until_somebody_retries() {
    simulate(async {
        let (mut world, id) = world(2).await;
        fails(&world, Operation::SaveImages, usize::MAX, &lost());
        world.settle().await;
        let state = world.recorder.seen().state.clone().expect("a rollout");
        let paused = matches!(state.phase, Phase::Paused { cause: PauseCause::Budget, .. });
        assert!(paused, "{:?}", state.phase);
        let failed = &state.hosts[&host(1)];
        assert_eq!(failed.end, Some(HostEnd::Unchanged));
        let trouble = failed.failure.as_ref().map(|it| it.trouble.clone()).expect("why");
        assert_eq!(trouble.reason, Reason::HostConnectionLost, "{trouble:?}");
        for part in ["does not come from h000", "resume --retry-failed"] {
            assert!(trouble.message.contains(part), "{trouble:?}");
        }
        let writes = world.watch().writes.clone();
        assert!(writes.iter().all(|it| it.operation == Operation::LoadImages), "{writes:#?}");
        world.watch().chaos = None;
        world.boot().await;
        let resumed = world.control(Control::Resume { retry_failed: true }).await;
        resumed.expect("it is resumed");
        world.settle().await;
        check(&world, &id);
    });
}

#[test]
fn a_source_that_lost_the_image_fails_the_host_at_once() {
    simulate(async {
        let (mut world, id) = world(2).await;
        let removed = world.engines[&host(0)].host().with(|model, _| model.remove_image(&id, true));
        removed.expect("it is removed");
        world.settle().await;
        let state = world.recorder.seen().state.clone().expect("a rollout");
        let trouble = state.hosts[&host(1)].failure.as_ref().map(|it| it.trouble.clone());
        let trouble = trouble.expect("why");
        assert_eq!(trouble.reason, Reason::ImageNotFound, "{trouble:?}");
        assert!(trouble.message.starts_with("h000 no longer has the image"), "{trouble:?}");
    });
}

#[test]
fn a_target_that_is_lost_while_it_loads_is_asked_again() {
    for fault in [Fault::LoseRequest, Fault::LoseAnswer, Fault::CrashBefore, Fault::CrashAfter] {
        simulate(async {
            let (mut world, id) = world(2).await;
            let mut hits = 0;
            world.watch().chaos = Some(Box::new(move |_, call| {
                let is_hit = call.operation == Operation::LoadImages && hits == 0;
                hits += usize::from(is_hit);
                is_hit.then(|| Plan { fault: Some(fault.clone()), ..Plan::default() })
            }));
            world.settle().await;
            check(&world, &id);
        });
    }
}

#[test]
fn an_undo_needs_no_registry() {
    simulate(async {
        let (mut world, id) = world(2).await;
        world.settle().await;
        check(&world, &id);
        world.order_undo(policy()).await;
        world.settle().await;
        assert_eq!(wrongs(&world), Vec::<String>::new());
        assert_eq!(ending(&world).phase, "Succeeded");
        let pulls = world.engines.keys().map(|name| calls(&world, name, Operation::Pull));
        assert_eq!(pulls.sum::<usize>(), 0);
    });
}

async fn refusals(world: &World) -> Vec<Refusal> {
    let order = world.asked(from_first(), policy());
    match world.planned(&world.recorder, &order).await {
        Err(RolloutError::PlanRefused(refusals)) => refusals,
        Err(error) => panic!("{error}"),
        Ok(Planned { plan, .. }) => panic!("{plan:?}"),
    }
}

#[test]
fn a_plan_without_the_image_on_its_source_is_refused() {
    simulate(async {
        let world = World::new(&[Setting::default(); 2]).await;
        let found = refusals(&world).await;
        let [Refusal { host: Some(source), reason, message }] = &found[..] else {
            panic!("{found:#?}");
        };
        assert_eq!((source, reason), (&host(0), &Reason::ImageNotFound));
        assert!(message.starts_with("it does not have r.sim/app:v2"), "{message}");
    });
}

#[test]
fn a_plan_whose_source_does_not_answer_is_refused() {
    simulate(async {
        let world = World::new(&[Setting::default(); 2]).await;
        world.give(&host(0));
        world.engines[&host(0)].host().set_unreachable(true);
        let found = refusals(&world).await;
        assert_eq!((found.len(), found[0].host.clone()), (1, Some(host(0))), "{found:#?}");
        assert_eq!(found[0].reason, Reason::HostUnreachable);
        assert!(found[0].message.contains("is to come from this host"), "{found:#?}");
    });
}

#[test]
fn a_plan_for_hosts_of_another_platform_is_refused() {
    simulate(async {
        let foreign = Setting { new: New::Ends, ..Setting::default() };
        let world = World::new(&[Setting::default(), foreign]).await;
        world.give(&host(0));
        let found = refusals(&world).await;
        assert_eq!((found.len(), found[0].host.clone()), (1, Some(host(1))), "{found:#?}");
        assert_eq!(found[0].reason, Reason::ImagePlatform);
        assert_eq!(calls(&world, &host(1), Operation::LoadImages), 0);
    });
}
