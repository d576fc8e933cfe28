//! The verbs, one file each: arguments to request, request to calls, responses to a view.

pub mod completion;
pub mod container;
pub mod context;
pub mod events;
pub mod host;
pub mod image;
pub mod inspect;
pub mod login;
pub mod man;
pub mod network;
pub mod registry;
pub mod rollout;
pub mod system;
pub mod ui;
pub mod volume;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use wharf::fanout::FanoutResponse;
use wharf::v1::host_selector::Selection;
use wharf::v1::{Filter, HostSelector, ListHostsRequest};

use crate::app::{App, Connection};
use crate::args::Command;
use crate::exit::Failure;
use crate::fanout::{self, Observer, Opening};
use crate::moment;
use crate::report;
use crate::report::listing::{Listing, Look, View};
use crate::report::transfers::{Step, Transferred, Transfers};
use crate::targets::{Access, ContainerCall, TargetArgs, named};

/// A call to open: `call!(connection, containers.list_containers, message)`.
macro_rules! call {
    ($connection:expr, $service:ident.$method:ident, $message:expr) => {{
        let mut client = $connection.$service();
        let request = $connection.request($message);
        let opening: $crate::fanout::Opening<_> =
            Box::pin(async move { client.$method(request).await });
        opening
    }};
}
pub(crate) use call;

/// Runs a verb.
pub async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Host(command) => host::run(app, command).await,
        Command::Image(command) => image::run(app, command).await,
        Command::Container(command) => container::run(app, command).await,
        Command::Network(command) => network::run(app, *command).await,
        Command::Volume(command) => volume::run(app, command).await,
        Command::Rollout(command) => rollout::run(app, *command).await,
        Command::Registry(command) => registry::run(app, command).await,
        Command::Context(command) => context::run(app, command),
        Command::Ps(args) => container::list::run(app, args).await,
        Command::Images(args) => image::list::run(app, args).await,
        Command::Build(args) => image::build::run(app, args).await,
        Command::Pull(args) => image::pull::run(app, args).await,
        Command::Push(args) => image::push::run(app, args).await,
        Command::Tag(args) => image::tag::run(app, args).await,
        Command::Save(args) => image::save::run(app, args).await,
        Command::Load(args) => image::load::run(app, args).await,
        Command::Rmi(args) => image::remove::run(app, args).await,
        Command::Create(args) => container::create::create(app, args).await,
        Command::Run(args) => container::run::run(app, args).await,
        Command::Exec(args) => container::exec::run(app, args).await,
        Command::Attach(args) => container::attach::run(app, args).await,
        Command::Cp(args) => container::copy::run(app, args).await,
        Command::Start(args) => container::lifecycle::start(app, args).await,
        Command::Stop(args) => container::lifecycle::stop(app, args).await,
        Command::Restart(args) => container::lifecycle::restart(app, args).await,
        Command::Kill(args) => container::lifecycle::kill(app, args).await,
        Command::Pause(args) => container::lifecycle::pause(app, args).await,
        Command::Unpause(args) => container::lifecycle::unpause(app, args).await,
        Command::Rename(args) => container::rename::run(app, args).await,
        Command::Update(args) => container::update::run(app, args).await,
        Command::Wait(args) => container::wait::run(app, args).await,
        Command::Logs(args) => container::logs::run(app, args).await,
        Command::Stats(args) => container::stats::run(app, args).await,
        Command::Rm(args) => container::remove::run(app, args).await,
        Command::Inspect(args) => inspect::run(app, args).await,
        Command::Top(args) => container::top::run(app, args).await,
        Command::Changes(args) => container::changes::run(app, args).await,
        Command::Login(args) => login::login(app, args).await,
        Command::Logout(args) => login::logout(app, args).await,
        Command::Events(args) => events::run(app, args).await,
        Command::Info(args) => system::info(app, args).await,
        Command::Version(args) => system::version(app, args).await,
        Command::Df(args) => system::df(app, args).await,
        Command::Ui(args) => ui::run(app, &args).await,
        Command::Completion(args) => completion::run(app, &args),
        Command::Man(args) => man::run(app, &args),
    }
}

/// Reads calls and reports how they ended.
pub async fn observe<M: FanoutResponse>(
    app: &App,
    connection: &Connection,
    calls: Vec<Opening<M>>,
    mut observer: impl Observer<M::Event>,
) -> Result<(), Failure> {
    let report = fanout::read(calls, connection.timeout(), &mut observer).await;
    drop(observer);
    report::finish(&app.printer, &report)
}

/// Reads calls with one result per host, shows their progress, and reports how they ended.
pub async fn transfer<M, T, F>(
    app: &App,
    connection: &Connection,
    calls: Vec<Opening<M>>,
    extract: F,
) -> Result<(), Failure>
where
    M: FanoutResponse,
    T: Transferred,
    F: FnMut(M::Event) -> Option<Step<T>>,
{
    let mut transfers = Transfers::new(&app.printer, extract);
    let report = fanout::read(calls, connection.timeout(), &mut transfers).await;
    transfers.finish();
    report::finish(&app.printer, &report)
}

