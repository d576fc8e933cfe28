//! Files from containers. Each host's archive is extracted in a thread of its own while it
//! arrives; a slow disk slows down the hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use serde_json::{Map, Value};
use tonic::Code;
use wharf::v1::download_archive_response::Event;
use wharf::v1::host_selector::Selection;
use wharf::v1::{
    DownloadArchiveRequest, FileKind, HostOutcome, HostSelector, PathStat, TransferProgress,
};

use super::stat::ask;
use super::{Options, Remote};
use crate::app::{App, Connection};
use crate::archive::place::{self, Kind};
use crate::archive::unpack::unpack;
use crate::commands::call;
use crate::exit::Failure;
use crate::fanout::{self, CallReport, Observer, Report};
use crate::json;
use crate::printer::{Printer, Stream};
use crate::progress::Progress;
use crate::report::{self, host_failed, outcome_error};
use crate::status::ErrorText;
use crate::targets::{TargetArgs, named};
use crate::view::units;

/// Pieces of an archive that wait for the disk, for each host.
const WAITING: usize = 2;

/// Copies to a local file or directory.
pub async fn run(
    app: &App,
    targets: &TargetArgs,
    from: Remote,
    to: &Path,
    options: Options,
) -> Result<(), Failure> {
    let wrong = |error: io::Error| Failure::Usage(format!("cannot use {}: {error}", to.display()));
    let (found, kind) = place::local(to).map_err(wrong)?;
    let above = place::clean(&found).parent().map(Path::to_owned).unwrap_or_default();
    let above = if above.as_os_str().is_empty() { PathBuf::from(".") } else { above };
    match kind {
        Kind::Missing if !above.is_dir() => {
            return Err(wrong(io::Error::other("the directory it is to be in does not exist")));
        }
        Kind::File if !from.one_host => {
            return Err(wrong(io::Error::other(
                "files of several hosts need a directory; or write HOST/CONTAINER",
            )));
        }
        _ => {}
    }
    let connection = app.connect().await?;
    let mut downloads = Downloads {
        printer: &app.printer,
        progress: Progress::new(&app.printer),
        source: PathBuf::from(&from.path),
        targets_of_links: BTreeMap::new(),
        container: from.container.clone(),
        to: found,
        each_host_apart: !from.one_host,
        options,
        hosts: BTreeMap::new(),
        waiting: BTreeSet::new(),
        failed: BTreeSet::new(),
    };
    let sources = sources(&connection, targets, &from, options).await;
    downloads.targets_of_links = sources.links();
    let report = read(&connection, targets, &from, sources, &mut downloads).await;
    downloads.progress.close();
    let failed = !downloads.failed.is_empty();
    drop(downloads);
    let finished = report::finish(&app.printer, &report);
    if failed { finished.and(Err(Failure::Hosts)) } else { finished }
}

/// Copies the archive of one host to standard output.
pub async fn to_stream(
    app: &App,
    targets: &TargetArgs,
    from: Remote,
    options: Options,
) -> Result<(), Failure> {
    if app.printer.is_json() {
        return Err(Failure::usage("a copy to - prints the archive as it is; omit -o json"));
    }
    if app.printer.is_terminal(Stream::Stdout) {
        return Err(Failure::usage(
            "standard output is a terminal; write the archive to a file, such as with > files.tar",
        ));
    }
    let connection = app.connect().await?;
    let mut archive = OneArchive { printer: &app.printer, hosts: Vec::new() };
    let sources = sources(&connection, targets, &from, options).await;
    let report = read(&connection, targets, &from, sources, &mut archive).await;
    match &*archive.hosts {
        [host, _, ..] => Err(Failure::Usage(format!(
            "a copy to - needs one container, but several hosts match; write HOST/CONTAINER, such as {host}/{}",
            from.container
        ))),
        _ => report::finish(&app.printer, &report),
    }
}

/// The paths to read, with their hosts.
struct Sources {
    paths: Vec<(String, HostSelector)>,
    /// How the hosts ended that have none.
    before: Option<CallReport>,
}

impl Sources {
    /// Where the links of the hosts lead to.
    fn links(&self) -> BTreeMap<String, PathBuf> {
        let mut links = BTreeMap::new();
        for (path, hosts) in self.paths.iter().filter(|_| self.before.is_some()) {
            if let Some(Selection::Hosts(hosts)) = &hosts.selection {
                links.extend(hosts.names.iter().map(|host| (host.clone(), path.into())));
            }
        }
        links
    }
}

