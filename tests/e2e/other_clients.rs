//! Clients without Wharf's code: Python and buf with reflection, a browser with gRPC-Web, and
//! health checks. `generated` has the clients with generated code.

mod generated;

use std::env;
use std::process::Stdio;

use anyhow::{Context, ensure};
use prost::Message;
use serde_json::Value;
use testbed::{Fleet, Image, Wharfd, WharfdOptions, tools, unique};
use tokio::process::Command;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1::list_containers_response::Event as Listed;
use wharf::v1::{ListContainersRequest, ListContainersResponse};

use crate::support::{HOSTS, Server, all, on_hosts};

/// A server on a TCP port, with the three Engines and a running container on each.
struct Open {
    _wharfd: Wharfd,
    server: Server,
    authority: String,
    container: String,
}

impl Open {
    async fn start() -> anyhow::Result<Open> {
        let authority = format!("127.0.0.1:{}", tools::free_port()?);
        let arguments = ["--no-local", "--insecure-tcp-without-authentication"];
        let wharfd = Wharfd::start_with(WharfdOptions {
            listen: vec![format!("tcp://{authority}")],
            arguments: Some(arguments.map(str::to_owned).to_vec()),
            ..Default::default()
        })
        .await?;
        let server = Server::of(&wharfd).await?;
        let container = unique("web");
        for (host, engine) in HOSTS.iter().zip(&Fleet::shared().await?.engines) {
            server.add(host, engine.address()).await?;
            let image = format!("{}:v1", unique("app"));
            engine.import(&image, &Image::new("v1")).await?;
            engine.run(&container, &image).await?;
        }
        Ok(Open { _wharfd: wharfd, server, authority, container })
    }
}

/// A program that `scripts/test` installs and names in a variable.
fn program(variable: &str) -> anyhow::Result<std::path::PathBuf> {
    let path = env::var_os(variable).with_context(|| {
        format!("{variable} is not set; run `scripts/test e2e`, which installs what it names")
    })?;
    Ok(path.into())
}

async fn output(mut command: Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {stderr}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn python_lists_containers_through_reflection_alone() -> anyhow::Result<()> {
    let open = Open::start().await?;
    let mut command = Command::new(program("WHARF_PYTHON")?);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/list_containers.py"))
        .arg(&open.authority);
    let answer: Value = serde_json::from_str(&output(command).await?)?;
    for container in on_hosts(&open.container) {
        assert!(answer["containers"].to_string().contains(&container), "{answer}");
    }
    assert_eq!(answer["summary"]["succeeded"], 3);
    for service in ["wharf.v1.HostService", "wharf.v1.SystemService", "grpc.health.v1.Health"] {
        assert!(answer["services"].to_string().contains(service), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn python_takes_a_new_image_to_every_host() -> anyhow::Result<()> {
    let open = Open::start().await?;
    let image = format!("{}:v2", unique("app"));
    let mut ids = Vec::new();
    for engine in &Fleet::shared().await?.engines {
        ids.push(engine.import(&image, &Image::new("v2")).await?);
    }
    let mut command = Command::new(program("WHARF_PYTHON")?);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python/roll_out.py"))
        .arg(format!("tcp://{}", open.authority))
        .args([&open.container, &image])
        .args(["--labels", "!left-out", "--policy"])
        .arg(r#"{"pullPolicy":"PULL_POLICY_NEVER","minHealthyTime":"0.2s","monitor":"0s"}"#);
    let said = output(command).await?;
    assert!(said.ends_with("ROLLOUT_STATE_SUCCEEDED\n"), "{said}");
    assert_eq!(said.matches("HOST_STATE_UPDATED").count(), 3, "{said}");
    for (engine, id) in Fleet::shared().await?.engines.iter().zip(ids) {
        let container = engine.container(&open.container).await?.context("it is gone")?;
        assert_eq!(
            (&container["Image"], &container["State"]["Running"]),
            (&id.into(), &true.into())
        );
    }
    Ok(())
}

#[tokio::test]
async fn buf_lists_containers_through_reflection_alone() -> anyhow::Result<()> {
    let open = Open::start().await?;
    for reflection in ["grpc-v1", "grpc-v1alpha"] {
        let mut command = Command::new(program("WHARF_BUF")?);
        command
            .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"])
            .args(["--reflect-protocol", reflection])
            .args(["--data", r#"{"targets":{"all":{}}}"#])
            .arg(format!("http://{}/wharf.v1.ContainerService/ListContainers", open.authority));
        let answer = output(command).await?;
        let messages: Result<Vec<Value>, _> =
            serde_json::Deserializer::from_str(&answer).into_iter().collect();
        let messages = messages?;
        assert!(messages[0]["started"]["hosts"].to_string().contains("beta"), "{answer}");
        assert_eq!(answer.matches(&open.container).count(), 3, "{answer}");
        assert_eq!(messages.last().context("a message")?["summary"]["succeeded"], 3);
    }
    Ok(())
}

#[tokio::test]
async fn browser_lists_containers_by_grpc_web_over_http_1() -> anyhow::Result<()> {
    let open = Open::start().await?;
    tools::install_crypto();
    let client = reqwest::Client::builder().no_proxy().http1_only().tls_certs_only([]).build()?;
    let request = ListContainersRequest { targets: all(), ..Default::default() }.encode_to_vec();
    let length = u32::try_from(request.len())?.to_be_bytes();
    let response = client
        .post(format!("http://{}/wharf.v1.ContainerService/ListContainers", open.authority))
        .header("content-type", "application/grpc-web+proto")
        .header("x-grpc-web", "1")
        .body([&[0][..], &length, &request].concat())
        .send()
        .await?
        .error_for_status()?;
    assert_eq!(response.version(), reqwest::Version::HTTP_11);
    assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
    let body = response.bytes().await?;
    let (mut rest, mut found, mut trailers) = (&body[..], 0, String::new());
    while let Some((head, after)) = rest.split_at_checked(5) {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (frame, after) = after.split_at_checked(length).context("a whole frame")?;
        rest = after;
        if head[0] & 0x80 != 0 {
            trailers = String::from_utf8(frame.to_vec())?;
            continue;
        }
        let (_, envelope) = ListContainersResponse::decode(frame)?.into_envelope();
        if let Some(Envelope::Payload(Listed::Batch(batch))) = envelope {
            found += batch.containers.iter().filter(|it| it.name == open.container).count();
        }
    }
    assert_eq!(found, 3);
    assert!(
        trailers.contains("grpc-status:0") || trailers.contains("grpc-status: 0"),
        "{trailers}"
    );
    Ok(())
}

#[tokio::test]
async fn health_of_the_server_and_of_each_service() -> anyhow::Result<()> {
    let wharfd = Wharfd::start().await?;
    let mut client = HealthClient::new(Server::of(&wharfd).await?.0);
    for service in ["", "wharf.v1.HostService", "wharf.v1.ContainerService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = client.check(request).await?.into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let request = HealthCheckRequest { service: "wharf.v1.Nothing".to_owned() };
    let unknown = client.check(request).await.expect_err("no such service");
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    Ok(())
}