/// Reads a call whose responses fill a table.
pub async fn list<M, V, I, F>(
    app: &App,
    connection: &Connection,
    calls: Vec<Opening<M>>,
    extract: F,
) -> Result<(), Failure>
where
    M: FanoutResponse,
    V: View,
    I: IntoIterator<Item = V>,
    F: FnMut(&str, M::Event) -> I,
{
    list_as(app, Look::default(), connection, calls, extract).await
}

/// As [`list`], in another form.
pub async fn list_as<M, V, I, F>(
    app: &App,
    look: Look,
    connection: &Connection,
    calls: Vec<Opening<M>>,
    extract: F,
) -> Result<(), Failure>
where
    M: FanoutResponse,
    V: View,
    I: IntoIterator<Item = V>,
    F: FnMut(&str, M::Event) -> I,
{
    let mut listing = Listing::new(&app.printer, look, Timestamp::now(), extract);
    let report = fanout::read(calls, connection.timeout(), &mut listing).await;
    // A refused call has nothing to show, not even the title line of a table.
    if report.was_begun() {
        listing.finish();
    }
    report::finish(&app.printer, &report)
}

/// An ID that makes a write safe to retry.
pub fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// If a write becomes several calls: checks that all their hosts are known before the first
/// call changes anything.
pub async fn verify_hosts(connection: &Connection, calls: &[ContainerCall]) -> Result<(), Failure> {
    if calls.len() < 2 {
        return Ok(());
    }
    let mut names: Vec<String> = Vec::new();
    for call in calls {
        if let Some(Selection::Hosts(hosts)) = &call.targets.selection {
            names.extend(hosts.names.iter().cloned());
        }
    }
    let request =
        ListHostsRequest { page_size: 1, targets: Some(named(names)), ..Default::default() };
    let mut hosts = connection.hosts();
    connection.unary(request, async |request| hosts.list_hosts(request).await).await.map(drop)
}

/// The connection, and the calls for things that may be given as HOST/NAME; usage is checked before
/// the connection is made. `what` is what they are, such as "volume".
pub async fn connect_for(
    app: &App,
    targets: &TargetArgs,
    what: &str,
    names: &[String],
    access: Access,
) -> Result<(Connection, Vec<ContainerCall>), Failure> {
    let calls = targets.calls(what, names, access)?;
    let connection = app.connect().await?;
    if access == Access::Write {
        verify_hosts(&connection, &calls).await?;
    }
    Ok((connection, calls))
}

/// The hosts and the bare name of one thing that may be given as HOST/NAME.
pub fn one_call(
    targets: &TargetArgs,
    what: &str,
    name: &str,
    access: Access,
) -> Result<(HostSelector, String), Failure> {
    if name.contains('/') && !targets.is_empty() {
        return Err(Failure::Usage(format!(
            "the {what} already names its host; omit either HOST/ or -H, -l, and -A"
        )));
    }
    let mut calls = targets.calls(what, &[name.to_owned()], access)?;
    let call = calls.remove(0);
    Ok((call.targets, call.containers.into_iter().next().unwrap_or_default()))
}

/// Filters as typed, `KEY=VALUE` each; values of the same key are grouped.
pub fn filters(given: &[String]) -> Result<Vec<Filter>, Failure> {
    let mut by_key: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for filter in given {
        let (key, value) =
            filter.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
                Failure::Usage(format!("filter \"{}\" is not KEY=VALUE", filter.escape_debug()))
            })?;
        // docker writes label!=x for "without label x"; the Engine's key is `label!`.
        by_key.entry(key).or_default().push(value.to_owned());
    }
    Ok(by_key.into_iter().map(|(key, values)| Filter { key: key.to_owned(), values }).collect())
}

/// The flags `--since` and `--until`, for a request.
pub fn since_and_until(
    since: &Option<String>,
    until: &Option<String>,
) -> Result<(Option<prost_types::Timestamp>, Option<prost_types::Timestamp>), Failure> {
    let now = Timestamp::now();
    let time = |flag: &str, text: &Option<String>| {
        let Some(text) = text else { return Ok(None) };
        let time = moment::parse(text, now, &TimeZone::system());
        time.map(Some).map_err(|problem| Failure::Usage(format!("{flag}: {problem}")))
    };
    let (since, until) = (time("--since", since)?, time("--until", until)?);
    if let (Some(since), Some(until)) = (since, until)
        && until < since
    {
        return Err(Failure::Usage(format!("--until ({until}) is before --since ({since})")));
    }
    Ok((since.map(moment::to_proto), until.map(moment::to_proto)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_one_key_are_put_together() {
        let given = ["label=a=b", "status=running", "label=c", "label!=d"].map(str::to_owned);
        let filter = |key: &str, values: &[&str]| Filter {
            key: key.into(),
            values: values.iter().map(|&value| value.into()).collect(),
        };
        assert_eq!(
            filters(&given).unwrap(),
            [
                filter("label", &["a=b", "c"]),
                filter("label!", &["d"]),
                filter("status", &["running"])
            ]
        );
        assert!(filters(&["x".to_owned()]).is_err());
        assert!(filters(&["=x".to_owned()]).is_err());
    }
}
