//! A registry with a password: accepted and refused logins, and that secrets are never revealed.

use std::path::Path;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use testbed::{Image, WharfdOptions, unique};
use tonic::Code;
use wharf::v1::{
    CheckLoginRequest, ContainerSpec, CreateContainerRequest, ListLoginsRequest, LoginRequest,
    LogoutRequest, PullImageRequest, PullPolicy, PushImageRequest, RegistryCredentials,
};

use crate::support::{HOSTS, World, all, collect, credentials, hosts, reason};

const WRONG: &str = "canary-wrong-8c1fe0";
const REFUSED: (Code, &str) = (Code::PermissionDenied, "REGISTRY_AUTH_REQUIRED");

/// An image in the registry with a password, and on none of the hosts.
struct Locked {
    world: World,
    /// Not pushed yet; it is on `alpha` only.
    local: String,
    reference: String,
    repository: String,
}

impl Locked {
    async fn start() -> anyhow::Result<Locked> {
        let options = WharfdOptions {
            arguments: Some(["--no-local", "--log-level", "trace"].map(str::to_owned).to_vec()),
            ..Default::default()
        };
        let world = World::start_with(options).await?;
        let registry = &world.fleet.locked_registry;
        let [alpha, ..] = world.engines();
        let repository = unique("locked");
        let reference = registry.reference(&format!("{repository}:v1"));
        alpha.import(&reference, &Image::new(&repository)).await?;
        alpha.push(&reference, registry.auth().as_deref()).await?;
        alpha.delete(&format!("/images/{reference}")).await?;
        let local = registry.reference(&format!("{}:v1", unique("local")));
        alpha.import(&local, &Image::new("v1")).await?;
        Ok(Locked { world, local, reference, repository })
    }

    fn pull(&self, credentials: Option<RegistryCredentials>) -> PullImageRequest {
        PullImageRequest {
            targets: all(),
            reference: self.reference.clone(),
            credentials,
            ..Default::default()
        }
    }

    fn push(&self, credentials: Option<RegistryCredentials>) -> PushImageRequest {
        PushImageRequest {
            targets: hosts(&["alpha"]),
            reference: self.local.clone(),
            credentials,
            ..Default::default()
        }
    }

