//! Commands in containers of real Engines: over gRPC, with input in calls (`calls`), and with the
//! command line (`command_line`).

mod calls;
mod command_line;

use std::time::Duration;

use anyhow::{Context, ensure};
use testbed::{Engine, EngineKind, Image, LIMIT, Wharfd, unique};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use wharf::v1::exec_request::Event as Sent;
use wharf::v1::exec_response::Event as Answered;
use wharf::v1::run_command_response::Event;
use wharf::v1::{
    CloseStdin, CommandSpec, ExecRequest, ExecResponse, ExecStart, OutputSource, RunCommandRequest,
    StopContainersRequest, TerminalSize,
};

use crate::generations::stage::Stage;
use crate::support::kinds::on_engines;
use crate::support::{HOSTS, Server, World, all, collect, hosts, reason};

/// Bytes that go through standard input and output.
const MUCH: usize = 64 << 20;

fn command(words: &[&str]) -> Option<CommandSpec> {
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    Some(CommandSpec { command, ..Default::default() })
}

/// What a host wrote, and how its command ended.
fn told(payloads: &[(String, Event)], host: &str) -> (String, String, Option<i32>) {
    let (mut out, mut error, mut code) = (Vec::new(), Vec::new(), None);
    for (_, event) in payloads.iter().filter(|(name, _)| name == host) {
        match event {
            Event::Output(output) if output.source() == OutputSource::Stderr => {
                error.extend_from_slice(&output.data);
            }
            Event::Output(output) => out.extend_from_slice(&output.data),
            Event::Exit(exit) => code = Some(exit.exit_code),
            _ => {}
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(out), text(error), code)
}

#[tokio::test]
async fn a_command_runs_on_three_engines_and_each_tells_how_it_ended() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (image, name) = (world.image(&Image::new("v1")).await?, unique("web"));
    world.run(&name, &image).await?;
    let mut client = world.server.exec();
    let run = |targets, command| RunCommandRequest {
        targets,
        container: name.clone(),
        command,
        ..Default::default()
    };

    let script = "echo $NAME; id -u; pwd; echo wrong >&2; touch /marker";
    let mut spec = command(&["sh", "-c", script]).context("a command")?;
    spec.env = vec!["NAME=a b".to_owned()];
    spec.user = "0".to_owned();
    spec.working_dir = "/bin".to_owned();
    let answer = collect(client.run_command(run(hosts(&["beta"]), Some(spec)))).await?;
    ensure!(answer.end.is_none(), "{answer:?}");
    assert!(answer.outcomes["beta"].changed);
    let expected = ("a b\n0\n/bin\n".to_owned(), "wrong\n".to_owned(), Some(0));
    assert_eq!(told(&answer.payloads, "beta"), expected);

    // Fails where the first one was.
    let script = "test ! -e /marker || exit 9";
    let answer = collect(client.run_command(run(all(), command(&["sh", "-c", script])))).await?;
    assert_eq!(answer.ending(), (Code::Aborted, "SOME_HOSTS_FAILED".to_owned()));
    for host in HOSTS {
        let code = if host == "beta" { 9 } else { 0 };
        assert_eq!(told(&answer.payloads, host).2, Some(code), "{host}");
    }
    let failure = answer.failure("beta").context("an error")?;
    assert_eq!((failure.0, &*failure.1), (Code::FailedPrecondition, "COMMAND_FAILED"));

    // What cannot be started says so in its output.
    let answer = collect(client.run_command(run(hosts(&["alpha"]), command(&["nosuch"])))).await?;
    let (out, error, code) = told(&answer.payloads, "alpha");
    assert!(matches!(code, Some(126 | 127)), "{answer:?}");
    assert!((out + &error).contains("nosuch"), "{answer:?}");

    let request = StopContainersRequest {
        targets: hosts(&["gamma"]),
        containers: vec![name.clone()],
        ..Default::default()
    };
    collect(world.server.containers().stop_containers(request)).await?;
    let answer = collect(client.run_command(run(all(), command(&["true"])))).await?;
    let failure = answer.failure("gamma").context("an error")?;
    assert_eq!((failure.0, &*failure.1), (Code::FailedPrecondition, "ENGINE_CONFLICT"));
    let message = &answer.outcomes["gamma"].status.as_ref().context("a status")?.message;
    assert!(message.contains("start or unpause it"), "{message}");
    let missing = RunCommandRequest { container: unique("none"), ..run(all(), command(&["true"])) };
    let answer = collect(client.run_command(missing)).await?;
    assert_eq!(answer.ending(), (Code::NotFound, "CONTAINER_NOT_FOUND".to_owned()));
    Ok(())
}

