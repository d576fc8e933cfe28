//! `wharf top`.

use wharf::v1::list_processes_response::Event;
use wharf::v1::{HostOutcome, ListProcessesRequest, ProcessList};

use super::WhichOne;
use crate::app::App;
use crate::commands::call;
use crate::exit::Failure;
use crate::fanout::{self, Observer};
use crate::json;
use crate::printer::{Printer, width};
use crate::report::{self, host_failed, outcome_error};
use crate::table::{self, Column};
use crate::targets::Access;

/// Arguments of `wharf top`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf top web1/web\n  wharf top -A web -- -eo pid,comm")]
pub struct Args {
    #[command(flatten)]
    which: WhichOne,
    /// Arguments for ps on the host [default: -ef]
    #[arg(value_name = "PS_ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    ps_args: Vec<String>,
}

/// Shows processes.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let call = args.which.call(app, Access::Read)?;
    let request = ListProcessesRequest {
        targets: Some(call.targets),
        fanout: Some(app.targets(&args.which.targets).options()),
        container: call.containers.into_iter().next().unwrap_or_default(),
        ps_args: args.ps_args.join(" "),
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, containers.list_processes, request)];
    let mut processes = Processes { printer: &app.printer, lists: Vec::new() };
    let report = fanout::read(calls, connection.timeout(), &mut processes).await;
    processes.print();
    report::finish(&app.printer, &report)
}

struct Processes<'a> {
    printer: &'a Printer,
    lists: Vec<(String, ProcessList)>,
}

impl Observer<Event> for Processes<'_> {
    fn payload(&mut self, host: &str, event: Event) {
        match event {
            Event::Processes(list) if self.printer.is_json() => {
                self.printer.data(&json::line(host, json::message(&list)));
            }
            Event::Processes(list) => self.lists.push((host.to_owned(), list)),
            _ => {}
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        if let Some(error) = outcome_error(outcome) {
            host_failed(self.printer, host, &error);
        }
    }
}

impl Processes<'_> {
    /// Hosts whose `ps` prints the same titles share a table.
    fn print(&mut self) {
        self.lists.sort_by(|left, right| left.0.cmp(&right.0));
        let mut rest = std::mem::take(&mut self.lists);
        while let Some((_, first)) = rest.first() {
            let titles = first.titles.clone();
            let (same, others): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|(_, list)| list.titles == titles);
            rest = others;
            let mut header = vec!["HOST".to_owned()];
            header.extend(titles);
            let rows = same.into_iter().flat_map(|(host, list)| {
                list.rows.into_iter().map(move |row| {
                    let mut cells = vec![host.clone()];
                    cells.extend(row.values);
                    cells
                })
            });
            // Titles come from the host, so the table treats them as a normal row.
            let mut cells: Vec<Vec<String>> = std::iter::once(header.clone()).chain(rows).collect();
            for row in &mut cells {
                row.resize(header.len(), String::new());
            }
            let last = header.len() - 1;
            let column =
                |index| if index == last { Column::new("").shrinks() } else { Column::new("") };
            let columns: Vec<Column> = (0..=last).map(column).collect();
            let lines = table::render(&columns, &cells, false, width());
            lines.iter().skip(1).for_each(|line| self.printer.data(line));
        }
    }
}
