//! `wharf host rm`.

use wharf::v1::RemoveHostRequest;

use crate::app::{App, Connection};
use crate::commands::request_id;
use crate::commands::rollout::open_rollout;
use crate::exit::Failure;
use crate::report::host_failed;
use crate::status::ErrorText;
use crate::view::rollouts::short;

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
            Ok(_) => {
                let json = app.printer.is_json();
                let line = json.then(|| crate::json::line(&name, serde_json::Map::new()));
                app.printer.data(line.as_deref().unwrap_or(&name));
                warn_of_rollout(app, &connection, &name).await;
            }
            Err(Failure::Refused(status)) if !single => {
                failed = true;
                host_failed(&app.printer, &name, &ErrorText::of_status(&status));
            }
            Err(failure) => return Err(failure),
        }
    }
    if failed { Err(Failure::Hosts) } else { Ok(()) }
}

/// Warns of a rollout that cannot reach the host any more. The host is removed, so a failure to
/// find out is none of the command.
async fn warn_of_rollout(app: &App, connection: &Connection, name: &str) {
    if let Ok(Some(open)) = open_rollout(connection, "", name).await {
        let (id, container) = (short(&open.id), &open.container);
        app.printer.warning(&format!(
            "{name}: rollout {id} of container {container} has not ended and cannot reach the host \
             any more; add the host again, or run: wharf rollout abort {id}"
        ));
    }
}
