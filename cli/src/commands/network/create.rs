//! `wharf network create`.

use std::net::IpAddr;

use ipnet::IpNet;
use wharf::v1::create_network_response::Event;
use wharf::v1::{CreateNetworkRequest, CreatedNetwork};

use crate::app::App;
use crate::commands::{call, one_call, request_id, transfer};
use crate::exit::Failure;
use crate::report::transfers::{Step, Transferred};
use crate::spec::{pools, values};
use crate::table::Column;
use crate::targets::{Access, TargetArgs};

const NOTES: &str = "\
A host that already has a network of this name with these settings is left as it is. If a setting
differs, the command fails and names it. -o is the format of the output; options of the driver are
--opt only.

Examples:
  wharf network create -A front
  wharf network create -l env=prod --subnet 10.1.0.0/16 --gateway 10.1.0.1 --label team=web front
  wharf network create --driver macvlan --opt parent=eth1 --subnet 192.168.7.0/24 web1/lan";

/// Arguments of `wharf network create`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// Name of the network, also as HOST/NETWORK
    #[arg(value_name = "NETWORK")]
    name: String,
    /// Driver [default: bridge]
    #[arg(short, long, default_value = "", hide_default_value = true)]
    driver: String,
    /// Option of the driver; can be repeated
    #[arg(long = "opt", value_name = "KEY[=VALUE]", value_parser = values::key_and_value)]
    options: Vec<(String, String)>,
    /// Label of the network; can be repeated
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = values::key_and_value)]
    label: Vec<(String, String)>,
    /// Subnet, such as 10.1.0.0/16; can be repeated, such as for IPv6
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    subnet: Vec<IpNet>,
    /// Gateway of the subnet that it is in
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    gateway: Vec<IpAddr>,
    /// Part of a subnet from which containers get their addresses
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    ip_range: Vec<IpNet>,
    /// Address that the driver must not assign
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = pools::auxiliary)]
    aux_address: Vec<(String, IpAddr)>,
    /// No way out of the host
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    internal: Option<bool>,
    /// Let standalone containers connect to this Swarm network
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    attachable: Option<bool>,
    /// Enable IPv6
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    ipv6: Option<bool>,
    /// Driver that assigns addresses
    #[arg(long, value_name = "DRIVER", default_value = "", hide_default_value = true)]
    ipam_driver: String,
    /// Option of that driver; can be repeated
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = values::key_and_value)]
    ipam_opt: Vec<(String, String)>,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Creates a network.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let (selector, name) = one_call(&targets, "network", &args.name, Access::Write)?;
    let pools = pools::pools(&args.subnet, &args.ip_range, &args.gateway, &args.aux_address)
        .map_err(Failure::Usage)?;
    let request = CreateNetworkRequest {
        targets: Some(selector),
        fanout: Some(targets.options()),
        request_id: request_id(),
        name,
        driver: args.driver,
        options: args.options.into_iter().collect(),
        labels: args.label.into_iter().collect(),
        ipam_driver: args.ipam_driver,
        ipam_options: args.ipam_opt.into_iter().collect(),
        pools,
        internal: args.internal,
        attachable: args.attachable,
        enable_ipv6: args.ipv6,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, networks.create_network, request)];
    transfer(app, &connection, calls, |event| match event {
        Event::Network(network) => Some(Step::Result(network)),
        _ => None,
    })
    .await
}

impl Transferred for CreatedNetwork {
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

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
