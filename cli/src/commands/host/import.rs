//! `wharf host import`: adds this machine's Docker contexts as hosts.
//!
//! A context is a directory `contexts/meta/ID` with `meta.json`, and `contexts/tls/ID/docker`
//! with its PEM files, under `~/.docker` or `$DOCKER_CONFIG`.

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::Deserialize;
use wharf::v1::AddHostRequest;
use wharf::v1::add_host_request::Tls;

use super::add;
use crate::app::App;
use crate::commands::request_id;
use crate::exit::Failure;
use crate::report::host_failed;
use crate::status::ErrorText;

const EXAMPLES: &str = "\
A context with an ssh:// address becomes a host that wharfd reaches over ssh, as the user that wharfd
runs as. The context \"default\" is not stored in a file; add its socket with wharf host add local unix:///var/run/docker.sock.

Examples:
  wharf host import --dry-run
  wharf host import prod-1 prod-2 --label env=prod
  wharf host import prod+1 --name prod1";

/// Arguments of `wharf host import`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only these contexts, all of which must be usable [default: all usable contexts]
    #[arg(value_name = "CONTEXT")]
    names: Vec<String>,
    /// Name of the host, if it must differ from the name of the one context
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Label for every added host; can be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Allow plain TCP to other machines; whoever can alter that traffic is root on the host
    #[arg(long)]
    insecure: bool,
    /// Only print what would be added
    #[arg(long)]
    dry_run: bool,
}

/// Adds hosts from Docker contexts.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let directory = docker_directory().ok_or_else(|| {
        Failure::usage("cannot find Docker contexts: neither DOCKER_CONFIG nor HOME is set")
    })?;
    let labels = super::labels(&args.labels)?;
    let mut contexts = read_all(&directory)?;
    if let Some(unknown) = args.names.iter().find(|name| !contexts.iter().any(|c| c.name == **name))
    {
        let known: Vec<&str> = contexts.iter().map(|context| context.name.as_str()).collect();
        return Err(Failure::Usage(format!(
            "no Docker context \"{}\" in {} (available: {})",
            unknown.escape_debug(),
            directory.display(),
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        )));
    }
    contexts.retain(|context| args.names.is_empty() || args.names.contains(&context.name));
    if contexts.is_empty() {
        app.printer.note(&format!("no Docker contexts in {}", directory.display()));
        return Ok(());
    }
    if let (Some(_), [_, _, ..] | []) = (&args.name, contexts.as_slice()) {
        return Err(Failure::usage("--name is for one context; specify the context to import"));
    }
    // A named context that cannot become a host is a failure. Without names, contexts that cannot
    // become hosts are skipped.
    let named = !args.names.is_empty();
    let (mut requests, mut failed) = (Vec::new(), false);
    for context in contexts {
        match plan(&context, args.name.as_deref()) {
            Ok(planned) => requests.push(AddHostRequest {
                labels: labels.clone(),
                insecure: args.insecure,
                ..planned
            }),
            Err(why) if named => {
                failed = true;
                app.printer.error(&format!("{}: {why}", context.name));
            }
            Err(why) => app.printer.note(&format!("{}: skipped: {why}", context.name)),
        }
    }
    if args.dry_run {
        for request in &requests {
            let tls = if request.tls.is_some() { "   TLS" } else { "" };
            app.printer.data(&format!("{}   {}{tls}", request.name, request.address));
        }
    } else {
        failed |= !send(app, requests).await?;
    }
    if failed { Err(Failure::Hosts) } else { Ok(()) }
}

/// Whether all were added.
async fn send(app: &App, requests: Vec<AddHostRequest>) -> Result<bool, Failure> {
    if requests.is_empty() {
        return Ok(true);
    }
    let connection = app.connect().await?;
    let (mut added, mut failed) = (Vec::new(), false);
    for request in requests {
        let name = request.name.clone();
        match add::add(&connection, request).await {
            Ok(host) => added.push(host),
            Err(Failure::Refused(status)) => {
                failed = true;
                host_failed(&app.printer, &name, &ErrorText::of_status(&status));
            }
            Err(failure) => return Err(failure),
        }
    }
    if !added.is_empty() {
        add::report(app, &connection, &added).await;
    }
    Ok(!failed)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct DockerContext {
    name: String,
    address: String,
    skip_verify: bool,
    tls_directory: PathBuf,
}

fn docker_directory() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    name: String,
    #[serde(default)]
    endpoints: std::collections::HashMap<String, Endpoint>,
}

#[derive(Deserialize, Default)]
struct Endpoint {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_verify: bool,
}

