//! `wharf rollout ls` and `wharf rollout history`.

use std::num::NonZeroUsize;

use jiff::Timestamp;
use wharf::v1::{ListRolloutsRequest, Rollout};

use super::states;
use crate::app::App;
use crate::exit::Failure;
use crate::json;
use crate::printer::{Format, width};
use crate::table;
use crate::view::rollouts::{COLUMNS, is_over, row};

/// Rollouts in one page.
const PAGE: u32 = 200;

/// Arguments of `wharf rollout ls`.
#[derive(clap::Args)]
pub struct ListArgs {
    /// Only rollouts of this container
    #[arg(value_name = "CONTAINER", default_value = "", hide_default_value = true)]
    container: String,
    /// Only rollouts that have not ended
    #[arg(long)]
    open: bool,
    /// Only rollouts that include this host
    #[arg(short = 'H', long, value_name = "NAME", default_value = "", hide_default_value = true)]
    host: String,
    /// Only rollouts with these annotations, such as commit=4f2a1c or "ci in (a,b),!manual"
    #[arg(long = "annotation", value_name = "ANNOTATIONS")]
    annotations: Vec<String>,
    /// Maximum number to list, newest first
    #[arg(short = 'n', long, value_name = "COUNT")]
    limit: Option<NonZeroUsize>,
}

/// Arguments of `wharf rollout history`.
#[derive(clap::Args)]
pub struct HistoryArgs {
    /// Name of the container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Maximum number to list, newest first
    #[arg(short = 'n', long, value_name = "COUNT")]
    limit: Option<NonZeroUsize>,
}

/// Lists rollouts.
pub async fn list(app: &App, args: ListArgs) -> Result<(), Failure> {
    let states = if args.open { states(|state| !is_over(state)) } else { Vec::new() };
    let (container, host) = (args.container, args.host);
    // An unset variable in a script would produce an empty filter, which matches everything.
    if args.annotations.iter().any(String::is_empty) {
        return Err(Failure::usage("the annotation filter is empty; write KEY or KEY=VALUE"));
    }
    let annotations = args.annotations.join(",");
    let request =
        ListRolloutsRequest { container, host, states, annotations, ..Default::default() };
    let found = fetch(app, request, args.limit).await?;
    print(app, &found);
    Ok(())
}

/// Lists rollouts that have ended.
pub async fn history(app: &App, args: HistoryArgs) -> Result<(), Failure> {
    let (container, states) = (args.container, states(is_over));
    // An unset variable in a script would produce an empty name, which matches every container.
    let named = container.escape_debug().to_string();
    let none =
        || Failure::Usage(format!("container \"{named}\" has no rollout; see: wharf rollout ls"));
    if named.is_empty() {
        return Err(none());
    }
    let of =
        |states| ListRolloutsRequest { container: container.clone(), states, ..Default::default() };
    let found = fetch(app, of(states), args.limit).await?;
    // Without an ended rollout, an open one is enough; an unknown name is a mistake.
    if found.is_empty() && fetch(app, of(Vec::new()), NonZeroUsize::new(1)).await?.is_empty() {
        return Err(none());
    }
    print(app, &found);
    Ok(())
}

async fn fetch(
    app: &App,
    mut request: ListRolloutsRequest,
    limit: Option<NonZeroUsize>,
) -> Result<Vec<Rollout>, Failure> {
    let limit = limit.map_or(usize::MAX, NonZeroUsize::get);
    let connection = app.connect().await?;
    let mut found: Vec<Rollout> = Vec::new();
    loop {
        let left = limit - found.len();
        request.page_size = PAGE.min(u32::try_from(left).unwrap_or(u32::MAX));
        let mut rollouts = connection.rollouts();
        let page = connection
            .unary(request.clone(), async |request| rollouts.list_rollouts(request).await)
            .await?;
        found.extend(page.rollouts);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || found.len() >= limit {
            return Ok(found);
        }
    }
}

fn print(app: &App, found: &[Rollout]) {
    let printer = &app.printer;
    match printer.format {
        Format::Json => {
            for rollout in found {
                let line = serde_json::Value::Object(json::message(rollout));
                printer.data(&line.to_string());
            }
        }
        Format::Name => found.iter().for_each(|rollout| printer.data(&rollout.id)),
        format => {
            let now = Timestamp::now();
            let rows: Vec<_> = found.iter().map(|rollout| row(rollout, now)).collect();
            let lines = table::render(COLUMNS, &rows, format == Format::Wide, width());
            lines.iter().for_each(|line| printer.data(line));
        }
    }
}
