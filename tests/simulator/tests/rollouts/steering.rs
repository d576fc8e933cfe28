//! What is stored when a call that steers a rollout returns.

use std::time::Duration;

use wharf_server::rollout::model::Control;
use wharf_server::rollout::spec::{Amount, Policy, Promote};

use crate::kill_sweep::simulate;
use crate::oracle::{ending, wrongs};
use crate::tap::Side;
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
        // The first append is the promotion itself, the second the phase that follows.
        let appends = world.tap.seen().appends;
        world.tap.cut(appends + 1, Side::Before);
        let promoted =
            tokio::time::timeout(Duration::from_secs(60), world.control(Control::Promote)).await;
        assert!(promoted.is_err(), "whoever asks now would see it wait still: {promoted:?}");

        // Stored it is, and the next process goes on by itself.
        world.kill().await;
        world.boot().await;
        world.control(Control::Resume { retry_failed: false }).await.expect("it goes on");
        world.settle().await;
        assert_eq!(wrongs(&world), Vec::<String>::new());
        assert_eq!(ending(&world).phase, "Succeeded");
    });
}