fn read_all(directory: &Path) -> Result<Vec<DockerContext>, Failure> {
    let meta = directory.join("contexts/meta");
    let entries = match fs::read_dir(&meta) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Failure::Usage(format!("cannot read {}: {error}", meta.display())));
        }
    };
    let mut contexts = Vec::new();
    for entry in entries.flatten() {
        let file = entry.path().join("meta.json");
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let mut meta: Meta = serde_json::from_str(&text)
            .map_err(|error| Failure::Usage(format!("{} is not valid: {error}", file.display())))?;
        let endpoint = meta.endpoints.remove("docker").unwrap_or_default();
        contexts.push(DockerContext {
            name: meta.name,
            address: endpoint.host,
            skip_verify: endpoint.skip_verify,
            tls_directory: directory.join("contexts/tls").join(entry.file_name()).join("docker"),
        });
    }
    contexts.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(contexts)
}

/// The request for a context, or why there is none.
fn plan(context: &DockerContext, name: Option<&str>) -> Result<AddHostRequest, String> {
    let scheme = context.address.split_once("://").map_or("", |(scheme, _)| scheme);
    match scheme {
        "unix" | "tcp" | "ssh" => {}
        "" => return Err("the context has no Docker address".to_owned()),
        other => {
            return Err(format!("{other}:// is not supported; use ssh://, unix://, or tcp://"));
        }
    }
    if context.skip_verify {
        return Err("it does not verify the Engine's certificate; give its CA: \
                    wharf host add NAME ADDRESS --tls-ca FILE"
            .to_owned());
    }
    let name = name.map(str::to_owned).or_else(|| sanitize(&context.name)).ok_or(
        "the context's name has no letter or digit, so it cannot become a host name; specify one \
         with --name",
    )?;
    let file = |name: &str| Some(context.tls_directory.join(name)).filter(|path| path.is_file());
    let (ca, certificate, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
    let tls = add::material(ca.as_deref(), certificate.as_deref(), key.as_deref())
        .map_err(|failure| failure.lines().join(" "))?;
    Ok(AddHostRequest {
        name,
        address: context.address.clone(),
        tls: tls.map(Tls::TlsMaterial),
        request_id: request_id(),
        ..AddHostRequest::default()
    })
}

/// Derives a host name from a context name: replaces invalid characters with `-`.
fn sanitize(name: &str) -> Option<String> {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(fits).collect();
    let name: String =
        name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).chars().take(63).collect();
    if name.is_empty() { None } else { Some(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, id: &str, meta: &str) {
        let path = directory.join("contexts/meta").join(id);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("meta.json"), meta).unwrap();
    }

    #[test]
    fn contexts_are_read_and_their_names_made_to_fit() {
        let directory = tempfile::tempdir().unwrap();
        write(
            directory.path(),
            "1",
            r#"{"Name":"prod+1","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://a:2375","SkipTLSVerify":false}}}"#,
        );
        write(
            directory.path(),
            "2",
            r#"{"Name":"far","Endpoints":{"docker":{"Host":"ssh://u@b"}}}"#,
        );
        write(
            directory.path(),
            "3",
            r#"{"Name":"loose","Endpoints":{"docker":{"Host":"tcp://c:2376","SkipTLSVerify":true}}}"#,
        );
        let contexts = read_all(directory.path()).unwrap();
        assert_eq!(
            contexts.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
            ["far", "loose", "prod+1"]
        );
        let over_ssh = plan(&contexts[0], None).unwrap();
        assert_eq!((over_ssh.address.as_str(), over_ssh.tls), ("ssh://u@b", None));
        assert!(plan(&contexts[1], None).unwrap_err().contains("--tls-ca"));
        let planned = plan(&contexts[2], None).unwrap();
        assert_eq!((planned.name.as_str(), planned.address.as_str()), ("prod-1", "tcp://a:2375"));
        assert_eq!(planned.tls, None);
        assert_eq!(plan(&contexts[2], Some("office")).unwrap().name, "office");
    }

    #[test]
    fn tls_files_of_a_context_go_with_it_and_broken_ones_are_named() {
        let directory = tempfile::tempdir().unwrap();
        write(
            directory.path(),
            "1",
            r#"{"Name":"a","Endpoints":{"docker":{"Host":"tcp://a:2376"}}}"#,
        );
        let tls = directory.path().join("contexts/tls/1/docker");
        fs::create_dir_all(&tls).unwrap();
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(tls.join("ca.pem"), pem).unwrap();
        let contexts = read_all(directory.path()).unwrap();
        let Some(Tls::TlsMaterial(material)) = plan(&contexts[0], None).unwrap().tls else {
            panic!()
        };
        assert_eq!(material.ca_pem, pem);
        fs::write(tls.join("ca.pem"), "nonsense").unwrap();
        assert!(plan(&contexts[0], None).unwrap_err().contains("ca.pem"));
    }

    #[test]
    fn no_contexts_are_no_error() {
        assert_eq!(read_all(Path::new("/nonexistent")).unwrap(), []);
    }
}
