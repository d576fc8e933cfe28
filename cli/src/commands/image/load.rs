//! `wharf load`: an archive of `docker save`, loaded on many hosts.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncRead;
use wharf::v1::load_images_response::Event;
use wharf::v1::{ImageArrival, LoadImagesRequest, LoadedImage};

use crate::app::App;
use crate::commands::{call, transfer};
use crate::exit::Failure;
use crate::report::transfers::{Step, Transferred};
use crate::table::Column;
use crate::targets::{Access, TargetArgs};
use crate::upload;
use crate::view::short_id;

const EXAMPLES: &str = "\
Reads an archive of wharf save or docker save once and loads it on every selected host. It may be
compressed with gzip, bzip2, xz, or zstd. Ctrl-C cancels the loads that are not complete.

Examples:
  wharf load -i app.tar -l role=web
  docker save app:v2 | wharf load --to web1,web2";

/// The hosts that get something.
#[derive(clap::Args)]
pub struct Destination {
    /// Hosts by name, like -H
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', help_heading = "Hosts")]
    to: Vec<String>,
    #[command(flatten)]
    targets: TargetArgs,
}

impl Destination {
    /// The hosts, those before the verb included.
    pub fn targets(&self, app: &App) -> TargetArgs {
        let mut targets = self.targets.clone();
        targets.host.extend(self.to.iter().cloned());
        app.targets(&targets)
    }
}

/// Arguments of `wharf load`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Archive to read; - or without this flag, standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    #[command(flatten)]
    destination: Destination,
}

/// Loads an archive.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    load(app, args.input.as_deref(), &args.destination).await
}

/// Loads an archive from a file, or from standard input for `-` or none.
pub async fn load(
    app: &App,
    input: Option<&Path>,
    destination: &Destination,
) -> Result<(), Failure> {
    let targets = destination.targets(app);
    let first = LoadImagesRequest {
        targets: Some(targets.select(Access::Write)?),
        fanout: Some(targets.options()),
        chunk: Vec::new(),
    };
    let (name, reader) = open(input).await?;
    let connection = app.connect().await?;
    let (messages, source) = upload::messages(first, name, reader);
    let calls = vec![call!(connection, images.load_images, messages)];
    let responses = transfer(app, &connection, calls, |event| match event {
        Event::Progress(progress) => Some(Step::Progress(progress)),
        Event::Image(image) => Some(Step::Result(image)),
        _ => None,
    });
    source.watch(responses).await
}

async fn open(
    input: Option<&Path>,
) -> Result<(String, Box<dyn AsyncRead + Send + Unpin>), Failure> {
    let Some(path) = input.filter(|path| *path != Path::new("-")) else {
        if io::stdin().is_terminal() {
            return Err(Failure::usage(
                "standard input is a terminal; use -i FILE, or send an archive through a pipe",
            ));
        }
        let cannot = |error| Failure::usage(format!("cannot read standard input: {error}"));
        let input = io::stdin().as_fd().try_clone_to_owned().map_err(cannot)?;
        let input = File::from_std(std::fs::File::from(input));
        return Ok(("standard input".to_owned(), Box::new(input)));
    };
    let cannot =
        |error: io::Error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).await.map_err(cannot)?;
    if file.metadata().await.map_err(cannot)?.is_dir() {
        return Err(cannot(io::ErrorKind::IsADirectory.into()));
    }
    Ok((path.display().to_string(), Box::new(file)))
}

impl Transferred for LoadedImage {
    const COLUMNS: &'static [Column] = &[
        Column::new("IMAGE"),
        Column::new("RESULT"),
        Column::new("IMAGE ID"),
        Column::new("PLATFORM").wide(),
    ];

    fn row(&self, _changed: bool) -> Vec<String> {
        vec![
            self.name().to_owned(),
            result(self),
            short_id(&self.id),
            format!("{}/{}", self.os, self.architecture),
        ]
    }

    fn name(&self) -> &str {
        if self.reference.is_empty() { &self.id } else { &self.reference }
    }

    fn line(&self, _changed: bool) -> String {
        format!("{}: {}", self.name(), result(self))
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// What happened, with the image that lost its name, which nothing else shows.
fn result(image: &LoadedImage) -> String {
    let result = match image.arrival() {
        ImageArrival::Tagged => "tagged",
        ImageArrival::Present => "already there",
        ImageArrival::Loaded | ImageArrival::Unspecified => "loaded",
    };
    match &*image.replaced_id {
        "" => result.to_owned(),
        id => format!("{result}, replaces {}", short_id(id)),
    }
}
