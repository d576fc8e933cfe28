//! The process is killed, and the Engine crashes, before and after the effect of every write to an
//! Engine; the process is also killed around every append to the journal. Each run must end as if
//! nothing had happened.

use std::future::Future;

use wharf_server::rollout::spec::{Change, Dependents, Policy, Stopped};

use crate::oracle::{Ending, ending, wrongs};
use crate::recorder::Side;
use crate::world::{
    Cut, New, Old, Setting, World, from_first, policy, rolls_back, start_first, upgrade, whole,
};

#[derive(Clone)]
pub struct Scenario {
    pub settings: Vec<Setting>,
    pub change: Change,
    pub policy: Policy,
    /// The rollout is done without a fault, and its undo is swept.
    pub undo: bool,
}

#[derive(Debug, Clone, Copy)]
pub enum At {
    Write(usize, Cut),
    Append(usize, Side),
}

impl Scenario {
    pub fn of(setting: Setting, policy: Policy) -> Self {
        let change = if setting.old == Old::Missing { whole() } else { upgrade() };
        Self { settings: vec![setting], change, policy, undo: false }
    }

    pub async fn begin(&self) -> World {
        let mut world = World::new(&self.settings).await;
        if let Some(source) = &self.change.image_from {
            world.give(source);
        }
        world.order(self.change.clone(), self.policy.clone()).await;
        if self.undo {
            world.settle().await;
            assert_eq!(wrongs(&world), Vec::<String>::new());
            world.order_undo(self.policy.clone()).await;
            world.watch().writes.clear();
        }
        world
    }

    pub async fn run(&self, at: Option<At>) -> World {
        self.run_with(at, |_| ()).await
    }

    /// With a planted bug.
    pub async fn run_with(&self, at: Option<At>, plant: impl FnOnce(&World)) -> World {
        let mut world = self.begin().await;
        plant(&world);
        match at {
            Some(At::Write(number, cut)) => world.cut(number, cut),
            Some(At::Append(number, side)) => world.recorder.cut(number, side),
            None => {}
        }
        world.settle().await;
        world
    }

    /// Runs it with every cut; the number of writes and appends, and how it ends.
    fn sweep(&self) -> Ending {
        let (writes, appends, expected) = simulate(async {
            let world = self.run(None).await;
            assert_eq!(wrongs(&world), Vec::<String>::new(), "without any fault");
            let appends = world.recorder.seen().appends;
            let writes = world.watch().writes.len();
            (writes, appends, ending(&world))
        });
        assert!(writes > 1 && appends > 3, "{writes} writes, {appends} appends");
        let mut points = Vec::new();
        for side in [Side::Before, Side::After] {
            for cut in [Cut::Kill(side), Cut::Crash(side), Cut::Lose(side)] {
                points.extend((0..writes).map(|number| At::Write(number, cut)));
            }
            points.extend((0..appends).map(|number| At::Append(number, side)));
        }
        let failed: Vec<String> = points
            .into_iter()
            .filter_map(|at| {
                simulate(async {
                    let world = self.run(Some(at)).await;
                    let mut wrongs = wrongs(&world);
                    let found = ending(&world);
                    if self.engine_forgets(at) {
                        wrongs.retain(|wrong| !wrong.contains("the old container is gone"));
                    } else if found != expected {
                        wrongs.push(format!("ended {found:?}"));
                    }
                    let what = match at {
                        At::Write(number, _) => format!("{:?}", world.watch().writes[number]),
                        At::Append(..) => String::new(),
                    };
                    (!wrongs.is_empty()).then(|| format!("{at:?} {what}: {wrongs:#?}"))
                })
            })
            .collect();
        assert!(failed.is_empty(), "expected {expected:?}; {}", failed.join("\n"));
        expected
    }

    /// An Engine that starts removes every container with auto-remove, whoever made it, and so
    /// the old one before there is a twin, and the candidate: the way back is a good end then.
    fn engine_forgets(&self, at: At) -> bool {
        matches!(at, At::Write(_, Cut::Crash(_)))
            && self.settings.iter().any(|setting| setting.old == Old::AutoRemove)
    }

    fn ends(&self, phase: &str, end: &str) {
        let ending = self.sweep();
        assert_eq!(ending.phase, phase);
        assert!(ending.hosts.values().all(|host| host.end == end), "{ending:?}");
    }
}

/// Runs in a paused clock of its own.
pub fn simulate<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    crate::world::new_time();
    runtime.block_on(run)
}

fn setting(old: Old, new: New) -> Setting {
    Setting { old, new, ..Setting::default() }
}

#[test]
fn stop_first_forward() {
    Scenario::of(setting(Old::Running, New::Good), policy()).ends("Succeeded", "Committed");
}

/// The first host builds the image, which goes to the second one.
#[test]
fn an_image_from_a_host_forward() {
    let mut scenario = Scenario::of(setting(Old::Running, New::Good), policy());
    scenario.settings.push(setting(Old::Running, New::Good));
    scenario.change = from_first();
    scenario.ends("Succeeded", "Committed");
}

#[test]
fn stop_first_restored() {
    Scenario::of(setting(Old::Running, New::Ends), policy()).ends("Paused(Budget)", "Restored");
}

#[test]
fn stop_first_that_does_not_start_is_restored() {
    Scenario::of(setting(Old::Running, New::NoStart), policy()).ends("Paused(Budget)", "Restored");
}

