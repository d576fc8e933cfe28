//! Files to containers. What is at the destination decides the names in the archive, so every host
//! is asked first; hosts that need the same archive get it in one call.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use tonic::Code;
use tonic_types::pb;
use wharf::v1::upload_archive_response::Event;
use wharf::v1::{
    FileKind, HostOutcome, PathStat, UploadArchiveRequest, UploadArchiveResponse, UploadedArchive,
};

use super::stat::ask;
use super::{Options, Remote};
use crate::app::{App, Connection};
use crate::archive::pack::pack;
use crate::archive::place::{self, Kind, Place, Source};
use crate::commands::call;
use crate::exit::Failure;
use crate::fanout::{self, CallReport, Opening, Report};
use crate::report::transfers::{Step, Transferred, Transfers};
use crate::report::{self, host_failed, outcome_error};
use crate::status::ErrorText;
use crate::table::Column;
use crate::targets::{TargetArgs, named};
use crate::upload::{self, Source as Watched};
use crate::view::units;

/// The reason of a path that does not exist.
const PATH_NOT_FOUND: &str = "PATH_NOT_FOUND";

type Call = Opening<UploadArchiveResponse>;

/// Copies a local file or directory.
pub async fn run(
    app: &App,
    targets: &TargetArgs,
    from: &Path,
    to: Remote,
    options: Options,
) -> Result<(), Failure> {
    let source = place::source(from, options.follow)
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", from.display())))?;
    let connection = app.connect().await?;
    let mut surveyed = survey(&connection, targets, &to).await;
    let Some(hosts) = surveyed.settle(app, from, &source) else {
        return report::finish(&app.printer, &surveyed.report);
    };
    let mut groups: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    for (host, place) in hosts {
        groups.entry(place).or_default().push(host);
    }
    let (mut calls, mut sources) = (Vec::new(), Vec::new());
    for (place, hosts) in groups {
        let first = UploadArchiveRequest {
            targets: Some(named(hosts)),
            fanout: Some(targets.options()),
            container: to.container.clone(),
            path: text(&place.directory),
            chunk: Vec::new(),
        };
        let root = place.renamed.or_else(|| source.name.clone());
        let archive = pack(source.clone(), root, options.keep_owners);
        let (messages, source) = upload::messages(first, text(from), archive);
        calls.push(call!(connection, files.upload_archive, messages));
        sources.push(source);
    }
    send(app, &connection, calls, sources, &to.path, surveyed.report).await
}

/// Extracts the archive on standard input.
pub async fn from_stream(app: &App, targets: &TargetArgs, to: Remote) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "standard input is a terminal; pass a tar archive, such as with: tar -c DIR | wharf cp - ...",
        ));
    }
    let connection = app.connect().await?;
    let first = UploadArchiveRequest {
        targets: Some(to.call.targets),
        fanout: Some(targets.options()),
        container: to.container,
        path: to.path.clone(),
        chunk: Vec::new(),
    };
    let input = std::io::stdin().as_fd().try_clone_to_owned();
    let input =
        input.map_err(|error| Failure::Usage(format!("cannot read standard input: {error}")))?;
    let input = tokio::fs::File::from_std(input.into());
    let path = to.path;
    let (messages, source) = upload::messages(first, "standard input".to_owned(), input);
    let calls = vec![call!(connection, files.upload_archive, messages)];
    send(app, &connection, calls, vec![source], &path, Report::default()).await
}

/// Makes the calls, and reports them together with the hosts that failed before.
async fn send(
    app: &App,
    connection: &Connection,
    calls: Vec<Call>,
    sources: Vec<Watched>,
    path: &str,
    before: Report,
) -> Result<(), Failure> {
    let hint = "interrupted; the last file may be incomplete on the hosts";
    app.on_interrupt.replace(Some(hint.to_owned()));
    let read = async {
        let mut transfers = Transfers::new(&app.printer, |event| match event {
            // Nothing moves any more: the host is about to answer.
            Event::Progress(progress) if progress.bytes_done == progress.bytes_total => None,
            Event::Progress(progress) => Some(Step::Progress(progress)),
            // As typed, and not the directory that the archive goes to.
            Event::Archive(archive) => {
                Some(Step::Result(UploadedArchive { path: path.to_owned(), ..archive }))
            }
            _ => None,
        });
        let report = fanout::read(calls, connection.timeout(), &mut transfers).await;
        transfers.finish();
        Ok::<_, Failure>(report)
    };
    let mut read: Pin<Box<dyn Future<Output = Result<Report, Failure>> + '_>> = Box::pin(read);
    for source in sources {
        read = Box::pin(source.watch(read));
    }
    let mut report = read.await?;
    report.calls.extend(before.calls);
    report::finish(&app.printer, &report)
}

