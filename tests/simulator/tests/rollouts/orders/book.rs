//! The stored records of a run, folded and checked as they are stored.

use std::collections::BTreeMap;

use wharf_server::domain::HostName;
use wharf_server::rollout::model::{
    Event, HostEnd, HostEvent, Phase, Record, Revision, RolloutId, Step, TargetKind,
};
use wharf_server::rollout::spec::Stopped;
use wharf_server::rollout::state::RolloutState;
use wharf_server::rollout::step::Direction;

use super::planted::Plant;
use super::rare::{Rare, Reached};
use crate::seeds::Random;

/// Everything that is stored, and how the store behaves.
pub struct Book {
    pub rollouts: BTreeMap<RolloutId, Account>,
    pub errors: Vec<String>,
    pub reached: Reached,
    pub plant: Option<Plant>,
    /// Every write is refused.
    pub(super) full: bool,
    /// It was so at some time: whoever was told so then may look at it now.
    pub was_full: bool,
    /// Each call takes so many milliseconds at most.
    pub latency: (Random, u64),
    /// The process dies at the append after so many.
    pub dies_in: Option<u64>,
    /// A process begins and has not yet asked what is open.
    pub(super) begins: bool,
}

/// A rollout as it is stored.
pub struct Account {
    pub state: RolloutState,
    /// Its records with their places; the first is its creation.
    pub entries: Vec<(Revision, Record)>,
    /// A write of it was refused.
    pub was_refused: bool,
}

impl Account {
    pub fn created(&self) -> Revision {
        self.entries.first().map_or(Revision(0), |(revision, _)| *revision)
    }

    /// Whether it has ended, or is paused with no host in progress and nothing asked for.
    pub fn is_at_rest(&self) -> bool {
        let asked = &self.state.asked;
        let asked = asked.abort || asked.promote || asked.resume.is_some();
        let paused = matches!(self.state.phase, Phase::Paused { .. });
        self.state.phase.is_terminal() || paused && !self.state.is_at_work() && !asked
    }

    /// What happened on a host.
    pub fn on<'a>(
        &'a self,
        wanted: &'a HostName,
    ) -> impl Iterator<Item = (Revision, &'a HostEvent)> {
        self.entries.iter().filter_map(move |(revision, record)| match &record.event {
            Event::Host { host, happened } if host == wanted => Some((*revision, happened)),
            _ => None,
        })
    }

    /// The place of the last change that it made to a container of a host.
    pub fn last_change(&self, host: &HostName) -> Option<Revision> {
        let changes = |happened: &HostEvent| match happened {
            HostEvent::Did { .. } | HostEvent::Intent { .. } => true,
            HostEvent::Ended { end } => *end == HostEnd::Committed,
            _ => false,
        };
        self.on(host).filter(|(_, happened)| changes(happened)).map(|(at, _)| at).last()
    }
}

/// In the middle of what a rollout is when its process is killed.
pub fn in_the_middle(account: &Account) -> Vec<Rare> {
    let state = &account.state;
    let mut found = Vec::new();
    if matches!(state.phase, Phase::Paused { .. }) {
        found.push(Rare::KilledWhilePaused);
    }
    for host in state.hosts.values() {
        match host.direction() {
            Some(Direction::RollBack) => found.push(Rare::KilledWhileRollingBack),
            Some(Direction::Restore) => found.push(Rare::KilledWhileRestoring),
            Some(Direction::Forward) if host.step == Some(Step::Gate) => {
                found.push(Rare::KilledInTheGate);
            }
            _ => {}
        }
    }
    found
}

impl Book {
    pub fn new(latency: (Random, u64), plant: Option<Plant>) -> Self {
        Self {
            rollouts: BTreeMap::new(),
            errors: Vec::new(),
            reached: Reached::default(),
            plant,
            full: false,
            was_full: false,
            latency,
            dies_in: None,
            begins: false,
        }
    }

    pub fn take(&mut self, id: RolloutId, last: Revision, records: &[Record]) {
        let first = last.0 + 1 - records.len() as u64;
        for (record, revision) in records.iter().zip(first..) {
            let entry = (Revision(revision), record.clone());
            match self.rollouts.get_mut(&id) {
                None => match RolloutState::from_created(record) {
                    Ok(state) => {
                        self.check_that_nobody_holds(id, &state);
                        let account = Account { state, entries: vec![entry], was_refused: false };
                        self.rollouts.insert(id, account);
                    }
                    Err(error) => self.errors.push(error.to_string()),
                },
                Some(account) => {
                    if let Err(error) = account.state.apply(record) {
                        self.errors.push(format!("an illegal record is stored: {error}"));
                    }
                    account.entries.push(entry);
                    if let Event::Host {
                        host,
                        happened: HostEvent::Ended { end: HostEnd::Committed },
                    } = &record.event
                    {
                        let unproved = unproved(account, host);
                        self.errors.extend(unproved.map(|why| format!("{host}: {why}")));
                    }
                }
            }
        }
    }

    /// A plan that says anything of a container which another rollout is changing is built on sand.
    fn check_that_nobody_holds(&mut self, id: RolloutId, state: &RolloutState) {
        for (by, other) in &self.rollouts {
            if other.state.phase.is_terminal() {
                continue;
            }
            for host in state.plan.hosts.keys() {
                let holds =
                    |(on, name): (&HostName, &_)| on == host && *name == state.plan.container;
                if other.state.plan.containers().any(holds) {
                    let (id, by) = (id.short(), by.short());
                    self.errors.push(format!("{host}: {id} is taken while {by} holds it"));
                }
            }
        }
    }
}

/// Why a container that was down and is called good is not known to be.
fn unproved(account: &Account, host: &HostName) -> Option<&'static str> {
    let state = &account.state;
    let plan = state.plan.hosts.get(host)?;
    let was_down = plan.old.as_ref().is_some_and(|old| !old.running);
    let rolled = matches!(plan.kind, TargetKind::Replace | TargetKind::Adopt { .. });
    if !was_down || !rolled || state.policy.stopped != Stopped::Start {
        return None;
    }
    let started =
        |happened: &HostEvent| matches!(happened, HostEvent::Did { step: Step::StartNew, .. });
    let passed = |happened: &HostEvent| matches!(happened, HostEvent::Passed { .. });
    if !account.on(host).any(|(_, happened)| started(happened)) {
        return Some("it was down, is called good, and was never started");
    }
    if !account.on(host).any(|(_, happened)| passed(happened)) {
        return Some("it was down, is called good, and passed no gate");
    }
    None
}
