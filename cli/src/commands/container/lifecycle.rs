//! `wharf start`, `stop`, `restart`, `kill`, `pause` and `unpause`: one shape, six calls.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use wharf::v1::{
    KillContainersRequest, PauseContainersRequest, RestartContainersRequest,
    StartContainersRequest, StopContainersRequest, UnpauseContainersRequest,
};

use super::Which;
use crate::app::App;
use crate::commands::{call, observe, request_id};
use crate::duration;
use crate::exit::Failure;
use crate::report::actions::Actions;
use crate::targets::Access;

/// Arguments of `wharf start`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf start -l env=prod web\n  wharf start web1/web web2/web")]
pub struct StartArgs {
    #[command(flatten)]
    which: Which,
}

/// Arguments of `wharf stop`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf stop -H web1,web2 web\n  wharf stop -t 60 web1/web")]
pub struct StopArgs {
    /// Seconds between the stop signal and SIGKILL [default: the container's own, or 10]
    #[arg(short = 't', long = "time", value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    time: Option<Duration>,
    /// Signal instead of the container's own; Engine API 1.42 and later
    #[arg(short, long, value_name = "SIGNAL", default_value = "", hide_default_value = true)]
    signal: String,
    #[command(flatten)]
    which: Which,
}

/// Arguments of `wharf restart`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf restart -A web")]
pub struct RestartArgs {
    /// Seconds between the stop signal and SIGKILL [default: the container's own, or 10]
    #[arg(short = 't', long = "time", value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    time: Option<Duration>,
    /// Signal instead of the container's own; Engine API 1.42 and later
    #[arg(short, long, value_name = "SIGNAL", default_value = "", hide_default_value = true)]
    signal: String,
    #[command(flatten)]
    which: Which,
}

/// Arguments of `wharf kill`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf kill -s HUP -l role=proxy proxy")]
pub struct KillArgs {
    /// Name or number of the signal [default: KILL]
    #[arg(short, long, value_name = "SIGNAL", value_parser = NonEmptyStringValueParser::new())]
    signal: Option<String>,
    #[command(flatten)]
    which: Which,
}

/// Arguments of `wharf pause`.
#[derive(clap::Args)]
pub struct PauseArgs {
    #[command(flatten)]
    which: Which,
}

/// Arguments of `wharf unpause`.
#[derive(clap::Args)]
pub struct UnpauseArgs {
    #[command(flatten)]
    which: Which,
}

/// Sends one request for each call, with the fields common to all six and those given.
macro_rules! act {
    ($app:expr, $which:expr, $method:ident, $request:ident { $($field:ident: $value:expr),* },
     $module:ident, $already:expr) => {{
        let (connection, calls) = $which.connect($app, Access::Write).await?;
        let fanout = $app.targets(&$which.targets).options();
        let calls = calls.into_iter().map(|call| {
            let request = $request {
                targets: Some(call.targets),
                fanout: Some(fanout),
                request_id: request_id(),
                containers: call.containers,
                $($field: $value),*
            };
            call!(connection, containers.$method, request)
        }).collect();
        let actions = Actions::new(&$app.printer, $already, |_, _, event| match event {
            wharf::v1::$module::Event::Item(item) => Some(item),
            _ => None,
        });
        observe($app, &connection, calls, actions).await
    }};
}

/// Starts containers.
pub async fn start(app: &App, args: StartArgs) -> Result<(), Failure> {
    act!(
        app,
        args.which,
        start_containers,
        StartContainersRequest {},
        start_containers_response,
        "already running"
    )
}

/// Stops containers.
pub async fn stop(app: &App, args: StopArgs) -> Result<(), Failure> {
    let timeout = args.time.map(duration::to_proto);
    act!(
        app,
        args.which,
        stop_containers,
        StopContainersRequest { timeout: timeout, signal: args.signal.clone() },
        stop_containers_response,
        "not running"
    )
}

/// Restarts containers.
pub async fn restart(app: &App, args: RestartArgs) -> Result<(), Failure> {
    let timeout = args.time.map(duration::to_proto);
    act!(
        app,
        args.which,
        restart_containers,
        RestartContainersRequest { timeout: timeout, signal: args.signal.clone() },
        restart_containers_response,
        "unchanged"
    )
}

/// Sends a signal.
pub async fn kill(app: &App, args: KillArgs) -> Result<(), Failure> {
    act!(
        app,
        args.which,
        kill_containers,
        KillContainersRequest { signal: args.signal.clone().unwrap_or_default() },
        kill_containers_response,
        "unchanged"
    )
}

/// Pauses containers.
pub async fn pause(app: &App, args: PauseArgs) -> Result<(), Failure> {
    act!(
        app,
        args.which,
        pause_containers,
        PauseContainersRequest {},
        pause_containers_response,
        "already paused"
    )
}

/// Resumes paused containers.
pub async fn unpause(app: &App, args: UnpauseArgs) -> Result<(), Failure> {
    act!(
        app,
        args.which,
        unpause_containers,
        UnpauseContainersRequest {},
        unpause_containers_response,
        "not paused"
    )
}

/// Whole seconds, bare or as a duration.
fn seconds(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text)?;
    if duration.subsec_nanos() != 0 {
        return Err("must be a whole number of seconds".to_owned());
    }
    Ok(duration)
}
