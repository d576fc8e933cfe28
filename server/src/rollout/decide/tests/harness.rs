//! A fleet that does what its script says, in a time of its own, driven by decisions alone.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::{HostName, Reason};
use crate::rollout::decide::decide;
use crate::rollout::model::*;
use crate::rollout::spec::{OnFailure, Policy};
use crate::rollout::state::RolloutState;
use crate::rollout::state::tests::values::{created, happened, record};

/// How one piece of work goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    Good,
    Fails,
    /// Nothing is done, for the host does not answer.
    Silent,
    /// It fails, and what was there cannot be restored.
    Stuck,
}

/// How the work on one host goes, the first first; good when the list is at its end.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub pull: VecDeque<Outcome>,
    pub forward: VecDeque<Outcome>,
    pub watch: VecDeque<Outcome>,
    pub roll_back: VecDeque<Outcome>,
}

pub struct Fleet {
    pub state: RolloutState,
    pub now: u64,
    pub scripts: BTreeMap<HostName, Script>,
    /// Answers of the operator to pauses, the first first; then it is aborted.
    pub answers: VecDeque<Control>,
    /// Milliseconds that work takes.
    pub takes: u64,
    /// All tasks are lost after so many events, again and again.
    pub crash_every: Option<u32>,
    /// Everything in the order in which it was started.
    pub begun: Vec<(u64, String, Work)>,
    pub pauses: Vec<PauseCause>,
    pub most_at_work: usize,
    /// Hosts of earlier waves may be in progress again.
    retried: bool,
    /// Asked for as soon as such work has started.
    control: Option<(Work, Control)>,
    journal: Vec<Record>,
    running: BTreeMap<HostName, u64>,
    events: u32,
}

impl Fleet {
    pub fn new(plan: Plan, policy: Policy) -> Self {
        let first = created(plan, policy);
        Self {
            state: RolloutState::from_created(&first).unwrap(),
            now: first.at.0,
            scripts: BTreeMap::new(),
            answers: VecDeque::new(),
            takes: 20_000,
            crash_every: None,
            begun: Vec::new(),
            pauses: Vec::new(),
            most_at_work: 0,
            retried: false,
            control: None,
            journal: vec![first],
            running: BTreeMap::new(),
            events: 0,
        }
    }

    pub fn script(&mut self, name: &str) -> &mut Script {
        self.scripts.entry(name.parse().unwrap()).or_default()
    }

    /// Somebody asks for something as soon as such work has started.
    pub fn at_first(&mut self, work: Work, control: Control) {
        self.control = Some((work, control));
    }

    /// Until the end.
    pub fn run(&mut self) -> Phase {
        for _ in 0..20_000 {
            let decision = self.settle();
            for assignment in &decision.begin {
                if self.running.contains_key(&assignment.host) {
                    continue;
                }
                if !assignment.begun {
                    self.assert_may_begin(&assignment.host, assignment.work);
                    let (work, attempt) = (assignment.work, assignment.attempt);
                    self.begun.push((self.now, assignment.host.to_string(), work));
                    self.take(happened(
                        assignment.host.as_str(),
                        HostEvent::Begun { work, attempt },
                    ));
                    let is_time = |control: &mut (Work, Control)| control.0 == work;
                    if let Some((_, control)) = self.control.take_if(is_time) {
                        self.take(Event::Control { control, by: "anna".to_owned() });
                    }
                }
                self.running.insert(assignment.host.clone(), self.now + self.takes);
            }
            self.assert_width();
            if self.state.phase.is_terminal() {
                self.assert_cleared();
                self.assert_replays();
                return self.state.phase.clone();
            }
            let next = self.running.values().copied().chain(decision.wake_at.map(|at| at.0)).min();
            match next {
                Some(at) => self.go_to(at),
                None => self.answer(),
            }
        }
        panic!("it does not end: {:?}", self.state.phase);
    }

    fn settle(&mut self) -> crate::rollout::decide::Decision {
        for _ in 0..1_000 {
            let decision = decide(&self.state, Millis(self.now));
            assert_eq!(decision, decide(&self.state.clone(), Millis(self.now)));
            if decision.records.is_empty() {
                return decision;
            }
            assert_eq!(decision.wake_at, None);
            for event in decision.records {
                if let Event::Phase { to: Phase::Paused { cause, .. }, .. } = &event {
                    self.pauses.push(*cause);
                }
                self.take(event);
            }
        }
        panic!("decisions without end: {:?}", self.state.phase);
    }

    fn answer(&mut self) {
        let Phase::Paused { cause, .. } = &self.state.phase else {
            panic!("it stands still: {:?} {:#?}", self.state.phase, self.state.hosts);
        };
        self.now += 60_000;
        let control = if *cause == PauseCause::Promotion {
            Control::Promote
        } else {
            self.answers.pop_front().unwrap_or(Control::Abort)
        };
        self.retried |= control == Control::Resume { retry_failed: true };
        self.take(Event::Control { control, by: "anna".to_owned() });
    }

