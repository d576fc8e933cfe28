//! `wharf create` and `wharf run`.

use std::path::PathBuf;

use wharf::v1::create_container_response::Event;
use wharf::v1::{CreateContainerRequest, CreatedContainer, PullPolicy};

use crate::app::App;
use crate::commands::{call, request_id};
use crate::credentials;
use crate::exit::Failure;
use crate::fanout;
use crate::report;
use crate::report::transfers::{Step, Transferred, Transfers};
use crate::spec::body::{self, Body};
use crate::spec::flags::{ContainerFlags, HelpFlag};
use crate::table::Column;
use crate::targets::{Access, TargetArgs};

const CREATE_NOTES: &str = "\
What a flag sets wins over the body. In the body, lines that begin with # are comments, and a key
Tag beside Image is joined to it. Prints HOST/NAME for every host.

Examples:
  wharf create -H web1 --name web -p 127.0.0.1:8080:80 -v data:/data --restart always app:v1
  wharf create -l env=prod --name web -f body.json
  wharf create -A --name web -f body.json -e LEVEL=debug app:v2 serve --all";

const RUN_NOTES: &str = "\
Pulls the image where it is missing. See wharf create --help for bodies. -d is required: an
attached run is not there yet.

Examples:
  wharf run -d -H web1,web2 --name web -p 80:8080 --memory 512m app:v1
  wharf run -d -A --name job --rm app:v1 migrate --once && wharf wait -A job";

/// Arguments of `wharf create`.
#[derive(clap::Args)]
#[command(after_help = CREATE_NOTES, disable_help_flag = true,
          override_usage = "wharf create [OPTIONS] [IMAGE] [COMMAND]...")]
pub struct CreateArgs {
    #[command(flatten)]
    what: What,
}

/// Arguments of `wharf run`.
#[derive(clap::Args)]
#[command(after_help = RUN_NOTES, disable_help_flag = true,
          override_usage = "wharf run -d [OPTIONS] [IMAGE] [COMMAND]...")]
pub struct RunArgs {
    /// Leave it running and return
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    what: What,
}

#[derive(clap::Args)]
struct What {
    /// Name of the container [default: the Engine makes one up]
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// The Engine's own JSON body of POST /containers/create; - is stdin
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// When to pull the image
    #[arg(long, value_enum, default_value_t = Pull::Missing)]
    pull: Pull,
    /// Platform, such as linux/arm64 [default: the host's own]
    #[arg(long, default_value = "", hide_default_value = true)]
    platform: String,
    #[command(flatten)]
    _help: HelpFlag,
    #[command(flatten)]
    flags: Box<ContainerFlags>,
    #[command(flatten)]
    targets: TargetArgs,
    /// Image, then the command with its arguments; flags behind the image are the command's.
    /// May be left out where the body names an image
    #[arg(value_name = "IMAGE", trailing_var_arg = true)]
    words: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Pull {
    /// Where the image is missing
    Missing,
    /// On every host first
    Always,
    /// Never
    Never,
}

/// Creates a container.
pub async fn create(app: &App, args: CreateArgs) -> Result<(), Failure> {
    send(app, args.what, false).await
}

/// Creates a container and starts it.
pub async fn run(app: &App, args: RunArgs) -> Result<(), Failure> {
    if !args.detach {
        return Err(Failure::usage(
            "wharf run needs -d: it starts the container and returns; an attached run is not there yet",
        ));
    }
    send(app, args.what, true).await
}

async fn send(app: &App, what: What, start: bool) -> Result<(), Failure> {
    let mut words = what.words.into_iter();
    let (image, command) = (words.next(), words.collect::<Vec<String>>());
    let targets = app.targets(&what.targets);
    let selector = targets.select(Access::Write).map_err(|failure| match failure {
        Failure::Usage(message) if !command.is_empty() => {
            Failure::Usage(format!("{message} (flags behind the image belong to its command)"))
        }
        // docker's `-l` is a label of the container.
        Failure::Usage(message) if targets.selector.is_some() => Failure::Usage(format!(
            "{message} (-l chooses hosts; a label of the container is --label)"
        )),
        other => other,
    })?;
    let body = what.file.as_deref().map(body::read).transpose()?;
    let pulled =
        image.clone().or_else(|| body.as_ref().and_then(Body::image)).ok_or_else(|| {
            Failure::usage(match body {
                Some(_) => "neither the command line nor the body names an image",
                None => "no image was given",
            })
        })?;
    let spec = what.flags.spec(
        image.unwrap_or_default(),
        command,
        |path| std::fs::read(path),
        |name| std::env::var(name).ok(),
    )?;
    let pull = match what.pull {
        Pull::Missing => PullPolicy::Missing,
        Pull::Always => PullPolicy::Always,
        Pull::Never => PullPolicy::Never,
    };
    let credentials = match pull {
        PullPolicy::Never => None,
        _ => credentials::for_image(&app.printer, &pulled).await,
    };
    let request = CreateContainerRequest {
        targets: Some(selector),
        fanout: Some(targets.options()),
        request_id: request_id(),
        name: what.name,
        spec: Some(spec),
        engine: body.map(Body::into_engine_json),
        pull: pull.into(),
        platform: what.platform,
        start,
        credentials,
    };
    let connection = app.connect().await?;
    let calls = vec![call!(connection, containers.create_container, request)];
    let mut transfers = Transfers::new(&app.printer, |event| match event {
        Event::Progress(progress) => Some(Step::Progress(progress)),
        Event::Container(container) => Some(Step::Result(container)),
        _ => None,
    });
    let report = fanout::read(calls, connection.timeout(), &mut transfers).await;
    transfers.finish();
    report::finish(&app.printer, &report)
}

impl Transferred for CreatedContainer {
    const COLUMNS: &'static [Column] = &[];

    fn row(&self, _changed: bool) -> Vec<String> {
        Vec::new()
    }

    fn name(&self) -> &str {
        if self.name.is_empty() { &self.id } else { &self.name }
    }

    fn line(&self, _changed: bool) -> String {
        match (self.created, self.started) {
            (false, _) => "was there already by the same request".to_owned(),
            (true, true) => "created and started".to_owned(),
            (true, false) => "created".to_owned(),
        }
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A container that was created and could not be started stays, and its name says where.
    fn survives_failure(&self) -> bool {
        true
    }
}
