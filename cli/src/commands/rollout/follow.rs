//! `wharf rollout watch`, and the last part of `start` and `undo`: follows a rollout until it
//! ends or its policy pauses it. After a restart of the server, the watch continues from its
//! cursor.

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

/// How long the server may be unreachable.
const PATIENCE: Duration = Duration::from_secs(300);

/// First and longest delay between two attempts to reach the server.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// How often to send a request for a rollout if the connection breaks each time.
const ATTEMPTS: usize = 5;

/// How long to wait for a plan before printing a note.
const LONG: Duration = Duration::from_secs(4);

/// Delay between two requests for a rollout that the server is still planning.
const AT_WORK: Duration = Duration::from_millis(500);

/// How often to redraw a live table while nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// Arguments of `wharf rollout watch`.
#[derive(clap::Args)]
#[command(
    after_help = "Ends when the rollout ends or its policy pauses it, with the exit status of\n\
    wharf rollout start. Ctrl-C stops watching, not the rollout."
)]
pub struct Args {
    /// ID, first digits of the ID, or name of the container
    #[arg(value_name = "ROLLOUT|CONTAINER")]
    rollout: String,
}

/// Why a watch ended.
pub enum End {
    /// The rollout needs no more watching.
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

/// Follows a rollout until it ends.
pub async fn follow(app: &App, mut connection: Connection, id: String) -> Result<(), Failure> {
    let back = short(&id).to_owned();
    *app.on_interrupt.borrow_mut() = Some(format!(
        "detached; the rollout continues; to follow it, run: wharf rollout watch {back}; to stop it, run: wharf rollout abort {back}"
    ));
    let mut screen = Screen::new(&app.printer);
    let mut cursor = None;
    while let End::Lost = once(&connection, &id, &mut cursor, &mut screen).await? {
        let then = format!("wharf rollout watch {back}");
        connection = reconnect(app, &then).await?;
    }
    screen.close();
    let mut rollout = screen.rollout().clone();
    // For a large rollout that is already at rest, the first message has only the first hosts.
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

/// Whether the error comes from the connection, or from a server that is stopping.
pub fn lost(status: Status) -> Result<End, Failure> {
    let error = ErrorText::of_status(&status);
    let of_the_way = error.reason.is_empty()
        && matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled);
    if status.code() == Code::Unavailable || of_the_way {
        return Ok(End::Lost);
    }
    Err(status.into())
}

/// Sends a request about a rollout until the server answers. If the connection breaks before the
/// answer, the request may or may not have been carried out; its ID prevents a second time.
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

/// Explains a long wait for a plan: a silent minute looks like a command that hangs.
pub async fn explained<T>(app: &App, answer: impl Future<Output = T>) -> T {
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        () = sleep(LONG) => {
            app.printer.note("planning takes a while: a host that doesn't answer can delay it by up to a minute");
            answer.await
        }
    }
}

fn is_lost(failure: &Failure) -> bool {
    let Failure::Refused(status) = failure else { return false };
    match ErrorText::of_status(status).reason.as_str() {
        // Only an error that tonic derives from a connection has a source.
        "" => std::error::Error::source(&**status).is_some(),
        reason => reason == "SERVER_STOPPING",
    }
}

/// Whether the server is still working on the request whose connection was lost.
fn is_at_work(failure: &Failure) -> bool {
    let Failure::Refused(status) = failure else { return false };
    ErrorText::of_status(status).reason == "REQUEST_IN_PROGRESS"
}

/// Reconnects. `then` is the command that shows the state of the rollout.
pub async fn reconnect(app: &App, then: &str) -> Result<Connection, Failure> {
    app.printer.note("connection to wharfd lost; reconnecting");
    let (mut wait, most) = RETRY;
    let began = Instant::now();
    loop {
        sleep(wait).await;
        match app.connect().await {
            Ok(connection) => return Ok(connection),
            Err(failure) if began.elapsed() >= PATIENCE => {
                let (seconds, why) = (PATIENCE.as_secs(), failure.lines().join("; "));
                return Err(Failure::Connection(format!(
                    "cannot reconnect to wharfd within {seconds} s ({why}); the rollout continues when wharfd is back; to follow it, run: {then}"
                )));
            }
            Err(_) => wait = (wait * 2).min(most),
        }
    }
}

/// Whether the rollout needs somebody to resume it. If somebody paused it on purpose, the
/// follower waits for them to resume it.
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
            printer.result(&sentence);
        }
    }
    if is_complete(rollout) { Ok(()) } else { Err(Failure::Hosts) }
}