/// A session under way.
struct Session {
    requests: mpsc::Sender<ExecRequest>,
    responses: Streaming<ExecResponse>,
}

impl Session {
    async fn open(server: &Server, start: ExecStart) -> Result<Session, Status> {
        let (requests, body) = mpsc::channel(16);
        let session = async |event| requests.send(ExecRequest { event: Some(event) }).await;
        let _ = session(Sent::Start(start)).await;
        let responses = server.exec().exec(ReceiverStream::new(body)).await?.into_inner();
        Ok(Session { requests, responses })
    }

    async fn send(&self, event: Sent) -> anyhow::Result<()> {
        Ok(self.requests.send(ExecRequest { event: Some(event) }).await?)
    }

    /// The output until it has `text`.
    async fn until(&mut self, text: &str) -> anyhow::Result<String> {
        let mut seen = String::new();
        let read = async {
            while !seen.contains(text) {
                match self.responses.message().await?.and_then(|response| response.event) {
                    Some(Answered::Output(output)) => {
                        seen.push_str(&String::from_utf8_lossy(&output.data));
                    }
                    Some(Answered::Started(_) | Answered::Heartbeat(_)) => {}
                    other => anyhow::bail!("{other:?}"),
                }
            }
            Ok(())
        };
        let read = timeout(LIMIT, read).await.context("it does not come").flatten();
        read.with_context(|| format!("{text:?} after {seen:?}"))?;
        Ok(seen)
    }

    /// The rest of the output, and the exit code.
    async fn end(&mut self) -> anyhow::Result<(Vec<u8>, i32)> {
        let mut seen = Vec::new();
        let read = async {
            loop {
                match self.responses.message().await?.and_then(|response| response.event) {
                    Some(Answered::Output(output)) => seen.extend_from_slice(&output.data),
                    Some(Answered::Exited(exit)) => {
                        let more = self.responses.message().await?;
                        ensure!(more.is_none(), "a message after the end");
                        return Ok(exit.exit_code);
                    }
                    Some(_) => {}
                    None => anyhow::bail!("no end"),
                }
            }
        };
        let code = timeout(LIMIT, read).await.context("the session does not end")??;
        Ok((seen, code))
    }
}

fn start(host: &str, container: &str, words: &[&str]) -> ExecStart {
    ExecStart {
        host: host.to_owned(),
        container: container.to_owned(),
        command: command(words),
        stdin: true,
        ..Default::default()
    }
}

/// Bytes in which no piece is like another.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

on_engines!(a_session_has_its_streams_its_terminal_and_its_exit_code: all);

