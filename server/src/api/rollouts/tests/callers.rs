//! What programs that call ask for: a plan to look at, that plan and no other, notes, and a word
//! when nothing is in progress any longer.

use super::*;

/// A plan, as readers get it.
async fn plan(world: &World, container: &str) -> v1::RolloutPlan {
    let spec = Some(inputs::spec(container));
    let message = v1::PlanRolloutRequest { spec, ..Default::default() };
    world.api.plan_rollout(Request::new(message)).await.unwrap().into_inner().plan.unwrap()
}

fn noted(pairs: &[(&str, &str)]) -> v1::CreateRolloutRequest {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    v1::CreateRolloutRequest { annotations: pairs.collect(), ..request("web") }
}

fn happened(happened: HostEvent) -> Event {
    Event::Host { host: HostName::parse("web1").unwrap(), happened }
}

#[tokio::test]
async fn a_plan_stores_nothing_and_is_that_of_the_rollout() {
    let world = World::new().await;
    let planned = plan(&world, "web").await;
    assert_eq!((planned.hosts.len(), planned.fingerprint.len()), (3, 64));
    assert_eq!(plan(&world, "web").await, planned);
    assert!(world.journal.list().await.unwrap().is_empty());

    let expected_plan = planned.fingerprint.clone();
    let message = v1::CreateRolloutRequest { expected_plan, ..request("web") };
    let dry = v1::CreateRolloutRequest { validate_only: true, ..message.clone() };
    let dry = world.api.create_rollout(Request::new(dry)).await.unwrap().into_inner();
    assert_eq!(dry.plan.unwrap(), planned);
    let rollout = world.create(message).await.unwrap();
    assert_eq!(rollout.plan.unwrap().fingerprint, planned.fingerprint);

    let refused =
        v1::PlanRolloutRequest { spec: Some(inputs::spec("refused")), ..Default::default() };
    let error = world.api.plan_rollout(Request::new(refused)).await.unwrap_err();
    assert_eq!(reason(&error), "PLAN_REFUSED");
    let error = world.api.plan_rollout(Request::new(Default::default())).await.unwrap_err();
    assert_eq!(reason(&error), "INVALID_FIELD");
}

#[tokio::test]
async fn another_plan_than_the_expected_one_is_not_begun() {
    let world = World::new().await;
    let planned = plan(&world, "web").await;
    let mut message =
        v1::CreateRolloutRequest { expected_plan: planned.fingerprint.clone(), ..request("web") };
    let policy = v1::RolloutPolicy { max_parallel: "3".to_owned(), ..Default::default() };
    message.spec.as_mut().unwrap().policy = Some(policy);
    let error = world.create(message.clone()).await.unwrap_err();
    let info = error.get_details_error_info().unwrap();
    assert_eq!((error.code(), info.reason.as_str()), (Code::FailedPrecondition, "PLAN_CHANGED"));
    assert!(world.journal.list().await.unwrap().is_empty());
    assert!(error.message().contains(&planned.fingerprint), "{error}");

    // The error names the new one, which is that of what is started then.
    message.expected_plan.clone_from(&info.metadata["fingerprint"]);
    let rollout = world.create(message.clone()).await.unwrap();
    assert_eq!(rollout.plan.unwrap().fingerprint, message.expected_plan);

    world.write(&rollout.id, vec![phase(Phase::Succeeded)]).await;
    let expected_plan = "0".repeat(64);
    let undo = v1::UndoRolloutRequest { id: rollout.id, expected_plan, ..Default::default() };
    let error = world.api.undo_rollout(Request::new(undo)).await.unwrap_err();
    assert_eq!(reason(&error), "PLAN_CHANGED");

    let message = v1::CreateRolloutRequest { expected_plan: "web".to_owned(), ..request("web") };
    let error = world.create(message).await.unwrap_err();
    assert!(error.message().starts_with("expected_plan: must be the fingerprint"), "{error}");
}

