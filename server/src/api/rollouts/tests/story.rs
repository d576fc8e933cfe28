//! A rollout as its records tell it.

use std::collections::BTreeMap;

use super::super::view::View;
use super::*;
use crate::domain::{Annotations, Reason};
use crate::rollout::journal::Entry;
use crate::rollout::model::{
    DependentPlan, HostPlan, OldFacts, Order as HostOrder, RestartPolicy, Step, TargetKind, Trouble,
};

/// A plan that replaces a container on all hosts in one wave.
pub fn plan(container: &str, hosts: &[HostName]) -> Plan {
    let old = OldFacts {
        id: "0".repeat(64),
        image: "app:v1".to_owned(),
        image_id: "sha256:1".to_owned(),
        running: true,
        restart: RestartPolicy::default(),
        auto_remove: false,
        ..OldFacts::default()
    };
    let host = HostPlan {
        kind: TargetKind::Replace,
        old: Some(old),
        diff: vec!["image: app:v1 -> app:v2".to_owned()],
        risks: Vec::new(),
        lost_paths: Vec::new(),
        spec_sha: "aa".to_owned(),
        order: HostOrder::StopFirst,
        start: true,
        unhealthy: false,
        dependents: Vec::new(),
        image: None,
    };
    Plan {
        container: container.parse().unwrap(),
        image: None,
        waves: vec![hosts.to_vec()],
        hosts: hosts.iter().map(|name| (name.clone(), host.clone())).collect::<BTreeMap<_, _>>(),
        warnings: Vec::new(),
    }
}

struct RecordedRollout {
    view: View,
    revision: u64,
}

impl RecordedRollout {
    fn new(plan: Plan) -> Self {
        let event = Event::Created {
            plan: Box::new(plan),
            policy: Box::default(),
            by: "uid:0".to_owned(),
            undo_of: None,
            annotations: Annotations::default(),
        };
        let view = View::of_first(&entry(1, event)).unwrap();
        Self { view, revision: 1 }
    }

    fn phase(&mut self, to: Phase) -> v1::Rollout {
        self.revision += 1;
        self.view.apply(&entry(self.revision, phase(to)));
        self.view.summary()
    }

    fn host(&mut self, happened: HostEvent) -> v1::RolloutStep {
        self.revision += 1;
        let host = name("web1");
        self.view.apply(&entry(self.revision, Event::Host { host: host.clone(), happened }));
        self.view.step(&host).unwrap()
    }
}

fn entry(revision: u64, event: Event) -> Entry {
    let record = Record { at: Millis(revision * 1500), event };
    Entry { revision: Revision(revision), id: RolloutId(Uuid::from_u128(5)), record }
}

