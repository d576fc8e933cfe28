//! What a caller that follows rollouts is told.

use super::*;

#[tokio::test]
async fn a_watch_goes_on_where_it_was_cut() {
    let world = World::new().await;
    let rollout = world.create(request("web")).await.unwrap();
    let mut watch = world.watch(&rollout.id, None).await;
    let first = watch.next().await.unwrap().unwrap();
    let Some(WatchEvent::Snapshot(snapshot)) = first.event else { panic!("{first:?}") };
    assert_eq!(snapshot.rollouts, std::slice::from_ref(&rollout));
    drop(watch);

    let host = HostName::parse("web1").unwrap();
    let begun = HostEvent::Begun { work: Work::Forward, attempt: 1 };
    world.write(&rollout.id, vec![Event::Host { host: host.clone(), happened: begun }]).await;
    let ended = HostEvent::Ended { end: HostEnd::Committed };
    let ended = Event::Host { host, happened: ended };
    world.write(&rollout.id, vec![ended, phase(Phase::Succeeded)]).await;

    // Every message is dropped once, and the next watch continues behind the one before.
    let mut cursor = first.cursor;
    let mut seen = Vec::new();
    loop {
        let mut watch = world.watch(&rollout.id, cursor.clone()).await;
        let Some(message) = watch.next().await else { break };
        let message = message.unwrap();
        let is_last = message.cursor != cursor;
        cursor = message.cursor;
        let mut texts = vec![describe(message.event)];
        if !is_last {
            // Of two messages about one record, the first does not move the cursor.
            let second = watch.next().await.unwrap().unwrap();
            cursor = second.cursor;
            texts.push(describe(second.event));
        }
        seen.extend(texts);
    }
    assert_eq!(seen, ["web1 Updating", "1 at work", "web1 Updated", "0 at work"]);
}

fn describe(event: Option<WatchEvent>) -> String {
    match event {
        Some(WatchEvent::Step(changed)) => {
            let step = changed.step.unwrap();
            format!("{} {:?}", step.host, step.state())
        }
        Some(WatchEvent::Rollout(rollout)) => {
            format!("{} at work", rollout.counts.unwrap().active)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_cursor_of_another_store_is_answered_with_a_snapshot() {
    let world = World::new().await;
    let rollout = world.create(request("web")).await.unwrap();
    let newest = *world.journal.changes().borrow();
    let epoch = world.journal.store_id().to_string();
    for cursor in [
        v1::WatchCursor { epoch: "another".to_owned(), revision: newest.0 },
        v1::WatchCursor { epoch, revision: newest.0 + 1 },
    ] {
        let mut watch = world.watch(&rollout.id, Some(cursor.clone())).await;
        let first = watch.next().await.unwrap().unwrap();
        assert!(matches!(first.event, Some(WatchEvent::Snapshot(_))), "{cursor:?}: {first:?}");
    }
}

#[tokio::test]
async fn a_watch_of_all_hears_of_new_rollouts() {
    let world = World::new().await;
    let mut watch = world.watch("", None).await;
    let first = watch.next().await.unwrap().unwrap();
    assert!(matches!(first.event, Some(WatchEvent::Snapshot(it)) if it.rollouts.is_empty()));
    assert!(watch.next().now_or_never().is_none(), "nothing happens");
    let rollout = world.create(request("web")).await.unwrap();
    let next = watch.next().await.unwrap().unwrap();
    assert!(matches!(next.event, Some(WatchEvent::Rollout(it)) if it.id == rollout.id));
    let cause = PauseCause::User;
    let resume_to = Box::new(Phase::Running { wave: 0 });
    let paused = Phase::Paused { cause, resume_to, since: Millis(1) };
    world.write(&rollout.id, vec![phase(paused)]).await;
    let next = watch.next().await.unwrap().unwrap();
    let Some(WatchEvent::Rollout(paused)) = next.event else { panic!("{next:?}") };
    assert_eq!(paused.pause_cause(), v1::PauseCause::User);

    world.stopping.cancel();
    let end = watch.next().await.unwrap().unwrap_err();
    assert_eq!((end.code(), reason(&end).as_str()), (Code::Unavailable, "SERVER_STOPPING"));
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn one_that_stands_still_is_told_with_the_reason() {
    let world = World::new().await;
    let rollout = world.create(request("web")).await.unwrap();
    let mut watch = world.watch(&rollout.id, None).await;
    watch.next().await.unwrap().unwrap();
    world.stuck.store(true, Ordering::Relaxed);
    let get = v1::GetRolloutRequest { id: rollout.id, ..Default::default() };
    let got = world.api.get_rollout(Request::new(get)).await.unwrap().into_inner().rollout;
    // The silence after which a caller is told that nothing happens.
    tokio::time::pause();
    let told = watch.next().await.unwrap().unwrap();
    let Some(WatchEvent::Rollout(told)) = told.event else { panic!("{told:?}") };
    for rollout in [got.unwrap(), told] {
        let message = rollout.reason.unwrap().message;
        assert!(message.starts_with("the rollout stands still until this is solved"), "{message}");
    }
}
