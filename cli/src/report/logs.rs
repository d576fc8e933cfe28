//! Prints logs: lines of standard output to stdout, lines of standard error to stderr, and what
//! happens to hosts and containers to stderr.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use wharf::v1::stream_logs_response::Event;
use wharf::v1::{
    HostOutcome, ItemResult, LogChunk, LogContainer, LogGap, LogPosition, OutputSource,
};

use super::{failed_of, host_away, host_failed, outcome_error, status_error};
use crate::fanout::Observer;
use crate::json;
use crate::printer::{Printer, Stream};
use crate::view::log_text::{Assembler, colour, for_terminal};

/// Where lines come from, and what is printed before each.
struct Source<'a> {
    host: &'a str,
    id: &'a str,
    name: &'a str,
    stderr: bool,
    prefix: String,
}

/// Prints logs as they come.
pub struct Logs<'a> {
    printer: &'a Printer,
    prefix: bool,
    lines: Assembler<(String, String, String, bool)>,
    /// By `HOST/CONTAINER_ID`; empty until there is a line.
    positions: HashMap<String, (String, LogPosition)>,
    width: usize,
    /// Hosts of which a container failed: the outcome says nothing new.
    reported: HashSet<String>,
}

impl<'a> Logs<'a> {
    /// With or without the container before each line.
    pub fn new(printer: &'a Printer, prefix: bool) -> Self {
        Self {
            printer,
            prefix,
            lines: Assembler::default(),
            positions: HashMap::new(),
            width: 0,
            reported: HashSet::new(),
        }
    }

    /// Where to resume: for each `HOST/CONTAINER_ID`, the name and the position.
    pub fn positions(&self) -> &HashMap<String, (String, LogPosition)> {
        &self.positions
    }

    /// Prints lines without an end.
    pub fn finish(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.finish(|(host, id, name, stderr), line| {
            let mut out = Vec::new();
            let source = self.source(host, id, name, *stderr);
            self.line(&source, line, &mut out);
            self.write(*stderr, &out);
        });
    }

    fn chunk(&mut self, host: &str, chunk: LogChunk) {
        let stderr = chunk.source() == OutputSource::Stderr;
        let LogChunk { container_id: id, name, data, continues, position, .. } = chunk;
        if let Some(position) = position {
            self.positions.insert(format!("{host}/{id}"), (name.clone(), position));
        }
        if !self.prefix && !self.printer.is_json() && !self.printer.is_terminal(stream(stderr)) {
            // Exactly what the container wrote.
            self.write(stderr, &data);
            return;
        }
        let mut lines = std::mem::take(&mut self.lines);
        let mut out = Vec::with_capacity(data.len() + data.len() / 2);
        let source = self.source(host, &id, &name, stderr);
        let key = (host.to_owned(), id.clone(), name.clone(), stderr);
        lines.push(key, &data, continues, |line| self.line(&source, line, &mut out));
        self.lines = lines;
        self.write(stderr, &out);
    }

    fn source<'b>(&self, host: &'b str, id: &'b str, name: &'b str, stderr: bool) -> Source<'b> {
        let mut prefix = String::new();
        if self.prefix {
            let label = format!("{host}/{name}");
            prefix = format!("{label:<width$} | ", width = self.width);
            if self.printer.has_colour(stream(stderr)) {
                prefix = format!("\x1b[{}m{prefix}\x1b[0m", colour(&label));
            }
        }
        Source { host, id, name, stderr, prefix }
    }

    /// Appends one line in its format.
    fn line(&self, source: &Source, line: &[u8], out: &mut Vec<u8>) {
        if self.printer.is_json() {
            let text = String::from_utf8_lossy(line);
            let (time, text) = text.split_once(' ').unwrap_or(("", &text));
            let mut fields = Map::new();
            let mut add = |key: &str, value: &str| fields.insert(key.to_owned(), value.into());
            add("type", "line");
            add("containerId", source.id);
            add("name", source.name);
            add("source", if source.stderr { "stderr" } else { "stdout" });
            add("time", time);
            add("line", text);
            self.printer.data(&json::line(source.host, fields));
            return;
        }
        out.extend_from_slice(source.prefix.as_bytes());
        if self.printer.is_terminal(stream(source.stderr)) {
            out.extend_from_slice(for_terminal(line).as_bytes());
        } else {
            out.extend_from_slice(line);
        }
        out.push(b'\n');
    }

    fn write(&self, stderr: bool, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.printer.raw(stream(stderr), bytes);
        }
    }

    fn container(&mut self, host: &str, container: &LogContainer) {
        let LogContainer { container_id: id, name, replaces } = container;
        self.width = self.width.max(host.len() + 1 + name.len());
        let key = format!("{host}/{id}");
        self.positions.entry(key).or_insert_with(|| (name.clone(), LogPosition::default()));
        if self.printer.is_json() {
            self.event(host, "container", json::message(container));
        } else if !replaces.is_empty() {
            let short = |id: &str| id.chars().take(12).collect::<String>();
            self.printer.note(&format!(
                "{host}/{name}: replaced: {} is followed by {}",
                short(replaces),
                short(id)
            ));
        }
    }

    fn gap(&self, host: &str, gap: &LogGap) {
        if self.printer.is_json() {
            let mut fields = json::message(gap);
            fields.remove("status");
            json::status_as_error(&mut fields, gap.status.as_ref());
            self.event(host, "gap", fields);
            return;
        }
        host_away(self.printer, host, gap.status.as_ref(), gap.away.as_ref());
    }

    fn item(&mut self, host: &str, item: &ItemResult) {
        let Some(error) = status_error(item.status.as_ref()) else { return };
        self.reported.insert(host.to_owned());
        if self.printer.is_json() {
            let mut fields = json::message(item);
            json::status_as_error(&mut fields, item.status.as_ref());
            self.event(host, "error", fields);
        } else {
            failed_of(self.printer, &format!("{host}/{}", item.name), &error);
        }
    }

    fn event(&self, host: &str, kind: &str, fields: Map<String, Value>) {
        self.printer.data(&json::typed_line(host, kind, fields));
    }
}

impl Observer<Event> for Logs<'_> {
    fn payload(&mut self, host: &str, event: Event) {
        match event {
            Event::Chunk(chunk) => self.chunk(host, chunk),
            Event::Container(container) => self.container(host, &container),
            Event::Gap(gap) => self.gap(host, &gap),
            Event::Item(item) => self.item(host, &item),
            _ => {}
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        if let Some(error) = outcome_error(outcome)
            && !self.reported.contains(host)
        {
            host_failed(self.printer, host, &error);
        }
    }

    fn is_done(&self) -> bool {
        self.printer.is_closed()
    }
}

fn stream(stderr: bool) -> Stream {
    if stderr { Stream::Stderr } else { Stream::Stdout }
}
