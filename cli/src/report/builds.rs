//! Builds: what they write goes to stderr as it comes, then one result for each host as for other
//! transfers.

use wharf::v1::build_image_response::Event;
use wharf::v1::{BuiltImage, HostOutcome};

use super::transfers::{Step, Transferred, Transfers};
use crate::fanout::Observer;
use crate::printer::{Printer, Stream};
use crate::table::Column;
use crate::view::log_text::{Assembler, colour, for_terminal, without_attributes};
use crate::view::{short_id, units};

type Extract = fn(Event) -> Option<Step<BuiltImage>>;

/// Prints output and results.
pub struct Builds<'a> {
    printer: &'a Printer,
    results: Transfers<'a, BuiltImage, Extract>,
    lines: Assembler<String>,
    /// The width of the names of hosts; 0 for one host, whose output needs no name.
    width: usize,
}

impl<'a> Builds<'a> {
    /// Shows nothing yet.
    pub fn new(printer: &'a Printer) -> Self {
        let extract: Extract = |event| match event {
            Event::Progress(progress) => Some(Step::Progress(progress)),
            Event::Image(image) => Some(Step::Result(image)),
            _ => None,
        };
        let results = Transfers::new(printer, extract);
        Self { printer, results, lines: Assembler::default(), width: 0 }
    }

    /// Prints lines without an end, and the table.
    pub fn finish(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.finish(|host, line| self.line(host, line));
        self.results.finish();
    }

    fn output(&mut self, host: &str, text: &str) {
        if self.printer.quiet {
            return;
        }
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(host.to_owned(), text.as_bytes(), true, |line| self.line(host, line));
        self.lines = lines;
    }

    fn line(&self, host: &str, line: &[u8]) {
        let is_terminal = self.printer.is_terminal(Stream::Stderr);
        let text = if is_terminal { for_terminal(line) } else { without_attributes(line) };
        let prefix = match self.width {
            0 => String::new(),
            width if self.printer.has_colour(Stream::Stderr) => {
                format!("\x1b[{}m{host:<width$} | \x1b[0m", colour(host))
            }
            width => format!("{host:<width$} | "),
        };
        self.printer.raw(Stream::Stderr, format!("{prefix}{text}\n").as_bytes());
    }
}

impl Observer<Event> for Builds<'_> {
    fn started(&mut self, hosts: &[String]) {
        if hosts.len() > 1 {
            self.width = hosts.iter().map(String::len).max().unwrap_or(0);
        }
        self.results.started(hosts);
    }

    fn payload(&mut self, host: &str, event: Event) {
        match event {
            Event::Output(output) => self.output(host, &output.text),
            event => self.results.payload(host, event),
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.end(&host.to_owned(), |line| self.line(host, line));
        self.lines = lines;
        self.results.outcome(host, outcome);
    }
}

impl Transferred for BuiltImage {
    const COLUMNS: &'static [Column] = &[
        Column::new("IMAGE").shrinks(),
        Column::new("IMAGE ID"),
        Column::new("SIZE").number(),
        Column::new("PLATFORM").wide(),
    ];

    fn row(&self, _changed: bool) -> Vec<String> {
        vec![
            self.tags.join(","),
            short_id(&self.id),
            units::size(self.size_bytes as f64),
            format!("{}/{}", self.os, self.architecture),
        ]
    }

    fn name(&self) -> &str {
        self.tags.first().unwrap_or(&self.id)
    }

    fn line(&self, _changed: bool) -> String {
        format!("built {}", self.name())
    }
}
