//! Which records may follow a state.

use crate::domain::HostName;

use super::super::control::{Effect, Refused, effect};
use super::super::model::{
    Control, Event, HostEnd, HostEvent, PauseCause, Phase, TargetKind, Work,
};
use super::{HostState, RolloutState};

/// A record that must not follow; its writer has an outdated view of the rollout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// A journal starts with the creation.
    #[error("the journal does not begin with the creation of the rollout")]
    NotCreated,
    /// It was created already.
    #[error("the rollout was already created")]
    CreatedTwice,
    /// Nothing follows an end.
    #[error("the rollout has ended: it {}", describe(.0))]
    Over(Phase),
    /// The phases do not follow each other.
    #[error("a rollout that {} cannot become one that {}", describe(.from), describe(.to))]
    Phase {
        /// The current phase.
        from: Phase,
        /// The illegal phase.
        to: Phase,
    },
    /// It cannot end while hosts are in progress.
    #[error("a rollout cannot end while work on {0} is in progress")]
    AtWork(HostName),
    /// The command is not possible now.
    #[error("a rollout that {} cannot be {control}", describe(.phase))]
    Control {
        /// The command: `paused`, `resumed`, `promoted`, `aborted`.
        control: &'static str,
        /// The current phase.
        phase: Phase,
    },
    /// The canary is done: that is not resumed but promoted.
    #[error("the canary waits to be promoted: wharf rollout promote, or abort")]
    AwaitsPromotion,
    /// The host is not in the plan.
    #[error("{0} is not a host of this rollout")]
    NoSuchHost(HostName),
    /// The plan leaves the host out.
    #[error("the plan skips {0}")]
    LeftOut(HostName),
    /// The work cannot start now.
    #[error("{work:?} cannot begin on {host} while the rollout {}", describe(.phase))]
    Begin {
        /// The host.
        host: HostName,
        /// The work.
        work: Work,
        /// The phase of the rollout.
        phase: Phase,
    },
    /// The number of an attempt is not the next.
    #[error("attempt {attempt} cannot follow on {host}")]
    Attempt {
        /// The host.
        host: HostName,
        /// The number.
        attempt: u32,
    },
    /// No work started there.
    #[error("no work is in progress on {0}")]
    Idle(HostName),
    /// The event does not match the work on the host.
    #[error("that cannot happen to {0} now")]
    Happened(HostName),
    /// The work cannot end like this.
    #[error("the work on {0} cannot end like this")]
    End(HostName),
}

impl RolloutState {
    /// Whether the event may follow.
    pub fn check(&self, event: &Event) -> Result<(), Illegal> {
        if matches!(event, Event::Created { .. }) {
            return Err(Illegal::CreatedTwice);
        }
        if self.phase.is_terminal() {
            return Err(Illegal::Over(self.phase.clone()));
        }
        match event {
            Event::Created { .. } => Err(Illegal::CreatedTwice),
            Event::Phase { to, .. } => self.check_phase(to),
            Event::Control { control, .. } => self.check_control(*control),
            Event::Host { host: name, happened } => {
                let host = self.hosts.get(name).ok_or_else(|| Illegal::NoSuchHost(name.clone()))?;
                let planned = self.plan.hosts.get(name).map(|planned| &planned.kind);
                if matches!(planned, Some(TargetKind::Skip { .. })) {
                    return Err(Illegal::LeftOut(name.clone()));
                }
                self.check_host(name, host, happened)
            }
        }
    }

    fn check_phase(&self, to: &Phase) -> Result<(), Illegal> {
        if to.is_terminal()
            && let Some((name, _)) = self.hosts.iter().find(|(_, host)| host.work.is_some())
        {
            return Err(Illegal::AtWork(name.clone()));
        }
        let waves = self.plan.waves.len();
        if follows(&self.phase, to, waves) {
            Ok(())
        } else {
            Err(Illegal::Phase { from: self.phase.clone(), to: to.clone() })
        }
    }