#[test]
fn a_stopped_container_stays_stopped() {
    let keep = Policy { stopped: Stopped::Keep, ..policy() };
    Scenario::of(setting(Old::Stopped, New::Good), keep).ends("Succeeded", "Committed");
}

#[test]
fn a_stopped_container_is_started_on_its_new_version() {
    Scenario::of(setting(Old::Stopped, New::Good), policy()).ends("Succeeded", "Committed");
}

#[test]
fn a_stopped_container_is_stopped_again_where_the_new_one_fails() {
    Scenario::of(setting(Old::Stopped, New::Ends), policy()).ends("Paused(Budget)", "Restored");
}

#[test]
fn a_container_with_the_policy_always() {
    let always = Setting { restart: "always", ..Setting::default() };
    Scenario::of(always, policy()).ends("Succeeded", "Committed");
    let ends = Setting { new: New::Slow, ..always };
    Scenario::of(ends, policy()).ends("Paused(Budget)", "Restored");
}

#[test]
fn start_first_forward() {
    let scenario = Scenario::of(setting(Old::Running, New::Good), start_first(policy()));
    scenario.ends("Succeeded", "Committed");
}

#[test]
fn start_first_restored() {
    let scenario = Scenario::of(setting(Old::Running, New::Ends), start_first(policy()));
    scenario.ends("Paused(Budget)", "Unchanged");
}

#[test]
fn a_second_network() {
    let connects = Setting { second_network: true, ..Setting::default() };
    Scenario::of(connects, policy()).ends("Succeeded", "Committed");
}

#[test]
fn hooks() {
    let run = || Some(vec!["true".to_owned()]);
    let policy = Policy { drain: run(), verify: run(), ..policy() };
    Scenario::of(setting(Old::Running, New::Good), policy).ends("Succeeded", "Committed");
}

#[test]
fn create_forward() {
    Scenario::of(setting(Old::Missing, New::Good), policy()).ends("Succeeded", "Committed");
}

#[test]
fn create_restored() {
    Scenario::of(setting(Old::Missing, New::Ends), policy()).ends("Paused(Budget)", "Restored");
}

#[test]
fn auto_remove_forward() {
    Scenario::of(setting(Old::AutoRemove, New::Good), policy()).ends("Succeeded", "Committed");
}

#[test]
fn auto_remove_restored() {
    Scenario::of(setting(Old::AutoRemove, New::Ends), policy()).ends("Paused(Budget)", "Restored");
}

fn rolled_back(old: Old, policy: Policy) {
    let mut scenario = Scenario::of(setting(old, New::Good), rolls_back(policy));
    scenario.settings.push(setting(old, New::Ends));
    let ending = scenario.sweep();
    assert_eq!(ending.phase, "RolledBack");
    let first = ending.hosts.values().next().map(|host| host.end.as_str());
    assert_eq!(first, Some("RolledBack"), "{ending:?}");
}

#[test]
fn rollback() {
    rolled_back(Old::Running, policy());
}

#[test]
fn rollback_of_start_first() {
    rolled_back(Old::Running, start_first(policy()));
}

#[test]
fn rollback_with_a_twin() {
    rolled_back(Old::AutoRemove, policy());
}

#[test]
fn rollback_of_what_was_created() {
    rolled_back(Old::Missing, policy());
}

#[test]
fn undo_from_the_retained_container() {
    let mut scenario = Scenario::of(setting(Old::Running, New::Good), policy());
    scenario.undo = true;
    scenario.ends("Succeeded", "Committed");
}

#[test]
fn bake() {
    let bake = Policy { bake: std::time::Duration::from_secs(4), ..policy() };
    Scenario::of(setting(Old::Running, New::Good), bake).ends("Succeeded", "Committed");
}

/// Containers depend on the target and are recreated with it.
fn with_dependents(setting: Setting, policy: Policy) -> Scenario {
    let policy = Policy { dependents: Dependents::Recreate, ..policy };
    Scenario::of(setting, policy)
}

/// One in its network, one with its volumes.
fn family(old: Old, new: New) -> Setting {
    Setting { dependents: 2, ..setting(old, new) }
}

/// One in its network.
fn only_child() -> Setting {
    Setting { dependents: 1, ..Setting::default() }
}

#[test]
fn dependents_forward() {
    let always = Setting { restart: "always", ..family(Old::Running, New::Good) };
    with_dependents(always, policy()).ends("Succeeded", "Committed");
}

#[test]
fn dependents_restored() {
    let scenario = with_dependents(family(Old::Running, New::Ends), policy());
    scenario.ends("Paused(Budget)", "Restored");
}

#[test]
fn dependents_of_a_stopped_container() {
    with_dependents(family(Old::Stopped, New::Good), policy()).ends("Succeeded", "Committed");
}

#[test]
fn dependents_while_a_wave_bakes() {
    let bake = Policy { bake: std::time::Duration::from_secs(4), ..policy() };
    with_dependents(only_child(), bake).ends("Succeeded", "Committed");
}

#[test]
fn dependents_rolled_back() {
    let mut scenario = with_dependents(only_child(), rolls_back(policy()));
    scenario.settings.push(setting(Old::Running, New::Dies));
    let ending = scenario.sweep();
    assert_eq!(ending.phase, "RolledBack");
    let first = ending.hosts.values().next().map(|host| host.end.as_str());
    assert_eq!(first, Some("RolledBack"), "{ending:?}");
}

#[test]
fn dependents_undone() {
    let mut scenario = with_dependents(only_child(), policy());
    scenario.undo = true;
    scenario.ends("Succeeded", "Committed");
}
