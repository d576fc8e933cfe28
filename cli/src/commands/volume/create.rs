//! `wharf volume create`.

use wharf::v1::create_volume_response::Event;
use wharf::v1::{CreateVolumeRequest, CreatedVolume};

use crate::app::App;
use crate::commands::{call, one_call, request_id, transfer};
use crate::exit::Failure;
use crate::report::transfers::{Step, Transferred};
use crate::spec::values;
use crate::table::Column;
use crate::targets::{Access, TargetArgs};

const NOTES: &str = "\
A host that already has a volume of this name with these settings is left as it is. If a setting
differs, the command fails and names it. -o is the format of the output; options of the driver are
--opt only.

Examples:
  wharf volume create -A data
  wharf volume create --label team=web web1/data
  wharf volume create -l env=prod --opt type=nfs --opt o=addr=10.0.0.9,rw --opt device=:/export data";

/// Arguments of `wharf volume create`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// Name of the volume, also as HOST/VOLUME
    #[arg(value_name = "VOLUME")]
    name: String,
    /// Driver [default: local]
    #[arg(short, long, default_value = "", hide_default_value = true)]
    driver: String,
    /// Option of the driver; can be repeated
    #[arg(long = "opt", value_name = "KEY[=VALUE]", value_parser = values::key_and_value)]
    options: Vec<(String, String)>,
    /// Label of the volume; can be repeated
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = values::key_and_value)]
    label: Vec<(String, String)>,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Creates a volume.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let (selector, name) = one_call(&targets, "volume", &args.name, Access::Write)?;
    let request = CreateVolumeRequest {
        targets: Some(selector),
        fanout: Some(targets.options()),
        request_id: request_id(),
        name,
        driver: args.driver,
        options: args.options.into_iter().collect(),
        labels: args.label.into_iter().collect(),
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, volumes.create_volume, request)];
    transfer(app, &connection, calls, |event| match event {
        Event::Volume(volume) => Some(Step::Result(volume)),
        _ => None,
    })
    .await
}

impl Transferred for CreatedVolume {
    const COLUMNS: &'static [Column] = &[];

    fn row(&self, _changed: bool) -> Vec<String> {
        Vec::new()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn line(&self, _changed: bool) -> String {
        let line = if self.created { "created" } else { "already exists with these settings" };
        line.to_owned()
    }
}
