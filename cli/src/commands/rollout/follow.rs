//! `wharf rollout watch`, and what `start` and `undo` end with: following a rollout until it
//! has ended or its policy paused it. A server that restarts does not end it: the watch goes
//! on from its cursor.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tonic::{Code, Request, Status};
use wharf::v1::{PauseCause, Rollout, RolloutState, WatchCursor, WatchRolloutsRequest};

use super::screen::Screen;
use super::{Newest, get, resolve};
use crate::app::{App, Connection};
use crate::exit::Failure;
use crate::printer::{Format, width};
use crate::status::ErrorText;
use crate::view::rollout_hosts;
use crate::view::rollouts::{conclusion, is_complete, is_over, short};

/// How long a server may be away.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two attempts to reach it; grows to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// How often a rollout is asked for, where the server goes away each time.
const ATTEMPTS: usize = 5;

/// How long a plan may take without a word.
const LONG: Duration = Duration::from_secs(4);

/// Between two questions for a rollout that the server is still planning.
const AT_WORK: Duration = Duration::from_millis(500);

/// How often a live table is drawn while nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// Arguments of `wharf rollout watch`.
#[derive(clap::Args)]
#[command(
    after_help = "Ends when the rollout has ended or its policy has paused it, with the exit status of\n\
    wharf rollout start. Ctrl-C ends the watching and not the rollout."
)]
pub struct Args {
    /// ID, its first digits, or the container
    #[arg(value_name = "ROLLOUT|CONTAINER")]
    rollout: String,
}

/// How a watch ended.
pub enum End {
    /// There is nothing more to see.
    Over,
    /// The connection broke, or the server stopped.
    Lost,
}

/// Follows a rollout.
pub async fn watch(app: &App, args: Args) -> Result<(), Failure> {
    let connection = app.connect().await?;
    let id = resolve(&connection, &args.rollout, Newest::Any).await?;
    follow(app, connection, id).await
}

/// Follows a rollout to its end.
pub async fn follow(app: &App, mut connection: Connection, id: String) -> Result<(), Failure> {
    let back = short(&id).to_owned();
    *app.on_interrupt.borrow_mut() = Some(format!(
        "detached; the rollout goes on: wharf rollout watch {back} follows it, wharf rollout abort {back} stops it"
    ));
    let mut screen = Screen::new(&app.printer);
    let mut cursor = None;
    while let End::Lost = once(&connection, &id, &mut cursor, &mut screen).await? {
        let then = format!("wharf rollout watch {back}");
        connection = reconnect(app, &then).await?;
    }
    screen.close();
    let mut rollout = screen.rollout().clone();
    // Of a large rollout that is at rest already, the first message has the first hosts only.
    if !is_at_rest(&rollout) || is_partial(&rollout) {
        rollout = get(&connection, id).await?;
    }
    finish(app, &rollout)
}

async fn once(
    connection: &Connection,
    id: &str,
    cursor: &mut Option<WatchCursor>,
    screen: &mut Screen<'_>,
) -> Result<End, Failure> {
    let request = WatchRolloutsRequest {
        id: id.to_owned(),
        after: cursor.clone(),
        progress: screen.is_live(),
    };
    let mut stream = match connection.rollouts().watch_rollouts(Request::new(request)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return lost(status),
    };
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            message = stream.message() => match message {
                Ok(Some(message)) => {
                    if message.cursor.is_some() {
                        cursor.clone_from(&message.cursor);
                    }
                    screen.take(message);
                    if is_at_rest(screen.rollout()) {
                        return Ok(End::Over);
                    }
                }
                Ok(None) => return Ok(End::Over),
                Err(status) => return lost(status),
            },
            _ = tick.tick(), if screen.is_live() => screen.draw(),
        }
    }
}

/// Whether an error is one of the way to the server, or the server stopping.
pub fn lost(status: Status) -> Result<End, Failure> {
    let error = ErrorText::of_status(&status);
    let of_the_way = error.reason.is_empty()
        && matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled);
    if status.code() == Code::Unavailable || of_the_way {
        return Ok(End::Lost);
    }
    Err(status.into())
}

