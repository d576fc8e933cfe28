//! Plans and records for the tests of the state and of the decisions.

use std::collections::BTreeMap;

use super::super::super::model::*;
use super::super::super::spec::Policy;
use crate::domain::{Annotations, HostName};

pub fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

pub fn record(at: u64, event: Event) -> Record {
    Record { at: Millis(at), event }
}

pub fn happened(name: &str, happened: HostEvent) -> Event {
    Event::Host { host: host(name), happened }
}

pub fn phase(to: Phase) -> Event {
    Event::Phase { to, reason: None }
}

pub fn control(control: Control) -> Event {
    Event::Control { control, by: "anna".to_owned() }
}

pub fn host_plan(kind: TargetKind) -> HostPlan {
    HostPlan {
        kind,
        old: None,
        diff: Vec::new(),
        risks: Vec::new(),
        lost_paths: Vec::new(),
        spec_sha: "sha".to_owned(),
        order: Order::StopFirst,
        start: true,
        unhealthy: false,
        dependents: Vec::new(),
        image: None,
    }
}

/// A plan that replaces the container on the hosts of the waves.
pub fn plan(waves: &[&[&str]]) -> Plan {
    let waves: Vec<Vec<HostName>> =
        waves.iter().map(|wave| wave.iter().map(|name| host(name)).collect()).collect();
    let hosts: BTreeMap<_, _> =
        waves.iter().flatten().map(|name| (name.clone(), host_plan(TargetKind::Replace))).collect();
    Plan {
        container: "web".parse().unwrap(),
        image: Some(PlannedImage { reference: "app:v2".to_owned(), digest: None, from: None }),
        waves,
        hosts,
        warnings: Vec::new(),
    }
}

pub fn created(plan: Plan, policy: Policy) -> Record {
    let by = "anna".to_owned();
    let event = Event::Created {
        plan: Box::new(plan),
        policy: Box::new(policy),
        by,
        undo_of: None,
        annotations: Annotations::default(),
    };
    record(1_000, event)
}
