//! The current state, in messages of bounded size. The first is the snapshot; the rest follows as
//! change events, which every client can apply.

use prost::Message;
use wharf::v1;
use wharf::v1::watch_rollouts_response::Event;

use super::view::View;
use crate::api::size::{FRAME, FULL};

/// A snapshot under construction.
#[derive(Debug, Default)]
pub struct Snapshot {
    first: v1::RolloutSnapshot,
    size: usize,
    rest: Vec<Event>,
}

impl Snapshot {
    /// The rollout that is watched, with policy, plan and steps.
    pub fn add_whole(&mut self, view: &View) {
        let (rollout, mut next) = view.page(0);
        self.first.rollouts.push(rollout);
        while let Some(from) = next {
            let (page, then) = view.page(from);
            let hosts = page.plan.map(|plan| plan.hosts).unwrap_or_default();
            let part = v1::RolloutPlanPart { rollout: page.id.clone(), hosts };
            self.rest.push(Event::PlanPart(part));
            self.rest.extend(page.steps.into_iter().map(|step| changed(&page.id, step)));
            next = then;
        }
    }

    /// One of many, with steps only.
    pub fn add(&mut self, view: &View) {
        let summary = view.summary();
        if self.size + summary.encoded_len() + FRAME > FULL {
            let (id, (rollout, steps)) = (summary.id, view.with_steps(FULL));
            let steps = rollout.steps.into_iter().chain(steps);
            self.rest.push(Event::Rollout(view.summary()));
            self.rest.extend(steps.map(|step| changed(&id, step)));
            return;
        }
        let (rollout, steps) = view.with_steps(self.size);
        self.size += rollout.encoded_len() + FRAME;
        self.rest.extend(steps.into_iter().map(|step| changed(&rollout.id, step)));
        self.first.rollouts.push(rollout);
    }

    /// The messages, in order.
    pub fn events(self) -> impl Iterator<Item = Event> {
        std::iter::once(Event::Snapshot(self.first)).chain(self.rest)
    }
}

fn changed(rollout: &str, step: v1::RolloutStep) -> Event {
    Event::Step(v1::RolloutStepChanged { rollout: rollout.to_owned(), step: Some(step) })
}
