//! The stored state when a command for a rollout returns.

use wharf_server::rollout::model::{Control, Phase};
use wharf_server::rollout::spec::{Amount, Policy, Promote};

use crate::kill_sweep::simulate;
use crate::oracle::{ending, wrongs};
use crate::world::{Setting, World, policy, upgrade};

#[test]
fn a_promotion_returns_when_the_rollout_goes_on() {
    simulate(async {
        let mut world = World::new(&[Setting::default(), Setting::default()]).await;
        let canary = Some(Amount::Count(1));
        world.order(upgrade(), Policy { canary, promote: Promote::Manual, ..policy() }).await;
        world.settle().await;
        assert_eq!(ending(&world).phase, "Paused(Promotion)");
        world.boot().await;
        world.control(Control::Promote).await.expect("it waits for that");
        let phase = world.recorder.seen().phase().cloned();
        assert_eq!(
            phase,
            Some(Phase::Running { wave: 1 }),
            "whoever asks now sees what came of it"
        );

        world.settle().await;
        assert_eq!(wrongs(&world), Vec::<String>::new());
        assert_eq!(ending(&world).phase, "Succeeded");
    });
}
