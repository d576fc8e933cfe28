//! `wharf cp`: files between this machine and containers, by docker's rules of what goes where,
//! which are in `archive`.

mod download;
mod stat;
mod upload;

use std::path::{Path, PathBuf};

use crate::app::App;
use crate::commands::one_call;
use crate::exit::Failure;
use crate::targets::{Access, ContainerCall, TargetArgs};

const NOTES: &str = "\
Paths in containers begin at /, and the container need not be running. As with docker, what is \
copied goes into DEST if that is a directory; otherwise it gets the name DEST. With /. at its end, \
a SOURCE is the content of a directory. A - is a tar archive on standard input or output.

From several hosts (-H with several names, -l, or -A), each host gets a directory of its own in \
DEST. Devices, named pipes, and names that lead out of DEST are refused. Without -a, files in a \
container belong to root, and files here to you; set-user-ID and set-group-ID bits of files are dropped.

Examples:
  wharf cp web1/web:/etc/nginx/nginx.conf .
  wharf cp nginx.conf -l role=web web:/etc/nginx/nginx.conf
  wharf cp site/. web1/web:/srv/www             the content of a directory
  wharf cp -l role=web web:/var/log/app logs    to logs/HOST/app
  wharf cp web1/web:/data - | gzip > data.tar.gz";

/// Arguments of `wharf cp`.
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// Keep user and group IDs, and set-user-ID and set-group-ID bits
    #[arg(short, long)]
    archive: bool,
    /// Copy what SOURCE leads to, if it is a symbolic link
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// File or directory: PATH, CONTAINER:PATH, HOST/CONTAINER:PATH, or -
    source: String,
    /// Where to copy it to, in the same forms; one of both is in a container
    dest: String,
    #[command(flatten)]
    targets: TargetArgs,
}

/// How to copy.
#[derive(Debug, Clone, Copy)]
struct Options {
    keep_owners: bool,
    follow: bool,
}

/// One side of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Side {
    /// Standard input or output.
    Stream,
    /// A local file.
    Local(PathBuf),
    /// A path in a container.
    Container { container: String, path: String },
}

/// A path in a container on some hosts.
#[derive(Debug, Clone)]
struct Remote {
    call: ContainerCall,
    container: String,
    path: String,
    /// Whether it is on exactly one host, as typed.
    one_host: bool,
}

/// Copies.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let targets = app.targets(&args.targets);
    let options = Options { keep_owners: args.archive, follow: args.follow_link };
    let remote = |container: String, path: String, access| {
        let one_host = container.contains('/') || targets.host.len() == 1;
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let (hosts, name) = one_call(&targets, "container", &container, access)?;
        let call = ContainerCall { targets: hosts, containers: vec![name.clone()] };
        Ok::<_, Failure>(Remote { call, container: name, path, one_host })
    };
    match (side(&args.source)?, side(&args.dest)?) {
        (Side::Container { .. }, Side::Container { .. }) => Err(Failure::usage(
            "both SOURCE and DEST are in containers; copy with two commands and a pipe: \
             wharf cp HOST/FROM:PATH - | wharf cp - HOST/TO:DIRECTORY",
        )),
        (Side::Container { container, path }, Side::Stream) => {
            download::to_stream(app, &targets, remote(container, path, Access::Read)?, options)
                .await
        }
        (Side::Container { container, path }, Side::Local(to)) => {
            download::run(app, &targets, remote(container, path, Access::Read)?, &to, options).await
        }
        (Side::Stream, Side::Container { container, path }) => {
            upload::from_stream(app, &targets, remote(container, path, Access::Write)?).await
        }
        (Side::Local(from), Side::Container { container, path }) => {
            let to = remote(container, path, Access::Write)?;
            upload::run(app, &targets, &from, to, options).await
        }
        _ => Err(Failure::Usage(format!(
            "neither SOURCE nor DEST is in a container; write HOST/CONTAINER:PATH, such as web1/web:{}",
            if args.dest.starts_with('/') { &args.dest } else { "/etc" }
        ))),
    }
}

/// Reads one side as docker does: a path that begins with `/` or `.` is a local one.
fn side(text: &str) -> Result<Side, Failure> {
    if text == "-" {
        return Ok(Side::Stream);
    }
    if text.is_empty() {
        return Err(Failure::usage("SOURCE and DEST must not be empty"));
    }
    let local = || Ok(Side::Local(PathBuf::from(text)));
    if Path::new(text).is_absolute() || text.starts_with('.') {
        return local();
    }
    match text.split_once(':') {
        None => local(),
        Some((_, "")) => Err(Failure::Usage(format!(
            "\"{}\" has no path; write it after the colon, such as {}/etc",
            text.escape_debug(),
            text.escape_debug()
        ))),
        Some((container, path)) => {
            Ok(Side::Container { container: container.to_owned(), path: path.to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_is_for_containers_and_a_dot_or_slash_for_files() {
        let local = |text: &str| Side::Local(text.into());
        let container = |container: &str, path: &str| Side::Container {
            container: container.into(),
            path: path.into(),
        };
        for (text, expected) in [
            ("-", Side::Stream),
            ("file", local("file")),
            ("./a:b", local("./a:b")),
            ("/a:b", local("/a:b")),
            ("../web:/x", local("../web:/x")),
            ("web:/etc", container("web", "/etc")),
            ("web1/web:etc/a:b", container("web1/web", "etc/a:b")),
            ("web:-", container("web", "-")),
        ] {
            assert_eq!(side(text).unwrap(), expected, "{text}");
        }
        for wrong in ["", "web:", "web1/web:"] {
            assert!(matches!(side(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }
}
