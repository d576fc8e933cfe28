//! Pull, push, load, and create: progress while a host is working, then its results, mostly one.

use std::collections::BTreeMap;

use prost::Name;
use wharf::v1::{HostOutcome, TransferProgress};

use super::{host_failed, outcome_error};
use crate::fanout::Observer;
use crate::json;
use crate::printer::{Format, Printer, width};
use crate::progress::Progress;
use crate::table::{self, Column};

/// A payload of a transfer.
pub enum Step<T> {
    /// Progress.
    Progress(TransferProgress),
    /// The result, which is printed once the host succeeds.
    Result(T),
}

/// How to show a result.
pub trait Transferred: prost::Message + Name {
    /// Columns after HOST of the table at the end. If empty, `HOST/NAME` is printed immediately
    /// instead.
    const COLUMNS: &'static [Column];

    /// The row of the table.
    fn row(&self, changed: bool) -> Vec<String>;

    /// The name in `HOST/NAME`.
    fn name(&self) -> &str;

    /// The line about a finished host, for a pipe.
    fn line(&self, changed: bool) -> String;

    /// Warnings of the host.
    fn warnings(&self) -> &[String] {
        &[]
    }

    /// Whether there is something to show even if the host failed.
    fn survives_failure(&self) -> bool {
        false
    }
}

/// Shows progress and results.
pub struct Transfers<'a, T, F> {
    printer: &'a Printer,
    progress: Progress<'a>,
    extract: F,
    results: BTreeMap<String, Vec<T>>,
    rows: Vec<Vec<String>>,
}

impl<'a, T: Transferred, F> Transfers<'a, T, F> {
    /// `extract` distinguishes progress from results.
    pub fn new(printer: &'a Printer, extract: F) -> Self {
        let progress = Progress::new(printer);
        Self { printer, progress, extract, results: BTreeMap::new(), rows: Vec::new() }
    }

    /// Removes the bars and prints the table.
    pub fn finish(&mut self) {
        self.progress.close();
        if self.rows.is_empty() {
            return;
        }
        self.rows.sort();
        let columns: Vec<Column> =
            [Column::new("HOST")].iter().chain(T::COLUMNS).copied().collect();
        let wide = self.printer.format == Format::Wide;
        for line in table::render(&columns, &self.rows, wide, width()) {
            self.printer.data(&line);
        }
    }

    fn print(&mut self, host: &str, result: &T, changed: bool) {
        for warning in result.warnings() {
            self.printer.warning(&format!("{host}: {warning}"));
        }
        let line = format!("{host}/{}", result.name());
        match self.printer.format {
            Format::Json => {
                let mut fields = json::message(result);
                fields.insert("changed".to_owned(), changed.into());
                self.printer.data(&json::line(host, fields));
            }
            Format::Table | Format::Wide if !T::COLUMNS.is_empty() => {
                let mut row = result.row(changed);
                row.insert(0, host.to_owned());
                self.rows.push(row);
            }
            _ => self.printer.data(&line),
        }
    }
}

impl<T: Transferred, E, F: FnMut(E) -> Option<Step<T>>> Observer<E> for Transfers<'_, T, F> {
    fn started(&mut self, hosts: &[String]) {
        self.progress.started(hosts.len());
    }

    fn payload(&mut self, host: &str, event: E) {
        match (self.extract)(event) {
            Some(Step::Progress(progress)) => self.progress.update(host, &progress),
            Some(Step::Result(result)) => {
                self.results.entry(host.to_owned()).or_default().push(result);
            }
            None => {}
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        let results = self.results.remove(host).unwrap_or_default();
        let error = outcome_error(outcome);
        let lines: Vec<String> = match error {
            None => results.iter().map(|result| result.line(outcome.changed)).collect(),
            Some(_) => Vec::new(),
        };
        self.progress.ended(host, &lines);
        for result in results.iter().filter(|it| error.is_none() || it.survives_failure()) {
            self.print(host, result, outcome.changed);
        }
        if let Some(error) = error {
            host_failed(self.printer, host, &error);
        }
    }
}
