//! `wharf rollout show`.

use jiff::Timestamp;
use wharf::v1::Rollout;

use super::{Newest, get, resolve};
use crate::app::App;
use crate::exit::Failure;
use crate::json;
use crate::printer::{Format, Printer, width};
use crate::table;
use crate::view::rollouts::{
    HOST_COLUMNS, annotations, conclusion, headline, host_row, log_tail, reason, short, warnings,
};
use crate::view::units;

/// Arguments of `wharf rollout show`.
#[derive(clap::Args)]
#[command(after_help = "-o json shows everything: the plan, every parameter, and every host.")]
pub struct Args {
    /// ID, first digits of the ID, or name of the container
    #[arg(value_name = "ROLLOUT|CONTAINER")]
    rollout: String,
}

/// Shows a rollout.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let connection = app.connect().await?;
    let id = resolve(&connection, &args.rollout, Newest::Any).await?;
    let rollout = get(&connection, id).await?;
    match app.printer.format {
        Format::Json => {
            let line = serde_json::Value::Object(json::message(&rollout));
            app.printer.data(&line.to_string());
        }
        Format::Name => app.printer.data(&rollout.id),
        Format::Table | Format::Wide => print(&app.printer, &rollout),
    }
    Ok(())
}

fn print(printer: &Printer, rollout: &Rollout) {
    let now = Timestamp::now();
    printer.data(&headline(rollout));
    let plan = rollout.plan.as_ref();
    let digest = plan.map(|plan| plan.image_digest.as_str()).unwrap_or_default();
    let image_id = plan.map(|plan| plan.image_id.as_str()).unwrap_or_default();
    let begun = units::ago(rollout.created_at.as_ref(), now);
    let since = units::ago(rollout.state_since.as_ref(), now);
    let facts = [
        ("rollout", rollout.id.as_str()),
        ("digest", digest),
        ("image from", &rollout.image_from),
        ("image ID", image_id),
        ("created", &format!("{begun} by {}", rollout.created_by)),
        ("since", since.as_str()),
        ("reason", &reason(rollout)),
        ("undo of", &rollout.undo_of),
    ];
    for (name, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        printer.data(&format!("  {name:<10} {fact}"));
    }
    annotations(rollout).for_each(|pair| printer.data(&format!("  {:<10} {pair}", "annotation")));
    printer.data("");
    hosts(printer, rollout, now);
    let mut lines: Vec<String> = rollout.steps.iter().flat_map(warnings).collect();
    lines.extend(rollout.steps.iter().flat_map(log_tail));
    if !lines.is_empty() {
        printer.data("");
        lines.iter().for_each(|line| printer.data(line));
    }
    printer.note(&format!("{}: {}", short(&rollout.id), conclusion(rollout)));
}

fn hosts(printer: &Printer, rollout: &Rollout, now: Timestamp) {
    let rows: Vec<_> = rollout.steps.iter().map(|step| host_row(step, None, now)).collect();
    let wide = printer.format == Format::Wide;
    let lines = table::render(HOST_COLUMNS, &rows, wide, width());
    lines.iter().for_each(|line| printer.data(line));
}
