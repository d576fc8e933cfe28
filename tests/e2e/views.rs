//! Views of real Engines against a second judge: random changes are made on the Engine itself, and what
//! `ListContainers` says from a view is compared with the Engine's own list.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use testbed::{EngineKind, Image};
use tokio::time::{Instant, sleep};
use wharf::fanout::{Envelope, FanoutResponse};
use wharf::v1;
use wharf::v1::list_containers_response::Event;

use crate::generations::stage::Stage;
use crate::support::kinds::on_engines;
use crate::support::{Server, all};

on_engines!(random_changes_are_seen_as_the_engine_lists_them: all);
on_engines!(filters_choose_from_a_view_as_the_engine_does: all);

/// Far more than an event takes, and far less than the time to the next complete list.
const LATE: Duration = Duration::from_secs(20);
/// Changes of a run.
const CHANGES: u32 = 40;

/// ID, name, state, image, and labels of containers, by ID.
type Containers = BTreeMap<String, (String, String, String, BTreeMap<String, String>)>;

/// What the Engine lists, read without Wharf.
async fn judge(stage: &Stage, query: &str) -> anyhow::Result<Containers> {
    let list = stage.engine.get(&format!("/containers/json?{query}")).await?;
    let mut containers = Containers::new();
    for container in list.as_array().context("a list")? {
        let text = |key: &str| container[key].as_str().unwrap_or_default().to_owned();
        let name = container["Names"][0].as_str().unwrap_or_default();
        let name = name.trim_start_matches('/').to_owned();
        let labels = container["Labels"].as_object().into_iter().flatten();
        let labels =
            labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
        if name.starts_with(&stage.name) {
            let rest = (name, text("State"), text("Image"), labels.collect());
            containers.insert(text("Id"), rest);
        }
    }
    Ok(containers)
}

/// What Wharf lists, and whether it asked the Engine for it.
async fn listed(
    server: &Server,
    stage: &Stage,
    request: v1::ListContainersRequest,
) -> anyhow::Result<(Containers, v1::ViewState)> {
    let mut stream = server.containers().list_containers(request).await?.into_inner();
    let (mut containers, mut view) = (Containers::new(), None);
    while let Some(message) = stream.message().await? {
        match message.into_envelope().1 {
            Some(Envelope::Payload(Event::Batch(batch))) => {
                for it in batch.containers {
                    if it.name.starts_with(&stage.name) {
                        containers.insert(it.id, (it.name, it.state, it.image, it.labels));
                    }
                }
            }
            Some(Envelope::Outcome(outcome)) => view = outcome.view,
            _ => {}
        }
    }
    Ok((containers, view.context("a list says how current it is")?))
}

fn from_view() -> v1::ListContainersRequest {
    v1::ListContainersRequest {
        targets: all(),
        all: true,
        consistency: v1::Consistency::View.into(),
        ..Default::default()
    }
}

/// Waits until a view answers, without the Engine, and as the Engine does.
async fn until_it_agrees(server: &Server, stage: &Stage, after: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let before = judge(stage, "all=1").await?;
        let (known, view) = listed(server, stage, from_view()).await?;
        let truth = judge(stage, "all=1").await?;
        if view.fresh {
            // The Engine said so itself. It may go on to change a state after it answered a kill.
            let is_right = known == truth || known == before;
            ensure!(is_right, "asked after {after}: {known:#?} is not {truth:#?}");
        } else {
            ensure!(view.sync() == v1::ViewSync::Live, "{view:?}");
            if known == truth {
                return Ok(());
            }
        }
        if begun.elapsed() > LATE {
            bail!("{LATE:?} after {after}, {view:?}: {known:#?} is not {truth:#?}");
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn random_changes_are_seen_as_the_engine_lists_them(kind: EngineKind) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let server = Server::of(stage.wharfd()).await?;
    let image = stage.image("v1", &Image::new("v1")).await?;
    until_it_agrees(&server, &stage, "the start").await?;
    // From a counter: a run that failed can be repeated.
    let mut seed: u32 = 7;
    let mut random = |most: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % most
    };
    let mut told = BTreeMap::new();
    for number in 0..CHANGES {
        let name = stage.other(&format!("c{}", random(4)));
        let path = |verb: &str| format!("/containers/{name}/{verb}");
        let exists = stage.engine.container(&name).await?;
        let change = match (exists.as_ref().map(|it| &it["State"]["Status"]), random(6)) {
            (None, _) => {
                let labels = json!({"number": number.to_string()});
                let host = json!({"NetworkMode": "none"});
                let body = json!({"Image": image, "Labels": labels, "HostConfig": host});
                stage.engine.post(&format!("/containers/create?name={name}"), Some(body)).await?;
                "create"
            }
            (Some(_), 0) => {
                stage.engine.delete(&format!("/containers/{name}?force=1")).await?;
                "remove"
            }
            (Some(_), 1) => {
                let new = stage.other(&format!("r{number}"));
                stage.engine.post(&path(&format!("rename?name={new}")), None).await?;
                "rename"
            }
            (Some(Value::String(state)), 2) if state == "running" => {
                stage.engine.post(&path("pause"), None).await?;
                "pause"
            }
            (Some(Value::String(state)), _) if state == "paused" => {
                stage.engine.post(&path("unpause"), None).await?;
                "unpause"
            }
            (Some(Value::String(state)), _) if state == "running" => {
                stage.engine.post(&path("kill"), None).await?;
                "kill"
            }
            (Some(_), _) => {
                stage.engine.post(&path("start"), None).await?;
                "start"
            }
        };
        *told.entry(change).or_insert(0) += 1;
        until_it_agrees(&server, &stage, &format!("{number}: {change} of {name}")).await?;
    }
    ensure!(told.len() >= 5, "a run has most kinds of changes: {told:?}");
    // Many at once.
    for round in 0..2 {
        let names: Vec<String> = (0..8).map(|number| stage.other(&format!("m{number}"))).collect();
        for name in &names {
            if round == 0 {
                stage.engine.run(name, &image).await?;
            } else {
                stage.engine.delete(&format!("/containers/{name}?force=1")).await?;
            }
        }
        until_it_agrees(&server, &stage, "many changes").await?;
    }
    stage.clear().await
}

