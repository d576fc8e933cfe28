//! `wharf inspect`, and the output of every inspection: like docker, one JSON array with the
//! Engine's own objects, each with its host inserted first.

use serde_json::{Map, Value};
use wharf::fanout::FanoutResponse;
use wharf::v1::{EngineJson, HostOutcome, ItemResult};

use crate::app::{App, Connection};
use crate::commands::{container, image, network, volume};
use crate::exit::Failure;
use crate::fanout::{self, Observer, Opening};
use crate::json;
use crate::printer::{Format, Printer, escaped};
use crate::report::{self, failed_of, host_failed, outcome_error, status_error};
use crate::template::Template;

/// Arguments of `wharf inspect`.
#[derive(clap::Args)]
#[group(skip)]
#[command(
    after_help = "Examples:\n  wharf inspect web1/web\n  wharf inspect -H web1 web | jq '.[0].State'\n  wharf inspect --type image -A app:v1"
)]
pub struct Args {
    /// Kind of objects to inspect
    #[arg(long = "type", value_enum, default_value_t = Kind::Container)]
    kind: Kind,
    #[command(flatten)]
    container: container::inspect::Args,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Containers
    Container,
    /// Images
    Image,
    /// Networks
    Network,
    /// Volumes
    Volume,
}

/// One inspected object.
pub struct Details {
    /// Its name.
    pub name: String,
    /// The Engine's own JSON.
    pub engine: Option<EngineJson>,
    /// The whole message as JSON.
    pub fields: Map<String, Value>,
}

/// What a payload of an inspection contains.
pub enum Answer {
    /// An object.
    Details(Details),
    /// The result for one name.
    Item(ItemResult),
    /// Nothing of interest.
    Other,
}

/// Shows objects of any kind.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    match args.kind {
        Kind::Container => container::inspect::run(app, args.container).await,
        Kind::Image => {
            let which = args.container.which;
            let format = args.container.format;
            let args =
                image::inspect::Args { images: which.containers, format, targets: which.targets };
            image::inspect::run(app, args).await
        }
        Kind::Network => {
            let container::inspect::Args { which, format, .. } = args.container;
            let (networks, targets) = (which.containers, which.targets);
            network::inspect::run(app, network::inspect::Args { networks, format, targets }).await
        }
        Kind::Volume => {
            let container::inspect::Args { which, format, .. } = args.container;
            let (volumes, targets) = (which.containers, which.targets);
            volume::inspect::run(app, volume::inspect::Args { volumes, format, targets }).await
        }
    }
}

/// Refuses a template beside another format.
pub fn check_format(app: &App, template: Option<&Template>) -> Result<(), Failure> {
    if template.is_some() && app.printer.format != Format::Table {
        return Err(Failure::usage("--format and -o exclude each other"));
    }
    Ok(())
}

/// Reads calls and prints the inspected objects.
pub async fn show<M: FanoutResponse>(
    app: &App,
    connection: &Connection,
    calls: Vec<Opening<M>>,
    template: Option<Template>,
    extract: impl FnMut(M::Event) -> Answer,
) -> Result<(), Failure> {
    let printer = &app.printer;
    let mut inspection =
        Inspection { printer, template, extract, found: Vec::new(), failed: Vec::new() };
    let report = fanout::read(calls, connection.timeout(), &mut inspection).await;
    if report.calls.iter().any(|call| call.hosts.is_some()) {
        inspection.print();
    }
    report::finish(&app.printer, &report)
}

struct Inspection<'a, F> {
    printer: &'a Printer,
    template: Option<Template>,
    extract: F,
    found: Vec<(String, String, Value)>,
    failed: Vec<String>,
}

impl<F> Inspection<'_, F> {
    fn print(&mut self) {
        self.found.sort_by(|left, right| (&left.0, &left.1).cmp(&(&right.0, &right.1)));
        if let Some(template) = &self.template {
            for (_, _, value) in &self.found {
                self.printer.text(&template.render(value));
            }
            return;
        }
        match self.printer.format {
            Format::Json => {}
            Format::Name => {
                for (host, name, _) in &self.found {
                    self.printer.data(&format!("{host}/{name}"));
                }
            }
            Format::Table | Format::Wide => {
                let all: Vec<Value> = self.found.drain(..).map(|(_, _, value)| value).collect();
                let text = serde_json::to_string_pretty(&all).unwrap_or_default();
                self.printer.text(&escaped(&text));
            }
        }
    }

    fn details(&mut self, host: &str, details: Details) {
        if self.printer.is_json() {
            self.printer.data(&json::line(host, details.fields));
            return;
        }
        let text = details.engine.map(|engine| engine.json).unwrap_or_default();
        let mut object = Map::from_iter([("Host".to_owned(), Value::from(host))]);
        match serde_json::from_str(&text) {
            Ok(Value::Object(engine)) => object.extend(engine),
            // The server forwards what an Engine sent; anything other than an object is still
            // shown.
            _ => drop(object.insert("Raw".to_owned(), text.into())),
        }
        self.found.push((host.to_owned(), details.name, object.into()));
    }
}

impl<E, F: FnMut(E) -> Answer> Observer<E> for Inspection<'_, F> {
    fn payload(&mut self, host: &str, event: E) {
        match (self.extract)(event) {
            Answer::Details(details) => self.details(host, details),
            Answer::Item(item) => {
                let Some(error) = status_error(item.status.as_ref()) else { return };
                self.failed.push(host.to_owned());
                if self.printer.is_json() {
                    let mut fields = json::message(&item);
                    json::status_as_error(&mut fields, item.status.as_ref());
                    self.printer.data(&json::line(host, fields));
                } else {
                    failed_of(self.printer, &format!("{host}/{}", item.name), &error);
                }
            }
            Answer::Other => {}
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        if let Some(error) = outcome_error(outcome)
            && !self.failed.iter().any(|failed| failed == host)
        {
            host_failed(self.printer, host, &error);
        }
    }
}
