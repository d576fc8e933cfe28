//! `wharf host ls`.

use crate::app::App;
use crate::exit::Failure;
use crate::fanout::CallReport;
use crate::printer::{Format, width};
use crate::report::failed_of;
use crate::status::ErrorText;
use crate::table;
use crate::targets::{Access, TargetArgs};
use crate::view::hosts::{COLUMNS, Known};

const EXAMPLES: &str = "\
The exit status is 0 even if a host doesn't answer. To fail in that case, use wharf host check.

Examples:
  wharf host ls
  wharf host ls -o wide -l env=prod
  wharf host ls --watch
  wharf host ls --no-check -o name";

/// Arguments of `wharf host ls`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// List only the inventory, without contacting hosts
    #[arg(long)]
    no_check: bool,
    /// Go on with every change of the inventory, and of whether hosts answer, until Ctrl-C
    #[arg(long, conflicts_with = "no_check")]
    watch: bool,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Lists hosts.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let selector = targets.select(Access::Read)?;
    if args.watch {
        return super::watch::run(app, selector).await;
    }
    let printer = &app.printer;
    let connection = app.connect().await?;
    let hosts = super::inventory(&connection, selector.clone()).await?;
    if hosts.is_empty() {
        printer.note("no hosts; to add one, run: wharf host add NAME ADDRESS");
    }
    if printer.format == Format::Name {
        hosts.iter().for_each(|host| printer.data(&host.name));
        return Ok(());
    }
    let mut lost = None;
    let mut answers = super::Answers::new();
    if !args.no_check && !hosts.is_empty() {
        let (answered, report) = super::check(&connection, selector, targets.options()).await;
        let broken =
            |call: &CallReport| call.hosts.is_none() || !call.unfinished_hosts().is_empty();
        lost = report.calls.into_iter().find(broken).map(|call| call.end);
        answers = answered;
    }
    let known: Vec<Known> = hosts
        .into_iter()
        .map(|host| {
            let answer = answers.remove(&host.name);
            Known { host, answer }
        })
        .collect();
    if printer.is_json() {
        known.iter().for_each(|known| printer.data(&known.json()));
    } else {
        let rows: Vec<Vec<String>> = known.iter().map(Known::row).collect();
        let lines = table::render(COLUMNS, &rows, printer.format == Format::Wide, width());
        lines.iter().for_each(|line| printer.data(line));
        for known in &known {
            // The wide table has it in a column.
            if printer.format == Format::Table
                && let Some(error) = known.error()
            {
                failed_of(printer, &known.host.name, error);
            }
            for warning in known.warnings() {
                printer.note(&format!("{}: warning: {warning}", known.host.name));
            }
        }
    }
    match lost {
        None => Ok(()),
        Some(end) => {
            let why = end.map_or_else(
                || "the server's response ended early".to_owned(),
                |status| ErrorText::of_status(&status).line(),
            );
            printer.error(&format!("not every host was contacted: {why}"));
            Err(Failure::Hosts)
        }
    }
}
