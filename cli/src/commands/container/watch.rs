//! `wharf ps --watch`: containers as they change. On a terminal as a live table, in a pipe as a line for
//! each change, and for programs as every event.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::{MissedTickBehavior, interval};
use tonic::Request;
use wharf::v1::watch_containers_response::Event;
use wharf::v1::{
    Container, ListContainersRequest, ViewSync, WatchContainersRequest, WatchContainersResponse,
    list_containers_response,
};

use crate::app::{App, Connection};
use crate::commands::call;
use crate::exit::Failure;
use crate::fanout::{self, Observer};
use crate::json;
use crate::live::LiveLines;
use crate::printer::{Format, Printer, width};
use crate::report::listing::View;
use crate::resume;
use crate::table::{self, Column};

/// How often a live table is drawn while something changes.
const DRAW: Duration = Duration::from_millis(300);
/// How many times later the durations in it are read again.
const AGES: u32 = 20;

/// The containers of a watch, and how they are shown.
struct Screen<'a> {
    printer: &'a Printer,
    mode: Mode,
    /// By host and ID.
    containers: BTreeMap<String, BTreeMap<String, Container>>,
    syncs: BTreeMap<String, ViewSync>,
    changed: bool,
}

enum Mode {
    Events,
    Lines,
    Live(LiveLines),
}

/// Watches until Ctrl-C. `list` is the same as a list, for the durations of a live table.
pub async fn run(
    app: &App,
    request: WatchContainersRequest,
    list: ListContainersRequest,
) -> Result<(), Failure> {
    let mut screen = Screen::new(&app.printer)?;
    let mut after = None;
    resume::follow(app, async |connection| {
        let request = WatchContainersRequest { after: after.clone(), ..request.clone() };
        screen.follow(connection, request, &list, &mut after).await
    })
    .await
}

