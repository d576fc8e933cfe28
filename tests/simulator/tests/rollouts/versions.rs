//! Whole rollouts with every version of the Engine API, which differ in supported settings.

use std::time::Duration;

use wharf_server::rollout::spec::Policy;

use crate::kill_sweep::simulate;
use crate::oracle::{containers, ending, wrongs};
use crate::world::{Old, Setting, TARGET, World, host, policy, rolls_back, upgrade};

const VERSIONS: [u16; 9] = [41, 43, 44, 45, 47, 48, 51, 52, 55];

#[test]
fn a_container_in_the_default_bridge_and_another_network_stays_in_both() {
    for api in VERSIONS {
        for (old, policy) in [
            (Old::Running, policy()),
            (Old::AutoRemove, policy()),
            (Old::Stopped, policy()),
            (Old::AutoRemove, Policy { keep_old_for: Duration::ZERO, ..rolls_back(policy()) }),
        ] {
            simulate(async {
                let setting = Setting { old, second_network: true, api, ..Setting::default() };
                let mut world = World::new(&[setting]).await;
                world.order(upgrade(), policy).await;
                world.settle().await;
                assert_eq!(wrongs(&world), [""; 0], "1.{api} {old:?}");
                assert_eq!(ending(&world).phase, "Succeeded", "1.{api} {old:?}");
                for container in containers(&world, &host(0), TARGET) {
                    let networks: Vec<&str> =
                        container.endpoints.keys().map(String::as_str).collect();
                    assert_eq!(networks, ["back", "bridge"], "1.{api} {}", container.name);
                }
            });
        }
    }
}
