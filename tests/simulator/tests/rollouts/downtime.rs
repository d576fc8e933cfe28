//! The calls between the stop of the old container and the start of the new one, while nothing
//! answers.

use wharf_simulator::Operation;

use crate::kill_sweep::simulate;
use crate::oracle::{ending, wrongs};
use crate::world::{Setting, World, host, policy, upgrade};

#[test]
fn nothing_is_asked_while_nothing_answers() {
    simulate(async {
        let mut world = World::new(&[Setting::default()]).await;
        world.order(upgrade(), policy()).await;
        world.settle().await;
        assert_eq!(wrongs(&world), Vec::<String>::new());
        assert_eq!(ending(&world).phase, "Succeeded");
        let calls = world.engines[&host(0)].script().calls();
        let made: Vec<_> = calls.iter().map(|call| call.operation).collect();
        let place = |wanted| made.iter().rposition(|it| *it == wanted).expect("such a call");
        let between = &made[place(Operation::Stop) + 1..place(Operation::Start)];
        assert_eq!(between, [Operation::Update, Operation::Rename, Operation::Rename]);
    });
}
