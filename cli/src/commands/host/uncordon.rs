//! `wharf host uncordon`.

use wharf::v1::UncordonHostsRequest;

use crate::app::App;
use crate::commands::request_id;
use crate::exit::Failure;
use crate::targets::TargetArgs;

/// Arguments of `wharf host uncordon`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wharf host uncordon web1 web2\n  wharf host uncordon -l rack=r7"
)]
pub struct Args {
    /// Names of the hosts, unless -H, -l, or -A selects them
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Ends the cordon of hosts.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = Some(super::chosen(app, args.hosts, &args.targets)?);
    let request = UncordonHostsRequest { targets, request_id: request_id() };
    let connection = app.connect().await?;
    let mut client = connection.hosts();
    let response =
        connection.unary(request, async |request| client.uncordon_hosts(request).await).await?;
    super::print_cordons(app, &response.hosts, &response.changed);
    Ok(())
}
