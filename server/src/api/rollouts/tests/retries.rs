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