async fn a_session_has_its_streams_its_terminal_and_its_exit_code(
    kind: EngineKind,
) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let server = Server::of(stage.wharfd()).await?;
    let (engine, name) = (stage.engine, stage.name.clone());
    let image = stage.image("v1", &Image::new("v1")).await?;
    engine.run(&name, &image).await?;

    // Input and output at the same time, bit for bit, and the end of the input.
    let mut session = Session::open(&server, start("one", &name, &["cat"])).await?;
    let sent = noise(MUCH);
    let requests = session.requests.clone();
    let input = sent.clone();
    let writing = tokio::spawn(async move {
        for piece in input.chunks(256 << 10) {
            let event = Some(Sent::Stdin(piece.to_vec()));
            requests.send(ExecRequest { event }).await?;
        }
        let event = Some(Sent::CloseStdin(CloseStdin {}));
        requests.send(ExecRequest { event }).await
    });
    let (received, code) = session.end().await?;
    writing.await??;
    assert_eq!((received.len(), code), (MUCH, 0));
    ensure!(received == sent, "the bytes differ");

    // The end of the requests is the end of the input.
    let mut session = Session::open(&server, start("one", &name, &["wc", "-c"])).await?;
    session.send(Sent::Stdin(b"12345".to_vec())).await?;
    session.requests = mpsc::channel(1).0;
    let (received, code) = session.end().await?;
    assert_eq!((String::from_utf8_lossy(&received).trim(), code), ("5", 0));

    // A terminal, its sizes, and its keys.
    let script = "trap 'exit 42' INT; busybox stty size; echo ready; \
                  while :; do read word && busybox stty size; done";
    let mut session = Session::open(
        &server,
        ExecStart {
            tty: true,
            size: Some(TerminalSize { columns: 97, rows: 31 }),
            ..start("one", &name, &["sh", "-c", script])
        },
    )
    .await?;
    let shown = session.until("ready").await?;
    // Before API 1.42, the command may look before its terminal has a size.
    if kind != EngineKind::Machine && !kind.is_podman() {
        assert!(shown.contains("31 97"), "{shown:?}");
    }
    // Podman passes the size and the keys on in two ways: the keys may be there first, and a size that
    // comes before its process listens is lost.
    let requests = session.requests.clone();
    let typing = tokio::spawn(async move {
        let size = TerminalSize { columns: 123, rows: 45 };
        let send = async |event| requests.send(ExecRequest { event: Some(event) }).await.is_ok();
        while send(Sent::Resize(size)).await && send(Sent::Stdin(b"x\n".to_vec())).await {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    session.until("45 123").await?;
    typing.abort();
    session.send(Sent::Stdin(vec![3])).await?;
    assert_eq!(session.end().await?.1, 42);

    // One that is refused, by the Engine and at the edge.
    let refused = Session::open(&server, start("one", &unique("none"), &["true"])).await;
    let status = refused.err().context("an error")?;
    assert_eq!(reason(&status), "CONTAINER_NOT_FOUND");
    let mut session = Session::open(&server, start("one", &name, &["cat"])).await?;
    session.send(Sent::Resize(TerminalSize { columns: 1, rows: 1 })).await?;
    let status = session.end().await.unwrap_err().downcast::<Status>()?;
    assert_eq!(reason(&status), "INVALID_FIELD");
    Ok(())
}

/// An Engine that is restarted takes its containers and its commands with it.
#[tokio::test]
async fn an_engine_that_dies_under_a_command_leaves_a_doubt() -> anyhow::Result<()> {
    let engine = Engine::start().await?;
    let wharfd = Wharfd::start().await?;
    let server = Server::of(&wharfd).await?;
    server.add("one", engine.address()).await?;
    let name = unique("web");
    let image = format!("{name}:v1");
    engine.import(&image, &Image::new("v1")).await?;
    engine.run(&name, &image).await?;

    let request = RunCommandRequest {
        targets: all(),
        container: name.clone(),
        command: command(&["sh", "-c", "echo begun; sleep 1000"]),
        ..Default::default()
    };
    let mut client = server.exec();
    let mut running = client.run_command(request).await?.into_inner();
    let begun = async {
        while let Some(message) = running.message().await? {
            if let Some(wharf::v1::run_command_response::Event::Output(_)) = message.event {
                return anyhow::Ok(());
            }
        }
        anyhow::bail!("no output")
    };
    begun.await?;
    engine.kill();
    let mut outcome = None;
    while let Ok(Some(message)) = running.message().await {
        if let Some(wharf::v1::run_command_response::Event::Outcome(ended)) = message.event {
            outcome = ended.status;
        }
    }
    let status = outcome.context("an outcome")?;
    // It is not said that nothing was done, which UNAVAILABLE would mean.
    assert!(![Code::Ok, Code::Unavailable].map(i32::from).contains(&status.code), "{status:?}");
    Ok(())
}
