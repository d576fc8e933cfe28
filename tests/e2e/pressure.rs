//! `wharfd` when resources run out: disk space, file descriptors, and callers that connect but send
//! nothing.

use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use testbed::tls::TlsFiles;
use testbed::{Wharfd, WharfdOptions};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use wharf::v1::{AddHostRequest, ListHostsRequest};

use crate::support::Server;
use crate::support::small_disk::SmallDisk;

async fn add(server: &Server, name: &str) -> Result<(), Status> {
    let request = AddHostRequest {
        name: name.to_owned(),
        address: "tcp://127.0.0.1:9".to_owned(),
        ..Default::default()
    };
    server.hosts().add_host(request).await.map(drop)
}

#[tokio::test]
async fn a_full_disk_is_named_and_needs_no_restart_once_there_is_room() -> anyhow::Result<()> {
    let wharfd = Wharfd::start().await?;
    let disk = SmallDisk::under(&wharfd, 400).await?;
    let directory = wharfd.data_directory().display().to_string();
    let server = Server::of(&wharfd).await?;
    add(&server, "before").await?;

    disk.fill()?;
    let mut refused = 0;
    for number in 0..500 {
        // The file that SQLite writes to may have had room for the first of them.
        let Err(status) = add(&server, &format!("web{number}")).await else { continue };
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        let expected = (Code::ResourceExhausted, "STORE_FULL");
        assert_eq!((status.code(), &*reason), expected, "{status:?}");
        assert!(status.message().contains(&directory), "{status:?}");
        refused += 1;
        if refused == 12 {
            break;
        }
    }
    assert_eq!(refused, 12, "the disk was never full");
    server.hosts().list_hosts(ListHostsRequest::default()).await.context("reads go on")?;

    disk.free()?;
    for number in 0..3 {
        add(&server, &format!("after{number}")).await?;
    }
    Ok(())
}

/// Limits how large a file of a server may become; `unlimited` takes the limit away.
fn limit_files(wharfd: &Wharfd, bytes: &str) -> anyhow::Result<()> {
    let pid = wharfd.pid().to_string();
    let limit = format!("--fsize={bytes}:unlimited");
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status()?;
    ensure!(status.success(), "prlimit: {status}");
    Ok(())
}

#[tokio::test]
async fn a_disk_that_fails_is_named_and_needs_no_restart_once_it_works() -> anyhow::Result<()> {
    // Beyond the limit a write fails, and where the signal is ignored nothing else happens.
    let wharfd = Wharfd::start_with(WharfdOptions {
        wrapper: vec!["env".to_owned(), "--ignore-signal=XFSZ".to_owned()],
        ..Default::default()
    })
    .await?;
    let server = Server::of(&wharfd).await?;
    add(&server, "before").await?;
    // Nothing can be written from here on, wherever in its files SQLite is.
    limit_files(&wharfd, "1")?;
    for name in ["web1", "web2"] {
        let status = add(&server, name).await.expect_err("a write that fails");
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        assert_eq!((status.code(), &*reason), (Code::Internal, "STORE_FAILED"), "{status:?}");
        let place = wharfd.data_directory().display().to_string();
        assert!(status.message().contains(&place), "{status:?}");
    }
    limit_files(&wharfd, "unlimited")?;
    add(&server, "web1").await.context("writes go on")
}

#[tokio::test]
async fn a_log_that_cannot_be_written_ends_nothing() -> anyhow::Result<()> {
    let line = "exec \"$@\" 2> /dev/full";
    let wharfd = Wharfd::start_with(WharfdOptions {
        wrapper: ["sh", "-c", line, "sh"].map(str::to_owned).into(),
        ..Default::default()
    })
    .await?;
    let server = Server::of(&wharfd).await?;
    // Every write has its line in the log.
    for name in ["web1", "web2"] {
        add(&server, name).await?;
    }
    Ok(())
}

/// The port of the TCP listener, from the line that says it is ready.
fn port(wharfd: &Wharfd) -> anyhow::Result<u16> {
    let line = wharfd.stdout();
    let (_, rest) = line.split_once("tcp://127.0.0.1:").context("no TCP listener")?;
    Ok(rest.split_whitespace().next().context("no port")?.parse()?)
}

#[tokio::test]
async fn idle_connections_leave_file_descriptors_for_the_unix_socket() -> anyhow::Result<()> {
    let arguments =
        ["--no-local", "--listen", "tcp://127.0.0.1:0", "--insecure-tcp-without-authentication"];
    let wharfd = Wharfd::start_with(WharfdOptions {
        arguments: Some(arguments.map(str::to_owned).into()),
        open_files: Some(64),
        ..Default::default()
    })
    .await?;
    let port = port(&wharfd)?;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(("127.0.0.1", port))?);
    }
    // A new connection for each, and a write, for which the store may open files.
    for number in 0..3 {
        let server = Server::of(&wharfd).await?;
        add(&server, &format!("web{number}")).await?;
    }
    let said = wharfd.log().matches("connections are open, the limit for this listener").count();
    assert_eq!(said, 1, "{}", wharfd.log());
    drop(idle);
    Ok(())
}

#[tokio::test]
async fn connections_without_a_handshake_are_dropped() -> anyhow::Result<()> {
    let files = tempfile::tempdir()?;
    let tls = TlsFiles::create(files.path())?;
    let text = |path: &Path| path.display().to_string();
    let arguments = [
        "--no-local".to_owned(),
        "--listen".to_owned(),
        "tcp://127.0.0.1:0".to_owned(),
        "--tls-cert".to_owned(),
        text(&tls.server_cert),
        "--tls-key".to_owned(),
        text(&tls.server_key),
        "--tls-client-ca".to_owned(),
        text(&tls.ca),
    ];
    let wharfd = Wharfd::start_with(WharfdOptions {
        configuration: Some("[limits]\nhandshake_timeout_seconds = 1\n".to_owned()),
        arguments: Some(arguments.into()),
        ..Default::default()
    })
    .await?;
    let port = port(&wharfd)?;
    let open = || TcpStream::connect(("127.0.0.1", port));
    let silent = (0..1000).map(|_| open()).collect::<Result<Vec<_>, _>>()?;
    tokio::task::spawn_blocking(move || {
        for mut stream in silent {
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            // The end, or a reset; a read that times out is an error of its own.
            match stream.read(&mut [0]) {
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
                read => ensure!(read? == 0, "an answer to nothing"),
            }
        }
        Ok(())
    })
    .await?
}
