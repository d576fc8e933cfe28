//! TLS on both sides of `wharfd`: to the Engines, and for its own callers with their roles.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use testbed::tls::TlsFiles;
use testbed::{
    Engine, EngineOptions, Fleet, Image, Listen, Wharf, Wharfd, WharfdOptions, tools, unique,
};
use tonic::{Code, Request};
use wharf::client::{Bearer, Target, Tls};
use wharf::v1::host_service_client::HostServiceClient;
use wharf::v1::{
    AddHostRequest, ListContainersRequest, ListHostsRequest, StopContainersRequest, TlsMaterial,
    add_host_request,
};

use crate::support::{Server, all, collect, hosts};

#[tokio::test]
async fn engines_with_certificates() -> anyhow::Result<()> {
    let engine =
        Engine::start_with(EngineOptions { listen: Listen::Tls, ..Default::default() }).await?;
    let right = engine.tls().context("certificates")?;
    let wharfd = Wharfd::start().await?;
    let cli = wharfd.cli()?;
    let server = Server::of(&wharfd).await?;
    let strange = TlsFiles::create(&cli.home().join("strange"))?;
    let read = |path: &Path| fs::read_to_string(path);

    for (name, ca, identity) in [
        ("right", &right.ca, Some((&right.cert, &right.key))),
        ("wrong-ca", &strange.ca, Some((&right.cert, &right.key))),
        ("no-identity", &right.ca, None),
        ("wrong-identity", &right.ca, Some((&strange.cert, &strange.key))),
    ] {
        let material = TlsMaterial {
            ca_pem: read(ca)?,
            certificate_pem: identity.map(|(cert, _)| read(cert)).transpose()?.unwrap_or_default(),
            private_key_pem: identity.map(|(_, key)| read(key)).transpose()?.unwrap_or_default(),
        };
        let request = AddHostRequest {
            name: name.to_owned(),
            address: engine.address().to_owned(),
            tls: Some(add_host_request::Tls::TlsMaterial(material)),
            ..Default::default()
        };
        server.hosts().add_host(request).await?;
    }
    let list = ListContainersRequest { targets: all(), ..Default::default() };
    let listed = collect(server.containers().list_containers(list)).await?;
    assert_eq!(listed.failure("right"), None);
    for host in ["wrong-ca", "no-identity", "wrong-identity"] {
        let (code, reason, message) = listed.failure(host).context("an error")?;
        assert_eq!((code, &*reason), (Code::FailedPrecondition, "HOST_TLS_FAILED"), "{message}");
        assert!(message.contains("certificate"), "{host}: {message}");
        assert!(!message.contains('\n'), "{host}: {message}");
    }

    // By command line, with files.
    let path = |path: &Path| path.display().to_string();
    let (ca, cert, key) = (path(&right.ca), path(&right.cert), path(&right.key));
    let arguments = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    let add = [&["host", "add", "by-files", engine.address()][..], &arguments].concat();
    cli.run(&add).await?.expect(0)?;
    cli.run(&["ps", "-H", "by-files"]).await?.expect(0)?;
    let listed = cli.run(&["host", "ls"]).await?;
    assert!(listed.stdout.contains("by-files"), "{listed:?}");
    // The key is never shown, and sealed where it is kept.
    let inspected = cli.run(&["host", "inspect", "by-files"]).await?;
    assert!(!inspected.stdout.contains("PRIVATE KEY"), "{inspected:?}");
    // A host with TLS that is spoken to without.
    server.add("plain", engine.address()).await?;
    let plain = ListContainersRequest { targets: hosts(&["plain"]), ..Default::default() };
    let plain = collect(server.containers().list_containers(plain)).await?;
    let (_, _, message) = plain.failure("plain").context("an error")?;
    assert!(message.to_lowercase().contains("tls"), "{message}");
    Ok(())
}

/// Certificates for the listener of `wharfd`: one authority for it and its callers.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    ca_pem: String,
}