    fn go_to(&mut self, at: u64) {
        self.now = self.now.max(at);
        let due: Vec<_> = self
            .running
            .iter()
            .filter(|(_, until)| **until <= self.now)
            .map(|(host, _)| host.clone())
            .collect();
        for host in due {
            self.running.remove(&host);
            self.finish(&host);
            self.events += 1;
            if self.crash_every.is_some_and(|every| self.events.is_multiple_of(every)) {
                self.running.clear();
            }
        }
    }

    fn finish(&mut self, name: &HostName) {
        let host = &self.state.hosts[name];
        let work = host.work.unwrap();
        let restoring = host.restoring;
        let script = self.scripts.entry(name.clone()).or_default();
        let script = match work {
            Work::Pull => &mut script.pull,
            Work::Forward => &mut script.forward,
            Work::Watch => &mut script.watch,
            Work::RollBack => &mut script.roll_back,
            // Ends well, or with a warning.
            Work::Clear => &mut VecDeque::new(),
        };
        let outcome = script.front().copied().unwrap_or(Outcome::Good);
        let trouble = || Trouble::new(Reason::Internal, format!("{work:?} {outcome:?}"));
        let mut events = Vec::new();
        let mut end = |end| events.push(HostEvent::Ended { end });
        match (outcome, work) {
            (Outcome::Good, Work::Pull) => {
                let (image_id, digest) = ("sha256:2".to_owned(), None);
                events.push(HostEvent::Pulled { image_id, digest });
                events.push(HostEvent::Ended { end: HostEnd::Pulled });
            }
            (Outcome::Good, Work::RollBack) => end(HostEnd::RolledBack),
            (Outcome::Good, _) => end(HostEnd::Committed),
            (Outcome::Silent, _) => events.push(HostEvent::Unreachable { trouble: trouble() }),
            (_, Work::RollBack) => end(HostEnd::NeedsAttention { trouble: trouble() }),
            // The way back takes its time: it ends at the next visit.
            _ if !restoring => {
                let (step, log_tail) = (None, Vec::new());
                let failed = HostEvent::Failed { step, trouble: trouble(), log_tail };
                self.take(happened(name.as_str(), failed));
                self.running.insert(name.clone(), self.now + self.takes);
                return;
            }
            (_, Work::Pull) => end(HostEnd::Unchanged),
            (Outcome::Stuck, _) => end(HostEnd::NeedsAttention { trouble: trouble() }),
            (Outcome::Fails, _) => end(HostEnd::Restored),
        }
        script.pop_front();
        for event in events {
            self.take(happened(name.as_str(), event));
        }
    }

    fn take(&mut self, event: Event) {
        let record = record(self.now, event);
        self.state.apply(&record).unwrap_or_else(|error| panic!("{error}: {record:?}"));
        self.journal.push(record);
    }

    /// Nothing is left that Compose counts, and nothing was done after the first removal.
    fn assert_cleared(&self) {
        for (name, host) in &self.state.hosts {
            let counted = self.state.plan.hosts[name].must_go().next().is_some();
            let left = host.end == Some(HostEnd::Committed) && counted;
            assert_eq!(host.cleared, left, "{name}");
        }
        let mut after = self.begun.iter().skip_while(|(_, _, work)| *work != Work::Clear);
        assert!(after.all(|(_, _, work)| *work == Work::Clear), "{:?}", self.begun);
    }

    fn assert_may_begin(&self, name: &HostName, work: Work) {
        if work != Work::Forward {
            return;
        }
        let state = &self.state;
        let Phase::Running { wave } = state.phase else { panic!("{:?}", state.phase) };
        let waves = &state.plan.waves;
        let own = waves.iter().position(|wave| wave.contains(name)).unwrap();
        assert!(own <= wave);
        let ended = |host: &HostName| state.hosts[host].end.is_some();
        assert!(self.retried || waves[..own].iter().flatten().all(ended));
        let fresh =
            state.hosts.iter().any(|(name, host)| host.failed && !state.forgiven.contains(name));
        let exceeded = state.failed() > state.policy.max_failures.budget(state.size()) && fresh;
        assert!(!exceeded || state.policy.on_failure == OnFailure::Continue);
        assert!(!state.asked.abort && !state.asked.pause);
    }

    fn assert_width(&mut self) {
        let state = &self.state;
        let (policy, size) = (&state.policy, state.size());
        let forward = state.at_work(Work::Forward);
        self.most_at_work = self.most_at_work.max(forward);
        assert!(forward <= policy.max_parallel.width(size));
        let back = policy.rollback_parallel.unwrap_or(policy.max_parallel).width(size);
        assert!(state.at_work(Work::RollBack) <= back);
    }

    fn assert_replays(&self) {
        assert_eq!(RolloutState::replay(&self.journal).unwrap(), self.state);
    }

    /// Names in the order in which that work was started on them.
    pub fn order_of(&self, work: Work) -> Vec<&str> {
        self.begun
            .iter()
            .filter(|(_, _, begun)| *begun == work)
            .map(|(_, name, _)| &**name)
            .collect()
    }

    pub fn end_of(&self, name: &str) -> &HostEnd {
        self.state.hosts[name].end.as_ref().unwrap()
    }
}
