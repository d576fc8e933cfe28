//! `wharf host rm`.

use wharf::v1::RemoveHostRequest;

use crate::app::App;
use crate::commands::request_id;
use crate::exit::Failure;
use crate::report::host_failed;
use crate::status::ErrorText;

/// Arguments of `wharf host rm`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  wharf host rm web1 web2")]
pub struct Args {
    /// Names of the hosts
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Ignore unknown hosts
    #[arg(long)]
    allow_missing: bool,
}

/// Removes hosts from the inventory.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let connection = app.connect().await?;
    let single = args.names.len() == 1;
    let mut failed = false;
    for name in args.names {
        let request = RemoveHostRequest {
            name: name.clone(),
            allow_missing: args.allow_missing,
            request_id: request_id(),
        };
        let mut client = connection.hosts();
        match connection.unary(request, async |request| client.remove_host(request).await).await {
            Ok(_) if app.printer.is_json() => {
                app.printer.data(&crate::json::line(&name, serde_json::Map::new()));
            }
            Ok(_) => app.printer.data(&name),
            Err(Failure::Refused(status)) if !single => {
                failed = true;
                host_failed(&app.printer, &name, &ErrorText::of_status(&status));
            }
            Err(failure) => return Err(failure),
        }
    }
    if failed { Err(Failure::Hosts) } else { Ok(()) }
}
