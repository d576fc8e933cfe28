//! Docker hosts: the server's inventory.

pub mod add;
pub mod check;
pub mod cordon;
pub mod import;
pub mod inspect;
pub mod label;
pub mod list;
pub mod remove;
pub mod uncordon;
mod watch;

use std::collections::BTreeMap;

use wharf::v1::check_hosts_response::Event;
use wharf::v1::host_selector::Selection;
use wharf::v1::{
    CheckHostsRequest, FanoutOptions, Host, HostOutcome, HostSelector, HostStatus, ListHostsRequest,
};

use crate::app::{App, Connection};
use crate::commands::call;
use crate::exit::Failure;
use crate::fanout::{self, Observer, Report};
use crate::json;
use crate::printer::Format;
use crate::report::outcome_error;
use crate::status::ErrorText;
use crate::targets::{Access, TargetArgs};
use crate::view;

/// `wharf host …`
#[derive(clap::Subcommand)]
pub enum Command {
    /// Add a host
    Add(add::Args),
    /// Remove hosts from the inventory; nothing changes on the hosts
    Rm(remove::Args),
    /// List hosts and whether they answer
    #[command(alias = "list")]
    Ls(list::Args),
    /// Show all details of hosts as JSON
    Inspect(inspect::Args),
    /// Set and remove host labels
    Label(label::Args),
    /// Leave hosts alone for a while: changes and new rollouts leave them out
    Cordon(cordon::Args),
    /// End the cordon of hosts
    Uncordon(uncordon::Args),
    /// Check whether hosts answer; fails if one does not
    Check(check::Args),
    /// Add the hosts of this machine's Docker contexts
    Import(import::Args),
}

/// Runs a verb of the group.
pub async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add::run(app, args).await,
        Command::Rm(args) => remove::run(app, args).await,
        Command::Ls(args) => list::run(app, args).await,
        Command::Inspect(args) => inspect::run(app, args).await,
        Command::Label(args) => label::run(app, args).await,
        Command::Cordon(args) => cordon::run(app, args).await,
        Command::Uncordon(args) => uncordon::run(app, args).await,
        Command::Check(args) => check::run(app, args).await,
        Command::Import(args) => import::run(app, args).await,
    }
}

/// The results of a check.
pub type Answers = BTreeMap<String, Result<HostStatus, ErrorText>>;

/// Checks whether hosts answer.
async fn check(
    connection: &Connection,
    targets: HostSelector,
    options: FanoutOptions,
) -> (Answers, Report) {
    let request = CheckHostsRequest { targets: Some(targets), fanout: Some(options) };
    let calls = vec![call!(connection, hosts.check_hosts, request)];
    let mut answers = Checked(Answers::new());
    let report = fanout::read(calls, connection.timeout(), &mut answers).await;
    (answers.0, report)
}

struct Checked(Answers);

impl Observer<Event> for Checked {
    fn payload(&mut self, host: &str, event: Event) {
        if let Event::Status(status) = event {
            self.0.insert(host.to_owned(), Ok(status));
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        if let Some(error) = outcome_error(outcome) {
            self.0.insert(host.to_owned(), Err(error));
        }
    }
}

/// All pages of the inventory.
pub async fn inventory(
    connection: &Connection,
    targets: HostSelector,
) -> Result<Vec<Host>, Failure> {
    let mut hosts = Vec::new();
    let mut page_token = String::new();
    // The server refuses a selection without hosts, but an inventory may be empty.
    let everything =
        matches!(targets.selection, Some(Selection::All(_))) && targets.exclude.is_empty();
    let targets = (!everything).then_some(targets);
    loop {
        let request = ListHostsRequest { page_size: 1000, page_token, targets: targets.clone() };
        let mut client = connection.hosts();
        let page =
            connection.unary(request, async |request| client.list_hosts(request).await).await?;
        hosts.extend(page.hosts);
        if page.next_page_token.is_empty() {
            return Ok(hosts);
        }
        page_token = page.next_page_token;
    }
}

/// The hosts of a verb that takes names, or else -H, -l, or -A.
fn chosen(app: &App, names: Vec<String>, targets: &TargetArgs) -> Result<HostSelector, Failure> {
    let mut targets = app.targets(targets);
    if !names.is_empty() {
        if !targets.is_empty() {
            return Err(Failure::usage("give the hosts either by name or with -H, -l, or -A"));
        }
        targets.host = names;
    }
    targets.select(Access::Write)
}

/// Prints the hosts of a changed cordon.
fn print_cordons(app: &App, hosts: &[Host], changed: &[String]) {
    let printer = &app.printer;
    for host in hosts {
        let is_changed = changed.contains(&host.name);
        match printer.format {
            Format::Json => {
                let mut fields = json::message(host);
                fields.insert("changed".to_owned(), is_changed.into());
                printer.data(&json::line(&host.name, fields));
            }
            Format::Name => printer.data(&host.name),
            Format::Table | Format::Wide => {
                let state = match &host.cordon {
                    Some(cordon) => view::hosts::cordon(cordon),
                    None => "not cordoned".to_owned(),
                };
                let before = if is_changed { "" } else { " (as before)" };
                printer.data(&format!("{}: {state}{before}", host.name));
            }
        }
    }
}

/// `KEY=VALUE` as typed; a bare key has an empty value.
fn labels(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::new();
    for label in given {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        if key.is_empty() {
            return Err(Failure::Usage(format!("label \"{}\" has no key", label.escape_debug())));
        }
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Failure::Usage(format!("label {key} is given twice")));
        }
    }
    Ok(labels)
}
