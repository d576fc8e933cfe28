//! Reads that fill a table, such as `ps`.
//!
//! A table is sorted by host and name. It waits for every host, but not forever: if some are
//! late, the available rows are printed, and the others follow. For programs, every item is
//! printed as it arrives.

use jiff::Timestamp;
use prost::Name;
use serde_json::{Map, Value};
use wharf::v1::{HostOutcome, ViewSync};

use super::{host_failed, outcome_error};
use crate::exit::Failure;
use crate::fanout::Observer;
use crate::json;
use crate::printer::{Format, Printer, width};
use crate::status::ErrorText;
use crate::table::{self, Column};
use crate::template::{Template, aligned};
use crate::view::short_id;

/// Ticks, of about one second, that a table waits for late hosts.
const PATIENCE: u32 = 2;

/// The whole ID of an item.
pub type Id<T> = fn(&T) -> &str;

/// How a listing shows a message.
pub trait View: prost::Message + Name {
    /// All columns after HOST, including wide ones.
    const COLUMNS: &'static [Column];

    /// A row for every name of the item, with a cell for each column. Rows of a host are sorted by
    /// the first cell.
    fn rows(&self, now: Timestamp) -> Vec<Vec<String>>;

    /// The name of the item, for `-o name`.
    fn names(&self) -> Vec<String>;

    /// The column that has the short ID, and the whole one. Where there is one, `--quiet` shows
    /// nothing else.
    const ID: Option<(usize, Id<Self>)> = None;

    /// What docker's templates call the columns, then what [`Self::more`] has.
    const FIELDS: &'static [&'static str] = &[];

    /// What templates can show besides the columns.
    fn more(&self) -> Vec<Value> {
        Vec::new()
    }

    /// Whether the rows of a host are sorted; otherwise they keep their order.
    const SORTED: bool = true;
}

/// How a listing is shown.
#[derive(Default)]
pub struct Look {
    /// By a template.
    pub template: Option<Template>,
    /// With whole IDs and cells.
    pub full: bool,
    /// A column that is shown although it is a wide one.
    pub column: Option<&'static str>,
    /// For programs, each item has `view` of its host, and so is shown once that is known.
    pub with_view: bool,
}

impl Look {
    /// Refuses a template that does not fit.
    pub fn check<V: View>(&self, printer: &Printer) -> Result<(), Failure> {
        let Some(template) = &self.template else { return Ok(()) };
        if printer.format != Format::Table {
            return Err(Failure::usage("--format and -o exclude each other"));
        }
        let known = |field: &&str| *field == "Host" || V::FIELDS.contains(field);
        match template.fields().into_iter().find(|field| !known(field)) {
            None => Ok(()),
            Some(field) => Err(Failure::Usage(format!(
                "--format: there is no field .{}; there are .Host, .{}",
                field.escape_debug(),
                V::FIELDS.join(", .")
            ))),
        }
    }
}

/// Collects items and prints them.
pub struct Listing<'a, V, F> {
    printer: &'a Printer,
    extract: F,
    look: Look,
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
    /// Items for programs that wait for the outcome of their host.
    waiting: Vec<(String, Map<String, Value>)>,
    /// Hosts whose items may be out of date.
    stale: Vec<String>,
    view: std::marker::PhantomData<V>,
}

impl<'a, V: View, F> Listing<'a, V, F> {
    /// `extract` takes the items out of a payload. Ages are relative to `now`.
    pub fn new(printer: &'a Printer, look: Look, now: Timestamp, extract: F) -> Self {
        Self {
            printer,
            extract,
            look,
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
            waiting: Vec::new(),
            stale: Vec::new(),
            view: std::marker::PhantomData,
        }
    }

