//! Following rollouts, and lists of them.

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use tonic::{Code, Status};
use wharf::v1::watch_rollouts_response::Event;
use wharf::v1::{
    AbortRolloutRequest, HostStep, ListRolloutsRequest, Rollout, RolloutState, WatchCursor,
    WatchRolloutsRequest, WatchRolloutsResponse,
};

use super::scene::{Scene, held, refusal, told};
use crate::support::{HOSTS, Server, hosts, reason};

/// What a stream tells until `is_enough` or its end, and how that was.
async fn read(
    server: &Server,
    request: WatchRolloutsRequest,
    mut is_enough: impl FnMut(&Event) -> bool,
) -> anyhow::Result<(Vec<WatchRolloutsResponse>, Option<Status>)> {
    let mut stream = server.rollouts().watch_rollouts(request).await?.into_inner();
    let mut heard = Vec::new();
    while let Some(message) = stream.next().await {
        let message = match message {
            Ok(message) => message,
            Err(status) => return Ok((heard, Some(status))),
        };
        let event = message.event.as_ref().context("an event")?;
        let enough = is_enough(event);
        if !matches!(event, Event::Heartbeat(_)) {
            heard.push(message);
        }
        if enough {
            break;
        }
    }
    Ok((heard, None))
}

fn watch(id: &str, after: Option<WatchCursor>) -> WatchRolloutsRequest {
    WatchRolloutsRequest { id: id.to_owned(), after, progress: false }
}

fn last_cursor(heard: &[WatchRolloutsResponse]) -> Option<WatchCursor> {
    heard.last().and_then(|message| message.cursor.clone())
}

fn at_gate(host: &'static str) -> impl FnMut(&Event) -> bool {
    move |event| match event {
        Event::Step(changed) => changed
            .step
            .as_ref()
            .is_some_and(|step| step.host == host && step.step() == HostStep::Gate),
        _ => false,
    }
}

#[tokio::test]
async fn each_event_is_told_once_across_restarts_of_the_server() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let id = scene.begin(scene.spec_with("v2", held()).await?).await?.id;
    let server = &scene.world.server;
    let (first, _) = read(server, watch(&id, None), |_| true).await?;
    let Some(Event::Snapshot(snapshot)) = &first[0].event else { panic!("{first:?}") };
    assert!(snapshot.rollouts[0].plan.is_some() && snapshot.rollouts[0].steps.len() == 3);
    let start = last_cursor(&first);

    // A stop tells the watcher to come back; a caller that just leaves is no problem either.
    let (mut all, _) = read(server, watch(&id, start.clone()), at_gate("alpha")).await?;
    let following = read(server, watch(&id, last_cursor(&all)), |_| false);
    let stopping = async {
        // It follows when it has heard of the pause.
        scene.cli(&["pause", &id]).await?.expect(0)?;
        let paused = |rollout: &Rollout| rollout.state() == RolloutState::Paused;
        scene.until(&id, "the pause", paused).await?;
        scene.world.wharfd.terminate().await
    };
    let ((more, end), _) = tokio::try_join!(following, stopping)?;
    all.extend(more);
    let end = end.context("the stream ends with a status")?;
    assert_eq!((end.code(), reason(&end).as_str()), (Code::Unavailable, "SERVER_STOPPING"));

    scene.world.wharfd.restart().await?;
    let server = Server::of(&scene.world.wharfd).await?;
    scene.put(&["alpha"], "open")?;
    scene.cli(&["resume", &id]).await?.expect(0)?;
    let (more, _) = read(&server, watch(&id, last_cursor(&all)), at_gate("beta")).await?;
    all.extend(more);
    // This time without a word.
    scene.world.wharfd.restart().await?;
    let server = Server::of(&scene.world.wharfd).await?;
    scene.put(&HOSTS, "open")?;
    let (more, end) = read(&server, watch(&id, last_cursor(&all)), |_| false).await?;
    assert!(end.is_none(), "{end:?}");
    all.extend(more);
    let Some(Event::Rollout(last)) = all.last().and_then(|it| it.event.clone()) else {
        panic!("{:?}", all.last())
    };
    assert_eq!(last.state(), RolloutState::Succeeded);

    // From the beginning and in one go it is the same.
    let (whole, end) = read(&server, watch(&id, start), |_| false).await?;
    assert!(end.is_none() && whole.len() > 20, "{end:?} {}", whole.len());
    assert_eq!(all.len(), whole.len());
    for (told, again) in all.iter().zip(&whole) {
        assert_eq!(told, again);
    }
    // What has ended is a snapshot and the end.
    let (ended, end) = read(&server, watch(&id[..8], None), |_| false).await?;
    assert!(end.is_none() && ended.len() == 1, "{ended:?}");
    // A cursor of another store, or of the future, is answered with a snapshot as well.
    for (epoch, ahead) in [(uuid::Uuid::new_v4().to_string(), 0), (String::new(), 1 << 40)] {
        let mut cursor = last_cursor(&ended).context("a cursor")?;
        cursor.revision += ahead;
        if !epoch.is_empty() {
            cursor.epoch = epoch;
        }
        let (heard, _) = read(&server, watch(&id, Some(cursor)), |_| false).await?;
        assert!(matches!(heard[0].event, Some(Event::Snapshot(_))), "{heard:?}");
    }
    Ok(())
}

