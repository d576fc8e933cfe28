//! `wharf wait`.

use wharf::v1::wait_containers_response::Event;
use wharf::v1::{ContainerExit, HostOutcome, WaitCondition, WaitContainersRequest};

use super::Which;
use crate::app::App;
use crate::commands::call;
use crate::exit::{Failure, status_of};
use crate::fanout::{self, Observer};
use crate::json;
use crate::printer::Printer;
use crate::report::{self, failed_of, host_failed, outcome_error, status_error};
use crate::targets::Access;

const NOTES: &str = "\
Prints the exit status of the container and exits with it. With several containers or hosts, it \
prints HOST/CONTAINER and the status of each, and exits with 0 only if all are 0.

Examples:
  wharf wait web1/migration
  wharf wait --timeout 10m -l env=prod migration";

/// Arguments of `wharf wait`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// What to wait for
    #[arg(long, value_enum, default_value_t = Condition::NotRunning)]
    condition: Condition,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Condition {
    /// The container is not running; returns immediately if it is already stopped
    NotRunning,
    /// The container stops the next time
    NextExit,
    /// The container is removed
    Removed,
}

/// Waits for containers.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let (connection, calls) = args.which.connect(app, Access::Read).await?;
    let fanout = app.targets(&args.which.targets).options();
    let condition = match args.condition {
        Condition::NotRunning => WaitCondition::NotRunning,
        Condition::NextExit => WaitCondition::NextExit,
        Condition::Removed => WaitCondition::Removed,
    };
    let containers: usize = calls.iter().map(|call| call.containers.len()).sum();
    let calls = calls
        .into_iter()
        .map(|call| {
            let request = WaitContainersRequest {
                targets: Some(call.targets),
                fanout: Some(fanout),
                containers: call.containers,
                condition: condition.into(),
            };
            call!(connection, containers.wait_containers, request)
        })
        .collect();
    let mut exits =
        Exits { printer: &app.printer, containers, hosts: 0, codes: Vec::new(), reported: false };
    let report = fanout::read(calls, connection.timeout(), &mut exits).await;
    report::finish(&app.printer, &report)?;
    exits.end()
}

struct Exits<'a> {
    printer: &'a Printer,
    containers: usize,
    hosts: usize,
    codes: Vec<i64>,
    reported: bool,
}

impl Exits<'_> {
    fn single(&self) -> bool {
        self.containers == 1 && self.hosts == 1
    }

    fn exited(&mut self, host: &str, exit: &ContainerExit) {
        self.codes.push(exit.exit_code);
        if !exit.error.is_empty() {
            self.printer.warning(&format!("{host}/{}: {}", exit.name, exit.error));
        }
        if self.printer.is_json() {
            self.printer.data(&json::line(host, json::message(exit)));
        } else if self.single() {
            self.printer.data(&exit.exit_code.to_string());
        } else {
            self.printer.data(&format!("{host}/{}   {}", exit.name, exit.exit_code));
        }
    }

    fn end(&self) -> Result<(), Failure> {
        match &*self.codes {
            [code] if self.single() && *code != 0 => Err(Failure::Command(status_of(*code))),
            codes if codes.iter().any(|code| *code != 0) => Err(Failure::Hosts),
            _ => Ok(()),
        }
    }
}

impl Observer<Event> for Exits<'_> {
    fn started(&mut self, hosts: &[String]) {
        self.hosts += hosts.len();
    }

    fn payload(&mut self, host: &str, event: Event) {
        match event {
            Event::Exit(exit) => self.exited(host, &exit),
            Event::Item(item) => {
                if let Some(error) = status_error(item.status.as_ref()) {
                    self.reported = true;
                    if self.printer.is_json() {
                        let mut fields = json::message(&item);
                        json::status_as_error(&mut fields, item.status.as_ref());
                        self.printer.data(&json::line(host, fields));
                    } else {
                        failed_of(self.printer, &format!("{host}/{}", item.name), &error);
                    }
                }
            }
            _ => {}
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        let reported = std::mem::take(&mut self.reported);
        if let Some(error) = outcome_error(outcome)
            && !reported
        {
            host_failed(self.printer, host, &error);
        }
    }
}
