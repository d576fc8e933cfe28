//! `wharf logs`.

use std::collections::BTreeSet;

use wharf::v1::host_selector::Selection;
use wharf::v1::{OutputSource, StreamLogsRequest};

use crate::app::{App, Connection};
use crate::commands::{call, since_and_until};
use crate::exit::Failure;
use crate::fanout::CallReport;
use crate::report::{self, logs::Logs};
use crate::resume;
use crate::targets::{Access, ContainerCall, TargetArgs};

const NOTES: &str = "\
Lines of the containers' standard output go to stdout, lines of their standard error to stderr. With \
several containers or hosts, HOST/CONTAINER stands before each line. Times are those of the hosts.

With --follow, a host that is away, a restart of its Engine, and a restart of wharfd interrupt the logs \
but do not end them, and no line is lost or repeated. A container that is replaced by another one of the \
same name, as in a rollout, is followed into that one.

Examples:
  wharf logs web1/web
  wharf logs -f -l role=web web             one container on many hosts
  wharf logs -A --label app=shop --since 10m -t
  wharf logs -n 100 -o json web1/web | jq -r .line

A time is a duration before now (10m), RFC 3339 (2026-01-31T12:00:00Z), a date, or seconds since 1970.";

/// Arguments of `wharf logs`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// Continue with new lines until the containers stop
    #[arg(short, long)]
    follow: bool,
    /// Only lines from this time on
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only lines before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only so many lines at the end of each log [default: all]
    #[arg(short = 'n', long, value_name = "LINES", value_parser = parse_tail, allow_hyphen_values = true)]
    tail: Option<Tail>,
    /// Show the time of each line
    #[arg(short, long)]
    timestamps: bool,
    /// Only lines of this output
    #[arg(long, value_enum, value_name = "OUTPUT")]
    source: Option<Output>,
    /// Containers with this label, KEY or KEY=VALUE, instead of by name; can be repeated
    #[arg(long, value_name = "LABEL", conflicts_with = "containers")]
    label: Vec<String>,
    /// Show HOST/CONTAINER before each line, also for one container
    #[arg(long, overrides_with = "no_prefix")]
    prefix: bool,
    /// Never show HOST/CONTAINER
    #[arg(long, overrides_with = "prefix")]
    no_prefix: bool,
    /// Containers by name or ID, also as HOST/CONTAINER
    #[arg(required_unless_present = "label", value_name = "CONTAINER")]
    containers: Vec<String>,
    #[command(flatten)]
    targets: TargetArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Standard output
    Stdout,
    /// Standard error
    Stderr,
}

/// A number of lines; `None` is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tail(Option<u32>);

/// Prints logs.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let calls = if args.label.is_empty() {
        targets.calls("container", &args.containers, Access::Read)?
    } else {
        vec![ContainerCall { targets: targets.select(Access::Read)?, containers: Vec::new() }]
    };
    let request = request(app, &args, &targets)?;
    let connection = app.connect().await?;
    let prefix = !args.no_prefix && (args.prefix || !args.label.is_empty() || !is_one(&calls));
    let mut logs = Logs::new(&app.printer, prefix);
    let open = |connection: &Connection, index: usize, report: &CallReport, logs: &Logs<'_>| {
        let resumed = resumed(&request, &calls[index], report, logs);
        call!(connection, logs.stream_logs, resumed)
    };
    let report = resume::read(app, connection, calls.len(), request.follow, &mut logs, open).await;
    logs.finish();
    let report = report?;
    report::finish(&app.printer, &report)?;
    if logs.positions().is_empty() && !report.abandoned {
        let hosts: usize =
            report.calls.iter().filter_map(|call| call.hosts.as_ref()).map(Vec::len).sum();
        let (labels, hosts) = (args.label.join(", "), if hosts == 1 { "host" } else { "hosts" });
        app.printer.error(&format!(
            "no container with label {labels} on the selected {hosts}; to see labels, run: wharf ps -a -o json"
        ));
        return Err(Failure::Hosts);
    }
    Ok(())
}

/// What all calls ask for, without hosts and containers.
fn request(app: &App, args: &Args, targets: &TargetArgs) -> Result<StreamLogsRequest, Failure> {
    let (since, until) = since_and_until(&args.since, &args.until)?;
    if args.follow && targets.max_parallel.is_some() {
        return Err(Failure::usage(
            "--max-parallel cannot be used with --follow: hosts that wait would never have their turn",
        ));
    }
    let sources = args.source.map(|output| match output {
        Output::Stdout => OutputSource::Stdout.into(),
        Output::Stderr => OutputSource::Stderr.into(),
    });
    Ok(StreamLogsRequest {
        fanout: Some(targets.options()),
        labels: args.label.clone(),
        follow: args.follow,
        since,
        until,
        tail: args.tail.and_then(|tail| tail.0),
        sources: sources.into_iter().collect(),
        timestamps: args.timestamps || app.printer.is_json(),
        ..StreamLogsRequest::default()
    })
}

/// The request of a call that continues where an earlier one ended.
fn resumed(
    request: &StreamLogsRequest,
    call: &ContainerCall,
    report: &CallReport,
    logs: &Logs<'_>,
) -> StreamLogsRequest {
    let tail_is_zero = request.tail == Some(0);
    let after = logs.positions().iter().filter_map(|(place, (name, position))| {
        let (host, id) = place.split_once('/')?;
        let is_of_call = report.hosts.as_ref()?.iter().any(|of_call| of_call == host)
            && (call.containers.is_empty()
                || call.containers.iter().any(|it| it == name || id.starts_with(it.as_str())));
        // Without a line so far, the log was empty, unless nothing of it was asked for.
        let is_unread = position.stdout.is_none() && position.stderr.is_none();
        (is_of_call && !(is_unread && tail_is_zero)).then(|| (place.clone(), *position))
    });
    StreamLogsRequest {
        targets: Some(resume::remaining(&call.targets, report)),
        containers: call.containers.clone(),
        after: after.collect(),
        ..request.clone()
    }
}

/// Whether it is certain that there is one container on one host.
fn is_one(calls: &[ContainerCall]) -> bool {
    let [call] = calls else { return false };
    let hosts: BTreeSet<&String> = match &call.targets.selection {
        Some(Selection::Hosts(hosts)) => hosts.names.iter().collect(),
        _ => return false,
    };
    hosts.len() == 1 && call.containers.len() == 1
}

/// docker takes a negative number as all.
fn parse_tail(text: &str) -> Result<Tail, String> {
    if text == "all" {
        return Ok(Tail(None));
    }
    match text.parse::<i64>() {
        Ok(lines) if lines < 0 => Ok(Tail(None)),
        Ok(lines) => u32::try_from(lines)
            .map(|lines| Tail(Some(lines)))
            .map_err(|_| format!("must be at most {}", u32::MAX)),
        Err(_) => Err("must be a number of lines, or all".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_a_number_or_all() {
        assert_eq!(parse_tail("10"), Ok(Tail(Some(10))));
        assert_eq!(parse_tail("0"), Ok(Tail(Some(0))));
        assert_eq!(parse_tail("all"), Ok(Tail(None)));
        assert_eq!(parse_tail("-1"), Ok(Tail(None)));
        for text in ["abc", "", "1.5", "9999999999"] {
            assert!(parse_tail(text).is_err(), "{text}");
        }
    }
}
