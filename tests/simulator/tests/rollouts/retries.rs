//! What a second attempt finds from the first one, and what both leave.

use wharf_server::domain::HostName;
use wharf_server::engine::ErrorKind;
use wharf_server::rollout::model::{Control, Millis};
use wharf_server::rollout::retention::RetainedContainers;
use wharf_simulator::{Fault, Operation, Plan};

use crate::kill_sweep::simulate;
use crate::oracle::{all_containers, ending, wrongs};
use crate::world::{Old, Setting, World, host, policy, upgrade};

/// The ID of the container that retention will remove, and of the one that is there to be.
fn kept(world: &World, name: &HostName) -> (Vec<String>, Vec<String>) {
    let mut retained = RetainedContainers::default();
    let seen = world.recorder.seen();
    retained.take_in(world.id, seen.state.as_ref().expect("a rollout"));
    let due = retained.due(Millis(u64::MAX)).remove(name).unwrap_or_default();
    let is_backup = |name: &str| name.contains(".old-");
    let there = all_containers(world, name).into_iter().filter(|it| is_backup(&it.name));
    (due.into_iter().map(|it| it.id).collect(), there.map(|it| it.id).collect())
}

/// The first start of the new container fails, and the way back is gone; then it is tried again.
fn tried_again(old: Old) {
    simulate(async {
        let mut world = World::new(&[Setting { old, ..Setting::default() }]).await;
        world.order(upgrade(), policy()).await;
        let mut failed = false;
        world.watch().chaos = Some(Box::new(move |_, call| {
            if failed || call.operation != Operation::Start {
                return None;
            }
            failed = true;
            let fault = Fault::Refuse(ErrorKind::Engine, 500, "no room".to_owned());
            Some(Plan { fault: Some(fault), ..Plan::default() })
        }));
        world.settle().await;
        assert_eq!(wrongs(&world), Vec::<String>::new(), "{old:?}");
        assert_eq!(ending(&world).phase, "Paused(Budget)");
        world.boot().await;
        world.control(Control::Resume { retry_failed: true }).await.expect("it can be resumed");
        world.settle().await;
        assert_eq!(wrongs(&world), Vec::<String>::new(), "{old:?}");
        assert_eq!(ending(&world).phase, "Succeeded");
        let (due, there) = kept(&world, &host(0));
        assert_eq!(there.len(), 1, "{old:?}");
        assert_eq!(due, there, "{old:?}");
    });
}

#[test]
fn the_old_container_of_a_second_attempt_is_known_to_retention() {
    tried_again(Old::Running);
}

#[test]
fn a_twin_that_took_its_place_after_the_first_is_known_to_retention() {
    tried_again(Old::AutoRemove);
}
