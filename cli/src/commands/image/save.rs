//! `wharf save`: images of one host as an archive, in a file or on standard output.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use wharf::v1::save_images_response::Event;
use wharf::v1::{SaveImagesRequest, TransferProgress};

use crate::app::App;
use crate::exit::Failure;
use crate::printer::{Printer, Stream};
use crate::progress::Progress;
use crate::view::units;

const EXAMPLES: &str = "\
Writes an archive as docker save does. docker's -o FILE is -f FILE here. A file appears under its name
only when it is complete.

Examples:
  wharf save app:v2 --from web1 -f app.tar
  wharf save app:v2 db:v7 --from web1 | gzip > images.tar.gz";

/// Arguments of `wharf save`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Images by reference or ID; by its ID, an image has no name in the archive
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Host that has the images
    #[arg(short = 'H', long, visible_alias = "host", value_name = "HOST")]
    from: Option<String>,
    /// File to write [default: standard output, unless it is a terminal]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Where the archive goes.
enum Output<'a> {
    Stdout(&'a Printer),
    /// A device or a pipe.
    Special(File),
    File(NamedTempFile, PathBuf),
}

/// Saves images.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let host = match (args.from, &*app.targets.host) {
        (Some(host), _) => host,
        (None, [host]) => host.clone(),
        (None, _) => return Err(Failure::usage("specify the host to read from: --from HOST")),
    };
    let mut output = Output::open(&app.printer, args.file.as_deref())?;
    let request = SaveImagesRequest { host: host.clone(), images: args.images };
    let connection = app.connect().await?;
    let mut progress = Progress::new(&app.printer);
    progress.started(1);
    let mut messages =
        connection.images().save_images(connection.request(request)).await?.into_inner();
    let mut saved = TransferProgress { status: "Saving".to_owned(), ..Default::default() };
    while let Some(message) = messages.message().await? {
        let Some(Event::Chunk(chunk)) = message.event else { continue };
        output.write(&chunk)?;
        saved.bytes_done += chunk.len() as u64;
        progress.update(&host, &saved);
        if app.printer.is_closed() {
            return Ok(());
        }
    }
    progress.ended(&host, &[]);
    progress.close();
    if let Some(path) = output.finish()? {
        let size = units::size(saved.bytes_done as f64);
        app.printer.note(&format!("saved {size} to {}", path.display()));
    }
    Ok(())
}

impl<'a> Output<'a> {
    fn open(printer: &'a Printer, path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            if printer.is_terminal(Stream::Stdout) {
                return Err(Failure::usage(
                    "an archive is not for a terminal; use -f FILE, or send it through a pipe",
                ));
            }
            return Ok(Self::Stdout(printer));
        };
        let cannot =
            |error: io::Error| Failure::usage(format!("cannot write {}: {error}", path.display()));
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(cannot(io::ErrorKind::IsADirectory.into())),
            // Not to be replaced by a file.
            Ok(found) if !found.is_file() => {
                File::options().write(true).open(path).map(Self::Special).map_err(cannot)
            }
            _ => {
                // What a link points to stays the place of the archive.
                let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                let parent = path.parent().filter(|parent| *parent != Path::new(""));
                let directory = parent.unwrap_or(Path::new("."));
                let file = tempfile::Builder::new().prefix(".wharf-save-").tempfile_in(directory);
                // Its own text names the temporary file.
                let file = file.map_err(|error| cannot(error.kind().into()))?;
                Ok(Self::File(file, path))
            }
        }
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let written = match self {
            Self::Stdout(printer) => {
                printer.raw(Stream::Stdout, chunk);
                Ok(())
            }
            Self::Special(file) => file.write_all(chunk),
            Self::File(file, _) => file.write_all(chunk),
        };
        written.map_err(|error| Failure::Output(format!("cannot write the archive: {error}")))
    }

    /// Gives the file its name.
    fn finish(self) -> Result<Option<PathBuf>, Failure> {
        let Self::File(file, path) = self else { return Ok(None) };
        let named = file.persist(&path);
        named.map(|_| Some(path.clone())).map_err(|error| {
            Failure::Output(format!("cannot write {}: {}", path.display(), error.error))
        })
    }
}
