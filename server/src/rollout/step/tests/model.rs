//! A host as far as the steps see it, and plans for it.

use super::super::*;
use crate::engine::inspection::Status;
use crate::rollout::model::{OldFacts, Order, RestartPolicy, RolloutId, SHA_LABEL};
use uuid::Uuid;

pub const OLD: &str = "0000000000000000000000000000000000000000000000000000000000000001";
pub const NEW: &str = "0000000000000000000000000000000000000000000000000000000000000002";
pub const TWIN: &str = "0000000000000000000000000000000000000000000000000000000000000003";
pub const KEPT: &str = "0000000000000000000000000000000000000000000000000000000000000004";
pub const FOREIGN: &str = "0000000000000000000000000000000000000000000000000000000000000009";
pub const KEPT_NAME: &str = "web.old-ffffffff";

pub fn names() -> Names {
    Names::of(&"web".parse().unwrap(), RolloutId(Uuid::from_u128(1)))
}

pub fn always() -> RestartPolicy {
    RestartPolicy { name: "always".to_owned(), maximum_retry_count: 0 }
}

pub fn plan(kind: TargetKind, order: Order, running: bool, auto_remove: bool) -> HostPlan {
    let restart = if auto_remove { RestartPolicy::default() } else { always() };
    let old = OldFacts {
        id: OLD.to_owned(),
        image: "app:v1".to_owned(),
        image_id: "sha256:1".to_owned(),
        running,
        restart,
        auto_remove,
        ..OldFacts::default()
    };
    HostPlan {
        old: (kind != TargetKind::Create).then_some(old),
        start: running || kind == TargetKind::Create,
        kind,
        diff: Vec::new(),
        risks: Vec::new(),
        lost_paths: Vec::new(),
        spec_sha: "sha".to_owned(),
        order,
        unhealthy: false,
        dependents: Vec::new(),
        image: None,
    }
}

pub fn adopt() -> TargetKind {
    TargetKind::Adopt { id: KEPT.to_owned(), name: KEPT_NAME.to_owned(), restart: always() }
}

/// Every hook, gate and watch there is.
pub fn policy() -> Policy {
    let command = || Some(vec!["true".to_owned()]);
    Policy { drain: command(), verify: command(), ..Policy::default() }
}

pub fn container(id: &str, name: &str, status: Status) -> ContainerFacts {
    let running = matches!(status, Status::Running | Status::Paused | Status::Restarting);
    ContainerFacts {
        id: id.to_owned(),
        name: name.to_owned(),
        status,
        running,
        restart: always(),
        started_at: (status != Status::Created).then(|| "2026-01-01T00:00:00Z".to_owned()),
        image_id: "sha256:1".to_owned(),
        ..ContainerFacts::default()
    }
}

pub fn ours(id: &str, name: &str, status: Status) -> ContainerFacts {
    of_body("sha", container(id, name, status))
}

/// One of this rollout, made from that body.
pub fn of_body(sha: &str, facts: ContainerFacts) -> ContainerFacts {
    let labels = [(ROLLOUT_LABEL, names().rollout), (SHA_LABEL, sha.to_owned())];
    let labels = labels.map(|(name, value)| (name.to_owned(), value)).into();
    ContainerFacts { labels, ..facts }
}

/// The containers of one host.
#[derive(Debug, Clone, PartialEq)]
pub struct Host(pub Vec<ContainerFacts>);

impl Host {
    /// As the plan found it.
    pub fn before(plan: &HostPlan) -> Self {
        let mut containers = Vec::new();
        if let Some(old) = &plan.old {
            let status = if old.running { Status::Running } else { Status::Exited };
            containers.push(ContainerFacts {
                restart: old.restart.clone(),
                ..container(OLD, "web", status)
            });
        }
        if plan.kind == adopt() {
            containers.push(ContainerFacts {
                restart: RestartPolicy::default(),
                ..container(KEPT, KEPT_NAME, Status::Exited)
            });
        }
        Self(containers)
    }

