//! Hosts over ssh, with a real sshd: everything goes over it as over a socket, what breaks comes
//! back without a restart of `wharfd`, and what cannot work says why.

mod recovery;

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Context, ensure};
use testbed::process::{ProcessId, children};
use testbed::{Engine, Fleet, Image, Sshd, Wharf, Wharfd, WharfdOptions, eventually, unique};

use crate::support::HOSTS;

/// A `wharfd` that reaches the three Engines of the fixture over one sshd.
struct Remote {
    engines: &'static [Engine; 3],
    fleet: &'static Fleet,
    sshd: Sshd,
    wharfd: Wharfd,
    cli: Wharf,
}

impl Remote {
    async fn start(configuration: &str) -> anyhow::Result<Remote> {
        let fleet = Fleet::shared().await?;
        let sshd = Sshd::start(configuration).await?;
        let options = WharfdOptions { environment: sshd.environment(), ..Default::default() };
        let wharfd = Wharfd::start_with(options).await?;
        let cli = wharfd.cli()?;
        let remote = Remote { engines: &fleet.engines, fleet, sshd, wharfd, cli };
        for (name, engine) in HOSTS.iter().zip(remote.engines) {
            let address = remote.sshd.through(engine.address())?;
            remote.cli.run(&["host", "add", name, &address]).await?.expect(0)?;
        }
        Ok(remote)
    }

    /// The ssh processes of `wharfd`.
    fn processes(&self) -> Vec<ProcessId> {
        children(self.wharfd.pid())
    }

    /// The images of a container on the three Engines, as they themselves say.
    async fn images(&self, container: &str) -> anyhow::Result<Vec<String>> {
        let mut images = Vec::new();
        for engine in self.engines {
            let found = engine.container(container).await?.context("no container")?;
            images.push(found["Config"]["Image"].as_str().context("no image")?.to_owned());
        }
        Ok(images)
    }

    /// Pushes an image to the registry; no Engine keeps it. Returns its reference.
    async fn push(&self, version: &str) -> anyhow::Result<String> {
        let name = format!("{}:{version}", unique("app"));
        let reference = self.fleet.open_registry.reference(&name);
        self.engines[0].import(&reference, &Image::new(version)).await?;
        self.engines[0].push(&reference, None).await?;
        self.engines[0].delete(&format!("/images/{reference}")).await?;
        Ok(reference)
    }

    /// Runs a container of version 1 on all Engines over ssh. Returns its name.
    async fn run_container(&self) -> anyhow::Result<String> {
        let (name, image) = (unique("web"), self.push("v1").await?);
        self.cli.run(&["pull", "-A", &image]).await?.expect(0)?;
        let run = ["run", "-d", "-A", "--name", &name, "--network", "none", &image];
        self.cli.run(&run).await?.expect(0)?;
        Ok(name)
    }
}

/// Quick, with one host after the other.
const QUICK: [&str; 4] = ["--min-healthy-time", "300ms", "--monitor", "300ms"];

