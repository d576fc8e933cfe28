//! `wharf top`.

use wharf::v1::list_processes_response::Event;
use wharf::v1::{HostOutcome, ListProcessesRequest, ProcessList};

use crate::app::App;
use crate::commands::{call, one_call};
use crate::exit::Failure;
use crate::fanout::{self, Observer};
use crate::json;
use crate::overview::{self, Order};
use crate::printer::{Format, Printer, width};
use crate::report::{self, host_failed, outcome_error};
use crate::table::{self, Column};
use crate::targets::{Access, TargetArgs};

const NOTES: &str = "\
Examples:
  wharf top web1/web
  wharf top -A web -- -eo pid,comm
  wharf top --fleet -l env=prod        the full-screen view of some hosts";

/// Arguments of `wharf top`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// Show hosts, containers, and rollouts on the full screen, and what they use; ? shows the keys
    #[arg(long, conflicts_with_all = ["container", "ps_args"])]
    fleet: bool,
    /// Container by name or ID, also as HOST/CONTAINER
    #[arg(value_name = "CONTAINER", required_unless_present = "fleet")]
    container: Option<String>,
    #[command(flatten)]
    targets: TargetArgs,
    /// Arguments for ps on the host [default: -ef]
    #[arg(value_name = "PS_ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    ps_args: Vec<String>,
}

/// Shows processes.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let Some(container) = args.container else { return fleet(app, &targets).await };
    let (hosts, container) = one_call(&targets, "container", &container, Access::Read)?;
    let request = ListProcessesRequest {
        targets: Some(hosts),
        fanout: Some(targets.options()),
        container,
        ps_args: args.ps_args.join(" "),
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, containers.list_processes, request)];
    let mut processes = Processes { printer: &app.printer, lists: Vec::new() };
    let report = fanout::read(calls, connection.timeout(), &mut processes).await;
    processes.print();
    report::finish(&app.printer, &report)
}

async fn fleet(app: &App, targets: &TargetArgs) -> Result<(), Failure> {
    overview::check()?;
    if app.printer.format != Format::Table {
        return Err(Failure::usage("--fleet is for people; for programs, use wharf stats -o json"));
    }
    if targets.max_parallel.is_some() {
        return Err(Failure::usage(
            "--max-parallel cannot be used with --fleet, which needs every host",
        ));
    }
    let order = Order { targets: targets.select(Access::Read)?, fanout: targets.options() };
    overview::run(app, &order).await
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
