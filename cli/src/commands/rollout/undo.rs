//! `wharf rollout undo`.

use wharf::v1::{RolloutPolicy, UndoRolloutRequest};

use super::policy::PolicyFlags;
use super::start::{begun, print_plan};
use super::terms::TermFlags;
use super::{Newest, PLANNING, follow, resolve};
use crate::app::App;
use crate::commands::request_id;
use crate::exit::Failure;

const NOTES: &str = "\
Restores the old containers that are still kept, and recreates the others from stored data. Only
hosts on the new version take part. An undo is a rollout of its own, with health gates and the
policy of the rollout that it undoes, without its canary and waves. Flags override that policy.

Examples:
  wharf rollout undo web
  wharf rollout undo 1a2b3c4d --max-parallel 100%";

/// Arguments of `wharf rollout undo`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// ID, first digits of the ID, or name of the container, to undo its newest rollout
    #[arg(value_name = "ROLLOUT|CONTAINER")]
    rollout: String,
    /// Show what would happen, and change nothing
    #[arg(long)]
    plan: bool,
    /// Return once the rollout has started
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    terms: TermFlags,
    #[command(flatten)]
    policy: Box<PolicyFlags>,
}

/// Undoes a rollout.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let mut policy = RolloutPolicy::default();
    args.policy.over(&mut policy);
    let connection = app.connect().await?;
    let id = resolve(&connection, &args.rollout, Newest::Undoable).await?;
    let request = UndoRolloutRequest {
        id,
        request_id: request_id(),
        validate_only: args.plan,
        policy: (policy != RolloutPolicy::default()).then_some(policy),
        expected_plan: args.terms.expect_plan.clone(),
        annotations: args.terms.annotations()?,
    };
    let (connection, answer) =
        follow::until_answered(app, connection, request, async |connection, request| {
            let mut rollouts = connection.rollouts();
            let call = async |request| rollouts.undo_rollout(request).await;
            follow::explained(app, connection.unary_within(PLANNING, request, call)).await
        })
        .await?;
    if args.plan {
        print_plan(app, answer.plan.as_ref());
        return Ok(());
    }
    begun(app, connection, answer.rollout, args.detach).await
}
