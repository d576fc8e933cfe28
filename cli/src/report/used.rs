//! Collects which image runs where, and prints it: an overview, or what could be upgraded.

use serde_json::{Map, Value};
use wharf::v1::list_used_images_response::Event;
use wharf::v1::{HostOutcome, ImageDifference, ImageUser, ReferenceCheck, UsedImage};

use super::{failed_of, host_failed, outcome_error, status_error};
use crate::fanout::Observer;
use crate::json;
use crate::printer::{Format, Printer, width};
use crate::table;
use crate::view::used;

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Images, differences, and references.
    Everything,
    /// Only what could be upgraded.
    Upgrades,
}

/// What a call said about all hosts.
pub struct Used<'a> {
    printer: &'a Printer,
    /// Whether a host succeeded.
    answered: bool,
    images: Vec<UsedImage>,
    differences: Vec<ImageDifference>,
    references: Vec<ReferenceCheck>,
}

impl<'a> Used<'a> {
    /// Nothing yet.
    pub fn new(printer: &'a Printer) -> Self {
        let (images, differences, references) = (Vec::new(), Vec::new(), Vec::new());
        Self { printer, answered: false, images, differences, references }
    }

    /// Whether there is anything to show: a call that failed on every host has not even a title line.
    pub fn has_answers(&self) -> bool {
        self.answered
    }

    /// Whether a registry did not say what a reference names.
    pub fn has_failures(&self) -> bool {
        self.references.iter().any(|it| status_error(it.status.as_ref()).is_some())
    }

    /// Reports these references; for programs, they are among the others.
    pub fn print_failures(&self) {
        if self.printer.is_json() {
            return;
        }
        for reference in &self.references {
            let Some(error) = status_error(reference.status.as_ref()) else { continue };
            let asked = match reference.asked_host.as_str() {
                "" => String::new(),
                host => format!(", asked by {host}"),
            };
            failed_of(self.printer, &format!("{}{asked}", reference.reference), &error);
        }
    }

    /// Prints it.
    pub fn print(&self, show: Show) {
        match show {
            Show::Everything => self.print_everything(),
            Show::Upgrades => self.print_upgrades(),
        }
    }

    fn print_everything(&self) {
        let printer = self.printer;
        match printer.format {
            Format::Json => self.print_json(),
            Format::Name => self.print_names(|_| true),
            _ if printer.quiet => {
                self.images.iter().for_each(|image| printer.data(used::key(image)));
            }
            format => {
                let rows = used::rows(&self.images, &self.differences);
                self.table(used::COLUMNS, &rows, format);
                if !self.differences.is_empty() {
                    printer.data("");
                }
                self.differences.iter().for_each(|it| printer.data(&used::difference(it)));
                if !self.references.is_empty() {
                    printer.data("");
                    let rows: Vec<_> = self.references.iter().map(used::reference_row).collect();
                    self.table(used::REFERENCE_COLUMNS, &rows, format);
                }
                if self.references.iter().any(|it| it.newer > 0) {
                    printer.note("to list what could be upgraded, run: wharf rollout plan --newer");
                }
            }
        }
    }

    fn print_upgrades(&self) {
        let printer = self.printer;
        let upgrades = used::upgrades(&self.images, &self.references);
        match printer.format {
            Format::Json => {
                upgrades.iter().for_each(|it| printer.data(&it.json().to_string()));
                self.references
                    .iter()
                    .filter(|it| status_error(it.status.as_ref()).is_some())
                    .for_each(|it| self.reference_line(it));
            }
            Format::Name => self.print_names(used::is_newer),
            format => {
                let rows: Vec<_> = upgrades.iter().map(used::Upgrade::row).collect();
                self.table(used::UPGRADE_COLUMNS, &rows, format);
                if let Some(first) = upgrades.first() {
                    printer.note(&format!("to upgrade one, run for example: {}", first.command()));
                }
                if let Some(rest) = used::not_compared(&self.images) {
                    printer.note(&format!(
                        "not compared: {rest}; to see which, run: wharf image used --check"
                    ));
                }
            }
        }
    }

    fn print_names(&self, matches: fn(&ImageUser) -> bool) {
        used::places(&self.images, matches).iter().for_each(|place| self.printer.data(place));
    }

    fn table(&self, columns: &[table::Column], rows: &[Vec<String>], format: Format) {
        let lines = table::render(columns, rows, format == Format::Wide, width());
        lines.iter().for_each(|line| self.printer.data(line));
    }

    fn print_json(&self) {
        self.images.iter().for_each(|it| self.line("image", json::message(it)));
        self.differences.iter().for_each(|it| self.line("difference", json::message(it)));
        self.references.iter().for_each(|it| self.reference_line(it));
    }

    fn reference_line(&self, reference: &ReferenceCheck) {
        let mut fields = json::message(reference);
        json::status_as_error(&mut fields, reference.status.as_ref());
        self.line("reference", fields);
    }

    fn line(&self, kind: &str, mut fields: Map<String, Value>) {
        // Parts of an image were put together.
        fields.shift_remove("continues");
        let mut all = Map::from_iter([("type".to_owned(), Value::from(kind))]);
        all.extend(fields);
        self.printer.data(&Value::Object(all).to_string());
    }
}

impl Observer<Event> for Used<'_> {
    fn payload(&mut self, _host: &str, event: Event) {
        match event {
            Event::Image(image) => match self.images.last_mut().filter(|last| last.continues) {
                Some(last) => {
                    last.continues = image.continues;
                    last.users.extend(image.users);
                }
                None => self.images.push(image),
            },
            Event::Difference(difference) => self.differences.push(difference),
            Event::Reference(reference) => self.references.push(reference),
            _ => {}
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        match outcome_error(outcome) {
            None => self.answered = true,
            Some(error) => host_failed(self.printer, host, &error),
        }
    }

    fn waits_for_summary(&self) -> bool {
        true
    }

    fn is_done(&self) -> bool {
        self.printer.is_closed()
    }
}
