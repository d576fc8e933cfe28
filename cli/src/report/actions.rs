//! Writes on containers and images by name: prints a line for each success as it happens.

use std::collections::BTreeSet;

use serde_json::Map;
use wharf::v1::{HostOutcome, ItemResult};

use super::{failed_of, host_failed, outcome_error, status_error};
use crate::fanout::Observer;
use crate::json;
use crate::printer::{Format, Printer};
use crate::view::short_id;

/// Prints the results of items.
pub struct Actions<'a, F> {
    printer: &'a Printer,
    extract: F,
    already: &'static str,
    /// Hosts with a reported failed item; their outcome only sums it up.
    reported: BTreeSet<String>,
}

impl<'a, F> Actions<'a, F> {
    /// `extract` takes the result out of a payload, and prints anything else in it.
    /// `already` describes an item that needed no change, such as "already running".
    pub fn new<E>(printer: &'a Printer, already: &'static str, extract: F) -> Self
    where
        F: FnMut(&Printer, &str, E) -> Option<ItemResult>,
    {
        Self { printer, extract, already, reported: BTreeSet::new() }
    }
}

impl<E, F: FnMut(&Printer, &str, E) -> Option<ItemResult>> Observer<E> for Actions<'_, F> {
    fn payload(&mut self, host: &str, event: E) {
        if let Some(item) = (self.extract)(self.printer, host, event)
            && print_item(self.printer, host, &item, self.already)
        {
            self.reported.insert(host.to_owned());
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        if let Some(error) = outcome_error(outcome)
            && !self.reported.contains(host)
        {
            host_failed(self.printer, host, &error);
        }
    }
}

/// Prints the result of one item. Returns true if it failed.
pub fn print_item(printer: &Printer, host: &str, item: &ItemResult, already: &str) -> bool {
    let error = status_error(item.status.as_ref());
    let what = format!("{host}/{}", item.name);
    if printer.is_json() {
        let mut fields = json::message(item);
        json::status_as_error(&mut fields, item.status.as_ref());
        printer.data(&json::line(host, fields));
    } else if let Some(error) = &error {
        failed_of(printer, &what, error);
    } else {
        match printer.format {
            Format::Wide if !item.id.is_empty() => {
                printer.data(&format!("{what}   {}", short_id(&item.id)));
            }
            _ => printer.data(&what),
        }
        if !item.changed {
            printer.note(&format!("{what}: {already}"));
        }
    }
    error.is_some()
}

/// Prints the outcome of writes without payloads, such as `tag`.
pub struct Outcomes<'a> {
    printer: &'a Printer,
    /// `name` is what the request named; it is printed for each host that succeeded.
    name: &'a str,
    already: &'static str,
}

impl<'a> Outcomes<'a> {
    /// See the fields.
    pub fn new(printer: &'a Printer, name: &'a str, already: &'static str) -> Self {
        Self { printer, name, already }
    }
}

impl<E> Observer<E> for Outcomes<'_> {
    fn payload(&mut self, _host: &str, _event: E) {}

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        if let Some(error) = outcome_error(outcome) {
            host_failed(self.printer, host, &error);
        } else if self.printer.is_json() {
            let fields = [("name", self.name.into()), ("changed", outcome.changed.into())];
            let fields =
                fields.map(|(key, value): (&str, serde_json::Value)| (key.to_owned(), value));
            self.printer.data(&json::line(host, Map::from_iter(fields)));
        } else {
            self.printer.data(&format!("{host}/{}", self.name));
            if !outcome.changed {
                self.printer.note(&format!("{host}/{}: {}", self.name, self.already));
            }
        }
    }
}
