//! What the tests of the page start: three Engines with a container to upgrade, a `wharfd` that listens on a
//! unix socket and with TLS, `wharf ui`, and the programs that drive the browser.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use serde_json::{Value, json};
use testbed::tls::TlsFiles;
use testbed::{Engine, Fleet, Image, Wharf, Wharfd, WharfdOptions, eventually, tools};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::hostile;
use crate::support::Server;

/// The hosts, and a label of each.
const HOSTS: [(&str, &str); 3] = [("anna", "build"), ("bert", "web"), ("carl", "web")];

/// A token of each role.
pub const READER: &str = "reader-token-0123456789";
pub const OPERATOR: &str = "operator-token-0123456789";

/// Everything that a test of the page needs.
pub struct Stage {
    pub wharfd: Wharfd,
    /// The container that all hosts have in version 1.
    pub container: String,
    /// Where `wharfd` serves the page.
    pub address: String,
    /// The files of a client certificate with the role operator, and of its key.
    pub certificate: [String; 2],
    cli: Wharf,
    fleet: Fleet,
    repository: String,
    // The files of the certificate stay as long as the server.
    _directory: tempfile::TempDir,
}

impl Stage {
    pub async fn start() -> anyhow::Result<Stage> {
        let directory = tempfile::tempdir()?;
        let port = tools::free_port()?;
        let (authority, certificate) = client_certificate(directory.path())?;
        let wharfd = Wharfd::start_with(WharfdOptions {
            listen: vec![
                format!("unix://{}", directory.path().join("wharfd.sock").display()),
                format!("tcp://127.0.0.1:{port}"),
            ],
            arguments: Some(credentials(directory.path(), authority)?),
            ..Default::default()
        });
        let (wharfd, fleet) = tokio::try_join!(wharfd, Fleet::start())?;
        let server = Server::of(&wharfd).await?;
        for ((host, role), engine) in HOSTS.iter().zip(&fleet.engines) {
            server.add_labelled(host, engine.address(), &[("role", role)]).await?;
        }
        let stage = Stage {
            cli: wharfd.cli()?,
            wharfd,
            container: "shop".to_owned(),
            address: format!("https://127.0.0.1:{port}/"),
            certificate,
            repository: fleet.open_registry.reference("shop"),
            fleet,
            _directory: directory,
        };
        stage.make_versions().await?;
        let v1 = stage.image("v1");
        let runs = stage.fleet.engines.iter().map(|engine| engine.run(&stage.container, &v1));
        try_join_all(runs).await?;
        Ok(stage)
    }

    async fn make_versions(&self) -> anyhow::Result<()> {
        let broken = "echo opening the database; echo 'error: no table \"orders\"'; exit 1";
        let versions = [
            ("v1", Image::new("v1").command(&["/bin/web"])),
            ("v2", Image::new("v2").command(&["/bin/web"])),
            ("v3", Image::new("v3").command(&["/bin/sh", "-c", broken])),
        ];
        let [first, others @ ..] = &self.fleet.engines;
        for (version, image) in &versions {
            first.import(&self.image(version), image).await?;
            first.push(&self.image(version), None).await?;
        }
        let v1 = self.image("v1");
        try_join_all(others.iter().map(|engine| engine.pull(&v1, None))).await?;
        Ok(())
    }

    fn image(&self, version: &str) -> String {
        format!("{}:{version}", self.repository)
    }

    /// The versions by name.
    pub fn images(&self) -> Value {
        json!({"v1": self.image("v1"), "v2": self.image("v2"), "v3": self.image("v3")})
    }

    /// A container on two hosts, with different images, whose labels and log would take over a careless page.
    pub async fn hostile(&self) -> anyhow::Result<Value> {
        const MARKUP: &str = "<img src=x onerror=alert(1)>";
        let name = "hostile";
        let script = format!(
            "printf '<script>alert(2)</script>\\n{MARKUP}\\n\\033[31mred\\033[0m \\342\\200\\256gnp.exe\\n\
             %10000s\\n' x; exec /bin/web"
        );
        let [anna, bert, _] = &self.fleet.engines;
        bert.pull(&self.image("v2"), None).await?;
        for (engine, version) in [(anna, "v1"), (bert, "v2")] {
            let body = json!({
                "Image": self.image(version),
                "Cmd": ["/bin/sh", "-c", script],
                "Labels": {"evil": MARKUP, MARKUP: "</td><script>alert(3)</script>", "long": "x".repeat(10_000)},
                "HostConfig": {"NetworkMode": "none"},
            });
            engine.post(&format!("/containers/create?name={name}"), Some(body)).await?;
            engine.post(&format!("/containers/{name}/start"), None).await?;
        }
        Ok(json!({"name": name, "text": MARKUP}))
    }

