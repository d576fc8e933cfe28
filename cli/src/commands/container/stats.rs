//! `wharf stats`.

use wharf::v1::StreamStatsRequest;

use crate::app::App;
use crate::commands::{call, observe};
use crate::exit::Failure;
use crate::printer::Format;
use crate::report::stats::Stats;
use crate::targets::{Access, ContainerCall, TargetArgs};
use crate::template::Template;
use crate::view::stats::FIELDS;

const NOTES: &str = "\
On a terminal, the table is redrawn every second until Ctrl-C. In a pipe, one table follows the other. \
The last line of each host with several containers is their sum. CPU % is of one processor, so a container \
can have more than 100%; memory does not include the part of the file cache that can be freed at once.

A host that is away interrupts its own lines, and continues when it is back.

Examples:
  wharf stats                          running containers of every host
  wharf stats --no-stream -l env=prod  once, on some hosts
  wharf stats web1/web web2/web        some containers
  wharf stats --no-stream -o json | jq -r 'select(.type == \"host\") | [.host, .usage.memoryBytes] | @tsv'";

/// Arguments of `wharf stats`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// Include containers that do not run
    #[arg(short, long)]
    all: bool,
    /// Measure once, which takes one or two seconds, and end
    #[arg(long)]
    no_stream: bool,
    /// Show by a template, such as '{{.Name}} {{.CPUPerc}}'; docs/cli.md says what it can have
    #[arg(long, value_name = "TEMPLATE", value_parser = Template::parse)]
    format: Option<Template>,
    /// Containers by name or ID, also as HOST/CONTAINER [default: all that run]
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Shows what containers use.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let calls = if args.containers.is_empty() {
        vec![ContainerCall { targets: targets.select(Access::Read)?, containers: Vec::new() }]
    } else {
        targets.calls("container", &args.containers, Access::Read)?
    };
    if !args.no_stream && targets.max_parallel.is_some() {
        return Err(Failure::usage(
            "--max-parallel needs --no-stream: hosts that wait would never have their turn",
        ));
    }
    if !args.no_stream && app.printer.format == Format::Name {
        return Err(Failure::usage("-o name needs --no-stream: names do not change every second"));
    }
    if let Some(template) = &args.format {
        if app.printer.format != Format::Table {
            return Err(Failure::usage("--format and -o exclude each other"));
        }
        if let Some(field) = template.fields().into_iter().find(|field| !FIELDS.contains(field)) {
            return Err(Failure::Usage(format!(
                "--format: there is no field .{}; there are .{}",
                field.escape_debug(),
                FIELDS.join(", .")
            )));
        }
    }
    let connection = app.connect().await?;
    let calls = calls.into_iter().map(|of_call| {
        let request = StreamStatsRequest {
            targets: Some(of_call.targets),
            fanout: Some(targets.options()),
            containers: of_call.containers,
            all: args.all,
            once: args.no_stream,
        };
        call!(connection, stats.stream_stats, request)
    });
    let calls = calls.collect();
    observe(app, &connection, calls, Stats::new(&app.printer, args.format, args.no_stream)).await
}
