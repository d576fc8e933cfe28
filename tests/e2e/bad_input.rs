//! Other invalid input: one line with the problem and the remedy, exit status 2.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output as Ended};

use anyhow::Context;
use testbed::{Wharf, Wharfd, WharfdOptions, tools};

#[tokio::test]
async fn command_line_names_the_thing_and_the_way_out() -> anyhow::Result<()> {
    let wharfd = Wharfd::start().await?;
    let cli = wharfd.cli()?;
    cli.write("not.json", "{\"Image\":\n  nonsense}\n")?;
    cli.write("list.json", "[1]\n")?;
    cli.write("not.pem", "hello\n")?;
    cli.write("empty.json", "{}\n")?;
    let host = ["host", "add", "a", "tcp://127.0.0.1:2376"];
    let not_pem = ["--tls-ca", "not.pem"];
    let missing_pem = ["--tls-ca", "missing.pem"];
    for (arguments, said) in [
        (&["ps", "--frobnicate"][..], &["--frobnicate"][..]),
        (&["frobnicate"], &["frobnicate"]),
        (&["ps", "-o", "yaml"], &["yaml", "json"]),
        (&["create", "-A", "-f", "missing.json"], &["missing.json"]),
        (&["create", "-A", "-f", "not.json"], &["not.json", "line 2"]),
        (&["create", "-A", "-f", "list.json"], &["list.json", "object"]),
        (&["create", "-A", "-f", "empty.json"], &["image"]),
        (&["create", "-A"], &["no image was given"]),
        (&["run", "-A", "app"], &["no host matches"]),
        (&["create", "-A", "-p", "99999:80", "app"], &["99999"]),
        (&["create", "-A", "-m", "much", "app"], &["much"]),
        (&["create", "-A", "-e", "", "app"], &["-e"]),
        (&["create", "-A", "--env-file", "missing.env", "app"], &["missing.env"]),
        (&["create", "-A", "--restart", "sometimes", "app"], &["sometimes", "unless-stopped"]),
        (&["create", "-A", "--mount", "type=bind,targe=/x", "app"], &["targe"]),
        (&["ps", "--host-timeout", "soon"], &["soon"]),
        (&["ps", "-f", "status"], &["KEY=VALUE"]),
        (&["login", "r.example.com", "-u", "x", "-p", "secret"], &["--password-stdin"]),
        (&["login", "r.example.com", "-u", "x", "--password-stdin"], &["no password"]),
        (&["host", "add", "a", "ftp://x"], &["ftp://x", "unix:///"]),
        (&["host", "add", "a", "tcp://10.1.2.3:2375"], &["insecure"]),
        (&["host", "add", "a", "ssh://-oProxyCommand=id"], &["-oProxyCommand=id"]),
        (&["host", "add", "a", "ssh://u:secret@x"], &["password", "key"]),
        (&["host", "add", "a", "ssh://x/run/$(id).sock"], &["shell"]),
        (&[&host[..], &not_pem].concat(), &["not.pem", "PEM"]),
        (&[&host[..], &missing_pem].concat(), &["missing.pem"]),
        (&["host", "label", "nobody", "a=b"], &["nobody"]),
        (&["--context", "none", "ps"], &["--context", "--server"]),
    ] {
        let output = cli.run(arguments).await?;
        assert_eq!(output.status, 2, "{arguments:?}: {output:#?}");
        assert_eq!(output.stdout, "", "{arguments:?}");
        for said in said {
            assert!(output.stderr.contains(said), "{arguments:?} should say {said}: {output:#?}");
        }
        let first = output.stderr.lines().next().context("a line")?;
        assert!(first.starts_with("wharf: ") || first.starts_with("error: "), "{output:#?}");
    }
    let nobody = Wharf::new("unix:///run/nobody-listens-here.sock")?;
    let output = nobody.run(&["ps"]).await?.expect(2)?;
    for said in ["cannot reach wharfd at unix:///run/nobody-listens-here.sock", "--server"] {
        assert!(output.stderr.contains(said), "{output:?}");
    }
    let wrong = Wharf::new("ftp://x")?.run(&["ps"]).await?.expect(2)?;
    assert!(wrong.stderr.contains("unix:///PATH"), "{wrong:?}");
    Ok(())
}

/// Runs `wharfd` to its end with these arguments.
fn refuse(arguments: &[&str]) -> anyhow::Result<String> {
    let Ended { status, stdout, stderr } = Command::new("timeout")
        .arg("20")
        .arg(tools::built("wharfd")?)
        .args(arguments)
        .env_clear()
        .env("HOME", "/nonexistent")
        .output()?;
    let stderr = String::from_utf8(stderr)?;
    assert_eq!(status.code(), Some(2), "{arguments:?}: {stderr}");
    assert!(stdout.is_empty(), "{arguments:?}");
    Ok(stderr)
}

