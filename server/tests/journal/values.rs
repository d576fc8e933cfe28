//! Rollouts and records for the contract.

use std::collections::BTreeMap;

use uuid::Uuid;
use wharf_server::domain::{Annotations, ContainerName, HostName};
use wharf_server::rollout::journal::{Entry, NewRollout, NewSecret, SecretKind};
use wharf_server::rollout::model::{
    Control, Event, Millis, PauseCause, Phase, Plan, Record, Revision, RolloutId,
};
use wharf_server::rollout::spec::Policy;

pub fn id(number: u128) -> RolloutId {
    RolloutId(Uuid::from_u128(number))
}

pub fn host(name: &str) -> HostName {
    HostName::parse(name).expect("a name of a host")
}

/// A rollout of `web` on some hosts, with a secret for each and one for the whole.
pub fn rollout(number: u128, hosts: &[&str]) -> NewRollout {
    let plan = Plan {
        container: ContainerName::parse("web").expect("a name"),
        image: None,
        waves: vec![hosts.iter().copied().map(host).collect()],
        hosts: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let created_at = Millis(u64::try_from(number).expect("a small number") * 1_000);
    let of_host = |name: &&str| NewSecret {
        host: Some(host(name)),
        kind: SecretKind::Body,
        text: format!("body of {name} in {number}"),
    };
    let mut secrets: Vec<_> = hosts.iter().map(of_host).collect();
    let text = format!("request {number}");
    secrets.push(NewSecret { host: None, kind: SecretKind::Request, text });
    NewRollout {
        id: id(number),
        created_at,
        plan,
        policy: Policy::default(),
        by: "anna".to_owned(),
        undo_of: None,
        annotations: Annotations::default(),
        secrets,
        planned_at: Revision(u64::MAX),
    }
}

pub fn control(at: u64, control: Control) -> Record {
    Record { at: Millis(at), event: Event::Control { control, by: "anna".to_owned() } }
}

pub fn phase(at: u64, to: Phase) -> Record {
    Record { at: Millis(at), event: Event::Phase { to, reason: None } }
}

pub fn paused(at: u64) -> Record {
    let resume_to = Box::new(Phase::Pulling);
    phase(at, Phase::Paused { cause: PauseCause::User, resume_to, since: Millis(at) })
}

pub fn in_short(entries: &[Entry]) -> Vec<(u64, u64)> {
    entries.iter().map(|entry| (entry.revision.0, entry.record.at.0)).collect()
}
