//! Questions about single hosts.

use std::time::Duration;

use crate::domain::{HostName, Reason};

use super::super::model::{Event, HostEnd, HostEvent, HostPlan, Millis, TargetKind, Trouble, Work};
use super::super::spec::OnUnreachable;
use super::super::state::{HostState, RolloutState, Unreachable};

/// Delay before retrying a host that does not answer; doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// Maximum of this delay, and so the time to notice a host that answers again.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// Names and reasons in one message; the rest is a number.
const SHOWN: usize = 3;

/// Whether work may start on a host.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Readiness {
    /// Now.
    Ready,
    /// Not before then.
    Later(Millis),
    /// Not in this attempt: according to the records, the host is done.
    Done(Vec<Event>),
}

/// Hosts with work, in the order of the plan, with their known state.
pub(super) fn all(state: &RolloutState) -> impl DoubleEndedIterator<Item = Known<'_>> {
    state.plan.waves.iter().flatten().filter_map(|name| known(state, name))
}

/// A host with its plan and its known state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub name: &'a HostName,
    pub plan: &'a HostPlan,
    pub state: &'a HostState,
}

pub(super) fn known<'a>(state: &'a RolloutState, name: &'a HostName) -> Option<Known<'a>> {
    Some(Known { name, plan: state.plan.hosts.get(name)?, state: state.hosts.get(name)? })
}

/// Hosts that need manual repair, except those that already did at the last resume.
pub(super) fn in_trouble(state: &RolloutState) -> impl Iterator<Item = (&HostName, &Trouble)> {
    state.hosts.iter().filter_map(|(name, host)| match &host.end {
        Some(HostEnd::NeedsAttention { trouble })
            if !state.forgiven.contains(name) && !host.retry && host.work.is_none() =>
        {
            Some((name, trouble))
        }
        _ => None,
    })
}

/// Hosts without work that have another image than the rest, as records of their failure.
pub(super) fn with_another_image(state: &RolloutState) -> Vec<Event> {
    // An image for one host only is checked during the pull.
    let of_plan = |host: &Known<'_>| host.plan.image.is_none();
    let digest_of =
        |host: &Known<'_>| host.state.pulled.as_ref().filter(|_| of_plan(host))?.digest.clone();
    let planned = state.plan.image.as_ref().and_then(|image| image.digest.clone());
    let Some(expected) = planned.or_else(|| all(state).find_map(|host| digest_of(&host))) else {
        return Vec::new();
    };
    all(state)
        .filter(|host| host.state.end.is_none() && host.state.work.is_none())
        .filter_map(|host| {
            let digest = digest_of(&host).filter(|digest| *digest != expected)?;
            let message = format!("its image is {digest}, but should be {expected}");
            Some(fail(host.name, Trouble::new(Reason::RolloutImageDiffers, message)))
        })
        .flatten()
        .collect()
}

/// The first few, and the number of others.
pub(super) fn some_of(texts: &[String]) -> String {
    let mut text = texts.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    if texts.len() > SHOWN {
        text.push_str(&format!("; and {} more", texts.len() - SHOWN));
    }
    text
}

impl Known<'_> {
    /// Whether the host needs its image before its container is touched.
    pub(super) fn lacks_image(&self, state: &RolloutState) -> bool {
        (state.plan.image.is_some() || self.plan.image.is_some())
            && !matches!(self.plan.kind, TargetKind::Adopt { .. })
            && self.state.pulled.is_none()
    }

    /// Whether its target is known to be down or unhealthy, and nobody has accepted that.
    pub(super) fn is_bad(&self, state: &RolloutState) -> bool {
        let stuck = matches!(self.state.end, Some(HostEnd::NeedsAttention { .. }));
        let was_bad = self.plan.unhealthy && self.state.end != Some(HostEnd::Committed);
        (stuck || was_bad) && !state.forgiven.contains(self.name)
    }

    /// Whether work may start, according to the policy for hosts that do not answer.
    pub(super) fn readiness(&self, policy: OnUnreachable, now: Millis) -> Readiness {
        let Some(unreachable) = &self.state.unreachable else { return Readiness::Ready };
        let trouble = &unreachable.trouble;
        match policy {
            OnUnreachable::Wait => {
                let at = unreachable.at + pause(unreachable);
                if now >= at { Readiness::Ready } else { Readiness::Later(at) }
            }
            OnUnreachable::Skip => {
                let reason = format!("no answer: {}", trouble.message);
                let end = HostEnd::Skipped { reason };
                Readiness::Done(vec![event(self.name, HostEvent::Ended { end })])
            }
            OnUnreachable::Fail => Readiness::Done(fail(self.name, trouble.clone()).to_vec()),
        }
    }

    /// Until when its place in the window stays empty.
    pub(super) fn holds_place_until(&self, delay: Duration) -> Option<Millis> {
        let replaced = match &self.state.end {
            Some(HostEnd::Committed | HostEnd::Restored | HostEnd::NeedsAttention { .. }) => true,
            Some(HostEnd::Unchanged) => self
                .state
                .failure
                .as_ref()
                .is_some_and(|failure| failure.work == Some(Work::Forward)),
            _ => false,
        };
        let ended = self.state.ended_at.filter(|_| replaced && self.state.work.is_none())?;
        Some(ended + delay)
    }
}

fn fail(host: &HostName, trouble: Trouble) -> [Event; 2] {
    let failed = HostEvent::Failed { step: None, trouble, log_tail: Vec::new() };
    [event(host, failed), event(host, HostEvent::Ended { end: HostEnd::Unchanged })]
}

fn event(host: &HostName, happened: HostEvent) -> Event {
    Event::Host { host: host.clone(), happened }
}

fn pause(unreachable: &Unreachable) -> Duration {
    let doublings = unreachable.tries.saturating_sub(1).min(16);
    FIRST_RETRY.saturating_mul(1 << doublings).min(LAST_RETRY)
}
