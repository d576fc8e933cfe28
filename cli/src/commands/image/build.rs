//! `wharf build`.

mod load;

use std::collections::BTreeMap;

use wharf::v1::{BuildImageRequest, RegistryCredentials};

use self::load::Load;
use super::push;
use crate::app::{App, Connection};
use crate::build::Context;
use crate::commands::call;
use crate::credentials;
use crate::exit::Failure;
use crate::fanout;
use crate::report::{self, builds::Builds};
use crate::targets::{Access, TargetArgs};
use crate::upload;
use crate::view::units;

/// Contexts from this size on are mentioned, in bytes: they are often a mistake.
const LARGE_CONTEXT: u64 = 100_000_000;

const EXAMPLES: &str = "\
The context is the directory PATH without what its .dockerignore file leaves out, or \"-\" for
standard input: a tar archive, or a Dockerfile. The Engine's classic builder is used, without
BuildKit. Credentials for base images come from ~/.docker/config.json, its helpers included, else
from wharf login. Ctrl-C cancels the build.

-H, -l, and -A select where to build; --load says where the image goes afterwards: to hosts by
name (web1,web2), by label (role=web), or to all. It needs one host that builds.

Examples:
  wharf build -H build1 -t registry.example.com/app:v2 .
  wharf build -H build1 -t registry.example.com/app:v2 --push --build-arg VERSION=2 .
  wharf build -H build1 -t app:v2 --load role=web .
  wharf build -H build1 -t app -f docker/Dockerfile --target test .
  tar -c -C src . | wharf build -H build1 -t app -";

/// Arguments of `wharf build`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Directory with the files for the build, or - for standard input
    #[arg(value_name = "PATH|-")]
    path: String,
    /// Name for the image; can be repeated
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// Dockerfile, or - for standard input [default: PATH/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// Value for an ARG of the Dockerfile; without =VALUE, from the environment; can be repeated
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Stage to build [default: the last one]
    #[arg(long, value_name = "STAGE", default_value = "", hide_default_value = true)]
    target: String,
    /// Platform, such as linux/arm64 [default: the host's own]
    #[arg(long, default_value = "", hide_default_value = true)]
    platform: String,
    /// Label for the image; can be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Run every step, also those with a stored result
    #[arg(long)]
    no_cache: bool,
    /// Pull base images even if the host has them
    #[arg(long)]
    pull: bool,
    /// Push the image to the registries of its names
    #[arg(long)]
    push: bool,
    /// Send the image to these hosts, without a registry: names, labels such as role=web, or all
    #[arg(long, value_name = "NAME,…|LABELS|all")]
    load: Option<String>,
    /// Not supported: needs BuildKit
    #[arg(long, value_name = "SECRET", hide = true)]
    secret: Vec<String>,
    /// Not supported: needs BuildKit
    #[arg(long, value_name = "AGENT", hide = true)]
    ssh: Vec<String>,
    #[command(flatten)]
    targets: TargetArgs,
}

/// Builds an image.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    check(&args)?;
    let mut load = args.load.as_deref().map(Load::parse).transpose()?;
    let targets = app.targets(&args.targets);
    let selector = targets.select(Access::Write)?;
    let build_args = build_args(&args.build_arg)?;
    let labels = labels(&args.label)?;
    let context = Context::open(&args.path, args.file.as_deref(), &build_args).await?;
    let registries: Vec<String> = context.registries.iter().cloned().collect();
    let request = BuildImageRequest {
        targets: Some(selector.clone()),
        fanout: Some(targets.options()),
        tags: args.tag.clone(),
        dockerfile: context.dockerfile.clone(),
        build_args,
        target: args.target,
        platform: args.platform,
        labels,
        no_cache: args.no_cache,
        pull: args.pull,
        credentials: logins(app, &registries).await,
        login_registries: registries,
        chunk: Vec::new(),
    };
    let connection = app.connect().await?;
    if let Some(load) = &mut load {
        load.check(&connection, &selector).await?;
    }
    build(app, &connection, request, context).await?;
    if args.push {
        app.on_interrupt.replace(Some(push::INTERRUPTED.to_owned()));
        for tag in args.tag.clone() {
            push::push(app, &connection, selector.clone(), &targets, tag, false).await?;
        }
    }
    match load {
        Some(load) => load.send(app, &connection, &args.tag, targets.options()).await,
        None => Ok(()),
    }
}

