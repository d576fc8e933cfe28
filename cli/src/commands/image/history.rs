//! `wharf image history`.

use jiff::Timestamp;
use wharf::v1::get_image_history_response::Event;
use wharf::v1::{GetImageHistoryRequest, HostOutcome, ImageHistory};

use crate::app::App;
use crate::commands::call;
use crate::exit::Failure;
use crate::fanout::{self, Observer};
use crate::json;
use crate::printer::{Format, Printer, width};
use crate::report::{self, host_failed, outcome_error};
use crate::table::{self, Column};
use crate::targets::{Access, TargetArgs};
use crate::view::{short_id, units};

/// Layers have an order, so these rows are not sorted.
const COLUMNS: &[Column] = &[
    Column::new("HOST"),
    Column::new("IMAGE ID"),
    Column::new("CREATED"),
    Column::new("CREATED BY").shrinks(),
    Column::new("SIZE").number(),
    Column::new("TAGS").wide(),
    Column::new("COMMENT").wide().shrinks(),
];

/// Arguments of `wharf image history`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf image history -H web1 app:v1")]
pub struct Args {
    /// Image by reference or ID
    #[arg(value_name = "IMAGE")]
    image: String,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Shows the layers of an image.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let request = GetImageHistoryRequest {
        targets: Some(targets.select(Access::Read)?),
        fanout: Some(targets.options()),
        image: args.image,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, images.get_image_history, request)];
    let mut histories = Histories { printer: &app.printer, found: Vec::new() };
    let report = fanout::read(calls, connection.timeout(), &mut histories).await;
    histories.print(Timestamp::now());
    report::finish(&app.printer, &report)
}

struct Histories<'a> {
    printer: &'a Printer,
    found: Vec<(String, ImageHistory)>,
}

impl Observer<Event> for Histories<'_> {
    fn payload(&mut self, host: &str, event: Event) {
        let Event::History(history) = event else { return };
        if self.printer.is_json() {
            self.printer.data(&json::line(host, json::message(&history)));
        } else {
            self.found.push((host.to_owned(), history));
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        if let Some(error) = outcome_error(outcome) {
            host_failed(self.printer, host, &error);
        }
    }
}

impl Histories<'_> {
    fn print(&mut self, now: Timestamp) {
        self.found.sort_by(|left, right| left.0.cmp(&right.0));
        let row = |host: &String, layer: &wharf::v1::ImageLayer| {
            vec![
                host.clone(),
                short_id(&layer.id),
                units::ago(layer.created_at.as_ref(), now),
                layer.created_by.clone(),
                units::size(layer.size_bytes as f64),
                layer.tags.join(","),
                layer.comment.clone(),
            ]
        };
        let layers =
            self.found.iter().flat_map(|(host, h)| h.layers.iter().map(move |l| row(host, l)));
        let rows: Vec<Vec<String>> = layers.collect();
        if rows.is_empty() {
            return;
        }
        if self.printer.format == Format::Name {
            rows.iter().for_each(|row| self.printer.data(&format!("{}/{}", row[0], row[1])));
            return;
        }
        let wide = self.printer.format == Format::Wide;
        for line in table::render(COLUMNS, &rows, wide, width()) {
            self.printer.data(&line);
        }
    }
}