impl<'a> Screen<'a> {
    fn new(printer: &'a Printer) -> Result<Self, Failure> {
        let mode = match printer.format {
            Format::Json => Mode::Events,
            Format::Name => return Err(Failure::usage("--watch shows a table, or -o json")),
            Format::Table | Format::Wide if LiveLines::are_possible() => {
                Mode::Live(LiveLines::default())
            }
            Format::Table | Format::Wide => Mode::Lines,
        };
        let (containers, syncs) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { printer, mode, containers, syncs, changed: true })
    }

    /// One stream, up to its end.
    async fn follow(
        &mut self,
        connection: &Connection,
        request: WatchContainersRequest,
        list: &ListContainersRequest,
        after: &mut Option<wharf::v1::ViewCursor>,
    ) -> Result<(), tonic::Status> {
        let opened = connection.containers().watch_containers(Request::new(request)).await;
        let mut stream = opened?.into_inner();
        let (mut ticks, mut count) = (interval(DRAW), 0);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.printer.is_closed() {
                return Ok(());
            }
            tokio::select! {
                message = stream.message() => match message? {
                    Some(mut message) => {
                        if let Some(cursor) = message.cursor.take() {
                            *after = Some(cursor);
                        }
                        self.take(message);
                    }
                    None => return Ok(()),
                },
                _ = ticks.tick(), if matches!(self.mode, Mode::Live(_)) => {
                    count += 1;
                    if count % AGES == 0 {
                        self.read_ages(connection, list).await;
                    }
                    self.draw();
                }
            }
        }
    }

    fn take(&mut self, message: WatchContainersResponse) {
        let (host, Some(event)) = (message.host, message.event) else { return };
        self.changed = true;
        match event {
            Event::Hosts(hosts) => {
                self.containers.retain(|host, _| hosts.hosts.contains(host));
                self.syncs.retain(|host, _| hosts.hosts.contains(host));
                let names = Value::from(hosts.hosts);
                self.event("", "hosts", [("hosts".to_owned(), names)].into_iter().collect());
            }
            Event::Reset(_) => {
                self.containers.remove(&host);
                self.event(&host, "reset", Map::new());
            }
            Event::Changed(batch) => {
                for container in batch.containers {
                    self.event(&host, "changed", json::message(&container));
                    let known = self.containers.entry(host.clone()).or_default();
                    let before = known.insert(container.id.clone(), container.clone());
                    let of = |it: &Container| (it.name.clone(), it.state.clone());
                    // A change of what the line does not have is no line.
                    let is_news = before.as_ref().map(of) != Some(of(&container))
                        || before.is_some_and(|it| it.image != container.image);
                    if is_news {
                        let Container { name, status, image, .. } = &container;
                        self.line(&format!("{host}/{name}: {status} ({image})"));
                    }
                }
            }
            Event::Removed(removed) => {
                for id in removed.ids {
                    let known = self.containers.get_mut(&host).and_then(|it| it.remove(&id));
                    if let Some(known) = known {
                        self.line(&format!("{host}/{}: removed", known.name));
                    }
                    self.event(
                        &host,
                        "removed",
                        [("id".to_owned(), id.into())].into_iter().collect(),
                    );
                }
            }
            Event::State(state) => {
                self.event(&host, "state", json::message(&state));
                let before = self.syncs.insert(host.clone(), state.sync());
                if before != Some(state.sync()) && !matches!(self.mode, Mode::Events) {
                    self.say_sync(&host, before, state.sync());
                }
            }
            Event::Heartbeat(_) => {}
        }
    }

    /// A line about a host that is not live, or is again.
    fn say_sync(&self, host: &str, before: Option<ViewSync>, now: ViewSync) {
        match now {
            ViewSync::Live if before.is_some_and(|it| it != ViewSync::Resyncing) => {
                self.printer.note(&format!("{host}: its containers are known again"));
            }
            ViewSync::Stale => {
                self.printer
                    .warning(&format!("{host}: its events cannot be read; connecting again"));
            }
            ViewSync::Unreachable => {
                self.printer.warning(&format!("{host}: does not answer; connecting again"));
            }
            ViewSync::Unspecified => {
                self.printer.warning(&format!(
                    "{host}: the server does not follow it, because it has too few open files"
                ));
            }
            ViewSync::Live | ViewSync::Resyncing => {}
        }
    }

    fn event(&self, host: &str, kind: &str, fields: Map<String, Value>) {
        if matches!(self.mode, Mode::Events) {
            self.printer.data(&json::typed_line(host, kind, fields));
        }
    }

    fn line(&self, line: &str) {
        if matches!(self.mode, Mode::Lines) {
            self.printer.data(line);
        }
    }

    /// Reads the durations of the table, which the watch does not tell.
    async fn read_ages(&mut self, connection: &Connection, list: &ListContainersRequest) {
        let calls = vec![call!(connection, containers.list_containers, list.clone())];
        let mut ages = Ages { containers: &mut self.containers };
        fanout::read(calls, Some(DRAW * 10), &mut ages).await;
        self.changed = true;
    }

    fn draw(&mut self) {
        let Mode::Live(lines) = &mut self.mode else { return };
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let now = Timestamp::now();
        let mut rows: Vec<Vec<String>> = Vec::new();
        for (host, containers) in &self.containers {
            let live = self.syncs.get(host) == Some(&ViewSync::Live);
            let mark = if live { host.clone() } else { format!("{host} (not live)") };
            let mut of_host: Vec<Vec<String>> =
                containers.values().flat_map(|container| container.rows(now)).collect();
            of_host.sort();
            rows.extend(of_host.into_iter().map(|mut row| {
                row.insert(0, mark.clone());
                row
            }));
        }
        let columns: Vec<Column> =
            [Column::new("HOST")].iter().chain(Container::COLUMNS).copied().collect();
        let wide = self.printer.format == Format::Wide;
        let mut texts = table::render(&columns, &rows, wide, width());
        LiveLines::fit(&mut texts, |more| {
            format!("and {more} more; to see them, choose hosts or use -f")
        });
        lines.draw(&self.printer.bars, texts);
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        if let Mode::Live(lines) = &mut self.mode {
            lines.clear(&self.printer.bars);
        }
    }
}

/// Takes over the status of known containers.
struct Ages<'a> {
    containers: &'a mut BTreeMap<String, BTreeMap<String, Container>>,
}

impl Observer<list_containers_response::Event> for Ages<'_> {
    fn payload(&mut self, host: &str, event: list_containers_response::Event) {
        let list_containers_response::Event::Batch(batch) = event else { return };
        let Some(known) = self.containers.get_mut(host) else { return };
        for container in batch.containers {
            if let Some(known) = known.get_mut(&container.id) {
                known.status = container.status;
            }
        }
    }
}
