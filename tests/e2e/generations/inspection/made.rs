//! The containers with all settings. Two, because a container in the namespaces of the host cannot
//! have networks, ports, and a host name of its own.

use serde_json::json;
use testbed::{EngineKind, tools};

use super::Stage;

#[derive(Clone, Copy, Debug)]
pub enum Made {
    /// In networks and namespaces of its own.
    Apart,
    /// In those of the host, privileged.
    OnHost,
}

/// Of both.
const ALWAYS: &str = "--user 0:0 --env MINE=1 --label mine=1 --workdir /data --entrypoint /bin/idle \
    --stop-timeout 7 --stop-signal SIGINT --memory 64m --memory-reservation 32m --pids-limit 50 \
    --ulimit nofile=100:200 --ulimit nproc=1000:1000 --group-add 20 --oom-score-adj 10 --tty \
    --interactive --cpuset-cpus 0";
const APART: &str = "--hostname there --health-cmd true --health-interval 1s --health-timeout 5s \
    --health-retries 2 --health-start-period 1s --expose 81/udp --volume /anonymous \
    --tmpfs /scratch:size=1m,mode=1770 --cpu-shares 512 --cap-add NET_ADMIN --cap-drop CHOWN \
    --security-opt no-new-privileges --dns 127.0.0.9 --dns-search example.com --dns-option ndots:2 \
    --add-host other:10.0.0.9 --shm-size 16m";
/// Podman has no init process and no devices where its packages for those are missing, and shows
/// limits otherwise than it takes them.
const APART_ON_DOCKER: &str = "--domainname example.com --init --memory-swap 128m \
    --memory-swappiness 10 --device /dev/null:/dev/other:r --restart on-failure:3 \
    --sysctl net.ipv4.ip_default_ttl=65 --ipc shareable --cgroupns private --log-opt max-size=1m \
    --cpus 0.5 --runtime runc --read-only --publish-all --isolation default \
    --mount type=tmpfs,dst=/more,tmpfs-size=1m,tmpfs-mode=1770";
const ON_HOST: &str = "--network host --pid host --ipc host --uts host";
const ON_HOST_ON_DOCKER: &str = "--userns host --cgroupns host --no-healthcheck \
    --cpu-period 100000 --cpu-quota 50000 --cpuset-mems 0 --oom-kill-disable --log-driver none \
    --restart unless-stopped --volume-driver local --volume /driven";

impl Made {
    pub async fn create(self, kind: EngineKind, stage: &Stage, image: &str) -> anyhow::Result<()> {
        let (more, docker, options) = match self {
            Made::Apart => (APART, APART_ON_DOCKER, apart(kind, stage, image).await?),
            Made::OnHost => (ON_HOST, ON_HOST_ON_DOCKER, on_host(kind, stage, image)?),
        };
        let docker = if kind.is_podman() { "" } else { docker };
        let fixed = [ALWAYS, more, docker].into_iter().flat_map(str::split_whitespace);
        let mut arguments = vec!["create", "--name", &stage.name];
        arguments.extend(fixed);
        arguments.extend(options.iter().map(String::as_str));
        arguments.extend([image, "one", "two"]);
        stage.docker(&arguments)?;
        if matches!(self, Made::Apart) {
            let back = stage.other("back");
            stage.docker(&["network", "connect", "--alias", "behind", &back, &stage.name])?;
        }
        Ok(())
    }
}

async fn apart(kind: EngineKind, stage: &Stage, image: &str) -> anyhow::Result<Vec<String>> {
    let (front, back) = (stage.other("front"), stage.other("back"));
    let port = format!("127.0.0.1:{}:80/tcp", tools::free_port()?);
    let number = port.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
    let prefix = format!("10.{}.{}", 130 + number % 20, number / 20 % 256);
    let ipam = json!({"Config": [{"Subnet": format!("{prefix}.0/24")}]});
    for (name, ipam, card) in [(&front, ipam, "f"), (&back, json!({}), "b")] {
        // A card of this machine: podman does not see the names that other Engines have given.
        let card = format!("wpod{}{card}", &stage.name[4..]);
        let options = json!({"com.docker.network.bridge.name": card});
        let options = if kind.is_podman() { options } else { json!({}) };
        let body = json!({"Name": name, "Driver": "bridge", "IPAM": ipam, "Options": options});
        stage.engine.post("/networks/create", Some(body)).await?;
    }
    let directory = stage.engine.directory().join("bound");
    std::fs::create_dir_all(&directory)?;
    let mut options = Options::default();
    options.add("--publish", port);
    options.add("--volume", format!("{}:/named", stage.other("named")));
    let bind = format!("type=bind,src={},dst=/bound,readonly", directory.display());
    options.add("--mount", bind);
    let address = format!("{prefix}.77");
    if kind == EngineKind::Docker28 {
        let sysctl = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
        options.add(
            "--network",
            format!(
                "name={front},ip={address},alias=aka,mac-address=02:42:0a:00:00:99,gw-priority=3,\
                 driver-opt={sysctl}"
            ),
        );
        options.add("--mount", format!("type=image,src={image},dst=/image"));
    } else {
        options.add("--network", front);
        options.add("--ip", address);
        options.add("--network-alias", "aka");
    }
    if kind == EngineKind::Docker26 {
        options.add("--mac-address", "02:42:0a:00:00:99");
    }
    if matches!(kind, EngineKind::Docker26 | EngineKind::Docker28) {
        let volume = stage.other("parted");
        let mount = format!("{volume}:/volume");
        let run = ["run", "--rm", "--network", "none", "--volume", &mount, image];
        stage.docker(&[&run[..], &["/bin/mkdir", "/volume/part"]].concat())?;
        let part = format!("type=volume,src={volume},dst=/part,volume-subpath=part");
        options.add("--mount", part);
        options.add("--annotation", "mine=1");
        options.add("--health-start-interval", "500ms");
    }
    if !kind.is_podman() {
        options.add("--device-cgroup-rule", "c 1:3 r");
        let labelled = stage.other("labelled");
        let mount = format!("type=volume,src={labelled},dst=/labelled,volume-nocopy");
        options.add("--mount", format!("{mount},volume-label=a=b"));
    }
    Ok(options.0)
}

fn on_host(kind: EngineKind, stage: &Stage, image: &str) -> anyhow::Result<Vec<String>> {
    let mut options = Options::default();
    if matches!(kind, EngineKind::Docker26 | EngineKind::Docker28) {
        // Engine 20.10 asks for capabilities that root may lack.
        options.0.push("--privileged".to_owned());
    }
    if !kind.is_podman() {
        let source = stage.other("source");
        let volume = format!("{}:/shared", stage.other("shared"));
        let create = ["create", "--name", &source, "--network", "none", "--volume", &volume];
        stage.docker(&[&create[..], &[image]].concat())?;
        options.add("--volumes-from", source);
    }
    Ok(options.0)
}

#[derive(Default)]
struct Options(Vec<String>);

impl Options {
    fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.extend([name.to_owned(), value.into()]);
    }
}