#[tokio::test]
async fn server_names_the_thing_and_the_way_out() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name).display().to_string();
    let write = |name: &str, text: &str| -> anyhow::Result<String> {
        std::fs::write(path(name), text)?;
        Ok(path(name))
    };
    let data = path("data");
    let socket = format!("unix://{}", path("s.sock"));
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let in_use = format!("tcp://{}", taken.local_addr()?);
    let plain_file = format!("unix://{}", write("file", "not a socket")?);
    let not_pem = write("not.pem", "hello")?;
    let bad_toml = write("bad.toml", "max_parallel = 3\nfrobnicate = 1\n")?;
    let bad_host = write("host.toml", "[[host]]\nname = \"a\"\naddress = \"ftp://x\"\n")?;
    let bad_tokens = write("tokens", "ann:root:0123456789abcdef\n")?;
    let missing = path("missing");
    let open = "--insecure-tcp-without-authentication";
    let base = ["--no-local", "--data-dir", &data];
    for (arguments, said) in [
        (&["--frobnicate"][..], &["--frobnicate"][..]),
        (&["--listen", "ftp://x"], &["ftp://x", "unix:///PATH"]),
        (&["--listen", &in_use, open], &[&in_use[6..], "in use", "--listen"]),
        (&["--listen", &plain_file], &["not a socket"]),
        (&["--config", &missing], &["missing", "--config"]),
        (&["--config", &bad_toml], &["bad.toml:2:1", "frobnicate"]),
        (&["--config", &bad_host], &["host.toml:", "ftp://x"]),
        (&["--listen", &socket, "--max-parallel", "0"], &["--max-parallel", "1 to 10000"]),
        (&["--listen", &socket, "--log-level", "loud"], &["--log-level", "debug"]),
        (&["--listen", "tcp://127.0.0.1:0"], &["requires TLS", "--tls-cert"]),
        (&["--listen", &socket, "--tls-cert", &not_pem], &["--tls-key"]),
        (
            &["--listen", &socket, "--tls-cert", &not_pem, "--tls-key", &not_pem],
            &["not.pem", "PEM"],
        ),
        (
            &["--listen", &socket, "--tls-cert", &missing, "--tls-key", &missing],
            &["missing", "--tls-cert"],
        ),
        (&["--listen", &socket, "--token-file", &bad_tokens], &["line 1", "root"]),
        (&["--listen", &socket, "--secret-key-file", &not_pem], &["not.pem"]),
    ] {
        let stderr = refuse(&[&base[..], arguments].concat())?;
        for said in said {
            assert!(stderr.contains(said), "{arguments:?} should say {said}: {stderr}");
        }
        if !stderr.starts_with("error: ") {
            assert!(stderr.starts_with("wharfd: "), "{stderr}");
            assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn data_directory_and_socket_of_another_server_are_refused() -> anyhow::Result<()> {
    let wharfd = Wharfd::start().await?;
    let directory = tempfile::tempdir()?;
    let elsewhere = format!("unix://{}/s.sock", directory.path().display());
    let data = wharfd.data_directory().display().to_string();
    let stderr = refuse(&["--no-local", "--data-dir", &data, "--listen", &elsewhere])?;
    assert!(stderr.contains(&data) && stderr.contains("use"), "{stderr}");
    let other = directory.path().join("data").display().to_string();
    let listen = wharfd.address();
    let stderr = refuse(&["--no-local", "--data-dir", &other, "--listen", &listen])?;
    assert!(stderr.contains(&listen[7..]) && stderr.contains("another server"), "{stderr}");
    // Nothing was lost by that.
    wharfd.cli()?.run(&["host", "ls"]).await?.expect(0)?;
    let socket = std::fs::metadata(&listen[7..])?;
    assert_eq!(socket.permissions().mode() & 0o777, 0o660);

    // A socket that a killed server left behind is taken over.
    wharfd.kill();
    wharfd.restart().await?;
    wharfd.cli()?.run(&["host", "ls"]).await?.expect(0)?;
    Ok(())
}

#[tokio::test]
async fn no_local_keeps_the_machines_own_docker_out() -> anyhow::Result<()> {
    let wharfd = Wharfd::start_with(WharfdOptions::default()).await?;
    let listed = wharfd.cli()?.run(&["host", "ls", "-o", "name"]).await?.expect(0)?;
    assert_eq!(listed.stdout, "");
    Ok(())
}
