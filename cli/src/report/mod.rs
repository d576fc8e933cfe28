//! Reports a fan-out: observers that print responses as they arrive, and the final summary.
//!
//! - [`builds`]: output of builds, then one result for each host.
//! - [`events`]: what happens on hosts.
//! - [`listing`]: reads that fill a table.
//! - [`actions`]: writes on containers and images by name.
//! - [`logs`]: logs of containers.
//! - [`stats`]: what containers use.
//! - [`transfers`]: pull, push, and create, with progress.
//! - [`used`]: which image runs where.

pub mod actions;
pub mod builds;
pub mod events;
pub mod listing;
pub mod logs;
pub mod stats;
pub mod transfers;
pub mod used;

use tonic::Code;
use tonic_types::pb;
use wharf::v1::HostOutcome;

use crate::app::is_timeout;
use crate::exit::Failure;
use crate::fanout::{CallReport, Observer, Report};
use crate::json;
use crate::printer::Printer;
use crate::status::{ErrorText, code_name, is_ok};

/// Reports a failed host: on stdout for programs, on stderr for people.
pub fn host_failed(printer: &Printer, host: &str, error: &ErrorText) {
    if printer.is_json() {
        printer.data(&json::error_line(host, error));
    } else {
        failed_of(printer, host, error);
    }
}

/// Reports a failed host or item on stderr.
pub fn failed_of(printer: &Printer, what: &str, error: &ErrorText) {
    let mut lines = error.lines().into_iter();
    printer.error_of(what, &lines.next().unwrap_or_default());
    lines.for_each(|line| printer.stderr(&line));
}

/// Reports only the hosts that failed: for calls that are a part of something.
pub struct Failures<'a>(pub &'a Printer);

impl<E> Observer<E> for Failures<'_> {
    fn payload(&mut self, _host: &str, _event: E) {}

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        if let Some(error) = outcome_error(outcome) {
            host_failed(self.0, host, &error);
        }
    }
}

/// Reports a host that is away, or, with a time, back.
pub fn host_away(
    printer: &Printer,
    host: &str,
    why: Option<&pb::Status>,
    away: Option<&prost_types::Duration>,
) {
    match away {
        None => {
            let why = why.map(|status| ErrorText::of_rpc(status).message).unwrap_or_default();
            printer.warning(&format!("{host}: away, connecting again: {why}"));
        }
        Some(away) => {
            let seconds = crate::duration::milliseconds(away) / 1000.0;
            printer.note(&format!("{host}: back after {seconds:.1} s"));
        }
    }
}

/// The error of an outcome, unless it is success.
pub fn outcome_error(outcome: &HostOutcome) -> Option<ErrorText> {
    status_error(outcome.status.as_ref())
}

/// The error of a status, unless it is success.
pub fn status_error(status: Option<&pb::Status>) -> Option<ErrorText> {
    status.filter(|status| !is_ok(Some(status))).map(ErrorText::of_rpc)
}

/// Prints the summary after the last host, and turns it into the result of the command.
/// Failed hosts have already been reported.
pub fn finish(printer: &Printer, report: &Report) -> Result<(), Failure> {
    if report.abandoned {
        return Ok(());
    }
    if !report.was_begun()
        && let Some(status) = report.calls.iter().find_map(|call| call.end.clone())
    {
        return Err(refused(status));
    }
    let (mut succeeded, mut all) = (0, 0);
    for call in &report.calls {
        if !call.cordoned.is_empty() {
            let hosts = call.cordoned.join(", ");
            printer.warning(&format!(
                "cordoned and left out: {hosts}; to see why, run: wharf host ls; to include them, use --include-cordoned"
            ));
        }
        match &call.hosts {
            Some(hosts) => {
                succeeded += call.outcomes.values().filter(|o| is_ok(o.status.as_ref())).count();
                all += hosts.len();
            }
            // The server accepted another call of this command, but not this one.
            None => {
                all += 1;
                if let Some(status) = &call.end {
                    ErrorText::of_status(status)
                        .lines()
                        .iter()
                        .for_each(|line| printer.error(line));
                }
            }
        }
        report_unfinished(printer, call);
    }
    if succeeded == all {
        return Ok(());
    }
    if !printer.is_json() {
        printer.stderr(&format!("{succeeded} of {all} hosts succeeded"));
    }
    Err(Failure::Hosts)
}

fn refused(status: tonic::Status) -> Failure {
    if is_timeout(&status) {
        return Failure::Connection(
            "the server did not answer in time; to wait longer, use --timeout".to_owned(),
        );
    }
    status.into()
}

fn report_unfinished(printer: &Printer, call: &CallReport) {
    let hosts = call.unfinished_hosts();
    if hosts.is_empty() {
        return;
    }
    let why = match &call.end {
        Some(status) if is_timeout(status) => "the time limit of --timeout expired".to_owned(),
        Some(status) => format!(
            "the connection to the server ended: {} ({})",
            status.message(),
            code_name(status.code())
        ),
        None => "the server's response ended early".to_owned(),
    };
    let message = format!("result unknown: {why}; check the host before you retry");
    let error = ErrorText::local(Code::Unknown, "RESULT_UNKNOWN", message);
    hosts.iter().for_each(|host| host_failed(printer, host, &error));
}
