//! A session whose input comes in calls, as a browser has it, on every kind of Engine.

use anyhow::{Context, bail, ensure};
use testbed::{Engine, EngineKind, Image, LIMIT, eventually};
use tokio::time::timeout;
use tonic::Streaming;
use wharf::v1::send_session_input_request::Input;
use wharf::v1::start_session_request::Target;
use wharf::v1::start_session_response::Event;
use wharf::v1::{
    ExecStart, SendSessionInputRequest, StartSessionRequest, StartSessionResponse, TerminalSize,
};

use super::start;
use crate::generations::stage::Stage;
use crate::support::Server;
use crate::support::kinds::on_engines;

/// A session under way.
struct Session<'a> {
    server: &'a Server,
    responses: Streaming<StartSessionResponse>,
    id: String,
    next: u64,
    seen: String,
}

impl<'a> Session<'a> {
    async fn open(server: &'a Server, start: ExecStart) -> anyhow::Result<Session<'a>> {
        let request = StartSessionRequest { target: Some(Target::Start(start)) };
        let mut responses = server.exec().start_session(request).await?.into_inner();
        let first = responses.message().await?.and_then(|response| response.event);
        let Some(Event::Started(started)) = first else { bail!("the first is {first:?}") };
        let (id, seen) = (started.session_id, String::new());
        Ok(Session { server, responses, id, next: 0, seen })
    }

    async fn send(&mut self, input: Input) -> anyhow::Result<()> {
        let (session_id, position) = (self.id.clone(), self.next);
        let request = SendSessionInputRequest { session_id, position, input: Some(input) };
        // Twice: the second one is a retry, which must not be typed again.
        self.server.exec().send_session_input(request.clone()).await?;
        self.server.exec().send_session_input(request).await?;
        self.next += 1;
        Ok(())
    }

    async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        self.send(Input::Stdin(format!("{line}\n").into())).await
    }

    /// Reads until the output has `text`; `None`: until its exit code.
    async fn until(&mut self, text: Option<&str>) -> anyhow::Result<Option<i32>> {
        let read = async {
            loop {
                if text.is_some_and(|text| self.seen.contains(text)) {
                    return Ok(None);
                }
                match self.responses.message().await?.and_then(|response| response.event) {
                    Some(Event::Output(output)) => {
                        self.seen.push_str(&String::from_utf8_lossy(&output.data));
                    }
                    Some(Event::Exited(exit)) if text.is_none() => return Ok(Some(exit.exit_code)),
                    Some(Event::Heartbeat(_)) => {}
                    other => bail!("{other:?}"),
                }
            }
        };
        let read = timeout(LIMIT, read).await.context("it does not come").flatten();
        read.with_context(|| format!("{text:?} after {:?}", self.seen))
    }
}

/// Waits until so many shells of terminals run in a container.
async fn shells(engine: &Engine, name: &str, expected: usize) -> anyhow::Result<()> {
    eventually("the shells of terminals", async || {
        // The last column is the command, in the words of every Engine.
        let listed = engine.get(&format!("/containers/{name}/top")).await?;
        let processes = listed["Processes"].as_array().into_iter().flatten();
        let commands = processes.filter_map(|process| process.as_array()?.last());
        let shells = commands.filter(|command| **command == "sh").count();
        ensure!(shells == expected, "{shells} of {expected}: {listed}");
        Ok(())
    })
    .await
}

on_engines!(a_terminal_of_calls_types_once_and_leaves_no_shell: all);

async fn a_terminal_of_calls_types_once_and_leaves_no_shell(
    kind: EngineKind,
) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let server = Server::of(stage.wharfd()).await?;
    let (engine, name) = (stage.engine, stage.name.clone());
    let image = stage.image("v1", &Image::new("v1")).await?;
    engine.run(&name, &image).await?;
    let terminal = || ExecStart {
        tty: true,
        size: Some(TerminalSize { columns: 97, rows: 31 }),
        ..start("one", &name, &["sh"])
    };

    let mut session = Session::open(&server, terminal()).await?;
    session.say("echo \"typed:$((6*7)) times\"").await?;
    session.until(Some("typed:42 times")).await?;
    session.send(Input::Resize(TerminalSize { columns: 123, rows: 45 })).await?;
    session.say("until busybox stty size | grep '45 123'; do :; done").await?;
    session.until(Some("45 123")).await?;
    session.say("echo begun; sleep 1000").await?;
    session.until(Some("begun\r\n")).await?;
    session.send(Input::Stdin(vec![3])).await?;
    session.say("exit $((40+2))").await?;
    assert_eq!(session.until(None).await?, Some(42));
    let typed = session.seen.matches("typed:42 times").count();
    assert_eq!(typed, 1, "a retry is not typed again: {:?}", session.seen);

    if kind.is_podman() {
        // What it does with the last keys of a connection that is closed is not known yet.
        return Ok(());
    }
    // Who goes away leaves no shell, also with half a line at its prompt.
    let mut session = Session::open(&server, terminal()).await?;
    session.send(Input::Stdin(b"half a line".to_vec())).await?;
    session.until(Some("half a line")).await?;
    shells(engine, &name, 1).await?;
    drop(session);
    shells(engine, &name, 0).await
}
