//! A rollout without an image and with pull policy always uses the image that the name now points
//! to.

use wharf_server::rollout::spec::{Change, Policy, PullWhen};
use wharf_simulator::Operation;

use crate::kill_sweep::simulate;
use crate::oracle::{containers, ending, wrongs};
use crate::world::{Setting, TARGET, World, host, policy};

/// A restart with this policy; whether each host ended on another image, and pulled.
async fn restart(pull: PullWhen) -> (Vec<bool>, usize) {
    let mut world = World::new(&[Setting::default(); 2]).await;
    let image = |world: &World, number: usize| {
        let found = containers(world, &host(number), TARGET);
        let web = found.into_iter().find(|it| it.name == TARGET).expect("the target");
        (web.id, web.image_id)
    };
    let before: Vec<_> = (0..2).map(|number| image(&world, number)).collect();
    world.order(Change::default(), Policy { pull, ..policy() }).await;
    world.settle().await;
    assert_eq!(wrongs(&world), [""; 0]);
    assert_eq!(ending(&world).phase, "Succeeded");
    let moved = before.iter().enumerate().map(|(number, (old_id, old_image))| {
        let (id, image_id) = image(&world, number);
        assert_ne!(id, *old_id, "it is another container");
        image_id != *old_image
    });
    let moved = moved.collect();
    let pulls = world.watch().writes.iter().filter(|it| it.operation == Operation::Pull).count();
    (moved, pulls)
}

#[test]
fn a_restart_that_always_pulls_takes_the_newer_image() {
    simulate(async {
        assert_eq!(restart(PullWhen::Always).await, (vec![true, true], 2));
        assert_eq!(restart(PullWhen::Missing).await, (vec![false, false], 0));
    });
}
