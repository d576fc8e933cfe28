//! Prints events as they come, to stdout; what happens to the stream itself goes to stderr.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use wharf::v1::stream_events_response::Event;
use wharf::v1::{EngineEvent, EventGap, EventPosition, EventsLost, EventsLostCause, HostOutcome};

use super::{host_away, host_failed, outcome_error};
use crate::fanout::Observer;
use crate::json;
use crate::printer::{Printer, blanked};
use crate::template::Template;
use crate::view::events::{fields, line, moment};

/// Prints events.
pub struct Events<'a> {
    printer: &'a Printer,
    template: Option<Template>,
    positions: BTreeMap<String, EventPosition>,
}

impl<'a> Events<'a> {
    /// As lines, by a template, or as JSON.
    pub fn new(printer: &'a Printer, template: Option<Template>) -> Self {
        Self { printer, template, positions: BTreeMap::new() }
    }

    /// Where to resume, by host.
    pub fn positions(&self) -> &BTreeMap<String, EventPosition> {
        &self.positions
    }

    fn event(&self, host: &str, event: &EngineEvent) {
        if self.printer.is_json() {
            let mut fields = json::message(event);
            fields.shift_remove("position");
            self.printer.data(&json::line(host, fields));
        } else if let Some(template) = &self.template {
            self.printer.text(&blanked(&template.render(&fields(host, event))));
        } else {
            self.printer.data(&line(host, event));
        }
    }

    fn gap(&self, host: &str, gap: &EventGap) {
        if self.printer.is_json() {
            let mut fields = json::message(gap);
            json::status_as_error(&mut fields, gap.status.as_ref());
            self.about(host, "gap", fields);
            return;
        }
        host_away(self.printer, host, gap.status.as_ref(), gap.away.as_ref());
    }

    fn lost(&self, host: &str, lost: &EventsLost) {
        if self.printer.is_json() {
            let mut fields = json::message(lost);
            fields.shift_remove("position");
            self.about(host, "lost", fields);
            return;
        }
        let time =
            |time: &Option<prost_types::Timestamp>| time.as_ref().map(moment).unwrap_or_default();
        let (from, to) = (time(&lost.from), time(&lost.to));
        let (what, why) = match lost.cause() {
            EventsLostCause::SlowReader => {
                (format!("{} events are missing", lost.count), "they were not read fast enough")
            }
            _ => (
                "events may be missing".to_owned(),
                "the Engine keeps only its last 256 events, and none over a restart",
            ),
        };
        self.printer.warning(&format!("{host}: {what} from {from} to {to}: {why}"));
    }

    fn about(&self, host: &str, kind: &str, fields: Map<String, Value>) {
        self.printer.data(&json::typed_line(host, kind, fields));
    }
}

impl Observer<Event> for Events<'_> {
    fn payload(&mut self, host: &str, event: Event) {
        let position = match event {
            Event::EngineEvent(event) => {
                self.event(host, &event);
                event.position
            }
            Event::Lost(lost) => {
                self.lost(host, &lost);
                lost.position
            }
            Event::Gap(gap) => {
                self.gap(host, &gap);
                None
            }
            Event::Position(position) => Some(position),
            _ => None,
        };
        if let Some(position) = position {
            self.positions.insert(host.to_owned(), position);
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        if let Some(error) = outcome_error(outcome) {
            host_failed(self.printer, host, &error);
        }
    }

    fn is_done(&self) -> bool {
        self.printer.is_closed()
    }
}