fn check(args: &Args) -> Result<(), Failure> {
    if !args.secret.is_empty() || !args.ssh.is_empty() {
        let flag = if args.secret.is_empty() { "--ssh" } else { "--secret" };
        return Err(Failure::Usage(format!(
            "{flag} needs BuildKit, but wharf builds with the Engine's classic builder; pass files \
             from an earlier stage instead, or build with docker buildx and push the image"
        )));
    }
    if args.push && args.tag.is_empty() {
        return Err(Failure::usage("--push needs the name to push; add -t NAME"));
    }
    if args.load.is_some() && args.tag.is_empty() {
        return Err(Failure::usage("--load needs the name that other hosts get; add -t NAME"));
    }
    Ok(())
}

async fn build(
    app: &App,
    connection: &Connection,
    request: BuildImageRequest,
    context: Context,
) -> Result<(), Failure> {
    if let Some(bytes) = context.bytes.filter(|bytes| *bytes >= LARGE_CONTEXT) {
        app.printer.note(&format!(
            "sending {} of files; to leave some out, list them in .dockerignore",
            units::size(bytes as f64)
        ));
    }
    let (name, here_document) = (context.name.clone(), context.here_document);
    let (messages, source) = upload::messages(request, name, context.into_reader());
    let calls = vec![call!(connection, builds.build_image, messages)];
    let mut builds = Builds::new(&app.printer);
    let read = async { Ok(fanout::read(calls, connection.timeout(), &mut builds).await) };
    let report = source.watch(read).await;
    builds.finish();
    let result = report::finish(&app.printer, &report?);
    if let (Err(Failure::Hosts), Some(line)) = (&result, here_document) {
        app.printer.note(&format!(
            "line {line} of the Dockerfile has a here-document, which needs BuildKit on Docker: write it \
             without, or build with docker buildx and push the image"
        ));
    }
    result
}

/// `NAME=VALUE`, or `NAME` for the value in the environment; left out if it has none there.
fn build_args(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut arguments = BTreeMap::new();
    for text in given {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), std::env::var(text).ok()),
        };
        if name.is_empty() {
            return Err(Failure::Usage(format!(
                "--build-arg \"{}\" must be NAME=VALUE, or NAME for the value in the environment",
                text.escape_debug()
            )));
        }
        if let Some(value) = value {
            arguments.insert(name.to_owned(), value);
        }
    }
    Ok(arguments)
}

fn labels(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        if name.is_empty() {
            let text = text.escape_debug();
            return Err(Failure::Usage(format!("--label \"{text}\" must be NAME=VALUE")));
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    given.iter().map(pair).collect()
}

async fn logins(app: &App, registries: &[String]) -> Vec<RegistryCredentials> {
    let mut logins = Vec::new();
    for registry in registries {
        logins.extend(credentials::for_registry(&app.printer, registry).await);
    }
    logins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_from_the_command_line_or_the_environment() {
        let given = ["A=b=c", "EMPTY=", "PATH", "NO_SUCH_VARIABLE_HERE"].map(str::to_owned);
        let found = build_args(&given).unwrap();
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["A", "EMPTY", "PATH"]);
        assert_eq!((found["A"].as_str(), found["EMPTY"].as_str()), ("b=c", ""));
        assert_eq!(found["PATH"], std::env::var("PATH").unwrap());
        assert!(build_args(&["=x".to_owned()]).is_err());
        let found = labels(&["a".to_owned(), "b=c=d".to_owned()]).unwrap();
        assert_eq!((found["a"].as_str(), found["b"].as_str()), ("", "c=d"));
        assert!(labels(&["=x".to_owned()]).is_err());
    }
}
