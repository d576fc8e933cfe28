//! What no plan takes on, and how that is told.

use std::time::Duration;

use uuid::Uuid;
use wharf_server::domain::{ContainerName, Reason};
use wharf_server::engine::ErrorKind;
use wharf_server::rollout::plan::Planned;
use wharf_server::rollout::requests::{Refusal, RolloutError};
use wharf_simulator::{Fault, MemoryJournal, Operation, When};

use crate::kill_sweep::simulate;
use crate::world::{Setting, World, policy, rollout_id, upgrade};

fn refusals(planned: Result<Planned, RolloutError>) -> Vec<Refusal> {
    match planned {
        Err(RolloutError::PlanRefused(refusals)) => refusals,
        Err(error) => panic!("{error}"),
        Ok(_) => Vec::new(),
    }
}

#[test]
fn a_host_that_fails_a_question_is_told_with_its_own_error() {
    simulate(async {
        let world = World::new(&[Setting::default(); 2]).await;
        for engine in world.engines.values() {
            let fault = Fault::Refuse(ErrorKind::Engine, 500, "boom".to_owned());
            engine.script().add(When::on(Operation::ListNetworks), fault);
        }
        let order = world.asked(upgrade(), policy());
        let refusals = refusals(world.planned(&world.recorder, &order).await);
        assert_eq!(refusals.len(), 2, "one for each host: {refusals:#?}");
        for Refusal { host, reason, message } in refusals {
            assert!(host.is_some() && reason == Reason::EngineError, "{reason:?}");
            assert!(message.contains("boom") && !message.contains("reachable,"), "{message}");
        }
    });
}

#[test]
fn a_name_that_leaves_no_room_for_those_of_a_rollout() {
    simulate(async {
        let world = World::new(&[Setting::default()]).await;
        let mut order = world.asked(upgrade(), policy());
        for (length, fits) in [(242, true), (243, false)] {
            order.spec.container = ContainerName::parse(&"n".repeat(length)).expect("a name");
            let refusals = refusals(world.planned(&world.recorder, &order).await);
            let too_long = refusals.iter().any(|it| it.message.contains("at most 242"));
            assert_eq!(too_long, !fits, "{length}: {refusals:#?}");
        }
    });
}

#[test]
fn a_container_that_a_wharfd_with_another_store_just_replaced() {
    simulate(async {
        let mut world = World::new(&[Setting::default()]).await;
        world.order(upgrade(), policy()).await;
        world.settle().await;
        let other = MemoryJournal::new(Uuid::from_u128(2));
        let mut order = world.asked(upgrade(), policy());
        order.id = rollout_id(5);
        let found = refusals(world.planned(&other, &order).await);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].reason, Reason::RolloutActive, "{found:#?}");
        assert!(found[0].message.contains("another wharfd"), "{found:#?}");
        let own = refusals(world.planned(&world.recorder, &order).await);
        assert!(own.iter().all(|it| it.reason != Reason::RolloutActive), "{own:#?}");
        tokio::time::sleep(Duration::from_secs(601)).await;
        assert_eq!(refusals(world.planned(&other, &order).await), []);
    });
}