#[tokio::test]
async fn rollouts_are_found_by_what_was_noted_about_them() {
    let world = World::new().await;
    let job = "https://ci.test/jobs/1?a=b";
    let first = world.create(noted(&[("commit", "4f2a1c"), ("ci.test/job", job)])).await.unwrap();
    assert_eq!(first.annotations["ci.test/job"], job);
    world.write(&first.id, vec![phase(Phase::Succeeded)]).await;
    let second = world.create(noted(&[("commit", "000000")])).await.unwrap();
    world.write(&second.id, vec![phase(Phase::Succeeded)]).await;
    let third = world.create(request("web")).await.unwrap();

    let list = |annotations: &str| {
        let annotations = annotations.to_owned();
        let message = v1::ListRolloutsRequest { annotations, ..Default::default() };
        let answer = world.api.list_rollouts(Request::new(message));
        async { answer.await.map(|answer| answer.into_inner().rollouts) }
    };
    for (selector, expected) in [
        ("commit=4f2a1c", vec![&first]),
        ("commit", vec![&second, &first]),
        ("commit in (000000,1),!ci.test/job", vec![&second]),
        ("!commit", vec![&third]),
        ("", vec![&third, &second, &first]),
    ] {
        let found: Vec<_> = list(selector).await.unwrap().into_iter().map(|it| it.id).collect();
        let expected: Vec<_> = expected.into_iter().map(|it| it.id.clone()).collect();
        assert_eq!(found, expected, "{selector}");
    }
    for selector in ["commit=", "=", "a b", &"x,".repeat(3000)] {
        let refused = list(selector).await.map_err(|error| reason(&error));
        let is_open_value = selector == "commit=";
        assert_eq!(refused.is_ok(), is_open_value, "{selector}");
    }

    for (key, value) in [("a b", "x"), ("a", "two\nlines"), ("a", &"x".repeat(2000))] {
        let error = world.create(noted(&[(key, value)])).await.unwrap_err();
        assert!(error.message().starts_with("annotations: "), "{error}");
    }
    let undo = v1::UndoRolloutRequest {
        id: first.id,
        annotations: [("why".to_owned(), "too slow".to_owned())].into(),
        ..Default::default()
    };
    world.write(&third.id, vec![phase(Phase::Succeeded)]).await;
    let undo = world.api.undo_rollout(Request::new(undo)).await.unwrap().into_inner();
    let noted: Vec<_> = undo.rollout.unwrap().annotations.into_iter().collect();
    assert_eq!(noted, [("why".to_owned(), "too slow".to_owned())]);
}

#[tokio::test]
async fn a_paused_rollout_is_settled_when_its_last_host_is() {
    let world = World::new().await;
    let rollout = world.create(request("web")).await.unwrap();
    assert!(!rollout.settled);
    let mut watch = world.watch(&rollout.id, None).await;
    watch.next().await.unwrap().unwrap();
    let begun = HostEvent::Begun { work: Work::Forward, attempt: 1 };
    world.write(&rollout.id, vec![phase(Phase::Running { wave: 0 }), happened(begun)]).await;
    let (cause, resume_to) = (PauseCause::User, Box::new(Phase::Running { wave: 0 }));
    let paused = Phase::Paused { cause, resume_to, since: Millis(1) };
    world.write(&rollout.id, vec![phase(paused)]).await;
    let get = || async {
        let message = v1::GetRolloutRequest { id: rollout.id.clone(), ..Default::default() };
        world.api.get_rollout(Request::new(message)).await.unwrap().into_inner().rollout.unwrap()
    };
    let now = get().await;
    assert_eq!((now.state(), now.settled), (v1::RolloutState::Paused, false));

    let ended = HostEvent::Ended { end: HostEnd::Committed };
    world.write(&rollout.id, vec![happened(ended)]).await;
    assert!(get().await.settled);
    // Whoever follows hears of it, and nothing but it says so.
    let mut settled = Vec::new();
    while let Some(Some(message)) = watch.next().now_or_never() {
        if let Some(WatchEvent::Rollout(rollout)) = message.unwrap().event {
            settled.push((rollout.state(), rollout.settled));
        }
    }
    let expected = [(v1::RolloutState::Paused, false), (v1::RolloutState::Paused, true)];
    assert!(settled.ends_with(&expected), "{settled:?}");
    assert!(settled.iter().filter(|(_, settled)| *settled).count() == 1, "{settled:?}");

    world.write(&rollout.id, vec![phase(Phase::Running { wave: 0 })]).await;
    assert!(!get().await.settled, "it goes on");
    world.write(&rollout.id, vec![phase(Phase::Succeeded)]).await;
    assert!(get().await.settled);
}

#[tokio::test]
async fn a_pull_and_a_watch_are_work_and_a_host_that_does_not_answer_is_none() {
    let world = World::new().await;
    let id = world.create(request("web")).await.unwrap().id;
    let (cause, resume_to) = (PauseCause::User, Box::new(Phase::Pulling));
    let paused = phase(Phase::Paused { cause, resume_to, since: Millis(1) });
    world.write(&id, vec![paused]).await;
    let settled = || async {
        let message = v1::GetRolloutRequest { id: id.clone(), ..Default::default() };
        let got = world.api.get_rollout(Request::new(message)).await.unwrap().into_inner();
        got.rollout.unwrap().settled
    };
    let trouble = Trouble { reason: Reason::HostUnreachable, message: "no".to_owned() };
    for (work, end) in [
        (Work::Pull, HostEvent::Ended { end: HostEnd::Pulled }),
        (Work::Watch, HostEvent::Ended { end: HostEnd::Committed }),
        (Work::RollBack, HostEvent::Ended { end: HostEnd::RolledBack }),
        (Work::Forward, HostEvent::Unreachable { trouble }),
    ] {
        assert!(settled().await, "before {work:?}");
        world.write(&id, vec![happened(HostEvent::Begun { work, attempt: 1 })]).await;
        assert!(!settled().await, "{work:?}");
        world.write(&id, vec![happened(end)]).await;
    }
    assert!(settled().await);
}