    /// Prints the remaining rows, and the title line even without rows; but prints nothing for a
    /// call that was refused or that failed on every host.
    pub fn finish(&mut self) {
        for (host, item) in std::mem::take(&mut self.waiting) {
            self.printer.data(&json::line(&host, item));
        }
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
        if self.look.template.is_some() {
            self.flush_template();
        } else if format == Format::Name {
            for (host, name) in self.names.drain(..) {
                self.printer.data(&format!("{host}/{name}"));
            }
        } else if self.printer.quiet && V::ID.is_some() && format == Format::Table {
            self.ids.drain(..).for_each(|(_, id)| self.printer.data(&id));
        } else if format != Format::Json {
            self.flush_table(format == Format::Wide);
        }
        self.stale.sort();
        for host in self.stale.drain(..) {
            self.printer.note(&format!(
                "{host}: from the memory of the server, which does not follow the host at the moment; to ask the host, use --fresh"
            ));
        }
        self.errors.sort_by(|left, right| left.0.cmp(&right.0));
        for (host, error) in self.errors.drain(..) {
            host_failed(self.printer, &host, &error);
        }
    }

    fn flush_template(&mut self) {
        let Some(template) = &self.look.template else { return };
        let rendered = |row: &Vec<String>| row.last().cloned().unwrap_or_default();
        let mut lines: Vec<String> = self.rows.drain(..).map(|row| rendered(&row)).collect();
        if template.table && !self.header_done {
            let titles = ["HOST".to_owned()].into_iter();
            let titles = titles.chain(V::COLUMNS.iter().map(|column| column.title.to_owned()));
            let more = V::FIELDS.iter().skip(V::COLUMNS.len()).map(|field| field.to_uppercase());
            lines.insert(0, template.render(&fields::<V>(titles.chain(more).map(Value::from))));
        }
        self.header_done = true;
        let lines = if template.table { aligned(&lines) } else { lines };
        lines.iter().for_each(|line| self.printer.text(line));
    }

    /// Rows that were already printed take part in the layout, so that the columns stay aligned.
    fn flush_table(&mut self, wide: bool) {
        if self.rows.is_empty() && (self.header_done || !self.answered) {
            return;
        }
        let mut columns: Vec<Column> =
            [Column::new("HOST")].iter().chain(V::COLUMNS).copied().collect();
        for column in &mut columns {
            column.wide &= self.look.column != Some(column.title);
            column.shrinks &= !self.look.full;
        }
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

/// What a template sees of a row.
fn fields<V: View>(values: impl Iterator<Item = Value>) -> Value {
    let names = ["Host"].iter().chain(V::FIELDS).map(|name| (*name).to_owned());
    Value::Object(names.zip(values).collect())
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
            if self.printer.is_json() && self.look.with_view {
                self.waiting.push((host.to_owned(), json::message(&item)));
                continue;
            }
            if self.printer.is_json() {
                self.printer.data(&json::line(host, json::message(&item)));
                continue;
            }
            self.new_items = true;
            for mut row in item.rows(self.now) {
                if let (Some((column, id)), true) = (V::ID, self.look.full) {
                    row[column] = id(&item).to_owned();
                }
                row.insert(0, host.to_owned());
                if let Some(template) = &self.look.template {
                    let cells = row.iter().map(|cell| Value::from(cell.as_str()));
                    row.push(template.render(&fields::<V>(cells.chain(item.more()))));
                }
                self.rows.push(row);
            }
            let pair = |name| (host.to_owned(), name);
            self.names.extend(item.names().into_iter().map(pair));
            let id = |id: &str| if self.look.full { id.to_owned() } else { short_id(id) };
            self.ids.extend(V::ID.map(|(_, full)| id(full(&item))).map(pair));
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        let view = outcome.view.as_ref();
        for (host, mut item) in self.waiting.extract_if(.., |(of, _)| of == host) {
            item.extend(view.map(|view| ("view".to_owned(), json::message(view).into())));
            self.printer.data(&json::line(&host, item));
        }
        if view.is_some_and(|view| !view.fresh && view.sync() != ViewSync::Live) {
            self.stale.push(host.to_owned());
        }
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
