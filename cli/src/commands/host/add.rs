//! `wharf host add`.

use std::path::{Path, PathBuf};

use wharf::v1::add_host_request::Tls;
use wharf::v1::{AddHostRequest, Host, TlsMaterial};

use super::inspect::reachability;
use crate::app::{App, Connection};
use crate::commands::request_id;
use crate::exit::Failure;
use crate::json;
use crate::server::{PemKind, read_pem};
use crate::targets::{TargetArgs, named};

const EXAMPLES: &str = "\
The host is added even if it doesn't answer; in that case, a warning is printed. To check it again,
run wharf host check. To correct an address, run wharf host rm NAME and add the host again.

With ssh://, wharfd runs ssh as its own user, with the configuration, keys or agent, and known_hosts
of that user; there is no prompt, so log in once by hand. Without a PATH, the socket on the host is
/var/run/docker.sock.

Examples:
  wharf host add web1 ssh://root@web1.example.com --label role=web
  wharf host add local unix:///var/run/docker.sock
  wharf host add web2 tcp://10.0.0.1:2376 --label env=prod \\
        --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem";

/// Arguments of `wharf host add`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of the host: a-z A-Z 0-9 . _ -
    name: String,
    /// Address of its Engine: ssh://[USER@]HOST[:PORT][/PATH], unix:///PATH, or tcp://HOST:PORT
    address: String,
    /// Label; can be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// CA certificates to verify the Engine's certificate (PEM)
    #[arg(id = "host_tls_ca", long = "tls-ca", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Client certificate to present to the Engine (PEM)
    #[arg(id = "host_tls_cert", long = "tls-cert", value_name = "FILE", requires = "host_tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the client certificate (PEM); the server stores it sealed
    #[arg(id = "host_tls_key", long = "tls-key", value_name = "FILE", requires = "host_tls_cert")]
    tls_key: Option<PathBuf>,
    /// Certificate group from the server's configuration file
    #[arg(long, value_name = "NAME", conflicts_with_all = ["host_tls_ca", "host_tls_cert", "host_tls_key"])]
    tls_group: Option<String>,
    /// Allow plain TCP to another machine; whoever can alter that traffic is root on the host
    #[arg(long)]
    insecure: bool,
}

/// Adds a host and checks whether it answers.
pub async fn run(app: &App, args: Args) -> Result<(), Failure> {
    let tls = match args.tls_group {
        Some(group) => Some(Tls::TlsGroup(group)),
        None => {
            material(args.tls_ca.as_deref(), args.tls_cert.as_deref(), args.tls_key.as_deref())?
                .map(Tls::TlsMaterial)
        }
    };
    let request = AddHostRequest {
        name: args.name,
        address: args.address,
        labels: super::labels(&args.labels)?,
        insecure: args.insecure,
        tls,
        request_id: request_id(),
    };
    let connection = app.connect().await?;
    let host = add(&connection, request).await?;
    report(app, &connection, &[host]).await;
    Ok(())
}

/// Sends one host to the server.
pub async fn add(connection: &Connection, request: AddHostRequest) -> Result<Host, Failure> {
    let mut client = connection.hosts();
    let response =
        connection.unary(request, async |request| client.add_host(request).await).await?;
    Ok(response.host.unwrap_or_default())
}

/// Prints the hosts that were added, and whether they answer.
pub async fn report(app: &App, connection: &Connection, hosts: &[Host]) {
    for host in hosts {
        if app.printer.is_json() {
            app.printer.data(&json::line(&host.name, json::message(host)));
        } else {
            app.printer.data(&host.name);
        }
        for warning in &host.warnings {
            app.printer.warning(&format!("{}: {warning}", host.name));
        }
    }
    let names: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
    let options = TargetArgs::default().options();
    let (answers, _) = super::check(connection, named(names), options).await;
    for host in hosts {
        let answer = answers.get(&host.name);
        match reachability(&host.name, answer) {
            Ok(line) => app.printer.note(&line),
            Err(line) => app.printer.warning(&line),
        }
        for warning in
            answer.iter().filter_map(|a| a.as_ref().ok()).flat_map(|status| &status.warnings)
        {
            app.printer.warning(&format!("{}: {warning}", host.name));
        }
    }
}

/// Reads PEM files. `None` if no file is named.
pub fn material(
    ca: Option<&Path>,
    certificate: Option<&Path>,
    key: Option<&Path>,
) -> Result<Option<TlsMaterial>, Failure> {
    if ca.is_none() && certificate.is_none() && key.is_none() {
        return Ok(None);
    }
    let read =
        |path: Option<&Path>, kind| path.map_or(Ok(String::new()), |path| read_pem(path, kind));
    Ok(Some(TlsMaterial {
        ca_pem: read(ca, PemKind::Certificate)?,
        certificate_pem: read(certificate, PemKind::Certificate)?,
        private_key_pem: read(key, PemKind::PrivateKey)?,
    }))
}