#[tokio::test]
async fn everything_goes_over_one_process_for_each_host_and_ends_with_it() -> anyhow::Result<()> {
    let remote = Remote::start("").await?;
    let name = remote.run_container().await?;
    let listed = remote.cli.run(&["ps", "-o", "name"]).await?.expect(0)?;
    for host in HOSTS {
        assert!(listed.stdout.contains(&format!("{host}/{name}")), "{listed:#?}");
    }
    let input = "what a command reads\n".repeat(50_000);
    let container = format!("alpha/{name}");
    let exec = ["exec", "-i", &container, "sh", "-c", "cat; exit 7"];
    let output = remote.cli.run_with_input(&exec, &input).await?.expect(7)?;
    assert!(output.stdout == input, "{} bytes came back", output.stdout.len());
    let image = remote.push("v2").await?;
    let start = ["rollout", "start", &name, "-A", "--image", &image];
    remote.cli.run(&[&start[..], &QUICK].concat()).await?.expect(0)?;
    assert_eq!(remote.images(&name).await?, vec![image; 3]);
    assert_eq!(remote.processes().len(), 3);

    remote.cli.run(&["host", "rm", "gamma"]).await?.expect(0)?;
    let left = eventually("the end of a process", async || {
        let left = remote.processes();
        ensure!(left.len() == 2, "{left:?}");
        Ok(left)
    })
    .await?;
    remote.wharfd.kill();
    eventually("the end of the processes of a killed wharfd", async || {
        ensure!(!left.iter().any(|process| process.is_alive()));
        Ok(())
    })
    .await?;
    remote.wharfd.restart().await?;
    remote.cli.run(&["ps", "-H", "alpha,beta"]).await?.expect(0)?;
    // The sockets of the killed one are gone.
    let sockets = fs::read_dir(remote.wharfd.data_directory().join("ssh"))?;
    assert_eq!(sockets.flatten().filter(|entry| entry.path().is_dir()).count(), 1);
    let alive = remote.processes();
    assert_eq!(alive.len(), 2);
    remote.wharfd.terminate().await?;
    eventually("the end of the processes of a stopped wharfd", async || {
        ensure!(!alive.iter().any(|process| process.is_alive()));
        Ok(())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn where_the_sshd_does_not_forward_docker_carries_each_connection() -> anyhow::Result<()> {
    let remote = Remote::start("AllowStreamLocalForwarding no").await?;
    let name = remote.run_container().await?;
    let image = remote.push("v2").await?;
    let start = ["rollout", "start", &name, "-A", "--image", &image];
    remote.cli.run(&[&start[..], &QUICK].concat()).await?.expect(0)?;
    assert_eq!(remote.images(&name).await?, vec![image; 3]);
    let log = remote.wharfd.log();
    assert!(log.contains("dial-stdio"), "{log}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_work_says_why_and_works_once_it_is_repaired() -> anyhow::Result<()> {
    let remote = Remote::start("").await?;
    let (sshd, cli) = (&remote.sshd, &remote.cli);
    // What the host says, once the answer is newer than the change: a failure counts for a second.
    let says = async |reason: &str, said: &[&str]| {
        eventually(reason, async || {
            let output = cli.run(&["ps", "-H", "alpha"]).await?;
            ensure!(output.status == 1 && output.stderr.contains(reason), "{output:#?}");
            for said in said {
                ensure!(output.stderr.contains(said), "{said}: {output:#?}");
            }
            Ok(())
        })
        .await
    };
    let works = async || {
        eventually("an answer", async || cli.run(&["ps", "-H", "alpha"]).await?.expect(0)).await
    };
    works().await?;
    sshd.know_host_key("other_host_key")?;
    sshd.restart().await?;
    says("SSH_HOST_KEY_CHANGED", &["Offending", "ssh-keygen", "known_hosts"]).await?;
    sshd.know_host_key("")?;
    says("SSH_HOST_KEY_UNKNOWN", &["ssh -l root -p", "fingerprint"]).await?;
    sshd.know_host_key("host_key")?;
    sshd.use_identity("other_id")?;
    says("SSH_PERMISSION_DENIED", &["Permission denied (publickey", "authorized_keys"]).await?;
    sshd.use_identity("id")?;
    works().await?;
    sshd.kill();
    says("HOST_UNREACHABLE", &["Connection refused"]).await?;
    sshd.restart().await?;
    works().await?;
    cli.run(&["host", "add", "nothing", &sshd.through("unix:///nowhere/docker.sock")?])
        .await?
        .expect(0)?;
    let nothing = cli.run(&["ps", "-H", "nothing"]).await?.expect(1)?;
    for said in ["SSH_SOCKET_UNAVAILABLE", "/nowhere/docker.sock", "no such file", "group"] {
        assert!(nothing.stderr.contains(said), "{said}: {nothing:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn without_the_program_ssh_the_error_says_what_to_install() -> anyhow::Result<()> {
    let environment = vec![("PATH".to_owned(), "/nonexistent".to_owned())];
    let options = WharfdOptions { environment, ..Default::default() };
    let wharfd = Wharfd::start_with(options).await?;
    let cli = wharfd.cli()?;
    let added = cli.run(&["host", "add", "web1", "ssh://web1.example.com"]).await?.expect(0)?;
    assert!(added.stderr.contains("SSH_NOT_INSTALLED"), "{added:#?}");
    let listed = cli.run(&["ps"]).await?.expect(1)?;
    for said in ["SSH_NOT_INSTALLED", "openssh-client", "ssh://web1.example.com"] {
        assert!(listed.stderr.contains(said), "{said}: {listed:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn fifty_hosts_over_one_sshd_with_its_own_limit_of_logins() -> anyhow::Result<()> {
    const COUNT: usize = 50;
    let fleet = Fleet::shared().await?;
    let sshd = Sshd::start("").await?;
    // Each host has an address of its own, and therefore a process.
    let socket = fleet.engines[0].address().strip_prefix("unix://").context("a socket")?;
    let mut configuration = String::new();
    for number in 1..=COUNT {
        let own = sshd.directory().join(format!("{number}.sock"));
        symlink(socket, &own)?;
        let address = sshd.through(&format!("unix://{}", own.display()))?;
        configuration += &format!("[[host]]\nname = \"h{number}\"\naddress = \"{address}\"\n");
    }
    let options = WharfdOptions {
        configuration: Some(configuration),
        environment: sshd.environment(),
        ..Default::default()
    };
    let wharfd = Wharfd::start_with(options).await?;
    let cli = wharfd.cli()?;
    cli.run(&["ps", "--host-timeout", "5m"]).await?.expect(0)?;
    assert_eq!(children(wharfd.pid()).len(), COUNT);
    assert_eq!(sshd.sessions().len(), COUNT);
    let log = sshd.log();
    assert!(!log.contains("MaxStartups"), "{log}");
    Ok(())
}
