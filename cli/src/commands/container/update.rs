//! `wharf update`.

use std::path::PathBuf;

use wharf::v1::UpdateContainersRequest;
use wharf::v1::update_containers_response::Event;

use super::Which;
use crate::app::App;
use crate::commands::{call, observe, request_id};
use crate::exit::Failure;
use crate::report::actions::Actions;
use crate::spec::{body, values};
use crate::targets::Access;

const EXAMPLES: &str = "\
Examples:
  wharf update -m 512m --memory-swap 1g -l env=prod web
  wharf update --restart unless-stopped web1/web";

/// Arguments of `wharf update`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Restart policy: no, always, unless-stopped, on-failure[:MAXIMUM]
    #[arg(long, value_name = "POLICY", value_parser = values::restart_policy)]
    restart: Option<wharf::v1::RestartPolicy>,
    /// Memory limit, such as 512m
    #[arg(short, long, value_name = "BYTES", value_parser = values::bytes, allow_negative_numbers = true)]
    memory: Option<i64>,
    /// Limit of memory and swap together; -1 for unlimited swap
    #[arg(long, value_name = "BYTES", value_parser = values::bytes_or_unlimited, allow_negative_numbers = true)]
    memory_swap: Option<i64>,
    /// Soft memory limit
    #[arg(long, value_name = "BYTES", value_parser = values::bytes, allow_negative_numbers = true)]
    memory_reservation: Option<i64>,
    /// Number of CPUs, such as 1.5
    #[arg(long, value_name = "COUNT", value_parser = values::nano_cpus, allow_negative_numbers = true)]
    cpus: Option<i64>,
    /// CPU weight relative to other containers
    #[arg(short, long, value_name = "WEIGHT", allow_negative_numbers = true)]
    cpu_shares: Option<i64>,
    /// CPUs to run on, such as 0-2,5
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    cpuset_cpus: String,
    /// Maximum number of processes; -1 for unlimited
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// JSON body of the Engine's API, for settings without a flag; - reads stdin
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

/// Changes the limits of containers.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let engine =
        args.file.as_deref().map(body::read).transpose()?.map(body::Body::into_engine_json);
    let template = UpdateContainersRequest {
        fanout: Some(app.targets(&args.which.targets).options()),
        restart_policy: args.restart.clone(),
        memory_bytes: args.memory,
        memory_swap_bytes: args.memory_swap,
        memory_reservation_bytes: args.memory_reservation,
        nano_cpus: args.cpus,
        cpu_shares: args.cpu_shares,
        cpuset_cpus: args.cpuset_cpus.clone(),
        pids_limit: args.pids_limit,
        engine,
        ..UpdateContainersRequest::default()
    };
    let fanout = template.fanout;
    if template == (UpdateContainersRequest { fanout, ..UpdateContainersRequest::default() }) {
        return Err(Failure::usage("specify at least one change; see wharf update --help"));
    }
    let (connection, calls) = args.which.connect(app, Access::Write).await?;
    let calls = calls
        .into_iter()
        .map(|call| {
            let request = UpdateContainersRequest {
                targets: Some(call.targets),
                request_id: request_id(),
                containers: call.containers,
                ..template.clone()
            };
            call!(connection, containers.update_containers, request)
        })
        .collect();
    let actions = Actions::new(&app.printer, "unchanged", |printer, host, event| match event {
        Event::Item(item) => Some(item),
        Event::Warnings(warnings) => {
            for warning in warnings.warnings {
                printer.warning(&format!("{host}/{}: {warning}", warnings.name));
            }
            None
        }
        _ => None,
    });
    observe(app, &connection, calls, actions).await
}