#[tokio::test]
async fn all_rollouts_are_followed_and_listed_in_pages_and_by_filters() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let server = &scene.world.server;
    let others = [scene.another().await?, scene.another().await?];
    let on = async |scene: &Scene, host: &str| -> anyhow::Result<Rollout> {
        let mut spec = scene.spec_with("v2", held()).await?;
        spec.targets = hosts(&[host]);
        Ok(scene.begin(spec).await?)
    };
    let following = read(server, watch("", None), {
        let mut ended = 0;
        move |event| {
            ended += usize::from(
                matches!(event, Event::Rollout(it) if it.state() >= RolloutState::Succeeded),
            );
            ended == 2
        }
    });
    let doing = async {
        let first = on(&scene, "alpha").await?;
        let second = on(&others[0], "beta").await?;
        let third = on(&others[1], "gamma").await?;
        scene.put(&HOSTS, "open")?;
        scene.end(&first.id).await?;
        let abort = AbortRolloutRequest { id: second.id.clone(), ..Default::default() };
        server.rollouts().abort_rollout(abort).await?;
        others[0].put(&HOSTS, "open")?;
        scene.end(&second.id).await?;
        anyhow::Ok([first.id, second.id, third.id])
    };
    let ((heard, _), [first, second, third]) = tokio::try_join!(following, doing)?;
    for id in [&first, &second, &third] {
        let of_it = |message: &&WatchRolloutsResponse| match &message.event {
            Some(Event::Rollout(rollout)) => rollout.id == **id,
            _ => false,
        };
        assert!(heard.iter().any(|message| of_it(&message)), "{id}");
    }

    let list = async |request: ListRolloutsRequest| -> Result<(Vec<String>, String), Status> {
        let answer = server.rollouts().list_rollouts(request).await?.into_inner();
        assert!(answer.rollouts.iter().all(|it| it.plan.is_none() && it.steps.is_empty()));
        let ids = answer.rollouts.into_iter().map(|it| it.id).collect();
        Ok((ids, answer.next_page_token))
    };
    let (page, token) = list(ListRolloutsRequest { page_size: 2, ..Default::default() }).await?;
    assert_eq!(page, [third.clone(), second.clone()]);
    let next = ListRolloutsRequest { page_size: 2, page_token: token, ..Default::default() };
    assert_eq!(list(next).await?, (vec![first.clone()], String::new()));
    let by = |states: &[RolloutState], container: &str, host: &str| ListRolloutsRequest {
        states: states.iter().map(|state| (*state).into()).collect(),
        container: container.to_owned(),
        host: host.to_owned(),
        ..Default::default()
    };
    let (running, aborted) = (RolloutState::Running, RolloutState::Aborted);
    for (request, expected) in [
        (by(&[running], "", ""), vec![&third]),
        (by(&[running, aborted], "", ""), vec![&third, &second]),
        (by(&[], &scene.name, ""), vec![&first]),
        (by(&[], "", "beta"), vec![&second]),
        (by(&[running], "", "beta"), vec![]),
    ] {
        let (found, _) = list(request.clone()).await?;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{request:?}");
    }
    let bad = ListRolloutsRequest { page_token: "nonsense".to_owned(), ..Default::default() };
    let (code, _, message) = refusal(&list(bad).await.unwrap_err());
    assert!(code == Code::InvalidArgument && message.contains("page_token"), "{message}");

    // The same on the command line.
    let ls = async |arguments: &[&str]| -> anyhow::Result<Vec<String>> {
        let output = scene.cli(&[arguments, &["-o", "name"]].concat()).await?.expect(0)?;
        Ok(output.stdout.lines().map(str::to_owned).collect())
    };
    assert_eq!(ls(&["ls"]).await?, [third.as_str(), &second, &first]);
    assert_eq!(ls(&["ls", "--open"]).await?, [third.as_str()]);
    assert_eq!(ls(&["ls", "-n", "1"]).await?, [third.as_str()]);
    assert_eq!(ls(&["history", &others[0].name]).await?, [second.as_str()]);
    assert_eq!(ls(&["history", &others[1].name]).await?, [""; 0]);
    others[1].put(&HOSTS, "open")?;
    let rollout = scene.end(&third).await?;
    ensure!(rollout.state() == RolloutState::Succeeded, "{}", told(&rollout));
    try_join_all(others.iter().map(Scene::found)).await?;
    Ok(())
}