    fn address(&self) -> &'static str {
        self.world.fleet.locked_registry.address()
    }

    fn login(&self) -> anyhow::Result<(&'static str, &'static str)> {
        self.world.fleet.locked_registry.login().context("a registry with a password")
    }

    fn right(&self) -> anyhow::Result<Option<RegistryCredentials>> {
        let (user, password) = self.login()?;
        Ok(credentials(self.address(), user, password))
    }

    fn wrong(&self) -> Option<RegistryCredentials> {
        credentials(self.address(), "captain", WRONG)
    }

    async fn hosts_with_image(&self) -> anyhow::Result<usize> {
        let mut count = 0;
        for engine in self.world.engines() {
            count += usize::from(engine.image(&self.reference).await?.is_some());
        }
        Ok(count)
    }

    async fn forget_image(&self) -> anyhow::Result<()> {
        for engine in self.world.engines() {
            engine.delete(&format!("/images/{}", self.reference)).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn right_wrong_and_no_credentials_by_grpc() -> anyhow::Result<()> {
    let locked = Locked::start().await?;
    let registry = &locked.world.fleet.locked_registry;
    let mut images = locked.world.server.images();
    let hint = format!("wharf login {}", locked.address());

    for credentials in [None, locked.wrong()] {
        let pulled = collect(images.pull_image(locked.pull(credentials.clone()))).await?;
        for host in HOSTS {
            let (code, reason, message) = pulled.failure(host).context("an error")?;
            assert_eq!((code, &*reason), REFUSED, "{message}");
            assert!(message.contains(&hint), "{message}");
        }
        assert_eq!(pulled.ending(), (Code::PermissionDenied, "REGISTRY_AUTH_REQUIRED".to_owned()));
        assert_eq!(locked.hosts_with_image().await?, 0);

        let pushed = collect(images.push_image(locked.push(credentials))).await?;
        let (code, reason, message) = pushed.failure("alpha").context("an error")?;
        assert_eq!((code, &*reason), REFUSED, "{message}");
        assert!(message.contains(&hint), "{message}");
    }
    let repository = locked.local.split(['/', ':']).nth(2).context("a repository")?;
    assert_eq!(registry.tags(repository).await?, [""; 0]);

    let pulled = collect(images.pull_image(locked.pull(locked.right()?))).await?;
    pulled.all_done(true);
    assert_eq!(locked.hosts_with_image().await?, 3);
    let pushed = collect(images.push_image(locked.push(locked.right()?))).await?;
    pushed.done_on(&["alpha"], true);
    assert_eq!(registry.tags(repository).await?, ["v1"]);

    // What a call brings is not kept.
    locked.forget_image().await?;
    let pulled = collect(images.pull_image(locked.pull(None))).await?;
    assert_eq!(pulled.ending(), (Code::PermissionDenied, "REGISTRY_AUTH_REQUIRED".to_owned()));
    Ok(())
}

#[tokio::test]
async fn login_is_checked_and_kept_by_grpc() -> anyhow::Result<()> {
    let locked = Locked::start().await?;
    let mut registries = locked.world.server.registries();
    let mut images = locked.world.server.images();

    let check =
        |credentials| CheckLoginRequest { targets: all(), credentials, ..Default::default() };
    let checked = collect(registries.check_login(check(locked.wrong()))).await?;
    for host in HOSTS {
        let (code, reason, message) = checked.failure(host).context("an error")?;
        assert_eq!((code, &*reason), REFUSED, "{message}");
    }
    collect(registries.check_login(check(locked.right()?))).await?.all_read();

    let login = |credentials| LoginRequest { credentials, ..Default::default() };
    let refused = registries.login(login(locked.wrong())).await.expect_err("a wrong password");
    assert_eq!((refused.code(), &*reason(&refused)), REFUSED);
    let kept = registries.list_logins(ListLoginsRequest {}).await?.into_inner().logins;
    assert!(kept.is_empty(), "{kept:?}");

    registries.login(login(locked.right()?)).await?;
    let kept = registries.list_logins(ListLoginsRequest {}).await?.into_inner().logins;
    assert_eq!(kept.len(), 1);
    assert_eq!((&*kept[0].registry, &*kept[0].username), (locked.address(), "captain"));
    collect(images.pull_image(locked.pull(None))).await?.all_done(true);
    collect(images.push_image(locked.push(None))).await?.done_on(&["alpha"], true);
    // Those of the call come first.
    locked.forget_image().await?;
    let pulled = collect(images.pull_image(locked.pull(locked.wrong()))).await?;
    assert_eq!(pulled.ending().0, Code::PermissionDenied);

    registries
        .logout(LogoutRequest { registry: locked.address().to_owned(), ..Default::default() })
        .await?;
    let pulled = collect(images.pull_image(locked.pull(None))).await?;
    assert_eq!(pulled.ending().0, Code::PermissionDenied);
    let again = LogoutRequest { registry: locked.address().to_owned(), ..Default::default() };
    let again = registries.logout(again).await.expect_err("nothing is kept");
    assert_eq!((again.code(), &*reason(&again)), (Code::NotFound, "LOGIN_NOT_FOUND"));
    Ok(())
}

#[tokio::test]
async fn credentials_come_from_login_and_from_the_docker_configuration() -> anyhow::Result<()> {
    let locked = Locked::start().await?;
    let (user, password) = locked.login()?;
    let cli = &locked.world.cli;
    let pull = ["pull", "-A", &locked.reference];
    let push = ["push", "-H", "alpha", &locked.local];
    let login = ["login", locked.address(), "-u", user, "--password-stdin"];

    for command in [&pull[..], &push[..]] {
        let refused = cli.run(command).await?.expect(1)?;
        assert!(refused.stderr.contains("REGISTRY_AUTH_REQUIRED"), "{refused:?}");
        assert!(refused.stderr.contains("wharf login"), "{refused:?}");
    }
    let refused = cli.run_with_input(&login, WRONG).await?.expect(1)?;
    assert!(refused.stderr.contains("REGISTRY_AUTH_REQUIRED"), "{refused:?}");
    assert!(refused.stderr.contains("check the user name"), "{refused:?}");
    assert!(!refused.stderr.contains("wharf login"), "that is what was done: {refused:?}");
    cli.run(&pull).await?.expect(1)?;

    // `-A` has every host check them.
    let on_all = [&["-A"][..], &login].concat();
    let refused = cli.run_with_input(&on_all, WRONG).await?.expect(1)?;
    assert_eq!(refused.stderr.matches("REGISTRY_AUTH_REQUIRED").count(), 3, "{refused:?}");
    cli.run(&["logout", locked.address()]).await?.expect(2)?;
    let accepted = cli.run_with_input(&on_all, password).await?.expect(0)?;
    assert!(HOSTS.iter().all(|host| accepted.stderr.contains(host)), "{accepted:?}");

    // As docker writes it; first with a wrong password, which wins over a login that is kept.
    cli.run_with_input(&login, &format!("{password}\n")).await?.expect(0)?;
    let file = |password: &str| {
        let auth = STANDARD.encode(format!("{user}:{password}"));
        json!({ "auths": { locked.address(): { "auth": auth } } }).to_string()
    };
    cli.write(".docker/config.json", &file(WRONG))?;
    cli.run(&pull).await?.expect(1)?;
    std::fs::remove_file(cli.home().join(".docker/config.json"))?;
    locked.world.act(&["pull", &locked.reference], true).await?;
    cli.run(&push).await?.expect(0)?;
    cli.run(&["logout", locked.address()]).await?.expect(0)?;

    locked.forget_image().await?;
    cli.run(&pull).await?.expect(1)?;
    cli.write(".docker/config.json", &file(password))?;
    locked.world.act(&["pull", &locked.reference], true).await?;
    cli.run(&push).await?.expect(0)?;

    // A helper, as `credsStore` and `credHelpers` name them.
    locked.forget_image().await?;
    let answer = json!({ "ServerURL": locked.address(), "Username": user, "Secret": password });
    let script = format!("#!/bin/sh\ncat >/dev/null\ncat <<'END'\n{answer}\nEND\n");
    let helper = cli.write("bin/docker-credential-testbed", &script)?;
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let path = format!("{}:/usr/bin:/bin", cli.home().join("bin").display());
    let with_helper = cli.clone().env("PATH", &path);
    for configuration in [
        json!({ "credsStore": "testbed" }),
        json!({ "credHelpers": { locked.address(): "testbed" } }),
    ] {
        cli.write(".docker/config.json", &configuration.to_string())?;
        with_helper.run(&pull).await?.expect(0)?;
        assert_eq!(locked.hosts_with_image().await?, 3);
        locked.forget_image().await?;
    }
    Ok(())
}

#[tokio::test]
async fn create_pulls_with_credentials() -> anyhow::Result<()> {
    let locked = Locked::start().await?;
    let mut client = locked.world.server.containers();
    let name = unique("web");
    let request = CreateContainerRequest {
        targets: all(),
        name: name.clone(),
        spec: Some(ContainerSpec {
            image: locked.reference.clone(),
            network: "none".to_owned(),
            ..Default::default()
        }),
        pull: PullPolicy::Missing.into(),
        ..Default::default()
    };
    let refused = collect(client.create_container(request.clone())).await?;
    assert_eq!(refused.failure("alpha").context("an error")?.1, "REGISTRY_AUTH_REQUIRED");
    assert_eq!(locked.hosts_with_image().await?, 0);
    let request = CreateContainerRequest { credentials: locked.right()?, ..request };
    collect(client.create_container(request)).await?.all_done(true);
    assert_eq!(locked.world.states(&name).await?, ["created"; 3]);
    Ok(())
}

#[tokio::test]
async fn secrets_are_never_seen_again() -> anyhow::Result<()> {
    let locked = Locked::start().await?;
    let (user, password) = locked.login()?;
    let cli = &locked.world.cli;
    let mut seen = String::new();
    let login = ["login", locked.address(), "-u", user, "--password-stdin"];
    for (arguments, input) in [
        (&login[..], WRONG),
        (&login[..], password),
        (&["registry", "ls"][..], ""),
        (&["registry", "ls", "-o", "json"][..], ""),
        (&["pull", "-A", "-o", "json", &locked.reference][..], ""),
        (&["push", "-H", "alpha", &locked.local][..], ""),
        (&["host", "inspect", "alpha"][..], ""),
        (
            &["login", "-A", locked.address(), "-u", user, "--password-stdin", "-o", "json"][..],
            password,
        ),
    ] {
        let output = cli.run_with_input(arguments, input).await?;
        seen += &(output.stdout + &output.stderr);
    }
    let mut images = locked.world.server.images();
    let pulled = collect(images.pull_image(locked.pull(locked.wrong()))).await?;
    seen += &format!("{pulled:?}");
    let pushed = collect(images.push_image(locked.push(locked.right()?))).await?;
    seen += &format!("{pushed:?}");
    assert!(seen.contains(&locked.repository) && seen.contains(user), "{seen}");
    let log = locked.world.wharfd.log();
    assert!(log.contains("DEBUG") || log.contains("TRACE") || log.contains("INFO"), "{log}");

    let auth = locked.world.fleet.locked_registry.auth().context("a password")?;
    let mut secrets: Vec<String> = vec![password.into(), WRONG.into(), auth];
    for secret in [password, WRONG] {
        secrets.push(STANDARD.encode(secret));
        secrets.push(STANDARD.encode(format!("{user}:{secret}")));
    }
    for secret in &secrets {
        assert!(!seen.contains(secret), "{secret} was printed:\n{seen}");
        assert!(!log.contains(secret), "{secret} was logged:\n{log}");
    }
    let data = bytes_below(&locked.world.wharfd.data_directory())?;
    assert!(contains(&data, locked.address().as_bytes()), "the login is kept");
    for secret in &secrets {
        assert!(!contains(&data, secret.as_bytes()), "{secret} is in the data directory");
    }
    Ok(())
}

/// All files of a directory, one after the other.
fn bytes_below(directory: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes.extend(bytes_below(&entry.path())?);
        } else if entry.file_type()?.is_file() {
            bytes.extend(std::fs::read(entry.path())?);
        }
    }
    Ok(bytes)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