/// What to read on each host: with `follow`, what the path leads to.
async fn sources(
    connection: &Connection,
    targets: &TargetArgs,
    from: &Remote,
    options: Options,
) -> Sources {
    let hosts = from.call.targets.clone();
    if !options.follow {
        return Sources { paths: vec![(from.path.clone(), hosts)], before: None };
    }
    let (mut report, stats) = ask(connection, targets, hosts, &from.container, &from.path).await;
    let mut by_path: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (host, stat) in stats {
        let is_link = stat.kind() == FileKind::Symlink && !stat.link_target.is_empty();
        let path = if is_link { stat.link_target } else { from.path.clone() };
        report.outcomes.remove(&host);
        report.hosts.iter_mut().for_each(|hosts| hosts.retain(|other| *other != host));
        by_path.entry(path).or_default().push(host);
    }
    let paths = by_path.into_iter().map(|(path, hosts)| (path, named(hosts))).collect();
    Sources { paths, before: Some(report) }
}

async fn read(
    connection: &Connection,
    targets: &TargetArgs,
    from: &Remote,
    sources: Sources,
    observer: &mut impl Observer<Event>,
) -> Report {
    let call = |(path, hosts)| {
        let request = DownloadArchiveRequest {
            targets: Some(hosts),
            fanout: Some(targets.options()),
            container: from.container.clone(),
            path,
        };
        call!(connection, files.download_archive, request)
    };
    if let Some(before) = &sources.before {
        before.outcomes.iter().for_each(|(host, outcome)| observer.outcome(host, outcome));
    }
    let calls: Vec<_> = sources.paths.into_iter().map(call).collect();
    let mut report = fanout::read(calls, connection.timeout(), observer).await;
    let failed_before = |report: &CallReport| {
        report.end.is_some() || report.hosts.as_ref().is_some_and(|hosts| !hosts.is_empty())
    };
    report.calls.extend(sources.before.filter(failed_before));
    report
}

/// The archive of one host.
struct OneArchive<'a> {
    printer: &'a Printer,
    hosts: Vec<String>,
}

impl Observer<Event> for OneArchive<'_> {
    fn started(&mut self, hosts: &[String]) {
        self.hosts.extend(hosts.iter().cloned());
    }

    fn payload(&mut self, _host: &str, event: Event) {
        if let Event::Chunk(chunk) = event
            && self.hosts.len() == 1
        {
            self.printer.raw(Stream::Stdout, &chunk);
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        if let Some(error) = outcome_error(outcome) {
            host_failed(self.printer, host, &error);
        }
    }

    fn is_done(&self) -> bool {
        self.hosts.len() > 1 || self.printer.is_closed()
    }
}

/// The archives of hosts on their way to local files.
struct Downloads<'a> {
    printer: &'a Printer,
    progress: Progress<'a>,
    source: PathBuf,
    /// What is read instead, where the source is a link.
    targets_of_links: BTreeMap<String, PathBuf>,
    container: String,
    to: PathBuf,
    each_host_apart: bool,
    options: Options,
    hosts: BTreeMap<String, Download>,
    /// Hosts without an outcome.
    waiting: BTreeSet<String>,
    /// Hosts whose files could not be written.
    failed: BTreeSet<String>,
}

/// The archive of one host on its way to local files.
struct Download {
    /// None once the thread does not need more.
    chunks: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<Result<u64, String>>>,
    to: PathBuf,
    progress: TransferProgress,
}

impl Download {
    /// Passes a piece on; waits for the disk. Returns whether the thread still takes it.
    fn take(&mut self, chunk: Vec<u8>) -> bool {
        self.progress.bytes_done += chunk.len() as u64;
        self.chunks.as_ref().is_some_and(|chunks| chunks.send(chunk).is_ok())
    }

    /// The bytes of all files, once they are written. `is_complete` says whether that was all.
    fn end(&mut self, is_complete: bool) -> Result<u64, String> {
        if let Some(chunks) = self.chunks.take()
            && is_complete
        {
            // An empty piece is the end; without it, the archive was interrupted.
            let _ = chunks.send(Vec::new());
        }
        let Some(thread) = self.thread.take() else { return Ok(0) };
        thread.join().unwrap_or_else(|_| Err("it failed unexpectedly".to_owned()))
    }
}

impl Drop for Download {
    /// After Ctrl-C: the thread removes the file that is not complete.
    fn drop(&mut self) {
        let _ = self.end(false);
    }
}

/// The pieces as one stream.
struct Chunks {
    receiver: Receiver<Vec<u8>>,
    chunk: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.chunk.read(buffer)?;
            if read > 0 || self.ended || buffer.is_empty() {
                return Ok(read);
            }
            let chunk = self.receiver.recv();
            let chunk = chunk.map_err(|_| io::Error::other("it was interrupted"))?;
            self.ended = chunk.is_empty();
            self.chunk = io::Cursor::new(chunk);
        }
    }
}

