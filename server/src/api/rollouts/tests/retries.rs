//! Creation and undo under a request ID, by callers that go away and come back.

use super::*;

/// Calls, and goes away while the plan is made.
async fn lose<T>(world: &World, call: impl Future<Output = T>) {
    tokio::select! {
        _ = call => panic!("it was answered"),
        () = world.waits.notified() => {}
    }
}

fn with_id(id: u128, container: &str) -> v1::CreateRolloutRequest {
    let request_id = Uuid::from_u128(id).to_string();
    v1::CreateRolloutRequest { request_id, ..request(container) }
}

#[tokio::test]
async fn a_creation_that_lost_its_caller_is_found_by_the_next_try() {
    let world = World::new().await;
    world.planned.forget_permits(1000);
    lose(&world, world.create(with_id(1, "web"))).await;
    // Sent again at once, while the first is still being planned.
    let status = world.create(with_id(1, "web")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "REQUEST_IN_PROGRESS"));
    assert!(status.get_details_retry_info().is_some());
    world.planned.add_permits(1000);
    let made = world.create(with_id(1, "web")).await.unwrap();
    let all = world.journal.list().await.unwrap();
    assert_eq!(all.iter().map(|it| it.id.to_string()).collect::<Vec<_>>(), [made.id]);
}

#[tokio::test]
async fn an_undo_that_lost_its_caller_is_found_by_the_next_try() {
    let world = World::new().await;
    let made = world.create(request("web")).await.unwrap();
    world.write(&made.id, vec![phase(Phase::Succeeded)]).await;
    let undo = || v1::UndoRolloutRequest {
        id: made.id.clone(),
        request_id: Uuid::from_u128(2).to_string(),
        ..Default::default()
    };
    world.planned.forget_permits(1000);
    lose(&world, world.api.undo_rollout(Request::new(undo()))).await;
    let status = world.api.undo_rollout(Request::new(undo())).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_IN_PROGRESS");
    world.planned.add_permits(1000);
    let undone = world.api.undo_rollout(Request::new(undo())).await.unwrap().into_inner();
    let again = world.api.undo_rollout(Request::new(undo())).await.unwrap().into_inner();
    assert_eq!(undone.rollout.unwrap().id, again.rollout.unwrap().id);
    assert_eq!(world.journal.list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn two_calls_at_once_make_one_rollout() {
    let world = World::new().await;
    for id in 1..20 {
        let container = format!("web{id}");
        let (one, other) = tokio::join!(
            world.create(with_id(id, &container)),
            world.create(with_id(id, &container))
        );
        assert_eq!(one.unwrap().id, other.unwrap().id);
    }
    assert_eq!(world.journal.list().await.unwrap().len(), 19);
}

#[tokio::test]
async fn what_was_made_stands_although_a_host_of_it_is_gone() {
    let world = World::new().await;
    let mut message = with_id(3, "web");
    let names = vec!["web1".to_owned(), "web2".to_owned()];
    message.spec.as_mut().unwrap().targets = Some(v1::HostSelector {
        selection: Some(v1::host_selector::Selection::Hosts(v1::HostNames { names })),
        exclude: Vec::new(),
    });
    let made = world.create(message.clone()).await.unwrap();
    let name = HostName::parse("web1").unwrap();
    assert!(world.api.edge.inventory.remove(name).await.unwrap());
    assert_eq!(world.create(message).await.unwrap().id, made.id);
}

#[tokio::test]
async fn steering_twice_under_one_id_is_done_once() {
    let world = World::new().await;
    let rollout = world.create(request("web")).await.unwrap();
    let pause = |id: u128, expected_revision| {
        Request::new(v1::PauseRolloutRequest {
            id: rollout.id.clone(),
            expected_revision,
            request_id: Uuid::from_u128(id).to_string(),
        })
    };
    let first = world.api.pause_rollout(pause(4, rollout.revision)).await.unwrap().into_inner();
    // The pause itself has changed the revision.
    let again = world.api.pause_rollout(pause(4, rollout.revision)).await.unwrap().into_inner();
    assert_eq!(first, again);
    let other = world.api.pause_rollout(pause(5, rollout.revision)).await.unwrap_err();
    assert_eq!(reason(&other), "REVISION_CHANGED");

    let (cause, resume_to) = (PauseCause::Promotion, Box::new(Phase::Pulling));
    let paused = Phase::Paused { cause, resume_to, since: Millis(1) };
    world.write(&rollout.id, vec![phase(paused)]).await;
    let promote = |id: u128| {
        Request::new(v1::PromoteRolloutRequest {
            id: rollout.id.clone(),
            request_id: Uuid::from_u128(id).to_string(),
            ..Default::default()
        })
    };
    let first = world.api.promote_rollout(promote(6)).await.unwrap().into_inner();
    world.write(&rollout.id, vec![phase(Phase::Succeeded)]).await;
    let again = world.api.promote_rollout(promote(6)).await.unwrap().into_inner();
    assert_eq!(first, again);
    let other = world.api.promote_rollout(promote(7)).await.unwrap_err();
    assert_eq!(reason(&other), "ROLLOUT_ENDED");
}
