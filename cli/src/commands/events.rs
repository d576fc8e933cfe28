//! `wharf events`.

use wharf::v1::StreamEventsRequest;

use crate::app::{App, Connection};
use crate::commands::{call, filters, since_and_until};
use crate::exit::Failure;
use crate::fanout::CallReport;
use crate::printer::Format;
use crate::report::{self, events::Events};
use crate::resume::{self, remaining};
use crate::targets::{Access, TargetArgs};
use crate::template::Template;
use crate::view::events::FIELDS;

const NOTES: &str = "\
Each line has the time by the clock of the host, the host, and what happened, in docker's words. The \
stream goes on until --until or Ctrl-C. A host that is away, a restart of its Engine, and a restart of \
wharfd interrupt it but do not end it. An Engine keeps only its last 256 events, and none over a restart: \
where some may be missing, a warning says so.

Examples:
  wharf events                                    what happens on every host
  wharf events -l env=prod --filter event=die --filter event=oom
  wharf events -A --filter type=container --filter label=app=shop
  wharf events -H web1 --since 10m --until 0s     the last ten minutes, then end
  wharf events -o json | jq -r '.host + \" \" + .action'

Filters: type, event, container, image, label, network, volume, plugin, daemon, scope. All keys must \
match; of one key, any value, but for label all. A container is given by its whole name or its ID.

A time is a duration before now (10m), RFC 3339 (2026-01-31T12:00:00Z), a date, or seconds since 1970.";

/// Arguments of `wharf events`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// Also events from this time on, as far as the Engines still have them
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only events up to this time, then end
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only matching events, such as type=container, event=die, container=web; can be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show by a template, such as '{{.Host}} {{.Action}} {{.Actor.Attributes.name}}'
    #[arg(long, value_name = "TEMPLATE", value_parser = Template::parse)]
    format: Option<Template>,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Prints events.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    check_format(app, args.format.as_ref())?;
    let targets = app.targets(&args.targets);
    let (since, until) = since_and_until(&args.since, &args.until)?;
    if until.is_none() && targets.max_parallel.is_some() {
        return Err(Failure::usage(
            "--max-parallel needs --until: hosts that wait would never have their turn",
        ));
    }
    let selected = targets.select(Access::Read)?;
    let request = StreamEventsRequest {
        fanout: Some(targets.options()),
        filters: filters(&args.filter)?,
        since,
        until,
        ..StreamEventsRequest::default()
    };
    let connection = app.connect().await?;
    let mut events = Events::new(&app.printer, args.format);
    let open = |connection: &Connection, _: usize, report: &CallReport, events: &Events<'_>| {
        let after = events.positions().clone();
        let targets = Some(remaining(&selected, report));
        let request = StreamEventsRequest { targets, after, ..request.clone() };
        call!(connection, events.stream_events, request)
    };
    let report = resume::read(app, connection, 1, true, &mut events, open).await?;
    report::finish(&app.printer, &report)
}

/// Refuses a template that does not fit.
fn check_format(app: &App, template: Option<&Template>) -> Result<(), Failure> {
    match app.printer.format {
        Format::Table | Format::Json => {}
        _ => return Err(Failure::usage("events are shown as text, or with -o json")),
    }
    let Some(template) = template else { return Ok(()) };
    if app.printer.is_json() {
        return Err(Failure::usage("--format and -o exclude each other"));
    }
    if template.table {
        return Err(Failure::usage("--format: events have no table, because they do not end"));
    }
    match template.fields().into_iter().find(|field| !FIELDS.contains(field)) {
        None => Ok(()),
        Some(field) => Err(Failure::Usage(format!(
            "--format: there is no field .{}; there are .{}",
            field.escape_debug(),
            FIELDS.join(", .")
        ))),
    }
}
