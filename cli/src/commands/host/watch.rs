//! `wharf host ls --watch`: the inventory and whether its hosts answer, as it changes. On a terminal as a
//! live table, in a pipe as a line for each change, and for programs as every event.

use std::collections::BTreeMap;

use serde_json::Map;
use tonic::Request;
use wharf::v1::watch_hosts_response::Event;
use wharf::v1::{
    Host, HostSelector, HostViewState, ViewState, ViewSync, WatchHostsRequest, WatchHostsResponse,
};

use crate::app::App;
use crate::exit::Failure;
use crate::json;
use crate::live::LiveLines;
use crate::printer::{Format, Printer, width};
use crate::report::status_error;
use crate::resume;
use crate::table::{self, Column};
use crate::view::labels;

const COLUMNS: &[Column] = &[
    Column::new("HOST"),
    Column::new("STATUS"),
    Column::new("LABELS").shrinks(),
    Column::new("ADDRESS"),
];

struct Screen<'a> {
    printer: &'a Printer,
    live: Option<LiveLines>,
    hosts: BTreeMap<String, (Host, Option<HostViewState>)>,
}

/// Watches until Ctrl-C.
pub async fn run(app: &App, targets: HostSelector) -> Result<(), Failure> {
    if app.printer.format == Format::Name {
        return Err(Failure::usage("--watch shows a table, or -o json"));
    }
    let is_live = !app.printer.is_json() && LiveLines::are_possible();
    let live = is_live.then(LiveLines::default);
    let mut screen = Screen { printer: &app.printer, live, hosts: BTreeMap::new() };
    let mut after = None;
    resume::follow(app, async |connection| {
        let request = WatchHostsRequest { targets: Some(targets.clone()), after: after.clone() };
        let mut stream = connection.hosts().watch_hosts(Request::new(request)).await?.into_inner();
        while !app.printer.is_closed() {
            let Some(mut message) = stream.message().await? else { break };
            after = message.cursor.take().or(after.take());
            screen.take(message);
        }
        Ok(())
    })
    .await
}

impl Screen<'_> {
    fn take(&mut self, message: WatchHostsResponse) {
        let Some(event) = message.event else { return };
        match event {
            Event::Reset(_) => {
                self.hosts.clear();
                self.event("", "reset", Map::new());
            }
            Event::Host(host) => {
                self.event(&host.name.clone(), "host", json::message(&host));
                let known = self.hosts.entry(host.name.clone()).or_default();
                let is_new = known.0.name.is_empty();
                known.0 = host;
                let name = known.0.name.clone();
                if !is_new {
                    self.line(&name);
                }
            }
            Event::Removed(name) => {
                self.hosts.remove(&name);
                self.event(&name, "removed", Map::new());
                if !self.printer.is_json() && self.live.is_none() {
                    self.printer.data(&format!("{name}: removed"));
                }
            }
            Event::State(state) => {
                let mut fields = json::message(&state);
                fields.retain(|key, _| !["host", "trouble"].contains(&key.as_str()));
                let trouble = status_error(state.trouble.as_ref());
                fields.extend(trouble.map(|error| ("error".to_owned(), error.json())));
                self.event(&state.host, "state", fields);
                let name = state.host.clone();
                if let Some(known) = self.hosts.get_mut(&name) {
                    known.1 = Some(state);
                    self.line(&name);
                }
            }
            Event::Heartbeat(_) => {}
        }
        self.draw();
    }

    fn event(&self, host: &str, kind: &str, fields: Map<String, serde_json::Value>) {
        if self.printer.is_json() {
            self.printer.data(&json::typed_line(host, kind, fields));
        }
    }

    fn line(&self, name: &str) {
        if self.printer.is_json() || self.live.is_some() {
            return;
        }
        if let Some((host, state)) = self.hosts.get(name) {
            self.printer.data(&format!("{name}: {}", status(host, state.as_ref())));
        }
    }

    fn draw(&mut self) {
        let Some(lines) = &mut self.live else { return };
        let row = |(host, state): &(Host, Option<HostViewState>)| {
            vec![
                host.name.clone(),
                status(host, state.as_ref()),
                labels(&host.labels),
                host.address.clone(),
            ]
        };
        let rows: Vec<Vec<String>> = self.hosts.values().map(row).collect();
        let mut texts = table::render(COLUMNS, &rows, true, width());
        LiveLines::fit(&mut texts, |more| {
            format!("and {more} more; to see them, choose hosts with -l")
        });
        lines.draw(&self.printer.bars, texts);
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        if let Some(lines) = &mut self.live {
            lines.clear(&self.printer.bars);
        }
    }
}

/// As `wharf host ls` says it.
fn status(host: &Host, state: Option<&HostViewState>) -> String {
    let sync = state.and_then(|it| it.state.as_ref()).map(ViewState::sync).unwrap_or_default();
    let trouble = state.and_then(|it| status_error(it.trouble.as_ref())).map(|it| it.short());
    let status = match sync {
        ViewSync::Live => "reachable".to_owned(),
        ViewSync::Resyncing => "connecting".to_owned(),
        ViewSync::Stale => trouble.unwrap_or_else(|| "events cannot be read".to_owned()),
        ViewSync::Unreachable => trouble.unwrap_or_else(|| "unreachable".to_owned()),
        ViewSync::Unspecified => "not followed".to_owned(),
    };
    status + if host.cordon.is_some() { ", cordoned" } else { "" }
}