    pub fn observe(&self, plan: &HostPlan) -> Observed {
        let names = names();
        let by_id = |id: &str| self.0.iter().find(|container| container.id == id).cloned();
        let by_name = |name: &str| {
            self.0.iter().find(|container| container.name == name).map(|found| found.id.clone())
        };
        Observed {
            old: by_id(OLD),
            new: by_id(if plan.kind == adopt() { KEPT } else { NEW }),
            twin: by_id(TWIN),
            holder: by_name(&names.target),
            candidate_holder: by_name(&names.candidate),
            backup_holder: by_name(&names.backup),
            reject_holder: by_name(&names.reject),
        }
    }

    /// The effect of a step, as the executor has it: what is so already stays so.
    pub fn act(&mut self, plan: &HostPlan, step: Step) {
        let names = names();
        let new = if plan.kind == adopt() { KEPT } else { NEW };
        let standing = if self.has(OLD) { OLD } else { TWIN };
        match step {
            Step::Create if !self.has(NEW) => {
                self.take(&names.candidate);
                self.0.push(ours(NEW, &names.candidate, Status::Created));
            }
            Step::CreateTwin if !self.has(TWIN) => {
                self.take(&names.backup);
                let twin = ours(TWIN, &names.backup, Status::Created);
                self.0.push(ContainerFacts { restart: RestartPolicy::default(), ..twin });
            }
            Step::StopOld => {
                let vanishes = plan.old.as_ref().is_some_and(|old| old.auto_remove && old.running);
                if vanishes { self.remove(OLD) } else { self.set(standing, Status::Exited) }
            }
            Step::FenceOld => self.at(standing).restart = RestartPolicy::default(),
            Step::RenameOld => self.rename(standing, &names.backup),
            Step::RenameNew => self.rename(new, &names.target),
            Step::UnfenceNew => self.at(new).restart = always(),
            Step::StartNew => {
                assert!(self.at(new).name != names.reject, "what failed is started again");
                self.set(new, Status::Running);
            }
            Step::StopNew => self.set(new, Status::Exited),
            Step::FenceNew => self.at(new).restart = RestartPolicy::default(),
            Step::RenameBad if plan.kind == adopt() => self.rename(new, KEPT_NAME),
            Step::RenameBad => self.rename(new, &names.reject),
            Step::RenameBack => self.rename(standing, &names.target),
            Step::UnfenceOld => {
                self.at(standing).restart = plan.old.as_ref().unwrap().restart.clone();
            }
            Step::StartOld => self.set(standing, Status::Running),
            Step::RemoveNew => {
                assert!(!self.at(NEW).running, "a running container is removed");
                self.remove(NEW);
            }
            Step::RemoveTwin => self.remove(TWIN),
            Step::Drain => assert!(self.at(OLD).running, "the drain hook has no container"),
            Step::Gate | Step::Verify | Step::Monitor => {
                assert!(self.at(new).running, "nothing to look at");
            }
            Step::GateOld => assert!(self.at(standing).running, "nothing to look at"),
            Step::Create | Step::CreateTwin | Step::Compare | Step::RemoveOld => {}
        }
    }

    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|container| container.id == id)
    }

    pub fn at(&mut self, id: &str) -> &mut ContainerFacts {
        self.0.iter_mut().find(|container| container.id == id).expect("the container is there")
    }

    pub fn set(&mut self, id: &str, status: Status) {
        let container = self.at(id);
        let running = status == Status::Running;
        container.status = status;
        container.running = running;
        if running {
            container.started_at = Some("2026-01-01T00:00:00Z".to_owned());
        }
    }

    fn remove(&mut self, id: &str) {
        self.0.retain(|container| container.id != id);
    }

    fn rename(&mut self, id: &str, name: &str) {
        if self.at(id).name != name {
            self.take(name);
            self.at(id).name = name.to_owned();
        }
    }

    fn take(&self, name: &str) {
        assert!(self.0.iter().all(|other| other.name != name), "{name} is taken: {self:?}");
    }
}