    fn check_control(&self, control: Control) -> Result<(), Illegal> {
        let name = match control {
            Control::Pause => "paused",
            Control::Resume { .. } => "resumed",
            Control::Promote => "promoted",
            Control::Abort => "aborted",
        };
        match (effect(&self.phase, control), control) {
            (Ok(Effect::Changes), _) => Ok(()),
            // To no effect, so it does no harm.
            (Ok(Effect::Nothing), Control::Pause | Control::Abort) => Ok(()),
            (Err(Refused::AwaitsPromotion), _) => Err(Illegal::AwaitsPromotion),
            _ => Err(Illegal::Control { control: name, phase: self.phase.clone() }),
        }
    }

    fn check_host(
        &self,
        name: &HostName,
        host: &HostState,
        happened: &HostEvent,
    ) -> Result<(), Illegal> {
        let only_if = |legal: bool| {
            if legal { Ok(()) } else { Err(Illegal::Happened(name.clone())) }
        };
        match happened {
            HostEvent::Begun { work, attempt } => self.check_begun(name, host, *work, *attempt),
            HostEvent::Failed { .. } => only_if(host.work.is_some() || host.end.is_none()),
            HostEvent::Ended { end } => {
                if may_end(host, end) {
                    Ok(())
                } else {
                    Err(Illegal::End(name.clone()))
                }
            }
            _ if host.work.is_none() => Err(Illegal::Idle(name.clone())),
            // A touched container is completed or restored, not left for another attempt.
            HostEvent::Unreachable { .. } => {
                let untouched = host.progress.intended.is_empty() && host.dependents.is_empty();
                only_if(untouched && !host.restoring)
            }
            HostEvent::Pulled { .. } => only_if(host.work == Some(Work::Pull)),
            HostEvent::Dependent { number, happened } => {
                let planned = self.plan.hosts.get(name);
                let known = planned.is_some_and(|planned| *number < planned.dependents.len());
                let of_one = matches!(
                    **happened,
                    HostEvent::Intent { .. }
                        | HostEvent::Did { .. }
                        | HostEvent::Differs { .. }
                        | HostEvent::Gate { .. }
                        | HostEvent::Good { .. }
                        | HostEvent::Passed { .. }
                );
                only_if(known && of_one && host.work != Some(Work::Pull))
            }
            HostEvent::Intent { .. }
            | HostEvent::Did { .. }
            | HostEvent::Differs { .. }
            | HostEvent::Gate { .. }
            | HostEvent::Good { .. }
            | HostEvent::Passed { .. } => only_if(host.work != Some(Work::Pull)),
        }
    }

    fn check_begun(
        &self,
        name: &HostName,
        host: &HostState,
        work: Work,
        attempt: u32,
    ) -> Result<(), Illegal> {
        let refuse = || Illegal::Begin { host: name.clone(), work, phase: self.phase.clone() };
        match host.work {
            // After a crash: the same work continues, in any phase.
            Some(current) if current != work => return Err(refuse()),
            Some(_) => {}
            None => {
                let open = host.end.is_none();
                let done = host.end == Some(HostEnd::Committed);
                let stuck = matches!(host.end, Some(HostEnd::NeedsAttention { .. }));
                let legal = match (work, &self.phase) {
                    (Work::Pull, Phase::Pulling | Phase::Running { .. }) => open,
                    (Work::Forward, Phase::Running { .. }) => open,
                    (Work::Watch, Phase::Baking { .. }) => done,
                    // A host that was rolled back is not rolled back again.
                    (Work::RollBack, Phase::RollingBack) => done || (stuck && host.retry),
                    // The last that is done, once for each host.
                    (
                        Work::Clear,
                        Phase::Running { .. }
                        | Phase::Baking { .. }
                        | Phase::RollingBack
                        | Phase::Aborting,
                    ) => done && !host.cleared,
                    _ => false,
                };
                if !legal {
                    return Err(refuse());
                }
            }
        }
        if attempt != host.attempt_of(work) {
            return Err(Illegal::Attempt { host: name.clone(), attempt });
        }
        Ok(())
    }
}

