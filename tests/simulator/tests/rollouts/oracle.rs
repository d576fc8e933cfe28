//! The conditions at the end of every run, and the values by which two runs are compared.

use std::collections::BTreeMap;

use wharf_server::domain::{ContainerName, HostName};
use wharf_server::rollout::model::Names;
use wharf_server::rollout::model::{Event, HostEnd, HostEvent, HostPlan, Record, TargetKind, Work};
use wharf_server::rollout::spec::Gate;
use wharf_server::rollout::state::RolloutState;
use wharf_simulator::Operation;
use wharf_simulator::model::Container;

use crate::world::{Hangs, New, Old, SECOND_NETWORK, TARGET, World, hangs, rollout_id};

/// How a run ended, without what a crash may change: IDs and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub phase: String,
    pub hosts: BTreeMap<HostName, HostEnding>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEnding {
    pub end: String,
    pub failed: bool,
    pub attempt: u32,
    pub containers: Vec<(String, String, bool, String)>,
}

/// The ending of a run that is at rest.
pub fn ending(world: &World) -> Ending {
    let seen = world.recorder.seen();
    let state = seen.state.as_ref().expect("a rollout");
    let hosts = state.hosts.iter().map(|(name, host)| {
        let containers = all_containers(world, name).iter().map(of_container).collect();
        let end = host.end.as_ref().map_or_else(|| "none".to_owned(), kind);
        let ending = HostEnding { end, failed: host.failed, attempt: host.attempt, containers };
        (name.clone(), ending)
    });
    Ending { phase: phase(state), hosts: hosts.collect() }
}

/// Everything that is wrong with a run that is at rest; empty where nothing is.
pub fn wrongs(world: &World) -> Vec<String> {
    let mut wrongs = world.watch().errors.clone();
    let seen = world.recorder.seen();
    wrongs.extend(seen.errors.iter().cloned());
    let state = seen.state.as_ref().expect("a rollout");
    match RolloutState::replay(&seen.records) {
        Ok(replayed) if replayed == *state => {}
        Ok(_) => wrongs.push("the fold of the journal is not the state".to_owned()),
        Err(error) => wrongs.push(format!("the journal does not fold: {error}")),
    }
    wrongs.extend(begun_anew(&seen.records));
    let names = Names::of(&state.plan.container, world.id);
    for (name, plan) in &state.plan.hosts {
        let found = containers(world, name, TARGET);
        let known = &state.hosts[name];
        let gate = &state.policy.gate;
        let host = HostView { world, name, names: &names, plan, found: &found, gate };
        let mut say = |what: String| wrongs.push(format!("{name}: {what}"));
        match &known.end {
            Some(HostEnd::Committed) => host.on_new(known.progress.new_id.as_deref(), &mut say),
            Some(HostEnd::NeedsAttention { trouble }) => {
                host.nothing_lost(&mut say);
                say(format!("needs attention: {}", trouble.message));
            }
            end => {
                host.on_old(&mut say);
                if *end == Some(HostEnd::Unchanged) && known.attempt <= 1 && host.was_started() {
                    say("it ended as unchanged and its old container was started".to_owned());
                }
            }
        }
        let neighbour = world.engines[name].host().with(|model, _| {
            model.container("web2").is_some_and(|it| it.state.status.has_process())
        });
        if !neighbour {
            say("the neighbour was touched".to_owned());
        }
        let hanging = world.settings[name].dependents;
        if plan.old.is_some() && plan.dependents.len() != hanging {
            let planned = plan.dependents.len();
            wrongs.push(format!("{name}: {planned} dependents are planned and not {hanging}"));
        }
        for (number, dependent) in plan.dependents.iter().enumerate() {
            let names = Names::of(&dependent.name, world.id);
            let found = containers(world, name, dependent.name.as_str());
            let new_id = known.dependents.get(&number).and_then(|it| it.progress.new_id.clone());
            let host =
                HostView { world, name, names: &names, plan: &dependent.plan, found: &found, gate };
            let mut say = |what: String| wrongs.push(format!("{name}: {}: {what}", dependent.name));
            match &known.end {
                Some(HostEnd::Committed) => host.on_new(new_id.as_deref(), &mut say),
                Some(HostEnd::NeedsAttention { .. }) => host.nothing_lost(&mut say),
                _ => host.on_old(&mut say),
            }
            // A target that nobody found to be bad is started again when it ends.
            let restarts = known.end == Some(HostEnd::Committed) && host.may_be_down();
            let targets = containers(world, name, TARGET);
            let name = dependent.name.as_str();
            hangs_together(&targets, &found, name, hangs(number), restarts, &mut say);
        }
    }
    wrongs
}