/// Asks for a rollout, or steers one, until there is an answer: where the server goes away before it
/// has answered, nobody knows whether it was done. The ID of the request keeps it from being done a
/// second time.
pub async fn until_answered<T: Clone, M>(
    app: &App,
    mut connection: Connection,
    request: T,
    call: impl AsyncFn(Connection, T) -> Result<M, Failure>,
) -> Result<(Connection, M), Failure> {
    let (began, mut losses) = (Instant::now(), 1);
    loop {
        match call(connection.clone(), request.clone()).await {
            Err(failure) if losses < ATTEMPTS && is_lost(&failure) => {
                losses += 1;
                connection = reconnect(app, "wharf rollout ls --open").await?;
            }
            Err(failure) if began.elapsed() < PATIENCE && is_at_work(&failure) => {
                sleep(AT_WORK).await;
            }
            answer => return answer.map(|answer| (connection, answer)),
        }
    }
}

/// Says why planning takes long, where it does: a silent minute looks like a command that hangs.
pub async fn explained<T>(app: &App, answer: impl Future<Output = T>) -> T {
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        () = sleep(LONG) => {
            app.printer.note("the plan takes a while: a host that does not answer is waited for, a minute at most");
            answer.await
        }
    }
}

fn is_lost(failure: &Failure) -> bool {
    let Failure::Refused(status) = failure else { return false };
    match ErrorText::of_status(status).reason.as_str() {
        // Only what tonic makes of a connection's error has a source.
        "" => std::error::Error::source(&**status).is_some(),
        reason => reason == "SERVER_STOPPING",
    }
}

/// Whether the server still works on the request whose connection was lost.
fn is_at_work(failure: &Failure) -> bool {
    let Failure::Refused(status) = failure else { return false };
    ErrorText::of_status(status).reason == "REQUEST_IN_PROGRESS"
}

/// Connects again. `then` is the command that shows what became of the rollout.
pub async fn reconnect(app: &App, then: &str) -> Result<Connection, Failure> {
    app.printer.note("no connection to wharfd; trying again");
    let (mut wait, most) = RETRY;
    let began = Instant::now();
    loop {
        sleep(wait).await;
        match app.connect().await {
            Ok(connection) => return Ok(connection),
            Err(failure) if began.elapsed() >= PATIENCE => {
                let (seconds, why) = (PATIENCE.as_secs(), failure.lines().join("; "));
                return Err(Failure::Connection(format!(
                    "wharfd did not come back within {seconds} s ({why}); a rollout goes on when it does: {then}"
                )));
            }
            Err(_) => wait = (wait * 2).min(most),
        }
    }
}

/// Whether it goes on only when somebody says so. A pause that somebody asked for is theirs to
/// end: who follows, waits.
fn is_at_rest(rollout: &Rollout) -> bool {
    let by_policy = !matches!(rollout.pause_cause(), PauseCause::Unspecified | PauseCause::User);
    is_over(rollout.state())
        || (rollout.state() == RolloutState::Paused && by_policy && rollout.settled)
}

/// Whether hosts are missing.
fn is_partial(rollout: &Rollout) -> bool {
    let all = rollout.counts.map_or(0, |counts| counts.total + counts.skipped);
    u32::try_from(rollout.steps.len()).is_ok_and(|known| known < all)
}

fn finish(app: &App, rollout: &Rollout) -> Result<(), Failure> {
    let printer = &app.printer;
    let sentence = format!("{}: {}", short(&rollout.id), conclusion(rollout));
    match printer.format {
        Format::Json => printer.stderr(&sentence),
        Format::Name => {
            printer.data(&rollout.id);
            printer.stderr(&sentence);
        }
        Format::Table | Format::Wide => {
            if !printer.quiet {
                let wide = printer.format == Format::Wide;
                let lines = rollout_hosts::at_rest(rollout, wide, width(), Timestamp::now());
                printer.data("");
                lines.iter().for_each(|line| printer.data(line));
                printer.data("");
            }
            printer.data(&sentence);
        }
    }
    if is_complete(rollout) { Ok(()) } else { Err(Failure::Hosts) }
}
