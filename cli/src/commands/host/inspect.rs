//! `wharf host inspect`.

use serde_json::Value;
use wharf::v1::GetHostRequest;

use crate::app::App;
use crate::exit::Failure;
use crate::printer::escaped;
use crate::report::failed_of;
use crate::status::ErrorText;
use crate::targets::{TargetArgs, named};
use crate::view::hosts::{self, Known};

/// Arguments of `wharf host inspect`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wharf host inspect web1 web2\n  wharf host inspect web1 -o json | jq .status"
)]
pub struct Args {
    /// Names of the hosts
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Shows hosts.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let printer = &app.printer;
    let connection = app.connect().await?;
    let mut hosts = Vec::new();
    for name in &args.names {
        let request = GetHostRequest { name: name.clone() };
        let mut client = connection.hosts();
        let response =
            connection.unary(request, async |request| client.get_host(request).await).await?;
        hosts.extend(response.host);
    }
    let options = TargetArgs::default().options();
    let (mut answers, _) = super::check(&connection, named(args.names), options).await;
    let mut shown: Vec<Value> = Vec::new();
    for host in hosts {
        let answer = answers.remove(&host.name);
        if let Some(Err(error)) = &answer
            && !printer.is_json()
        {
            failed_of(printer, &host.name, error);
        }
        let line = Known { host, answer }.json();
        if printer.is_json() {
            printer.data(&line);
        } else {
            shown.extend(serde_json::from_str::<Value>(&line));
        }
    }
    if !printer.is_json() {
        printer.text(&escaped(&serde_json::to_string_pretty(&shown).unwrap_or_default()));
    }
    Ok(())
}

/// One line about a newly added host.
pub fn reachability(
    name: &str,
    answer: Option<&Result<wharf::v1::HostStatus, ErrorText>>,
) -> Result<String, String> {
    match answer {
        Some(Ok(status)) => Ok(format!(
            "{name}: reachable, Engine {}, API {}",
            hosts::engine(status),
            status.api_version
        )),
        Some(Err(error)) => Err(format!("{name} was added, but doesn't answer: {}", error.line())),
        None => Err(format!(
            "{name} was added, but could not be checked; run wharf host check -H {name}"
        )),
    }
}
