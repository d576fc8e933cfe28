//! The output of one command on many hosts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use wharf::v1::run_command_response::Event;
use wharf::v1::{CommandOutput, HostOutcome, OutputSource};

use crate::exit::status_of;
use crate::fanout::Observer;
use crate::json;
use crate::printer::{Printer, Stream};
use crate::report::{host_failed, outcome_error};

/// Bytes of a line that is not complete, after which it is printed as if it were.
const LONGEST_LINE: usize = 64 << 10;

/// Prints output: as it is from one host, line by line from several.
pub struct Outputs<'a> {
    printer: &'a Printer,
    hosts: usize,
    /// The start of the next line, by host, and by whether it is of standard error.
    partial: BTreeMap<(String, bool), Vec<u8>>,
    exits: Vec<i32>,
    /// Hosts whose output does not end with a line end is completed for.
    ended: BTreeSet<String>,
}

impl<'a> Outputs<'a> {
    /// Nothing yet.
    pub fn new(printer: &'a Printer) -> Self {
        Self {
            printer,
            hosts: 0,
            partial: BTreeMap::new(),
            exits: Vec::new(),
            ended: BTreeSet::new(),
        }
    }

    /// The exit status of the command, if it ran on one host only.
    pub fn status_of_the_only_host(&self) -> Option<u8> {
        match &*self.exits {
            [code] if self.hosts == 1 => Some(status_of((*code).into())),
            _ => None,
        }
    }

    fn output(&mut self, host: &str, output: &CommandOutput) {
        let is_error = output.source() == OutputSource::Stderr;
        if self.hosts == 1 && !self.printer.is_json() {
            let stream = if is_error { Stream::Stderr } else { Stream::Stdout };
            self.printer.raw(stream, &output.data);
            return;
        }
        let key = (host.to_owned(), is_error);
        let mut line = self.partial.remove(&key).unwrap_or_default();
        for piece in output.data.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if line.ends_with(b"\n") || line.len() >= LONGEST_LINE {
                self.line(host, is_error, &line);
                line.clear();
            }
        }
        if !line.is_empty() {
            self.partial.insert(key, line);
        }
    }

    fn line(&self, host: &str, is_error: bool, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.strip_suffix('\n').unwrap_or(&line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if self.printer.is_json() {
            let source = if is_error { "stderr" } else { "stdout" };
            let fields = [("source", Value::from(source)), ("line", Value::from(line))];
            let fields = fields.map(|(key, value)| (key.to_owned(), value));
            self.printer.data(&json::line(host, Map::from_iter(fields)));
        } else if is_error {
            self.printer.stderr(&format!("{host} | {line}"));
        } else {
            self.printer.data(&format!("{host} | {line}"));
        }
    }

    /// Prints what a host wrote without a line end.
    fn complete(&mut self, host: &str) {
        for is_error in [false, true] {
            if let Some(line) = self.partial.remove(&(host.to_owned(), is_error)) {
                self.line(host, is_error, &line);
            }
        }
    }
}

impl Observer<Event> for Outputs<'_> {
    fn started(&mut self, hosts: &[String]) {
        self.hosts += hosts.len();
    }

    fn payload(&mut self, host: &str, event: Event) {
        match event {
            Event::Output(output) => self.output(host, &output),
            Event::Exit(exit) => {
                self.complete(host);
                self.exits.push(exit.exit_code);
                self.ended.insert(host.to_owned());
                if self.printer.is_json() {
                    self.printer.data(&json::line(host, json::message(&exit)));
                }
            }
            _ => {}
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        self.complete(host);
        let Some(error) = outcome_error(outcome) else { return };
        // With one host, the exit status says it, as with docker.
        let is_told = self.hosts == 1 && self.ended.contains(host) && !self.printer.is_json();
        if !is_told {
            host_failed(self.printer, host, &error);
        }
    }

    fn is_done(&self) -> bool {
        self.printer.is_closed()
    }
}
