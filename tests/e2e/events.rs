//! Events of real Engines: each once and in order, over restarts of the server and of an Engine, by API
//! and command line.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use testbed::{Engine, EngineKind, Image, Wharfd, eventually, unique};
use wharf::v1::stream_events_response::Event;
use wharf::v1::{EventPosition, StreamEventsRequest, StreamEventsResponse};

use crate::generations::stage::Stage;
use crate::logs::process::Running;
use crate::support::kinds::on_engines;
use crate::support::{HOSTS, Server, World, all};

on_engines!(a_container_is_reported_in_words_of_docker: newer);

/// `TYPE ACTION` of the events of each host that are about objects of this name.
type Seen = BTreeMap<String, Vec<String>>;

/// What a client of the API has received.
#[derive(Default)]
struct Client {
    seen: Seen,
    after: BTreeMap<String, EventPosition>,
    lost: usize,
}

impl Client {
    fn take(&mut self, message: StreamEventsResponse, name: &str) {
        let StreamEventsResponse { host, event } = message;
        let position = match event {
            Some(Event::EngineEvent(event)) => {
                if is_of(&event.actor_id, &json!(event.attributes), name) {
                    let seen = self.seen.entry(host.clone()).or_default();
                    seen.push(format!("{} {}", event.r#type, event.action));
                }
                event.position
            }
            Some(Event::Position(position)) => Some(position),
            Some(Event::Lost(lost)) => {
                self.lost += 1;
                lost.position
            }
            _ => None,
        };
        if let Some(position) = position {
            self.after.insert(host, position);
        }
    }

    /// Reads, and resumes once, until it is so.
    async fn until(
        &mut self,
        server: &Server,
        name: &str,
        so: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let request =
            StreamEventsRequest { targets: all(), after: self.after.clone(), ..Default::default() };
        let mut stream = server.events().stream_events(request).await?.into_inner();
        let read = async {
            while !so(self) {
                self.take(stream.message().await?.context("the stream goes on")?, name);
            }
            anyhow::Ok(())
        };
        let done = tokio::time::timeout(testbed::LIMIT, read).await;
        done.with_context(|| format!("{:?}", self.seen))?
    }
}

/// Whether an event is about something of this name.
fn is_of(actor: &str, attributes: &Value, name: &str) -> bool {
    let about = |key: &str| attributes[key].as_str().is_some_and(|it| it.contains(name));
    actor.contains(name) || about("name") || about("image")
}

/// The events of the output of `wharf events -o json`.
fn printed(output: &str, name: &str) -> anyhow::Result<Seen> {
    let mut seen = Seen::new();
    for line in output.lines() {
        let line: Value = serde_json::from_str(line)?;
        if is_of(line["actorId"].as_str().unwrap_or_default(), &line["attributes"], name) {
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            let event = format!("{} {}", text("type"), text("action"));
            seen.entry(text("host")).or_default().push(event);
        }
    }
    Ok(seen)
}

/// The events that matter here; Engines report more, such as `container attach`.
fn of_interest(seen: &Seen) -> Seen {
    let actions = [
        "image pull",
        "container create",
        "container start",
        "container kill",
        "container die",
        "container destroy",
        "network create",
        "network destroy",
    ];
    let events = |events: &Vec<String>| {
        events.iter().filter(|it| actions.contains(&it.as_str())).cloned().collect()
    };
    seen.iter().map(|(host, all)| (host.clone(), events(all))).collect()
}

fn everywhere(events: &[&str]) -> Seen {
    let events: Vec<String> = events.iter().map(|event| (*event).to_owned()).collect();
    HOSTS.map(|host| (host.to_owned(), events.clone())).into()
}

/// As `--since` takes it.
fn now() -> anyhow::Result<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(format!("{}.{:09}", now.as_secs(), now.subsec_nanos()))
}

#[tokio::test]
async fn three_hosts_are_one_stream_without_loss_and_repeat() -> anyhow::Result<()> {
    let world = World::start().await?;
    let name = unique("event");
    let reference = format!("{}:v1", world.fleet.open_registry.reference(&name));
    let [alpha, ..] = world.engines();
    alpha.import(&reference, &Image::new(&name)).await?;
    alpha.push(&reference, None).await?;
    alpha.delete(&format!("/images/{reference}")).await?;
    let since = now()?;
    let mut running =
        Running::command(&world.cli, &["events", "-A", "-o", "json", "--since", &since])?;
    let mut client = Client::default();
    client.until(&world.server, &name, |it| it.after.len() == 3).await?;

    let create = json!({"Image": reference, "Labels": {"test": name}, "HostConfig": {"NetworkMode": "none"}});
    world.cli.run(&["pull", "-A", &reference]).await?.expect(0)?;
    for engine in world.engines() {
        let path = format!("/containers/create?name={name}");
        engine.post(&path, Some(create.clone())).await?;
        engine.post(&format!("/containers/{name}/start"), None).await?;
    }
    let first = ["image pull", "container create", "container start"];
    let has = |count: usize| {
        move |it: &Client| {
            let seen = of_interest(&it.seen);
            seen.len() == 3 && seen.values().all(|events| events.len() >= count)
        }
    };
    client.until(&world.server, &name, has(first.len())).await?;

    // The server is away while more happens; both clients continue where they were.
    let mut expected = first.to_vec();
    world.wharfd.kill();
    for engine in world.engines() {
        engine.post(&format!("/containers/{name}/kill"), None).await?;
        engine.delete(&format!("/containers/{name}?force=1")).await?;
    }
    world.wharfd.restart().await?;
    let server = Server::of(&world.wharfd).await?;
    for engine in world.engines() {
        let network = engine.post("/networks/create", Some(json!({"Name": name}))).await?;
        let id = network["Id"].as_str().context("an ID")?;
        engine.delete(&format!("/networks/{id}")).await?;
    }
    expected.extend(["container kill", "container die", "container destroy"]);
    expected.extend(["network create", "network destroy"]);
    client.until(&server, &name, has(expected.len())).await?;
    assert_eq!(of_interest(&client.seen), everywhere(&expected));
    assert_eq!(client.lost, 0);
    let all_there = |stdout: &str, _: &str| {
        printed(stdout, &name).is_ok_and(|seen| of_interest(&seen) == everywhere(&expected))
    };
    running.until("all events", all_there).await?;
    running.interrupt()?;
    assert_eq!(running.end().await?, Some(130));
    assert_eq!(printed(&running.stdout()?, &name)?, client.seen);

    // What is past is shown once more, filtered, and ends.
    let label = format!("label=test={name}");
    let past = ["events", "-A", "--since", &since, "--until", "0s", "-f", &label];
    let died = world.cli.run(&[&past[..], &["-f", "event=die"]].concat()).await?.expect(0)?;
    let lines: Vec<&str> = died.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{died:?}");
    for host in HOSTS {
        let line = lines.iter().find(|line| line.contains(&format!(" {host} container die ")));
        let line = line.with_context(|| died.stdout.clone())?;
        assert!(line.contains("exitCode=137") && line.contains(&format!("name={name}")), "{line}");
    }
    let format = ["--format", "{{.Host}} {{.Action}} {{.Actor.Attributes.name}}"];
    let made = [&past[..], &["-f", "event=create", "-H", "beta"], &format].concat();
    let made: Vec<&str> = made.into_iter().filter(|it| *it != "-A").collect();
    let made = world.cli.run(&made).await?.expect(0)?;
    assert_eq!(made.stdout, format!("beta create {name}\n"));

    for (arguments, said) in [
        (&["-f", "status=running"][..], "filters[0].key: must be one of container"),
        (&["-f", "die"], "is not KEY=VALUE"),
        (&["--since", "1h", "--until", "2h"], "is before --since"),
        (&["--format", "{{.Nothing}}"], "there is no field .Nothing"),
        (&["--max-parallel", "2"], "--max-parallel needs --until"),
    ] {
        let output = world.cli.run(&[&["events", "-A"], arguments].concat()).await?.expect(2)?;
        assert!(output.stderr.contains(said), "{arguments:?}: {}", output.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn an_engine_that_was_killed_is_said_and_the_stream_goes_on() -> anyhow::Result<()> {
    let engines = try_join_all([Engine::start(), Engine::start()]).await?;
    let wharfd = Wharfd::start().await?;
    let server = Server::of(&wharfd).await?;
    for (host, engine) in HOSTS.iter().zip(&engines) {
        server.add(host, engine.address()).await?;
    }
    let cli = wharfd.cli()?;
    let mut running = Running::command(&cli, &["events", "-A", "-o", "json", "--since", "1s"])?;
    let make = async |number: usize| {
        for engine in &engines {
            engine.post("/volumes/create", Some(json!({"Name": format!("v{number}")}))).await?;
        }
        anyhow::Ok(())
    };
    make(1).await?;
    let volumes = |stdout: &str, host: &str| -> Vec<String> {
        let lines = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let made = lines.filter(|it| it["host"] == host && it["type"] == "volume");
        made.filter_map(|it| it["actorId"].as_str().map(str::to_owned)).collect()
    };
    let has = |number: usize| {
        let name = format!("v{number}");
        move |stdout: &str, _: &str| {
            HOSTS[..2].iter().all(|host| volumes(stdout, host).contains(&name))
        }
    };
    running.until("the first volumes", has(1)).await?;
    engines[1].kill();
    running.until("the gap", |stdout, _| stdout.contains("\"type\":\"gap\"")).await?;
    engines[1].restart().await?;
    running.until("its return", |stdout, _| stdout.contains("\"away\":\"")).await?;
    // The connection is there again, and with it what may be missing is said.
    make(2).await?;
    running.until("the second volumes", has(2)).await?;
    running.until("the loss", |stdout, _| stdout.contains("FORGOTTEN")).await?;
    running.interrupt()?;
    assert_eq!(running.end().await?, Some(130));
    let stdout = running.stdout()?;
    for host in &HOSTS[..2] {
        assert_eq!(volumes(&stdout, host), ["v1", "v2"], "{host}");
    }
    let lost: Vec<Value> = stdout
        .lines()
        .map(serde_json::from_str)
        .filter(|line| line.as_ref().is_ok_and(|line: &Value| line["type"] == "lost"))
        .collect::<Result<_, _>>()?;
    // There may be one at the beginning, because a new Engine remembers nothing.
    let last = lost.last().context("a loss")?;
    ensure!(last["host"] == HOSTS[1] && last["cause"] == "EVENTS_LOST_CAUSE_FORGOTTEN", "{last}");
    Ok(())
}

async fn a_container_is_reported_in_words_of_docker(kind: EngineKind) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let image = stage.image("v1", &Image::new("v1")).await?;
    let since = now()?;
    let mut running =
        Running::command(&stage.cli, &["events", "-A", "-o", "json", "--since", &since])?;
    stage.run(json!({"Image": image, "HostConfig": {"NetworkMode": "none"}})).await?;
    let volume = stage.other("volume");
    stage.engine.post("/volumes/create", Some(json!({"Name": volume}))).await?;
    stage.engine.delete(&format!("/volumes/{volume}")).await?;
    stage.engine.post(&format!("/containers/{}/kill", stage.name), None).await?;
    eventually("its end", async || {
        ensure!(stage.inspect().await?["State"]["Running"] == false);
        Ok(())
    })
    .await?;
    stage.clear().await?;
    let expected = [
        "container create",
        "container start",
        "volume create",
        "volume destroy",
        "container kill",
        "container die",
        "container destroy",
    ];
    let of = |seen: &Seen| -> Vec<String> {
        let known = |event: &&String| expected.contains(&event.as_str());
        seen.get("one").into_iter().flatten().filter(known).cloned().collect()
    };
    let done = |stdout: &str, _: &str| {
        printed(stdout, &stage.name).is_ok_and(|seen| of(&seen).len() == expected.len())
    };
    running.until("all events", done).await?;
    running.interrupt()?;
    assert_eq!(running.end().await?, Some(130));
    let followed = printed(&running.stdout()?, &stage.name)?;
    assert_eq!(of(&followed), expected);

    // The same once more, from the past.
    let past = ["events", "-A", "--since", &since, "--until", "0s", "-o", "json"];
    let output = stage.cli.run(&past).await?.expect(0)?;
    assert_eq!(printed(&output.stdout, &stage.name)?, followed, "{}", output.stdout);
    let die = ["-f", &format!("container={}", stage.name), "-f", "event=die"].map(str::to_owned);
    let die: Vec<&str> = past.into_iter().chain(die.iter().map(String::as_str)).collect();
    let lines = stage.cli.run(&die).await?.expect(0)?.json_lines()?;
    let [line] = &lines[..] else { anyhow::bail!("{lines:?}") };
    assert_eq!(line["attributes"]["exitCode"], "137");
    assert_eq!(line["attributes"]["image"], json!(image), "{line}");
    Ok(())
}