impl Authority {
    fn create() -> anyhow::Result<Authority> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "Wharf callers");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?;
        let ca_pem = issuer.pem();
        Ok(Authority { issuer, ca_pem })
    }

    /// Certificate and key of a caller with this organization.
    fn client(&self, name: &str, organization: &str) -> anyhow::Result<(String, String)> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.distinguished_name.push(DnType::OrganizationName, organization);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        Ok((parameters.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }

    fn server(&self) -> anyhow::Result<(String, String)> {
        let mut parameters = CertificateParams::default();
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let key = KeyPair::generate()?;
        Ok((parameters.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }
}

#[tokio::test]
async fn callers_over_tls_have_roles() -> anyhow::Result<()> {
    let engine = &Fleet::shared().await?.engines[0];
    let directory = tempfile::tempdir()?;
    let write = |name: &str, text: &str| -> anyhow::Result<String> {
        let path = directory.path().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path.display().to_string())
    };
    let authority = Authority::create()?;
    let (cert, key) = authority.server()?;
    let ca = write("ca.pem", &authority.ca_pem)?;
    let tokens = "watcher:reader:reader-token-0123456789\nci:operator:operator-token-0123456789\n\
                  boss:admin:admin-token-0123456789\n";
    let arguments = [
        "--no-local",
        "--tls-cert",
        &write("cert.pem", &cert)?,
        "--tls-key",
        &write("key.pem", &key)?,
        "--tls-client-ca",
        &ca,
        "--token-file",
        &write("tokens", tokens)?,
    ];
    let port = tools::free_port()?;
    let wharfd = Wharfd::start_with(WharfdOptions {
        listen: vec![format!("tcp://127.0.0.1:{port}")],
        arguments: Some(arguments.map(str::to_owned).to_vec()),
        ..Default::default()
    })
    .await?;
    let address = format!("https://127.0.0.1:{port}");
    let (image, name) = (format!("{}:v1", unique("app")), unique("web"));
    engine.import(&image, &Image::new("v1")).await?;
    engine.run(&name, &image).await?;

    // By command line, with tokens.
    let cli = |token: &str| -> anyhow::Result<Wharf> {
        Ok(Wharf::new(&address)?.env("WHARF_TOKEN", token))
    };
    let with_ca = ["--tls-ca", ca.as_str()];
    let run = async |token: &str, arguments: &[&str]| {
        cli(token)?.run(&[&with_ca[..], arguments].concat()).await
    };
    let add = ["host", "add", "alpha", engine.address()];
    for (token, arguments, refused) in [
        ("", &["ps"][..], "CREDENTIALS_REQUIRED"),
        ("no-such-token-0123456789", &["ps"], "CREDENTIALS_REQUIRED"),
        ("reader-token-0123456789", &add, "ROLE_REQUIRED"),
        ("operator-token-0123456789", &add, "ROLE_REQUIRED"),
    ] {
        let output = run(token, arguments).await?.expect(2)?;
        assert!(output.stderr.contains(refused), "{token}: {output:?}");
        assert!(token.is_empty() || !output.stderr.contains(token), "{output:?}");
    }
    run("admin-token-0123456789", &add).await?.expect(0)?;
    run("reader-token-0123456789", &["ps"]).await?.expect(0)?;
    let output = run("reader-token-0123456789", &["stop", "-A", &name]).await?.expect(2)?;
    assert!(output.stderr.contains("ROLE_REQUIRED"), "{output:?}");
    let found = engine.container(&name).await?.context("the container")?;
    assert_eq!(found["State"]["Status"], "running");
    run("operator-token-0123456789", &["stop", "-A", &name]).await?.expect(0)?;
    // Without the authority the server is not trusted.
    let output = cli("reader-token-0123456789")?.run(&["ps"]).await?.expect(2)?;
    assert!(output.stderr.contains("cannot reach wharfd"), "{output:?}");
    assert!(output.stderr.contains("--tls-ca"), "{output:?}");
    // Nor is TLS taken for something else, or something else for TLS.
    let plain =
        Wharf::new(&address.replace("https://", "tcp://"))?.run(&["ps"]).await?.expect(2)?;
    assert!(plain.stderr.contains("write https://"), "{plain:?}");

    // By gRPC, with client certificates.
    let channel = async |identity: Option<(String, String)>| -> anyhow::Result<_> {
        let tls = Tls {
            ca_pem: Some(authority.ca_pem.clone()),
            identity_pem: identity,
            server_name: None,
        };
        Ok(Server(Target::parse(&address)?.with_tls(tls).connect().await?))
    };
    let list = || ListContainersRequest { targets: all(), ..Default::default() };
    let stop = || StopContainersRequest {
        targets: all(),
        containers: vec![name.clone()],
        ..Default::default()
    };
    let reader = channel(Some(authority.client("ann", "wharf:reader")?)).await?;
    collect(reader.containers().list_containers(list())).await?.done_on(&["alpha"], false);
    let refused = collect(reader.containers().stop_containers(stop())).await?;
    assert_eq!(refused.refusal(), (Code::PermissionDenied, "ROLE_REQUIRED".to_owned()));
    let operator = channel(Some(authority.client("bob", "wharf:operator")?)).await?;
    collect(operator.containers().stop_containers(stop())).await?.done_on(&["alpha"], false);
    let stranger = channel(Some(authority.client("eve", "somebody")?)).await?;
    let refused = collect(stranger.containers().list_containers(list())).await?;
    assert_eq!(refused.refusal(), (Code::Unauthenticated, "CREDENTIALS_REQUIRED".to_owned()));
    let nobody = channel(None).await?;
    let refused = collect(nobody.containers().list_containers(list())).await?;
    assert_eq!(refused.refusal(), (Code::Unauthenticated, "CREDENTIALS_REQUIRED".to_owned()));
    // A token goes over such a connection as well.
    let bearer = Bearer::new("reader-token-0123456789").context("a token")?;
    let mut with_token = HostServiceClient::with_interceptor(nobody.0.clone(), bearer);
    let listed = with_token.list_hosts(Request::new(ListHostsRequest::default())).await?;
    assert_eq!(listed.into_inner().hosts.len(), 1);
    // A certificate of another authority does not even get a connection that works.
    let other = Authority::create()?.client("ann", "wharf:admin")?;
    if let Ok(other) = channel(Some(other)).await {
        let refused = collect(other.containers().list_containers(list())).await?;
        assert!(refused.started.is_none(), "{refused:#?}");
        assert!(refused.end.is_some(), "{refused:#?}");
    }
    let log = wharfd.log();
    for token in ["reader-token", "operator-token", "admin-token", "no-such-token"] {
        assert!(!log.contains(token), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn plain_tcp_is_refused_unless_the_option_says_so() -> anyhow::Result<()> {
    let listen = format!("tcp://127.0.0.1:{}", tools::free_port()?);
    let options = |arguments: &[&str]| WharfdOptions {
        listen: vec![listen.clone()],
        arguments: Some(arguments.iter().map(|argument| (*argument).to_owned()).collect()),
        ..Default::default()
    };
    let refused = Wharfd::start_with(options(&["--no-local"])).await.err().context("a refusal")?;
    let said = format!("{refused:#}");
    assert!(said.contains("requires TLS and a credential"), "{said}");
    assert!(said.contains("status 2"), "{said}");
    let open = ["--no-local", "--insecure-tcp-without-authentication"];
    let wharfd = Wharfd::start_with(options(&open)).await?;
    assert!(wharfd.log().contains("root on every host"), "{}", wharfd.log());
    wharfd.cli()?.run(&["host", "ls"]).await?.expect(0)?;
    Ok(())
}
