//! `wharf rollout …`: rolling upgrades.
//!
//! - [`start`]: start, plan, and restart, from flags ([`policy`]) and files ([`merge`]).
//! - [`newer`]: `plan --newer`, what could be upgraded.
//! - [`follow`]: follows a rollout, drawn by [`screen`]; start, undo, and watch end there.
//! - [`steer`]: pause, resume, promote, and abort, with [`settle`] for `--wait`; [`undo`]; [`list`]: ls
//!   and history; [`show`]. [`terms`]: conditions and annotations of a new rollout.

mod follow;
mod list;
mod merge;
mod newer;
mod policy;
mod screen;
mod settle;
mod show;
mod start;
mod steer;
mod terms;
mod undo;

use std::time::Duration;

use wharf::v1::{GetRolloutRequest, ListRolloutsRequest, Rollout, RolloutState};

use crate::app::{App, Connection};
use crate::exit::Failure;
use crate::file;
use crate::view::rollouts::{is_over, short};

/// A plan queries every host, some more than once; a host that doesn't answer uses up its time
/// limit.
const PLANNING: Duration = Duration::from_secs(300);

/// How many of the newest rollouts to search for one that can be undone.
const UNDOABLE: u32 = 50;

/// The verbs.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Replace a container on many hosts, a few at a time
    Start(start::StartArgs),
    /// Show what `start` would do, and change nothing
    Plan(start::PlanArgs),
    /// List rollouts
    Ls(list::ListArgs),
    /// Show a rollout with all its hosts
    Show(show::Args),
    /// Follow a rollout
    Watch(follow::Args),
    /// Pause a rollout: start no further host
    Pause(steer::PauseArgs),
    /// Resume a paused rollout
    Resume(steer::ResumeArgs),
    /// Continue after the canary
    Promote(steer::PromoteArgs),
    /// Stop a rollout at the next safe point, and keep what is done
    Abort(steer::AbortArgs),
    /// Undo a rollout: restore the containers that it replaced
    Undo(undo::Args),
    /// Recreate a container with its current settings on many hosts, a few at a time
    Restart(start::RestartArgs),
    /// List the ended rollouts of a container
    History(list::HistoryArgs),
    /// Print the JSON Schema of rollout files, for editors
    #[command(hide = true)]
    Schema,
}

/// Runs a verb.
pub async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Start(args) => start::start(app, args).await,
        Command::Plan(args) => start::plan(app, args).await,
        Command::Ls(args) => list::list(app, args).await,
        Command::Show(args) => show::run(app, args).await,
        Command::Watch(args) => follow::watch(app, args).await,
        Command::Pause(args) => steer::pause(app, args).await,
        Command::Resume(args) => steer::resume(app, args).await,
        Command::Promote(args) => steer::promote(app, args).await,
        Command::Abort(args) => steer::abort(app, args).await,
        Command::Undo(args) => undo::run(app, args).await,
        Command::Restart(args) => start::restart(app, args).await,
        Command::History(args) => list::history(app, args).await,
        Command::Schema => {
            app.printer.text(file::schema::rollout().trim_end());
            Ok(())
        }
    }
}

/// Which rollout of a container to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newest {
    /// The newest.
    Any,
    /// The newest that has not ended.
    Open,
    /// The newest that has ended and whose changes have not been undone.
    Undoable,
}