/// What the hosts have at the destination.
#[derive(Default)]
struct Survey {
    /// The destination of each host that can be copied to, and what is there.
    found: BTreeMap<String, (PathBuf, Kind)>,
    /// The hosts that failed.
    report: Report,
}

/// Asks every host. A symbolic link is followed: what it leads to is the destination.
async fn survey(connection: &Connection, targets: &TargetArgs, to: &Remote) -> Survey {
    let mut survey = Survey::default();
    let mut links = BTreeMap::from([(to.path.clone(), to.call.targets.clone())]);
    // The Engine follows all links of a chain at once.
    for follow in [true, false] {
        let mut further: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (path, hosts) in std::mem::take(&mut links) {
            let (report, stats) = ask(connection, targets, hosts, &to.container, &path).await;
            survey.take(report, &stats, &path, follow.then_some(&mut further));
        }
        links = further.into_iter().map(|(path, hosts)| (path, named(hosts))).collect();
    }
    survey
}

impl Survey {
    /// Takes what a call brought. Hosts without an answer stay in the report.
    fn take(
        &mut self,
        mut report: CallReport,
        stats: &BTreeMap<String, PathStat>,
        path: &str,
        mut further: Option<&mut BTreeMap<String, Vec<String>>>,
    ) {
        let mut settle = |host: &str, kind| {
            self.found.insert(host.to_owned(), (PathBuf::from(path), kind));
        };
        report.outcomes.retain(|host, outcome| match (outcome_error(outcome), stats.get(host)) {
            (Some(error), _) if error.reason == PATH_NOT_FOUND => {
                settle(host, Kind::Missing);
                false
            }
            (Some(_), _) => true,
            (None, stat) => {
                let (kind, target) = stat.map_or((FileKind::Unspecified, ""), |stat| {
                    (stat.kind(), stat.link_target.as_str())
                });
                match (kind, &mut further) {
                    (FileKind::Directory, _) => settle(host, Kind::Directory),
                    (FileKind::Symlink, Some(further)) if !target.is_empty() => {
                        further.entry(target.to_owned()).or_default().push(host.to_owned());
                    }
                    (FileKind::Special, _) => settle(host, Kind::Special),
                    _ => settle(host, Kind::File),
                }
                false
            }
        });
        if let Some(hosts) = &mut report.hosts {
            let unfinished = |host: &String| {
                !self.found.contains_key(host)
                    && !further.iter().any(|it| it.values().any(|hosts| hosts.contains(host)))
            };
            hosts.retain(unfinished);
            if hosts.is_empty() && report.end.is_none() {
                return;
            }
        }
        self.report.calls.push(report);
    }

    /// Where each host gets the source; the others are reported. None: there is none.
    fn settle(&mut self, app: &App, from: &Path, source: &Source) -> Option<Vec<(String, Place)>> {
        for call in &self.report.calls {
            for (host, outcome) in &call.outcomes {
                if let Some(error) = outcome_error(outcome) {
                    host_failed(&app.printer, host, &error);
                }
            }
        }
        let (mut places, mut misfits) = (Vec::new(), CallReport::default());
        for (host, (path, kind)) in std::mem::take(&mut self.found) {
            match place::place(source.is_directory, &path, kind) {
                Ok(place) => places.push((host, place)),
                Err(misfit) => {
                    let (from, to) = (from.display(), path.display());
                    let message = format!("cannot copy {from} to {to}: {misfit}");
                    let error = ErrorText::local(Code::FailedPrecondition, "", message.clone());
                    host_failed(&app.printer, &host, &error);
                    let code = Code::FailedPrecondition.into();
                    let status = pb::Status { code, message, details: Vec::new() };
                    let outcome = HostOutcome { status: Some(status), ..HostOutcome::default() };
                    misfits.hosts.get_or_insert_default().push(host.clone());
                    misfits.outcomes.insert(host, outcome);
                }
            }
        }
        if misfits.hosts.is_some() {
            self.report.calls.push(misfits);
        }
        (!places.is_empty()).then_some(places)
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Transferred for UploadedArchive {
    const COLUMNS: &'static [Column] = &[];

    fn row(&self, _changed: bool) -> Vec<String> {
        Vec::new()
    }

    fn name(&self) -> &str {
        &self.container
    }

    fn line(&self, _changed: bool) -> String {
        format!(
            "copied {} to {}:{}",
            units::size(self.size_bytes as f64),
            self.container,
            self.path
        )
    }
}
