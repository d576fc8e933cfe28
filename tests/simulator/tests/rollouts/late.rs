//! Late responses, and what they prove.

use std::time::Duration;

use tokio::time::Instant;
use wharf_server::rollout::spec::{Gate, Policy};
use wharf_simulator::{Operation, Plan};

use crate::kill_sweep::simulate;
use crate::oracle::{ending, wrongs};
use crate::world::{New, Setting, World, policy, upgrade};

/// Where the new container stands once, as of a look that was answered only after it had ended.
#[test]
fn a_late_answer_passes_no_gate() {
    simulate(async {
        let mut world = World::new(&[Setting { new: New::Ends, ..Setting::default() }]).await;
        let gate = Policy { gate: Gate::Running, monitor: Duration::ZERO, ..policy() };
        world.order(upgrade(), gate).await;
        let (mut started, mut late) = (None, false);
        world.watch().chaos = Some(Box::new(move |_, call| {
            if call.operation == Operation::Start {
                started = Some(Instant::now());
            }
            let runs = started.is_some_and(|at| at.elapsed() > Duration::from_millis(400));
            let is_the_one = runs && !late && call.operation == Operation::Inspect;
            late |= is_the_one;
            let after = if is_the_one { Duration::from_secs(20) } else { Duration::ZERO };
            Some(Plan { before: Duration::ZERO, after, fault: None })
        }));
        world.settle().await;
        assert_eq!(wrongs(&world), Vec::<String>::new());
        assert_eq!(ending(&world).phase, "Paused(Budget)");
    });
}
