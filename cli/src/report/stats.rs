//! Prints what containers use: on a terminal a table that is redrawn, in a pipe one table after the
//! other, for programs every measured container.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use wharf::v1::stream_stats_response::Event;
use wharf::v1::{ContainerStats, HostOutcome, HostStats, ItemResult, StatsFrame, StatsGap};

use super::{failed_of, host_away, host_failed, outcome_error, status_error};
use crate::fanout::Observer;
use crate::json;
use crate::live::LiveLines;
use crate::printer::{Format, Printer, width};
use crate::template::{Template, aligned};
use crate::view::stats::{away_row, fields, row, table, titles, total_row};

/// Least time between two drawings: every host has its own frames.
const REDRAW: Duration = Duration::from_millis(250);
/// Ticks, of about one second, that the first table waits for late hosts.
const PATIENCE: u32 = 3;

/// Prints frames as they come.
pub struct Stats<'a> {
    printer: &'a Printer,
    template: Option<Template>,
    mode: Mode,
    /// What is known of each host that is to have a frame.
    hosts: BTreeMap<String, Host>,
    /// Whether there is something that was not printed.
    news: bool,
    ticks: u32,
    drawn: Option<Instant>,
    /// Hosts of which a container failed: the outcome says nothing new.
    reported: Vec<String>,
}

enum Mode {
    Live(LiveLines),
    /// One table after the other.
    Tables,
    /// One table at the end.
    Once,
    Json,
}

#[derive(Default)]
struct Host {
    frame: Option<(Vec<ContainerStats>, HostStats)>,
    /// Parts of the next frame.
    parts: Vec<ContainerStats>,
    is_away: bool,
}

impl<'a> Stats<'a> {
    /// For one frame of each host, or many.
    pub fn new(printer: &'a Printer, template: Option<Template>, once: bool) -> Self {
        let mode = match printer.format {
            Format::Json => Mode::Json,
            _ if once => Mode::Once,
            _ if template.is_none() && LiveLines::are_possible() => {
                Mode::Live(LiveLines::default())
            }
            _ => Mode::Tables,
        };
        let (hosts, reported) = (BTreeMap::new(), Vec::new());
        Self { printer, template, mode, hosts, news: false, ticks: 0, drawn: None, reported }
    }

    fn frame(&mut self, host: &str, frame: StatsFrame) {
        let known = self.hosts.entry(host.to_owned()).or_default();
        known.parts.extend(frame.containers);
        if frame.continues {
            return;
        }
        let containers = std::mem::take(&mut known.parts);
        let total = frame.total.unwrap_or_default();
        if matches!(self.mode, Mode::Json) {
            for container in &containers {
                self.event(host, "container", json::message(container));
            }
            self.event(host, "host", json::message(&total));
            return;
        }
        known.frame = Some((containers, total));
        self.news = true;
        self.draw();
    }

    fn gap(&mut self, host: &str, gap: &StatsGap) {
        let known = self.hosts.entry(host.to_owned()).or_default();
        known.is_away = gap.away.is_none();
        (known.frame, known.parts) = (None, Vec::new());
        self.news = true;
        if matches!(self.mode, Mode::Json) {
            let mut fields = json::message(gap);
            json::status_as_error(&mut fields, gap.status.as_ref());
            self.event(host, "gap", fields);
        } else {
            host_away(self.printer, host, gap.status.as_ref(), gap.away.as_ref());
        }
    }

    fn item(&mut self, host: &str, item: &ItemResult) {
        let Some(error) = status_error(item.status.as_ref()) else { return };
        self.reported.push(host.to_owned());
        if matches!(self.mode, Mode::Json) {
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

    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for (name, host) in &self.hosts {
            if host.is_away {
                rows.push(away_row(name));
            }
            let Some((containers, total)) = &host.frame else { continue };
            rows.extend(containers.iter().map(|container| row(name, container)));
            if containers.len() > 1 {
                rows.push(total_row(name, total));
            }
        }
        rows
    }

    fn lines(&self) -> Vec<String> {
        table(&self.rows(), self.printer.format == Format::Wide, width())
    }

    /// Redraws the table on a terminal, at most a few times a second.
    fn draw(&mut self) {
        let is_soon = self.drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW);
        if !self.news || is_soon || !matches!(self.mode, Mode::Live(_)) {
            return;
        }
        let mut lines = self.lines();
        LiveLines::fit(&mut lines, |more| {
            format!("… and {more} more lines; use -H, -l, or CONTAINER to select")
        });
        if let Mode::Live(live) = &mut self.mode {
            live.draw(&self.printer.bars, lines);
        }
        (self.news, self.drawn) = (false, Some(Instant::now()));
    }

    /// Whether every host has said something.
    fn is_complete(&self) -> bool {
        self.hosts.values().all(|host| host.frame.is_some() || host.is_away)
    }

    /// What is known at the end.
    fn finish(&mut self) {
        match &mut self.mode {
            // The last table was complete, and the next one would be cut short.
            Mode::Json | Mode::Tables => {}
            Mode::Live(live) => {
                live.clear(&self.printer.bars);
                self.print();
            }
            Mode::Once => self.print(),
        }
    }

    fn print(&mut self) {
        self.news = false;
        if self.hosts.values().all(|host| host.frame.is_none()) {
            return;
        }
        if let Some(template) = &self.template {
            let mut rows: Vec<_> =
                self.containers().map(|(host, container)| row(host, container)).collect();
            if template.table {
                rows.insert(0, titles());
            }
            let lines: Vec<String> = rows.iter().map(|row| template.render(&fields(row))).collect();
            let lines = if template.table { aligned(&lines) } else { lines };
            lines.iter().for_each(|line| self.printer.text(line));
            return;
        }
        if self.printer.format != Format::Name {
            self.lines().iter().for_each(|line| self.printer.data(line));
            return;
        }
        for (host, container) in self.containers() {
            self.printer.data(&format!("{host}/{}", container.name));
        }
    }

    /// All containers with their hosts.
    fn containers(&self) -> impl Iterator<Item = (&str, &ContainerStats)> {
        self.hosts.iter().flat_map(|(name, host)| {
            let containers = host.frame.iter().flat_map(|(containers, _)| containers);
            containers.map(|container| (name.as_str(), container))
        })
    }
}

impl Observer<Event> for Stats<'_> {
    fn started(&mut self, hosts: &[String]) {
        for host in hosts {
            self.hosts.entry(host.clone()).or_default();
        }
    }

    fn payload(&mut self, host: &str, event: Event) {
        match event {
            Event::Frame(frame) => self.frame(host, frame),
            Event::Gap(gap) => self.gap(host, &gap),
            Event::Item(item) => self.item(host, &item),
            _ => {}
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        let Some(error) = outcome_error(outcome) else { return };
        if !self.reported.iter().any(|reported| reported == host) {
            host_failed(self.printer, host, &error);
        }
        // Without a frame, there is nothing to wait for.
        if self.hosts.get(host).is_some_and(|known| known.frame.is_none()) {
            self.hosts.remove(host);
        }
    }

    fn tick(&mut self) {
        self.ticks += 1;
        let ready = self.is_complete() || self.ticks >= PATIENCE;
        match self.mode {
            Mode::Tables if ready && self.news => self.print(),
            Mode::Live(_) => self.draw(),
            _ => {}
        }
    }

    fn is_done(&self) -> bool {
        self.printer.is_closed()
    }
}

/// What is on the screen at Ctrl-C stays there.
impl Drop for Stats<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}