struct HostView<'a> {
    world: &'a World,
    name: &'a HostName,
    names: &'a Names,
    plan: &'a HostPlan,
    found: &'a [Container],
    gate: &'a Gate,
}

impl HostView<'_> {
    fn by_name(&self, name: &str) -> Option<&Container> {
        self.found.iter().find(|container| container.name == name)
    }

    fn on_new(&self, new_id: Option<&str>, say: &mut dyn FnMut(String)) {
        self.no_leftovers(say);
        let adopted = match &self.plan.kind {
            TargetKind::Adopt { id, .. } => Some(id.as_str()),
            _ => None,
        };
        let Some(new) = self.by_name(&self.names.target) else {
            // It ended after its commit, and removed itself.
            let removes_itself = self.plan.old.as_ref().is_some_and(|old| old.auto_remove);
            if !(removes_itself && self.may_be_down()) {
                say("nothing has the name".to_owned());
            }
            return;
        };
        if Some(new.id.as_str()) != adopted.or(new_id) {
            say(format!("the name belongs to {} and not to the new one", &new.id[..12]));
        }
        if new.state.status.has_process() != self.plan.start && !self.may_be_down() {
            say(format!("the new container is {}", new.state.status.as_str()));
        }
        let Some(old) = &self.plan.old else {
            if self.found.len() != 1 {
                say(format!("{} containers where one was created", self.found.len()));
            }
            return;
        };
        let second = new.endpoints.contains_key(SECOND_NETWORK);
        let is_target = self.names.target == TARGET;
        if is_target && second != self.world.settings[self.name].second_network {
            say("the new container has other networks".to_owned());
        }
        let policy = match &self.plan.kind {
            TargetKind::Adopt { restart, .. } => restart,
            _ => &old.restart,
        };
        if plain(new.restart_policy()) != plain(&policy.name) {
            say(format!("the new container restarts {}", new.restart_policy()));
        }
        let Some(backup) = self.by_name(&self.names.backup) else {
            return say("there is no backup".to_owned());
        };
        if !(old.auto_remove && old.running) && backup.id != old.id {
            say("the backup is not the old container".to_owned());
        }
        if backup.state.status.counts_as_running() {
            say("the backup runs".to_owned());
        }
        if plain(backup.restart_policy()) != "no" {
            say(format!("the backup restarts {}", backup.restart_policy()));
        }
        let others: Vec<_> = self
            .found
            .iter()
            .filter(|other| other.id != new.id && other.id != backup.id && !self.is_kept(other))
            .map(|other| other.name.as_str())
            .collect();
        if !others.is_empty() {
            say(format!("containers too many: {}", others.join(", ")));
        }
    }

    /// Whether it is the backup of the rollout that this one undoes. The sweeper removes it in
    /// time; no driver does.
    fn is_kept(&self, container: &Container) -> bool {
        let target = ContainerName::parse(&self.names.target).expect("a name");
        let first = Names::of(&target, rollout_id(0)).backup;
        self.world.id != rollout_id(0)
            && container.name == first
            && !container.state.status.counts_as_running()
    }

    /// Whether no gate of the policy had to find out that the new image is bad.
    fn may_be_down(&self) -> bool {
        match self.world.settings[self.name].new {
            New::Good => false,
            New::Slow => true,
            New::Ends | New::NoStart | New::Dies | New::Unhealthy => *self.gate == Gate::None,
        }
    }

    fn on_old(&self, say: &mut dyn FnMut(String)) {
        self.no_leftovers(say);
        let Some(old) = &self.plan.old else {
            if self.world.settings[self.name].old == Old::Missing && !self.found.is_empty() {
                say("something is there where nothing was".to_owned());
            }
            return;
        };
        let Some(standing) = self.by_name(&self.names.target) else {
            return say("nothing has the name".to_owned());
        };
        let vanishes = old.auto_remove && old.running;
        if standing.id != old.id && !vanishes {
            say("the name does not belong to the old container".to_owned());
        }
        if standing.state.status.has_process() != old.running {
            say(format!("the old container is {}", standing.state.status.as_str()));
        }
        if plain(standing.restart_policy()) != plain(&old.restart.name) {
            say(format!("the old container restarts {}", standing.restart_policy()));
        }
        let before = &self.world.before[self.name];
        let expected = before.iter().filter(|name| is_of(name, &self.names.target)).count();
        if self.found.len() != expected {
            say(format!("{} containers and not {expected}", self.found.len()));
        }
    }

    /// Whether the first rollout of the world started the old container.
    fn was_started(&self) -> bool {
        let Some(old) = self.plan.old.as_ref().filter(|_| self.world.id == rollout_id(0)) else {
            return false;
        };
        self.world.watch().writes.iter().any(|write| {
            write.host == *self.name
                && write.operation == Operation::Start
                && write.subject == old.id
        })
    }

    fn no_leftovers(&self, say: &mut dyn FnMut(String)) {
        for name in [&self.names.candidate, &self.names.reject] {
            if self.by_name(name).is_some() {
                say(format!("{name} is left"));
            }
        }
    }

    fn nothing_lost(&self, say: &mut dyn FnMut(String)) {
        let Some(old) = &self.plan.old else { return };
        let vanishes = old.auto_remove && old.running;
        if !vanishes && !self.found.iter().any(|container| container.id == old.id) {
            say("the old container is lost".to_owned());
        }
    }
}

