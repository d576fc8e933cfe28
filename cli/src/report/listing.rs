//! Reads that fill a table, such as `ps`.
//!
//! A table is sorted by host and name. It waits for every host, but not forever: if some are
//! late, the available rows are printed, and the others follow. For programs, every item is
//! printed as it arrives.

use jiff::Timestamp;
use prost::Name;
use wharf::v1::HostOutcome;

use super::{host_failed, outcome_error};
use crate::fanout::Observer;
use crate::json;
use crate::printer::{Format, Printer, width};
use crate::status::ErrorText;
use crate::table::{self, Column};

/// Ticks, of about one second, that a table waits for late hosts.
const PATIENCE: u32 = 2;

/// How a listing shows a message.
pub trait View: prost::Message + Name {
    /// All columns after HOST, including wide ones.
    const COLUMNS: &'static [Column];

    /// A row for every name of the item, with a cell for each column. Rows of a host are sorted by
    /// the first cell.
    fn rows(&self, now: Timestamp) -> Vec<Vec<String>>;

    /// The name of the item, for `-o name`.
    fn names(&self) -> Vec<String>;

    /// The short ID, if `--quiet` shows nothing else.
    const QUIET_ID: Option<fn(&Self) -> String> = None;

    /// Whether the rows of a host are sorted; otherwise they keep their order.
    const SORTED: bool = true;
}

/// Collects items and prints them.
pub struct Listing<'a, V, F> {
    printer: &'a Printer,
    extract: F,
    now: Timestamp,
    begun: bool,
    answered: bool,
    ticks: u32,
    new_items: bool,
    header_done: bool,
    printed: Vec<Vec<String>>,
    rows: Vec<Vec<String>>,
    names: Vec<(String, String)>,
    ids: Vec<(String, String)>,
    errors: Vec<(String, ErrorText)>,
    view: std::marker::PhantomData<V>,
}

impl<'a, V: View, F> Listing<'a, V, F> {
    /// `extract` takes the items out of a payload. Ages are relative to `now`.
    pub fn new(printer: &'a Printer, now: Timestamp, extract: F) -> Self {
        Self {
            printer,
            extract,
            now,
            begun: false,
            answered: false,
            ticks: 0,
            new_items: false,
            header_done: false,
            printed: Vec::new(),
            rows: Vec::new(),
            names: Vec::new(),
            ids: Vec::new(),
            errors: Vec::new(),
            view: std::marker::PhantomData,
        }
    }

    /// Prints the remaining rows, and the title line even without rows; but prints nothing for a
    /// call that was refused or that failed on every host.
    pub fn finish(&mut self) {
        if self.begun {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if V::SORTED {
            self.rows.sort();
        } else {
            self.rows.sort_by(|left, right| left[0].cmp(&right[0]));
        }
        self.names.sort();
        self.ids.sort();
        let format = self.printer.format;
        if format == Format::Name {
            for (host, name) in self.names.drain(..) {
                self.printer.data(&format!("{host}/{name}"));
            }
        } else if self.printer.quiet && V::QUIET_ID.is_some() && format == Format::Table {
            self.ids.drain(..).for_each(|(_, id)| self.printer.data(&id));
        } else if format != Format::Json {
            self.flush_table(format == Format::Wide);
        }
        self.errors.sort_by(|left, right| left.0.cmp(&right.0));
        for (host, error) in self.errors.drain(..) {
            host_failed(self.printer, &host, &error);
        }
    }

    /// Rows that were already printed take part in the layout, so that the columns stay aligned.
    fn flush_table(&mut self, wide: bool) {
        if self.rows.is_empty() && (self.header_done || !self.answered) {
            return;
        }
        let columns: Vec<Column> =
            [Column::new("HOST")].iter().chain(V::COLUMNS).copied().collect();
        let before = match self.printed.len() {
            0 if !self.header_done => 0,
            _ => table::render(&columns, &self.printed, wide, width()).len(),
        };
        self.printed.append(&mut self.rows);
        let lines = table::render(&columns, &self.printed, wide, width());
        lines.iter().skip(before).for_each(|line| self.printer.data(line));
        self.header_done = true;
    }
}

impl<V, E, F, I> Observer<E> for Listing<'_, V, F>
where
    V: View,
    I: IntoIterator<Item = V>,
    F: FnMut(&str, E) -> I,
{
    fn started(&mut self, _hosts: &[String]) {
        self.begun = true;
    }

    fn payload(&mut self, host: &str, event: E) {
        for item in (self.extract)(host, event) {
            if self.printer.is_json() {
                self.printer.data(&json::line(host, json::message(&item)));
                continue;
            }
            self.new_items = true;
            for mut row in item.rows(self.now) {
                row.insert(0, host.to_owned());
                self.rows.push(row);
            }
            let pair = |name| (host.to_owned(), name);
            self.names.extend(item.names().into_iter().map(pair));
            self.ids.extend(V::QUIET_ID.map(|id| id(&item)).map(pair));
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        match outcome_error(outcome) {
            None => self.answered = true,
            Some(error) if self.printer.is_json() => host_failed(self.printer, host, &error),
            Some(error) => self.errors.push((host.to_owned(), error)),
        }
    }

    fn tick(&mut self) {
        self.ticks += 1;
        if self.ticks >= PATIENCE && (self.new_items || !self.errors.is_empty()) {
            self.new_items = false;
            self.flush();
        }
    }

    fn is_done(&self) -> bool {
        self.printer.is_closed()
    }
}