async fn filters_choose_from_a_view_as_the_engine_does(kind: EngineKind) -> anyhow::Result<()> {
    let stage = Stage::of(kind).await?;
    let server = Server::of(stage.wharfd()).await?;
    let image = stage.image("v1", &Image::new("v1")).await?;
    let mut ids = Vec::new();
    for (number, state) in ["created", "running", "paused", "exited"].iter().enumerate() {
        let name = stage.other(&format!("{state}.{number}"));
        let labels = json!({"app": stage.name, "state": state, "empty": ""});
        let host = json!({"NetworkMode": "none"});
        let body = json!({"Image": image, "Labels": labels, "HostConfig": host});
        let made =
            stage.engine.post(&format!("/containers/create?name={name}"), Some(body)).await?;
        ids.push(made["Id"].as_str().context("an ID")?.to_owned());
        let steps: &[&str] = match *state {
            "running" => &["start"],
            "paused" => &["start", "pause"],
            "exited" => &["start", "kill"],
            _ => &[],
        };
        for step in steps {
            stage.engine.post(&format!("/containers/{name}/{step}"), None).await?;
        }
    }
    until_it_agrees(&server, &stage, "the start").await?;
    let name = &stage.name;
    let anchored = format!("^/?{name}-running.1$");
    let dot = format!("{name}-.*[.]2");
    let filters: Vec<Vec<(&str, &str)>> = vec![
        vec![],
        vec![("name", name)],
        vec![("name", &anchored)],
        vec![("name", &dot)],
        vec![("name", "running"), ("name", "paused")],
        vec![("label", "app")],
        vec![("label", "state=paused")],
        vec![("label", "empty=")],
        vec![("label", "app"), ("label", "state=exited")],
        vec![("label", "nothing")],
        vec![("status", "exited")],
        vec![("status", "running"), ("status", "created")],
        vec![("id", &ids[0][..12])],
        vec![("id", &ids[1]), ("id", &ids[2])],
        vec![("id", &ids[3]), ("name", "exited")],
        vec![("id", "0123456789ab")],
        vec![("health", "none")],
    ];
    for chosen in &filters {
        for all_states in [false, true] {
            let mut by_key: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for (key, value) in chosen {
                by_key.entry(*key).or_default().push((*value).to_owned());
            }
            let json = serde_json::to_string(&by_key)?;
            let escaped: String = json.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let truth =
                judge(&stage, &format!("all={}&filters={escaped}", u8::from(all_states))).await?;
            let filters = by_key.into_iter();
            let request = v1::ListContainersRequest {
                all: all_states,
                filters: filters
                    .map(|(key, values)| v1::Filter { key: key.to_owned(), values })
                    .collect(),
                ..from_view()
            };
            let (known, view) = listed(&server, &stage, request).await?;
            ensure!(
                known == truth,
                "{chosen:?}, all {all_states}, {view:?}: {known:#?} is not {truth:#?}"
            );
        }
    }
    stage.clear().await
}