/// What depends on a container must do so on the one that has the name, and in a network have started
/// after it.
fn hangs_together(
    targets: &[Container],
    dependents: &[Container],
    name: &str,
    hangs: Hangs,
    restarts: bool,
    say: &mut dyn FnMut(String),
) {
    let target = targets.iter().find(|container| container.name == TARGET);
    let dependent = dependents.iter().find(|container| container.name == name);
    let (Some(target), Some(dependent)) = (target, dependent) else { return };
    if hangs == Hangs::OnVolumes {
        let data = |container: &Container| {
            let mount = container.mounts.iter().find(|mount| mount.destination == "/data");
            mount.map(|mount| mount.name.clone())
        };
        if data(target).is_none() || data(dependent) != data(target) {
            say(format!("it has the volume {:?} of {:?}", data(dependent), data(target)));
        }
        return;
    }
    if dependent.network_mode() != format!("container:{}", target.id) {
        say(format!("it hangs on {}", dependent.network_mode()));
    }
    let running = |container: &Container| container.state.status.has_process();
    let older = dependent.state.started_at < target.state.started_at;
    if running(target) && running(dependent) && older && !restarts {
        say("it runs in the network of a container that has been started since".to_owned());
    }
}

/// What a crash must not start again: attempts, and the deadline of a gate.
fn begun_anew(records: &[Record]) -> Vec<String> {
    let mut wrongs = Vec::new();
    let mut gates: BTreeMap<&HostName, u32> = BTreeMap::new();
    let mut at_work: BTreeMap<&HostName, Work> = BTreeMap::new();
    for record in records {
        let Event::Host { host, happened } = &record.event else { continue };
        match happened {
            HostEvent::Begun { work, .. } => {
                if at_work.insert(host, *work).is_some() {
                    wrongs.push(format!("{host}: work was begun twice"));
                }
                gates.insert(host, 0);
            }
            HostEvent::Gate { .. } => {
                let count = gates.entry(host).or_default();
                *count += 1;
                if *count > 1 {
                    wrongs.push(format!("{host}: the deadline of the gate was set twice"));
                }
            }
            HostEvent::Ended { .. } | HostEvent::Unreachable { .. } => {
                at_work.remove(host);
            }
            _ => {}
        }
    }
    wrongs
}

/// Whether a name is that of a container, or one that a rollout gives it.
fn is_of(name: &str, container: &str) -> bool {
    name.split('.').next() == Some(container)
}

/// What is on a host under one of the names of a container.
pub fn containers(world: &World, host: &HostName, of: &str) -> Vec<Container> {
    let mut found = all_containers(world, host);
    found.retain(|container| is_of(&container.name, of));
    found
}

/// What is on a host but for the neighbour, sorted by name.
pub fn all_containers(world: &World, host: &HostName) -> Vec<Container> {
    let mut found: Vec<Container> = world.engines[host].host().with(|model, _| {
        let ours = |container: &&Container| container.name != "web2";
        model.containers().filter(ours).cloned().collect()
    });
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

fn of_container(container: &Container) -> (String, String, bool, String) {
    (
        container.name.clone(),
        container.image_id[..20].to_owned(),
        container.state.status.has_process(),
        plain(container.restart_policy()).to_owned(),
    )
}

fn plain(policy: &str) -> &str {
    if policy.is_empty() { "no" } else { policy }
}

fn kind(end: &HostEnd) -> String {
    let text = format!("{end:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

fn phase(state: &RolloutState) -> String {
    use wharf_server::rollout::model::Phase;
    match &state.phase {
        Phase::Paused { cause, .. } => format!("Paused({cause:?})"),
        phase => format!("{phase:?}"),
    }
}
