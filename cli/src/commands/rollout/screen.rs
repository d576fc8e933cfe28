//! Shows a running rollout: on a terminal as a live table, in a pipe as one line for each
//! notable change, and for programs as every event.

use std::collections::HashMap;

use jiff::Timestamp;
use wharf::v1::watch_rollouts_response::Event;
use wharf::v1::{
    HostState, PauseCause, Rollout, RolloutState, RolloutStep, TransferProgress,
    WatchRolloutsResponse,
};

use crate::json;
use crate::live::LiveLines;
use crate::printer::{Format, Printer, width};
use crate::progress;
use crate::view::rollout_hosts::{self, Space};
use crate::view::rollouts::{change_lines, headline, is_over, reason, short, warnings};

/// A rollout being followed, and how to show it.
pub struct Screen<'a> {
    printer: &'a Printer,
    mode: Mode,
    rollout: Rollout,
    pulls: HashMap<String, TransferProgress>,
}

enum Mode {
    Silent,
    Events,
    Lines,
    Live(LiveLines),
}

impl<'a> Screen<'a> {
    /// A screen that fits the output streams and flags.
    pub fn new(printer: &'a Printer) -> Self {
        let mode = match printer.format {
            Format::Json => Mode::Events,
            Format::Name => Mode::Silent,
            Format::Table | Format::Wide if printer.quiet => Mode::Silent,
            Format::Table | Format::Wide if LiveLines::are_possible() => {
                Mode::Live(LiveLines::default())
            }
            Format::Table | Format::Wide => Mode::Lines,
        };
        Self { printer, mode, rollout: Rollout::default(), pulls: HashMap::new() }
    }

    /// The rollout as far as events have arrived.
    pub fn rollout(&self) -> &Rollout {
        &self.rollout
    }

    /// Whether it has to be redrawn regularly.
    pub fn is_live(&self) -> bool {
        matches!(self.mode, Mode::Live(_))
    }

    /// Applies a message of the server and shows what it changes.
    pub fn take(&mut self, message: WatchRolloutsResponse) {
        if matches!(self.mode, Mode::Events)
            && !matches!(message.event, None | Some(Event::Heartbeat(_)))
        {
            let line = serde_json::Value::Object(json::message(&message));
            self.printer.data(&line.to_string());
        }
        match message.event {
            Some(Event::Snapshot(snapshot)) => {
                for rollout in snapshot.rollouts {
                    self.replace(rollout);
                }
            }
            Some(Event::Rollout(rollout)) => self.whole(rollout),
            Some(Event::Step(changed)) => {
                if let Some(step) = changed.step {
                    self.step(step);
                }
            }
            Some(Event::PullProgress(pull)) => {
                if let Some(progress) = pull.progress {
                    self.pulls.insert(pull.host, progress);
                }
            }
            // The plan was shown before the rollout started; this shows only events.
            Some(Event::PlanPart(_) | Event::Heartbeat(_)) | None => {}
        }
        self.draw();
    }

    /// Draws the table.
    pub fn draw(&mut self) {
        let Mode::Live(lines) = &mut self.mode else { return };
        if self.rollout.id.is_empty() {
            return;
        }
        let space = Space {
            lines: LiveLines::height(),
            columns: width(),
            wide: self.printer.format == Format::Wide,
        };
        let pull = |host: &str| self.pulls.get(host).map(progress::describe);
        let texts = rollout_hosts::live(&self.rollout, pull, space, Timestamp::now());
        lines.draw(&self.printer.bars, texts);
    }

    /// Removes the table.
    pub fn close(&mut self) {
        if let Mode::Live(lines) = &mut self.mode {
            lines.clear(&self.printer.bars);
        }
    }

    /// Applies a snapshot and prints what is new in it.
    fn replace(&mut self, rollout: Rollout) {
        let known = std::mem::take(&mut self.rollout);
        let was_known = !known.id.is_empty();
        if !was_known || headline(&known) != headline(&rollout) {
            self.line(&headline(&rollout));
        }
        self.waits_for_somebody(&known, &rollout);
        let before: HashMap<_, _> =
            known.steps.iter().map(|step| (step.host.as_str(), step)).collect();
        for step in &rollout.steps {
            let earlier = before.get(step.host.as_str()).copied();
            // In the first snapshot, waiting and finished hosts are no news.
            let quiet = matches!(
                step.state(),
                HostState::Waiting | HostState::Pulled | HostState::Updated | HostState::Skipped
            );
            if earlier.is_some() || !quiet {
                self.print_changes(earlier, step);
            }
        }
        self.rollout = rollout;
    }

    fn whole(&mut self, rollout: Rollout) {
        let before = std::mem::take(&mut self.rollout);
        let moved = headline(&before) != headline(&rollout);
        self.waits_for_somebody(&before, &rollout);
        // A rollout that is paused or has ended is explained at the end.
        let why = reason(&rollout);
        let goes_on = rollout.state() != RolloutState::Paused && !is_over(rollout.state());
        if goes_on && !why.is_empty() && why != reason(&before) {
            self.printer.warning(&why);
        }
        let Rollout { policy, plan, steps, .. } = before;
        self.rollout = Rollout { policy, plan, steps, ..rollout };
        if moved {
            self.line(&headline(&self.rollout));
        }
    }

    /// Explains that the rollout waits for a person to resume it.
    fn waits_for_somebody(&self, before: &Rollout, now: &Rollout) {
        let by_user = |rollout: &Rollout| rollout.pause_cause() == PauseCause::User;
        if by_user(now) && !by_user(before) {
            let id = short(&now.id);
            self.printer
                .note(&format!("paused by a user; to resume it, run: wharf rollout resume {id}"));
        }
    }

    fn step(&mut self, step: RolloutStep) {
        let place = self.rollout.steps.iter().position(|known| known.host == step.host);
        let before = place.map(|place| &self.rollout.steps[place]);
        self.print_changes(before, &step);
        match place {
            Some(place) => self.rollout.steps[place] = step,
            None => self.rollout.steps.push(step),
        }
    }

    /// Lines about a host. Above a live table, only failures and warnings, because the table shows
    /// the rest.
    fn print_changes(&self, before: Option<&RolloutStep>, step: &RolloutStep) {
        let lines = change_lines(before, step);
        let is_new = before.is_none_or(|before| before.state != step.state);
        let went_wrong = matches!(
            step.state(),
            HostState::Restoring
                | HostState::Restored
                | HostState::Unchanged
                | HostState::Skipped
                | HostState::NeedsAttention
        );
        let warns = warnings(step).any(|warning| lines.contains(&warning));
        let show = match self.mode {
            Mode::Lines => true,
            Mode::Live(_) => (is_new && went_wrong) || warns,
            Mode::Silent | Mode::Events => false,
        };
        if show {
            lines.iter().for_each(|line| self.printer.data(line));
        }
    }

    fn line(&self, line: &str) {
        if matches!(self.mode, Mode::Lines) {
            self.printer.data(line);
        }
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.close();
    }
}
