//! Streams that are followed over restarts of the server: a call that is cut is opened again where it
//! ended, as soon as the server answers.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::{Code, Status};
use wharf::fanout::FanoutResponse;
use wharf::v1::HostSelector;
use wharf::v1::host_selector::Selection;

use crate::app::{App, Connection};
use crate::exit::Failure;
use crate::fanout::{self, CallReport, Observer, Opening, Report};
use crate::status::ErrorText;

/// How long the server may be unreachable.
const PATIENCE: Duration = Duration::from_secs(300);

/// First and longest delay between two attempts to reach it.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Reads `count` calls to their ends; with `is_followed`, also over restarts of the server. `open`
/// opens one, and continues it if it was read before: the call, what is known of it, and the observer.
pub async fn read<M, O>(
    app: &App,
    mut connection: Connection,
    count: usize,
    is_followed: bool,
    observer: &mut O,
    open: impl Fn(&Connection, usize, &CallReport, &O) -> Opening<M>,
) -> Result<Report, Failure>
where
    M: FanoutResponse,
    O: Observer<M::Event>,
{
    let mut whole = Report { calls: Vec::new(), abandoned: false };
    whole.calls.resize_with(count, CallReport::default);
    let mut left: Vec<usize> = (0..count).collect();
    loop {
        let opened =
            left.iter().map(|&index| open(&connection, index, &whole.calls[index], observer));
        let opened = opened.collect();
        let report = fanout::read(opened, connection.timeout(), observer).await;
        whole.abandoned = report.abandoned;
        let mut lost = Vec::new();
        for (&index, part) in left.iter().zip(report.calls) {
            let call = &mut whole.calls[index];
            call.outcomes.extend(part.outcomes);
            if call.hosts.is_none() {
                call.hosts = part.hosts;
            }
            let is_resumable = is_followed && call.hosts.is_some() && !is_settled(call);
            if is_resumable && part.end.as_ref().is_some_and(is_lost) {
                lost.push(index);
            } else {
                call.end = part.end;
            }
        }
        if lost.is_empty() || whole.abandoned {
            return Ok(whole);
        }
        left = lost;
        connection = reconnect(app).await?;
    }
}

/// Reads one stream over restarts of the server. `read` opens it where it ended before, and reads to its
/// end.
pub async fn follow(
    app: &App,
    mut read: impl AsyncFnMut(&Connection) -> Result<(), Status>,
) -> Result<(), Failure> {
    let mut connection = app.connect().await?;
    loop {
        match read(&connection).await {
            Ok(()) => return Ok(()),
            Err(status) if is_lost(&status) => connection = reconnect(app).await?,
            Err(status) => return Err(status.into()),
        }
    }
}

/// The hosts of a call without those that have ended.
pub fn remaining(targets: &HostSelector, report: &CallReport) -> HostSelector {
    let mut targets = targets.clone();
    match &mut targets.selection {
        Some(Selection::Hosts(hosts)) => {
            hosts.names.retain(|host| !report.outcomes.contains_key(host));
        }
        _ => targets.exclude.extend(report.outcomes.keys().cloned()),
    }
    targets
}

fn is_settled(call: &CallReport) -> bool {
    call.hosts.as_ref().is_some_and(|hosts| hosts.len() == call.outcomes.len())
}

/// Whether the error comes from the connection, or from a server that is stopping, and not from a
/// host.
pub fn is_lost(status: &Status) -> bool {
    let reason = ErrorText::of_status(status).reason;
    let of_the_way = matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled
    );
    reason == "SERVER_STOPPING" || reason.is_empty() && of_the_way
}

/// Waits until the server answers again.
async fn reconnect(app: &App) -> Result<Connection, Failure> {
    app.printer.warning("connection to wharfd lost; reconnecting");
    let ((mut wait, longest), began) = (RETRY, Instant::now());
    loop {
        sleep(wait).await;
        match app.connect().await {
            Ok(connection) => {
                app.printer.note("connected to wharfd again");
                return Ok(connection);
            }
            Err(failure) if began.elapsed() >= PATIENCE => {
                let (seconds, why) = (PATIENCE.as_secs(), failure.lines().join("; "));
                return Err(Failure::Connection(format!(
                    "cannot reconnect to wharfd within {seconds} s ({why})"
                )));
            }
            Err(_) => wait = (wait * 2).min(longest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_connection_is_tried_again() {
        assert!(is_lost(&Status::unavailable("broken pipe")));
        assert!(is_lost(&Status::unknown("h2 protocol error")));
        assert!(!is_lost(&Status::not_found("no such host")));
        assert!(!is_lost(&Status::deadline_exceeded("late")));
    }
}
