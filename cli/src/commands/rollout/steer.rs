//! `wharf rollout pause`, `resume`, `promote` and `abort`.

use wharf::v1::{
    AbortRolloutRequest, PauseCause, PauseRolloutRequest, PromoteRolloutRequest,
    ResumeRolloutRequest, Rollout,
};

use super::{Newest, follow, get, missing_rollout, resolve, settle};
use crate::app::App;
use crate::commands::request_id;
use crate::credentials;
use crate::exit::Failure;
use crate::json;
use crate::printer::Format;
use crate::view::rollouts::{headline, is_over, short};

const RESUME: &str = "to resume it, run: wharf rollout resume";
const PROMOTE: &str = "to continue after the canary, run: wharf rollout promote";
const FOLLOW: &str = "to follow it, run: wharf rollout watch";

/// An open rollout.
#[derive(clap::Args)]
struct Which {
    /// ID, first digits of the ID, or name of the container
    #[arg(value_name = "ROLLOUT|CONTAINER")]
    rollout: String,
    /// Fail if the rollout has changed since this revision
    #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
    expected_revision: u64,
}

/// Arguments of `wharf rollout pause`.
#[derive(clap::Args)]
#[command(after_help = "Hosts in progress finish first. While paused, deadlines don't advance.")]
pub struct PauseArgs {
    /// Return when no host is in progress
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    which: Which,
}

/// Arguments of `wharf rollout resume`.
#[derive(clap::Args)]
#[command(
    after_help = "Credentials for the registry of its image come from docker's configuration, as with\n\
    start, and replace those that came with it."
)]
pub struct ResumeArgs {
    #[command(flatten)]
    which: Which,
    /// Retry failed hosts, and reset the failure count
    #[arg(long)]
    retry_failed: bool,
}

/// Arguments of `wharf rollout promote`.
#[derive(clap::Args)]
pub struct PromoteArgs {
    #[command(flatten)]
    which: Which,
}

/// Arguments of `wharf rollout abort`.
#[derive(clap::Args)]
#[command(
    after_help = "Hosts in progress end on the new or the old version; finished hosts stay as they are. To\n\
    restore the old version there, run `wharf rollout undo` afterwards."
)]
pub struct AbortArgs {
    /// Return when no host is in progress
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    which: Which,
}

/// Sends one of the three other calls, which differ only in their types.
macro_rules! steer {
    ($app:ident, $which:expr, $wait:expr, $then:expr, $method:ident, $request:ident) => {{
        let connection = $app.connect().await?;
        let id = resolve(&connection, &$which.rollout, Newest::Open).await?;
        let expected_revision = $which.expected_revision;
        let request_id = request_id();
        let request = $request { id, expected_revision, request_id };
        let (connection, answer) =
            follow::until_answered($app, connection, request, async |connection, request| {
                let mut rollouts = connection.rollouts();
                connection.unary(request, async |request| rollouts.$method(request).await).await
            })
            .await?;
        let mut rollout = answer.rollout.ok_or_else(missing_rollout)?;
        if $wait {
            rollout = settle::wait($app, connection, rollout.id).await?;
        }
        print_next($app, &rollout, $then);
        Ok(())
    }};
}

/// Pauses a rollout.
pub async fn pause(app: &App, args: PauseArgs) -> Result<(), Failure> {
    steer!(app, args.which, args.wait, RESUME, pause_rollout, PauseRolloutRequest)
}

/// Resumes a paused rollout.
pub async fn resume(app: &App, args: ResumeArgs) -> Result<(), Failure> {
    let connection = app.connect().await?;
    let id = resolve(&connection, &args.which.rollout, Newest::Open).await?;
    // The credentials that came with `start` may have expired.
    let Rollout { image, image_from, .. } = get(&connection, id.clone()).await?;
    let credentials = match image.as_str() {
        "" => None,
        _ if !image_from.is_empty() => None,
        image => credentials::for_image(&app.printer, image).await,
    };
    let request = ResumeRolloutRequest {
        id,
        expected_revision: args.which.expected_revision,
        retry_failed: args.retry_failed,
        credentials,
        request_id: request_id(),
    };
    let (_, answer) =
        follow::until_answered(app, connection, request, async |connection, request| {
            let mut rollouts = connection.rollouts();
            let call = async |request| rollouts.resume_rollout(request).await;
            connection.unary(request, call).await
        })
        .await?;
    print_next(app, &answer.rollout.ok_or_else(missing_rollout)?, FOLLOW);
    Ok(())
}

/// Continues after the canary.
pub async fn promote(app: &App, args: PromoteArgs) -> Result<(), Failure> {
    steer!(app, args.which, false, FOLLOW, promote_rollout, PromoteRolloutRequest)
}

/// Stops at the next safe point.
pub async fn abort(app: &App, args: AbortArgs) -> Result<(), Failure> {
    steer!(app, args.which, args.wait, FOLLOW, abort_rollout, AbortRolloutRequest)
}

/// `then` is what to do next. It depends on the verb, not on the state of the rollout: when the
/// server answers, the request is stored but not yet carried out. Only a pause may have found that
/// the rollout already waits for something that `resume` does not give.
fn print_next(app: &App, rollout: &Rollout, then: &str) {
    let then = match rollout.pause_cause() {
        PauseCause::Promotion if then == RESUME => PROMOTE,
        _ => then,
    };
    match app.printer.format {
        Format::Json => {
            let line = serde_json::Value::Object(json::message(rollout));
            app.printer.result(&line.to_string());
        }
        Format::Name => app.printer.result(&rollout.id),
        Format::Table | Format::Wide => {
            let id = short(&rollout.id);
            app.printer.result(&format!("{id}: {}", headline(rollout)));
            if !is_over(rollout.state()) {
                app.printer.note(&format!("{then} {id}"));
            }
        }
    }
}