fn follows(from: &Phase, to: &Phase, waves: usize) -> bool {
    use Phase::{
        Aborted, Aborting, Baking, Failed, Paused, Pulling, RolledBack, RollingBack, Running,
        Succeeded,
    };
    match (from, to) {
        // A pause can become one that a user must end, and stays in the same place.
        (
            Paused { cause, resume_to, since },
            Paused { cause: PauseCause::NeedsAttention, resume_to: same, since: at },
        ) => *cause != PauseCause::NeedsAttention && resume_to == same && since == at,
        (Paused { .. }, Paused { .. }) => false,
        (_, Paused { cause, resume_to, .. }) => {
            if *cause == PauseCause::Promotion {
                matches!(resume_to.as_ref(), Running { .. }) && follows(from, resume_to, waves)
            } else {
                // Only a standstill stops an abort.
                let may_stop = !matches!(from, Aborting) || *cause == PauseCause::Progress;
                may_stop && **resume_to == *from
            }
        }
        (Paused { resume_to, .. }, Baking { wave, .. }) => {
            matches!(resume_to.as_ref(), Baking { wave: paused, .. } if paused == wave)
        }
        // Hosts that failed during the bake of their wave are retried.
        (Paused { resume_to, .. }, Running { wave }) if matches!(resume_to.as_ref(), Baking { wave: paused, .. } if paused == wave) => {
            true
        }
        (Paused { resume_to, .. }, to) => **resume_to == *to || matches!(to, Aborting),
        (Pulling, Running { wave }) => *wave == 0 && waves > 0,
        (Pulling, Succeeded) => waves == 0,
        (Running { wave } | Baking { wave, .. }, Running { wave: next }) => {
            *next == wave + 1 && *next < waves
        }
        (Running { wave }, Baking { wave: same, .. }) => wave == same,
        (Running { wave } | Baking { wave, .. }, Succeeded | Failed) => wave + 1 == waves,
        (Pulling | Running { .. } | Baking { .. }, RollingBack | Aborting) => true,
        (RollingBack, RolledBack | Failed | Aborting) | (Aborting, Aborted) => true,
        _ => false,
    }
}

fn may_end(host: &HostState, end: &HostEnd) -> bool {
    match (host.work, end) {
        (Some(Work::Pull), HostEnd::Pulled) => host.pulled.is_some() && !host.restoring,
        (Some(Work::Pull), HostEnd::Unchanged) => host.restoring,
        (Some(Work::Forward | Work::Watch), HostEnd::Committed) => !host.restoring,
        (Some(Work::Forward | Work::Watch), HostEnd::Restored | HostEnd::Unchanged) => {
            host.restoring
        }
        (Some(Work::RollBack), HostEnd::RolledBack) => true,
        (Some(Work::Clear), HostEnd::Committed) => true,
        (Some(Work::Forward | Work::Watch | Work::RollBack), HostEnd::NeedsAttention { .. }) => {
            true
        }
        // Without work: hosts that do not answer, or have another image than the others.
        (None, HostEnd::Skipped { .. }) => host.end.is_none(),
        (None, HostEnd::Unchanged) => host.end.is_none() && host.failed,
        _ => false,
    }
}

fn describe(phase: &Phase) -> &'static str {
    match phase {
        Phase::Pulling => "pulls its images",
        Phase::Running { .. } => "runs",
        Phase::Baking { .. } => "bakes",
        Phase::Paused { .. } => "is paused",
        Phase::RollingBack => "rolls back",
        Phase::Aborting => "is being aborted",
        Phase::Succeeded => "succeeded",
        Phase::Failed => "failed",
        Phase::RolledBack => "was rolled back",
        Phase::Aborted => "was aborted",
    }
}
