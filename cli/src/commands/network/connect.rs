//! `wharf network connect` and `wharf network disconnect`.

use std::net::{Ipv4Addr, Ipv6Addr};

use wharf::v1::{ConnectNetworkRequest, DisconnectNetworkRequest, HostSelector, NetworkAttachment};

use crate::app::App;
use crate::commands::{call, observe, one_call, request_id};
use crate::exit::Failure;
use crate::report::actions::Outcomes;
use crate::spec::values;
use crate::targets::{Access, TargetArgs};

const CONNECT_NOTES: &str = "\
A container that is already connected with these settings is left as it is.

Examples:
  wharf network connect front web1/web
  wharf network connect -l role=web --alias www front web
  wharf network connect --ip 10.1.0.7 front web1/web";

/// Arguments of `wharf network connect`.
#[derive(clap::Args)]
#[command(after_help = CONNECT_NOTES)]
pub struct ConnectArgs {
    #[command(flatten)]
    which: Which,
    /// IPv4 address in the network
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// IPv6 address in the network
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<Ipv6Addr>,
    /// MAC address in the network
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    mac_address: String,
    /// Additional name in the network; can be repeated
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// Other container, and its additional name in this container; can be repeated
    #[arg(long, value_name = "CONTAINER[:ALIAS]")]
    link: Vec<String>,
    /// Option of the network driver; can be repeated
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = values::key_and_value)]
    driver_opt: Vec<(String, String)>,
    /// Priority as the default gateway; the highest wins. Requires Engine API 1.48
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    gw_priority: Option<i32>,
}

/// Arguments of `wharf network disconnect`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wharf network disconnect front web1/web\n  wharf network disconnect -A front web"
)]
pub struct DisconnectArgs {
    #[command(flatten)]
    which: Which,
    /// Also remove what the network still has of a container that no longer exists
    #[arg(short, long)]
    force: bool,
}

#[derive(clap::Args)]
struct Which {
    /// Network by name or ID, also as HOST/NETWORK
    #[arg(value_name = "NETWORK")]
    network: String,
    /// Container by name or ID, also as HOST/CONTAINER
    #[arg(value_name = "CONTAINER")]
    container: String,
    #[command(flatten)]
    targets: TargetArgs,
}

impl Which {
    /// Hosts, network, and container. Either of the two may name the host, or both the same one.
    fn read(&self, targets: &TargetArgs) -> Result<(HostSelector, String, String), Failure> {
        let (network, container) = (self.network.as_str(), self.container.as_str());
        match (network.split_once('/'), container.split_once('/')) {
            (Some((host, network)), Some((other, _))) if host == other => {
                let (selector, container) =
                    one_call(targets, "container", container, Access::Write)?;
                Ok((selector, network.to_owned(), container))
            }
            (Some(_), Some(_)) => Err(Failure::usage(
                "network and container name different hosts; a container can only be connected to a network of its own host",
            )),
            (Some(_), None) => {
                let (selector, network) = one_call(targets, "network", network, Access::Write)?;
                Ok((selector, network, container.to_owned()))
            }
            (None, _) => {
                let (selector, container) =
                    one_call(targets, "container", container, Access::Write)?;
                Ok((selector, network.to_owned(), container))
            }
        }
    }
}

/// Connects a container.
pub async fn connect(app: &App, args: ConnectArgs) -> Result<(), Failure> {
    let targets = app.targets(&args.which.targets);
    let (selector, network, container) = args.which.read(&targets)?;
    let text = |address: Option<String>| address.unwrap_or_default();
    let attachment = NetworkAttachment {
        name: network,
        aliases: args.alias,
        ipv4_address: text(args.ip.map(|it| it.to_string())),
        ipv6_address: text(args.ip6.map(|it| it.to_string())),
        mac_address: args.mac_address,
        gateway_priority: args.gw_priority,
        driver_options: args.driver_opt.into_iter().collect(),
    };
    let request = ConnectNetworkRequest {
        targets: Some(selector),
        fanout: Some(targets.options()),
        request_id: request_id(),
        network: Some(attachment),
        container: container.clone(),
        links: args.link,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, networks.connect_network, request)];
    let outcomes = Outcomes::new(&app.printer, &container, "is already connected");
    observe(app, &connection, calls, outcomes).await
}

/// Disconnects a container.
pub async fn disconnect(app: &App, args: DisconnectArgs) -> Result<(), Failure> {
    let targets = app.targets(&args.which.targets);
    let (selector, network, container) = args.which.read(&targets)?;
    let request = DisconnectNetworkRequest {
        targets: Some(selector),
        fanout: Some(targets.options()),
        request_id: request_id(),
        network,
        container: container.clone(),
        force: args.force,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, networks.disconnect_network, request)];
    let outcomes = Outcomes::new(&app.printer, &container, "is not connected");
    observe(app, &connection, calls, outcomes).await
}