    /// Adds a host whose Engine answers nearly everything with a text that would take over a careless page,
    /// and one whose Engine answers nothing else. Also an image whose start fails with such a text.
    pub async fn hostile_errors(&self) -> anyhow::Result<Value> {
        let server = Server::of(&self.wharfd).await?;
        for (host, knows) in [("dora", true), ("emil", false)] {
            server.add_labelled(host, &hostile::engine(knows).await?, &[]).await?;
        }
        let image = self.image("hostile");
        let program = format!("/{}", hostile::text(1_500));
        let [first, ..] = &self.fleet.engines;
        first.import(&image, &Image::new("hostile").command(&[&program])).await?;
        first.push(&image, None).await?;
        Ok(json!({"image": image, "container": hostile::CONTAINER, "word": hostile::WORD}))
    }

    pub fn engine(&self, host: &str) -> anyhow::Result<&Engine> {
        let place = HOSTS.iter().position(|(name, _)| *name == host);
        Ok(&self.fleet.engines[place.with_context(|| format!("no host {host}"))?])
    }

    /// Fails unless every host runs this version.
    pub async fn expect(&self, version: &str) -> anyhow::Result<()> {
        for engine in &self.fleet.engines {
            let found = engine.container(&self.container).await?.context("the container")?;
            ensure!(found["Config"]["Image"] == *self.image(version), "{}", found["Config"]);
            ensure!(found["State"]["Running"] == true, "{}", found["State"]);
        }
        Ok(())
    }

    /// Waits until so many shells of terminals run in the container of the first host.
    pub async fn shells(&self, expected: usize) -> anyhow::Result<()> {
        let path = format!("/containers/{}/top?ps_args=-eo%20pid,args", self.container);
        eventually("the shells of terminals", async || {
            let listed = self.fleet.engines[0].get(&path).await?["Processes"].take();
            let processes = listed.as_array().into_iter().flatten();
            let shells = processes.filter(|process| process[1] == "sh").count();
            ensure!(shells == expected, "{shells} of {expected}: {listed}");
            Ok(())
        })
        .await
    }

    /// Runs `wharf ui`, and reads the address that it prints.
    pub async fn open(&self) -> anyhow::Result<(Child, String)> {
        let mut child =
            self.cli.command(&["ui"])?.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().context("wharf ui has no output")?;
        let address = BufReader::new(stdout).lines().next_line().await?;
        Ok((child, address.context("wharf ui printed no address")?))
    }
}

/// The file of an authority, and those of a certificate that it has signed for an operator.
fn client_certificate(directory: &Path) -> anyhow::Result<(String, [String; 2])> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "people");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut client = CertificateParams::default();
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    client.distinguished_name.push(DnType::CommonName, "ann");
    client.distinguished_name.push(DnType::OrganizationName, "wharf:operator");
    let key = KeyPair::generate()?;
    let client = client.signed_by(&key, &authority)?;
    let write = |name: &str, text: String| -> anyhow::Result<String> {
        let path = directory.join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let files = [write("ann.pem", client.pem())?, write("ann-key.pem", key.serialize_pem())?];
    Ok((write("people.pem", authority.pem())?, files))
}

/// The flags of a server with TLS, a token of each role, and an authority of client certificates.
fn credentials(directory: &Path, authority: String) -> anyhow::Result<Vec<String>> {
    let files = TlsFiles::create(&directory.join("tls"))?;
    let tokens = directory.join("tokens");
    fs::write(&tokens, format!("reader:reader:{READER}\noperator:operator:{OPERATOR}\n"))?;
    for file in [&tokens, &files.server_key] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
    }
    let path = |path: &Path| path.display().to_string();
    let flags = [
        ("--tls-cert", path(&files.server_cert)),
        ("--tls-key", path(&files.server_key)),
        ("--token-file", path(&tokens)),
        ("--tls-client-ca", authority),
    ];
    let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
    Ok(["--no-local".to_owned()].into_iter().chain(flags).collect())
}

/// Runs a program of `web/tests/` to its end, which must be a success, and does what it asks for.
pub async fn browse(
    stage: &Stage,
    program: &str,
    given: &Value,
    limit: Duration,
    obey: impl AsyncFn(&Stage, &str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
    ensure!(
        folder.join("node_modules/playwright-core").is_dir(),
        "playwright-core is not installed; run `scripts/test e2e`, which installs it"
    );
    let mut child = Command::new("node")
        .arg(folder.join("tests").join(program))
        .env("WHARF_PAGE_STAGE", given.to_string())
        .env("WHARF_CHROMIUM", tools::system("chromium")?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting node")?;
    let mut answers = child.stdin.take().context("node has no input")?;
    let mut orders = BufReader::new(child.stdout.take().context("node has no output")?).lines();
    let serve = async {
        while let Some(order) = orders.next_line().await? {
            let answer = match obey(stage, &order).await {
                Ok(()) => "done".to_owned(),
                Err(error) => format!("{error:#}").replace('\n', " "),
            };
            answers.write_all(format!("{answer}\n").as_bytes()).await?;
        }
        anyhow::Ok(())
    };
    let run = async { tokio::join!(serve, child.wait_with_output()) };
    let Ok((served, output)) = tokio::time::timeout(limit, run).await else {
        bail!("{program} does not end; wharfd logged:\n{}", stage.wharfd.log());
    };
    let output = output?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {said}\nwharfd logged:\n{}", stage.wharfd.log());
    served
}
