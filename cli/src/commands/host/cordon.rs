//! `wharf host cordon`.

use wharf::v1::CordonHostsRequest;

use crate::app::App;
use crate::commands::request_id;
use crate::exit::Failure;
use crate::targets::TargetArgs;

const NOTES: &str = "\
Commands that change something on hosts, and new rollouts, leave cordoned hosts out and say so; for a \
cordoned host that is given by name, they fail, unless --include-cordoned is set. Commands that only read go \
to them as always, and rollouts that were started before go on. Nothing changes on the hosts.

Examples:
  wharf host cordon web1 --reason 'kernel upgrade'
  wharf host cordon -l rack=r7 --reason 'power maintenance'
  wharf host ls -o wide                    shows who cordoned a host, when, and why
  wharf host uncordon web1";

/// Arguments of `wharf host cordon`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// Names of the hosts, unless -H, -l, or -A selects them
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    /// Reason, in one line; refused calls and wharf host ls -o wide show it
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Cordons hosts.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = Some(super::chosen(app, args.hosts, &args.targets)?);
    let request = CordonHostsRequest { targets, reason: args.reason, request_id: request_id() };
    let connection = app.connect().await?;
    let mut client = connection.hosts();
    let response =
        connection.unary(request, async |request| client.cordon_hosts(request).await).await?;
    super::print_cordons(app, &response.hosts, &response.changed);
    Ok(())
}