impl Downloads<'_> {
    /// Begins to extract what a host sends.
    fn begin(&self, host: &str, stat: &PathStat) -> Result<Download, String> {
        let is_directory = stat.kind() == FileKind::Directory;
        let (to, kind) = if self.each_host_apart {
            let own = self.to.join(host);
            std::fs::create_dir_all(&own)
                .map_err(|error| format!("cannot make {}: {error}", own.display()))?;
            (own, Kind::Directory)
        } else {
            place::local(&self.to).map_err(|error| error.to_string())?
        };
        let place = place::place(is_directory, &to, kind).map_err(|misfit| {
            let (from, to) = (self.source.display(), to.display());
            format!("cannot copy {from} to {to}: {misfit}")
        })?;
        let source = self.targets_of_links.get(host).unwrap_or(&self.source);
        let mut names = place::names(source, &place);
        if source != &self.source && names.renamed.is_none() {
            // What a link leads to gets the name of the link.
            names.renamed = place::clean(&self.source).file_name().map(ToOwned::to_owned);
        }
        let bytes_total =
            if is_directory { 0 } else { u64::try_from(stat.size_bytes).unwrap_or(0) };
        let (sender, receiver) = sync_channel(WAITING);
        let chunks = Chunks { receiver, chunk: io::Cursor::default(), ended: false };
        let keep_owners = self.options.keep_owners;
        let thread = std::thread::spawn(move || {
            let mut chunks = chunks;
            let bytes = unpack(&mut chunks, &place.directory, &names, keep_owners)
                .map_err(|error| error.to_string())?;
            // Behind the end of the archive there may be more, of which nothing is used.
            io::copy(&mut chunks, &mut io::sink()).map_err(|error| error.to_string())?;
            Ok(bytes)
        });
        let status = "Downloading".to_owned();
        let progress = TransferProgress { status, bytes_total, ..TransferProgress::default() };
        Ok(Download { chunks: Some(sender), thread: Some(thread), to, progress })
    }

    /// The files of a host cannot be written.
    fn fail(&mut self, host: &str, message: String) {
        self.hosts.remove(host);
        if self.failed.insert(host.to_owned()) {
            let error = ErrorText::local(Code::FailedPrecondition, "", message);
            host_failed(self.printer, host, &error);
        }
    }

    fn done(&self, host: &str, to: &Path, bytes: u64) {
        let path = self.source.display();
        if self.printer.is_json() {
            let mut fields = Map::new();
            fields.insert("container".to_owned(), self.container.clone().into());
            fields.insert("path".to_owned(), path.to_string().into());
            fields.insert("destination".to_owned(), to.display().to_string().into());
            fields.insert("sizeBytes".to_owned(), Value::from(bytes.to_string()));
            self.printer.data(&json::line(host, fields));
        } else {
            let (size, to) = (units::size(bytes as f64), to.display());
            let line = format!("{host}: copied {size} from {}:{path} to {to}", self.container);
            self.printer.note(&line);
        }
    }
}

impl Observer<Event> for Downloads<'_> {
    fn started(&mut self, hosts: &[String]) {
        self.progress.started(hosts.len());
        self.waiting.extend(hosts.iter().cloned());
    }

    fn payload(&mut self, host: &str, event: Event) {
        match event {
            Event::Stat(stat) => match self.begin(host, &stat) {
                Ok(download) => drop(self.hosts.insert(host.to_owned(), download)),
                Err(message) => self.fail(host, message),
            },
            Event::Chunk(chunk) => {
                let Some(download) = self.hosts.get_mut(host) else { return };
                if !chunk.is_empty() && !download.take(chunk) {
                    let message = download.end(false).err().unwrap_or_default();
                    return self.fail(host, message);
                }
                let TransferProgress { bytes_done, bytes_total, .. } = download.progress;
                // The archive is a little longer than the file in it.
                if bytes_total == 0 || bytes_done < bytes_total {
                    self.progress.update(host, &download.progress);
                }
            }
            _ => {}
        }
    }

    fn outcome(&mut self, host: &str, outcome: &HostOutcome) {
        self.waiting.remove(host);
        self.progress.ended(host, &[]);
        let error = outcome_error(outcome);
        if let Some(mut download) = self.hosts.remove(host) {
            match download.end(error.is_none()) {
                Ok(bytes) if error.is_none() => self.done(host, &download.to, bytes),
                Err(message) if error.is_none() => self.fail(host, message),
                _ => {}
            }
        }
        if let Some(error) = error {
            host_failed(self.printer, host, &error);
        }
    }

    /// Nothing more can be written.
    fn is_done(&self) -> bool {
        !self.waiting.is_empty() && self.waiting.is_subset(&self.failed)
    }
}