/// Finds the ID of a rollout from an ID, its first digits, or the name of a container.
async fn resolve(connection: &Connection, given: &str, newest: Newest) -> Result<String, Failure> {
    // An unset variable in a script would produce an empty ID, which matches any container.
    if given.is_empty() {
        let message = "specify the ID of a rollout or a container; see: wharf rollout ls";
        return Err(Failure::Usage(message.to_owned()));
    }
    let digits = given.bytes().filter(|byte| *byte != b'-').count();
    let is_hex = given.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_hex && digits == 32 {
        return Ok(given.to_owned());
    }
    let states = match newest {
        Newest::Any => Vec::new(),
        Newest::Open => states(|state| !is_over(state)),
        Newest::Undoable => states(is_over),
    };
    let container = given.to_owned();
    let page_size = if newest == Newest::Undoable { UNDOABLE } else { 1 };
    let request = ListRolloutsRequest { page_size, container, states, ..Default::default() };
    let mut rollouts = connection.rollouts();
    let answer =
        connection.unary(request, async |request| rollouts.list_rollouts(request).await).await?;
    let changed = |rollout: &Rollout| rollout.counts.is_some_and(|counts| counts.succeeded > 0);
    let mut fitting = answer.rollouts.into_iter();
    let found = fitting.find(|rollout| newest != Newest::Undoable || changed(rollout));
    if let Some(rollout) = found {
        return Ok(rollout.id);
    }
    if newest == Newest::Undoable
        && let Some(open) = open_rollout(connection, given, "").await?
    {
        let id = short(&open.id);
        return Err(Failure::Usage(format!(
            "rollout {id} of container \"{}\" has not ended; to undo what it has changed, first run: wharf rollout abort {id}",
            given.escape_debug()
        )));
    }
    // As in docker, a name takes precedence over the first digits of an ID.
    if is_hex && (8..32).contains(&digits) {
        return Ok(given.to_owned());
    }
    let which = match newest {
        Newest::Any => "no rollout",
        Newest::Open => "no open rollout",
        Newest::Undoable => "no rollout that can be undone",
    };
    // Possibly an ID that is too short.
    let hint = if is_hex { "; an ID needs at least 8 digits" } else { "" };
    let given = given.escape_debug();
    Err(Failure::Usage(format!("container \"{given}\" has {which}{hint}; see: wharf rollout ls")))
}

/// The newest rollout that has not ended, of this container and with this host; empty: any.
pub async fn open_rollout(
    connection: &Connection,
    container: &str,
    host: &str,
) -> Result<Option<Rollout>, Failure> {
    let states = states(|state| !is_over(state));
    let (container, host) = (container.to_owned(), host.to_owned());
    let request =
        ListRolloutsRequest { page_size: 1, container, host, states, ..Default::default() };
    let mut rollouts = connection.rollouts();
    let answer =
        connection.unary(request, async |request| rollouts.list_rollouts(request).await).await?;
    Ok(answer.rollouts.into_iter().next())
}

/// The numbers of the states that match.
pub(crate) fn states(matches: impl Fn(RolloutState) -> bool) -> Vec<i32> {
    let all = (1..).map_while(|number| RolloutState::try_from(number).ok());
    all.filter(|state| matches(*state)).map(i32::from).collect()
}

/// A rollout with policy, plan and hosts.
async fn get(connection: &Connection, id: String) -> Result<Rollout, Failure> {
    let mut rollouts = connection.rollouts();
    let mut whole: Option<Rollout> = None;
    let mut page_token = String::new();
    loop {
        let request = GetRolloutRequest { id: id.clone(), page_token };
        let answer =
            connection.unary(request, async |request| rollouts.get_rollout(request).await).await?;
        let page = answer.rollout.ok_or_else(missing_rollout)?;
        match &mut whole {
            None => whole = Some(page),
            Some(whole) => {
                whole.steps.extend(page.steps);
                let hosts = page.plan.map(|plan| plan.hosts).unwrap_or_default();
                whole.plan.get_or_insert_default().hosts.extend(hosts);
            }
        }
        if answer.next_page_token.is_empty() {
            let mut whole = whole.ok_or_else(missing_rollout)?;
            if let Some(plan) = &mut whole.plan {
                plan.hosts.sort_by(|left, right| left.host.cmp(&right.host));
            }
            return Ok(whole);
        }
        page_token = answer.next_page_token;
    }
}

fn missing_rollout() -> Failure {
    Failure::Connection("the server's response contains no rollout; check whether wharf and wharfd have the same version".to_owned())
}
