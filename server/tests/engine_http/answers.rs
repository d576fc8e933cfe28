//! The requests of the calls, and responses for "already done".

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use wharf_server::domain::{
    ContainerName, ContainerRef, ImageName, ImageReference, RegistryHost, RegistryLogin, Secret,
};
use wharf_server::engine::{
    Change, ContainerListing, ErrorKind, Filters, ImageListing, WaitCondition,
};

use crate::server::{Request, Server, answer, empty, refusal};

const ID: &str = "4bc0123456789abcdef0123456789abcdef0123456789abcdef0123456789abc";

fn web() -> ContainerRef {
    ContainerRef::parse("web").unwrap()
}

#[tokio::test]
async fn requests_are_those_of_the_engine_api() {
    let server = Server::engine(|request: &Request| match request.method.as_str() {
        "GET" if request.target.contains("/top") => answer(200, "{}"),
        "GET" => answer(200, "[]"),
        "DELETE" if request.target.contains("/images/") => answer(200, "null"),
        "POST" if request.target.contains("prune") => answer(200, "{}"),
        "POST" if request.target.contains("create") => {
            answer(201, r#"{"Id":"4bc","Warnings":null}"#)
        }
        "POST" if request.target.contains("update") => answer(200, r#"{"Warnings":["w"]}"#),
        "POST" if request.target.contains("wait") => answer(200, r#"{"StatusCode":3}"#),
        _ => empty(204),
    })
    .await;
    let engine = server.client();
    let filters = Filters::from([("label".to_owned(), vec!["a=b".to_owned()])]);
    let image = ImageName::parse("r.io:5000/a/b:v1").unwrap();
    let name = ContainerName::parse("web").unwrap();

    engine
        .list_containers(&ContainerListing {
            all: true,
            size: true,
            limit: 3,
            filters: filters.clone(),
            keep_json: false,
        })
        .await
        .unwrap();
    engine.list_images(&ImageListing { all: true, ..ImageListing::default() }).await.unwrap();
    engine.image_history(&image).await.unwrap();
    engine.remove_image(&image, true, true).await.unwrap();
    engine.prune_images(&filters).await.unwrap();
    engine.prune_containers(&Filters::new()).await.unwrap();
    let body = json!({"Image": "app", "Unheard": {"of": 9_007_199_254_740_993_i64}});
    let created = engine.create_container(Some(&name), Some("linux/amd64"), &body).await.unwrap();
    assert_eq!(created.id, "4bc");
    engine.start_container(&web()).await.unwrap();
    engine.stop_container(&web(), None).await.unwrap();
    engine.stop_container(&web(), Some(-1)).await.unwrap();
    engine.restart_container(&web(), Some(5)).await.unwrap();
    engine.kill_container(&web(), None).await.unwrap();
    engine.kill_container(&web(), Some("SIGHUP")).await.unwrap();
    assert_eq!(engine.update_container(&web(), &json!({"Memory": 1})).await.unwrap(), ["w"]);
    let exit = engine.wait_container(&web(), WaitCondition::NextExit).await.unwrap();
    assert_eq!(exit.exit_code, 3);
    engine.list_processes(&web(), Some("-o pid")).await.unwrap();
    engine.container_changes(&web()).await.unwrap();
    engine.remove_container(&web(), true, true).await.unwrap();

    let filtered = "filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D";
    assert_eq!(
        server.lines(),
        [
            format!("GET /v1.41/containers/json?all=1&size=1&limit=3&{filtered}"),
            "GET /v1.41/images/json?all=1".into(),
            "GET /v1.41/images/r.io:5000/a/b:v1/history".into(),
            "DELETE /v1.41/images/r.io:5000/a/b:v1?force=1&noprune=1".into(),
            format!("POST /v1.41/images/prune?{filtered}"),
            "POST /v1.41/containers/prune".into(),
            "POST /v1.41/containers/create?name=web&platform=linux%2Famd64".into(),
            "POST /v1.41/containers/web/start".into(),
            "POST /v1.41/containers/web/stop".into(),
            "POST /v1.41/containers/web/stop?t=-1".into(),
            "POST /v1.41/containers/web/restart?t=5".into(),
            "POST /v1.41/containers/web/kill".into(),
            "POST /v1.41/containers/web/kill?signal=SIGHUP".into(),
            "POST /v1.41/containers/web/update".into(),
            "POST /v1.41/containers/web/wait?condition=next-exit".into(),
            "GET /v1.41/containers/web/top?ps_args=-o+pid".into(),
            "GET /v1.41/containers/web/changes".into(),
            "DELETE /v1.41/containers/web?force=1&v=1".into(),
        ]
    );
    let requests = server.requests();
    let create = &requests[6];
    assert_eq!(create.header("content-type"), Some("application/json"));
    assert_eq!(create.body, body.to_string());
    let start = &requests[7];
    assert!(start.body.is_empty() && start.header("transfer-encoding").is_none());
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn what_is_so_already_is_no_error() {
    let inspected = |name: &str, running: bool, paused: bool| {
        json!({"Id": ID, "Name": format!("/{name}"), "State": {"Running": running, "Paused": paused}}).to_string()
    };
    let server = Server::engine(move |request: &Request| {
        let target = request.target.as_str();
        match request.method.as_str() {
            "GET" if target.contains("/paused/") => answer(200, &inspected("paused", true, true)),
            "GET" if target.contains("/exited/") => answer(200, &inspected("exited", false, false)),
            "GET" => answer(200, &inspected("web", true, false)),
            _ if target.contains("/start") || target.contains("/stop") => empty(304),
            _ if target.contains("/unpause") => refusal(500, "Container 4bc is not paused"),
            _ if target.contains("/pause") => refusal(409, "Container 4bc is already paused"),
            _ => refusal(400, "Renaming a container with the same name as its current name"),
        }
    })
    .await;
    let engine = server.client();
    let (paused, exited) =
        (ContainerRef::parse("paused").unwrap(), ContainerRef::parse("exited").unwrap());
    assert_eq!(engine.start_container(&web()).await.unwrap(), Change::Already);
    assert_eq!(engine.stop_container(&web(), None).await.unwrap(), Change::Already);
    assert_eq!(engine.pause_container(&paused).await.unwrap(), Change::Already);
    assert_eq!(engine.unpause_container(&web()).await.unwrap(), Change::Already);
    let name = ContainerName::parse("web").unwrap();
    assert_eq!(engine.rename_container(&web(), &name).await.unwrap(), Change::Already);
    // The same errors where it is not so.
    assert_eq!(engine.pause_container(&web()).await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(engine.unpause_container(&exited).await.unwrap_err().kind, ErrorKind::Conflict);
    let other = ContainerName::parse("other").unwrap();
    assert_eq!(
        engine.rename_container(&web(), &other).await.unwrap_err().kind,
        ErrorKind::BadRequest
    );
}

#[tokio::test]
async fn a_tag_that_is_there_is_not_made_again() {
    let server = Server::engine(|request: &Request| match request.method.as_str() {
        "GET" => answer(
            200,
            r#"{"Id":"sha256:8d2","RepoTags":["app:v1","docker.io/library/app:latest"]}"#,
        ),
        _ => empty(201),
    })
    .await;
    let engine = server.client();
    let source = ImageName::parse("sha256:8d2").unwrap();
    for (target, expected) in
        [("app:v1", Change::Already), ("app", Change::Already), ("app:v2", Change::Made)]
    {
        let target = ImageReference::parse(target).unwrap();
        assert_eq!(engine.tag_image(&source, &target).await.unwrap(), expected, "{target}");
    }
    assert_eq!(server.lines().last().unwrap(), "POST /v1.41/images/sha256:8d2/tag?repo=app&tag=v2");
    assert_eq!(server.requests().iter().filter(|request| request.method == "POST").count(), 1);
}

#[tokio::test]
async fn a_removal_that_is_under_way_is_waited_for() {
    let removals = AtomicUsize::new(0);
    let server = Server::engine(move |request: &Request| match request.method.as_str() {
        "GET" => answer(200, &json!({"Id": ID, "Name": "/web"}).to_string()),
        _ => match removals.fetch_add(1, Ordering::SeqCst) {
            0..=2 => refusal(409, "removal of container web is already in progress"),
            _ => refusal(404, "No such container: web"),
        },
    })
    .await;
    server.client().remove_container(&web(), false, false).await.unwrap();
    let by_id = format!("DELETE /v1.41/containers/{ID}");
    assert_eq!(
        server.lines(),
        ["DELETE /v1.41/containers/web", "GET /v1.41/containers/web/json", &by_id, &by_id, &by_id,]
    );
    // A container that is missing from the start is an error.
    let server = Server::engine(|_| refusal(404, "No such container: web")).await;
    let error = server.client().remove_container(&web(), false, false).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ContainerNotFound);
}

#[tokio::test]
async fn what_an_engine_is_too_old_for_is_not_sent() {
    let server = Server::start(|request: &Request| {
        if request.target == "/_ping" { crate::server::ping("1.24") } else { empty(500) }
    })
    .await;
    let engine = server.client();
    let error = engine.wait_container(&web(), WaitCondition::Removed).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    let error = engine.create_container(None, Some("linux/amd64"), &json!({})).await.unwrap_err();
    assert_eq!(
        error.message,
        "a container for a platform requires API version 1.41, but the Engine supports 1.24"
    );
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_login_is_checked_and_its_secret_kept_out_of_errors() {
    let login = |password: &str| {
        let registry = RegistryHost::parse("r.io:5000").unwrap();
        RegistryLogin::new(registry, "ann", Secret::new(password), Secret::new("")).unwrap()
    };
    let server = Server::engine(|request: &Request| {
        if request.body.contains("hunter2") {
            answer(200, r#"{"Status":"Login Succeeded","IdentityToken":"t0ken"}"#)
        } else if request.body.contains("quiet") {
            empty(204)
        } else {
            refusal(500, "login attempt with wrong-password failed with status: 401 Unauthorized")
        }
    })
    .await;
    let engine = server.client();
    let accepted = engine.check_login(&login("hunter2")).await.unwrap();
    assert_eq!(accepted.identity_token.unwrap().expose(), "t0ken");
    assert!(engine.check_login(&login("quiet")).await.unwrap().identity_token.is_none());
    let error = engine.check_login(&login("wrong-password")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::LoginRefused);
    assert_eq!(error.message, "login attempt with [redacted] failed with status: 401 Unauthorized");
    assert_eq!(server.lines()[0], "POST /v1.41/auth");
    assert_eq!(
        server.requests()[0].body,
        r#"{"username":"ann","password":"hunter2","serveraddress":"r.io:5000"}"#
    );
}