fn name(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

#[test]
fn a_host_that_fails_is_seen_to_be_put_back() {
    let mut recorded = RecordedRollout::new(plan("web", &[name("web1"), name("web2")]));
    recorded.phase(Phase::Running { wave: 0 });
    recorded.host(HostEvent::Begun { work: Work::Forward, attempt: 1 });
    let id = "c".repeat(64);
    let made = recorded.host(HostEvent::Did { step: Step::Create, id: Some(id.clone()) });
    assert_eq!(made.new_container_id, id);
    let stopping = recorded.host(HostEvent::Intent { step: Step::StopOld });
    assert_eq!(stopping.step(), v1::HostStep::StopOld);
    assert_eq!(stopping.since.unwrap(), prost_types::Timestamp { seconds: 7, nanos: 500_000_000 });
    recorded.host(HostEvent::Gate { deadline: Millis(99_000) });
    let saw = "HTTP 503, 200 expected".to_owned();
    let looked = recorded.host(HostEvent::Good { since: None, saw: saw.clone() });
    assert_eq!((looked.health, looked.deadline.unwrap().seconds), (saw, 99));
    let trouble = Trouble { reason: Reason::RolloutGateFailed, message: "not good".to_owned() };
    let log_tail = vec!["boom".to_owned()];
    let failed = HostEvent::Failed { step: Some(Step::Gate), trouble, log_tail };
    let failed = recorded.host(failed);
    assert_eq!(
        (failed.state(), failed.failed_step()),
        (v1::HostState::Restoring, v1::HostStep::Gate)
    );

    // A crash in the middle of it is not a new attempt.
    let again = recorded.host(HostEvent::Begun { work: Work::Forward, attempt: 1 });
    assert_eq!(again.state(), v1::HostState::Restoring);
    let restored = recorded.host(HostEvent::Ended { end: HostEnd::Restored });
    assert_eq!(restored.state(), v1::HostState::Restored);
    assert_eq!((restored.status.unwrap().code, restored.log_tail), (9, vec!["boom".to_owned()]));
    let counts = recorded.view.summary().counts.unwrap();
    assert_eq!((counts.total, counts.waiting, counts.active, counts.failed), (2, 1, 0, 1));

    let retried = recorded.host(HostEvent::Begun { work: Work::Forward, attempt: 2 });
    assert_eq!((retried.state(), retried.status), (v1::HostState::Updating, None));
}

#[test]
fn what_hangs_on_a_container_is_named_while_it_is_worked_on() {
    let mut plan = plan("web", &[name("web1")]);
    let host = plan.hosts.get_mut("web1").unwrap();
    let side = DependentPlan { name: "side".parse().unwrap(), plan: host.clone() };
    host.dependents.push(side);
    let mut recorded = RecordedRollout::new(plan);
    let of_side = |event| HostEvent::Dependent { number: 0, happened: Box::new(event) };
    recorded.host(HostEvent::Begun { work: Work::Forward, attempt: 1 });
    let made = recorded.host(HostEvent::Did { step: Step::Create, id: Some("c".repeat(64)) });
    let stopping = recorded.host(of_side(HostEvent::Intent { step: Step::StopOld }));
    assert_eq!((stopping.step(), stopping.dependent.as_str()), (v1::HostStep::StopOld, "side"));
    let id = Some("d".repeat(64));
    let side_made = recorded.host(of_side(HostEvent::Did { step: Step::Create, id }));
    assert_eq!(side_made.new_container_id, made.new_container_id, "that of the target");
    let line = || vec!["side: requested and found: annotations: a -> none".to_owned()];
    let warned = recorded.host(of_side(HostEvent::Differs { differences: line() }));
    assert_eq!(warned.warnings, line());
    let next = recorded.host(HostEvent::Intent { step: Step::StopOld });
    assert_eq!((next.step(), next.dependent.as_str()), (v1::HostStep::StopOld, ""));
    assert_ne!(next.since, stopping.since);
}

#[test]
fn what_is_left_of_the_old_container_is_told_beside_what_differs() {
    let mut recorded = RecordedRollout::new(plan("web", &[name("web1")]));
    let differs = |line: &str| HostEvent::Differs { differences: vec![line.to_owned()] };
    recorded.host(HostEvent::Begun { work: Work::Forward, attempt: 1 });
    recorded.host(differs("labels.a: asked for and not there"));
    recorded.host(HostEvent::Good { since: Some(Millis(4500)), saw: "healthy".to_owned() });
    recorded.host(HostEvent::Ended { end: HostEnd::Committed });
    let clearing = recorded.host(HostEvent::Begun { work: Work::Clear, attempt: 1 });
    assert_eq!(clearing.state(), v1::HostState::Updated);
    recorded.host(differs("web.old-1 is still there"));
    let ended = recorded.host(HostEvent::Ended { end: HostEnd::Committed });
    assert_eq!(ended.warnings, ["labels.a: asked for and not there", "web.old-1 is still there"]);
    assert_eq!((ended.health.as_str(), ended.healthy_since.unwrap().seconds), ("healthy", 4));
}

#[test]
fn a_pause_says_why_and_an_end_when() {
    let mut recorded = RecordedRollout::new(plan("web", &[name("web1")]));
    let baking = recorded.phase(Phase::Baking { wave: 0, until: Millis(60_000) });
    assert_eq!((baking.wave, baking.bake_until.unwrap().seconds), (1, 60));
    let resume_to = Box::new(Phase::Running { wave: 0 });
    let cause = PauseCause::Budget;
    let paused = recorded.phase(Phase::Paused { cause, resume_to, since: Millis(1) });
    assert_eq!(paused.pause_cause(), v1::PauseCause::Budget);
    assert_eq!(paused.bake_until, None);
    assert!(!recorded.view.has_ended());
    let ended = recorded.phase(Phase::Succeeded);
    assert_eq!(ended.pause_cause(), v1::PauseCause::Unspecified);
    assert!(ended.ended_at.is_some() && recorded.view.has_ended());
}

#[test]
fn skipped_hosts_come_last_and_take_no_part() {
    let mut plan = plan("web", &[name("web1"), name("web2")]);
    plan.waves = vec![vec![name("web2")]];
    plan.hosts.get_mut("web1").unwrap().kind =
        TargetKind::Skip { reason: "no container web".to_owned() };
    let whole = RecordedRollout::new(plan).view.page(0).0;
    let steps: Vec<_> = whole.steps.iter().map(|it| (it.host.as_str(), it.wave)).collect();
    assert_eq!(steps, [("web2", 1), ("web1", 0)]);
    assert_eq!(whole.steps[1].status.as_ref().unwrap().message, "no container web");
    let counts = whole.counts.unwrap();
    assert_eq!((counts.total, counts.skipped), (1, 1));
}
